//! The collector: asks every node in turn for its metrics, keeps them on the bus and tells everybody.

use std::future::Future;

use bytes::Bytes;
use carillon_core::prelude::*;
use carillon_core::throttle::Throttle;
use prometheus::{IntCounter, IntCounterVec};
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use super::config::MonitoringConfig;
use crate::cluster::{ALERTS, Aggregate, Alerts, HEALTH, HealthUpdate, Locale, METRICS, Metrics, node_key};

/// When the first round is: soon, for whoever connects to a server that has just started, and late enough to have seen
/// the CPU work for a while.
const FIRST_ROUND: Duration = Duration::from_secs(1);

/// Where metrics come from.
pub(super) trait Source: Send {
    /// How many nodes it asks.
    fn total(&self) -> usize;

    /// Asks all of them; those that do not answer are left out.
    ///
    /// # Errors
    /// When the source itself is broken: the collector then starts over with a new one.
    fn read(&mut self) -> impl Future<Output = Result<Vec<Reading>>> + Send;
}

/// What one node answered.
pub(super) struct Reading {
    /// The node's name.
    pub(super) node: String,
    /// What was measured.
    pub(super) metrics: Metrics,
}

/// Runs rounds and publishes them.
pub(super) struct Collector {
    host: Host,
    interval: Duration,
    node_ttl: Duration,
    cluster_ttl: Duration,
    locale: Locale,
    published: IntCounter,
    failed: IntCounter,
    log: Throttle,
}

impl Collector {
    pub(super) fn new(host: Host, config: &MonitoringConfig, rounds: &IntCounterVec) -> Self {
        Self {
            host,
            interval: Duration::from_millis(config.interval_ms),
            node_ttl: config.node_ttl(),
            cluster_ttl: config.cluster_ttl(),
            locale: config.locale,
            published: rounds.with_label_values(&["published"]),
            failed: rounds.with_label_values(&["failed"]),
            log: Throttle::per_second(),
        }
    }

    /// Asks `source` again and again. Only returns when the source is broken; stop it by dropping it.
    pub(super) async fn run(&self, mut source: impl Source) -> Result<()> {
        let mut rounds = interval_at(Instant::now() + FIRST_ROUND.min(self.interval), self.interval);
        // A round that took too long is not made up for.
        rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            rounds.tick().await;
            let readings = source.read().await?;
            let nodes = readings.into_iter().map(|reading| (reading.node, reading.metrics)).collect();
            let round = Aggregate::new(timestamp(), source.total(), nodes);
            match self.publish(&round).await {
                Ok(()) => self.published.inc(),
                Err(error) => {
                    self.failed.inc();
                    if let Some(left_out) = self.log.allow() {
                        tracing::warn!(left_out, "a round of metrics could not be published: {error}");
                    }
                }
            }
        }
    }

    /// Keys first, so that whoever hears of a round finds it there; then the channels, in the order publishers of old
    /// used. A round in which no node answered is published like any other: that is when somebody should hear of it.
    async fn publish(&self, round: &Aggregate) -> Result<()> {
        let bus = self.host.bus();
        for (node, metrics) in &round.nodes {
            bus.set(&node_key(node), json(metrics)?, Some(self.node_ttl)).await?;
        }
        let stats = &round.cluster_stats;
        let health = HealthUpdate::new(round.timestamp.clone(), stats.online_nodes, stats.total_nodes, self.locale);
        let metrics = json(round)?;
        bus.set(METRICS, metrics.clone(), Some(self.cluster_ttl)).await?;
        bus.publish(METRICS, metrics).await?;
        bus.publish(HEALTH, json(&health)?).await?;
        bus.publish(ALERTS, json(&Alerts::new(round, self.locale))?).await
    }
}

fn json<T: Serialize>(value: &T) -> Result<Bytes> {
    Ok(serde_json::to_vec(value)?.into())
}

//! The collector: asks every node in turn for its metrics, keeps them on the bus and tells everybody.

use std::future::Future;

use bytes::Bytes;
use carillon_core::prelude::*;
use carillon_core::throttle::Throttle;
use prometheus::{IntCounter, IntCounterVec};
use tokio::time::{Instant, sleep_until};

use super::config::MonitoringConfig;
use super::gate::Gate;
use crate::cluster::{
    ALERTS, Aggregate, Alerts, HEALTH, HealthUpdate, Locale, METRICS, Metrics, node_key, publish_metrics,
};

/// When the first round is: soon, for whoever connects to a server that has just started, and late enough to have seen
/// the CPU work for a while.
const FIRST_ROUND: Duration = Duration::from_secs(1);

/// That rounds fail is logged at once, and again after this time while they do.
const REPEAT: Duration = Duration::from_secs(30);

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
            log: Throttle::every(REPEAT),
        }
    }

    /// Asks `source` again and again, as long as `gate` is open; stop it by dropping it.
    ///
    /// # Errors
    /// When the source is broken.
    pub(super) async fn run(&self, gate: &Gate, mut source: impl Source) -> Result<()> {
        let mut next = Instant::now() + FIRST_ROUND.min(gate.pause());
        loop {
            while Instant::now() < next {
                sleep_until(next.min(Instant::now() + gate.pause())).await;
                // A bus that does not tell is asked again before anything is published.
                if matches!(gate.is_open().await, Ok(false)) {
                    return Ok(());
                }
            }
            // A round that took too long is not made up for.
            next = (next + self.interval).max(Instant::now());
            let readings = source.read().await?;
            let nodes = readings.into_iter().map(|reading| (reading.node, reading.metrics)).collect();
            let round = Aggregate::new(timestamp(), source.total(), nodes);
            // Asked once more, because reading took its time.
            let published = match gate.is_open().await {
                Ok(true) => self.publish(&round).await,
                Ok(false) => return Ok(()),
                Err(error) => Err(error),
            };
            match published {
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
        let stats = &round.cluster_stats;
        let health = HealthUpdate::new(round.timestamp.clone(), stats.online_nodes, stats.total_nodes, self.locale);
        let metrics = json(round)?;
        // A bus that has lost its store may still reach the clients of this server.
        let kept = self.keep(round, metrics.clone()).await;
        publish_metrics(bus, metrics).await?;
        bus.publish(HEALTH, json(&health)?).await?;
        bus.publish(ALERTS, json(&Alerts::new(round, self.locale))?).await?;
        kept
    }

    /// Sets the keys that tell of this round until the next ones.
    async fn keep(&self, round: &Aggregate, metrics: Bytes) -> Result<()> {
        let bus = self.host.bus();
        for (node, metrics) in &round.nodes {
            bus.set(&node_key(node), json(metrics)?, Some(self.node_ttl)).await?;
        }
        bus.set(METRICS, metrics, Some(self.cluster_ttl)).await
    }
}

fn json<T: Serialize>(value: &T) -> Result<Bytes> {
    Ok(serde_json::to_vec(value)?.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::Metrics;
    use carillon_core::bus::Subscription;
    use carillon_core::testing::Harness;
    use serde_json::Value;

    /// Two nodes that answer less and less, and then break.
    struct Scripted(usize);

    impl Source for Scripted {
        fn total(&self) -> usize {
            2
        }

        async fn read(&mut self) -> Result<Vec<Reading>> {
            let answers = self.0.checked_sub(1).ok_or_else(|| Error::internal("broken"))?;
            self.0 = answers;
            let metrics = Metrics {
                memory_total: 100,
                memory_available: 4,
                disk_total: 100,
                disk_available: 50,
                temperature: None,
                cpu_usage: 95.0,
                memory_usage: 96.0,
                disk_usage: 50.0,
            };
            Ok((1..=answers).map(|n| Reading { node: format!("n{n}"), metrics: metrics.clone() }).collect())
        }
    }

    /// A namespace whose background work is one run of the collector.
    struct Fake(IntCounterVec);

    impl Plugin for Fake {
        const NAME: &'static str = "monitoring";
        const NAMESPACE: &'static str = "/monitoring";
        type Config = MonitoringConfig;

        async fn init(_: MonitoringConfig, host: Host) -> Result<Self> {
            Ok(Self(host.metrics().counter("collections_total", "x", &["result"])?))
        }

        fn routes(_: &mut Routes<Self>, _: &MonitoringConfig) {}

        async fn run(self: Arc<Self>, host: Host) -> Result<()> {
            let config = MonitoringConfig::default();
            let collector = Collector::new(host.clone(), &config, &self.0);
            let broken = collector.run(&Gate::new(host, &config), Scripted(3)).await.map_err(|error| error.to_string());
            assert_eq!(broken, Err("broken".to_owned()));
            Ok(())
        }
    }

    async fn heard(harness: &Harness) -> Subscription {
        let channels = [METRICS, HEALTH, ALERTS].map(str::to_owned);
        harness.app().bus().subscribe(&channels).await.unwrap()
    }

    async fn next(subscription: &mut Subscription) -> (Arc<str>, Value) {
        let message = subscription.recv().await.unwrap();
        (message.channel, serde_json::from_slice(&message.payload).unwrap())
    }

    /// Each round is told on three channels in order, with the keys already there; and keys go when rounds cease.
    #[tokio::test(start_paused = true)]
    async fn rounds_are_kept_and_told_in_order() {
        let harness = Harness::of::<Fake>().await;
        let bus = harness.app().bus();
        let mut subscription = heard(&harness).await;
        let begin = Instant::now();
        for (round, (online, status, issues, alerts)) in
            [(2, "healthy", 0, 2), (1, "warning", 1, 2), (0, "critical", 1, 0)].into_iter().enumerate()
        {
            let (channel, metrics) = next(&mut subscription).await;
            assert_eq!((&*channel, &metrics["cluster_stats"]["online_nodes"]), (METRICS, &Value::from(online)));
            assert_eq!(begin.elapsed().as_secs(), 1 + 5 * round as u64, "the first after 1 s, then every 5 s");
            assert_eq!(metrics["cluster_stats"]["total_nodes"], 2);
            assert_eq!(metrics["nodes"].as_object().unwrap().len(), online);
            let key: Value = serde_json::from_slice(&bus.get(METRICS).await.unwrap().unwrap()).unwrap();
            assert_eq!(key, metrics);
            let (channel, health) = next(&mut subscription).await;
            assert_eq!((&*channel, &health["overall_status"]), (HEALTH, &Value::from(status)));
            assert_eq!(
                (&health["timestamp"], health["issues"].as_array().unwrap().len()),
                (&metrics["timestamp"], issues)
            );
            let (channel, told) = next(&mut subscription).await;
            assert_eq!((&*channel, &told["alert_count"]), (ALERTS, &Value::from(alerts)));
        }
        // n2 answered last 10 s ago, n1 5 s ago; what was measured lives for three intervals.
        for (after, node, kept) in [(4_900, "n2", true), (200, "n2", false), (4_800, "n1", true), (200, "n1", false)] {
            tokio::time::sleep(Duration::from_millis(after)).await;
            assert_eq!(bus.get(&node_key(node)).await.unwrap().is_some(), kept, "{node}");
        }
        assert!(bus.get(METRICS).await.unwrap().is_some());
        tokio::time::sleep(Duration::from_secs(5)).await;
        assert!(bus.get(METRICS).await.unwrap().is_none());
        assert_eq!(harness.metric(r#"carillon_collections_total{result="published"}"#), 3.0);
        assert_eq!(harness.metric(r#"carillon_plugin_up{plugin="monitoring"}"#), 1.0, "the source broke as it should");
    }

    /// While the bus is away rounds fail, are counted, and go on.
    #[tokio::test(start_paused = true)]
    async fn a_bus_that_is_away_costs_rounds_only() {
        let harness = Harness::with::<Fake>(&[("bus.url", "flaky://2000")]).await;
        tokio::time::sleep(Duration::from_secs(10)).await;
        assert_eq!(harness.metric(r#"carillon_collections_total{result="failed"}"#), 1.0);
        assert_eq!(harness.metric(r#"carillon_collections_total{result="published"}"#), 1.0);
    }

    /// A round that cannot be kept is told all the same, on all channels.
    #[tokio::test(start_paused = true)]
    async fn a_bus_without_its_store_still_tells() {
        let harness = Harness::with::<Fake>(&[("bus.url", "storeless://")]).await;
        let mut subscription = heard(&harness).await;
        for expected in [METRICS, HEALTH, ALERTS] {
            assert_eq!(*next(&mut subscription).await.0, *expected);
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
        assert_eq!(harness.metric(r#"carillon_collections_total{result="failed"}"#), 1.0);
    }
}

//! Every series the router counts, in one registry per application; handles are bound at boot, the hot path is atomics.

mod families;
mod series;

use std::sync::{Arc, Mutex, PoisonError};

use prometheus::core::Collector;
use prometheus::proto::MetricFamily;
use prometheus::{Gauge, IntCounter, TextEncoder};

pub use prometheus::{HistogramVec, IntCounterVec, IntGaugeVec};

pub use self::families::Described;
use self::families::Families;
pub use self::series::{Deliveries, Ledger};
pub(crate) use self::series::{Inbound, Outbound};
use crate::error::Result;
use crate::sink::{Mode, Reason, Transport};

/// Label of every event that nobody declared: no text a client sends becomes a label.
pub const OTHER: &str = "_other";
/// Event label of acks in `messages_sent_total`.
pub const ACK: &str = "_ack";

/// They go past the time a handler may take by default, so that those it was cut off at are told from slower ones.
const HANDLER_SECONDS: [f64; 17] =
    [0.000_01, 0.000_05, 0.000_1, 0.000_5, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 15.0, 30.0, 60.0];
/// Bytes that most expositions have.
const TEXT: usize = 64 << 10;
const FANOUT_SECONDS: [f64; 16] =
    [0.000_01, 0.000_05, 0.000_1, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0];

/// The application's metrics. One value per application, never a global.
pub struct Metrics {
    families: Families,
    refreshers: Mutex<Vec<Box<dyn Fn() + Send + Sync>>>,
    pub(crate) connected: IntGaugeVec,
    pub(crate) connections: IntCounterVec,
    pub(crate) disconnections: IntCounterVec,
    pub(crate) refused: IntCounterVec,
    pub(crate) abandoned: IntCounterVec,
    pub(crate) access_refused: IntCounterVec,
    pub(crate) rate_limited: IntCounterVec,
    received: IntCounterVec,
    received_bytes: IntCounterVec,
    sent: IntCounterVec,
    sent_bytes: IntCounterVec,
    publishes: IntCounterVec,
    handler_seconds: HistogramVec,
    outcomes: IntCounterVec,
    pub(crate) in_flight: IntGaugeVec,
    pub(crate) hub_publishes: IntGaugeVec,
    pub(crate) hub_bytes: IntGaugeVec,
    pub(crate) expected: IntCounter,
    pub(crate) deliveries: Arc<Deliveries>,
    fanout_seconds: HistogramVec,
    pub(crate) plugin_up: IntGaugeVec,
    pub(crate) plugin_restarts: IntCounterVec,
    pub(crate) bus_up: Gauge,
    pub(crate) bus_dropped: IntCounter,
}

impl Metrics {
    /// A fresh registry with the router's series in it.
    ///
    /// # Errors
    /// Never in practice: only when two series have one name.
    pub fn new() -> Result<Self> {
        let r = Families::default();
        let per_event = ["namespace", "event"];
        let metrics = Self {
            connected: r.gauges("connected_clients", "Clients connected now.", &["namespace", "transport"])?,
            connections: r.counters(
                "connections_total",
                "Clients that connected to a namespace, by the transport they came over.",
                &["namespace", "transport"],
            )?,
            disconnections: r.counters(
                "disconnections_total",
                "Clients that left a namespace.",
                &["namespace", "reason"],
            )?,
            refused: r.counters("connects_refused_total", "CONNECT packets a plugin refused.", &["namespace"])?,
            abandoned: r.counters(
                "connects_abandoned_total",
                "Clients gone before their CONNECT was answered; an event sent too early ends so.",
                &["namespace"],
            )?,
            access_refused: r.counters(
                "access_refused_total",
                "Clients and requests whose valid token or key does not open the namespace, by what it lacks: namespace, role.",
                &["namespace", "reason"],
            )?,
            rate_limited: r.counters(
                "rate_limited_total",
                "Events and CONNECTs that were refused because they were over a limit, by whose it is.",
                &["scope"],
            )?,
            received: r.counters("messages_received_total", "Events received from clients.", &per_event)?,
            received_bytes: r.counters(
                "messages_received_bytes_total",
                "Bytes of received events, attachments included.",
                &per_event,
            )?,
            sent: r.counters(
                "messages_sent_total",
                "Packets accepted by a client's transport; acks count as _ack.",
                &per_event,
            )?,
            sent_bytes: r.counters(
                "messages_sent_bytes_total",
                "Bytes of sent packets, attachments included.",
                &per_event,
            )?,
            publishes: r.counters("publishes_total", "Events published to a namespace or room.", &per_event)?,
            handler_seconds: r.histograms(
                "handler_seconds",
                "Time from the start of a handler to its answer.",
                &per_event,
                &HANDLER_SECONDS,
            )?,
            outcomes: r.counters(
                "handler_outcomes_total",
                "Received events by how they ended: ok, panic, or an error code.",
                &["namespace", "event", "outcome"],
            )?,
            in_flight: r.gauges("handlers_in_flight", "Handlers running now.", &["namespace"])?,
            hub_publishes: r.gauges(
                "hub_pending_publishes",
                "Publishes that wait to be sent to this node's clients.",
                &["namespace"],
            )?,
            hub_bytes: r.gauges("hub_pending_bytes", "Bytes of the publishes that wait to be sent.", &["namespace"])?,
            expected: r.register(IntCounter::new(
                "carillon_deliveries_expected_total",
                "Members addressed by publishes: the sum of all deliveries.",
            )?)?,
            deliveries: Arc::new(Deliveries::new(&r.counters(
                "deliveries_total",
                "What became of each published copy.",
                &["outcome"],
            )?)),
            fanout_seconds: r.histograms(
                "fanout_seconds",
                "Time from a publish to its last delivery, for each shard of the hub; without those to one client that were sent at once.",
                &["namespace"],
                &FANOUT_SECONDS,
            )?,
            plugin_up: r.gauges(
                "plugin_up",
                "1 while the plugin's background work runs or ended well.",
                &["plugin"],
            )?,
            plugin_restarts: r.counters(
                "plugin_restarts_total",
                "Restarts of a plugin's failed background work.",
                &["plugin"],
            )?,
            bus_up: r.register(Gauge::new("carillon_bus_up", "1 while the bus delivers.")?)?,
            bus_dropped: r.register(IntCounter::new(
                "carillon_bus_dropped_total",
                "Bus messages dropped because a subscriber was too slow.",
            )?)?,
            refreshers: Mutex::default(),
            families: r,
        };
        Ok(metrics)
    }

    /// Says which program this is: its own name and version, beside Carillon's version and revision.
    ///
    /// # Errors
    /// When it was said before.
    pub fn build_info(&self, program: &str, version: &str, revision: &str) -> Result<()> {
        let labels = ["program", "version", "carillon", "revision"];
        let build = self.families.gauges("build_info", "Always 1; what runs is in the labels.", &labels)?;
        build.with_label_values(&[program, version, env!("CARGO_PKG_VERSION"), revision]).set(1);
        Ok(())
    }

    /// Runs `refresh` before every scrape: for gauges that are cheaper to look up than to keep.
    pub fn before_scrape(&self, refresh: impl Fn() + Send + Sync + 'static) {
        self.refreshers.lock().unwrap_or_else(PoisonError::into_inner).push(Box::new(refresh));
    }

    /// The exposition text of `/metrics` (format 0.0.4).
    ///
    /// # Errors
    /// When a collector hands out malformed families.
    pub fn render(&self) -> Result<String> {
        let mut text = String::with_capacity(TEXT);
        TextEncoder::new().encode_utf8(&self.gather(), &mut text)?;
        Ok(text)
    }

    /// Every series as `/metrics` would show it now, for a plugin that tells how the router is. It costs what a scrape
    /// costs.
    #[must_use]
    pub fn gather(&self) -> Vec<MetricFamily> {
        for refresh in self.refreshers.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            refresh();
        }
        self.families.registry.gather()
    }

    /// Registers a counter family `carillon_<name>`.
    ///
    /// # Errors
    /// When the name is taken or malformed.
    pub fn counter(&self, name: &str, help: &str, labels: &[&str]) -> Result<IntCounterVec> {
        self.families.counters(name, help, labels)
    }

    /// Registers a gauge family `carillon_<name>`.
    ///
    /// # Errors
    /// When the name is taken or malformed.
    pub fn gauge(&self, name: &str, help: &str, labels: &[&str]) -> Result<IntGaugeVec> {
        self.families.gauges(name, help, labels)
    }

    /// Registers a histogram family `carillon_<name>` with these bucket bounds.
    ///
    /// # Errors
    /// When the name is taken or malformed.
    pub fn histogram(&self, name: &str, help: &str, labels: &[&str], buckets: &[f64]) -> Result<HistogramVec> {
        self.families.histograms(name, help, labels, buckets)
    }

    /// Registers any collector.
    ///
    /// # Errors
    /// When a name is taken.
    pub fn register<C: Collector + Clone + 'static>(&self, collector: C) -> Result<C> {
        self.families.register(collector)
    }

    /// The ledger of published copies, for sinks.
    #[must_use]
    pub fn deliveries(&self) -> Arc<Deliveries> {
        Arc::clone(&self.deliveries)
    }

    /// What became of every published copy so far.
    #[must_use]
    pub fn ledger(&self) -> Ledger {
        Ledger::new(&self.expected, &self.deliveries)
    }

    /// Every family registered so far, by name.
    #[must_use]
    pub fn described(&self) -> Vec<Described> {
        self.families.described()
    }

    pub(crate) fn inbound(&self, namespace: &str, event: &str) -> Inbound {
        Inbound::new(
            self.received.with_label_values(&[namespace, event]),
            self.received_bytes.with_label_values(&[namespace, event]),
            self.handler_seconds.with_label_values(&[namespace, event]),
            self.outcomes.clone(),
            (namespace, event),
        )
    }

    pub(crate) fn outbound(&self, namespace: &str, event: &str, mode: Mode) -> Outbound {
        Outbound {
            mode,
            sent: self.sent.with_label_values(&[namespace, event]),
            bytes: self.sent_bytes.with_label_values(&[namespace, event]),
            publishes: self.publishes.with_label_values(&[namespace, event]),
            fanout: self.fanout_seconds.with_label_values(&[namespace]),
        }
    }

    /// Creates the series of one namespace that do not depend on events, so that they show 0 from the start.
    pub(crate) fn preset(&self, namespace: &str) {
        for transport in Transport::ALL {
            self.connected.with_label_values(&[namespace, transport.as_str()]).set(0);
            self.connections.with_label_values(&[namespace, transport.as_str()]);
        }
        for reason in Reason::ALL {
            self.disconnections.with_label_values(&[namespace, reason.as_str()]);
        }
        self.refused.with_label_values(&[namespace]);
        self.abandoned.with_label_values(&[namespace]);
        self.in_flight.with_label_values(&[namespace]).set(0);
        self.hub_publishes.with_label_values(&[namespace]).set(0);
        self.hub_bytes.with_label_values(&[namespace]).set(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ledger_is_balanced_once_every_copy_is_accounted_for() {
        let metrics = Metrics::new().unwrap();
        assert!(metrics.ledger().is_balanced());
        metrics.expected.inc_by(15);
        let deliveries = metrics.deliveries();
        deliveries.delivered(1);
        deliveries.replaced(2);
        deliveries.volatile(3);
        deliveries.slow(4);
        assert!(!metrics.ledger().is_balanced());
        deliveries.closed(5);
        let ledger = metrics.ledger();
        assert!(ledger.is_balanced());
        assert_eq!(ledger.to_string(), "expected 15: delivered 1, replaced 2, volatile 3, slow 4, closed 5");
    }

    /// A handler that was cut off by its time, and a publish that took half a second, are told from worse.
    #[test]
    fn histograms_have_steps_where_it_matters() {
        let limit = carillon_config::RouterSettings::default().handler_timeout_ms as f64 / 1000.0;
        assert!(HANDLER_SECONDS.iter().filter(|step| **step > limit).count() >= 2, "past the time of a handler");
        assert!(FANOUT_SECONDS.iter().filter(|step| **step > 0.1 && **step < 1.0).count() >= 3);
        let metrics = Metrics::new().unwrap();
        metrics.outbound("/n", "e", Mode::All).fanout.observe(0.3);
        let text = metrics.render().unwrap();
        assert!(text.contains(r#"carillon_fanout_seconds_bucket{namespace="/n",le="0.35"} 1"#), "{text}");
        assert!(text.contains(r#"carillon_fanout_seconds_bucket{namespace="/n",le="0.2"} 0"#), "{text}");
    }

    #[test]
    fn series_show_zero_from_the_start_and_names_are_unique() {
        let metrics = Metrics::new().unwrap();
        metrics.preset("/n");
        metrics.inbound("/n", "e").ended("timeout");
        let text = metrics.render().unwrap();
        assert!(text.contains(r#"carillon_connected_clients{namespace="/n",transport="polling"} 0"#), "{text}");
        assert!(
            text.contains(r#"carillon_handler_outcomes_total{event="e",namespace="/n",outcome="timeout"} 1"#),
            "{text}"
        );
        assert!(metrics.counter("publishes_total", "twice", &[]).is_err());
    }
}

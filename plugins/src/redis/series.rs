//! What the Redis bus counts, beside what every bus counts.

use carillon_core::Result;
use carillon_core::metrics::Metrics;
use prometheus::{Counter, Histogram, HistogramOpts, IntCounter};

const PROBE_SECONDS: [f64; 11] = [0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 2.5];

/// The bus's own series.
#[derive(Clone)]
pub(super) struct Series {
    pub(super) reconnects: IntCounter,
    pub(super) unsubscribed_seconds: Counter,
    pub(super) probe_seconds: Histogram,
    pub(super) published_locally: IntCounter,
    /// Lost because the answer of Redis never came.
    pub(super) lost_unknown: IntCounter,
    /// Lost because the queue of publishes was full.
    pub(super) lost_full: IntCounter,
}

impl Series {
    /// Registers them.
    pub(super) fn new(metrics: &Metrics) -> Result<Self> {
        let lost = metrics.counter(
            "bus_publishes_lost_total",
            "Publishes given up: queue_full, or unknown (Redis failed before it answered; other subscribers may have \
             received them).",
            &["reason"],
        )?;
        Ok(Self {
            reconnects: metrics.register(IntCounter::new(
                "carillon_bus_reconnects_total",
                "Times the bus, or a shard of it, delivered again after it had been away.",
            )?)?,
            unsubscribed_seconds: metrics.register(Counter::new(
                "carillon_bus_unsubscribed_seconds_total",
                "Seconds in which no message could arrive from the bus, or from a shard of it, which count one by one.",
            )?)?,
            probe_seconds: metrics.register(Histogram::with_opts(
                HistogramOpts::new(
                    "carillon_bus_probe_seconds",
                    "Time from a publish to its return through the subscription, measured every few seconds.",
                )
                .buckets(PROBE_SECONDS.to_vec()),
            )?)?,
            published_locally: metrics.register(IntCounter::new(
                "carillon_bus_published_locally_total",
                "Publishes that reached this process's subscribers only, because the bus was away or refused them.",
            )?)?,
            lost_unknown: lost.with_label_values(&["unknown"]),
            lost_full: lost.with_label_values(&["queue_full"]),
        })
    }
}

//! What the router's own series say at one moment, and what has happened between two.

use std::collections::BTreeMap;

use carillon_core::prelude::*;
use prometheus::proto::{Metric, MetricFamily};
use tokio::time::Instant;

use super::state::{EventCount, NamespaceClients, PluginState, Queues, Slow};

/// Every series, as `/metrics` would show it.
pub(super) struct Counts {
    at: Instant,
    families: Vec<MetricFamily>,
}

/// What happened between two moments, a second.
pub(super) struct Rates {
    pub(super) events_in: f64,
    pub(super) deliveries: f64,
    pub(super) lost: f64,
    /// The mean of what was fanned out meanwhile.
    pub(super) fanout_ms: Option<f64>,
}

impl Counts {
    pub(super) fn read(host: &Host) -> Self {
        Self { at: Instant::now(), families: host.metrics().gather() }
    }

    pub(super) fn since(&self, before: &Self) -> Rates {
        let seconds = self.at.duration_since(before.at).as_secs_f64();
        let rate = |of: fn(&Self) -> f64| {
            if seconds > 0.0 { tenths((of(self) - of(before)) / seconds) } else { 0.0 }
        };
        let ((sum, count), (sum_before, count_before)) = (self.fanout(), before.fanout());
        Rates {
            events_in: rate(|counts| counts.sum("carillon_messages_received_total", &[])),
            deliveries: rate(|counts| counts.delivered("delivered")),
            lost: rate(|counts| counts.delivered("slow")),
            fanout_ms: (count > count_before).then(|| {
                // Microseconds are what the first step of the histogram can tell.
                let milliseconds = (sum - sum_before) * 1_000.0 / (count - count_before) as f64;
                (milliseconds * 1_000.0).round() / 1_000.0
            }),
        }
    }

    pub(super) fn clients(&self) -> Vec<NamespaceClients> {
        let mut clients: Vec<NamespaceClients> = Vec::new();
        // The registry sorts them, so the transports of a namespace stand together.
        for metric in self.metrics("carillon_connected_clients") {
            let namespace = label(metric, "namespace");
            if clients.last().is_none_or(|last| last.namespace != namespace) {
                clients.push(NamespaceClients { namespace: namespace.to_owned(), websocket: 0, polling: 0 });
            }
            let Some(of) = clients.last_mut() else { continue };
            let count = metric.get_gauge().get_value() as u64;
            if label(metric, "transport") == Transport::Polling.as_str() {
                of.polling = count;
            } else {
                of.websocket = count;
            }
        }
        clients
    }

    pub(super) fn queues(&self) -> Queues {
        Queues {
            publishes: self.sum("carillon_hub_pending_publishes", &[]) as u64,
            bytes: self.sum("carillon_hub_pending_bytes", &[]) as u64,
            handlers: self.sum("carillon_handlers_in_flight", &[]) as u64,
        }
    }

    pub(super) fn slow(&self) -> Slow {
        Slow {
            closed: self.sum("carillon_kills_total", &[("reason", Reason::Slow.as_str())]) as u64,
            lost: self.delivered("slow") as u64,
            read_pauses: self.sum("carillon_read_pauses_total", &[]) as u64,
        }
    }

    pub(super) fn plugins(&self) -> Vec<PluginState> {
        self.metrics("carillon_plugin_up")
            .map(|metric| {
                let name = label(metric, "plugin");
                let restarts = self.sum("carillon_plugin_restarts_total", &[("plugin", name)]) as u64;
                PluginState { name: name.to_owned(), up: metric.get_gauge().get_value() > 0.0, restarts }
            })
            .collect()
    }

    /// How often each event that was seen came and went.
    pub(super) fn events(&self) -> Vec<EventCount> {
        let mut counts: BTreeMap<(&str, &str), [u64; 3]> = BTreeMap::new();
        let families =
            ["carillon_messages_received_total", "carillon_messages_sent_total", "carillon_handler_outcomes_total"];
        for (column, family) in families.into_iter().enumerate() {
            for metric in self.metrics(family) {
                let count = metric.get_counter().get_value() as u64;
                if count == 0 || label(metric, "outcome") == "ok" {
                    continue;
                }
                let event = counts.entry((label(metric, "namespace"), label(metric, "event"))).or_default();
                event[column] += count;
            }
        }
        let count = |((namespace, event), [received, sent, failed]): ((&str, &str), [u64; 3])| EventCount {
            namespace: namespace.to_owned(),
            event: event.to_owned(),
            received,
            sent,
            failed,
        };
        counts.into_iter().map(count).collect()
    }

    fn delivered(&self, outcome: &str) -> f64 {
        self.sum("carillon_deliveries_total", &[("outcome", outcome)])
    }

    /// The seconds of all fan-outs, and how many there were.
    fn fanout(&self) -> (f64, u64) {
        self.metrics("carillon_fanout_seconds").fold((0.0, 0), |(sum, count), metric| {
            let histogram = metric.get_histogram();
            (sum + histogram.get_sample_sum(), count + histogram.get_sample_count())
        })
    }

    /// The sum of the counters or gauges that have these labels; 0 of a family that is not there.
    fn sum(&self, family: &'static str, labels: &[(&str, &str)]) -> f64 {
        let matching = self.metrics(family).filter(|metric| labels.iter().all(|(name, is)| label(metric, name) == *is));
        // One of the two is there, the other is 0.
        matching.map(|metric| metric.get_counter().get_value() + metric.get_gauge().get_value()).sum()
    }

    fn metrics<'a>(&'a self, family: &'static str) -> impl Iterator<Item = &'a Metric> {
        self.families.iter().filter(move |one| one.name() == family).flat_map(MetricFamily::get_metric)
    }
}

/// The value of a label, empty when it is not there.
fn label<'a>(metric: &'a Metric, name: &str) -> &'a str {
    metric.get_label().iter().find(|label| label.name() == name).map_or("", |label| label.value())
}

fn tenths(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

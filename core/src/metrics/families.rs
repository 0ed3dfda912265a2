//! Metric families as they are registered, and what is remembered of them for the generated reference.

use std::sync::{Mutex, PoisonError};

use prometheus::core::Collector;
use prometheus::proto::MetricType;
use prometheus::{HistogramOpts, HistogramVec, IntCounterVec, IntGaugeVec, Opts, Registry};

use crate::error::Result;

/// One metric family, for the generated reference.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Described {
    /// The family's name, with prefix.
    pub name: String,
    /// `counter`, `gauge` or `histogram`.
    pub kind: &'static str,
    /// Its labels.
    pub labels: Vec<String>,
    /// What it tells.
    pub help: String,
}

fn full(name: &str) -> String {
    format!("carillon_{name}")
}

/// The registry, and what was registered: the registry itself forgets families that have no series yet.
#[derive(Default)]
pub(super) struct Families {
    pub(super) registry: Registry,
    described: Mutex<Vec<Described>>,
}

impl Families {
    /// Every family registered so far, by name.
    pub(super) fn described(&self) -> Vec<Described> {
        let mut all = self.described.lock().unwrap_or_else(PoisonError::into_inner).clone();
        all.sort();
        all
    }

    pub(super) fn register<C: Collector + Clone + 'static>(&self, collector: C) -> Result<C> {
        self.registry.register(Box::new(collector.clone()))?;
        let families = collector.collect();
        let kind_of =
            |name: &str| match families.iter().find(|family| family.name() == name).map(|f| f.get_field_type()) {
                Some(MetricType::COUNTER) => "counter",
                Some(MetricType::HISTOGRAM) => "histogram",
                _ => "gauge",
            };
        let described = collector.desc().into_iter().map(|desc| Described {
            name: desc.fq_name.clone(),
            kind: kind_of(&desc.fq_name),
            labels: desc.variable_labels.clone(),
            help: desc.help.clone(),
        });
        self.described.lock().unwrap_or_else(PoisonError::into_inner).extend(described);
        Ok(collector)
    }

    pub(super) fn counters(&self, name: &str, help: &str, labels: &[&str]) -> Result<IntCounterVec> {
        self.register(IntCounterVec::new(Opts::new(full(name), help), labels)?)
    }

    pub(super) fn gauges(&self, name: &str, help: &str, labels: &[&str]) -> Result<IntGaugeVec> {
        self.register(IntGaugeVec::new(Opts::new(full(name), help), labels)?)
    }

    pub(super) fn histograms(&self, name: &str, help: &str, labels: &[&str], buckets: &[f64]) -> Result<HistogramVec> {
        let options = HistogramOpts::new(full(name), help).buckets(buckets.to_vec());
        self.register(HistogramVec::new(options, labels)?)
    }
}

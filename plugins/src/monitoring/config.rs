//! `[plugins.monitoring]`: what is measured, and how often.

use carillon_core::prelude::*;

use crate::cluster::Locale;

/// What is measured, and how often.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct MonitoringConfig {
    /// Whether this Carillon measures the nodes itself.
    pub(super) collect: Collect,
    /// How often, in milliseconds.
    #[schemars(range(min = 500, max = 3_600_000))]
    pub(super) interval_ms: u64,
    /// How long what was measured on one node counts as current, in milliseconds. Three intervals when not set.
    #[schemars(range(min = 500, max = 86_400_000), example = 15_000)]
    pub(super) node_ttl_ms: Option<u64>,
    /// How long what was measured on all nodes together counts as current, in milliseconds. Three intervals when not
    /// set.
    #[schemars(range(min = 500, max = 86_400_000), example = 15_000)]
    pub(super) cluster_ttl_ms: Option<u64>,
    /// The language of texts for people.
    pub(super) locale: Locale,
}

/// Whether this Carillon measures the nodes itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Collect {
    /// Measures this host while the bus lives inside this process, where nobody else could.
    Auto,
    /// Measures this host.
    On,
    /// Shows what others measure.
    Off,
}

impl Default for MonitoringConfig {
    fn default() -> Self {
        Self { collect: Collect::Auto, interval_ms: 5_000, node_ttl_ms: None, cluster_ttl_ms: None, locale: Locale::Fr }
    }
}

impl MonitoringConfig {
    /// How long the metrics of a node live.
    pub(super) fn node_ttl(&self) -> Duration {
        Duration::from_millis(self.node_ttl_ms.unwrap_or(3 * self.interval_ms))
    }

    /// How long those of all nodes live.
    pub(super) fn cluster_ttl(&self) -> Duration {
        Duration::from_millis(self.cluster_ttl_ms.unwrap_or(3 * self.interval_ms))
    }

    /// What was measured lives until it is measured again.
    pub(super) fn check(&self, problems: &mut Problems) {
        for (key, ttl) in [("node_ttl_ms", self.node_ttl_ms), ("cluster_ttl_ms", self.cluster_ttl_ms)] {
            if let Some(ttl) = ttl.filter(|ttl| *ttl <= self.interval_ms) {
                let message = format!(
                    "after {ttl} ms nothing would be known until the next round, every {} ms",
                    self.interval_ms
                );
                problems.add(key, message).hint("three times `interval_ms` suits most");
            }
        }
    }
}

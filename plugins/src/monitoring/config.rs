//! `[plugins.monitoring]`: what is measured, and how often.

use std::path::PathBuf;

use carillon_core::prelude::*;

use super::targets::Target;
use crate::cluster::Locale;

/// How many nodes one Carillon asks.
pub(super) const MAX_NODES: usize = 1_000;

/// What is measured, and how often.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct MonitoringConfig {
    /// Whether this Carillon measures the nodes itself.
    pub(super) collect: Collect,
    /// The nodes to measure, each by the name of a host that runs Prometheus's node_exporter: `node6.lan`, or with a
    /// port of its own `node6.lan:9101`. When there are none here and in `nodes_file`, this host is measured, without an
    /// exporter.
    #[schemars(length(max = 1000), example = ["node6.lan", "node7.lan:9101"])]
    pub(super) nodes: Vec<String>,
    /// A YAML file with more nodes, under its key `workers`. Read at the start, and again at every SIGHUP.
    #[schemars(example = "/etc/carillon/nodes.yaml")]
    pub(super) nodes_file: Option<PathBuf>,
    /// The port of node_exporter where a node names none.
    #[schemars(range(min = 1))]
    pub(super) node_exporter_port: u16,
    /// How long a node may take to answer, in milliseconds.
    #[schemars(range(min = 10, max = 60_000))]
    pub(super) node_exporter_timeout_ms: u64,
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
    /// Leaves it to others where there are any. While the bus lives inside this process nobody else could, so this
    /// Carillon measures. On a shared bus it measures configured nodes only, and only as long as no other program was
    /// heard to publish metrics for three intervals. Of several Carillons one measures.
    Auto,
    /// Measures, whoever else may. Of several Carillons on one bus one measures.
    On,
    /// Shows what others measure.
    Off,
}

impl Default for MonitoringConfig {
    fn default() -> Self {
        Self {
            collect: Collect::Auto,
            nodes: Vec::new(),
            nodes_file: None,
            node_exporter_port: 9_100,
            node_exporter_timeout_ms: 5_000,
            interval_ms: 5_000,
            node_ttl_ms: None,
            cluster_ttl_ms: None,
            locale: Locale::Fr,
        }
    }
}

impl MonitoringConfig {
    /// How often.
    pub(super) fn interval(&self) -> Duration {
        Duration::from_millis(self.interval_ms)
    }

    /// Whether there are nodes to ask, rather than this host.
    pub(super) fn names_nodes(&self) -> bool {
        !self.nodes.is_empty() || self.nodes_file.is_some()
    }

    /// How long the metrics of a node live.
    pub(super) fn node_ttl(&self) -> Duration {
        Duration::from_millis(self.node_ttl_ms.unwrap_or(3 * self.interval_ms))
    }

    /// How long those of all nodes live.
    pub(super) fn cluster_ttl(&self) -> Duration {
        Duration::from_millis(self.cluster_ttl_ms.unwrap_or(3 * self.interval_ms))
    }

    /// Nodes have addresses and are named once, and what was measured lives until it is measured again.
    pub(super) fn check(&self, problems: &mut Problems) {
        for (at, node) in self.nodes.iter().enumerate() {
            if let Err(mistake) = Target::parse(node, self.node_exporter_port) {
                problems.add(format!("nodes[{at}]"), mistake).hint("for example `node6.lan` or `node6.lan:9101`");
            } else if self.nodes[..at].contains(node) {
                problems.add(format!("nodes[{at}]"), format!("`{node}` is in the list twice"));
            }
        }
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

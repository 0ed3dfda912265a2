//! What is measured: the metrics of one node, and of all nodes together.

use std::collections::BTreeMap;

use carillon_core::prelude::*;
use serde::Serializer;

use super::views::Node;

/// What was measured on one node. Percentages go from 0 to 100.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub(crate) struct Metrics {
    /// Memory, in bytes.
    pub(crate) memory_total: u64,
    /// Memory that new programs could have, in bytes.
    pub(crate) memory_available: u64,
    /// The size of the file system at `/`, in bytes.
    pub(crate) disk_total: u64,
    /// What is free there, in bytes.
    pub(crate) disk_available: u64,
    /// In degrees Celsius; null where nothing measures it.
    pub(crate) temperature: Option<f64>,
    /// CPU time in use since the last measurement, over all cores, in percent.
    pub(crate) cpu_usage: f64,
    /// Memory in use, in percent.
    pub(crate) memory_usage: f64,
    /// Disk space in use, in percent.
    pub(crate) disk_usage: f64,
}

/// The part of `total` that is not `available`, in percent.
pub(crate) fn used(total: u64, available: u64) -> f64 {
    if total == 0 { 0.0 } else { percent(total.saturating_sub(available) as f64 / total as f64 * 100.0) }
}

/// A percentage as it is published: two decimals are more than anybody measures.
pub(crate) fn percent(value: f64) -> f64 {
    if value.is_finite() { (value.clamp(0.0, 100.0) * 100.0).round() / 100.0 } else { 0.0 }
}

/// The mean of what there is, 0 of nothing.
pub(crate) fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (count, sum) = values.fold((0_u32, 0.0), |(count, sum), value| (count + 1, sum + value));
    if count == 0 { 0.0 } else { sum / f64::from(count) }
}

/// `cluster_metrics`: what was measured on all nodes in one round.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(crate) struct Aggregate {
    /// When, RFC 3339 in UTC.
    pub(crate) timestamp: String,
    /// The nodes that answered, by name; every node in a list where the HTTP route for nodes published them.
    #[serde(serialize_with = "as_object")]
    #[schemars(with = "Nodes")]
    pub(crate) nodes: Vec<(String, Metrics)>,
    /// All of them together.
    pub(crate) cluster_stats: ClusterStats,
}

/// The two shapes in which nodes are published.
#[derive(JsonSchema)]
#[serde(untagged)]
#[schemars(inline)]
#[expect(dead_code, reason = "it is there for its schema")]
enum Nodes {
    ByName(BTreeMap<String, Metrics>),
    List(Vec<Node>),
}

/// All nodes together.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(crate) struct ClusterStats {
    /// How many nodes there are.
    pub(crate) total_nodes: usize,
    /// How many of them answered.
    pub(crate) online_nodes: usize,
    /// The mean CPU use of those, in percent.
    pub(crate) avg_cpu: f64,
    /// Their mean memory use, in percent.
    pub(crate) avg_memory: f64,
    /// The mean temperature of those that measure it, in degrees Celsius; null when none does.
    pub(crate) avg_temperature: Option<f64>,
}

impl ClusterStats {
    /// `total` nodes, of which those with metrics answered: CPU and memory use, and the temperature.
    pub(crate) fn new(total: usize, online: &[(f64, f64, Option<f64>)]) -> Self {
        let temperatures: Vec<_> = online.iter().filter_map(|node| node.2).collect();
        Self {
            total_nodes: total,
            online_nodes: online.len(),
            avg_cpu: percent(mean(online.iter().map(|node| node.0))),
            avg_memory: percent(mean(online.iter().map(|node| node.1))),
            // Not a percentage, but the same two decimals will do; below 0 °C is no running machine.
            avg_temperature: (!temperatures.is_empty())
                .then(|| (mean(temperatures.into_iter()) * 100.0).round() / 100.0),
        }
    }
}

impl Aggregate {
    /// Sums up one round over `total` nodes, of which those in `nodes` answered.
    pub(crate) fn new(timestamp: String, total: usize, nodes: Vec<(String, Metrics)>) -> Self {
        let each = nodes.iter().map(|(_, one)| (one.cpu_usage, one.memory_usage, one.temperature));
        let cluster_stats = ClusterStats::new(total, &each.collect::<Vec<_>>());
        Self { timestamp, nodes, cluster_stats }
    }
}

/// Writes the nodes as an object, in their order.
fn as_object<S: Serializer>(nodes: &[(String, Metrics)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(nodes.iter().map(|(name, metrics)| (name, metrics)))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use serde_json::json;

    /// A node with these figures.
    pub(crate) fn node(name: &str, cpu: f64, memory: f64, temperature: Option<f64>) -> (String, Metrics) {
        let metrics = Metrics {
            memory_total: 4_000_000_000,
            memory_available: 3_000_000_000,
            disk_total: 30_000_000_000,
            disk_available: 20_000_000_000,
            temperature,
            cpu_usage: cpu,
            memory_usage: memory,
            disk_usage: 33.33,
        };
        (name.to_owned(), metrics)
    }

    /// The published shape, to the field; a node without thermometer counts for everything else.
    #[test]
    fn the_aggregate_has_its_shape() {
        let nodes = vec![node("node10", 12.5, 25.0, Some(51.2)), node("node6", 25.0, 50.0, None)];
        let json = serde_json::to_value(Aggregate::new("t".to_owned(), 3, nodes.clone())).unwrap();
        let shape = json!({
            "timestamp": "t",
            "nodes": {
                "node6": {
                    "memory_total": 4_000_000_000_u64, "memory_available": 3_000_000_000_u64,
                    "disk_total": 30_000_000_000_u64, "disk_available": 20_000_000_000_u64,
                    "temperature": null, "cpu_usage": 25.0, "memory_usage": 50.0, "disk_usage": 33.33,
                },
                "node10": {
                    "memory_total": 4_000_000_000_u64, "memory_available": 3_000_000_000_u64,
                    "disk_total": 30_000_000_000_u64, "disk_available": 20_000_000_000_u64,
                    "temperature": 51.2, "cpu_usage": 12.5, "memory_usage": 25.0, "disk_usage": 33.33,
                },
            },
            "cluster_stats": {
                "total_nodes": 3, "online_nodes": 2, "avg_cpu": 18.75, "avg_memory": 37.5, "avg_temperature": 51.2,
            },
        });
        assert_eq!(json, shape);
        let text = serde_json::to_string(&Aggregate::new("t".to_owned(), 3, nodes)).unwrap();
        assert!(text.find("node10").unwrap() < text.find("node6").unwrap(), "the order of the nodes is kept: {text}");
    }

    /// Nothing divides by zero.
    #[test]
    fn nothing_measured_is_zero() {
        let stats = Aggregate::new(String::new(), 0, Vec::new()).cluster_stats;
        assert_eq!(
            (stats.avg_cpu, stats.avg_memory, stats.avg_temperature),
            (0.0, 0.0, None),
            "no thermometer, no number"
        );
        assert_eq!((used(0, 0), used(300, 100), used(1, 2), percent(f64::NAN)), (0.0, 66.67, 0.0, 0.0));
    }
}

//! How the cluster is shown: the list of its nodes and the overview, in the shape clients of old expect.

use carillon_core::prelude::*;

use super::Status;
use super::metrics::{ClusterStats, mean};
use super::state::{Reading, State};

/// One node, as lists show it.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(crate) struct Node {
    /// Its name.
    pub(crate) node: String,
    /// Whether it answers.
    pub(crate) status: NodeStatus,
    /// When it was measured last; null when it does not answer.
    pub(crate) last_update: Option<String>,
    /// True when it answers.
    pub(crate) is_healthy: bool,
    /// What it is there for; always the same.
    pub(crate) capabilities: [&'static str; 2],
    /// Always the same.
    pub(crate) performance_score: f64,
    /// Always 0.
    pub(crate) active_jobs: u32,
    /// Always 0.
    pub(crate) total_jobs: u32,
    /// Always 0.
    pub(crate) success_rate: u32,
    /// CPU time in use, in percent; 0 when it does not answer.
    pub(crate) cpu_usage: f64,
    /// Memory in use, in percent; 0 when it does not answer.
    pub(crate) memory_usage: f64,
    /// Disk space in use, in percent; 0 when it does not answer.
    pub(crate) disk_usage: f64,
    /// In degrees Celsius; null where nothing measures it, 0 when the node does not answer.
    pub(crate) temperature: Option<f64>,
}

/// Whether a node answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum NodeStatus {
    /// Its last measurement is current.
    Ready,
    /// It did not answer, or was never asked.
    Unknown,
}

impl Node {
    /// Every node of `state`, in its order.
    pub(crate) fn list(state: &State, now: &str) -> Vec<Self> {
        // Where only the node's own key is there, "now" is as close as its time to live says.
        let measured = state.timestamp().unwrap_or(now);
        state.nodes.iter().map(|(name, reading)| Self::new(name, reading.as_ref(), measured)).collect()
    }

    fn new(name: &str, reading: Option<&Reading>, measured: &str) -> Self {
        let value = |pick: fn(&Reading) -> Option<f64>| reading.and_then(pick).unwrap_or(0.0);
        Self {
            node: name.to_owned(),
            status: if reading.is_some() { NodeStatus::Ready } else { NodeStatus::Unknown },
            last_update: reading.map(|_| measured.to_owned()),
            is_healthy: reading.is_some(),
            capabilities: ["cpu", "scraping"],
            performance_score: 0.6148,
            active_jobs: 0,
            total_jobs: 0,
            success_rate: 0,
            cpu_usage: value(|reading| reading.cpu_usage),
            memory_usage: value(|reading| reading.memory_usage),
            disk_usage: value(|reading| reading.disk_usage),
            temperature: reading.map_or(Some(0.0), |reading| reading.temperature),
        }
    }
}

/// Every node with all of them together, as the HTTP route for nodes publishes them.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(crate) struct NodesUpdate {
    /// Every node.
    pub(crate) nodes: Vec<Node>,
    /// All of them together.
    pub(crate) cluster_stats: ClusterStats,
    /// When this was put together, RFC 3339 in UTC.
    pub(crate) timestamp: String,
}

impl NodesUpdate {
    /// The nodes of `state`.
    pub(crate) fn new(state: &State, now: String) -> Self {
        let values =
            |node: &Reading| (node.cpu_usage.unwrap_or(0.0), node.memory_usage.unwrap_or(0.0), node.temperature);
        let online: Vec<_> = state.ready().map(values).collect();
        let cluster_stats = ClusterStats::new(state.total(), &online);
        Self { nodes: Node::list(state, &now), cluster_stats, timestamp: now }
    }
}

/// The cluster at a glance.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(crate) struct Overview {
    /// In a word; `unknown` before anything was measured.
    pub(crate) status: Status,
    /// In numbers.
    pub(crate) cluster_stats: OverviewStats,
    /// Always empty.
    pub(crate) worker_stats: Empty,
    /// Always empty.
    pub(crate) task_stats: Empty,
    /// Always empty.
    pub(crate) dispatch_stats: Empty,
    /// Always empty.
    pub(crate) health_status: Empty,
    /// The parts of the original system; always online.
    pub(crate) services_status: Services,
    /// When the nodes were measured last, else now.
    pub(crate) timestamp: String,
}

/// An object without fields, where the original system has one.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(crate) struct Empty {}

/// The cluster in numbers.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(crate) struct OverviewStats {
    /// All nodes.
    pub(crate) total_nodes: usize,
    /// Those that answer.
    pub(crate) ready_nodes: usize,
    /// Those that do not.
    pub(crate) down_nodes: usize,
    /// The mean CPU use of those that answer, in percent, with one decimal.
    pub(crate) cpu_usage_avg: f64,
    /// Their mean memory use, in percent, with one decimal.
    pub(crate) memory_usage_avg: f64,
    /// Their mean use of disk space, in percent, with one decimal.
    pub(crate) disk_usage_avg: f64,
    /// When this was put together, RFC 3339 in UTC.
    pub(crate) last_check: String,
}

/// The parts of the original system.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(crate) struct Services {
    /// Always online.
    cluster_controller: &'static str,
    /// Always online.
    monitoring: &'static str,
    /// Always online.
    scheduler: &'static str,
    /// Always online.
    scraper: &'static str,
}

impl Overview {
    /// The overview of `state`.
    pub(crate) fn new(state: &State, now: &str) -> Self {
        let (total, online) = (state.total(), state.online());
        // With no nodes at all there is nothing to wait for.
        let unknown = state.is_unknown() && total > 0;
        let tenths = |value: f64| (value * 10.0).round() / 10.0;
        let average =
            |pick: fn(&Reading) -> Option<f64>| tenths(mean(state.ready().map(|node| pick(node).unwrap_or(0.0))));
        Self {
            status: if unknown { Status::Unknown } else { Status::of_overview(online, total) },
            cluster_stats: OverviewStats {
                total_nodes: total,
                ready_nodes: online,
                down_nodes: total - online,
                cpu_usage_avg: average(|node| node.cpu_usage),
                memory_usage_avg: average(|node| node.memory_usage),
                disk_usage_avg: average(|node| node.disk_usage),
                last_check: now.to_owned(),
            },
            worker_stats: Empty {},
            task_stats: Empty {},
            dispatch_stats: Empty {},
            health_status: Empty {},
            services_status: Services {
                cluster_controller: "online",
                monitoring: "online",
                scheduler: "online",
                scraper: "online",
            },
            timestamp: state.timestamp().unwrap_or(now).to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::state::tests::{AGGREGATE, NODE, bus};
    use super::*;
    use serde_json::{Value, json};

    async fn state(keys: &[(&str, &'static str)]) -> State {
        State::read(&bus(keys).await, &["node6.lan".to_owned(), "node7.lan".to_owned()]).await.unwrap()
    }

    fn node(name: &str, status: &str, last_update: Value, values: [Value; 4]) -> Value {
        let [cpu, memory, disk, temperature] = values;
        json!({
            "node": name, "status": status, "last_update": last_update, "is_healthy": status == "ready",
            "capabilities": ["cpu", "scraping"], "performance_score": 0.6148,
            "active_jobs": 0, "total_jobs": 0, "success_rate": 0,
            "cpu_usage": cpu, "memory_usage": memory, "disk_usage": disk, "temperature": temperature,
        })
    }

    fn overview(status: &str, timestamp: &str, stats: [Value; 6]) -> Value {
        let [total, ready, down, cpu, memory, disk] = stats;
        json!({
            "status": status,
            "cluster_stats": {
                "total_nodes": total, "ready_nodes": ready, "down_nodes": down,
                "cpu_usage_avg": cpu, "memory_usage_avg": memory, "disk_usage_avg": disk, "last_check": "now",
            },
            "worker_stats": {}, "task_stats": {}, "dispatch_stats": {}, "health_status": {},
            "services_status": {
                "cluster_controller": "online", "monitoring": "online", "scheduler": "online", "scraper": "online",
            },
            "timestamp": timestamp,
        })
    }

    fn zeros() -> [Value; 4] {
        [json!(0.0), json!(0.0), json!(0.0), json!(0.0)]
    }

    /// What another publisher left on the bus is shown as the original system showed it.
    #[tokio::test]
    async fn shapes_of_a_measured_cluster() {
        let state = state(&[("cluster:metrics", AGGREGATE), ("metrics:node6.lan", NODE)]).await;
        let at = "2026-11-22T12:00:00.000000";
        let values = [json!(12.5), json!(25.0), json!(33.3), json!(51.2)];
        let nodes = [node("node6.lan", "ready", json!(at), values), node("node7.lan", "unknown", json!(null), zeros())];
        assert_eq!(serde_json::to_value(Node::list(&state, "now")).unwrap(), json!(nodes));
        let stats = [json!(8), json!(1), json!(7), json!(12.5), json!(25.0), json!(33.3)];
        assert_eq!(serde_json::to_value(Overview::new(&state, "now")).unwrap(), overview("critical", at, stats));
    }

    /// Before the first measurement nothing is made up, and no nodes at all are nothing to worry about.
    #[tokio::test]
    async fn shapes_before_the_first_measurement() {
        let state = state(&[]).await;
        let nodes = ["node6.lan", "node7.lan"].map(|name| node(name, "unknown", json!(null), zeros()));
        assert_eq!(serde_json::to_value(Node::list(&state, "now")).unwrap(), json!(nodes));
        let stats = [json!(2), json!(0), json!(2), json!(0.0), json!(0.0), json!(0.0)];
        assert_eq!(serde_json::to_value(Overview::new(&state, "now")).unwrap(), overview("unknown", "now", stats));
        let none = serde_json::to_value(Overview::new(&State::default(), "now")).unwrap();
        assert_eq!(none["status"], "healthy");
    }

    /// A node without thermometer is as ready as any, and averages have one decimal.
    #[tokio::test]
    async fn a_null_temperature_hurts_nothing() {
        let keys = [
            ("metrics:node6.lan", r#"{"cpu_usage":10.04,"memory_usage":1,"disk_usage":2,"temperature":null}"#),
            ("metrics:node7.lan", r#"{"cpu_usage":10.1,"memory_usage":2,"disk_usage":4.5,"temperature":50}"#),
        ];
        let state = state(&keys).await;
        let [first, _] = &Node::list(&state, "now")[..] else { panic!("two nodes") };
        assert_eq!((first.status, first.temperature), (NodeStatus::Ready, None));
        assert_eq!(first.last_update.as_deref(), Some("now"));
        let stats = Overview::new(&state, "now").cluster_stats;
        assert_eq!((stats.cpu_usage_avg, stats.memory_usage_avg, stats.disk_usage_avg), (10.1, 1.5, 3.3));
        assert_eq!(stats.down_nodes, 0);
    }
}

//! The HTTP routes under `/api/cluster`: the nodes and the cluster, for programs that do not keep a connection.

use carillon_core::prelude::*;

use super::Monitoring;
use crate::cluster::{HealthUpdate, Node, NodesUpdate, Overview, State, Status, publish_metrics};

/// Which node is asked for.
#[derive(Deserialize, JsonSchema)]
pub(super) struct NodeRequest {
    /// Its name.
    name: String,
}

/// How the cluster is.
#[derive(Serialize, JsonSchema)]
pub(super) struct ClusterHealth {
    /// In a word; `unknown` when there are nodes and nobody has measured them lately.
    overall_status: Status,
    /// Nodes that answer.
    nodes_online: usize,
    /// All nodes.
    nodes_total: usize,
    /// What is wrong, for people.
    issues: Vec<String>,
}

/// Declares the routes.
pub(super) fn routes(on: &mut Routes<Monitoring>) {
    on.get(
        "/api/cluster/nodes",
        "Every node. Also publishes them on `cluster:metrics`, as a list and with `cluster_stats`, at most once a second.",
        Monitoring::get_nodes,
    );
    on.get("/api/cluster/nodes/{name}", "One node by its name.", Monitoring::get_node);
    on.get("/api/cluster/overview", "The cluster at a glance.", Monitoring::get_overview);
    on.get("/api/cluster/health", "How the cluster is, by the number of nodes that answer.", Monitoring::get_health);
}

impl Monitoring {
    async fn get_nodes(self: Arc<Self>, (): ()) -> Result<Vec<Node>> {
        let bus = self.host.bus();
        let Ok(state) = State::read(bus, &self.known()).await else {
            // Nobody knows anything while the bus is away; the nodes are still the nodes.
            return Ok(Node::list(&State::unmeasured(&self.known()), ""));
        };
        let update = NodesUpdate::new(&state, timestamp());
        if self.told.allow().is_some() {
            // Who asked has the answer whether or not others hear of it.
            let published = publish_metrics(bus, serde_json::to_vec(&update)?.into()).await;
            published.unwrap_or_else(|error| tracing::debug!("the nodes were not published: {error}"));
        }
        Ok(update.nodes)
    }

    async fn get_node(self: Arc<Self>, request: NodeRequest) -> Result<Node> {
        let state = State::read(self.host.bus(), &self.known()).await?;
        let mut nodes = Node::list(&state, &timestamp()).into_iter();
        nodes
            .find(|node| node.node == request.name)
            .ok_or_else(|| Error::not_found(format!("no node named {}", request.name)))
    }

    async fn get_overview(self: Arc<Self>, (): ()) -> Result<Overview> {
        let state = State::read(self.host.bus(), &self.known()).await?;
        Ok(Overview::new(&state, &timestamp()))
    }

    /// What the last round counts, as clients of `/health` are told it.
    async fn get_health(self: Arc<Self>, (): ()) -> Result<ClusterHealth> {
        let known = self.known();
        let state = State::read(self.host.bus(), &known).await?;
        let Some(last) = state.snapshot else {
            let overall_status = if known.is_empty() { Status::Healthy } else { Status::Unknown };
            return Ok(ClusterHealth { overall_status, nodes_online: 0, nodes_total: known.len(), issues: Vec::new() });
        };
        let (online, total) = (last.cluster_stats.online_nodes, last.cluster_stats.total_nodes);
        let HealthUpdate { overall_status, nodes_online, nodes_total, issues, .. } =
            HealthUpdate::new(String::new(), online, total, self.config.locale);
        Ok(ClusterHealth { overall_status, nodes_online, nodes_total, issues })
    }
}

#[cfg(test)]
mod tests {
    use carillon_core::testing::Harness;
    use serde_json::{Value, json};

    use super::super::tests::watched;
    use super::*;
    use crate::cluster::METRICS;
    use crate::testing::{client, quiet, settle};

    const NODES: &str = "/api/cluster/nodes";

    async fn get(harness: &Harness, path: &str) -> Value {
        harness.get(path, &[]).await.unwrap()
    }

    /// The list, the one node and the overview say what events say; an unknown node is not found.
    #[tokio::test(start_paused = true)]
    async fn routes_answer_like_events() {
        let harness = watched(&[("plugins.monitoring.nodes", "n1,n7.lan:9101")]).await;
        let mut client = client(&harness, "/monitoring").await;
        let told = client.call("request_nodes_status", json!({})).await["data"]["data"].take();
        let nodes = get(&harness, NODES).await;
        assert_eq!(nodes, told);
        assert_eq!((&nodes[0]["node"], &nodes[0]["status"]), (&json!("n1"), &json!("ready")));
        let expected = json!({
            "node": "n7.lan:9101", "status": "unknown", "last_update": null, "is_healthy": false,
            "capabilities": ["cpu", "scraping"], "performance_score": 0.6148, "active_jobs": 0, "total_jobs": 0,
            "success_rate": 0, "cpu_usage": 0.0, "memory_usage": 0.0, "disk_usage": 0.0, "temperature": 0.0,
        });
        assert_eq!(nodes[1], expected);
        let one = async |name| harness.get("/api/cluster/nodes/{name}", &[("name", name)]).await;
        assert_eq!(one("n7.lan:9101").await.unwrap(), expected);
        let error = one("n8").await.unwrap_err();
        assert_eq!((error.code(), error.message()), (Code::NotFound, "no node named n8"));
        let mut overview = get(&harness, "/api/cluster/overview").await;
        let mut told = client.call("request_cluster_status", json!({})).await["data"]["data"].take();
        for overview in [&mut overview, &mut told] {
            assert!(overview["cluster_stats"]["last_check"].take().as_str().unwrap().ends_with('Z'));
        }
        assert_eq!(overview, told);
        assert_eq!(overview["cluster_stats"]["total_nodes"], 2);
    }

    /// Asking for the nodes tells everybody of them, once a second, and leaves the key of the collector alone.
    #[tokio::test(start_paused = true)]
    async fn the_list_is_published() {
        let harness = watched(&[]).await;
        let (root, monitoring) = (client(&harness, "/").await, client(&harness, "/monitoring").await);
        let key = harness.app().bus().get(METRICS).await.unwrap();
        for round in 0..2 {
            let nodes = get(&harness, NODES).await;
            assert_eq!(get(&harness, NODES).await, nodes);
            let update = monitoring.expect("cluster_metrics").await;
            assert_eq!(root.expect("redis_cluster_metrics").await, update, "{round}");
            assert_eq!(update["nodes"], nodes);
            let stats = json!({
                "total_nodes": 2, "online_nodes": 1, "avg_cpu": 1.5, "avg_memory": 20.0, "avg_temperature": null,
            });
            assert_eq!(update["cluster_stats"], stats);
            assert!(update["timestamp"].as_str().unwrap().ends_with('Z'));
            assert_eq!(update.as_object().unwrap().len(), 3);
            settle().await;
            assert!(monitoring.sink().take().is_empty(), "twice in a second is too much");
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        assert_eq!(harness.app().bus().get(METRICS).await.unwrap(), key);
    }

    /// Health is judged by what the last round counts; without a round nothing is made up.
    #[tokio::test(start_paused = true)]
    async fn health_follows_the_last_round() {
        let path = "/api/cluster/health";
        let down = "1 nœuds hors ligne";
        let expected = json!({"overall_status": "warning", "nodes_online": 1, "nodes_total": 2, "issues": [down]});
        assert_eq!(get(&watched(&[]).await, path).await, expected);
        let english = watched(&[("plugins.monitoring.locale", "en")]).await;
        assert_eq!(get(&english, path).await["issues"], json!(["1 node offline"]));
        let expected = json!({"overall_status": "healthy", "nodes_online": 0, "nodes_total": 0, "issues": []});
        assert_eq!(get(&quiet(&[]).await, path).await, expected);
        let configured = quiet(&[("plugins.monitoring.nodes", "a,b")]).await;
        let expected = json!({"overall_status": "unknown", "nodes_online": 0, "nodes_total": 2, "issues": []});
        assert_eq!(get(&configured, path).await, expected);
    }

    /// Without the bus the nodes are listed by name, and everything else says why it cannot.
    #[tokio::test(start_paused = true)]
    async fn a_bus_that_is_away() {
        let harness = quiet(&[("bus.url", "flaky://60000"), ("plugins.monitoring.nodes", "a")]).await;
        let nodes = get(&harness, NODES).await;
        assert_eq!((&nodes[0]["node"], &nodes[0]["status"]), (&json!("a"), &json!("unknown")));
        for path in ["/api/cluster/overview", "/api/cluster/health"] {
            assert_eq!(harness.get(path, &[]).await.unwrap_err().code(), Code::Unavailable);
        }
        assert_eq!(get(&quiet(&[("bus.url", "flaky://60000")]).await, NODES).await, json!([]));
    }
}

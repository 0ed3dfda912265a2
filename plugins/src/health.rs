//! `/health`: how the cluster is, now and whenever it is asked.

use carillon_core::prelude::*;

use crate::cluster::{HealthUpdate, Locale, Snapshot, State, Status};

/// What is said about the health of the cluster.
#[derive(Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct HealthConfig {
    /// The language of texts for people.
    locale: Locale,
}

/// `health_connected`: the client is connected.
#[derive(Serialize, JsonSchema)]
struct HealthConnected<'a> {
    /// The namespace it is connected to.
    namespace: &'a str,
    /// When, RFC 3339 in UTC.
    timestamp: String,
}

/// `health_response`: the answer to `request_health`.
#[derive(Serialize, JsonSchema)]
struct HealthResponse {
    /// How things are.
    data: Report,
    /// When this was sent, RFC 3339 in UTC.
    timestamp: String,
}

/// How the server and the cluster are.
#[derive(Serialize, JsonSchema)]
struct Report {
    /// How the server itself is.
    status: ServerStatus,
    /// When this was found out, RFC 3339 in UTC.
    timestamp: String,
    /// The server's version.
    version: &'static str,
    /// How the cluster is.
    cluster: ClusterReport,
}

/// How the server itself is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum ServerStatus {
    /// All is well.
    Healthy,
    /// The bus is away: clients of this server are served on, and hear of nothing new.
    Degraded,
}

/// How the cluster is, by the number of its nodes.
#[derive(Serialize, JsonSchema)]
struct ClusterReport {
    /// In a word; `unknown` while the bus is away.
    overall_status: Status,
    /// Nodes that answer.
    nodes_online: usize,
    /// All nodes.
    nodes_total: usize,
    /// Nodes that do not answer.
    nodes_down: usize,
}

pub(crate) struct Health {
    host: Host,
    locale: Locale,
}

impl Plugin for Health {
    const NAME: &'static str = "health";
    const NAMESPACE: &'static str = "/health";
    type Config = HealthConfig;

    async fn init(config: HealthConfig, host: Host) -> Result<Self> {
        Ok(Self { host, locale: config.locale })
    }

    fn routes(on: &mut Routes<Self>, _: &HealthConfig) {
        on.event("request_health", "Answers with the state of the server and the cluster.", Self::request_health);
        on.emits::<HealthConnected<'_>>("health_connected", "Once, right after a client connected.");
        on.emits::<HealthUpdate>(
            "health_update",
            "After `health_connected` when something is known, then whenever the nodes were asked.",
        );
        on.emits::<HealthResponse>("health_response", "Before the ack of `request_health`, to who asked.");
    }

    async fn connected(self: Arc<Self>, ctx: Ctx) -> Result<()> {
        ctx.emit("health_connected", &HealthConnected { namespace: ctx.namespace(), timestamp: timestamp() })?;
        // A bus that is away is no fault of this client's: it hears of the cluster when the bus is back.
        if let Ok(Some(last)) = Snapshot::read(self.host.bus()).await {
            let nodes = last.cluster_stats;
            ctx.emit(
                "health_update",
                &HealthUpdate::new(timestamp(), nodes.online_nodes, nodes.total_nodes, self.locale),
            )?;
        }
        Ok(())
    }
}

impl Health {
    async fn request_health(self: Arc<Self>, ctx: Ctx, _: Ignored) -> Result<HealthResponse> {
        let response = HealthResponse { data: self.report().await, timestamp: timestamp() };
        ctx.emit("health_response", &response)?;
        Ok(response)
    }

    /// Always answers: to be asked how things are when they are bad is what this is for.
    async fn report(&self) -> Report {
        let bus = self.host.bus();
        let state = State::read(bus, &[]).await.inspect_err(|error| tracing::debug!("the bus is away: {error}")).ok();
        let (online, total) = state.as_ref().map_or((0, 0), |state| (state.online(), state.total()));
        Report {
            status: if state.is_some() && bus.status().up { ServerStatus::Healthy } else { ServerStatus::Degraded },
            timestamp: timestamp(),
            version: env!("CARGO_PKG_VERSION"),
            cluster: ClusterReport {
                overall_status: if state.is_some() { Status::of(online, total) } else { Status::Unknown },
                nodes_online: online,
                nodes_total: total,
                nodes_down: total - online,
            },
        }
    }
}

plugin!(Health);

#[cfg(test)]
mod tests {
    use super::*;
    use carillon_core::testing::Harness;
    use serde_json::{Value, json};

    use crate::cluster::{METRICS, node_key};
    use crate::relay::tests::client;

    const ROUND: &str = r#"{"timestamp":"t","nodes":{"n1":{}},"cluster_stats":{"total_nodes":8,"online_nodes":7}}"#;

    /// `/health` with these settings, and the last round on the bus.
    async fn harness(round: &'static str, settings: &[(&str, &str)]) -> Harness {
        let harness = Harness::with::<Health>(settings).await;
        harness.app().bus().set(METRICS, round.into(), None).await.unwrap();
        harness
    }

    fn without_timestamps(mut value: Value) -> Value {
        for object in ["", "/data"] {
            if let Some(Value::String(timestamp)) = value.pointer_mut(&format!("{object}/timestamp")) {
                assert!(timestamp.ends_with('Z'), "{timestamp}");
                timestamp.clear();
            }
        }
        value
    }

    /// The greeting, and nothing else while nothing is known.
    #[tokio::test(start_paused = true)]
    async fn clients_are_greeted() {
        let harness = Harness::of::<Health>().await;
        let mut client = harness.connect("/health").await.unwrap();
        let greeting = without_timestamps(client.expect("health_connected").await);
        assert_eq!(greeting, json!({"namespace": "/health", "timestamp": ""}));
        client.call("request_health", json!({})).await;
        let response = client.expect("health_response").await;
        let nothing = json!({"overall_status": "healthy", "nodes_online": 0, "nodes_total": 0, "nodes_down": 0});
        assert_eq!(response["data"]["cluster"], nothing);
    }

    /// What is known is told at once, in the language asked for.
    #[tokio::test(start_paused = true)]
    async fn the_greeting_is_followed_by_the_last_state() {
        for (settings, issue) in
            [(&[][..], "1 nœuds hors ligne"), (&[("plugins.health.locale", "en")], "1 nodes offline")]
        {
            let harness = harness(ROUND, settings).await;
            let client = harness.connect("/health").await.unwrap();
            client.expect("health_connected").await;
            let update = without_timestamps(client.expect("health_update").await);
            let expected = json!({
                "timestamp": "", "overall_status": "warning", "nodes_online": 7, "nodes_total": 8, "issues": [issue],
            });
            assert_eq!(update, expected);
        }
    }

    /// The answer comes as an event before the ack, which says the same, whatever the arguments are.
    #[tokio::test(start_paused = true)]
    async fn health_on_request() {
        let harness = harness(ROUND, &[]).await;
        harness.app().bus().set(&node_key("n1"), "{}".into(), None).await.unwrap();
        let mut client = client(&harness, "/health").await;
        let expected = json!({
            "data": {
                "status": "healthy", "timestamp": "", "version": env!("CARGO_PKG_VERSION"),
                // Of the nodes the last round counts, one is known to answer.
                "cluster": {"overall_status": "critical", "nodes_online": 1, "nodes_total": 8, "nodes_down": 7},
            },
            "timestamp": "",
        });
        for arguments in ["", "{}", "null", "1,[2],\"3\""] {
            let ack = client.call_raw("request_health", arguments, Vec::new()).await.args_json().remove(0);
            assert_eq!(client.sink().take().len(), 1, "the event was there before the ack");
            assert_eq!(without_timestamps(ack["data"].clone()), expected);
        }
        client.emit("request_health", &json!({}));
        assert_eq!(without_timestamps(client.expect("health_response").await), expected, "no ack was asked for");
    }

    /// While the bus is away clients are greeted and answered all the same, and told so.
    #[tokio::test(start_paused = true)]
    async fn a_bus_that_is_away_is_reported() {
        let harness = Harness::with::<Health>(&[("bus.url", "flaky://5000")]).await;
        let mut client = harness.connect("/health").await.unwrap();
        client.expect("health_connected").await;
        let ack = client.call("request_health", json!({})).await;
        assert_eq!((&ack["ok"], &ack["data"]["data"]["status"]), (&json!(true), &json!("degraded")));
        assert_eq!(ack["data"]["data"]["cluster"]["overall_status"], "unknown");
        tokio::time::sleep(Duration::from_secs(5)).await;
        let ack = client.call("request_health", json!({})).await;
        assert_eq!(ack["data"]["data"]["status"], "healthy");
    }

    /// A key that another program filled with something else is as good as none.
    #[tokio::test(start_paused = true)]
    async fn an_unreadable_key_does_no_harm() {
        let harness = harness("[1]", &[]).await;
        let mut client = harness.connect("/health").await.unwrap();
        assert_eq!(client.call("request_health", json!({})).await["ok"], true);
        let events: Vec<_> = client.sink().take().iter().map(|item| item.json().to_string()).collect();
        assert!(events[0].starts_with("[\"health_connected\"") && events[1].starts_with("[\"health_response\""));
        assert_eq!(events.len(), 2);
    }
}

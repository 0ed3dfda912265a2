//! `/health`: how the cluster is, now and whenever it is asked.

mod reports;

use carillon_core::prelude::*;
use carillon_core::readiness;
use carillon_core::throttle::Throttle;

use self::reports::{
    BusReport, ClusterReport, Connections, HealthConnected, HealthResponse, Report, ServerHealth, ServerStatus,
};
use crate::cluster::{HEALTH, HealthUpdate, Locale, Snapshot, State, Status};

/// What is said about the health of the cluster.
#[derive(Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct HealthConfig {
    /// The language of texts for people.
    locale: Locale,
}

pub(crate) struct Health {
    host: Host,
    locale: Locale,
    /// Limits what HTTP requests publish.
    told: Throttle,
}

impl Plugin for Health {
    const NAME: &'static str = "health";
    const NAMESPACE: &'static str = "/health";
    type Config = HealthConfig;

    async fn init(config: HealthConfig, host: Host) -> Result<Self> {
        Ok(Self { host, locale: config.locale, told: Throttle::per_second() })
    }

    fn routes(on: &mut Routes<Self>, _: &HealthConfig) {
        on.event("request_health", "Answers with the state of the server and the cluster.", Self::request_health);
        on.get(
            "/api/health",
            "How the server is. Also publishes how the cluster is on `cluster:health`, at most once a second.",
            Self::get_health,
        );
        on.emits::<HealthConnected<'_>>("health_connected", "Once, right after a client connected.");
        on.emits::<HealthUpdate>(
            "health_update",
            "After `health_connected` when something is known, then whenever the nodes were asked, or somebody asked `/api/health`.",
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
    fn status(&self) -> ServerStatus {
        match self.host.status() {
            readiness::Status::Ready => ServerStatus::Healthy,
            readiness::Status::Degraded => ServerStatus::Degraded,
            readiness::Status::Unready | readiness::Status::Draining => ServerStatus::Unhealthy,
        }
    }

    async fn get_health(self: Arc<Self>, (): ()) -> Result<ServerHealth> {
        let bus = self.host.bus();
        if self.told.allow().is_some()
            && let Err(error) = self.tell().await
        {
            tracing::debug!("the cluster's health was not published: {error}");
        }
        let namespaces = self.host.namespaces().into_iter();
        Ok(ServerHealth {
            status: self.status(),
            timestamp: timestamp(),
            version: env!("CARGO_PKG_VERSION"),
            bus: BusReport { kind: bus.kind(), up: bus.status().up },
            websocket: Connections {
                connected_clients: self.host.connections(),
                namespaces: namespaces.map(|name| (name.to_owned(), self.host.to(name).clients())).collect(),
            },
        })
    }

    /// Publishes how the cluster is, as it is told to a client that connects.
    async fn tell(&self) -> Result<()> {
        let bus = self.host.bus();
        let nodes = Snapshot::read(bus).await?.unwrap_or_default().cluster_stats;
        let update = HealthUpdate::new(timestamp(), nodes.online_nodes, nodes.total_nodes, self.locale);
        bus.publish(HEALTH, serde_json::to_vec(&update)?.into()).await
    }

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
            status: if state.is_some() { self.status() } else { self.status().max(ServerStatus::Degraded) },
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
    use crate::testing::{client, quiet};

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
            [(&[][..], "1 nœuds hors ligne"), (&[("plugins.health.locale", "en")], "1 node offline")]
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

    /// `/api/health` tells how the server is, and everybody how the cluster is, once a second.
    #[tokio::test(start_paused = true)]
    async fn health_over_http() {
        let harness = quiet(&[]).await;
        harness.app().bus().set(METRICS, ROUND.into(), None).await.unwrap();
        let (client, root) = (client(&harness, "/health").await, client(&harness, "/").await);
        let health = harness.get("/api/health", &[]).await.unwrap();
        let expected = json!({
            "status": "healthy", "timestamp": "", "version": env!("CARGO_PKG_VERSION"),
            "bus": {"kind": "memory", "up": true},
            // Without sockets each client is a connection of its own.
            "websocket": {"connected_clients": 2, "namespaces": {"/": 1, "/health": 1, "/monitoring": 0}},
        });
        assert_eq!(without_timestamps(health), expected);
        let update = client.expect("health_update").await;
        assert_eq!(root.expect("redis_cluster_health").await, update);
        let expected = json!({
            "timestamp": "", "overall_status": "warning", "nodes_online": 7, "nodes_total": 8,
            "issues": ["1 nœuds hors ligne"],
        });
        assert_eq!(without_timestamps(update), expected);
        harness.get("/api/health", &[]).await.unwrap();
        tokio::time::sleep(Duration::from_millis(900)).await;
        assert!(client.sink().take().is_empty());
        tokio::time::sleep(Duration::from_millis(100)).await;
        harness.get("/api/health", &[]).await.unwrap();
        client.expect("health_update").await;
    }

    /// A bus that is away degrades, or is too much when it is required.
    #[tokio::test(start_paused = true)]
    async fn health_over_http_without_the_bus() {
        for (required, status) in [("false", "degraded"), ("true", "unhealthy")] {
            let settings = [("bus.url", "flaky://60000"), ("bus.required", required)];
            let harness = Harness::with::<Health>(&settings).await;
            let health = harness.get("/api/health", &[]).await.unwrap();
            assert_eq!((&health["status"], &health["bus"]), (&json!(status), &json!({"kind": "test", "up": false})));
            let mut client = harness.connect("/health").await.unwrap();
            assert_eq!(client.call("request_health", json!({})).await["data"]["data"]["status"], status);
        }
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

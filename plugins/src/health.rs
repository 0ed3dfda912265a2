//! `/health`: how the cluster is, now and whenever it is asked.

use carillon_core::prelude::*;

use crate::cluster::{Health, Locale, Snapshot, State, Status};

/// What is said about the health of the cluster.
#[derive(Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct HealthConfig {
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

struct HealthOf {
    host: Host,
    locale: Locale,
}

impl Plugin for HealthOf {
    const NAME: &'static str = "health";
    const NAMESPACE: &'static str = "/health";
    type Config = HealthConfig;

    async fn init(config: HealthConfig, host: Host) -> Result<Self> {
        Ok(Self { host, locale: config.locale })
    }

    fn routes(on: &mut Routes<Self>, _: &HealthConfig) {
        on.event("request_health", "Answers with the state of the server and the cluster.", Self::request_health);
        on.emits::<HealthConnected<'_>>("health_connected", "Once, right after a client connected.");
        on.emits::<Health>(
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
            ctx.emit("health_update", &Health::new(timestamp(), nodes.online_nodes, nodes.total_nodes, self.locale))?;
        }
        Ok(())
    }
}

impl HealthOf {
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

plugin!(HealthOf);

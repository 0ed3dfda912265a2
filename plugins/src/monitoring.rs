//! `/monitoring`: the nodes of the cluster, measured and shown.

use bytestring::ByteString;
use carillon_core::prelude::*;
use prometheus::IntCounterVec;

use crate::cluster::{Aggregate, Alerts, METRICS, Node, Overview, State};
use collector::Collector;
use config::{Collect, MonitoringConfig};
use local::Local;

mod collector;
mod config;
mod local;
#[cfg(test)]
mod tests;

/// The room of clients that subscribed to updates.
const UPDATES: &str = "updates";

/// `monitoring_connected`: the client is connected.
#[derive(Serialize, JsonSchema)]
struct MonitoringConnected<'a> {
    /// The namespace it is connected to.
    namespace: &'a str,
    /// When, RFC 3339 in UTC.
    timestamp: String,
}

/// `cluster_status_response`: the answer to `request_cluster_status`.
#[derive(Serialize, JsonSchema)]
struct ClusterStatusResponse {
    /// The cluster at a glance.
    data: Overview,
    /// When this was sent, RFC 3339 in UTC.
    timestamp: String,
}

/// `nodes_status_response`: the answer to `request_nodes_status`.
#[derive(Serialize, JsonSchema)]
struct NodesStatusResponse {
    /// Every node.
    data: Vec<Node>,
    /// When this was sent, RFC 3339 in UTC.
    timestamp: String,
}

/// `subscribed_to_updates`: the answer to `subscribe_to_updates`.
#[derive(Serialize, JsonSchema)]
struct Subscribed {
    /// When, RFC 3339 in UTC.
    timestamp: String,
    /// The room the client is in now.
    room: &'static str,
    /// The events it will be sent.
    events: [&'static str; 2],
}

pub(crate) struct Monitoring {
    host: Host,
    config: MonitoringConfig,
    /// Nodes known before anything was measured.
    nodes: Vec<String>,
    rounds: IntCounterVec,
}

impl Plugin for Monitoring {
    const NAME: &'static str = "monitoring";
    const NAMESPACE: &'static str = "/monitoring";
    type Config = MonitoringConfig;

    async fn init(config: MonitoringConfig, host: Host) -> Result<Self> {
        let rounds = host.metrics().counter(
            "collections_total",
            "Rounds of the collector, by how they ended: published, or failed because the bus did not take all of it.",
            &["result"],
        )?;
        let collects = match config.collect {
            Collect::On => true,
            Collect::Off => false,
            Collect::Auto => !host.bus().is_shared(),
        };
        let nodes = if collects { vec![local::name()] } else { Vec::new() };
        Ok(Self { host, config, nodes, rounds })
    }

    fn routes(on: &mut Routes<Self>, _: &MonitoringConfig) {
        on.event("request_cluster_status", "Answers with the cluster at a glance.", Self::request_cluster_status);
        on.event("request_nodes_status", "Answers with every node.", Self::request_nodes_status);
        on.event("subscribe_to_updates", "Puts the client into the room `updates`.", Self::subscribe_to_updates);
        on.emits::<MonitoringConnected<'_>>("monitoring_connected", "Once, right after a client connected.");
        on.emits::<Aggregate>(
            "cluster_metrics",
            "After `monitoring_connected` when something was measured, then whenever it was.",
        );
        on.emits::<Alerts>("alerts_update", "Whenever the nodes were measured.");
        on.emits::<ClusterStatusResponse>(
            "cluster_status_response",
            "Before the ack of `request_cluster_status`, to who asked.",
        );
        on.emits::<NodesStatusResponse>(
            "nodes_status_response",
            "Before the ack of `request_nodes_status`, to who asked.",
        );
        on.emits::<Subscribed>("subscribed_to_updates", "Before the ack of `subscribe_to_updates`, to who asked.");
    }

    fn check(config: &MonitoringConfig, problems: &mut Problems) {
        config.check(problems);
    }

    async fn connected(self: Arc<Self>, ctx: Ctx) -> Result<()> {
        ctx.emit("monitoring_connected", &MonitoringConnected { namespace: ctx.namespace(), timestamp: timestamp() })?;
        // A bus that is away is no fault of this client's: it hears of the nodes when the bus is back.
        if let Ok(Some(last)) = self.host.bus().get(METRICS).await {
            // As it was written, to the byte; what is no JSON is for nobody.
            if let Some(last) = ByteString::try_from(last).ok().and_then(|text| Payload::from_json(text).ok()) {
                ctx.emit("cluster_metrics", &last)?;
            }
        }
        Ok(())
    }

    async fn run(self: Arc<Self>, host: Host) -> Result<()> {
        if self.nodes.is_empty() {
            return Ok(());
        }
        let collector = Collector::new(host.clone(), &self.config, &self.rounds);
        tokio::select! {
            () = host.shutdown() => Ok(()),
            end = async { collector.run(Local::open().await?).await } => end,
        }
    }
}

impl Monitoring {
    async fn request_cluster_status(self: Arc<Self>, ctx: Ctx, _: Ignored) -> Result<ClusterStatusResponse> {
        let state = State::read(self.host.bus(), &self.nodes).await?;
        let now = timestamp();
        let response = ClusterStatusResponse { data: Overview::new(&state, &now), timestamp: now };
        ctx.emit("cluster_status_response", &response)?;
        Ok(response)
    }

    async fn request_nodes_status(self: Arc<Self>, ctx: Ctx, _: Ignored) -> Result<NodesStatusResponse> {
        let state = State::read(self.host.bus(), &self.nodes).await?;
        let now = timestamp();
        let response = NodesStatusResponse { data: Node::list(&state, &now), timestamp: now };
        ctx.emit("nodes_status_response", &response)?;
        Ok(response)
    }

    async fn subscribe_to_updates(self: Arc<Self>, ctx: Ctx, _: Ignored) -> Result<Subscribed> {
        ctx.join(UPDATES)?;
        let events = ["cluster_metrics", "alerts_update"];
        let response = Subscribed { timestamp: timestamp(), room: UPDATES, events };
        ctx.emit("subscribed_to_updates", &response)?;
        Ok(response)
    }
}

plugin!(Monitoring);

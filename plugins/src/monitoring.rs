//! `/monitoring`: the nodes of the cluster, measured and shown.

use bytestring::ByteString;
use carillon_core::prelude::*;
use carillon_core::throttle::Throttle;
use prometheus::{IntCounterVec, IntGaugeVec};
use tokio::signal::unix::{SignalKind, signal};

use crate::cluster::{Aggregate, Alerts, METRICS, Node, Overview, State};
use collector::Collector;
use config::{Collect, MonitoringConfig};
use exporters::Exporters;
use gate::Gate;
use local::Local;
use targets::Targets;

mod collector;
mod config;
mod exporters;
mod exposition;
mod gate;
mod http;
mod local;
mod scrape;
mod targets;
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
    /// The nodes that run an exporter.
    targets: Arc<Targets>,
    /// Limits what HTTP requests publish.
    told: Throttle,
    rounds: IntCounterVec,
    scrapes: IntCounterVec,
    collecting: IntGaugeVec,
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
        let scrapes = host.metrics().counter(
            "scrapes_total",
            "Requests to node_exporters, by how they ended: ok, timeout, unreachable, or unreadable because something else answered.",
            &["result"],
        )?;
        for result in ["ok", "timeout", "unreachable", "unreadable"] {
            scrapes.with_label_values(&[result]);
        }
        let collecting =
            host.metrics().gauge("collecting", "1 while this Carillon measures the nodes, else 0.", &[])?;
        collecting.with_label_values::<&str>(&[]).set(0);
        let targets = Targets::open(&config).await.map_err(Error::internal)?;
        Ok(Self { host, config, targets: Arc::new(targets), told: Throttle::per_second(), rounds, scrapes, collecting })
    }

    fn routes(on: &mut Routes<Self>, _: &MonitoringConfig) {
        on.event("request_cluster_status", "Answers with the cluster at a glance.", Self::request_cluster_status);
        on.event("request_nodes_status", "Answers with every node.", Self::request_nodes_status);
        on.event("subscribe_to_updates", "Puts the client into the room `updates`.", Self::subscribe_to_updates);
        http::routes(on);
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
        let gate = Gate::new(host.clone(), &self.config);
        let collects = self.is_local() || self.config.collect != Collect::Off && self.config.names_nodes();
        let end = tokio::select! {
            () = host.shutdown() => Ok(()),
            end = self.collect(&gate), if collects => end,
            () = gate.listen(), if collects => Ok(()),
            end = self.reload() => end,
        };
        self.collecting.with_label_values::<&str>(&[]).set(0);
        gate.close().await;
        end
    }
}

impl Monitoring {
    /// Whether this host is measured, for want of configured nodes.
    fn is_local(&self) -> bool {
        let alone = !self.host.bus().is_shared();
        !self.config.names_nodes()
            && (self.config.collect == Collect::On || self.config.collect == Collect::Auto && alone)
    }

    /// The nodes known before anything was measured.
    fn known(&self) -> Vec<String> {
        if self.is_local() {
            return vec![local::name()];
        }
        self.targets.now().iter().map(|target| target.name.clone()).collect()
    }

    /// Measures whenever it is this Carillon's turn.
    async fn collect(&self, gate: &Gate) -> Result<()> {
        let collecting = self.collecting.with_label_values::<&str>(&[]);
        let collector = Collector::new(self.host.clone(), &self.config, &self.rounds);
        loop {
            while !gate.is_open().await.unwrap_or(false) {
                tokio::time::sleep(gate.pause()).await;
            }
            collecting.set(1);
            if self.is_local() {
                collector.run(gate, Local::open().await?).await?;
            } else {
                let targets = Arc::clone(&self.targets);
                let exporters = Exporters::open(&self.config, targets, self.scrapes.clone()).await;
                collector.run(gate, exporters).await?;
            }
            collecting.set(0);
        }
    }

    /// Reads the file of nodes again whenever a SIGHUP asks for it.
    async fn reload(&self) -> Result<()> {
        if self.config.nodes_file.is_none() {
            return std::future::pending().await;
        }
        let mut hangups = signal(SignalKind::hangup())?;
        while hangups.recv().await.is_some() {
            match self.targets.reload().await {
                Ok(()) => {
                    let count = self.targets.now().len();
                    let nodes = if count == 1 { "node" } else { "nodes" };
                    tracing::info!("SIGHUP: read the nodes again; there are {count} {nodes} now");
                }
                Err(mistake) => tracing::error!("SIGHUP: the nodes stay as they were: {mistake}"),
            }
        }
        Ok(())
    }

    async fn request_cluster_status(self: Arc<Self>, ctx: Ctx, _: Ignored) -> Result<ClusterStatusResponse> {
        let state = State::read(self.host.bus(), &self.known()).await?;
        let now = timestamp();
        let response = ClusterStatusResponse { data: Overview::new(&state, &now), timestamp: now };
        ctx.emit("cluster_status_response", &response)?;
        Ok(response)
    }

    async fn request_nodes_status(self: Arc<Self>, ctx: Ctx, _: Ignored) -> Result<NodesStatusResponse> {
        let state = State::read(self.host.bus(), &self.known()).await?;
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

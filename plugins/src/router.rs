//! `/router`: what the router itself does, once a second, and what it and the cluster did in the last 15 minutes.

use std::sync::{Mutex, MutexGuard, PoisonError};

use carillon_core::prelude::*;
use carillon_core::readiness;
use tokio::time::{MissedTickBehavior, interval};

use counts::Counts;
use history::{ClusterHistory, Histories, RouterHistory};

mod counts;
mod history;
#[cfg(test)]
mod tests;

/// How often the router is looked at.
const EVERY: Duration = Duration::from_secs(1);

/// `router_state`: what the router does. Rates are those since the last look, a second ago.
#[derive(Debug, Serialize, JsonSchema)]
struct RouterState {
    /// When this was found out, RFC 3339 in UTC.
    timestamp: String,
    /// When this process began, RFC 3339 in UTC.
    started: String,
    /// Carillon's version.
    version: &'static str,
    /// How the router is, in a word.
    status: Word,
    /// Connections, each counted once however many namespaces it is in.
    connections: usize,
    /// Who is connected, namespace by namespace.
    clients: Vec<NamespaceClients>,
    /// Events received from clients, a second.
    events_in: f64,
    /// Published copies that reached a client's transport, a second.
    deliveries: f64,
    /// Published copies lost with clients that did not read fast enough, a second.
    lost: f64,
    /// The mean time from a publish to its last delivery, in milliseconds; null when nothing was published.
    fanout_ms: Option<f64>,
    /// What waits.
    queues: Queues,
    /// Clients that do not keep up.
    slow: Slow,
    /// What connects the router to other programs.
    bus: BusState,
    /// Every plugin that is enabled.
    plugins: Vec<PluginState>,
}

/// How the router is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Word {
    /// Everything works.
    Ready,
    /// Clients are served, but the bus is away.
    Degraded,
    /// A plugin's background work has failed, or a required bus is away.
    Unready,
}

/// The clients of one namespace.
#[derive(Debug, Serialize, JsonSchema)]
struct NamespaceClients {
    /// The namespace.
    namespace: String,
    /// Clients on a WebSocket.
    websocket: u64,
    /// Clients that poll.
    polling: u64,
}

/// What waits in the router.
#[derive(Debug, Serialize, JsonSchema)]
struct Queues {
    /// Publishes that wait to be sent to this node's clients.
    publishes: u64,
    /// Their bytes.
    bytes: u64,
    /// Handlers that run now.
    handlers: u64,
}

/// Clients that do not keep up, since this process began.
#[derive(Debug, Serialize, JsonSchema)]
struct Slow {
    /// Clients that were closed because they did not read fast enough.
    closed: u64,
    /// Copies lost with them.
    lost: u64,
    /// Times a client was not read from because its events came faster than they were handled.
    read_pauses: u64,
}

/// What connects the router to other programs.
#[derive(Debug, Serialize, JsonSchema)]
struct BusState {
    /// Its kind, such as `memory` or `redis`.
    kind: &'static str,
    /// Whether messages get through.
    up: bool,
    /// What to tell an operator.
    detail: String,
}

/// One plugin.
#[derive(Debug, Serialize, JsonSchema)]
struct PluginState {
    /// Its name.
    name: String,
    /// Whether its background work runs or ended well; else it failed and is about to be started again.
    up: bool,
    /// How often its background work was started again.
    restarts: u64,
}

/// The answer to `request_history`: the last 15 minutes, oldest first, in columns of equal length.
#[derive(Debug, Serialize, JsonSchema)]
struct History {
    /// The router, second by second.
    router: RouterHistory,
    /// The means over the nodes of the cluster, each time they were measured.
    cluster: ClusterHistory,
}

struct Router {
    host: Host,
    started: String,
    histories: Mutex<Histories>,
}

impl Plugin for Router {
    const NAME: &'static str = "router";
    const NAMESPACE: &'static str = "/router";
    type Config = NoConfig;

    async fn init(_: NoConfig, host: Host) -> Result<Self> {
        Ok(Self { host, started: timestamp(), histories: Mutex::default() })
    }

    fn routes(on: &mut Routes<Self>, _: &NoConfig) {
        on.event("request_history", "Answers with the last 15 minutes.", Self::request_history);
        on.emits::<RouterState>("router_state", "Once a second, to the clients of this node.").latest();
    }

    async fn run(self: Arc<Self>, host: Host) -> Result<()> {
        tokio::select! {
            () = host.shutdown() => {}
            end = self.watch_router() => end?,
            // Apart from it: a bus that is away may keep its callers waiting.
            () = self.watch_cluster() => {}
        }
        Ok(())
    }
}

impl Router {
    fn histories(&self) -> MutexGuard<'_, Histories> {
        self.histories.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks at the router once a second, remembers what it saw, and tells whoever is connected. Never returns well.
    async fn watch_router(&self) -> Result<()> {
        let mut tick = interval(EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // At once, so that the first look has one before it to compare with.
        tick.tick().await;
        let mut before = Counts::read(&self.host);
        loop {
            tick.tick().await;
            let now = Counts::read(&self.host);
            let state = self.state(&before, &now);
            self.histories().add_router(&state);
            let clients = self.host.to(Self::NAMESPACE).local();
            if clients.clients() > 0
                && let Err(error) = clients.publish("router_state", &state)
            {
                tracing::debug!("the state of the router was not told: {error}");
            }
            before = now;
        }
    }

    /// Remembers each round of measurements that whoever collects left on the bus. Never returns.
    async fn watch_cluster(&self) {
        let mut tick = interval(EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            // The key and not the channel: one look a second, however fast others publish there.
            if let Ok(Some(round)) = history::Round::read(self.host.bus()).await {
                self.histories().add_round(round);
            }
        }
    }

    fn state(&self, before: &Counts, now: &Counts) -> RouterState {
        let bus = self.host.bus();
        let status = bus.status();
        let rates = now.since(before);
        RouterState {
            timestamp: timestamp(),
            started: self.started.clone(),
            version: env!("CARGO_PKG_VERSION"),
            status: match self.host.status() {
                readiness::Status::Ready => Word::Ready,
                readiness::Status::Degraded => Word::Degraded,
                readiness::Status::Unready | readiness::Status::Draining => Word::Unready,
            },
            connections: self.host.connections(),
            clients: now.clients(),
            events_in: rates.events_in,
            deliveries: rates.deliveries,
            lost: rates.lost,
            fanout_ms: rates.fanout_ms,
            queues: now.queues(),
            slow: now.slow(),
            bus: BusState { kind: bus.kind(), up: status.up, detail: status.detail },
            plugins: now.plugins(),
        }
    }

    async fn request_history(self: Arc<Self>, _: Ctx, _: Ignored) -> Result<History> {
        let histories = self.histories();
        Ok(History { router: histories.router(), cluster: histories.cluster() })
    }
}

plugin!(Router);

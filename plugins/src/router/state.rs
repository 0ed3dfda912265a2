//! What `/router` tells once a second, and every few seconds to the clients of all nodes.

use carillon_core::prelude::*;

/// `router_state`: what the router does. Rates are those since the last look, a second ago.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct RouterState {
    /// When this was found out, RFC 3339 in UTC.
    pub(super) timestamp: String,
    /// When this process began, RFC 3339 in UTC.
    pub(super) started: String,
    /// Carillon's version.
    pub(super) version: &'static str,
    /// How the router is, in a word.
    pub(super) status: Word,
    /// Connections, each counted once however many namespaces it is in.
    pub(super) connections: usize,
    /// Who is connected, namespace by namespace.
    pub(super) clients: Vec<NamespaceClients>,
    /// Events received from clients, a second.
    pub(super) events_in: f64,
    /// Published copies that reached a client's transport, a second.
    pub(super) deliveries: f64,
    /// Published copies lost with clients that did not read fast enough, a second.
    pub(super) lost: f64,
    /// The mean time from a publish to its last delivery, in milliseconds; null when nothing was published.
    pub(super) fanout_ms: Option<f64>,
    /// What waits.
    pub(super) queues: Queues,
    /// Clients that do not keep up.
    pub(super) slow: Slow,
    /// What connects the router to other programs.
    pub(super) bus: BusState,
    /// Every plugin that is enabled.
    pub(super) plugins: Vec<PluginState>,
}

/// How the router is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Word {
    /// Everything works.
    Ready,
    /// Clients are served, but the bus is away.
    Degraded,
    /// A plugin's background work has failed, or a required bus is away.
    Unready,
}

/// The clients of one namespace.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct NamespaceClients {
    /// The namespace.
    pub(super) namespace: String,
    /// Clients on a WebSocket.
    pub(super) websocket: u64,
    /// Clients that poll.
    pub(super) polling: u64,
}

/// What waits in the router.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Queues {
    /// Publishes that wait to be sent to this node's clients.
    pub(super) publishes: u64,
    /// Their bytes.
    pub(super) bytes: u64,
    /// Handlers that run now.
    pub(super) handlers: u64,
}

/// Clients that do not keep up, since this process began.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Slow {
    /// Clients that were closed because they did not read fast enough.
    pub(super) closed: u64,
    /// Copies lost with them.
    pub(super) lost: u64,
    /// Times a client was not read from because its events came faster than they were handled.
    pub(super) read_pauses: u64,
}

/// What connects the router to other programs.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct BusState {
    /// Its kind, such as `memory` or `redis`.
    pub(super) kind: &'static str,
    /// Whether messages get through.
    pub(super) up: bool,
    /// What to tell an operator.
    pub(super) detail: String,
}

/// One plugin.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct PluginState {
    /// Its name.
    pub(super) name: String,
    /// Whether its background work runs or ended well; else it failed and is about to be started again.
    pub(super) up: bool,
    /// How often its background work was started again.
    pub(super) restarts: u64,
}

/// `event_counts`: how often each event came and went since this process began.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct EventCounts {
    /// When they were read, RFC 3339 in UTC.
    pub(super) timestamp: String,
    /// Every event that was seen, namespace by namespace.
    pub(super) events: Vec<EventCount>,
}

/// How often one event came and went.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct EventCount {
    /// The namespace.
    pub(super) namespace: String,
    /// The event; `_other` for all that nobody declared.
    pub(super) event: String,
    /// Times a client sent it.
    pub(super) received: u64,
    /// Copies of it that were sent to clients.
    pub(super) sent: u64,
    /// Times its handler did not answer as it should: refused, failed, late.
    pub(super) failed: u64,
}

/// `server_state`: one of the Carillons on the bus.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct ServerState {
    /// Tells it from all others until it is started again.
    pub(super) id: String,
    /// The machine it runs on.
    pub(super) host: String,
    /// Its process there.
    pub(super) pid: u32,
    /// When it began, RFC 3339 in UTC.
    pub(super) started: String,
    /// Its version.
    pub(super) version: &'static str,
    /// How it is, in a word.
    pub(super) status: Word,
    /// Its connections.
    pub(super) connections: usize,
    /// Events it received from clients, a second.
    pub(super) events_in: f64,
    /// Published copies that reached its clients' transports, a second.
    pub(super) deliveries: f64,
    /// Published copies lost with clients that did not read fast enough, a second.
    pub(super) lost: f64,
}

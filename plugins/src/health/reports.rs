//! What `/health` sends, and what `GET /api/health` answers.

use std::collections::BTreeMap;

use carillon_core::prelude::*;

use crate::cluster::Status;

/// `health_connected`: the client is connected.
#[derive(Serialize, JsonSchema)]
pub(super) struct HealthConnected<'a> {
    /// The namespace it is connected to.
    pub(super) namespace: &'a str,
    /// When, RFC 3339 in UTC.
    pub(super) timestamp: String,
}

/// `health_response`: the answer to `request_health`.
#[derive(Serialize, JsonSchema)]
pub(super) struct HealthResponse {
    /// How things are.
    pub(super) data: Report,
    /// When this was sent, RFC 3339 in UTC.
    pub(super) timestamp: String,
}

/// How the server and the cluster are.
#[derive(Serialize, JsonSchema)]
pub(super) struct Report {
    /// How the server itself is.
    pub(super) status: ServerStatus,
    /// When this was found out, RFC 3339 in UTC.
    pub(super) timestamp: String,
    /// The server's version.
    pub(super) version: &'static str,
    /// How the cluster is.
    pub(super) cluster: ClusterReport,
}

/// How the server itself is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum ServerStatus {
    /// All is well.
    Healthy,
    /// The bus is away: clients of this server are served on, and hear of nothing new.
    Degraded,
    /// Something that is required is away, or the server is about to stop.
    Unhealthy,
}

/// `GET /api/health`: how the server is.
#[derive(Serialize, JsonSchema)]
pub(super) struct ServerHealth {
    /// In a word.
    pub(super) status: ServerStatus,
    /// When this was found out, RFC 3339 in UTC.
    pub(super) timestamp: String,
    /// The server's version.
    pub(super) version: &'static str,
    /// What connects it to other programs.
    pub(super) bus: BusReport,
    /// Who is connected to it.
    pub(super) websocket: Connections,
}

/// What connects the server to other programs.
#[derive(Serialize, JsonSchema)]
pub(super) struct BusReport {
    /// Its kind, such as `memory` or `redis`.
    pub(super) kind: &'static str,
    /// Whether messages get through.
    pub(super) up: bool,
}

/// Who is connected to the server.
#[derive(Serialize, JsonSchema)]
pub(super) struct Connections {
    /// Connections, each counted once.
    pub(super) connected_clients: usize,
    /// Clients of each namespace; one connection may be in several.
    pub(super) namespaces: BTreeMap<String, usize>,
}

/// How the cluster is, by the number of its nodes.
#[derive(Serialize, JsonSchema)]
pub(super) struct ClusterReport {
    /// In a word; `unknown` while the bus is away.
    pub(super) overall_status: Status,
    /// Nodes that answer.
    pub(super) nodes_online: usize,
    /// All nodes.
    pub(super) nodes_total: usize,
    /// Nodes that do not answer.
    pub(super) nodes_down: usize,
}

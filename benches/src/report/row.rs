//! What all rounds of a server come to: the rows of the tables, in JSON as well.

use serde::{Deserialize, Serialize};

use super::stats::Figure;
use crate::peers::protocol::Mode;

/// The floor that puts as many messages into one write as Carillon did in this run.
pub(crate) const FLOOR_AS_CARILLON: &str = "floor, n as Carillon";

/// Floods or paced loads of one server.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Fanout {
    pub(crate) server: String,
    pub(crate) mode: Mode,
    pub(crate) rounds: usize,
    pub(crate) failed: usize,
    /// Whether the pace was kept in every round.
    #[serde(default = "always")]
    pub(crate) kept_up: bool,
    pub(crate) us_per_delivery: Option<Figure>,
    pub(crate) deliveries_per_second: Option<Figure>,
    pub(crate) messages_per_write: Option<Figure>,
    pub(crate) p50_us: Option<Figure>,
    pub(crate) p99_us: Option<Figure>,
    pub(crate) p999_us: Option<Figure>,
    pub(crate) rss_mb: Option<Figure>,
    /// The part of each of the busiest threads, medians.
    pub(crate) threads: Vec<(String, f64)>,
}

/// Idle connections of one server.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Idle {
    pub(crate) server: String,
    pub(crate) failed: usize,
    pub(crate) kb_per_connection: Option<Figure>,
    /// The part of it that is heap and stacks, and what the kernel keeps besides, for both ends.
    #[serde(default)]
    pub(crate) heap_kb_per_connection: Option<Figure>,
    #[serde(default)]
    pub(crate) kernel_kb_per_connection: Option<Figure>,
    pub(crate) rss_mb: Option<Figure>,
    /// Part of a core while nothing happens but pings.
    pub(crate) idle_cpu: Option<Figure>,
    /// From the broadcast's time to its arrival at half of the clients, and at the last one.
    pub(crate) broadcast_p50_ms: Option<Figure>,
    pub(crate) broadcast_max_ms: Option<Figure>,
    pub(crate) closed_rss_mb: Option<Figure>,
    pub(crate) gauges_back_seconds: Option<Figure>,
}

/// What was so before it was written down.
fn always() -> bool {
    true
}

/// A flood of one shape, or on one way.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Shape {
    /// The shape or the way.
    pub(crate) name: String,
    pub(crate) us_per_delivery: Option<Figure>,
    pub(crate) deliveries_per_second: Option<Figure>,
    pub(crate) messages_per_write: Option<Figure>,
    pub(crate) p50_us: Option<Figure>,
    /// Deliveries that never came, and those that came twice or out of order, of all rounds.
    pub(crate) lost: u64,
    pub(crate) disorder: u64,
    /// The processor time of a delivery in every round.
    pub(crate) every_us: Vec<f64>,
}

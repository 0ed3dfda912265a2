//! `[router]`: how much each plugin and each client may have in hand.
use crate::Problems;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How much each plugin and each client may have in hand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RouterSettings {
    /// How long a handler may take to answer an event, in milliseconds. After that the client is answered `timeout`.
    #[schemars(range(min = 1, max = 3_600_000))]
    pub handler_timeout_ms: u64,
    /// How many events of one client may wait for its handlers. When they are reached the server stops reading from
    /// that client until a quarter is left.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub queue_events: usize,
    /// How many bytes those waiting events may hold together.
    #[schemars(range(min = 1024, max = 1_073_741_824))]
    pub queue_bytes: usize,
    /// How many publishes of one namespace may wait to be sent to this node's clients. When they are reached, `latest`
    /// replaces an older one, `volatile` drops, and whoever publishes anything else is refused or waits.
    #[schemars(range(min = 1, max = 10_000_000))]
    pub max_pending_publishes: usize,
    /// How many bytes those waiting publishes may hold together.
    #[schemars(range(min = 1024, max = 17_179_869_184_u64))]
    pub max_pending_bytes: usize,
    /// How many connections are served with publishes before other work gets the thread. Fewer make answers more prompt
    /// while much is published, more make publishing cheaper.
    #[schemars(range(min = 1, max = 65_536))]
    pub sweep_chunk: usize,
    /// Threads each plugin has for itself, so that one that blocks stalls only its own calls.
    #[schemars(range(min = 1, max = 256))]
    pub plugin_threads: usize,
    /// How long a plugin may take for one step of its life (start, client admission, shutdown), in milliseconds.
    #[schemars(range(min = 1, max = 3_600_000))]
    pub step_timeout_ms: u64,
}

impl Default for RouterSettings {
    fn default() -> Self {
        Self {
            handler_timeout_ms: 10_000,
            queue_events: 64,
            queue_bytes: 4 * 1024 * 1024,
            max_pending_publishes: 10_000,
            max_pending_bytes: 8 * 1024 * 1024,
            sweep_chunk: 64,
            plugin_threads: 2,
            step_timeout_ms: 10_000,
        }
    }
}

impl RouterSettings {
    /// Nothing beyond the limits of the single values.
    pub fn check(&self, _: &mut Problems) {}
}

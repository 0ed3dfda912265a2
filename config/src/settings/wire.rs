//! `[wire]`: when a connection counts as too slow, or dead.
use crate::Problems;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// When a connection counts as too slow, or dead.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct WireSettings {
    /// How many bytes may wait for one client. A client that lets more pile up is closed; all others are unaffected.
    #[schemars(range(min = 1024, max = 1_073_741_824))]
    pub max_queued_bytes: usize,
    /// How long a client may leave its connection unwritable, in milliseconds, before it is closed.
    #[schemars(range(min = 1, max = 600_000))]
    pub write_stall_ms: u64,
    /// How many bytes a client must take each second while anything waits for it, on average over
    /// `min_drain_window_ms`, or it is closed; 0 lets it be as slow as it likes.
    #[schemars(range(max = 1_048_576))]
    pub min_drain_bytes_per_s: u32,
    /// Over which time `min_drain_bytes_per_s` is measured, in milliseconds.
    #[schemars(range(min = 100, max = 600_000))]
    pub min_drain_window_ms: u64,
    /// How many bytes the kernel takes for a client that does not read, in bytes (`SO_SNDBUF`): what lies there can
    /// neither be replaced nor counted as waiting. Linux allows at most `net.core.wmem_max`; 0 leaves it to the kernel,
    /// which goes up to megabytes.
    #[schemars(range(max = 16_777_216))]
    pub send_buffer_bytes: usize,
    /// How long sent data may stay unacknowledged by the client's machine, in milliseconds (`TCP_USER_TIMEOUT`); 0
    /// leaves it to the kernel.
    #[schemars(range(max = 3_600_000))]
    pub tcp_user_timeout_ms: u32,
    /// How long a connection may be silent, in seconds, before the kernel asks whether the other side is still there
    /// (TCP keepalive); 0 never asks.
    #[schemars(range(max = 32_767))]
    pub keepalive_s: u32,
}

impl Default for WireSettings {
    fn default() -> Self {
        Self {
            max_queued_bytes: 1024 * 1024,
            write_stall_ms: 10_000,
            min_drain_bytes_per_s: 1024,
            min_drain_window_ms: 30_000,
            send_buffer_bytes: 256 * 1024,
            tcp_user_timeout_ms: 30_000,
            keepalive_s: 60,
        }
    }
}

impl WireSettings {
    /// Nothing beyond the limits of the single values.
    pub fn check(&self, _: &mut Problems) {}
}

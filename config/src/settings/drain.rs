//! `[drain]`: how the server stops.
use crate::Problems;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How the server stops.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct DrainSettings {
    /// How long `/readyz` answers 503 before the server stops to accept connections, in milliseconds: the time a load
    /// balancer needs to notice.
    #[schemars(range(max = 3_600_000))]
    pub pre_delay_ms: u64,
    /// Over how long connections are closed, in milliseconds: clients reconnect by themselves, and should not all do
    /// it at once. Few connections are closed sooner.
    #[schemars(range(max = 3_600_000))]
    pub window_ms: u64,
    /// How long a graceful stop may take in all, in milliseconds. Keep it below the time your supervisor waits before
    /// it kills (Kubernetes: 30 s, systemd: 90 s).
    #[schemars(range(min = 1, max = 3_600_000))]
    pub deadline_ms: u64,
}

impl Default for DrainSettings {
    fn default() -> Self {
        Self { pre_delay_ms: 0, window_ms: 5_000, deadline_ms: 25_000 }
    }
}

impl DrainSettings {
    /// The parts fit into the whole.
    pub fn check(&self, problems: &mut Problems) {
        if self.pre_delay_ms + self.window_ms > self.deadline_ms {
            let message = format!(
                "pre_delay_ms and window_ms take {} ms, more than the whole stop may",
                self.pre_delay_ms + self.window_ms
            );
            problems.add("deadline_ms", message).hint("raise deadline_ms, or shorten the other two");
        }
    }
}

//! `[drain]`: how the server stops.
use crate::Problems;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How the server stops.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct DrainSettings {
    /// How long a graceful stop may take in all, in milliseconds. Keep it below the time your supervisor waits before
    /// it kills (Kubernetes: 30 s, systemd: 90 s).
    #[schemars(range(min = 1, max = 3_600_000))]
    pub deadline_ms: u64,
}

impl Default for DrainSettings {
    fn default() -> Self {
        Self { deadline_ms: 25_000 }
    }
}

impl DrainSettings {
    /// Nothing beyond the limits of the single values.
    pub fn check(&self, _: &mut Problems) {}
}

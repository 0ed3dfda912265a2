//! `[cluster]`: how several Carillons work together.
use crate::Problems;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How several Carillons work together. They find each other on the bus, without a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ClusterSettings {
    /// How long the others may take to answer a plugin that asks for clients of all Carillons, in milliseconds. Who has not
    /// answered by then is named as missing.
    #[schemars(range(min = 1, max = 60_000))]
    pub ask_timeout_ms: u64,
}

impl Default for ClusterSettings {
    fn default() -> Self {
        Self { ask_timeout_ms: 1_000 }
    }
}

impl ClusterSettings {
    /// Nothing beyond the limits of the single values.
    pub fn check(&self, _: &mut Problems) {}
}

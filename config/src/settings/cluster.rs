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
    /// How often the members of a room are told how many they are, at most, in milliseconds; where a plugin declares that
    /// they are. The other Carillons are told as often.
    #[schemars(range(min = 10, max = 10_000))]
    pub presence_interval_ms: u64,
    /// How many rooms of one namespace are counted on all Carillons at once, of each Carillon and in all. Members of more
    /// are told nothing.
    #[schemars(range(min = 1, max = 100_000))]
    pub presence_rooms: usize,
}

impl Default for ClusterSettings {
    fn default() -> Self {
        Self { ask_timeout_ms: 1_000, presence_interval_ms: 1_000, presence_rooms: 10_000 }
    }
}

impl ClusterSettings {
    /// Nothing beyond the limits of the single values.
    pub fn check(&self, _: &mut Problems) {}
}

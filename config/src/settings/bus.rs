//! `[bus]`: what connects plugins, other programs and other Carillons.
use crate::Problems;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What connects plugins, other programs and other Carillons.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct BusSettings {
    /// The bus, by address; its scheme picks the kind. `memory://` lives inside this process and needs nothing else.
    pub url: String,
    /// Whether `/readyz` answers 503 while the bus is away. When false it answers 200 and says `degraded`: clients of
    /// this server are served on.
    pub required: bool,
}

impl Default for BusSettings {
    fn default() -> Self {
        Self { url: "memory://".to_owned(), required: false }
    }
}

impl BusSettings {
    /// The address has a scheme. Whether a bus of that kind is linked in is known to the router, not here.
    pub fn check(&self, problems: &mut Problems) {
        let scheme = self.url.split_once("://").map(|(scheme, _)| scheme);
        let valid = |scheme: &str| {
            !scheme.is_empty() && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b))
        };
        if !scheme.is_some_and(valid) {
            // The value is not repeated: it may hold a password that only a wellformed address lets us mask.
            problems
                .add("url", "is not an address of the form `scheme://..`")
                .hint("the default is `url = \"memory://\"`");
        }
    }
}

//! `[admin]`: where operators read how the server is, apart from clients.
use crate::{ListenAddress, Problems};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where operators read how the server is, apart from clients.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AdminSettings {
    /// The address and port of a second listener, without TLS, for `/metrics`, `/livez`, `/readyz` and `/api/failures`,
    /// for example `127.0.0.1:9085`. `server.listen` then answers 404 for them. It has connections of its own and
    /// stays until the end of a stop; it asks nobody who they are. Without it they are at `server.listen`.
    pub listen: Option<ListenAddress>,
}

impl AdminSettings {
    /// Nothing beyond the form of the address.
    pub fn check(&self, _: &mut Problems) {}
}

//! What a namespace does, as data: for `carillon plugins`, `events.json` and the types of clients.

use std::panic::Location;

use carillon_config::Rate;
use schemars::Schema;
use serde::Serialize;

use super::PresenceOutline;
use crate::sink::Mode;

/// What a namespace does, as data: for `carillon plugins` and `events.json`.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Outline {
    /// What is decided about handshakes, if the plugin is asked about them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub handshake: Option<String>,
    /// Events a client may send.
    pub events: Vec<EventOutline>,
    /// What becomes of all other events, if the namespace takes them.
    pub any: Option<String>,
    /// Events a client may send that the router answers itself.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub built_in: Vec<EventOutline>,
    /// Events sent to clients.
    pub emits: Vec<EmitOutline>,
    /// What else may be sent, when names come from elsewhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub emits_any: Option<String>,
    /// Events sent to a client that it answers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub calls: Vec<CallOutline>,
    /// Rooms whose members are counted on all Carillons.
    #[serde(skip)]
    pub presence: Vec<PresenceOutline>,
    /// JSON schema of `auth` in CONNECT, if the namespace wants any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auth: Option<Schema>,
    /// Whether clients that come back get on where they left off: they are told the offset of each publish, as one more argument.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub recovery: bool,
    /// HTTP GET routes.
    pub http: Vec<GetOutline>,
    /// Shared schema definitions, referred to as `#/definitions/<name>`.
    pub definitions: serde_json::Map<String, serde_json::Value>,
}

/// An event a client may send.
#[derive(Debug, Clone, Serialize)]
pub struct EventOutline {
    /// Its name.
    pub name: String,
    /// What it does.
    pub doc: String,
    /// JSON schema of the first argument.
    pub request: Schema,
    /// JSON schema of `data` in the ack, or of the plain ack.
    pub response: Schema,
    /// False when the ack comes without `{"ok":..,"data":..}`.
    pub envelope: bool,
    /// How often one subject, or one connection where nobody is asked who they are, may send it, where it has a limit of its
    /// own: as `limits.events` in the settings says, else as it is declared.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<Rate>,
    /// Where it is declared.
    #[serde(skip)]
    pub at: &'static Location<'static>,
}

impl EventOutline {
    /// Limits this event to `per_s` a second in the long run, and `burst` at once, for each subject over all its connections,
    /// or for each connection where nobody is asked who they are. More are answered `rate_limited`, and nothing of them
    /// reaches the plugin. The event counts for no other limit of events then; with 0 `per_s` it has none. `[limits]` in
    /// the settings can say otherwise.
    pub fn limit(&mut self, per_s: u32, burst: u32) {
        self.limit = Some(Rate { per_s, burst: burst.max(1) });
    }
}

/// An event sent to clients.
#[derive(Debug, Clone, Serialize)]
pub struct EmitOutline {
    /// The namespace it is sent to; `None` for the plugin's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
    /// When it is sent.
    pub doc: String,
    /// JSON schema of the first argument.
    pub payload: Schema,
    /// What may become of a publish on its way to a client that does not read fast enough, unless the publish says.
    #[serde(skip_serializing_if = "Mode::is_all")]
    pub mode: Mode,
    /// Whether it has to be kept: its namespace must be in `journal.namespaces`.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub kept: bool,
}

impl EmitOutline {
    /// A client that has not read an older publish of this event gets the new one in its place.
    pub fn latest(&mut self) {
        self.mode = Mode::Latest;
    }

    /// A client for which anything is waiting already does not get a publish of this event.
    pub fn volatile(&mut self) {
        self.mode = Mode::Volatile;
    }

    /// See [`Mode`].
    pub fn mode(&mut self, mode: Mode) {
        self.mode = mode;
    }

    /// This event has to be kept: a configuration that has no journal of its namespace (`journal.namespaces`) is refused.
    pub fn kept(&mut self) {
        self.kept = true;
    }
}

/// An event sent to a client, which answers it with an ack.
#[derive(Debug, Clone, Serialize)]
pub struct CallOutline {
    /// Its name.
    pub name: String,
    /// What is asked.
    pub doc: String,
    /// JSON schema of the first argument.
    pub request: Schema,
    /// JSON schema of the ack's first argument.
    pub response: Schema,
}

/// An HTTP GET route.
#[derive(Debug, Clone, Serialize)]
pub struct GetOutline {
    /// The path, with `{name}` for parameters.
    pub path: String,
    /// What it returns.
    pub doc: String,
    /// JSON schema of path and query parameters.
    pub request: Schema,
    /// JSON schema of the body.
    pub response: Schema,
    /// Where it is declared.
    #[serde(skip)]
    pub at: &'static Location<'static>,
    /// Parameters of the path that the request type has no field for: a mistake that stops the boot.
    #[serde(skip)]
    pub lacking: Vec<String>,
}

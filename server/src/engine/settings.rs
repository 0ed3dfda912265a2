//! What a session is held to, from the configuration.

use std::time::Duration;

use carillon_config::{ServerSettings, TransportName, WireSettings};

use crate::wire::Pace;

/// The part of the configuration that concerns sessions.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(super) ping_interval: Duration,
    pub(super) ping_timeout: Duration,
    /// How long a session may exist without a namespace.
    pub(super) connect_timeout: Duration,
    /// The longest message, on either transport.
    pub(super) max_message_bytes: usize,
    /// More bytes than this waiting for one client make it slow.
    pub(super) max_queued_bytes: usize,
    pub(super) polling: bool,
    pub(super) websocket: bool,
    /// How slow a client may read while something waits for it.
    pub(super) pace: Pace,
}

impl Settings {
    pub(crate) fn new(server: &ServerSettings, wire: &WireSettings) -> Self {
        Self {
            ping_interval: Duration::from_millis(server.ping_interval_ms),
            ping_timeout: Duration::from_millis(server.ping_timeout_ms),
            connect_timeout: Duration::from_millis(server.connect_timeout_ms),
            max_message_bytes: server.max_message_bytes,
            max_queued_bytes: wire.max_queued_bytes,
            polling: server.transports.contains(&TransportName::Polling),
            websocket: server.transports.contains(&TransportName::Websocket),
            pace: Pace::new(wire),
        }
    }

    /// Half the ping timeout: the longest a client may be kept from sending its pong.
    pub(super) fn max_pause(&self) -> Duration {
        self.ping_timeout / 2
    }

    /// The open packet's data.
    pub(super) fn open(&self, id: &str, upgrades: bool) -> String {
        let upgrades = if upgrades && self.websocket { "\"websocket\"" } else { "" };
        format!(
            "{{\"sid\":\"{id}\",\"upgrades\":[{upgrades}],\"pingInterval\":{},\"pingTimeout\":{},\"maxPayload\":{}}}",
            self.ping_interval.as_millis(),
            self.ping_timeout.as_millis(),
            self.max_message_bytes,
        )
    }
}

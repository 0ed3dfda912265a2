//! What socketioxide is told of the configuration.

use std::time::Duration;

use carillon_config::{ServerSettings, TransportName, WireSettings};
use socketioxide::{ParserConfig, SocketIo, SocketIoBuilder, TransportType};

/// What `wire.max_queued_bytes` is taken to hold in packets, since socketioxide's queue counts those.
const PACKET_BYTES: usize = 256;
/// The fewest packets a queue holds.
const LEAST_PACKETS: usize = 128;
/// Attachments of one event, and the time all of them may take to arrive.
const ATTACHMENTS: (usize, Duration) = (10, Duration::from_secs(10));
/// Bytes a WebSocket reads at once. Every idle connection holds such a buffer.
const READ_BUFFER: usize = 4096;
/// How long a client may take to upgrade.
const UPGRADE_TIME: Duration = Duration::from_secs(10);

/// The part of the configuration that concerns socketioxide.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// Without the slash at its end.
    pub(super) path: String,
    ping_interval: Duration,
    ping_timeout: Duration,
    pub(super) connect_timeout: Duration,
    max_message_bytes: usize,
    max_queued_bytes: usize,
    polling: bool,
    websocket: bool,
}

impl Settings {
    pub(crate) fn new(server: &ServerSettings, wire: &WireSettings) -> Self {
        Self {
            path: server.path.trim_end_matches('/').to_owned(),
            ping_interval: Duration::from_millis(server.ping_interval_ms),
            ping_timeout: Duration::from_millis(server.ping_timeout_ms),
            connect_timeout: Duration::from_millis(server.connect_timeout_ms),
            max_message_bytes: server.max_message_bytes,
            max_queued_bytes: wire.max_queued_bytes,
            polling: server.transports.contains(&TransportName::Polling),
            websocket: server.transports.contains(&TransportName::Websocket),
        }
    }

    /// Every limit set one by one: `with_config` would drop those of the engine below without a word.
    pub(super) fn builder(&self) -> SocketIoBuilder {
        let parser = ParserConfig::common()
            .max_incoming_binaries(ATTACHMENTS.0)
            .max_incoming_binary_buf_size(self.max_message_bytes)
            .packet_completion_timeout(ATTACHMENTS.1);
        let builder = SocketIo::builder()
            .req_path(self.path.clone())
            .ping_interval(self.ping_interval)
            .ping_timeout(self.ping_timeout)
            .connect_timeout(self.connect_timeout)
            .upgrade_timeout(UPGRADE_TIME)
            .max_payload(self.max_message_bytes as u64)
            .max_buffer_size((self.max_queued_bytes / PACKET_BYTES).max(LEAST_PACKETS))
            .ws_max_message_size(self.max_message_bytes)
            .ws_max_frame_size(self.max_message_bytes)
            .ws_read_buffer_size(READ_BUFFER)
            .with_parser(parser);
        match (self.polling, self.websocket) {
            (true, false) => builder.transports([TransportType::Polling]),
            (false, true) => builder.transports([TransportType::Websocket]),
            _ => builder.transports([TransportType::Polling, TransportType::Websocket]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every limit arrives in the configuration socketioxide works with.
    #[test]
    fn every_limit_reaches_the_engine() {
        let server = ServerSettings {
            ping_interval_ms: 1100,
            ping_timeout_ms: 900,
            connect_timeout_ms: 700,
            max_message_bytes: 12_345,
            path: "/app/io/".to_owned(),
            transports: vec![TransportName::Websocket],
            ..ServerSettings::default()
        };
        let wire = WireSettings { max_queued_bytes: 65_536, ..WireSettings::default() };
        let (_, io) = Settings::new(&server, &wire).builder().build_svc();
        let config = io.config();
        let engine = &config.engine_config;
        assert_eq!(engine.req_path, "/app/io");
        assert_eq!(engine.ping_interval.as_millis(), 1100);
        assert_eq!(engine.ping_timeout.as_millis(), 900);
        assert_eq!(engine.upgrade_timeout.as_millis(), 10_000);
        assert_eq!(engine.max_payload, 12_345);
        assert_eq!(engine.max_buffer_size, 65_536 / 256);
        assert_eq!(engine.ws_max_message_size, 12_345);
        assert_eq!(engine.ws_max_frame_size, 12_345);
        assert_eq!(engine.ws_read_buffer_size, 4096);
        assert!(engine.allowed_transport(TransportType::Websocket));
        assert!(!engine.allowed_transport(TransportType::Polling));
        assert_eq!(config.connect_timeout.as_millis(), 700);
    }
}

//! The server's own series: connections, sessions, HTTP requests, and what was done about clients that do not keep up.

use carillon_core::Result;
use carillon_core::metrics::Metrics as Core;
use carillon_core::sink::Reason;
use prometheus::{Histogram, IntCounter, IntCounterVec, IntGauge};

const QUEUED_BYTES: [f64; 9] = [0.0, 256.0, 1024.0, 4096.0, 16_384.0, 65_536.0, 262_144.0, 1_048_576.0, 4_194_304.0];

/// Handles of the server's series. Clones share the same series.
pub(crate) struct Metrics {
    /// TCP connections open now.
    pub(crate) connections: IntGauge,
    /// Engine.IO sessions open now.
    pub(crate) sessions: IntGauge,
    /// Connections and sessions that were not let in.
    refused: IntCounterVec,
    pub(crate) accept_errors: IntCounter,
    http_requests: IntCounterVec,
    pub(crate) read_pauses: IntCounter,
    pub(crate) read_pauses_expired: IntCounter,
    kills: IntCounterVec,
    pub(crate) queued: Histogram,
    pub(crate) panics: IntCounter,
    /// Writes to WebSockets: one for each wake-up of each connection, whatever the number of messages.
    pub(crate) writes: IntCounter,
    pub(crate) tls: Tls,
}

/// What became of TLS; all zero where there is none.
pub(crate) struct Tls {
    handshakes: IntCounterVec,
    loads: IntCounterVec,
}

/// How a handshake ended; a label of `carillon_tls_handshakes_total`.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Handshake {
    Done,
    /// The client speaks no TLS, none that is allowed, or does not like the certificate; or we do not like its own.
    Failed,
    /// It took longer than `server.header_timeout_ms`.
    Late,
}

impl Tls {
    fn new(core: &Core) -> Result<Self> {
        let handshakes = "TLS handshakes, by how they ended.";
        let loads = "Times the certificate was read again while the server ran, by whether it could be used.";
        let tls = Self {
            handshakes: core.counter("tls_handshakes_total", handshakes, &["result"])?,
            loads: core.counter("tls_reloads_total", loads, &["result"])?,
        };
        for result in [Handshake::Done, Handshake::Failed, Handshake::Late] {
            tls.handshakes.with_label_values(&[result.as_str()]);
        }
        for used in [true, false] {
            tls.loads.with_label_values(&[Self::result(used)]);
        }
        Ok(tls)
    }

    fn result(used: bool) -> &'static str {
        if used { "ok" } else { "failed" }
    }

    pub(crate) fn shaken(&self, result: Handshake) {
        self.handshakes.with_label_values(&[result.as_str()]).inc();
    }

    /// The certificate was read again; whether it is used.
    pub(crate) fn reloaded(&self, used: bool) {
        self.loads.with_label_values(&[Self::result(used)]).inc();
    }
}

impl Handshake {
    fn as_str(self) -> &'static str {
        match self {
            Self::Done => "ok",
            Self::Failed => "failed",
            Self::Late => "timeout",
        }
    }
}

/// Why a connection or session was not let in; a label of `carillon_connections_refused_total`.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Refused {
    /// `server.max_connections` are open.
    TooManyConnections,
    /// As many polling sessions are open.
    TooManySessions,
    /// Its address has as many connections or sessions as it may have.
    TooManyFromAddress,
    /// Its address opens sessions too fast.
    TooFast,
    /// `server.memory_budget_bytes` are held.
    Memory,
    /// The server is called by a name that is not its own, or by none.
    Host,
    /// The page's origin is not in `server.origins`.
    Origin,
    /// A plugin refused the handshake.
    Plugin,
    /// The server is going away.
    Draining,
}

impl Refused {
    const ALL: [Self; 9] = [
        Self::TooManyConnections,
        Self::TooManySessions,
        Self::TooManyFromAddress,
        Self::TooFast,
        Self::Memory,
        Self::Host,
        Self::Origin,
        Self::Plugin,
        Self::Draining,
    ];

    fn as_str(self) -> &'static str {
        match self {
            Self::TooManyConnections => "too_many_connections",
            Self::TooManySessions => "too_many_sessions",
            Self::TooManyFromAddress => "too_many_from_address",
            Self::TooFast => "too_fast",
            Self::Memory => "memory",
            Self::Host => "host",
            Self::Origin => "origin",
            Self::Plugin => "plugin",
            Self::Draining => "draining",
        }
    }
}

impl Metrics {
    /// Registers the series with the application's.
    pub(crate) fn new(core: &Core) -> Result<Self> {
        let queued = "Bytes waiting for one client, sampled every 5 s over all sessions.";
        let metrics = Self {
            connections: gauge(core, "connections_open", "TCP connections open now.")?,
            sessions: gauge(core, "sessions_open", "Engine.IO sessions open now, over either transport.")?,
            refused: core.counter(
                "connections_refused_total",
                "Connections, sessions and requests that were not let in.",
                &["reason"],
            )?,
            accept_errors: counter(
                core,
                "accept_errors_total",
                "Failures to accept a connection, such as too many open files.",
            )?,
            http_requests: core.counter(
                "http_requests_total",
                "HTTP requests answered, by route and status.",
                &["route", "code"],
            )?,
            read_pauses: counter(
                core,
                "read_pauses_total",
                "Times a client was not read from because its event queue was full.",
            )?,
            read_pauses_expired: counter(
                core,
                "read_pauses_expired_total",
                "Read pauses that ended by time, not by a drained queue.",
            )?,
            kills: core.counter("kills_total", "Transports closed by the server.", &["reason"])?,
            queued: core.histogram("wire_queued_bytes", queued, &[], &QUEUED_BYTES)?.with_label_values::<&str>(&[]),
            writes: counter(core, "wire_writes_total", "Writes to WebSockets; many messages leave with one.")?,
            tls: Tls::new(core)?,
            panics: counter(core, "panics_total", "Panics anywhere in the process, those of handlers included.")?,
        };
        for reason in Refused::ALL {
            metrics.refused.with_label_values(&[reason.as_str()]);
        }
        for reason in Reason::ALL {
            metrics.kills.with_label_values(&[reason.as_str()]);
        }
        Ok(metrics)
    }

    pub(crate) fn refused(&self, reason: Refused) {
        self.refused.with_label_values(&[reason.as_str()]).inc();
    }

    pub(crate) fn killed(&self, reason: Reason) {
        self.kills.with_label_values(&[reason.as_str()]).inc();
    }

    /// `route` is one of the router's own patterns, never what a client sent.
    pub(crate) fn request(&self, route: &str, code: u16) {
        self.http_requests.with_label_values(&[route, &code.to_string()]).inc();
    }
}

/// A gauge without labels.
pub(crate) fn gauge(core: &Core, name: &str, help: &str) -> Result<IntGauge> {
    Ok(core.gauge(name, help, &[])?.with_label_values::<&str>(&[]))
}

/// A counter without labels.
fn counter(core: &Core, name: &str, help: &str) -> Result<IntCounter> {
    Ok(core.counter(name, help, &[])?.with_label_values::<&str>(&[]))
}

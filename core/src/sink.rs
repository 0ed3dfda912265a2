//! The port between the router and the wire: how packets leave towards one client, and why a client is gone.

use std::time::Duration;

use futures_util::future::BoxFuture;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use bytes::Bytes;

use crate::error::Result;
use crate::packet::Item;
use crate::payload::Payload;

/// The way to one client: one per connection and namespace, implemented by the server.
///
/// Guarantees the router relies on: packets pushed one after the other reach the client in that order or not at
/// all; nothing pushed after the CONNECT reply was queued overtakes it; no method blocks.
pub trait Sink: Send + Sync + 'static {
    /// The connection this client came over: clients of one connection share it, and with it their order.
    fn connection(&self) -> u64;

    /// Queues an emit or an ack. On [`Pushed::Slow`] the sink has closed the connection already.
    fn send(&self, item: &Item) -> Pushed;

    /// A run of this client's events begins: what is [sent](Self::send) from here on may wait, so that the answers of the
    /// whole run leave in one write. They keep their order, and count as waiting for the client's limits. The router
    /// calls [`uncork`](Self::uncork) once for every cork, in whatever way the run ends, from any thread, and possibly
    /// after the next cork: they are to be counted. Clients of one connection have runs of their own, which may overlap.
    fn cork(&self) {}

    /// The run has ended, takes longer, or waits for something: what waits is written now. Like every method it does not block.
    fn uncork(&self) {}

    /// The next thing is a [`push`](Self::push) to this sink and to some others. What that needs lies somewhere in memory
    /// for each client; touched for several clients in a row it comes from there side by side, and not one after the
    /// other between two system calls.
    fn warm(&self) {}

    /// Queues the connection's part of a run of publishes, which may be of any of its namespaces: the hub asks one of
    /// the connection's sinks for all of them. Of each copy it answers `queued` for, it reports later to the
    /// application's [`Deliveries`](crate::metrics::Deliveries) what became of it. It does not call the router.
    fn push(&self, part: &Part<'_>) -> Taken;

    /// Sends an event that asks the client for an ack; the sink issues the ack id, which only it can match.
    /// Fails with `timeout` when the client does not answer in time, `unavailable` when it is gone.
    fn call(&self, item: &Item, timeout: Duration) -> BoxFuture<'static, Result<Payload>>;

    /// `None` while there is room for more answers. Otherwise resolves when the client has read enough of what it
    /// was sent (or is gone): a client is not served faster than it reads.
    fn ready(&self) -> Option<BoxFuture<'static, ()>>;

    /// Whether who waits for [`ready`](Self::ready) may go on: a sink that says so only when there is more room than at
    /// which the waiting begins says when.
    fn has_room(&self) -> bool {
        self.ready().is_none()
    }

    /// Stops (`true`) or resumes reading from the client. The sink resumes by itself before a pause could cost the
    /// client its heartbeat; what arrives then is answered
    /// `overloaded` or `rate_limited`, after what the pause was for.
    fn pause_reading(&self, pause: bool);

    /// Sends a Socket.IO DISCONNECT for this namespace; other namespaces of the connection stay.
    fn disconnect(&self);

    /// The kill switch: closes the transport now, whatever is queued.
    fn close(&self, reason: Reason);

    /// The transport in use now; an upgrade changes it.
    fn transport(&self) -> Transport;

    /// Whether the client can be told a pid at its CONNECT, and get what it has missed between that and
    /// [`Session::open`](crate::router::Session::open): without either it does not get on where it left off.
    fn resumes(&self) -> bool {
        false
    }
}

/// One connection's part of a run of publishes: the copies it gets, in order, and their frames in as few pieces as possible.
#[derive(Debug, Clone, Copy)]
pub struct Part<'a> {
    pub(crate) run: &'a [(Item, Mode)],
    /// Which of them, by their places in the run.
    pub(crate) places: &'a [u32],
    pub(crate) slices: &'a [Bytes],
    /// A place for each namespace that occurs.
    pub(crate) namespaces: &'a [u32],
    pub(crate) plain: bool,
}

impl<'a> Part<'a> {
    /// The copies, and what may become of each.
    pub fn items(&self) -> impl Iterator<Item = (&'a Item, Mode)> + use<'a> {
        let run = self.run;
        self.places.iter().map(move |place| (&run[*place as usize].0, run[*place as usize].1))
    }

    /// How many copies.
    #[must_use]
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// The WebSocket frames of all copies, in order.
    #[must_use]
    pub fn slices(&self) -> &'a [Bytes] {
        self.slices
    }

    /// The namespaces that occur.
    pub fn namespaces(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        let run = self.run;
        self.namespaces.iter().map(move |place| run[*place as usize].0.namespace())
    }

    /// Whether every copy is [`Mode::All`].
    #[must_use]
    pub fn is_plain(&self) -> bool {
        self.plain
    }

    /// The Engine.IO messages of all copies: how many, and their bytes.
    #[must_use]
    pub fn messages(&self) -> (usize, usize) {
        self.items().map(|(item, _)| item.messages()).fold((0, 0), |all, one| (all.0 + one.0, all.1 + one.1))
    }
}

/// What became of the copies of a [`Part`], by number. Their sum is its length.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Taken {
    /// Accepted by the transport.
    pub delivered: u64,
    /// Accepted; the sink reports later what became of them.
    pub queued: u64,
    /// Dropped, as [`Mode::Volatile`] allows.
    pub volatile: u64,
    /// Refused: the client does not read fast enough and is being closed.
    pub slow: u64,
    /// Refused: the client is gone.
    pub closed: u64,
}

impl Taken {
    /// So many copies with one outcome.
    #[must_use]
    pub fn all(copies: usize, pushed: Pushed) -> Self {
        let mut taken = Self::default();
        taken.add(copies, pushed);
        taken
    }

    /// Counts further copies.
    pub fn add(&mut self, copies: usize, pushed: Pushed) {
        let count = match pushed {
            Pushed::Delivered => &mut self.delivered,
            Pushed::Queued => &mut self.queued,
            Pushed::Volatile => &mut self.volatile,
            Pushed::Slow => &mut self.slow,
            Pushed::Closed => &mut self.closed,
        };
        *count += copies as u64;
    }

    /// How many were accepted.
    #[must_use]
    pub fn accepted(&self) -> u64 {
        self.delivered + self.queued
    }
}

impl std::ops::AddAssign for Taken {
    fn add_assign(&mut self, other: Self) {
        self.delivered += other.delivered;
        self.queued += other.queued;
        self.volatile += other.volatile;
        self.slow += other.slow;
        self.closed += other.closed;
    }
}

/// What became of a pushed packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pushed {
    /// Accepted by the transport.
    Delivered,
    /// Accepted; the sink reports later what became of it.
    Queued,
    /// Dropped, as [`Mode::Volatile`] allows.
    Volatile,
    /// Refused: the client does not read fast enough and is being closed.
    Slow,
    /// Refused: the client is gone.
    Closed,
}

/// What may become of a publish on its way to a client that does not read fast enough.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Every one is delivered, or the client is closed as slow.
    #[default]
    All,
    /// An older one of the same event that has not left yet is replaced: right for snapshots.
    Latest,
    /// Dropped when anything is waiting for the client already: right for what the next one makes worthless.
    Volatile,
}

impl Mode {
    pub(crate) fn is_all(&self) -> bool {
        *self == Self::All
    }
}

/// An Engine.IO transport.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Transport {
    /// HTTP long-polling.
    Polling,
    /// WebSocket.
    WebSocket,
}

impl Transport {
    /// Both transports.
    pub const ALL: [Self; 2] = [Self::Polling, Self::WebSocket];

    /// The transport's name in Engine.IO and in metric labels.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Polling => "polling",
            Self::WebSocket => "websocket",
        }
    }
}

/// Why a client left its namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The client sent DISCONNECT for this namespace.
    ClientDisconnect,
    /// A plugin sent DISCONNECT for this namespace.
    ServerDisconnect,
    /// The client closed the connection.
    TransportClose,
    /// The connection broke.
    TransportError,
    /// The client did not answer a ping in time.
    PingTimeout,
    /// The client sent something that is not Engine.IO or Socket.IO.
    BadPacket,
    /// The client sent a message that is larger than it may be.
    TooLarge,
    /// The client polled twice at the same time.
    DoublePoll,
    /// The client did not read fast enough.
    Slow,
    /// The server is going away; the client should reconnect.
    Drain,
    /// A plugin closed the connection.
    Killed,
    /// The client's token has ended and was not refreshed.
    TokenExpired,
    /// The client went on sending more than it may.
    RateLimited,
    /// The client's token or key was revoked.
    TokenRevoked,
    /// The client has come back over another connection, could not be sent all it has missed, or may have missed what is not
    /// in the journal: it comes back and is told so.
    Resumed,
}

impl Reason {
    /// Every reason.
    pub const ALL: [Self; 15] = [
        Self::ClientDisconnect,
        Self::ServerDisconnect,
        Self::TransportClose,
        Self::TransportError,
        Self::PingTimeout,
        Self::BadPacket,
        Self::TooLarge,
        Self::DoublePoll,
        Self::Slow,
        Self::Drain,
        Self::Killed,
        Self::TokenExpired,
        Self::RateLimited,
        Self::TokenRevoked,
        Self::Resumed,
    ];

    /// The reason in metric labels and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ClientDisconnect => "client_disconnect",
            Self::ServerDisconnect => "server_disconnect",
            Self::TransportClose => "transport_close",
            Self::TransportError => "transport_error",
            Self::PingTimeout => "ping_timeout",
            Self::BadPacket => "bad_packet",
            Self::TooLarge => "too_large",
            Self::DoublePoll => "double_poll",
            Self::Slow => "slow",
            Self::Drain => "drain",
            Self::Killed => "killed",
            Self::TokenExpired => "token_expired",
            Self::RateLimited => "rate_limited",
            Self::TokenRevoked => "token_revoked",
            Self::Resumed => "resumed",
        }
    }
}

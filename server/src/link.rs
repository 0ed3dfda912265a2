//! One Engine.IO session, whatever carries it: how much is waiting for the client, whether it may be read from, and how it ends.
//!
//! A [`Link`] is made by the handshake and travels with the session inside the request's extensions, so it lives
//! exactly as long as the session. Every namespace of the session shares it. The WebSocket that carries the session
//! now, if any, is known through its [`Handle`].

mod end;
mod out;
mod pace;
mod queue;

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::Duration;

use carillon_core::metrics::Deliveries;
use carillon_core::router::{Session, WeakSession};
use carillon_core::sink::{Reason, Transport};
use futures_util::task::AtomicWaker;
use tokio::sync::Notify;
use tokio::time::Instant;

use self::out::Out;
pub(crate) use self::out::{Speaker, Writing};
pub(crate) use self::queue::cost;
use crate::admission::Guest;
use crate::links::Links;
use crate::metrics::Metrics;
use crate::wire::Handle;

/// A CONNECT packet larger than this closes the connection: it is kept in memory until it is answered.
const CONNECT_MAX: u64 = 64 << 10;
/// CONNECT packets a connection may send at once, and how many of them it earns back a second.
const CONNECT_BURST: u32 = 100;
const CONNECTS_PER_SECOND: f64 = 2.0;

/// A ping due so soon after an upgrade may be left out by Socket.IO. One too many does no harm: the client's extra pong
/// only lets it be silent for one interval longer later on.
const PING_MARGIN: Duration = Duration::from_millis(500);

/// The limits of a session, from the configuration.
#[derive(Debug, Clone)]
pub(crate) struct Limits {
    /// More bytes than this waiting for one client make it slow.
    pub(crate) max_queued_bytes: usize,
    /// Longest time a client is not read from: half the ping timeout, so that its pong still comes in time.
    pub(crate) max_pause: Duration,
    /// How often Socket.IO pings.
    pub(crate) ping_interval: Duration,
    /// How long a session may exist without a namespace.
    pub(crate) connect_timeout: Duration,
}

/// What the handshake's request carries into the session, for whoever asks later where it came from.
#[derive(Clone)]
pub(crate) struct Caller {
    /// The client that was let in.
    pub(crate) guest: Arc<Guest>,
    /// The session.
    pub(crate) link: Arc<Link>,
}

/// See the module's documentation.
pub(crate) struct Link {
    links: Weak<Links>,
    limits: Arc<Limits>,
    /// Its place in the register.
    number: u64,
    /// The Engine.IO session id: whoever knows it can act as the client, so it is never logged nor shown.
    id: OnceLock<Box<str>>,
    queued: AtomicI64,
    /// Bytes that were queued and have left, since the start.
    left: AtomicU64,
    out: Mutex<Out>,
    /// The task that reads from the WebSocket, which also writes what did not go at once.
    reader: AtomicWaker,
    deliveries: Arc<Deliveries>,
    metrics: Arc<Metrics>,
    /// Acks the client asked for and has not been sent yet.
    owed: AtomicI64,
    /// How many namespaces want the client not to be read from.
    pausers: AtomicUsize,
    wire: OnceLock<Handle>,
    /// Clients that came over polling: they are told of an upgrade.
    polling: Mutex<Vec<WeakSession>>,
    ended: OnceLock<Reason>,
    clock: Mutex<Clock>,
    posting: AtomicBool,
    /// The server is going away: the client is not read from any more.
    draining: AtomicBool,
    /// Told whenever something above changed that somebody may be waiting for.
    changed: Notify,
}

/// When things began that must not last for ever.
#[derive(Debug)]
struct Clock {
    paused: Option<Instant>,
    pause_expired: bool,
    /// A ping left and its pong has not been seen.
    pinged: Option<Instant>,
    /// When the last ping left, or would have.
    last_ping: Instant,
    /// The client asked for a WebSocket and still uses polling.
    upgrading: Option<Instant>,
    namespaces: usize,
    /// Since when there has been no namespace.
    idle: Instant,
    connects: f64,
    connects_at: Instant,
}

impl Link {
    /// Made by [`Links::open`] only.
    pub(crate) fn new(links: &Arc<Links>, number: u64) -> Arc<Self> {
        let now = Instant::now();
        Arc::new(Self {
            number,
            links: Arc::downgrade(links),
            limits: Arc::clone(links.limits()),
            id: OnceLock::new(),
            queued: AtomicI64::new(0),
            left: AtomicU64::new(0),
            out: Mutex::new(Out::new()),
            reader: AtomicWaker::new(),
            deliveries: Arc::clone(links.deliveries()),
            metrics: Arc::clone(links.metrics()),
            owed: AtomicI64::new(0),
            draining: AtomicBool::new(false),
            pausers: AtomicUsize::new(0),
            wire: OnceLock::new(),
            polling: Mutex::default(),
            ended: OnceLock::new(),
            clock: Mutex::new(Clock {
                paused: None,
                pause_expired: false,
                pinged: None,
                last_ping: now,
                upgrading: None,
                namespaces: 0,
                idle: now,
                connects: f64::from(CONNECT_BURST),
                connects_at: now,
            }),
            posting: AtomicBool::new(false),
            changed: Notify::new(),
        })
    }

    /// Its number, unique in this process.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    fn clock(&self) -> MutexGuard<'_, Clock> {
        self.clock.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Names the session; from now on requests with this id find it.
    pub(crate) fn named(self: &Arc<Self>, id: &str) {
        if self.id.set(id.into()).is_ok()
            && let Some(links) = self.links.upgrade()
        {
            links.name(id, self);
        }
    }

    /// The session goes over this WebSocket, at once, or after the upgrade it has just begun.
    pub(crate) fn carried_by(&self, wire: &Handle, upgrade: bool) {
        if upgrade {
            self.clock().upgrading = Some(Instant::now());
        }
        // A second WebSocket for one session is refused before it comes to this.
        if self.wire.set(wire.clone()).is_ok() {
            self.takes(wire.stream(), upgrade);
        }
        if self.ended.get().is_some() {
            wire.cut();
        }
        self.changed.notify_waiters();
    }

    /// Where the client's WebSocket comes from; empty while it polls.
    pub(crate) fn address(&self) -> String {
        self.wire.get().map(|wire| wire.peer().to_string()).unwrap_or_default()
    }

    /// Whether a WebSocket carries the session or is about to.
    pub(crate) fn has_wire(&self) -> bool {
        self.wire.get().is_some()
    }

    /// The client said that it has left polling.
    pub(crate) fn upgraded(&self) {
        let mut clock = self.clock();
        let was = clock.upgrading.take();
        // Socket.IO leaves a ping out that is due during an upgrade, and stock clients do not wait for the one after it.
        let missed = was.is_some() && clock.last_ping.elapsed() + PING_MARGIN >= self.limits.ping_interval;
        drop(clock);
        for client in std::mem::take(&mut *self.polling()) {
            client.upgrade().iter().for_each(Session::transport_changed);
        }
        self.changed.notify_waiters();
        if missed {
            self.ping();
        }
    }

    fn polling(&self) -> MutexGuard<'_, Vec<WeakSession>> {
        self.polling.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A client is about to be [`opened`](Session::opened).
    pub(crate) fn opens(&self, client: &Session) {
        let mut polling = self.polling();
        polling.retain(|known| known.upgrade().is_some());
        // Under the lock: an upgrade that ends now has not taken the list yet, or is seen here.
        if self.transport() == Transport::Polling {
            polling.push(client.downgrade());
        }
    }

    fn is_upgrading(&self) -> bool {
        self.has_wire() && self.clock().upgrading.is_some()
    }

    /// The transport in use.
    pub(crate) fn transport(&self) -> Transport {
        if self.has_wire() && !self.is_upgrading() { Transport::WebSocket } else { Transport::Polling }
    }

    /// Waits for `condition`, which is asked again on every change and at the time it names itself.
    async fn until(&self, condition: impl Fn(&Self) -> Result<(), Option<Instant>>) {
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            // From here on no change is missed.
            changed.as_mut().enable();
            match condition(self) {
                Ok(()) => return,
                Err(None) => changed.await,
                Err(Some(deadline)) => {
                    // Running out is as good a reason to ask again as a change.
                    tokio::time::timeout_at(deadline, changed).await.ok();
                }
            }
        }
    }

    /// A CONNECT packet of `len` bytes arrived; too large or too many of them end the session.
    pub(crate) fn connect_seen(&self, len: u64) {
        let too_many = {
            let mut clock = self.clock();
            let now = Instant::now();
            let earned = now.duration_since(clock.connects_at).as_secs_f64() * CONNECTS_PER_SECOND;
            clock.connects = (clock.connects + earned).min(f64::from(CONNECT_BURST)) - 1.0;
            clock.connects_at = now;
            clock.connects < 0.0
        };
        if too_many || len > CONNECT_MAX {
            self.end(Reason::BadPacket);
        }
    }

    /// A namespace was joined (`true`) or left.
    pub(crate) fn namespace(&self, joined: bool) {
        let mut clock = self.clock();
        if joined {
            clock.namespaces += 1;
        } else {
            clock.namespaces = clock.namespaces.saturating_sub(1);
            clock.idle = Instant::now();
        }
    }

    /// Whether the session has been without a namespace for too long.
    pub(crate) fn is_idle(&self) -> bool {
        let clock = self.clock();
        clock.namespaces == 0 && clock.idle.elapsed() > self.limits.connect_timeout
    }

    /// Takes the right to hand over one POST body; `None` while another one is being handed over.
    pub(crate) fn post(self: &Arc<Self>) -> Option<Posting> {
        (!self.posting.swap(true, Ordering::AcqRel)).then(|| Posting(Arc::clone(self)))
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.close_out(self.ended().unwrap_or(Reason::TransportClose));
        if let Some(links) = self.links.upgrade() {
            links.forget(self.number, self.id.get().map(|id| &**id));
        }
    }
}

/// The right to hand over one POST body, given back when dropped.
pub(crate) struct Posting(Arc<Link>);

impl Drop for Posting {
    fn drop(&mut self) {
        self.0.posting.store(false, Ordering::Release);
    }
}

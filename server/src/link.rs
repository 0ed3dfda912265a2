//! One Engine.IO session, whatever carries it: how much is waiting for the client, whether it may be read from, and how it ends.
//!
//! A [`Link`] is made by the handshake and travels with the session inside the request's extensions, so it lives
//! exactly as long as the session. Every namespace of the session shares it. The WebSocket that carries the session
//! now, if any, is known through its [`Handle`].

mod out;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::Duration;

use carillon_core::metrics::Deliveries;
use carillon_core::sink::{Reason, Transport};
use futures_util::future::BoxFuture;
use futures_util::task::AtomicWaker;
use tokio::sync::Notify;
use tokio::time::Instant;

use self::out::Out;
pub(crate) use self::out::{Speaker, Writing};
use crate::links::Links;
use crate::metrics::Metrics;
use crate::wire::Handle;

/// What each queued packet counts beyond its own bytes: the queue's memory for it.
const PACKET_OVERHEAD: usize = 64;
/// A CONNECT packet larger than this closes the connection: it is kept in memory until it is answered.
const CONNECT_MAX: u64 = 64 << 10;
/// CONNECT packets a connection may send at once, and how many of them it earns back a second.
const CONNECT_BURST: u32 = 100;
const CONNECTS_PER_SECOND: f64 = 2.0;

/// How often an ending session is looked at, and how long its client may do nothing to end it.
const POLL: Duration = Duration::from_millis(10);
const FAREWELL: Duration = Duration::from_secs(1);

/// The limits of a session, from the configuration.
#[derive(Debug, Clone)]
pub(crate) struct Limits {
    /// More bytes than this waiting for one client make it slow.
    pub(crate) max_queued_bytes: usize,
    /// Longest time a client is not read from: half the ping timeout, so that its pong still comes in time.
    pub(crate) max_pause: Duration,
    /// How long a session may exist without a namespace.
    pub(crate) connect_timeout: Duration,
}

/// The bytes one text or binary Engine.IO message counts while it waits, `len` being its payload over WebSocket.
pub(crate) fn cost(len: usize) -> usize {
    len + PACKET_OVERHEAD
}

/// What the handshake's request carries into the session, for whoever asks later where it came from.
#[derive(Clone)]
pub(crate) struct Caller {
    /// The other end of the connection that the handshake came over.
    pub(crate) address: SocketAddr,
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
            out: Mutex::new(Out::new()),
            reader: AtomicWaker::new(),
            deliveries: Arc::clone(links.deliveries()),
            metrics: Arc::clone(links.metrics()),
            owed: AtomicI64::new(0),
            draining: AtomicBool::new(false),
            pausers: AtomicUsize::new(0),
            wire: OnceLock::new(),
            ended: OnceLock::new(),
            clock: Mutex::new(Clock {
                paused: None,
                pause_expired: false,
                pinged: None,
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

    // --- Which transport ---------------------------------------------------------------------------------------

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
        self.wire.set(wire.clone()).ok();
        if !upgrade {
            self.go_direct();
        }
        if self.ended.get().is_some() {
            wire.cut();
        }
        self.changed.notify_waiters();
    }

    /// Whether a WebSocket carries the session or is about to.
    pub(crate) fn has_wire(&self) -> bool {
        self.wire.get().is_some()
    }

    /// The client said that it has left polling.
    pub(crate) fn upgraded(&self) {
        self.clock().upgrading = None;
        self.changed.notify_waiters();
    }

    fn is_upgrading(&self) -> bool {
        self.has_wire() && self.clock().upgrading.is_some()
    }

    /// The transport in use.
    pub(crate) fn transport(&self) -> Transport {
        if self.has_wire() && !self.is_upgrading() { Transport::WebSocket } else { Transport::Polling }
    }

    // --- What waits for the client -----------------------------------------------------------------------------

    /// Accounts for bytes about to be queued; `false` when the client already has too much waiting.
    ///
    /// A single packet larger than the limit passes when nothing else waits.
    pub(crate) fn reserve(&self, bytes: usize) -> bool {
        let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
        let before = self.queued.fetch_add(bytes, Ordering::AcqRel);
        let after = before.saturating_add(bytes);
        let limit = i64::try_from(self.limits.max_queued_bytes).unwrap_or(i64::MAX);
        // Nothing can leave while a session changes its transport, so that moment may hold four times as much.
        if before <= 0 || after <= limit || (after / 4 <= limit && self.is_upgrading()) {
            return true;
        }
        self.queued.fetch_sub(bytes, Ordering::AcqRel);
        false
    }

    /// Bytes have left, or were not queued after all.
    pub(crate) fn settle(&self, bytes: usize) {
        let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
        let before = self.queued.fetch_sub(bytes, Ordering::AcqRel);
        debug_assert!(before >= bytes, "{bytes} bytes left of {before} that were queued");
        let low = self.low_mark();
        if before > low && before - bytes <= low {
            self.changed.notify_waiters();
        }
    }

    /// Bytes accepted for the client that have not left yet.
    pub(crate) fn queued_bytes(&self) -> usize {
        usize::try_from(self.queued.load(Ordering::Acquire)).unwrap_or(0)
    }

    fn low_mark(&self) -> i64 {
        i64::try_from(self.limits.max_queued_bytes / 4).unwrap_or(i64::MAX)
    }

    /// `None` while less than half of what may wait is waiting; else resolves below a quarter.
    pub(crate) fn room(self: &Arc<Self>) -> Option<BoxFuture<'static, ()>> {
        if self.queued_bytes() <= self.limits.max_queued_bytes / 2 || self.room_now() {
            return None;
        }
        let link = Arc::clone(self);
        Some(Box::pin(async move { link.until(|link| link.room_now().then_some(()).ok_or(None)).await }))
    }

    fn room_now(&self) -> bool {
        self.queued.load(Ordering::Acquire) <= self.low_mark() || self.ended.get().is_some() || self.is_upgrading()
    }

    // --- Whether the client is read from -----------------------------------------------------------------------

    /// One more (or one fewer) namespace wants the client not to be read from.
    pub(crate) fn pause(&self, pause: bool) {
        let mut clock = self.clock();
        if pause {
            if self.pausers.fetch_add(1, Ordering::AcqRel) == 0 {
                clock.paused = Some(Instant::now());
                clock.pause_expired = false;
                if let Some(links) = self.links.upgrade() {
                    links.metrics().read_pauses.inc();
                }
            }
        } else if self.pausers.fetch_sub(1, Ordering::AcqRel) == 1 {
            clock.paused = None;
            drop(clock);
            self.changed.notify_waiters();
        }
    }

    /// Until when the client must not be read from; `None` when it may be.
    pub(crate) fn paused_until(&self) -> Option<Instant> {
        let draining = self.draining.load(Ordering::Acquire);
        if (self.pausers.load(Ordering::Acquire) == 0 && !draining) || self.ended.get().is_some() {
            return None;
        }
        if draining {
            return Some(Instant::now() + self.limits.max_pause);
        }
        let mut clock = self.clock();
        let since = [clock.paused, clock.pinged, clock.upgrading].into_iter().flatten().min()?;
        let deadline = since + self.limits.max_pause;
        if clock.paused.is_none() || clock.pause_expired {
            return None;
        }
        if Instant::now() < deadline {
            return Some(deadline);
        }
        clock.pause_expired = true;
        drop(clock);
        if let Some(links) = self.links.upgrade() {
            links.metrics().read_pauses_expired.inc();
        }
        None
    }

    /// Resolves when the client may be read from.
    pub(crate) async fn readable(self: Arc<Self>) {
        self.until(|link| link.paused_until().map_or(Ok(()), |deadline| Err(Some(deadline)))).await;
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

    // --- What passes -------------------------------------------------------------------------------------------

    /// A ping left for the client.
    pub(crate) fn ping_sent(&self) {
        self.clock().pinged = Some(Instant::now());
    }

    /// The client's pong arrived.
    pub(crate) fn pong_seen(&self) {
        self.clock().pinged = None;
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

    // --- The end -----------------------------------------------------------------------------------------------

    /// The client asked for an ack.
    pub(crate) fn asked(&self) {
        self.owed.fetch_add(1, Ordering::AcqRel);
    }

    /// An ack it asked for was sent.
    pub(crate) fn answered(&self) {
        self.owed.fetch_sub(1, Ordering::AcqRel);
    }

    /// The kill switch: ends the session now, whatever is queued. Only the first reason counts.
    pub(crate) fn end(&self, reason: Reason) {
        if self.ended.set(reason).is_err() {
            return;
        }
        self.changed.notify_waiters();
        let links = self.links.upgrade();
        if let Some(links) = &links {
            links.metrics().killed(reason);
        }
        if let Some(wire) = self.wire.get() {
            wire.cut();
        }
        self.close_out(reason);
        if let (Some(links), Some(id)) = (links, self.id.get())
            && self.transport() == Transport::Polling
        {
            links.close_session(id);
        }
    }

    /// The session is over, for whatever reason: nobody need wait for its client any more.
    pub(crate) fn gone(&self, reason: Reason) {
        self.ended.set(reason).ok();
        self.changed.notify_waiters();
        self.close_out(self.ended().unwrap_or(reason));
    }

    /// Ends the session so that its client loses nothing it was promised: reads no further, waits up to `patience` for
    /// the answers it is owed, and for what is queued to leave as long as some of it does.
    pub(crate) async fn end_gently(&self, reason: Reason, patience: Duration) {
        self.draining.store(true, Ordering::Release);
        let deadline = Instant::now() + patience;
        let mut seen = (self.queued_bytes(), Instant::now());
        while self.ended.get().is_none() && Instant::now() < deadline {
            let (owed, queued) = (self.owed.load(Ordering::Acquire) > 0, self.queued_bytes());
            if owed || queued != seen.0 {
                seen = (queued, Instant::now());
            }
            if !owed && (queued == 0 || seen.1.elapsed() > FAREWELL) {
                break;
            }
            tokio::time::sleep(POLL).await;
        }
        let wire = self.wire.get().filter(|_| self.transport() == Transport::WebSocket);
        let Some(wire) = wire else { return self.end(reason) };
        if self.ended.set(reason).is_err() {
            return;
        }
        self.changed.notify_waiters();
        if let Some(links) = self.links.upgrade() {
            links.metrics().killed(reason);
        }
        // The client closes its side in answer; one that does not is cut.
        wire.finish();
        let deadline = Instant::now() + FAREWELL;
        while wire.is_open() && Instant::now() < deadline {
            tokio::time::sleep(POLL).await;
        }
        wire.cut();
    }

    /// Why the session ended, once it has.
    pub(crate) fn ended(&self) -> Option<Reason> {
        self.ended.get().copied()
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

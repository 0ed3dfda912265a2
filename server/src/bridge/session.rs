//! What is known of a session of socketioxide's: the connection that can be cut, and which clients it has.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::Duration;

use carillon_core::packet::Item;
use carillon_core::router::{Session as Member, WeakSession};
use carillon_core::sink::{Part, Pushed, Reason, Taken, Transport};
use carillon_core::throttle::Throttle;
use smallvec::SmallVec;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::service::Closer;
use super::sink::ToClient;
use crate::admission::Guest;
use crate::metrics::Metrics;
use crate::wire::Handle;

/// How often sessions are looked at: for those without a namespace, and for those that have changed their transport.
const SWEEP: Duration = Duration::from_secs(1);
/// How often a session that is to end is looked at.
const POLL: Duration = Duration::from_millis(10);
/// How long what is queued for a client has to leave before its session is ended: nobody can ask whether it has.
const LAST_WORDS: Duration = Duration::from_millis(200);

/// The sessions. The first request of each owns it, which socketioxide keeps as long as the session; this is only the
/// register.
pub(crate) struct Sessions {
    metrics: Arc<Metrics>,
    /// How long a session may exist without a namespace.
    connect_timeout: Duration,
    /// Limits log lines about slow clients to one a second.
    slow: Throttle,
    register: Mutex<Register>,
    closer: Closer,
    /// The server is going away: no new sessions.
    refusing: AtomicBool,
}

#[derive(Default)]
struct Register {
    /// Every session, by the number it got here.
    all: HashMap<u64, Weak<Session>>,
    next: u64,
    /// Those that began with polling, whose later requests name them.
    named: HashMap<Box<str>, Weak<Session>>,
}

impl Sessions {
    pub(super) fn new(metrics: &Arc<Metrics>, connect_timeout: Duration, closer: Closer) -> Arc<Self> {
        Arc::new(Self {
            metrics: Arc::clone(metrics),
            connect_timeout,
            slow: Throttle::per_second(),
            register: Mutex::default(),
            closer,
            refusing: AtomicBool::new(false),
        })
    }

    fn register(&self) -> MutexGuard<'_, Register> {
        self.register.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A new session, over a WebSocket or over polling.
    pub(super) fn open(self: &Arc<Self>, guest: Arc<Guest>, transport: Transport) -> Arc<Session> {
        self.metrics.sessions.inc();
        let mut register = self.register();
        let number = register.next;
        register.next += 1;
        let session = Arc::new(Session {
            sessions: Arc::clone(self),
            number,
            guest,
            inside: Mutex::new(Inside {
                name: None,
                connection: None,
                clients: SmallVec::new(),
                idle: Some(Instant::now()),
                transport,
            }),
            owed: AtomicI64::new(0),
            ended: OnceLock::new(),
        });
        register.all.insert(number, Arc::downgrade(&session));
        session
    }

    /// The session of this id, which began with polling.
    pub(super) fn named(&self, id: &str) -> Option<Arc<Session>> {
        self.register().named.get(id)?.upgrade()
    }

    /// From now on there are no new sessions.
    pub(crate) fn refuse_new(&self) {
        self.refusing.store(true, Ordering::Release);
    }

    /// Whether there are no new sessions any more.
    pub(crate) fn refusing(&self) -> bool {
        self.refusing.load(Ordering::Acquire)
    }

    /// How many sessions there are.
    pub(crate) fn len(&self) -> usize {
        self.register().all.len()
    }

    /// Every living session.
    pub(crate) fn all(&self) -> Vec<Arc<Session>> {
        self.register().all.values().filter_map(Weak::upgrade).collect()
    }

    /// Looks after the sessions until `stop`.
    pub(super) async fn sweep(&self, stop: CancellationToken) {
        while stop.run_until_cancelled(tokio::time::sleep(SWEEP)).await.is_some() {
            for session in self.all() {
                if session.is_idle() {
                    session.end(Reason::TransportClose);
                }
                session.notice_transport();
            }
        }
    }
}

/// See the module's documentation.
pub(crate) struct Session {
    sessions: Arc<Sessions>,
    number: u64,
    guest: Arc<Guest>,
    inside: Mutex<Inside>,
    /// Acks the client asked for and has not been sent yet.
    owed: AtomicI64,
    /// Why it was ended from here.
    ended: OnceLock<Reason>,
}

/// The guarded part.
struct Inside {
    /// Its id, when it began with polling.
    name: Option<Box<str>>,
    /// What carries its WebSocket.
    connection: Option<Handle>,
    clients: SmallVec<[Present; 1]>,
    /// Since when it has had no namespace.
    idle: Option<Instant>,
    /// The transport that namespaces were told of.
    transport: Transport,
}

/// A client that may be sent to.
struct Present {
    namespace: Arc<str>,
    sink: Arc<ToClient>,
    /// Kept by its socket: it keeps the sink, and so this.
    member: WeakSession,
}

impl Session {
    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn number(&self) -> u64 {
        self.number
    }

    pub(super) fn guest(&self) -> &Guest {
        &self.guest
    }

    /// From now on requests with this id are this session's.
    pub(super) fn is_named(self: &Arc<Self>, id: &str) {
        self.inside().name = Some(id.into());
        self.sessions.register().named.insert(id.into(), Arc::downgrade(self));
    }

    /// This connection becomes its WebSocket, unless it has one: then socketioxide closes the second.
    pub(super) fn is_carried_by(&self, connection: &Handle) {
        let mut inside = self.inside();
        if !inside.connection.as_ref().is_some_and(Handle::is_open) {
            inside.connection = Some(connection.clone());
        }
    }

    /// Why it was ended from here, or cut off as slow.
    pub(super) fn ended(&self) -> Option<Reason> {
        let slow = || self.inside().connection.as_ref().is_some_and(Handle::is_slow).then_some(Reason::Slow);
        self.ended.get().copied().or_else(slow)
    }

    // --- Clients -----------------------------------------------------------------------------------------------

    /// The CONNECT reply of a client is queued: it may be sent to.
    pub(super) fn joins(&self, namespace: &Arc<str>, sink: &Arc<ToClient>, member: &Member) {
        let (namespace, sink, member) = (Arc::clone(namespace), Arc::clone(sink), member.downgrade());
        let mut inside = self.inside();
        inside.idle = None;
        // One that has left already stays away.
        if !sink.has_left() {
            inside.clients.push(Present { namespace, sink, member });
        }
    }

    /// It may not any more.
    pub(super) fn leaves(&self, sink: &ToClient) {
        let mut inside = self.inside();
        let left = inside.clients.iter().position(|client| std::ptr::eq(&*client.sink, sink));
        let left = left.map(|place| inside.clients.remove(place));
        if inside.clients.is_empty() {
            inside.idle.get_or_insert_with(Instant::now);
        }
        drop(inside);
        drop(left);
    }

    pub(super) fn has(&self, sink: &ToClient) -> bool {
        self.ended.get().is_none() && self.inside().clients.iter().any(|client| std::ptr::eq(&*client.sink, sink))
    }

    fn client(&self, namespace: &str) -> Option<Arc<ToClient>> {
        let inside = self.inside();
        inside.clients.iter().find(|client| *client.namespace == *namespace).map(|client| Arc::clone(&client.sink))
    }

    /// Whether it has had no namespace for too long.
    fn is_idle(&self) -> bool {
        let idle = self.inside().idle;
        idle.is_some_and(|since| since.elapsed() >= self.sessions.connect_timeout)
    }

    /// Tells namespaces of an upgrade, of which nobody tells us.
    fn notice_transport(&self) {
        let mut inside = self.inside();
        let Some(transport) = inside.clients.first().map(|client| client.sink.carried_by()) else { return };
        if std::mem::replace(&mut inside.transport, transport) == transport {
            return;
        }
        let members: Vec<Member> = inside.clients.iter().filter_map(|client| client.member.upgrade()).collect();
        drop(inside);
        members.iter().for_each(Member::transport_changed);
    }

    /// The transport that was told of last.
    pub(super) fn transport(&self) -> Transport {
        self.inside().transport
    }

    // --- Out ---------------------------------------------------------------------------------------------------

    /// Sends this connection's part of a run of publishes, whatever its namespaces.
    pub(super) fn push(&self, part: &Part<'_>) -> Taken {
        let mut taken = Taken::default();
        for (item, _) in part.items() {
            let pushed = match self.client(item.namespace()) {
                Some(client) if taken.slow == 0 && self.ended.get().is_none() => client.through(item),
                _ => Pushed::Closed,
            };
            taken.add(1, pushed);
        }
        self.is_slow_if(taken.slow > 0);
        taken
    }

    /// Sends one packet to one client.
    pub(super) fn send(&self, client: &ToClient, item: &Item) -> Pushed {
        let pushed = if self.has(client) { client.through(item) } else { Pushed::Closed };
        self.is_slow_if(pushed == Pushed::Slow);
        // Not before it is queued: whoever ends the session waits for it then.
        if item.ack_id().is_some() {
            self.owed.fetch_sub(1, Ordering::AcqRel);
        }
        pushed
    }

    fn is_slow_if(&self, slow: bool) {
        if slow {
            self.end(Reason::Slow);
        }
    }

    /// The client asks for an ack.
    pub(super) fn asked(&self) {
        self.owed.fetch_add(1, Ordering::AcqRel);
    }

    // --- The end -----------------------------------------------------------------------------------------------

    /// The kill switch: ends the session now, whatever is queued. Only the first reason counts.
    pub(super) fn end(&self, reason: Reason) {
        if self.ended.set(reason).is_err() {
            return;
        }
        self.sessions.metrics.killed(reason);
        if reason == Reason::Slow
            && let Some(left_out) = self.sessions.slow.allow()
        {
            let client = self.guest.handshake().address().to_string();
            tracing::warn!(left_out, client, "a client does not read fast enough and was closed");
        }
        let inside = self.inside();
        let (connection, name) = (inside.connection.clone(), inside.name.clone());
        drop(inside);
        match (connection.filter(Handle::is_open), name) {
            (Some(connection), _) => connection.cut(),
            (None, Some(name)) => self.sessions.closer.close(&name),
            (None, None) => {}
        }
    }

    /// Ends the session once its client has been sent the answers it is owed, or after `patience`.
    pub(crate) async fn end_gently(&self, reason: Reason, patience: Duration) {
        let deadline = Instant::now() + patience;
        while self.ended().is_none() && self.owed.load(Ordering::Acquire) > 0 && Instant::now() < deadline {
            tokio::time::sleep(POLL).await;
        }
        tokio::time::sleep_until(deadline.min(Instant::now() + LAST_WORDS)).await;
        self.end(reason);
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.sessions.metrics.sessions.dec();
        let name = self.inside().name.take();
        let mut register = self.sessions.register();
        register.all.remove(&self.number);
        if let Some(name) = name {
            register.named.remove(&name);
        }
    }
}

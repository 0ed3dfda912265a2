//! One client of one namespace: its state, and the way of its events into the queue that keeps them in order.

mod limited;
mod queue;
mod recovery;
pub(crate) mod refresh;
mod rooms;
mod watch;
mod work;

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use bytes::Bytes;
use bytestring::ByteString;
use prometheus::IntGauge;

pub(crate) use self::queue::{Job, What, event_bytes};
use self::queue::{Phase, Queue, Run};
use self::refresh::Term;
use self::rooms::Rooms;
pub(crate) use self::work::Step;
use tokio::time::Instant;

use crate::ack::Deferred;
use crate::answer::refuse;
use crate::clock::Timed;
use crate::error::Error;
use crate::hub::{Newcomer, Seat};
use crate::identity::Identity;
use crate::journal::State;
use crate::limits::{Counted, Sender};
use crate::namespace::Namespace;
use crate::packet::split_event;
use crate::peer::Peer;
use crate::recovery::Membership;
use crate::sink::{Reason, Sink, Transport};

/// A client, from CONNECT to its end.
pub(crate) struct Client {
    pub(crate) peer: Peer,
    pub(crate) namespace: Arc<Namespace>,
    /// Kept alive by the queue while it is needed: a plugin that keeps or blocks a client keeps no session.
    sink: Weak<dyn Sink>,
    pub(crate) seat: Seat,
    rooms: Mutex<Rooms>,
    /// What its events count for, where anything is limited.
    sender: Option<Sender>,
    /// Calls whose handlers hold the ack.
    pub(crate) deferred: Deferred,
    /// The plugin's own per-client values, by type, once there are any.
    state: Mutex<Option<Box<Values>>>,
    queue: Mutex<Queue>,
    /// What it may come back with.
    membership: Option<Box<Membership>>,
    /// How long it may stay. Taken with the queue locked or without, and never the other way round.
    term: Mutex<Term>,
}

/// Values by their types.
type Values = HashMap<TypeId, Arc<dyn Any + Send + Sync>>;

impl Client {
    pub(crate) fn new(
        peer: Peer,
        namespace: Arc<Namespace>,
        sink: Arc<dyn Sink>,
        membership: Option<Membership>,
    ) -> Self {
        let seat = namespace.hub.seat(namespace.space, &*sink);
        let sender = namespace.rates.sender(&peer, namespace.limits_events());
        if let Some(interest) = &namespace.interest {
            interest.come();
        }
        Self {
            peer,
            namespace,
            sink: Arc::downgrade(&sink),
            seat,
            rooms: Mutex::default(),
            sender,
            deferred: Deferred::default(),
            state: Mutex::default(),
            queue: Mutex::new(Queue::new(sink)),
            membership: membership.map(Box::new),
            term: Mutex::default(),
        }
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The way to the client, while there is one.
    pub(crate) fn sink(&self) -> Option<Arc<dyn Sink>> {
        self.sink.upgrade()
    }

    /// From here on the client gets publishes, and its events run. Where clients come back, the journal's state is locked.
    pub(crate) fn open_in(self: &Arc<Self>, state: Option<&State>) {
        let mut queue = self.queue();
        if queue.phase != Phase::Admitted {
            return;
        }
        let Some(sink) = queue.sink.clone() else { return };
        let Ok(earlier) = self.takes_its_place() else {
            drop(queue);
            return sink.close(Reason::Resumed);
        };
        queue.phase = Phase::Open;
        self.begin_term();
        let transport = sink.transport();
        let (id, offsets) = (self.peer.shared_id(), self.takes_offsets());
        {
            // Whoever puts it into a room from here on finds those it had.
            let mut rooms = self.rooms();
            rooms.open = true;
            self.seat.add(Newcomer { id, offsets, client: Arc::downgrade(self) }, sink);
            self.comes_back(&mut rooms, state);
        }
        self.count(&mut queue, Some(transport));
        let labels = [&*self.namespace.name, self.peer.transport().as_str()];
        self.namespace.metrics.connections.with_label_values(&labels).inc();
        if self.namespace.hooks().connected {
            // In front of events that were faster than this call.
            queue.push_connected();
        } else {
            self.peer.forget();
        }
        self.wake(&mut queue, Instant::now());
        drop(queue);
        if let Some(earlier) = earlier {
            earlier.superseded();
        }
        // Whoever revokes looks for connected clients: one that was let in just before is one since now.
        self.end_if_revoked();
    }

    /// One received event, in the order of reading.
    pub(crate) fn event(self: &Arc<Self>, json: ByteString, attachments: Vec<Bytes>, ack: Option<i64>) {
        let (namespace, limits) = (&self.namespace, self.namespace.limits);
        // Read once for all of it: the clock is a good part of what an event costs here.
        let now = Instant::now();
        let identity = self.peer.identity();
        let listed = identity.as_ref().filter(|identity| !identity.sends_all());
        // Most are asked for by nobody. What is no event at all has none, and is left to whoever answers it.
        let named = namespace.authenticate.is_some() || namespace.limits_events() || listed.is_some();
        let name = if named { split_event(&json).ok().map(|event| event.name) } else { None };
        let refresher = namespace.authenticate.as_deref().filter(|_| name.as_deref() == Some(refresh::EVENT));
        let own = name.as_deref().and_then(|name| namespace.own_limit(name));
        let forbidden = listed.zip(name.as_deref()).is_some_and(|(identity, name)| !identity.may_send(name));
        if let Some(sender) = &self.sender {
            let claimed = identity.as_ref().and_then(Identity::limits).unwrap_or_default();
            let bytes = event_bytes(&json, &attachments);
            let counted = Counted { bytes, claimed, own, refreshes: refresher.is_some() };
            if let Err(over) = self.count_event(sender, &counted, now) {
                return self.over(sender, over, &Job::Event { json, attachments, ack });
            }
        }
        if let Some(authenticate) = refresher {
            return self.show_newer(authenticate, json, ack);
        }
        let job = Job::Event { json, attachments, ack };
        if forbidden {
            return refuse(self, &job, Error::forbidden("not allowed to send this event"));
        }
        let mut queue = self.queue();
        let size = job.bytes();
        let refusal = if queue.phase == Phase::Closed {
            Error::unavailable("the client has left this namespace")
        } else if queue.bytes + size > limits.queue_bytes && !queue.jobs.is_empty() {
            Error::overloaded("too many events are waiting")
        } else {
            queue.push(job, now);
            queue.fill(limits.queue_events);
            if queue.phase == Phase::Open {
                self.wake(&mut queue, now);
            }
            return;
        };
        drop(queue);
        refuse(self, &job, refusal);
    }

    /// The client is asked something. Until the value is dropped it is read from, however many events wait and however much it
    /// has sent: its answer comes behind those it has sent already. They are limited all the same.
    pub(crate) fn ask(self: &Arc<Self>) -> Asking {
        self.queue().ask();
        Asking(Arc::clone(self))
    }

    /// The client is gone. What it sent before still runs.
    pub(crate) fn closed(self: &Arc<Self>, reason: Reason) {
        self.end_term();
        let mut queue = self.queue();
        match queue.close() {
            Phase::Open => {}
            Phase::Admitted => {
                let unanswered = std::mem::take(&mut queue.jobs);
                let spent = queue.spent_sink();
                drop(queue);
                for waiting in unanswered {
                    refuse(self, &waiting.job, Error::unavailable("the client has left this namespace"));
                }
                drop(spent);
                return self.count_abandoned();
            }
            Phase::Closed => return,
        }
        {
            let mut rooms = self.rooms();
            rooms.open = false;
            if let Some(interest) = &self.namespace.interest {
                interest.go(&rooms.names);
            }
            self.seat.remove(rooms.names.clone());
            if let Some(presence) = &self.namespace.presence {
                rooms.names.iter().for_each(|room| presence.left(room));
            }
            self.goes(reason, &rooms.names);
        }
        self.count(&mut queue, None);
        let labels = [&*self.namespace.name, reason.as_str()];
        self.namespace.metrics.disconnections.with_label_values(&labels).inc();
        if self.namespace.hooks().disconnected {
            let now = Instant::now();
            queue.push(Job::Disconnected(reason), now);
            self.wake(&mut queue, now);
        }
        let spent = queue.spent_sink();
        drop(queue);
        // Its end is the server's matter, and not to be reached under our lock.
        drop(spent);
    }

    /// The sink tells another transport than before.
    pub(crate) fn transport_changed(&self) {
        let mut queue = self.queue();
        if queue.phase == Phase::Open {
            // Asked under the lock: of two changes at once, the later word stays.
            let transport = queue.sink.as_ref().map(|sink| sink.transport());
            self.count(&mut queue, transport);
        }
    }

    /// Counts the client under a transport, or no more.
    fn count(&self, queue: &mut Queue, transport: Option<Transport>) {
        let gauge = |transport: Option<Transport>| self.namespace.connected(transport?);
        gauge(transport).into_iter().for_each(IntGauge::inc);
        gauge(std::mem::replace(&mut queue.counted, transport)).into_iter().for_each(IntGauge::dec);
    }

    /// The client went before its CONNECT was answered.
    fn count_abandoned(&self) {
        if let Some(interest) = &self.namespace.interest {
            interest.go(&[]);
        }
        self.namespace.metrics.abandoned.with_label_values(&[&*self.namespace.name]).inc();
    }

    /// Hands the client to the plugin's threads, and to the clock, unless they have it or there is nothing to do.
    fn wake(self: &Arc<Self>, queue: &mut Queue, now: Instant) {
        if queue.jobs.is_empty() {
            return;
        }
        if !queue.watched {
            queue.watched = true;
            self.namespace.clock.watch(Arc::clone(self) as Arc<dyn Timed>);
        }
        if matches!(queue.run, Run::Idle) {
            queue.run = Run::Handed(now);
            self.namespace.handover.give(Arc::clone(self));
        }
    }

    /// The plugin's per-client value of type `T`, made on first use.
    pub(crate) fn state<T: Default + Send + Sync + 'static>(&self) -> Arc<T> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let value = state.get_or_insert_default().entry(TypeId::of::<T>()).or_insert_with(|| Arc::new(T::default()));
        // The key is the type, so the downcast always succeeds.
        Arc::clone(value).downcast().unwrap_or_default()
    }
}

/// A question that the client has not answered yet.
pub(crate) struct Asking(Arc<Client>);

impl Drop for Asking {
    fn drop(&mut self) {
        self.0.queue().asked();
    }
}

impl Drop for Client {
    /// Nothing a client asked for is owed for ever, whatever became of the task that was to answer.
    fn drop(&mut self) {
        self.end_term();
        let queue = self.queue.get_mut().unwrap_or_else(PoisonError::into_inner);
        let admitted = queue.phase == Phase::Admitted;
        // Kept until all is answered.
        let _sink = queue.sink.clone();
        let unanswered = std::mem::take(&mut queue.jobs);
        for waiting in unanswered {
            refuse(self, &waiting.job, Error::unavailable("the server is going away"));
        }
        if admitted {
            self.count_abandoned();
        }
    }
}

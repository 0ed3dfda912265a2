//! One client of one namespace: its state, and the queue that keeps its events in order.

use std::any::{Any, TypeId};
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use bytestring::ByteString;

use crate::ack::Deferred;
use crate::dispatch;
use crate::error::{Error, Result};
use crate::hub::{MAX_ROOM_NAME, MAX_ROOMS, Seat};
use crate::namespace::Namespace;
use crate::peer::Peer;
use crate::sink::{Reason, Sink};

/// What one waiting event is taken to cost beside its bytes: its place in the queue and its attachments' handles.
const EVENT_OVERHEAD: usize = 128;

/// A client, from CONNECT to its end.
pub(crate) struct Client {
    pub(crate) peer: Peer,
    pub(crate) namespace: Arc<Namespace>,
    pub(crate) sink: Arc<dyn Sink>,
    pub(crate) seat: Seat,
    rooms: Mutex<Rooms>,
    /// Calls whose handlers hold the ack.
    pub(crate) deferred: Deferred,
    /// The plugin's own per-client values, by type, once there are any.
    state: Mutex<Option<Box<Values>>>,
    queue: Mutex<Queue>,
}

/// A client's rooms.
#[derive(Default)]
pub(crate) struct Rooms {
    /// Whether it can join any: after `opened`, and until `closed`.
    open: bool,
    /// They stay known for `disconnected`.
    pub(crate) names: Vec<Arc<str>>,
}

/// Values by their types.
type Values = HashMap<TypeId, Arc<dyn Any + Send + Sync>>;

/// What is to be done for a client, in order. At most one task works on it, and only while there is work.
struct Queue {
    phase: Phase,
    jobs: VecDeque<Job>,
    bytes: usize,
    /// A task is working the queue off.
    running: bool,
    /// Reading from the client is paused until the queue is a quarter full.
    paused: bool,
    /// Questions the client has not answered yet: it is not paused meanwhile.
    asking: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Admitted; the CONNECT reply is not queued yet.
    Admitted,
    Open,
    Closed,
}

/// One piece of work.
pub(crate) enum Job {
    Connected,
    Event { json: ByteString, attachments: Vec<Bytes>, ack: Option<i64> },
    Disconnected(Reason),
}

impl Job {
    fn bytes(&self) -> usize {
        match self {
            Self::Event { json, attachments, .. } => event_bytes(json, attachments) + EVENT_OVERHEAD,
            Self::Connected | Self::Disconnected(_) => 0,
        }
    }
}

/// Bytes of an event as received.
pub(crate) fn event_bytes(json: &str, attachments: &[Bytes]) -> usize {
    json.len() + attachments.iter().map(Bytes::len).sum::<usize>()
}

impl Client {
    pub(crate) fn new(peer: Peer, namespace: Arc<Namespace>, sink: Arc<dyn Sink>) -> Self {
        let queue =
            Queue { phase: Phase::Admitted, jobs: VecDeque::new(), bytes: 0, running: false, paused: false, asking: 0 };
        let seat = namespace.hub.seat(namespace.space, &*sink);
        Self {
            peer,
            namespace,
            sink,
            seat,
            rooms: Mutex::default(),
            deferred: Deferred::default(),
            state: Mutex::default(),
            queue: Mutex::new(queue),
        }
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn rooms(&self) -> MutexGuard<'_, Rooms> {
        self.rooms.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts the client into a room. Nothing happens to one that is gone.
    pub(crate) fn join(&self, room: &str) -> Result<()> {
        if room.is_empty() || room.len() > MAX_ROOM_NAME {
            return Err(Error::bad_payload(format!("a room's name has 1 to {MAX_ROOM_NAME} bytes")));
        }
        let mut rooms = self.rooms();
        if !rooms.open {
            return Ok(());
        }
        let rooms = &mut rooms.names;
        if rooms.iter().any(|known| &**known == room) {
            return Ok(());
        }
        if rooms.len() >= MAX_ROOMS {
            return Err(Error::too_large(format!("a client can be in {MAX_ROOMS} rooms")));
        }
        let room: Arc<str> = room.into();
        rooms.push(Arc::clone(&room));
        self.seat.join(room);
        Ok(())
    }

    /// Takes the client out of a room.
    pub(crate) fn leave(&self, room: &str) {
        let mut rooms = self.rooms();
        if rooms.open
            && let Some(place) = rooms.names.iter().position(|known| &**known == room)
        {
            self.seat.leave(rooms.names.swap_remove(place));
        }
    }

    /// The CONNECT reply is queued: from here on the client gets publishes, and its events run.
    pub(crate) fn opened(self: &Arc<Self>) {
        let mut queue = self.queue();
        if queue.phase != Phase::Admitted {
            return;
        }
        queue.phase = Phase::Open;
        self.rooms().open = true;
        self.seat.add(self.peer.shared_id(), Arc::clone(&self.sink));
        let labels = [&*self.namespace.name, self.peer.transport().as_str()];
        self.namespace.metrics.connections.with_label_values(&labels).inc();
        // In front of events that were faster than this call.
        queue.jobs.push_front(Job::Connected);
        self.wake(&mut queue);
    }

    /// One received event, in the order of reading.
    pub(crate) fn event(self: &Arc<Self>, json: ByteString, attachments: Vec<Bytes>, ack: Option<i64>) {
        let limits = self.namespace.limits;
        let job = Job::Event { json, attachments, ack };
        let mut queue = self.queue();
        if queue.phase == Phase::Closed {
            return;
        }
        if queue.bytes + job.bytes() > limits.queue_bytes && !queue.jobs.is_empty() {
            drop(queue);
            if let Job::Event { json, attachments, ack } = job {
                dispatch::refuse(self, &json, &attachments, ack, Error::overloaded("too many events are waiting"));
            }
            return;
        }
        queue.bytes += job.bytes();
        queue.jobs.push_back(job);
        if !queue.paused && queue.asking == 0 && queue.jobs.len() >= limits.queue_events {
            queue.paused = true;
            // Under the lock, so that it cannot overtake the resume of the task at work.
            self.sink.pause_reading(true);
        }
        if queue.phase == Phase::Open {
            self.wake(&mut queue);
        }
    }

    /// The client is asked something. Until the value is dropped it is read from, however many events wait: its answer
    /// comes behind those it has sent already. Their bytes are limited all the same.
    pub(crate) fn ask(self: &Arc<Self>) -> Asking {
        let mut queue = self.queue();
        queue.asking += 1;
        if queue.paused {
            queue.paused = false;
            self.sink.pause_reading(false);
        }
        Asking(Arc::clone(self))
    }

    /// The client is gone. What it sent before still runs.
    pub(crate) fn closed(self: &Arc<Self>, reason: Reason) {
        let mut queue = self.queue();
        match std::mem::replace(&mut queue.phase, Phase::Closed) {
            Phase::Open => {}
            Phase::Admitted => {
                queue.jobs.clear();
                return self.count_abandoned();
            }
            Phase::Closed => return,
        }
        {
            let mut rooms = self.rooms();
            rooms.open = false;
            self.seat.remove(rooms.names.clone());
        }
        let labels = [&*self.namespace.name, reason.as_str()];
        self.namespace.metrics.disconnections.with_label_values(&labels).inc();
        queue.jobs.push_back(Job::Disconnected(reason));
        self.wake(&mut queue);
    }

    /// The client went before its CONNECT was answered.
    fn count_abandoned(&self) {
        self.namespace.metrics.abandoned.with_label_values(&[&*self.namespace.name]).inc();
    }

    fn wake(self: &Arc<Self>, queue: &mut Queue) {
        if !queue.running {
            queue.running = true;
            let task = dispatch::work_off(Arc::clone(self));
            self.namespace.clients.spawn_on(task, &self.namespace.threads);
        }
    }

    /// The next piece of work; `None` ends the task.
    pub(crate) fn next(&self) -> Option<Job> {
        let mut queue = self.queue();
        let Some(job) = queue.jobs.pop_front() else {
            queue.running = false;
            // Most clients say little: they keep no memory for what they may say.
            queue.jobs = VecDeque::new();
            return None;
        };
        queue.bytes -= job.bytes();
        if queue.paused && queue.jobs.len() <= self.namespace.limits.queue_events / 4 {
            queue.paused = false;
            self.sink.pause_reading(false);
        }
        Some(job)
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
        let mut queue = self.0.queue();
        queue.asking -= 1;
        let full = queue.jobs.len() >= self.0.namespace.limits.queue_events;
        if full && queue.asking == 0 && !queue.paused && queue.phase != Phase::Closed {
            queue.paused = true;
            self.0.sink.pause_reading(true);
        }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let queue = self.queue.get_mut().unwrap_or_else(PoisonError::into_inner);
        if queue.phase == Phase::Admitted {
            self.count_abandoned();
        }
    }
}

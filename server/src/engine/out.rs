//! The way out of a session: whoever sends writes at once when nothing waits, else it is queued.
//!
//! When the socket takes no more, the task that reads from it is woken: it waits for both directions, and writes the
//! rest as the client reads. Over polling, a poll that waits is woken.

use std::sync::Arc;
use std::task::Waker;

use bytes::Bytes;
use carillon_core::packet::Item;
use carillon_core::sink::{Mode, Part, Pushed, Reason, Taken};
use smallvec::SmallVec;

use super::outbox::{Key, Load, Outbox};
use super::session::Session;
use super::slow::Stall;
use crate::wire::Stream;

/// The guarded part of a session's way out. Laid out as written, like the session.
#[repr(C)]
pub(super) struct Out {
    /// The session has ended: nothing is sent any more.
    pub(super) over: bool,
    /// The socket took no more: the reading task writes on.
    pub(super) blocked: bool,
    /// A WebSocket has been probed, or is about to be.
    pub(super) upgrading: bool,
    /// Bytes that were written since the start.
    pub(super) written: u64,
    pub(super) carrier: Carrier,
    /// The clients whose CONNECT reply is queued: nothing of others may leave.
    pub(super) joined: SmallVec<[Joined; 1]>,
    pub(super) outbox: Outbox,
    /// Bytes of cost that have left since the start.
    pub(super) left: u64,
    /// How the client reads, while the socket takes no more.
    pub(super) stall: Option<Box<Stall>>,
}

/// A client that may be sent to. Its cork goes with it: one that leaves in the middle of a run holds up nobody else.
pub(super) struct Joined {
    pub(super) key: Key,
    pub(super) namespace: Arc<str>,
    /// It is not in yet, or a run of its events is under way: what it is sent waits to leave together.
    pub(super) corked: bool,
}

/// What carries the session.
pub(super) enum Carrier {
    /// Polls: whether there is one, and who waits in it.
    Polling {
        polled: bool,
        waiting: Option<Waker>,
    },
    WebSocket(Arc<Stream>),
    /// Nothing any more.
    None,
}

/// How much of what is sent was written before it would have been queued.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Written {
    Nothing,
    /// So many bytes of it: the rest has to follow.
    Some(usize),
    Whole,
}

impl Out {
    pub(super) fn new() -> Self {
        Self {
            over: false,
            blocked: false,
            upgrading: false,
            written: 0,
            carrier: Carrier::Polling { polled: false, waiting: None },
            joined: SmallVec::new(),
            outbox: Outbox::default(),
            left: 0,
            stall: None,
        }
    }

    fn has(&self, key: Key) -> bool {
        self.joined.iter().any(|joined| joined.key == key)
    }

    fn key(&self, namespace: &str) -> Option<Key> {
        // Mostly the very same piece of memory.
        let is = |known: &str| std::ptr::eq(known, namespace) || known == namespace;
        self.joined.iter().find(|joined| is(&joined.namespace)).map(|joined| joined.key)
    }

    pub(super) fn is_idle(&self) -> bool {
        !self.blocked && !self.is_corked() && self.outbox.is_empty()
    }

    pub(super) fn is_corked(&self) -> bool {
        self.joined.iter().any(|joined| joined.corked)
    }

    fn set_corked(&mut self, key: Key, corked: bool) {
        self.joined.iter_mut().filter(|joined| joined.key == key).for_each(|joined| joined.corked = corked);
    }
}

impl Session {
    /// Sends one packet to one client.
    pub(super) fn send(self: &Arc<Self>, key: Key, frames: &[Bytes]) -> Pushed {
        let mut out = self.out();
        if out.over || !out.has(key) {
            return Pushed::Closed;
        }
        let written = self.write_through(&mut out, frames);
        if written == Written::Whole {
            return Pushed::Delivered;
        }
        if !self.queue_frames(&mut out, frames, 0, written) {
            drop(out);
            self.end(Reason::Slow);
            return Pushed::Slow;
        }
        Pushed::Queued
    }

    /// Touches what [`Self::push`] will need: the lock, the queue, the socket.
    pub(super) fn warm(&self) {
        let out = self.out();
        let stream = match &out.carrier {
            Carrier::WebSocket(stream) => Arc::strong_count(stream),
            _ => 0,
        };
        std::hint::black_box((out.joined.len(), out.outbox.is_empty(), stream));
    }

    /// Sends this connection's part of a run of publishes, whatever its namespaces.
    pub(super) fn push(self: &Arc<Self>, part: &Part<'_>) -> Taken {
        let mut out = self.out();
        if out.over {
            return Taken::all(part.len(), Pushed::Closed);
        }
        let all = part.namespaces().all(|name| out.key(name).is_some());
        let written = if all { self.write_through(&mut out, part.slices()) } else { Written::Nothing };
        if written == Written::Whole {
            return Taken::all(part.len(), Pushed::Delivered);
        }
        // What is begun has to follow whole, whatever might have become of it.
        if all && (part.is_plain() || written != Written::Nothing) {
            if self.queue_frames(&mut out, part.slices(), part.len() as u64, written) {
                return Taken::all(part.len(), Pushed::Queued);
            }
            drop(out);
            self.end(Reason::Slow);
            return Taken::all(part.len(), Pushed::Slow);
        }
        let waiting = out.blocked || !out.outbox.is_empty();
        let mut taken = Taken::default();
        for (item, mode) in part.items() {
            let pushed = match out.key(item.namespace()) {
                _ if taken.slow > 0 => Pushed::Closed,
                None => Pushed::Closed,
                Some(_) if mode == Mode::Volatile && waiting => Pushed::Volatile,
                Some(key) if mode == Mode::Latest => self.queue_latest(&mut out, key, item),
                Some(_) if self.queue_frames(&mut out, item.frames(), 1, Written::Nothing) => Pushed::Queued,
                Some(_) => Pushed::Slow,
            };
            taken.add(1, pushed);
        }
        if taken.slow > 0 {
            drop(out);
            self.end(Reason::Slow);
        }
        taken
    }

    /// Queues a publish that takes the place of an older one.
    fn queue_latest(&self, out: &mut Out, key: Key, item: &Item) -> Pushed {
        let [frame] = item.frames() else {
            let queued = self.queue_frames(out, item.frames(), 1, Written::Nothing);
            return if queued { Pushed::Queued } else { Pushed::Slow };
        };
        let load = Load::new(frame.len(), 1);
        let before = out.outbox.cost();
        if let Some(older) = out.outbox.replace(key, item, frame, load) {
            self.has_room_since(out, before);
            self.common.deliveries.replaced(older.copies);
            return Pushed::Queued;
        }
        if !self.has_room(out, load.cost) {
            return Pushed::Slow;
        }
        out.outbox.push_latest(key, item, frame.clone(), load);
        self.flush(out);
        Pushed::Queued
    }

    /// Queues one frame and writes what can be; `false` when too much waits already.
    pub(super) fn queue(&self, out: &mut Out, frame: Bytes, copies: u64) -> bool {
        self.queue_frames(out, &[frame], copies, Written::Nothing)
    }

    fn queue_frames(&self, out: &mut Out, frames: &[Bytes], copies: u64, written: Written) -> bool {
        let cost: usize = frames.iter().map(|frame| Load::new(frame.len(), 0).cost).sum();
        if !self.has_room(out, cost) {
            return false;
        }
        let last = frames.len().saturating_sub(1);
        for (place, frame) in frames.iter().enumerate() {
            out.outbox.push(frame.clone(), Load::new(frame.len(), if place == last { copies } else { 0 }));
        }
        if let Written::Some(bytes) = written {
            let gone = out.outbox.advance(bytes);
            self.has_left(out, gone);
        }
        self.flush(out);
        true
    }

    /// Whether so much more may wait. A single packet larger than the limit may when nothing else does.
    fn has_room(&self, out: &Out, cost: usize) -> bool {
        let after = out.outbox.cost() + cost;
        let limit = self.common.settings.max_queued_bytes;
        // Nothing can leave while a session changes its transport, so that moment may hold four times as much.
        out.outbox.is_empty() || after <= limit || (after / 4 <= limit && out.upgrading)
    }

    /// A run of this client's events begins whose answers leave together.
    pub(super) fn cork(&self, key: Key) {
        self.out().set_corked(key, true);
    }

    /// It has ended.
    pub(super) fn uncork(&self, key: Key) {
        let mut out = self.out();
        out.set_corked(key, false);
        self.flush(&mut out);
    }

    /// Nothing is sent to this client any more, and what was leaves; whether something could be.
    pub(super) fn unjoin(&self, key: Key) -> bool {
        let mut out = self.out();
        let Some(place) = out.joined.iter().position(|joined| joined.key == key) else { return false };
        out.joined.remove(place);
        self.flush(&mut out);
        true
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use carillon_config::WireSettings;
    use carillon_core::payload::encode_event;
    use tokio::time::timeout;

    use super::*;
    use crate::engine::Engine;

    /// A publish that takes the place of a longer one makes room as well as one that leaves.
    #[tokio::test(start_paused = true)]
    async fn who_waits_for_room_is_told_when_less_waits() {
        let app = crate::simulation::app(0).await;
        let (engine, _) = Engine::of(&app, &WireSettings { max_queued_bytes: 10_000, ..WireSettings::default() });
        let session = engine.open_polling();
        let latest = |bytes: usize| {
            let item = encode_event(&"/".into(), "e", &"x".repeat(bytes)).unwrap();
            assert_eq!(session.queue_latest(&mut session.out(), 1, &item), Pushed::Queued);
        };
        latest(8_000);
        let room = session.room().unwrap();
        let (told, ()) = tokio::join!(timeout(Duration::from_secs(1), room), async { latest(10) });
        assert!(told.is_ok(), "{} bytes wait", session.queued_bytes());
    }
}

//! The way out of a session: its outbox, and the socket it is written to once a WebSocket carries it.
//!
//! Whoever sends writes at once when nothing blocks. When the socket takes no more, the task that reads from it is
//! woken: it waits for both directions, and writes the rest as soon as the client reads.

use std::io;
use std::sync::atomic::Ordering;
use std::sync::{MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll};

use bytes::Bytes;
use carillon_core::packet::Item;
use carillon_core::sink::{Mode, Part, Pushed, Reason, Taken};

use super::{Link, cost};
use crate::outbox::{GateId, Left, Outbox, Stage, is_answer};
use crate::wire::Stream;

/// An Engine.IO ping as a WebSocket frame.
const PING: &[u8] = b"\x81\x012";

/// A client's way into Socket.IO's queue.
pub(crate) trait Speaker: Send + Sync {
    /// Puts a packet into it.
    fn through(&self, item: &Item) -> Result<(), Pushed>;

    /// Queues the sentinel of an upgrade; what it will look like when it passes. `None` when it cannot be queued.
    fn sentinel(&self) -> Option<Vec<u8>>;
}

/// The guarded part of a session's way out.
pub(super) struct Out {
    outbox: Outbox,
    /// The socket, once a WebSocket carries the session.
    stream: Weak<Stream>,
    /// The namespaces whose clients are connected, as long as an upgrade may need one.
    speakers: Vec<(GateId, Weak<dyn Speaker>)>,
    /// The socket took no more: the reading task writes on.
    blocked: bool,
}

impl Out {
    pub(super) fn new() -> Self {
        Self { outbox: Outbox::new(), stream: Weak::new(), speakers: Vec::new(), blocked: false }
    }
}

/// How much of what is sent was written before it would have been queued.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Written {
    Nothing,
    /// So many bytes of its first frame: the rest has to follow.
    Some(usize),
    Whole,
}

/// How the writing stands.
pub(crate) enum Writing {
    Done,
    /// The client takes nothing for now, after so many bytes.
    Blocked(usize),
}

/// What so many Engine.IO messages of so many bytes count while they wait: the sum of their [`cost`].
fn weight((messages, bytes): (usize, usize)) -> usize {
    messages * cost(0) + bytes
}

impl Link {
    fn out(&self) -> MutexGuard<'_, Out> {
        self.out.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A client asks to connect to `namespace`: nothing of it leaves before the reply.
    pub(crate) fn gate(&self, namespace: &str) -> GateId {
        self.out().outbox.gate(namespace)
    }

    /// The client is connected; `speaker` reaches Socket.IO's queue for it.
    pub(crate) fn speaks(&self, gate: GateId, speaker: Weak<dyn Speaker>) {
        let mut out = self.out();
        if !out.outbox.has_gate(gate) {
            return;
        }
        out.outbox.answered(gate);
        if out.outbox.stage() != Stage::Direct {
            out.speakers.push((gate, speaker));
        }
    }

    /// The client has left the namespace: nothing can be sent any more.
    pub(crate) fn leave(&self, gate: GateId) {
        let mut out = self.out();
        out.speakers.retain(|(speaks, _)| *speaks != gate);
        let lost = out.outbox.left(gate);
        drop(out);
        self.lost(lost, Reason::TransportClose);
    }

    /// Sends one packet; `through` puts it into Socket.IO's queue, should the session still use polling.
    pub(crate) fn send(&self, gate: GateId, item: &Item, through: impl FnOnce(&Item) -> Result<(), Pushed>) -> Pushed {
        let mut out = self.out();
        let idle = out.outbox.is_idle(gate);
        let written = self.write_through(&mut out, idle, item.frames());
        if written == Written::Whole {
            return Pushed::Delivered;
        }
        let left = Left { cost: weight(item.messages()), copies: 0 };
        self.put(out, gate, (item.frames(), written), left, None, || through(item))
    }

    /// Touches what [`Self::publish`] will need: the lock, the queue, the socket.
    pub(crate) fn warm(&self, gate: GateId) {
        let out = self.out();
        std::hint::black_box((out.outbox.is_idle(gate), out.stream.strong_count()));
    }

    /// Sends this connection's part of a run of publishes, whatever its namespaces.
    pub(crate) fn push(&self, part: &Part<'_>) -> Taken {
        let mut out = self.out();
        let open = out.outbox.stage() == Stage::Direct && part.namespaces().all(|name| out.outbox.is_open(name));
        let written = if open { self.write_through(&mut out, true, part.slices()) } else { Written::Nothing };
        if written == Written::Whole {
            return Taken::all(part.len(), Pushed::Delivered);
        }
        // What is begun has to follow whole, whatever might have become of it.
        if open && (part.is_plain() || written != Written::Nothing) {
            return self.put_whole(out, part, written);
        }
        let waiting = out.blocked || self.queued_bytes() > 0;
        let mut taken = Taken::default();
        // One by one, as a poll or a gate takes them.
        for (item, mode) in part.items() {
            let gate = out.outbox.gate_of(item.namespace());
            let pushed = match gate {
                None => Pushed::Closed,
                Some(_) if mode == Mode::Volatile && waiting => Pushed::Volatile,
                Some(gate) => {
                    let speaker =
                        out.speakers.iter().find(|(of, _)| *of == gate).and_then(|(_, speaker)| speaker.upgrade());
                    let through = || speaker.map_or(Err(Pushed::Closed), |speaker| speaker.through(item));
                    let left = Left { cost: weight(item.messages()), copies: 1 };
                    let topic = (mode == Mode::Latest).then_some(item);
                    let pushed = self.put(out, gate, (item.frames(), Written::Nothing), left, topic, through);
                    out = self.out();
                    pushed
                }
            };
            taken.add(1, pushed);
        }
        taken
    }

    /// Queues a part in one piece, of which some may be written already. All its gates are open.
    fn put_whole(&self, mut out: MutexGuard<'_, Out>, part: &Part<'_>, written: Written) -> Taken {
        let (copies, cost) = (part.len(), weight(part.messages()));
        let gate = part.namespaces().next().and_then(|name| out.outbox.gate_of(name));
        let (None, Some(gate)) = (self.ended.get(), gate) else { return Taken::all(copies, Pushed::Closed) };
        if !self.reserve(cost) {
            drop(out);
            self.end(Reason::Slow);
            return Taken::all(copies, Pushed::Slow);
        }
        out.outbox.push(gate, part.slices(), Left { cost, copies: copies as u64 }, None);
        if let Written::Some(bytes) = written {
            self.has_left(out.outbox.advance(bytes));
        }
        self.write(&mut out);
        Taken::all(copies, Pushed::Queued)
    }

    /// Queues frames, of whose first some may be written already, and writes what can be.
    fn put(
        &self,
        mut out: MutexGuard<'_, Out>,
        gate: GateId,
        (frames, written): (&[Bytes], Written),
        left: Left,
        topic: Option<&Item>,
        through: impl FnOnce() -> Result<(), Pushed>,
    ) -> Pushed {
        if self.ended.get().is_some() || !out.outbox.has_gate(gate) {
            return Pushed::Closed;
        }
        if !self.reserve(left.cost) {
            drop(out);
            self.end(Reason::Slow);
            return Pushed::Slow;
        }
        if out.outbox.stage() == Stage::Polling {
            if let Err(refused) = through() {
                drop(out);
                self.settle(left.cost);
                if refused == Pushed::Slow {
                    self.end(Reason::Slow);
                }
                return refused;
            }
            out.outbox.queued_for_polling(left.copies);
            return Pushed::Queued;
        }
        if let (Some(item), [frame]) = (topic, frames)
            && let Some(older) = out.outbox.replace(gate, frame, left, item)
        {
            drop(out);
            self.settle(older.cost);
            self.deliveries.replaced(older.copies);
            return Pushed::Queued;
        }
        out.outbox.push(gate, frames, left, topic);
        if let Written::Some(bytes) = written {
            self.has_left(out.outbox.advance(bytes));
        }
        self.write(&mut out);
        Pushed::Queued
    }

    /// The common case: nothing waits, and the socket takes a single frame at once.
    fn write_through(&self, out: &mut Out, open: bool, frames: &[Bytes]) -> Written {
        let [frame] = frames else { return Written::Nothing };
        if out.blocked || !open || !out.outbox.is_empty() {
            return Written::Nothing;
        }
        let Some(stream) = out.stream.upgrade() else { return Written::Nothing };
        match stream.send(frame) {
            Ok(written) => {
                self.metrics.writes.inc();
                if written == frame.len() { Written::Whole } else { Written::Some(written) }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                out.blocked = true;
                self.reader.wake();
                Written::Nothing
            }
            // The reading task meets the same end and closes the session.
            Err(_) => Written::Nothing,
        }
    }

    /// Puts a call into Socket.IO's queue with `through`, at its place in the client's order.
    pub(crate) fn call<T>(
        &self,
        gate: GateId,
        bytes: impl FnOnce() -> usize,
        through: impl FnOnce() -> Result<T, Pushed>,
    ) -> Result<T, Pushed> {
        let mut out = self.out();
        if self.ended.get().is_some() || !out.outbox.has_gate(gate) {
            return Err(Pushed::Closed);
        }
        let bytes = bytes();
        if !self.reserve(bytes) {
            drop(out);
            self.end(Reason::Slow);
            return Err(Pushed::Slow);
        }
        let polling = out.outbox.stage() == Stage::Polling;
        if polling {
            out.outbox.queued_for_polling(0);
        } else {
            out.outbox.hole(gate);
        }
        through().inspect_err(|_| {
            if polling {
                out.outbox.not_queued()
            } else {
                out.outbox.no_hole()
            }
            drop(out);
            self.settle(bytes);
        })
    }

    // --- Passing by --------------------------------------------------------------------------------------------

    /// A WebSocket carries the session: from its start, or after the upgrade that has just begun.
    pub(super) fn takes(&self, stream: Weak<Stream>, upgrade: bool) {
        let mut out = self.out();
        out.stream = stream;
        if !upgrade {
            out.outbox.go_direct();
        }
    }

    /// Complete frames that Socket.IO sends, through `each(frame, payload, binary)`.
    pub(crate) fn foreign(&self, frame: &[u8], payload: &[u8], binary: bool) {
        // They are counted like everything that waits: who connects and leaves again and again has to read the answers.
        if !binary && is_answer(payload) && !self.reserve(cost(payload.len())) {
            return self.end(Reason::Slow);
        }
        let mut out = self.out();
        out.outbox.foreign(frame, payload, binary);
        if out.outbox.stage() == Stage::Direct {
            out.speakers = Vec::new();
        }
        if !binary && payload == b"3probe" && out.outbox.stage() == Stage::Polling {
            self.hold(&mut out);
        }
        self.write(&mut out);
    }

    /// A control frame that the WebSocket sends.
    pub(crate) fn control(&self, frame: &[u8], opcode: u8) {
        let mut out = self.out();
        out.outbox.control(frame, opcode);
        self.write(&mut out);
    }

    /// Sends a ping that Socket.IO has left out.
    pub(super) fn ping(&self) {
        self.foreign(PING, &PING[2..], false);
        self.ping_sent();
    }

    /// The client has left polling or is about to: what is sent from now on follows what is queued there.
    fn hold(&self, out: &mut Out) {
        let mut speakers = out.speakers.iter().filter_map(|(_, speaker)| speaker.upgrade());
        let sentinel = speakers.find_map(|speaker| speaker.sentinel());
        out.outbox.hold_until(sentinel.as_deref());
    }

    /// A packet left in the response of a poll: its Engine.IO type and what follows.
    pub(crate) fn polled(&self, packet: &[u8], cost: usize) {
        match packet {
            [b'4', b'2' | b'3' | b'5' | b'6', ..] => {
                let mut out = self.out();
                let copies = out.outbox.polled();
                self.write(&mut out);
                drop(out);
                self.has_left(Left { cost, copies });
            }
            [b'4', b'0', ..] => {
                let mut out = self.out();
                out.outbox.connected(packet);
                self.write(&mut out);
            }
            [b'b', ..] => self.has_left(Left { cost, copies: 0 }),
            [b'2'] => self.ping_sent(),
            _ => {}
        }
    }

    // --- Out ---------------------------------------------------------------------------------------------------

    fn write(&self, out: &mut Out) {
        if out.blocked || !out.outbox.has_output() {
            return;
        }
        let Some(stream) = out.stream.upgrade() else { return };
        self.write_to(&stream, out);
    }

    /// Writes until everything is out or the socket takes no more; how many bytes it took.
    fn write_to(&self, stream: &Stream, out: &mut Out) -> usize {
        let mut taken = 0;
        while out.outbox.has_output() {
            let written = stream.try_write(&out.outbox.slices());
            match written {
                Ok(written) => {
                    taken += written;
                    self.has_left(out.outbox.advance(written));
                    self.metrics.writes.inc();
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    out.blocked = true;
                    self.reader.wake();
                    break;
                }
                // The reading task meets the same end and closes the session.
                Err(_) => break,
            }
        }
        taken
    }

    /// Called by the reading task, which is woken whenever the socket takes more.
    pub(crate) fn drive(&self, stream: &Stream, cx: &mut Context<'_>) -> Writing {
        self.reader.register(cx.waker());
        let mut out = self.out();
        let mut taken = 0;
        while out.outbox.has_output() {
            match stream.poll_writable(cx) {
                Poll::Pending => {
                    out.blocked = true;
                    return Writing::Blocked(taken);
                }
                Poll::Ready(Err(_)) => return Writing::Done,
                Poll::Ready(Ok(())) => {
                    out.blocked = false;
                    let wrote = self.write_to(stream, &mut out);
                    taken += wrote;
                    if wrote == 0 && !out.blocked {
                        // An error: reading will tell.
                        return Writing::Done;
                    }
                }
            }
        }
        out.blocked = false;
        Writing::Done
    }

    fn has_left(&self, left: Left) {
        if left.cost > 0 {
            self.left.fetch_add(left.cost as u64, Ordering::AcqRel);
            self.settle(left.cost);
        }
        if left.copies > 0 {
            self.deliveries.delivered(left.copies);
        }
    }

    /// Nothing leaves any more; what waited is lost.
    pub(super) fn close_out(&self, reason: Reason) {
        let lost = self.out().outbox.close();
        self.lost(lost, reason);
    }

    fn lost(&self, lost: Left, reason: Reason) {
        if lost.cost > 0 {
            self.settle(lost.cost);
        }
        if reason == Reason::Slow { self.deliveries.slow(lost.copies) } else { self.deliveries.closed(lost.copies) }
    }
}

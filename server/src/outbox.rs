//! What waits to leave for one client connection, and in which order. No I/O: packets go in, slices come out.
//!
//! Over polling, packets go through Socket.IO's own queue. Over a WebSocket our shared frames leave by themselves, and
//! three rules keep the order a client was promised:
//! - nothing of a namespace leaves before its CONNECT reply, which is seen passing by: until then it waits at a *gate*;
//! - after an upgrade, what was queued for polling leaves first: ours is *held* until a *sentinel* that was queued
//!   behind it comes out of Socket.IO's queue;
//! - a call to the client has to go through Socket.IO, which matches its ack: it leaves a *hole* in our queue, which
//!   its frames fill when they come out.

mod parts;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::Bytes;
use carillon_core::packet::Item;
use smallvec::SmallVec;

use self::parts::{Begun, Gate, Piece, Slot, Transition, Unit, attachments, namespace};
pub(crate) use self::parts::{GateId, Left, is_answer};
use crate::link::cost;
use crate::wire::PONG;

/// Slices offered to one vectored write. Batches are large, so that many fill any send buffer.
const SLICES: usize = 64;

/// Which way our packets go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Through Socket.IO's queue.
    Polling,
    /// An upgrade is under way and its sentinel is queued: ours are held.
    Upgrading,
    /// Straight to the WebSocket.
    Direct,
}

/// See the module's documentation. Every connection has one, so what is seldom used lies elsewhere.
#[derive(Debug)]
pub(crate) struct Outbox {
    stage: Stage,
    /// Most clients are in one namespace: this one is found without a look elsewhere in memory.
    gates: SmallVec<[Gate; 1]>,
    next_gate: GateId,
    /// Frames without an order towards ours, which may even come between an event and its attachments: pings, pongs.
    urgent: VecDeque<Bytes>,
    ordered: VecDeque<Slot>,
    begun: Option<Box<Begun>>,
    unit: Option<Box<Unit>>,
    transition: Option<Box<Transition>>,
}

impl Outbox {
    pub(crate) fn new() -> Self {
        Self {
            stage: Stage::Polling,
            gates: SmallVec::new(),
            next_gate: 0,
            urgent: VecDeque::new(),
            ordered: VecDeque::new(),
            begun: None,
            unit: None,
            transition: Some(Box::default()),
        }
    }

    pub(crate) fn stage(&self) -> Stage {
        self.stage
    }

    // --- Gates -------------------------------------------------------------------------------------------------

    /// A client asks to connect to `namespace`.
    pub(crate) fn gate(&mut self, namespace: &str) -> GateId {
        let id = self.next_gate;
        self.next_gate += 1;
        self.gates.push(Gate { id, namespace: namespace.into(), answered: false, open: false, left: false });
        id
    }

    /// Whether the client has not left the namespace yet.
    pub(crate) fn has_gate(&self, id: GateId) -> bool {
        self.gates.iter().any(|gate| gate.id == id && !gate.left)
    }

    /// The CONNECT reply is in Socket.IO's queue.
    pub(crate) fn answered(&mut self, id: GateId) {
        self.gates.iter_mut().filter(|gate| gate.id == id).for_each(|gate| gate.answered = true);
    }

    /// The CONNECT reply `payload` (with its Engine.IO prefix) leaves: what waited for it may follow.
    pub(crate) fn connected(&mut self, payload: &[u8]) {
        let namespace = namespace(payload);
        let waiting = |gate: &&mut Gate| !gate.open && gate.namespace.as_bytes() == namespace;
        let Some(gate) = self.gates.iter_mut().find(waiting) else { return };
        gate.open = true;
        let id = gate.id;
        self.gates.retain(|gate| !gate.left || !gate.open);
        for slot in slots(&mut self.ordered, &mut self.transition) {
            if let Slot::Gated(waits, piece) = slot
                && *waits == id
            {
                *slot = Slot::Ready(piece.clone());
            }
        }
    }

    /// The client has left the namespace. What waits at its gate follows the CONNECT reply that is on its way, as the
    /// DISCONNECT of a server does; without one it never leaves.
    pub(crate) fn left(&mut self, id: GateId) -> Left {
        if let Some(gate) = self.gates.iter_mut().find(|gate| gate.id == id && gate.answered && !gate.open) {
            gate.left = true;
            return Left::default();
        }
        self.gates.retain(|gate| gate.id != id);
        let mut lost = Left::default();
        let mut keep = |slot: &Slot| match slot {
            Slot::Gated(waits, piece) if *waits == id => {
                lost.add(piece.left);
                false
            }
            _ => true,
        };
        self.ordered.retain(&mut keep);
        if let Some(transition) = &mut self.transition {
            transition.held.retain(&mut keep);
        }
        lost
    }

    // --- Ours --------------------------------------------------------------------------------------------------

    /// Notes a packet that was put into Socket.IO's queue.
    pub(crate) fn queued_for_polling(&mut self, copies: u64) {
        if let Some(transition) = &mut self.transition {
            transition.polled.push_back(copies);
        }
    }

    /// It was not put there after all.
    pub(crate) fn not_queued(&mut self) {
        if let Some(transition) = &mut self.transition {
            transition.polled.pop_back();
        }
    }

    /// Queues complete frames; `left` counts for all of them.
    pub(crate) fn push(&mut self, gate: GateId, frames: &[Bytes], left: Left, topic: Option<&Item>) {
        let open = self.gates.iter().any(|known| known.id == gate && known.open);
        let Some((last, rest)) = frames.split_last() else { return };
        let nothing = Left::default();
        let pieces =
            rest.iter().map(|bytes| Piece { bytes: bytes.clone(), left: nothing, topic: None }).chain([Piece {
                bytes: last.clone(),
                left,
                topic: topic.filter(|_| rest.is_empty()).map(|item| (gate, item.clone())),
            }]);
        self.line().extend(pieces.map(|piece| if open { Slot::Ready(piece) } else { Slot::Gated(gate, piece) }));
    }

    /// Puts `item` in the place of a waiting publish of the same event, and says what that one was; `None` when none waits.
    pub(crate) fn replace(&mut self, gate: GateId, frame: &Bytes, left: Left, item: &Item) -> Option<Left> {
        let same = |(of, old): &(GateId, Item)| *of == gate && old.topic() == item.topic();
        let older = slots(&mut self.ordered, &mut self.transition).find_map(|slot| match slot {
            Slot::Ready(piece) | Slot::Gated(_, piece) => piece.topic.as_ref().is_some_and(same).then_some(piece),
            Slot::Hole(_) => None,
        })?;
        let before = older.left;
        *older = Piece { bytes: frame.clone(), left, topic: Some((gate, item.clone())) };
        Some(before)
    }

    /// A call is about to be put into Socket.IO's queue.
    pub(crate) fn hole(&mut self, gate: GateId) {
        self.line().push_back(Slot::Hole(gate));
    }

    /// It was not put there after all.
    pub(crate) fn no_hole(&mut self) {
        let line = self.line();
        if matches!(line.back(), Some(Slot::Hole(_))) {
            line.pop_back();
        }
    }

    fn line(&mut self) -> &mut VecDeque<Slot> {
        match &mut self.transition {
            Some(transition) if self.stage != Stage::Direct => &mut transition.held,
            _ => &mut self.ordered,
        }
    }

    // --- The upgrade -------------------------------------------------------------------------------------------

    /// The session goes over a WebSocket from its start.
    pub(crate) fn go_direct(&mut self) {
        self.stage = Stage::Direct;
        if let Some(transition) = &mut self.transition {
            self.ordered.append(&mut transition.held);
        }
        self.end_transition();
    }

    /// The client has probed a WebSocket. From now on ours are held, until `sentinel` (with its Engine.IO prefix) passes;
    /// without one, until nothing is queued any more for clients that have left.
    pub(crate) fn hold_until(&mut self, sentinel: Option<&[u8]>) {
        self.stage = Stage::Upgrading;
        if let Some(transition) = &mut self.transition {
            transition.sentinel = sentinel.map(Into::into);
        }
        self.release();
    }

    /// Ends an upgrade that waits for no sentinel, once nothing is queued for polling any more.
    fn release(&mut self) {
        let over = |transition: &Transition| transition.sentinel.is_none() && transition.polled.is_empty();
        if self.stage == Stage::Upgrading && self.transition.as_deref().is_some_and(over) {
            self.go_direct();
        }
    }

    // --- Socket.IO's -------------------------------------------------------------------------------------------

    /// A complete frame of Socket.IO's comes along; `payload` is what follows its header.
    pub(crate) fn foreign(&mut self, frame: &[u8], payload: &[u8], binary: bool) {
        if binary {
            return self.attachment(frame, payload);
        }
        if self.transition.as_ref().is_some_and(|transition| transition.sentinel.as_deref() == Some(payload)) {
            return self.go_direct();
        }
        match payload {
            [b'4', b'2' | b'3', ..] => self.packet(frame, payload, 0),
            [b'4', b'5' | b'6', rest @ ..] => self.packet(frame, payload, attachments(rest)),
            [b'4', kind, ..] => {
                // Behind what was sent before; in front of what waits for this CONNECT reply, or for the next one.
                let namespace = namespace(payload);
                let here = |gate: &Gate| !gate.open && *gate.namespace.as_bytes() == *namespace;
                let shut = |id| self.gates.iter().any(|gate| gate.id == id && here(gate));
                let waits = |slot: &Slot| matches!(slot, Slot::Gated(id, _) | Slot::Hole(id) if shut(*id));
                let place = self.ordered.iter().position(waits).unwrap_or(self.ordered.len());
                let bytes = Bytes::copy_from_slice(frame);
                let left = Left { cost: cost(payload.len()), copies: 0 };
                self.ordered.insert(place, Slot::Ready(Piece { bytes, left, topic: None }));
                if *kind == b'0' {
                    self.connected(payload);
                }
            }
            _ => self.urgent.push_back(Bytes::copy_from_slice(frame)),
        }
    }

    /// A control frame: never part of a packet. Of pongs only the newest waits (RFC 6455, section 5.5.3), so that a
    /// client that pings and does not read costs nothing.
    pub(crate) fn control(&mut self, frame: &[u8], opcode: u8) {
        let frame = Bytes::copy_from_slice(frame);
        let pong = |waiting: &&mut Bytes| waiting.first().is_some_and(|first| first & 0x0F == PONG);
        match self.urgent.iter_mut().find(pong).filter(|_| opcode == PONG) {
            Some(older) => *older = frame,
            None => self.urgent.push_back(frame),
        }
    }

    /// A packet that was queued for polling, or a call.
    fn packet(&mut self, frame: &[u8], payload: &[u8], missing: usize) {
        // Before the sentinel, everything was queued for polling; after it, only calls come this way, and what a client
        // that had left by then was still to get.
        let queued = self.transition.as_mut().and_then(|transition| transition.polled.pop_front());
        let left = Left { cost: cost(payload.len()), copies: queued.unwrap_or(0) };
        let ordered = queued.is_some() || self.stage != Stage::Direct;
        self.end_transition();
        self.unit = Some(Box::new(Unit { bytes: frame.to_vec(), left, missing, ordered }));
        self.complete();
    }

    fn end_transition(&mut self) {
        if self.stage == Stage::Direct {
            self.transition.take_if(|transition| transition.polled.is_empty());
        }
    }

    fn attachment(&mut self, frame: &[u8], payload: &[u8]) {
        let Some(unit) = &mut self.unit else { return };
        unit.bytes.extend_from_slice(frame);
        unit.left.cost += cost(payload.len());
        unit.missing = unit.missing.saturating_sub(1);
        self.complete();
    }

    fn complete(&mut self) {
        let Some(unit) = self.unit.take_if(|unit| unit.missing == 0) else { return };
        let slot = Slot::Ready(Piece { bytes: unit.bytes.into(), left: unit.left, topic: None });
        let hole = self.ordered.iter().position(|slot| matches!(slot, Slot::Hole(_)));
        match hole.filter(|_| !unit.ordered) {
            Some(place) => self.ordered[place] = slot,
            None => self.ordered.push_back(slot),
        }
        self.release();
    }

    /// A packet of ours left in the response of a poll; its published copies.
    pub(crate) fn polled(&mut self) -> u64 {
        let copies = self.transition.as_mut().and_then(|transition| transition.polled.pop_front());
        self.release();
        copies.unwrap_or(0)
    }

    // --- Out ---------------------------------------------------------------------------------------------------

    /// Whether something can leave now.
    pub(crate) fn has_output(&self) -> bool {
        self.begun.is_some() || !self.urgent.is_empty() || matches!(self.ordered.front(), Some(Slot::Ready(_)))
    }

    /// Whether nothing waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.begun.is_none() && self.urgent.is_empty() && self.ordered.is_empty()
    }

    /// Whether what belongs to `namespace` may leave.
    pub(crate) fn is_open(&self, namespace: &str) -> bool {
        self.gates.iter().any(|gate| gate.open && *gate.namespace == *namespace)
    }

    /// The gate of the client that is in `namespace` now.
    pub(crate) fn gate_of(&self, namespace: &str) -> Option<GateId> {
        self.gates.iter().find(|gate| !gate.left && *gate.namespace == *namespace).map(|gate| gate.id)
    }

    /// Whether nothing waits, and what belongs to `gate` may leave.
    pub(crate) fn is_idle(&self, gate: GateId) -> bool {
        self.stage == Stage::Direct && self.is_empty() && self.gates.iter().any(|known| known.id == gate && known.open)
    }

    /// What can leave now, in order.
    pub(crate) fn slices(&self) -> Vec<IoSlice<'_>> {
        let begun = self.begun.iter().map(|begun| &begun.piece.bytes[begun.written..]);
        let urgent = self.urgent.iter().map(|bytes| &**bytes);
        let ready = self.ordered.iter().map_while(|slot| match slot {
            Slot::Ready(piece) => Some(&*piece.bytes),
            Slot::Hole(_) | Slot::Gated(..) => None,
        });
        begun.chain(urgent).chain(ready).take(SLICES).map(IoSlice::new).collect()
    }

    /// The kernel took so many bytes of them; what has left completely with that.
    pub(crate) fn advance(&mut self, mut written: usize) -> Left {
        let mut gone = Left::default();
        while written > 0 {
            if let Some(begun) = &mut self.begun {
                let rest = begun.piece.bytes.len() - begun.written;
                if written < rest {
                    begun.written += written;
                    break;
                }
                written -= rest;
                gone.add(begun.piece.left);
                self.begun = None;
                continue;
            }
            let Some(piece) = self.next() else { break };
            if written < piece.bytes.len() {
                self.begun = Some(Box::new(Begun { piece, written }));
                break;
            }
            written -= piece.bytes.len();
            gone.add(piece.left);
        }
        if self.begun.is_none() && self.urgent.is_empty() && self.ordered.is_empty() {
            // Most connections are idle most of the time: they keep no memory for what may wait again.
            (self.urgent, self.ordered) = (VecDeque::new(), VecDeque::new());
        }
        gone
    }

    fn next(&mut self) -> Option<Piece> {
        if let Some(bytes) = self.urgent.pop_front() {
            return Some(Piece { bytes, left: Left::default(), topic: None });
        }
        match self.ordered.pop_front_if(|slot| matches!(slot, Slot::Ready(_)))? {
            Slot::Ready(piece) => Some(piece),
            Slot::Hole(_) | Slot::Gated(..) => None,
        }
    }

    /// The connection is over: what never leaves.
    pub(crate) fn close(&mut self) -> Left {
        let mut lost = Left::default();
        // The sentinel may still come.
        let transition = self.transition.as_deref_mut();
        let (held, polled) = transition
            .map(|transition| (std::mem::take(&mut transition.held), std::mem::take(&mut transition.polled)))
            .unwrap_or_default();
        let slots = self.ordered.drain(..).chain(held).filter_map(|slot| match slot {
            Slot::Ready(piece) | Slot::Gated(_, piece) => Some(piece),
            Slot::Hole(_) => None,
        });
        let begun = self.begun.take().map(|begun| begun.piece);
        slots.chain(begun).for_each(|piece| lost.add(piece.left));
        lost.copies += polled.iter().sum::<u64>();
        self.urgent.clear();
        self.gates.clear();
        self.unit = None;
        lost
    }
}

/// Everything that waits, in order.
fn slots<'a>(
    ordered: &'a mut VecDeque<Slot>,
    transition: &'a mut Option<Box<Transition>>,
) -> impl Iterator<Item = &'a mut Slot> {
    ordered.iter_mut().chain(transition.iter_mut().flat_map(|transition| &mut transition.held))
}

//! What an outbox is made of, and what it reads of the packets that pass.

use std::collections::VecDeque;

use bytes::Bytes;
use carillon_core::packet::Item;

/// A namespace's leave to send, one for each time the client connects to it.
pub(crate) type GateId = u32;

#[derive(Debug)]
pub(super) struct Gate {
    pub(super) id: GateId,
    pub(super) namespace: Box<str>,
    /// The CONNECT reply is on its way; it has left.
    pub(super) answered: bool,
    pub(super) open: bool,
    /// The client has left the namespace: nothing more is taken, and the gate goes once its reply has passed.
    pub(super) left: bool,
}

/// Something that leaves in one piece.
#[derive(Debug, Clone)]
pub(super) struct Piece {
    pub(super) bytes: Bytes,
    pub(super) left: Left,
    /// Set where a newer publish of the same event to the same client may take its place.
    pub(super) topic: Option<(GateId, Item)>,
}

#[derive(Debug)]
pub(super) enum Slot {
    Ready(Piece),
    /// A call is on its way through Socket.IO's queue.
    Hole(GateId),
    /// Waits for its gate.
    Gated(GateId, Piece),
}

/// What has left, or never will: what it counted while it waited, and published copies.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Left {
    pub(crate) cost: usize,
    pub(crate) copies: u64,
}

impl Left {
    pub(super) fn add(&mut self, other: Self) {
        self.cost += other.cost;
        self.copies += other.copies;
    }
}

/// A packet of Socket.IO's whose attachments are still on their way.
#[derive(Debug)]
pub(super) struct Unit {
    pub(super) bytes: Vec<u8>,
    pub(super) left: Left,
    pub(super) missing: usize,
    pub(super) ordered: bool,
}

/// Something of which a part is written.
#[derive(Debug)]
pub(super) struct Begun {
    pub(super) piece: Piece,
    pub(super) written: usize,
}

/// What there is only until a session is on its WebSocket.
#[derive(Debug, Default)]
pub(super) struct Transition {
    pub(super) held: VecDeque<Slot>,
    /// Published copies of each packet of ours in Socket.IO's queue.
    pub(super) polled: VecDeque<u64>,
    pub(super) sentinel: Option<Box<[u8]>>,
}

/// Whether a text message with its Engine.IO prefix is an answer to CONNECT or a DISCONNECT.
pub(crate) fn is_answer(payload: &[u8]) -> bool {
    matches!(payload, [b'4', kind, ..] if !matches!(kind, b'2' | b'3' | b'5' | b'6'))
}

/// The namespace of a packet with its Engine.IO prefix: `40/ns,{..}`, `40/ns` or `40{..}`.
pub(super) fn namespace(payload: &[u8]) -> &[u8] {
    let rest = payload.get(2..).unwrap_or_default();
    if rest.first() != Some(&b'/') {
        return b"/";
    }
    let end = rest.iter().position(|byte| *byte == b',').unwrap_or(rest.len());
    &rest[..end]
}

/// How many attachments a packet announces: the digits before the dash.
pub(super) fn attachments(rest: &[u8]) -> usize {
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit());
    digits.fold(0, |number: usize, digit| number.saturating_mul(10).saturating_add(usize::from(digit - b'0')))
}

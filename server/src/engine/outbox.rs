//! What waits to leave for one client, in order: WebSocket frames, shared with everybody else who gets them.
//!
//! Over a WebSocket the frames are written as they are; over polling their payloads are taken out, packet by packet. So
//! an upgrade changes nothing here.

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::Bytes;
use carillon_core::packet::Item;
use carillon_core::packet::engine::write_polled;
use carillon_core::packet::frame::sent;
use smallvec::SmallVec;

/// What each piece counts beyond its own bytes: the queue's memory for it.
const OVERHEAD: usize = 64;
/// Pieces that leave with one write at most.
const SLICES: usize = 64;
/// Packets in the answer of a poll: python-engineio refuses more.
const POLLED_PACKETS: usize = 16;
/// Bytes in the answer of a poll, unless a single packet is larger.
const POLLED_BYTES: usize = 256 << 10;

/// A client of the session, as the outbox knows it.
pub(super) type Key = u32;

/// What is waiting, or has left: the bytes it counted, and the published copies in it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Load {
    pub(super) cost: usize,
    pub(super) copies: u64,
}

impl Load {
    /// What frames of so many bytes count, with so many published copies in them.
    pub(super) fn new(bytes: usize, copies: u64) -> Self {
        Self { cost: bytes + OVERHEAD, copies }
    }

    fn add(&mut self, other: Self) {
        self.cost += other.cost;
        self.copies += other.copies;
    }
}

/// Whole frames that leave one after the other.
#[derive(Debug)]
struct Piece {
    frames: Bytes,
    load: Load,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Packets,
    /// A newer publish of the same event to the same client may take its place.
    Latest(Key, Item),
    /// Of pongs only the newest waits (RFC 6455, section 5.5.3).
    Pong,
}

/// See the module's documentation. An empty one holds no memory.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    pieces: VecDeque<Piece>,
    /// Bytes of the first piece that have left.
    begun: usize,
    cost: usize,
}

impl Outbox {
    pub(super) fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    /// What waits, in bytes.
    pub(super) fn cost(&self) -> usize {
        self.cost
    }

    /// Puts frames at the end.
    pub(super) fn push(&mut self, frames: Bytes, load: Load) {
        self.cost += load.cost;
        self.pieces.push_back(Piece { frames, load, kind: Kind::Packets });
    }

    /// Puts a publish at the end that a newer one may replace.
    pub(super) fn push_latest(&mut self, key: Key, item: &Item, frame: Bytes, load: Load) {
        self.cost += load.cost;
        self.pieces.push_back(Piece { frames: frame, load, kind: Kind::Latest(key, item.clone()) });
    }

    /// Puts `item` in the place of a publish of the same event that waits; what that one was.
    pub(super) fn replace(&mut self, key: Key, item: &Item, frame: &Bytes, load: Load) -> Option<Load> {
        // Not one of which a part has left.
        let waiting = self.pieces.iter_mut().skip(usize::from(self.begun > 0));
        let older = waiting.rev().find(
            |piece| matches!(&piece.kind, Kind::Latest(of, older) if *of == key && older.topic() == item.topic()),
        )?;
        let before =
            std::mem::replace(older, Piece { frames: frame.clone(), load, kind: Kind::Latest(key, item.clone()) });
        self.cost = self.cost + load.cost - before.load.cost;
        Some(before.load)
    }

    /// Puts a frame in front of everything that has not begun to leave.
    pub(super) fn push_urgent(&mut self, frame: Bytes) {
        self.insert(frame, Kind::Packets);
    }

    /// Puts pongs there, or in the place of those that wait.
    pub(super) fn push_pong(&mut self, frames: Bytes) {
        let first = usize::from(self.begun > 0);
        let urgent = self.pieces.iter_mut().skip(first).take(3);
        match urgent.into_iter().find(|piece| matches!(piece.kind, Kind::Pong)) {
            Some(older) => {
                let load = Load::new(frames.len(), 0);
                self.cost = self.cost + load.cost - older.load.cost;
                (older.frames, older.load) = (frames, load);
            }
            None => self.insert(frames, Kind::Pong),
        }
    }

    fn insert(&mut self, frames: Bytes, kind: Kind) {
        let load = Load::new(frames.len(), 0);
        self.cost += load.cost;
        self.pieces.insert(usize::from(self.begun > 0), Piece { frames, load, kind });
    }

    /// What can be written now, in order.
    pub(super) fn slices(&self) -> SmallVec<[IoSlice<'_>; 8]> {
        let mut pieces = self.pieces.iter().take(SLICES);
        let first = pieces.next().map(|piece| &piece.frames[self.begun..]);
        first.into_iter().chain(pieces.map(|piece| &piece.frames[..])).map(IoSlice::new).collect()
    }

    /// So many bytes have left; what has left completely with that.
    pub(super) fn advance(&mut self, bytes: usize) -> Load {
        let mut gone = Load::default();
        self.begun += bytes;
        while let Some(piece) = self.pieces.pop_front_if(|piece| piece.frames.len() <= self.begun) {
            self.begun -= piece.frames.len();
            gone.add(piece.load);
        }
        self.left(gone)
    }

    /// The body of a poll's answer: as many packets as it may hold, and what has left completely with them.
    pub(super) fn take(&mut self) -> (String, Load) {
        let (mut body, mut gone, mut packets) = (String::new(), Load::default(), 0);
        'pieces: while let Some(piece) = self.pieces.front() {
            let begun = self.begun;
            for (opcode, payload, end) in sent(&piece.frames[begun..]) {
                if packets == POLLED_PACKETS || (packets > 0 && body.len() + payload.len() > POLLED_BYTES) {
                    break 'pieces;
                }
                packets += 1;
                write_polled(&mut body, opcode, payload);
                self.begun = begun + end;
            }
            gone.add(piece.load);
            self.pieces.pop_front();
            self.begun = 0;
        }
        (body, self.left(gone))
    }

    fn left(&mut self, gone: Load) -> Load {
        self.cost -= gone.cost;
        if self.pieces.is_empty() {
            // Most clients are idle most of the time: they keep no memory for what may wait again.
            self.pieces = VecDeque::new();
        }
        gone
    }

    /// Nothing leaves any more: what waited.
    pub(super) fn close(&mut self) -> Load {
        let mut lost = Load::default();
        std::mem::take(self).pieces.into_iter().for_each(|piece| lost.add(piece.load));
        lost
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use carillon_core::packet::frame::{Opcode, frame};
    use carillon_core::payload::encode_event;

    use super::*;

    fn text(text: &str) -> Bytes {
        frame(Opcode::Text, text.as_bytes()).into()
    }

    fn load(frame: &Bytes) -> Load {
        Load::new(frame.len(), 1)
    }

    fn all(outbox: &Outbox) -> Vec<u8> {
        outbox.slices().iter().flat_map(|slice| slice.to_vec()).collect()
    }

    /// What is written in pieces of any size is counted once it has left whole, and nothing is kept then.
    #[test]
    fn what_has_left_is_no_longer_counted() {
        for step in [1, 3, 1000] {
            let mut outbox = Outbox::default();
            let frames = [text("42[1]"), text("42[2]"), text("42[3]")];
            frames.iter().for_each(|frame| outbox.push(frame.clone(), load(frame)));
            assert_eq!(outbox.cost(), 3 * (7 + OVERHEAD));
            let (mut bytes, mut copies) = (Vec::new(), 0);
            while !outbox.is_empty() {
                let piece: Vec<u8> = all(&outbox).into_iter().take(step).collect();
                copies += outbox.advance(piece.len()).copies;
                bytes.extend(piece);
            }
            assert_eq!((bytes, copies, outbox.cost()), (frames.concat(), 3, 0), "in pieces of {step}");
        }
    }

    /// A control frame overtakes what waits, but no frame is cut; and only the newest pong waits.
    #[test]
    fn control_frames_overtake_but_cut_nothing() {
        let mut outbox = Outbox::default();
        let event = text("42[1]");
        outbox.push(event.clone(), load(&event));
        outbox.advance(2);
        outbox.push_pong(frame(Opcode::Pong, b"1").into());
        outbox.push_urgent(text("2"));
        let newest: Bytes = frame(Opcode::Pong, b"23").into();
        outbox.push_pong(newest.clone());
        assert_eq!(all(&outbox), [&event[2..], &text("2"), &newest].concat());
        assert_eq!(outbox.cost(), (7 + 3 + 4) + 3 * OVERHEAD);
        outbox.advance(5 + 3 + 4);
        assert_eq!((outbox.is_empty(), outbox.cost()), (true, 0));
    }

    /// A newer publish of the same event takes the place of one that has not begun to leave.
    #[test]
    fn the_latest_replaces_what_waits() {
        let item = |number: u32| encode_event(&Arc::from("/"), "e", &number).unwrap();
        let mut outbox = Outbox::default();
        for number in [1, 2] {
            let item = item(number);
            outbox.push_latest(number, &item, item.frames()[0].clone(), load(&item.frames()[0]));
        }
        let newer = item(3);
        let frame = &newer.frames()[0];
        assert_eq!(outbox.replace(3, &newer, frame, load(frame)), None, "another client's");
        assert_eq!(outbox.replace(2, &newer, frame, load(frame)).map(|load| load.copies), Some(1));
        outbox.advance(1);
        assert_eq!(outbox.replace(1, &newer, frame, load(frame)), None, "it has begun to leave");
        assert_eq!(outbox.take().0.split('\x1e').next_back(), Some("42[\"e\",3]"));
    }

    /// A poll takes so many packets and bytes at most, goes on where the last one has ended, and so does a WebSocket.
    #[test]
    fn polls_take_a_few_packets_each() {
        let mut outbox = Outbox::default();
        let run: Vec<Bytes> = (0..40).map(|number| text(&format!("42[{number}]"))).collect();
        let joined = Bytes::from(run.concat());
        outbox.push(joined.clone(), Load::new(joined.len(), 40));
        let binary = Bytes::from(frame(Opcode::Binary, &[0, 1]));
        outbox.push(binary.clone(), load(&binary));
        for first in [0, 16] {
            let (body, gone) = outbox.take();
            let wanted: Vec<String> = (first..first + 16).map(|number| format!("42[{number}]")).collect();
            assert_eq!((body.split('\x1e').map(str::to_owned).collect::<Vec<_>>(), gone), (wanted, Load::default()));
        }
        assert_eq!(all(&outbox), [&run[32..].concat()[..], &binary].concat(), "over a WebSocket");
        let (body, gone) = outbox.take();
        assert!(body.starts_with("42[32]") && body.ends_with("\x1ebAAE="), "{body:?}");
        assert_eq!((gone.copies, outbox.is_empty(), outbox.cost()), (41, true, 0));
        let large = text(&"x".repeat(POLLED_BYTES));
        outbox.push(large.clone(), load(&large));
        outbox.push(large.clone(), load(&large));
        assert_eq!(outbox.take().0.len(), POLLED_BYTES, "one, however large");
        assert_eq!(outbox.close().copies, 1);
    }
}

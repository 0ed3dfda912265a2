//! The codec of Socket.IO packets: one outgoing packet is encoded once and shared by everybody who receives it.
//!
//! Protocol: <https://socket.io/docs/v4/socket-io-protocol/> (revision 5) over Engine.IO 4. An event is
//! `2[/ns,][id]["name",args..]`, an ack `3[/ns,]id[args..]`; with attachments `5n-` and `6n-`, the attachments
//! following as binary messages. Over WebSocket each packet is one text frame with the Engine.IO prefix `4`.

mod batch;
pub mod engine;
mod event;
mod forward;
pub mod frame;
mod last;
pub mod received;

use std::sync::Arc;

use bytes::{Buf, Bytes};
use bytestring::ByteString;
use smallvec::SmallVec;

pub use self::batch::Batch;
pub(crate) use self::event::split_event;
use self::frame::{Opcode, header};
use crate::error::Result;

/// Room kept in front of a packet for the WebSocket frame header (at most 10 bytes) and the Engine.IO prefix.
const FRONT: usize = 11;

/// One outgoing Socket.IO packet, encoded once, shared by all receivers. Cloning copies a pointer.
#[derive(Clone, Debug)]
pub struct Item(Arc<Encoded>);

#[derive(Debug)]
struct Encoded {
    namespace: Arc<str>,
    ack: Option<i64>,
    /// WebSocket frames: a text frame of header, `4` and packet; then a binary frame for each attachment.
    frames: SmallVec<[Bytes; 1]>,
    /// Where the packet starts in the first frame.
    packet_at: usize,
    /// Where the JSON array starts in the first frame.
    json_at: usize,
    /// Where the event's name ends in the first frame.
    name_end: usize,
    /// Payloads of the binary frames.
    attachments: Box<[Bytes]>,
}

impl Item {
    /// The namespace the packet belongs to.
    #[must_use]
    pub fn namespace(&self) -> &str {
        &self.0.namespace
    }

    /// The id of the call this packet answers; `None` for an event.
    #[must_use]
    pub fn ack_id(&self) -> Option<i64> {
        self.0.ack
    }

    /// The JSON array: `["name",args..]` of an event, `[args..]` of an ack.
    #[must_use]
    pub fn json(&self) -> ByteString {
        text(self.0.frames[0].slice(self.0.json_at..))
    }

    /// The Socket.IO packet, such as `2/monitoring,["cluster_metrics",{}]`.
    #[must_use]
    pub fn packet(&self) -> ByteString {
        text(self.0.frames[0].slice(self.0.packet_at..))
    }

    /// The complete unmasked WebSocket frames: the packet, then each attachment. They belong together: nothing may
    /// come between them.
    #[must_use]
    pub fn frames(&self) -> &[Bytes] {
        &self.0.frames
    }

    /// Bytes of all frames.
    #[must_use]
    pub fn wire_len(&self) -> usize {
        self.0.frames.iter().map(Bytes::len).sum()
    }

    /// What two items of the same event in the same namespace share: the packet up to the event's name.
    #[must_use]
    pub fn topic(&self) -> &[u8] {
        &self.0.frames[0][self.0.packet_at..self.0.name_end]
    }

    /// Binary attachments, in the order of their placeholders.
    #[must_use]
    pub fn attachments(&self) -> &[Bytes] {
        &self.0.attachments
    }

    /// Its Engine.IO messages: how many, and the bytes of all of them (the packet with its prefix, the attachments).
    #[must_use]
    pub fn messages(&self) -> (usize, usize) {
        (self.0.frames.len(), self.len() + 1)
    }

    /// Bytes of packet and attachments, the figure of `carillon_messages_sent_bytes_total`.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.frames[0].len() - self.0.packet_at + self.0.attachments.iter().map(Bytes::len).sum::<usize>()
    }

    /// Never true: a packet has at least its type and `[]`.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        false
    }
}

/// `Bytes` made by the builder below hold what was written as UTF-8; the fallback cannot be reached and keeps this free of panics.
fn text(bytes: Bytes) -> ByteString {
    ByteString::try_from(bytes).unwrap_or_default()
}

/// Writes one packet. The JSON array is written by the caller, element by element, into its buffer.
pub struct ItemBuilder {
    namespace: Arc<str>,
    ack: Option<i64>,
    buffer: Vec<u8>,
    json_at: usize,
    name_end: usize,
    attachments: Vec<Bytes>,
}

impl ItemBuilder {
    /// An event named `event`; arguments follow through [`Self::argument`].
    pub(crate) fn event(namespace: &Arc<str>, event: &str, attachments: &[Bytes]) -> Result<Self> {
        let mut builder = Self::open(namespace, b'2', None, attachments);
        serde_json::to_writer(&mut builder.buffer, event)?;
        builder.name_end = builder.buffer.len();
        Ok(builder)
    }

    /// The answer to call `id`.
    pub(crate) fn ack(namespace: &Arc<str>, id: i64, attachments: &[Bytes]) -> Self {
        Self::open(namespace, b'3', Some(id), attachments)
    }

    fn open(namespace: &Arc<str>, kind: u8, ack: Option<i64>, attachments: &[Bytes]) -> Self {
        use std::io::Write;
        let mut buffer = Vec::with_capacity(FRONT + 256);
        buffer.resize(FRONT - 1, 0);
        buffer.push(b'4');
        // Writing into a Vec cannot fail.
        if attachments.is_empty() {
            buffer.push(kind);
        } else {
            write!(buffer, "{}{}-", char::from(kind + 3), attachments.len()).ok();
        }
        if &**namespace != "/" {
            buffer.extend_from_slice(namespace.as_bytes());
            buffer.push(b',');
        }
        if let Some(id) = ack {
            write!(buffer, "{id}").ok();
        }
        let json_at = buffer.len();
        buffer.push(b'[');
        Self {
            namespace: Arc::clone(namespace),
            ack,
            buffer,
            json_at,
            name_end: json_at,
            attachments: attachments.to_vec(),
        }
    }

    /// Where the next argument is written, after the comma it needs.
    pub(crate) fn argument(&mut self) -> &mut Vec<u8> {
        if self.buffer.last() != Some(&b'[') || self.buffer.len() > self.json_at + 1 {
            self.buffer.push(b',');
        }
        &mut self.buffer
    }

    /// What has been written so far.
    pub(crate) fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.buffer
    }

    /// How many attachments the packet has so far.
    pub(crate) fn attachments(&self) -> usize {
        self.attachments.len()
    }

    /// Adds attachments that turned up while arguments were written: the packet's type tells how many there are.
    pub(crate) fn attach(&mut self, attachments: Vec<Bytes>) {
        if attachments.is_empty() {
            return;
        }
        let kind = if self.ack.is_some() { '6' } else { '5' };
        let old = match self.attachments.len() {
            0 => 1,
            some => format!("{kind}{some}-").len(),
        };
        self.attachments.extend(attachments);
        let new = format!("{kind}{}-", self.attachments.len());
        let longer = new.len() - old;
        self.buffer.splice(FRONT..FRONT + old, new.into_bytes());
        self.json_at += longer;
        self.name_end += longer;
    }

    /// Closes the array and puts the frame header in front.
    pub(crate) fn build(mut self) -> Item {
        self.buffer.push(b']');
        let start = put_header(&mut self.buffer);
        let mut text = Bytes::from(self.buffer);
        text.advance(start);
        let binary: Vec<(Bytes, Bytes)> = self.attachments.iter().map(|attachment| binary_frame(attachment)).collect();
        let (frames, attachments): (Vec<Bytes>, Vec<Bytes>) = binary.into_iter().unzip();
        Item(Arc::new(Encoded {
            namespace: self.namespace,
            ack: self.ack,
            packet_at: FRONT - start,
            json_at: self.json_at - start,
            name_end: self.name_end - start,
            frames: std::iter::once(text).chain(frames).collect(),
            attachments: attachments.into(),
        }))
    }
}

/// An unmasked binary frame around `payload`, and the payload within it.
fn binary_frame(payload: &[u8]) -> (Bytes, Bytes) {
    let mut frame = Vec::with_capacity(10 + payload.len());
    frame.extend_from_slice(&header(Opcode::Binary, payload.len()));
    let at = frame.len();
    frame.extend_from_slice(payload);
    let frame = Bytes::from(frame);
    let payload = frame.slice(at..);
    (frame, payload)
}

/// The frames of `items` in one piece.
pub(crate) fn joined<'a>(items: impl Iterator<Item = &'a Item> + Clone) -> Bytes {
    let mut joined = Vec::with_capacity(items.clone().map(Item::wire_len).sum());
    items.flat_map(Item::frames).for_each(|frame| joined.extend_from_slice(frame));
    joined.into()
}

/// Writes the header of an unmasked text frame right before the payload at `FRONT - 1`; returns where it begins.
fn put_header(buffer: &mut [u8]) -> usize {
    let payload = buffer.len() - (FRONT - 1);
    let head = header(Opcode::Text, payload);
    let start = FRONT - 1 - head.len();
    buffer[start..FRONT - 1].copy_from_slice(&head);
    start
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn event(namespace: &str, arguments: &[&str], attachments: &[Bytes]) -> Item {
        let mut builder = ItemBuilder::event(&Arc::from(namespace), "e", attachments).unwrap();
        for argument in arguments {
            builder.argument().extend_from_slice(argument.as_bytes());
        }
        builder.build()
    }

    #[test]
    fn packets_are_written_as_the_protocol_says() {
        assert_eq!(event("/", &[], &[]).packet(), "2[\"e\"]");
        assert_eq!(event("/a", &["1", "[2]"], &[]).packet(), "2/a,[\"e\",1,[2]]");
        let item = event("/a", &["1"], &[Bytes::from_static(b"x")]);
        assert_eq!(item.packet(), "51-/a,[\"e\",1]");
        assert_eq!(item.json(), "[\"e\",1]");
        assert_eq!(item.len(), "51-/a,[\"e\",1]".len() + 1);
        let mut ack = ItemBuilder::ack(&Arc::from("/"), 12, &[]);
        ack.argument().extend_from_slice(b"{}");
        ack.argument().extend_from_slice(b"2");
        assert_eq!(ack.build().packet(), "312[{},2]");
        assert_eq!(ItemBuilder::ack(&Arc::from("/"), 0, &[]).build().packet(), "30[]");
    }

    #[test]
    fn frames_carry_their_length_in_all_three_forms() {
        for (size, header) in [(10, 2), (125, 4), (126, 4), (0xFFFF, 10), (70_000, 10)] {
            let item = event("/", &[&"1".repeat(size)], &[]);
            let frame = &item.frames()[0];
            let payload = item.packet().len() + 1;
            assert_eq!(frame.len(), payload + header, "payload {payload}");
            assert_eq!(frame[0], 0x81);
            let told = match frame[1] {
                126 => u64::from(u16::from_be_bytes([frame[2], frame[3]])),
                127 => u64::from_be_bytes(frame[2..10].try_into().unwrap()),
                short => u64::from(short),
            };
            assert_eq!(told, payload as u64);
            assert_eq!(frame[header], b'4');
        }
    }

    #[test]
    fn attachments_travel_as_binary_frames_after_their_packet() {
        let long = Bytes::from(vec![7; 300]);
        let item = event("/", &["0"], &[Bytes::from_static(b"ab"), long.clone()]);
        assert_eq!(item.attachments(), [Bytes::from_static(b"ab"), long]);
        assert_eq!(&item.frames()[1][..], b"\x82\x02ab");
        assert_eq!(item.frames()[2][..4], [0x82, 126, 1, 44]);
        let (one, two) = (event("/", &["1"], &[]), event("/", &["2"], &[]));
        let batch = Batch::new(vec![one.clone(), item.clone(), two.clone()]);
        let apart: Vec<u8> = [one, item, two].iter().flat_map(Item::frames).flatten().copied().collect();
        assert_eq!(batch.frames(), [Bytes::from(apart)]);
    }
}

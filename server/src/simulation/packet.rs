//! Engine.IO packets on a simulated WebSocket, and the frames around them.

use bytes::Bytes;

/// One Engine.IO packet; a text has its type in front.
#[derive(Debug, Clone)]
pub(super) enum Packet {
    Text(String),
    Binary(Bytes),
}

/// What stands in front of a packet's data: nothing for the root namespace.
pub(super) fn prefix(namespace: usize) -> &'static str {
    ["", "/n,"][namespace]
}

/// A text in a frame as clients send it.
pub(super) fn masked(text: &str) -> Vec<u8> {
    let mut frame = vec![0x81];
    match text.len() {
        len @ ..126 => frame.push(0x80 | len as u8),
        len => {
            frame.push(0x80 | 126);
            frame.extend((len as u16).to_be_bytes());
        }
    }
    let mask = [0x1F, 0, 0xE2, 0x55];
    frame.extend(mask);
    frame.extend(text.bytes().enumerate().map(|(at, byte)| byte ^ mask[at % 4]));
    frame
}

/// Reads what the server sends: the head of its 101, then packets.
#[derive(Default)]
pub(super) struct Inbound {
    head: Vec<u8>,
    /// The beginning of a frame whose end has not come yet.
    rest: Vec<u8>,
}

impl Inbound {
    /// Whether the head is complete.
    pub(super) fn is_open(&self) -> bool {
        self.head.ends_with(b"\r\n\r\n")
    }

    /// Takes the next bytes; the packets that are complete with them.
    pub(super) fn read(&mut self, mut bytes: &[u8]) -> Vec<Packet> {
        while !self.is_open() {
            let Some((byte, rest)) = bytes.split_first() else { return Vec::new() };
            self.head.push(*byte);
            bytes = rest;
        }
        self.rest.extend_from_slice(bytes);
        let mut packets = Vec::new();
        while let Some((opcode, head, len)) = frame(&self.rest) {
            let payload = &self.rest[head..head + len];
            match opcode {
                2 => packets.push(Packet::Binary(Bytes::copy_from_slice(payload))),
                // A close or a pong: the end of the stream will tell.
                8.. => {}
                _ => packets.push(Packet::Text(String::from_utf8(payload.to_vec()).unwrap())),
            }
            self.rest.drain(..head + len);
        }
        packets
    }
}

/// The opcode of the first frame, and the lengths of its header and payload, once all of it is here.
fn frame(bytes: &[u8]) -> Option<(u8, usize, usize)> {
    let (first, second) = (*bytes.first()?, *bytes.get(1)?);
    let (more, short) = match second {
        126 => (2, 0),
        127 => (8, 0),
        short => (0, usize::from(short)),
    };
    let len = bytes.get(2..2 + more)?.iter().fold(short, |len, byte| len << 8 | usize::from(*byte));
    (bytes.len() >= 2 + more + len).then_some((first & 0x0F, 2 + more, len))
}

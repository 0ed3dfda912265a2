//! Engine.IO packets on a simulated WebSocket.

use std::collections::VecDeque;

use bytes::Bytes;
use tokio::io::{AsyncReadExt, ReadHalf};

use crate::wire::{Splitter, Wire};

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

/// An unmasked frame, as either side sends it here.
pub(super) fn frame(packet: &Packet) -> Vec<u8> {
    let (kind, payload) = match packet {
        Packet::Text(text) => (0x81, text.as_bytes()),
        Packet::Binary(data) => (0x82, &data[..]),
    };
    let mut frame = vec![kind];
    match payload.len() {
        len @ ..126 => frame.push(len as u8),
        len => {
            frame.push(126);
            frame.extend((len as u16).to_be_bytes());
        }
    }
    frame.extend_from_slice(payload);
    frame
}

/// A frame as clients really send it.
pub(super) fn masked(packet: &Packet) -> Vec<u8> {
    let mut frame = frame(packet);
    let head = if frame[1] == 126 { 4 } else { 2 };
    frame[1] |= 0x80;
    let mask = [0x1F, 0, 0xE2, 0x55];
    frame[head..].iter_mut().enumerate().for_each(|(at, byte)| *byte ^= mask[at % 4]);
    frame.splice(head..head, mask);
    frame
}

/// Puts what the client sends together again.
#[derive(Default)]
pub(super) struct Inbound {
    splitter: Splitter,
    texts: VecDeque<String>,
}

impl Inbound {
    /// The next text; `None` at the end.
    pub(super) async fn next(&mut self, reader: &mut ReadHalf<Wire>) -> Option<String> {
        while self.texts.is_empty() {
            let mut buffer = [0; 512];
            let read = reader.read(&mut buffer).await.ok().filter(|read| *read > 0)?;
            let texts = &mut self.texts;
            self.splitter.split(&buffer[..read], |_, payload, _| {
                texts.push_back(String::from_utf8(payload.to_vec()).unwrap());
            });
        }
        self.texts.pop_front()
    }
}

//! Engine.IO 4 packets: their types, and the bodies of polling requests and answers.
//!
//! Protocol: <https://socket.io/docs/v4/engine-io-protocol/>. Over WebSocket a packet is one message, binary data without
//! a type. Over polling packets are separated by `0x1e`, binary data is `b` and base64.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;

use super::frame::{self, Opcode};

/// Stands between the packets of a polling body.
pub const SEPARATOR: u8 = 0x1e;
/// Stands in front of binary data in a polling body.
const BASE64: u8 = b'b';

/// The type of a packet, its first byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The server opens the session.
    Open,
    /// Either side closes it.
    Close,
    /// The server asks whether the client is there; the client probes a new transport.
    Ping,
    /// The answer.
    Pong,
    /// A message: a Socket.IO packet.
    Message,
    /// The client leaves its old transport.
    Upgrade,
    /// Ends a poll that waits.
    Noop,
}

impl Kind {
    /// The byte in front of the packet's data.
    #[must_use]
    pub const fn byte(self) -> u8 {
        b'0' + self as u8
    }

    const fn of(byte: u8) -> Option<Self> {
        Some(match byte {
            b'0' => Self::Open,
            b'1' => Self::Close,
            b'2' => Self::Ping,
            b'3' => Self::Pong,
            b'4' => Self::Message,
            b'5' => Self::Upgrade,
            b'6' => Self::Noop,
            _ => return None,
        })
    }
}

/// Takes a packet apart: its type and its data. `None` when it is of no known type.
#[must_use]
pub fn parse(packet: &str) -> Option<(Kind, &str)> {
    let kind = Kind::of(*packet.as_bytes().first()?)?;
    Some((kind, &packet[1..]))
}

/// What probes a new transport, and what answers it.
pub const PROBE: &str = "probe";

/// A packet as the WebSocket frame that the server sends.
#[must_use]
pub fn text_frame(kind: Kind, data: &str) -> Bytes {
    let mut out = Vec::with_capacity(11 + data.len());
    out.extend_from_slice(&frame::header(Opcode::Text, 1 + data.len()));
    out.push(kind.byte());
    out.extend_from_slice(data.as_bytes());
    out.into()
}

/// One packet of a POST's body.
#[derive(Debug, PartialEq, Eq)]
pub enum Posted<'a> {
    /// A packet with its type.
    Text(Kind, &'a str),
    /// Binary data.
    Binary(Bytes),
}

/// The packets of a POST's body, in order; `None` for one that is none.
pub fn posted(body: &str) -> impl Iterator<Item = Option<Posted<'_>>> {
    body.split(char::from(SEPARATOR)).map(|packet| match packet.as_bytes().split_first() {
        Some((&BASE64, data)) => STANDARD.decode(data).ok().map(|data| Posted::Binary(data.into())),
        _ => parse(packet).map(|(kind, data)| Posted::Text(kind, data)),
    })
}

/// Appends a message of the server's, a WebSocket frame's payload, to the body of a poll's answer.
pub fn write_polled(body: &mut String, opcode: Opcode, payload: &[u8]) {
    if !body.is_empty() {
        body.push(char::from(SEPARATOR));
    }
    if opcode == Opcode::Binary {
        body.push(char::from(BASE64));
        STANDARD.encode_string(payload, body);
    } else {
        // The server's own texts are UTF-8.
        body.push_str(std::str::from_utf8(payload).unwrap_or_default());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_are_told_by_their_first_byte() {
        assert_eq!(parse("40"), Some((Kind::Message, "0")));
        assert_eq!(parse("3probe"), Some((Kind::Pong, PROBE)));
        for wrong in ["", "7", "b", "é", "x4", "-1"] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
        for kind in [Kind::Open, Kind::Close, Kind::Ping, Kind::Pong, Kind::Message, Kind::Upgrade, Kind::Noop] {
            assert_eq!(Kind::of(kind.byte()), Some(kind));
        }
        assert_eq!(&text_frame(Kind::Ping, "")[..], b"\x81\x012");
    }

    #[test]
    fn polling_bodies_are_taken_apart_and_put_together() {
        let all: Vec<_> = posted("42[\"a\"]\x1ebAAH/\x1e3").collect();
        let binary = Posted::Binary(Bytes::from_static(&[0, 1, 255]));
        assert_eq!(
            all,
            [Some(Posted::Text(Kind::Message, "2[\"a\"]")), Some(binary), Some(Posted::Text(Kind::Pong, ""))]
        );
        for wrong in ["", "9", "b!", "bAAH", "4\x1e"] {
            assert!(posted(wrong).any(|packet| packet.is_none()), "{wrong:?}");
        }
        let mut body = String::new();
        write_polled(&mut body, Opcode::Text, b"42[\"a\"]");
        write_polled(&mut body, Opcode::Binary, &[0, 1, 255]);
        assert_eq!(body, "42[\"a\"]\x1ebAAH/");
    }

    /// Whatever a client posts, nothing panics.
    #[test]
    fn random_bodies_are_borne() {
        let mut random = fastrand::Rng::with_seed(7);
        for _ in 0..100_000 {
            let pieces = ["0", "4", "2", "b", "b/", "AAH/", "\x1e", "=", "é", "[\"a\"]"];
            let body: String = (0..random.usize(..12)).filter_map(|_| random.choice(pieces)).collect();
            posted(&body).for_each(drop);
        }
    }
}

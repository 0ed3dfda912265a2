//! HTTP long-polling: what its bodies say, and the pace at which they are taken in.
//!
//! A body holds Engine.IO packets separated by 0x1e. A POST is handed to Socket.IO packet by packet, so that a client
//! whose event queue is full is made to wait as one over WebSocket is; a poll's answer is counted like frames are.

use std::sync::Arc;

use axum::body::Body;
use bytes::Bytes;
use futures_util::stream;

use crate::link::{Link, cost};

const SEPARATOR: u8 = 0x1e;
/// The body of a POST for Socket.IO, which gives its packets one at a time and none while the client is paused.
pub(super) fn paced(link: Arc<Link>, body: Bytes) -> Body {
    Body::from_stream(stream::unfold((link, body), |(link, mut rest)| async move {
        if rest.is_empty() {
            return None;
        }
        Arc::clone(&link).readable().await;
        if link.ended().is_some() {
            return None;
        }
        let end = rest.iter().position(|byte| *byte == SEPARATOR).map_or(rest.len(), |at| at + 1);
        let packet = rest.split_to(end);
        if packet.first() == Some(&b'3') {
            link.pong_seen();
        } else if packet.starts_with(b"40") {
            link.connect_seen(packet.len() as u64);
        }
        Some((Ok::<_, std::convert::Infallible>(packet), (link, rest)))
    }))
}

/// Accounts for what the answer of a poll takes to the client.
pub(super) fn account(link: &Link, body: &[u8]) {
    for packet in body.split(|byte| *byte == SEPARATOR) {
        let bytes = match packet {
            [b'b', base64 @ ..] => decoded_len(base64),
            text => text.len(),
        };
        link.polled(packet, cost(bytes));
    }
}

/// The bytes that base64 text stands for.
fn decoded_len(base64: &[u8]) -> usize {
    let padding = base64.iter().rev().take_while(|byte| **byte == b'=').count();
    (base64.len() - padding) * 3 / 4
}

/// The session id in the answer to a handshake, and the answer as clients must see it: with our own limit for the
/// size of a POST, because the stock client cuts what it flushes into bodies of that size; and without an upgrade where
/// there is none.
pub(super) fn handshake(body: &str, max_message_bytes: usize, websocket: bool) -> Option<(String, String)> {
    let mut open: serde_json::Map<String, serde_json::Value> = serde_json::from_str(body.strip_prefix('0')?).ok()?;
    let id = open.get("sid")?.as_str()?.to_owned();
    open.insert("maxPayload".to_owned(), max_message_bytes.into());
    if !websocket {
        open.insert("upgrades".to_owned(), serde_json::Value::Array(Vec::new()));
    }
    Some((id, format!("0{}", serde_json::Value::Object(open))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_counted_as_the_bytes_it_stands_for() {
        for (text, len) in [("", 0), ("eA==", 1), ("eHg=", 2), ("eHh4", 3), ("eHh4eA==", 4)] {
            assert_eq!(decoded_len(text.as_bytes()), len, "{text}");
        }
    }

    #[test]
    fn the_handshake_tells_our_limit() {
        let body = r#"0{"sid":"AAA","upgrades":["websocket"],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1073741824}"#;
        let (id, told) = handshake(body, 1_000_000, true).unwrap();
        assert_eq!(id, "AAA");
        let told: serde_json::Value = serde_json::from_str(&told[1..]).unwrap();
        assert_eq!(told["maxPayload"], 1_000_000);
        assert_eq!(told["pingInterval"], 25000);
        assert_eq!(told["upgrades"][0], "websocket");
        let (_, told) = handshake(body, 1_000_000, false).unwrap();
        assert!(told.contains(r#""upgrades":[]"#), "{told}");
        assert!(handshake("", 1, true).is_none() && handshake("2", 1, true).is_none());
    }
}

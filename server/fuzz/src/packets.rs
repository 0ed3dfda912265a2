//! Socket.IO packets: what is taken for one has JSON that is valid, and the parts that its type has.

use carillon_core::packet::engine;
use carillon_core::packet::received::{Kind, Received};
use serde_json::value::RawValue;

/// Takes a message of Engine.IO apart, and the packet in it.
///
/// # Panics
/// When the parts of a packet are not such as its type has.
pub fn check(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Some((kind, rest)) = engine::parse(text) {
        assert_eq!((kind.byte(), rest), (text.as_bytes()[0], &text[1..]));
    }
    let Ok(packet) = Received::parse(text) else { return };
    let json = || serde_json::from_str::<&RawValue>(packet.json).is_ok();
    assert!(packet.namespace.starts_with('/') && !packet.namespace.contains(','));
    assert!(text.ends_with(packet.json));
    match packet.kind {
        Kind::Connect => assert!(packet.id.is_none() && (packet.json.is_empty() || json())),
        Kind::Disconnect => assert!(packet.id.is_none() && packet.json.is_empty()),
        Kind::Event => assert!(json()),
        Kind::Ack => assert!(packet.id.is_some() && json()),
    }
    assert!(packet.id.is_none_or(|id| id >= 0));
    assert!(packet.attachments == 0 || text.starts_with(['5', '6']));
}

//! Bodies of polling: the packets of a body, written as the server writes them, are the same packets.

use carillon_core::packet::engine::{Posted, posted, write_polled};
use carillon_core::packet::frame::Opcode;

/// Takes a body apart, puts it together again, and takes that apart.
///
/// # Panics
/// When other packets come of it.
pub fn check(data: &[u8]) {
    let Ok(body) = std::str::from_utf8(data) else { return };
    let Some(packets) = posted(body).collect::<Option<Vec<_>>>() else { return };
    let mut again = String::new();
    for packet in &packets {
        match packet {
            Posted::Text(kind, text) => {
                let packet = [&[kind.byte()], text.as_bytes()].concat();
                write_polled(&mut again, Opcode::Text, &packet);
            }
            Posted::Binary(data) => write_polled(&mut again, Opcode::Binary, data),
        }
    }
    assert_eq!(posted(&again).collect::<Option<Vec<_>>>(), Some(packets));
}

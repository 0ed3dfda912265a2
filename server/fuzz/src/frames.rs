//! WebSocket frames: however the bytes are cut, the same messages come of them, and the same violation ends them.

use carillon_core::packet::frame::Reader;

/// The longest message, which the bytes kept of one under way may not exceed by much.
const LIMIT: usize = 1_000;

/// Reads the bytes at once, and one by one.
///
/// # Panics
/// When the two differ, or more is kept than may be.
pub fn check(data: &[u8]) {
    assert_eq!(read(data, data.len().max(1)), read(data, 1));
}

/// All messages, and what ended them, of bytes that arrive in pieces of this size.
fn read(data: &[u8], size: usize) -> (Vec<String>, String) {
    let mut reader = Reader::new(LIMIT);
    let mut messages = Vec::new();
    for piece in data.chunks(size) {
        let (mut piece, mut at) = (piece.to_vec(), 0);
        loop {
            match reader.next(&mut piece, &mut at) {
                Ok(Some(message)) => messages.push(format!("{message:?}")),
                Ok(None) => break,
                Err(violation) => return (messages, format!("{violation:?}")),
            }
        }
        assert!(reader.held_bytes() <= 2 * LIMIT, "{} bytes are kept", reader.held_bytes());
    }
    (messages, String::new())
}

//! WebSocket frames as the load's clients send them; everything else about frames is core's.

pub(crate) use carillon_core::packet::frame::{Opcode, sent};

use carillon_core::packet::frame::header;

/// The bit of a header's second byte that says that a mask follows.
const MASKED: u8 = 0x80;

/// Appends a frame as a client sends it. The mask is all zeros, which is allowed and leaves the payload readable.
pub(crate) fn from_client(opcode: Opcode, payload: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(&header(opcode, payload.len()));
    out[start + 1] |= MASKED;
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(payload);
}

#[cfg(test)]
mod tests {
    use carillon_core::packet::frame::{Message, Reader};

    use super::*;

    /// A server reads what is written, whatever its length.
    #[test]
    fn servers_understand_it() {
        for len in [0, 125, 126, 65_535, 65_536] {
            let (text, mut bytes, mut at) = ("x".repeat(len), Vec::new(), 0);
            from_client(Opcode::Text, text.as_bytes(), &mut bytes);
            let whole = bytes.len();
            assert_eq!(Reader::new(1 << 20).next(&mut bytes, &mut at), Ok(Some(Message::Text(&text))));
            assert_eq!(at, whole);
        }
    }
}

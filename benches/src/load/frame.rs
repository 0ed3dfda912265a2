//! WebSocket frames, as much of them as a load needs: the header is read, the payload is left where it is.

/// A text frame.
pub(crate) const TEXT: u8 = 1;
/// A binary frame.
pub(crate) const BINARY: u8 = 2;
/// The peer closes the connection.
pub(crate) const CLOSE: u8 = 8;
/// WebSocket's own ping, to be answered with [`PONG`].
pub(crate) const PING: u8 = 9;
/// The answer to [`PING`].
pub(crate) const PONG: u8 = 10;

/// The first bytes of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) opcode: u8,
    /// Bytes before the payload.
    pub(crate) head: usize,
    /// Bytes of the payload.
    pub(crate) len: usize,
    /// Set on frames from client to server.
    pub(crate) mask: Option<[u8; 4]>,
}

impl Header {
    /// Header and payload together.
    pub(crate) fn total(self) -> usize {
        self.head + self.len
    }
}

/// The header of the frame that starts here; `None` when not all of it is there yet.
#[inline]
pub(crate) fn header(bytes: &[u8]) -> Option<Header> {
    let (&[first, second], rest) = bytes.split_first_chunk::<2>()?;
    let (len, mut head) = match second & 0x7f {
        126 => (usize::from(u16::from_be_bytes(*rest.first_chunk()?)), 4),
        127 => (usize::try_from(u64::from_be_bytes(*rest.first_chunk()?)).unwrap_or(usize::MAX / 2), 10),
        short => (usize::from(short), 2),
    };
    let mut mask = None;
    if second & 0x80 != 0 {
        mask = Some(*bytes.get(head..)?.first_chunk()?);
        head += 4;
    }
    Some(Header { opcode: first & 0x0f, head, len, mask })
}

/// Appends a frame as a server sends it.
pub(crate) fn from_server(opcode: u8, payload: &[u8], out: &mut Vec<u8>) {
    begin(opcode, 0, payload.len(), out);
    out.extend_from_slice(payload);
}

/// Appends a frame as a client sends it. The mask is all zeros, which is allowed and leaves the payload readable.
pub(crate) fn from_client(opcode: u8, payload: &[u8], out: &mut Vec<u8>) {
    begin(opcode, 0x80, payload.len(), out);
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(payload);
}

fn begin(opcode: u8, masked: u8, len: usize, out: &mut Vec<u8>) {
    out.push(0x80 | opcode);
    match len {
        0..126 => out.push(masked | len as u8),
        126..0x1_0000 => {
            out.push(masked | 126);
            out.extend_from_slice(&(len as u16).to_be_bytes());
        }
        _ => {
            out.push(masked | 127);
            out.extend_from_slice(&(len as u64).to_be_bytes());
        }
    }
}

/// Takes the mask off a payload that came from a client.
pub(crate) fn unmask(payload: &mut [u8], mask: [u8; 4]) {
    for (byte, key) in payload.iter_mut().zip(mask.into_iter().cycle()) {
        *byte ^= key;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Frames of every kind of length are read back, and an incomplete header is never taken for a whole one.
    #[test]
    fn headers_of_all_sizes() {
        for len in [0, 1, 125, 126, 65_535, 65_536, 200_000] {
            let payload = vec![b'x'; len];
            for masked in [false, true] {
                let mut bytes = Vec::new();
                if masked {
                    from_client(TEXT, &payload, &mut bytes);
                } else {
                    from_server(TEXT, &payload, &mut bytes);
                }
                let read = header(&bytes).unwrap();
                assert_eq!((read.opcode, read.len, read.total()), (TEXT, len, bytes.len()));
                assert_eq!(read.mask, masked.then_some([0; 4]));
                for cut in 0..read.head {
                    assert_eq!(header(&bytes[..cut]), None, "{len} {masked} {cut}");
                }
            }
        }
    }

    #[test]
    fn masks_come_off() {
        let mut payload = *b"Hello";
        unmask(&mut payload, [0x37, 0xfa, 0x21, 0x3d]);
        assert_eq!(payload, [0x7f, 0x9f, 0x4d, 0x51, 0x58], "the example of RFC 6455");
        unmask(&mut payload, [0x37, 0xfa, 0x21, 0x3d]);
        assert_eq!(&payload, b"Hello");
    }
}

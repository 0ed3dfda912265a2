//! WebSocket frames (RFC 6455): headers, close codes, and whole checked messages out of what a client sends.

mod reader;
#[cfg(test)]
mod tests;

use smallvec::SmallVec;

pub use self::reader::{Message, Reader};

/// The most a control frame may carry.
pub const CONTROL_MAX: usize = 125;
/// The longest header of a frame that a client sends: two bytes, eight of length, four of mask.
const HEADER_MAX: usize = 14;

/// What a frame is (section 5.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opcode {
    /// A further fragment of a message.
    Continuation,
    /// A message in UTF-8, or its first fragment.
    Text,
    /// A message of bytes, or its first fragment.
    Binary,
    /// The end.
    Close,
    /// Asks for a pong.
    Ping,
    /// Answers a ping.
    Pong,
}

impl Opcode {
    const fn code(self) -> u8 {
        match self {
            Self::Continuation => 0,
            Self::Text => 1,
            Self::Binary => 2,
            Self::Close => 8,
            Self::Ping => 9,
            Self::Pong => 10,
        }
    }

    const fn of(code: u8) -> Option<Self> {
        Some(match code {
            0 => Self::Continuation,
            1 => Self::Text,
            2 => Self::Binary,
            8 => Self::Close,
            9 => Self::Ping,
            10 => Self::Pong,
            _ => return None,
        })
    }

    const fn is_control(self) -> bool {
        self.code() >= 8
    }
}

/// Why a connection has to be closed: each has its close code (section 7.4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Violation {
    /// A frame that the protocol does not allow.
    Protocol,
    /// A text, or the reason of a close, that is not UTF-8.
    NotUtf8,
    /// A message longer than it may be.
    TooLarge,
}

impl Violation {
    /// The code of the close frame that tells the client.
    #[must_use]
    pub const fn close_code(self) -> u16 {
        match self {
            Self::Protocol => 1002,
            Self::NotUtf8 => 1007,
            Self::TooLarge => 1009,
        }
    }
}

/// The header of an unmasked, unfragmented frame: a length in 7 bits, or 126 and 16 bits, or 127 and 64 bits.
#[must_use]
pub fn header(opcode: Opcode, payload: usize) -> SmallVec<[u8; 10]> {
    let mut header = SmallVec::new();
    header.push(0x80 | opcode.code());
    match payload {
        0..=125 => header.push(payload as u8),
        126..=0xFFFF => {
            header.push(126);
            header.extend_from_slice(&(payload as u16).to_be_bytes());
        }
        _ => {
            header.push(127);
            header.extend_from_slice(&(payload as u64).to_be_bytes());
        }
    }
    header
}

/// A whole frame as the server sends it.
#[must_use]
pub fn frame(opcode: Opcode, payload: &[u8]) -> Vec<u8> {
    let mut frame = Vec::with_capacity(10 + payload.len());
    frame.extend_from_slice(&header(opcode, payload.len()));
    frame.extend_from_slice(payload);
    frame
}

/// A close frame; without a code it is empty.
#[must_use]
pub fn close(code: Option<u16>) -> Vec<u8> {
    frame(Opcode::Close, &code.map(u16::to_be_bytes).unwrap_or_default()[..if code.is_some() { 2 } else { 0 }])
}

/// A close frame that says why, in as many bytes of `reason` as fit.
#[must_use]
pub fn close_because(code: u16, reason: &str) -> Vec<u8> {
    let reason = &reason[..reason.floor_char_boundary(CONTROL_MAX - 2)];
    frame(Opcode::Close, &[&code.to_be_bytes()[..], reason.as_bytes()].concat())
}

/// What the header of one frame says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Header {
    fin: bool,
    opcode: Opcode,
    mask: Option<[u8; 4]>,
    payload: u64,
    /// Bytes of the header itself.
    len: usize,
}

impl Header {
    /// Reads a header; `None` while bytes of it are missing. What is wrong is said as soon as it can be seen.
    fn read(bytes: &[u8]) -> Result<Option<Self>, Violation> {
        let Some(&first) = bytes.first() else { return Ok(None) };
        let opcode = Opcode::of(first & 0x0F).filter(|_| first & 0x70 == 0).ok_or(Violation::Protocol)?;
        let fin = first & 0x80 != 0;
        let Some(&second) = bytes.get(1) else { return Ok(None) };
        let short = second & 0x7F;
        if opcode.is_control() && (!fin || usize::from(short) > CONTROL_MAX) {
            return Err(Violation::Protocol);
        }
        let (payload, at) = match short {
            126 => {
                let Some(&[high, low]) = bytes.get(2..4).and_then(|long| long.first_chunk()) else { return Ok(None) };
                (u64::from(u16::from_be_bytes([high, low])), 4)
            }
            127 => {
                let Some(&long) = bytes.get(2..10).and_then(|long| long.first_chunk()) else { return Ok(None) };
                (u64::from_be_bytes(long), 10)
            }
            short => (u64::from(short), 2),
        };
        // The shortest form only, and the highest bit is always zero.
        if (short == 126 && payload < 126) || (short == 127 && (payload <= 0xFFFF || payload >> 63 != 0)) {
            return Err(Violation::Protocol);
        }
        if second & 0x80 == 0 {
            return Ok(Some(Self { fin, opcode, mask: None, payload, len: at }));
        }
        let mask = bytes.get(at..at + 4).and_then(|mask| mask.first_chunk().copied());
        Ok(mask.map(|mask| Self { fin, opcode, mask: Some(mask), payload, len: at + 4 }))
    }
}

/// The frames of `bytes`, which hold whole frames as the server sends them: opcode, payload, and where each ends.
pub fn sent(bytes: &[u8]) -> impl Iterator<Item = (Opcode, &[u8], usize)> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let rest = bytes.get(at..)?;
        let header = Header::read(rest).ok()??;
        let end = header.len.checked_add(usize::try_from(header.payload).ok()?)?;
        let payload = rest.get(header.len..end)?;
        at += end;
        Some((header.opcode, payload, at))
    })
}

/// Whether a peer may send this close code (section 7.4, and the codes registered since).
const fn is_close_code(code: u16) -> bool {
    matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
}

/// Takes the mask off, of whose four bytes `phase` have been used; the next phase.
fn unmask(bytes: &mut [u8], mask: [u8; 4], phase: usize) -> usize {
    let mut turned = mask;
    turned.rotate_left(phase % 4);
    let wide =
        u64::from_ne_bytes([turned[0], turned[1], turned[2], turned[3], turned[0], turned[1], turned[2], turned[3]]);
    let (words, rest) = bytes.as_chunks_mut::<8>();
    for word in words {
        *word = (u64::from_ne_bytes(*word) ^ wide).to_ne_bytes();
    }
    for (byte, mask) in rest.iter_mut().zip(turned.iter().cycle()) {
        *byte ^= mask;
    }
    (phase + bytes.len()) % 4
}

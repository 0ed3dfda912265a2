//! Reads the frame boundaries of a WebSocket as bytes pass by, without keeping any of them.

/// Opcodes of RFC 6455, section 5.2: a binary message, a pong, and the first of the control frames.
pub(crate) const BINARY: u8 = 2;
pub(crate) const PONG: u8 = 10;
pub(crate) const CONTROL: u8 = 8;

/// What is known of one frame once its last byte has passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Frame {
    /// The opcode of RFC 6455: 0 continuation, 1 text, 2 binary, 8 and above control.
    pub(crate) opcode: u8,
    /// Bytes of payload.
    pub(crate) len: u64,
    /// The first two bytes of the payload, unmasked; zero where the payload is shorter.
    pub(crate) head: [u8; 2],
}

impl Frame {
    /// Whether this is the one-byte text frame `packet`, which is how Engine.IO's ping, pong and upgrade look.
    pub(crate) fn is(&self, packet: u8) -> bool {
        self.opcode == 1 && self.len == 1 && self.head[0] == packet
    }
}

/// Longest frame header: two bytes, eight of length, four of mask.
const HEADER_MAX: usize = 14;

/// Follows one direction of a WebSocket. Bytes may be cut anywhere.
#[derive(Debug, Default)]
pub(crate) struct Scanner {
    header: [u8; HEADER_MAX],
    /// How much of `header` is filled; 0 between frames.
    have: usize,
    /// Payload bytes of the frame under way that have passed.
    passed: u64,
    frame: Option<Frame>,
}

impl Scanner {
    /// Takes the next bytes and calls `each` for every frame that ends within them.
    pub(crate) fn scan(&mut self, mut bytes: &[u8], mut each: impl FnMut(Frame)) {
        while !bytes.is_empty() {
            let frame = match self.frame {
                Some(frame) => frame,
                None => {
                    self.header[self.have] = bytes[0];
                    self.have += 1;
                    bytes = &bytes[1..];
                    let Some(frame) = self.parse() else { continue };
                    frame
                }
            };
            let rest = frame.len - self.passed;
            let take = usize::try_from(rest).unwrap_or(usize::MAX).min(bytes.len());
            let frame = self.look(frame, &bytes[..take]);
            self.passed += take as u64;
            bytes = &bytes[take..];
            if self.passed == frame.len {
                each(frame);
                *self = Self::default();
            } else {
                self.frame = Some(frame);
            }
        }
    }

    /// The frame whose header is complete, or `None` while bytes of it are missing.
    fn parse(&self) -> Option<Frame> {
        if self.have < 2 {
            return None;
        }
        let (long, len) = match self.header[1] & 0x7F {
            126 => (2, 0),
            127 => (8, 0),
            short => (0, u64::from(short)),
        };
        if self.have < 2 + long + self.mask_len() {
            return None;
        }
        let len = self.header[2..2 + long].iter().fold(len, |len, byte| len << 8 | u64::from(*byte));
        Some(Frame { opcode: self.header[0] & 0x0F, len, head: [0; 2] })
    }

    /// Client frames carry a mask of four bytes at the end of the header.
    fn mask_len(&self) -> usize {
        if self.header[1] & 0x80 == 0 { 0 } else { 4 }
    }

    /// Notes the first two payload bytes.
    fn look(&self, mut frame: Frame, payload: &[u8]) -> Frame {
        let at = usize::try_from(self.passed).unwrap_or(usize::MAX);
        for index in at..2 {
            let Some(byte) = payload.get(index - at) else { break };
            let mask = if self.mask_len() == 0 { 0 } else { self.header[self.have - 4 + index] };
            frame.head[index] = byte ^ mask;
        }
        frame
    }
}

/// Cuts what one side writes into complete frames. Meant for unmasked frames, which usually come whole.
#[derive(Debug, Default)]
pub(crate) struct Splitter {
    /// The beginning of a frame whose end has not come yet.
    rest: Vec<u8>,
}

impl Splitter {
    /// Takes the next bytes and calls `each(frame, payload, opcode)` for every complete frame.
    pub(crate) fn split(&mut self, bytes: &[u8], mut each: impl FnMut(&[u8], &[u8], u8)) {
        if self.rest.is_empty() {
            let used = cut(bytes, &mut each);
            self.rest.extend_from_slice(&bytes[used..]);
        } else {
            self.rest.extend_from_slice(bytes);
            let used = cut(&self.rest, &mut each);
            self.rest.drain(..used);
        }
    }
}

/// How many bytes the complete frames at the front take.
fn cut(bytes: &[u8], each: &mut impl FnMut(&[u8], &[u8], u8)) -> usize {
    let mut used = 0;
    while let [first, second, rest @ ..] = &bytes[used..] {
        let (long, short) = match second & 0x7F {
            126 => (2, 0),
            127 => (8, 0),
            short => (0, usize::from(short)),
        };
        let Some(length) = rest.get(..long) else { break };
        let len = length.iter().fold(short, |len, byte| len << 8 | usize::from(*byte));
        let Some(payload) = rest.get(long..long.saturating_add(len)) else { break };
        let frame = &bytes[used..used + 2 + long + len];
        each(frame, payload, first & 0x0F);
        used += frame.len();
    }
    used
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(opcode: u8, payload: &[u8], mask: Option<[u8; 4]>) -> Vec<u8> {
        let mut bytes = vec![0x80 | opcode];
        let masked = if mask.is_some() { 0x80 } else { 0 };
        match payload.len() {
            len @ 0..=125 => bytes.push(masked | u8::try_from(len).unwrap()),
            len @ 126..=0xFFFF => {
                bytes.push(masked | 126);
                bytes.extend(u16::try_from(len).unwrap().to_be_bytes());
            }
            len => {
                bytes.push(masked | 127);
                bytes.extend((len as u64).to_be_bytes());
            }
        }
        let mask = mask.inspect(|mask| bytes.extend(mask)).unwrap_or_default();
        bytes.extend(payload.iter().enumerate().map(|(at, byte)| byte ^ mask[at % 4]));
        bytes
    }

    /// Frames of every header form, masked or not, are told apart wherever the stream is cut.
    #[test]
    fn frames_are_found_wherever_the_stream_is_cut() {
        for mask in [None, Some([0xA5, 0x11, 0, 0xFF])] {
            let payloads: [(u8, Vec<u8>); 6] = [
                (1, b"2".to_vec()),
                (1, b"42[\"a\"]".to_vec()),
                (2, Vec::new()),
                (2, vec![7; 125]),
                (1, vec![b'4'; 300]),
                (1, vec![b'6'; 70_000]),
            ];
            let stream: Vec<u8> = payloads.iter().flat_map(|(opcode, payload)| frame(*opcode, payload, mask)).collect();
            let wanted: Vec<Frame> = payloads
                .iter()
                .map(|(opcode, payload)| {
                    let head = [payload.first(), payload.get(1)].map(|byte| byte.copied().unwrap_or(0));
                    Frame { opcode: *opcode, len: payload.len() as u64, head }
                })
                .collect();
            for step in [1, 2, 3, 7, 64, 1000, stream.len()] {
                let mut scanner = Scanner::default();
                let mut seen = Vec::new();
                for chunk in stream.chunks(step) {
                    scanner.scan(chunk, |frame| seen.push(frame));
                }
                assert_eq!(seen, wanted, "cut every {step} bytes");
            }
        }
    }

    /// Whole frames come out, however they are handed in.
    #[test]
    fn frames_are_put_together_again() {
        let payloads = [(1, b"42[1]".to_vec()), (2, vec![1; 200]), (1, vec![b'4'; 70_000]), (1, b"2".to_vec())];
        let stream: Vec<u8> = payloads.iter().flat_map(|(opcode, payload)| frame(*opcode, payload, None)).collect();
        for step in [1, 3, 100, stream.len()] {
            let (mut splitter, mut whole, mut seen) = (Splitter::default(), Vec::new(), Vec::new());
            for chunk in stream.chunks(step) {
                splitter.split(chunk, |frame, payload, opcode| {
                    whole.extend_from_slice(frame);
                    seen.push((opcode, payload.to_vec()));
                });
            }
            assert_eq!((seen, whole), (payloads.to_vec(), stream.clone()), "cut every {step} bytes");
        }
    }

    #[test]
    fn ping_and_pong_are_recognised() {
        let mut scanner = Scanner::default();
        let mut pongs = 0;
        let bytes: Vec<u8> = [&b"3"[..], b"42[\"3\"]", b"3probe"]
            .into_iter()
            .flat_map(|payload| frame(1, payload, Some([1, 2, 3, 4])))
            .collect();
        scanner.scan(&bytes, |frame| pongs += usize::from(frame.is(b'3')));
        assert_eq!(pongs, 1);
    }
}

//! Puts the messages of a client together from bytes that may be cut anywhere, and checks them on the way.
//!
//! A frame that has arrived whole is read where it lies and nothing is kept. What is incomplete is kept, and only it:
//! between two messages a reader holds no memory.

use super::{CONTROL_MAX, HEADER_MAX, Header, Opcode, Violation, is_close_code, unmask};

/// What a client has sent, whole.
#[derive(Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// A text.
    Text(&'a str),
    /// Bytes.
    Binary(&'a [u8]),
    /// To be answered by a pong with the same payload.
    Ping(&'a [u8]),
    /// Nobody asked for it, or somebody did.
    Pong,
    /// The client closes, with this code.
    Close(Option<u16>),
}

/// Reads what one client sends.
#[derive(Debug)]
pub struct Reader {
    /// The longest message.
    limit: usize,
    partial: Option<Box<Partial>>,
}

/// What has arrived in part.
#[derive(Debug, Default)]
struct Partial {
    /// The bytes of a header that is not complete.
    header: Vec<u8>,
    /// The frame whose payload is arriving, with what is missing and how far its mask has turned.
    frame: Option<(Header, u64, usize)>,
    /// The payload of a control frame: it may come between the fragments of a message.
    control: Vec<u8>,
    /// The message whose fragments are arriving: whether it is a text, its bytes, and how many of them are checked.
    kind: Option<Opcode>,
    message: Vec<u8>,
    checked: usize,
    /// The message has been handed out.
    done: bool,
}

impl Reader {
    /// A reader of messages up to `limit` bytes.
    #[must_use]
    pub const fn new(limit: usize) -> Self {
        Self { limit, partial: None }
    }

    /// Takes the next message out of `bytes`, of which `at` are used and more will be; `None` when all are.
    ///
    /// # Errors
    /// What the client did wrong. Nothing can be read after that.
    pub fn next<'a>(&'a mut self, bytes: &'a mut [u8], at: &mut usize) -> Result<Option<Message<'a>>, Violation> {
        self.tidy();
        if self.partial.is_none() {
            let rest = bytes.get(*at..).unwrap_or_default();
            if rest.is_empty() {
                return Ok(None);
            }
            if let Some(header) = Header::read(rest)? {
                self.check(&header, None, 0)?;
                let end = usize::try_from(header.payload).ok().and_then(|payload| header.len.checked_add(payload));
                if let Some(end) = end.filter(|end| header.fin && *end <= rest.len()) {
                    let payload = &mut bytes[*at + header.len..*at + end];
                    *at += end;
                    unmask(payload, header.mask.unwrap_or_default(), 0);
                    return whole(header.opcode, payload).map(Some);
                }
            }
        }
        self.partial.get_or_insert_default();
        self.piecewise(bytes, at)
    }

    /// Whether nothing has arrived in part.
    #[must_use]
    pub fn is_between_messages(&self) -> bool {
        self.partial.as_ref().is_none_or(|partial| partial.is_empty())
    }

    /// Bytes kept of what has arrived in part.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        self.partial.as_ref().map_or(0, |partial| partial.message.capacity())
    }

    /// Forgets what was handed out last.
    fn tidy(&mut self) {
        if let Some(partial) = &mut self.partial {
            if partial.done {
                (partial.message, partial.checked, partial.done) = (Vec::new(), 0, false);
            }
            if partial.frame.is_none() {
                partial.control = Vec::new();
            }
            if partial.is_empty() {
                self.partial = None;
            }
        }
    }

    /// Whether a frame may come here, `kind` being the message under way, of which `have` bytes are here.
    fn check(&self, header: &Header, kind: Option<Opcode>, have: usize) -> Result<(), Violation> {
        let fits = match header.opcode {
            Opcode::Continuation => kind.is_some(),
            Opcode::Text | Opcode::Binary => kind.is_none(),
            _ => true,
        };
        if header.mask.is_none() || !fits {
            return Err(Violation::Protocol);
        }
        let room = self.limit.saturating_sub(have) as u64;
        if !header.opcode.is_control() && header.payload > room {
            return Err(Violation::TooLarge);
        }
        Ok(())
    }

    fn piecewise<'a>(&'a mut self, bytes: &'a mut [u8], at: &mut usize) -> Result<Option<Message<'a>>, Violation> {
        loop {
            let Some(partial) = &mut self.partial else { return Ok(None) };
            let Some((header, missing, phase)) = partial.frame else {
                let Some(&byte) = bytes.get(*at) else { return Ok(None) };
                *at += 1;
                partial.header.push(byte);
                let Some(header) = Header::read(&partial.header)? else {
                    debug_assert!(partial.header.len() < HEADER_MAX);
                    continue;
                };
                partial.header = Vec::new();
                let (kind, have) = (partial.kind, partial.message.len());
                self.check(&header, kind, have)?;
                let Some(partial) = &mut self.partial else { return Ok(None) };
                if matches!(header.opcode, Opcode::Text | Opcode::Binary) {
                    partial.kind = Some(header.opcode);
                }
                partial.frame = Some((header, header.payload, 0));
                continue;
            };
            let rest = &mut bytes[*at..];
            let take = usize::try_from(missing).unwrap_or(usize::MAX).min(rest.len());
            let piece = &mut rest[..take];
            *at += take;
            let phase = unmask(piece, header.mask.unwrap_or_default(), phase);
            let missing = missing - take as u64;
            let control = header.opcode.is_control();
            if control {
                partial.control.extend_from_slice(piece);
            } else {
                partial.message.extend_from_slice(piece);
                partial.check_text(missing == 0 && header.fin)?;
            }
            if missing > 0 {
                partial.frame = Some((header, missing, phase));
                return Ok(None);
            }
            partial.frame = None;
            if control || header.fin {
                return self.complete(header.opcode).map(Some);
            }
        }
    }

    /// The frame that has just ended completes a message, or is one.
    fn complete(&mut self, opcode: Opcode) -> Result<Message<'_>, Violation> {
        let partial = self.partial.get_or_insert_default();
        if opcode.is_control() {
            debug_assert!(partial.control.len() <= CONTROL_MAX);
            return whole(opcode, &partial.control);
        }
        partial.done = true;
        match partial.kind.take() {
            // It has been checked as it came.
            Some(Opcode::Text) => {
                std::str::from_utf8(&partial.message).map(Message::Text).map_err(|_| Violation::NotUtf8)
            }
            _ => Ok(Message::Binary(&partial.message)),
        }
    }
}

impl Partial {
    fn is_empty(&self) -> bool {
        self.header.is_empty() && self.frame.is_none() && self.kind.is_none() && (self.done || self.message.is_empty())
    }

    /// A text is wrong as soon as no further byte can make it right.
    fn check_text(&mut self, ends: bool) -> Result<(), Violation> {
        if self.kind != Some(Opcode::Text) {
            return Ok(());
        }
        match std::str::from_utf8(&self.message[self.checked..]) {
            Ok(text) => self.checked += text.len(),
            Err(error) if error.error_len().is_none() && !ends => self.checked += error.valid_up_to(),
            Err(_) => return Err(Violation::NotUtf8),
        }
        Ok(())
    }
}

/// The message that a single frame is.
fn whole(opcode: Opcode, payload: &[u8]) -> Result<Message<'_>, Violation> {
    Ok(match opcode {
        Opcode::Text => Message::Text(std::str::from_utf8(payload).map_err(|_| Violation::NotUtf8)?),
        Opcode::Binary | Opcode::Continuation => Message::Binary(payload),
        Opcode::Ping => Message::Ping(payload),
        Opcode::Pong => Message::Pong,
        Opcode::Close => Message::Close(close_code(payload)?),
    })
}

/// The code in the payload of a close frame, which may also be empty.
fn close_code(payload: &[u8]) -> Result<Option<u16>, Violation> {
    let Some((code, reason)) = payload.split_first_chunk() else {
        return if payload.is_empty() { Ok(None) } else { Err(Violation::Protocol) };
    };
    let code = u16::from_be_bytes(*code);
    if !is_close_code(code) {
        return Err(Violation::Protocol);
    }
    std::str::from_utf8(reason).map_err(|_| Violation::NotUtf8)?;
    Ok(Some(code))
}

//! The one task of a WebSocket: reads what the client sends, and writes what did not leave at once.
//!
//! Whatever the socket holds is read at once into a buffer of the thread's, and handled there; only what is incomplete
//! is kept, and what follows while the client must not be read from.

use std::cell::RefCell;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use carillon_core::packet::frame::{Message, Opcode, Reader, Violation, close, header};
use carillon_core::sink::Reason;
use tokio::io::ReadBuf;
use tokio::time::Sleep;

use super::end::FAREWELL;
use super::session::Session;
use crate::admission::Held;
use crate::wire::{Place, Stream};

/// Bytes read at once at most.
const READ: usize = 64 << 10;
/// Messages that are handled before others get the thread: the smallest have six bytes.
const MESSAGES: usize = 512;
/// Pongs that leave together, in bytes. Of more only the last ones are sent (RFC 6455, section 5.5.3).
const PONGS: usize = 4096;
/// The close codes of an ordinary end, and of one because of what the client sent.
const NORMAL: u16 = 1000;
const POLICY: u16 = 1008;
/// The close code of a server that has no room just now.
const TRY_AGAIN: u16 = 1013;

thread_local! {
    static BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; READ]);
}

/// The connection, once a session goes over it.
pub(super) struct Connection {
    stream: Arc<Stream>,
    session: Arc<Session>,
    reader: Reader,
    /// What was read and is not handled yet: the client must not be heard, or it is the turn of others.
    rest: Vec<u8>,
    /// What has come of a message in part counts for the memory budget.
    held: Option<Box<(Held, usize)>>,
    /// The session is over: how long the client may take to close its side.
    closing: Option<Pin<Box<Sleep>>>,
    /// The place among the connections that are allowed at once.
    _place: Place,
}

impl Connection {
    /// Goes on with what was read already.
    pub(super) fn new(session: Arc<Session>, stream: Arc<Stream>, place: Place, reader: Reader, rest: Vec<u8>) -> Self {
        Self { stream, session, reader, rest, held: None, closing: None, _place: place }
    }

    /// Handles what has been read, as far as the client may be heard.
    fn handle(&mut self, bytes: &mut [u8]) {
        let mut pongs = Vec::new();
        let ends = self.take(bytes, &mut pongs).or_else(|| self.hold());
        if !pongs.is_empty() {
            self.session.pong(pongs.into());
        }
        if let Some((reason, code)) = ends {
            self.close(reason, code);
        }
    }

    /// The same; the pongs it asks for, and why and with which code the session ends.
    fn take(&mut self, bytes: &mut [u8], pongs: &mut Vec<u8>) -> Option<(Reason, u16)> {
        let (mut at, mut handled) = (0, 0);
        while self.closing.is_none() && self.session.ended().is_none() {
            if at < bytes.len() && (handled == MESSAGES || self.session.is_paused()) {
                self.rest = bytes[at..].to_vec();
                return None;
            }
            handled += 1;
            let outcome = match self.reader.next(bytes, &mut at) {
                Ok(None) => return None,
                Ok(Some(message)) => match message {
                    Message::Text(text) => self.session.text(text).map_err(|reason| (reason, None)),
                    Message::Binary(data) => {
                        self.session.binary(Bytes::copy_from_slice(data)).map_err(|reason| (reason, None))
                    }
                    Message::Ping(payload) => {
                        if pongs.len() > PONGS {
                            pongs.clear();
                        }
                        pongs.extend_from_slice(&header(Opcode::Pong, payload.len()));
                        pongs.extend_from_slice(payload);
                        Ok(())
                    }
                    Message::Pong => Ok(()),
                    Message::Close(code) => Err((Reason::TransportClose, Some(code.unwrap_or(NORMAL)))),
                },
                Err(Violation::TooLarge) => Err((Reason::TooLarge, None)),
                Err(violation) => Err((Reason::TransportError, Some(violation.close_code()))),
            };
            if let Err((reason, code)) = outcome {
                let code = code.unwrap_or(if reason == Reason::BadPacket { POLICY } else { NORMAL });
                return Some((reason, code));
            }
        }
        None
    }

    /// Counts what is kept of an incomplete message; how the session ends when there is no room for it.
    fn hold(&mut self) -> Option<(Reason, u16)> {
        let bytes = self.reader.held_bytes();
        let Some(held) = &mut self.held else {
            if bytes > 0 {
                let held = self.session.newcomer.hold(bytes);
                self.held = held.map(|held| Box::new((held, bytes)));
                return self.held.is_none().then_some((Reason::TransportError, TRY_AGAIN));
            }
            return None;
        };
        if bytes == 0 {
            self.held = None;
        } else if bytes > held.1 {
            let more = bytes - held.1;
            held.1 = bytes;
            return (!held.0.grow(more)).then_some((Reason::TransportError, TRY_AGAIN));
        }
        None
    }

    /// Says why, and that nothing follows; then the client closes its side.
    fn close(&mut self, reason: Reason, code: u16) {
        self.session.write_close(if reason == Reason::TooLarge { self.session.too_large() } else { close(Some(code)) });
        // What keeps it from ending ends it.
        self.stream.finish().ok();
        self.session.gone(reason);
        // What has come in part is not needed any more.
        (self.reader, self.held, self.rest) = (Reader::new(0), None, Vec::new());
        self.farewell();
    }

    fn farewell(&mut self) {
        self.closing = Some(Box::pin(tokio::time::sleep(FAREWELL)));
    }

    /// Reads once and handles it; how many bytes there were, none at the end.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        BUFFER.with_borrow_mut(|buffer| {
            let mut read = ReadBuf::new(buffer);
            ready!(self.stream.poll_read(cx, &mut read))?;
            self.handle(read.filled_mut());
            Poll::Ready(Ok(read.filled().len()))
        })
    }
}

impl Future for Connection {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        loop {
            if let Some(closing) = &mut this.closing {
                if closing.as_mut().poll(cx).is_ready() {
                    this.stream.cut();
                    return Poll::Ready(());
                }
            } else {
                let stream = Arc::clone(&this.stream);
                this.session.drive(&stream, cx);
                if this.session.ended().is_none() {
                    if this.session.is_paused() {
                        return Poll::Pending;
                    }
                    if !this.rest.is_empty() {
                        let mut rest = std::mem::take(&mut this.rest);
                        this.handle(&mut rest);
                        break;
                    }
                }
            }
            let reason = match ready!(this.poll_read(cx)) {
                // Others have their turn, however much is here.
                Ok(READ) => break,
                Ok(1..) if !this.rest.is_empty() => break,
                Ok(1..) => continue,
                Ok(0) => Reason::TransportClose,
                Err(_) => Reason::TransportError,
            };
            if this.closing.is_none() {
                this.session.gone(reason);
            }
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl Drop for Connection {
    /// The runtime ends before the connection does.
    fn drop(&mut self) {
        self.session.gone(Reason::TransportClose);
    }
}

impl Session {
    /// Answers pings of the WebSocket's; of those that cannot leave at once the newest wait.
    fn pong(&self, frames: Bytes) {
        let mut out = self.out();
        out.outbox.push_pong(frames);
        self.flush(&mut out);
    }
}

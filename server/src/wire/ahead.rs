//! Reads ahead of the WebSocket, whose buffer is small because every idle connection has one.
//!
//! Whatever the socket holds is read at once into a buffer of the thread's; what the WebSocket has no room for is kept
//! until it asks again. A client that says little keeps nothing, one that says much costs few system calls.

use std::cell::RefCell;
use std::io;
use std::task::{Context, Poll, ready};

use tokio::io::ReadBuf;

use super::Stream;

/// Bytes read at once at most.
const READ: usize = 64 << 10;

thread_local! {
    static BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; READ]);
}

/// What has been read and not been asked for yet.
#[derive(Default)]
pub(super) struct Ahead {
    bytes: Vec<u8>,
    /// How many of them have been handed on.
    used: usize,
}

impl Ahead {
    /// Fills `buf` with what comes next; nothing at the end of the stream.
    pub(super) fn poll_read(
        &mut self,
        stream: &Stream,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.bytes.is_empty() {
            if buf.remaining() >= READ {
                return stream.poll_read(cx, buf);
            }
            ready!(BUFFER.with_borrow_mut(|buffer| {
                let mut read = ReadBuf::new(buffer);
                ready!(stream.poll_read(cx, &mut read))?;
                let (now, later) = read.filled().split_at(buf.remaining().min(read.filled().len()));
                buf.put_slice(now);
                self.bytes.extend_from_slice(later);
                Poll::Ready(io::Result::Ok(()))
            }))?;
            return Poll::Ready(Ok(()));
        }
        // As reading from the socket does: others have their turn from time to time, however much is here.
        let turn = ready!(tokio::task::coop::poll_proceed(cx));
        let rest = &self.bytes[self.used..];
        let now = &rest[..buf.remaining().min(rest.len())];
        buf.put_slice(now);
        self.used += now.len();
        if self.used == self.bytes.len() {
            *self = Self::default();
        }
        turn.made_progress();
        Poll::Ready(Ok(()))
    }
}

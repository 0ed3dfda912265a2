//! A socket with TLS on it, which is written to and read from as one without.
//!
//! What is written is encrypted at once, a piece at a time, and no more of it while the kernel has not taken the last
//! piece whole: that remainder is all that waits here. The last byte of what somebody wrote is not said to be written
//! before the kernel has its record, so that whoever wrote comes back, and nothing waits that nobody looks after.

use std::io::{self, BufRead, IoSlice, Read, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use rustls::ServerConnection;
use tokio::io::ReadBuf;
use tokio::net::TcpStream;

/// Bytes that are encrypted at once, and so the most that waits encrypted beside what the kernel holds.
const PIECE: usize = 32 << 10;
/// Records that are read before others get the thread, where none of them has anything for the reader.
const ROUNDS: usize = 16;

/// A socket whose handshake is done.
pub(crate) struct Tls {
    socket: TcpStream,
    state: Mutex<State>,
}

struct State {
    connection: ServerConnection,
    /// Encrypted bytes that the kernel has taken.
    sent: u64,
    /// The last byte that was written is encrypted, and its writer has not been told.
    owed: bool,
    /// Somebody waits in [`Tls::poll_writable`], who writes whatever waits.
    awaited: bool,
    /// Nothing follows: the stream ends once everything is with the kernel.
    finishing: bool,
}

/// Reads what has arrived.
struct Arriving<'a>(&'a TcpStream);

impl Read for Arriving<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        super::receive(self.0, buf)
    }
}

/// Writes what the kernel takes at once.
struct Leaving<'a>(&'a TcpStream);

impl Write for Leaving<'_> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.0.try_write(buf)
    }

    fn write_vectored(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        self.0.try_write_vectored(bufs)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl State {
    /// Gives the kernel what waits; `WouldBlock` when it does not take all of it.
    fn flush(&mut self, socket: &TcpStream) -> io::Result<()> {
        while self.connection.wants_write() {
            match self.connection.write_tls(&mut Leaving(socket))? {
                0 => return Err(io::ErrorKind::WriteZero.into()),
                written => self.sent += written as u64,
            }
        }
        if self.finishing { super::end(socket) } else { Ok(()) }
    }

    /// Puts decrypted bytes into `buf`; whether the client has ended the stream, with a word of TLS or without.
    fn take(&mut self, buf: &mut ReadBuf<'_>) -> io::Result<bool> {
        while buf.remaining() > 0 {
            let mut reader = self.connection.reader();
            match reader.fill_buf() {
                Ok([]) => return Ok(true),
                Ok(bytes) => {
                    let read = bytes.len().min(buf.remaining());
                    buf.put_slice(&bytes[..read]);
                    reader.consume(read);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(true),
                Err(error) => return Err(error),
            }
        }
        Ok(false)
    }
}

impl Tls {
    pub(super) fn new(socket: TcpStream, mut connection: ServerConnection) -> Self {
        connection.set_buffer_limit(Some(PIECE));
        let state = State { connection, sent: 0, owed: false, awaited: false, finishing: false };
        Self { socket, state: Mutex::new(state) }
    }

    pub(super) fn socket(&self) -> &TcpStream {
        &self.socket
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn poll_read(&self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut state = self.state();
        let before = buf.filled().len();
        for _ in 0..ROUNDS {
            if state.take(buf)? || buf.remaining() == 0 {
                return Poll::Ready(Ok(()));
            }
            match state.connection.read_tls(&mut Arriving(&self.socket)) {
                Ok(_) => {
                    if let Err(error) = state.connection.process_new_packets() {
                        // The client is told, if it can be.
                        state.flush(&self.socket).ok();
                        return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, error)));
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if buf.filled().len() > before {
                        return Poll::Ready(Ok(()));
                    }
                    self.answer(&mut state, cx);
                    ready!(self.socket.poll_read_ready(cx))?;
                }
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        if state.take(buf)? || buf.filled().len() > before {
            return Poll::Ready(Ok(()));
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// What TLS itself has to say leaves, also when nobody writes.
    fn answer(&self, state: &mut State, cx: &mut Context<'_>) {
        while state.connection.wants_write() && !state.awaited {
            match state.flush(&self.socket) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if self.socket.poll_write_ready(cx).is_pending() {
                        return;
                    }
                }
                // Reading meets the same end.
                _ => return,
            }
        }
    }

    /// Writes a piece, if nothing of the last one waits.
    pub(super) fn try_write(&self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut state = self.state();
        state.flush(&self.socket)?;
        if std::mem::take(&mut state.owed) {
            return Ok(1);
        }
        let all: usize = bufs.iter().map(|buf| buf.len()).sum();
        let taken = state.connection.writer().write_vectored(bufs)?;
        match state.flush(&self.socket) {
            Ok(()) if taken == 0 && all > 0 => Err(io::ErrorKind::WriteZero.into()),
            Ok(()) => Ok(taken),
            // Whoever has more to write comes back by themselves.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock && taken < all => Ok(taken),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                state.owed = true;
                if taken > 1 { Ok(taken - 1) } else { Err(error) }
            }
            Err(error) => Err(error),
        }
    }

    /// Bytes that the client's machine has taken, of which `unacknowledged` are none.
    pub(super) fn taken(&self, unacknowledged: u64) -> u64 {
        self.state().sent.saturating_sub(unacknowledged)
    }

    pub(super) fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut state = self.state();
        loop {
            state.awaited = true;
            ready!(self.socket.poll_write_ready(cx))?;
            match state.flush(&self.socket) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                result => {
                    state.awaited = false;
                    return Poll::Ready(result);
                }
            }
        }
    }

    /// Tells the client that nothing follows, and ends the stream after what waits; it is read from until that has left.
    pub(super) fn finish(&self) -> io::Result<()> {
        let mut state = self.state();
        state.connection.send_close_notify();
        (state.finishing, state.awaited) = (true, false);
        match state.flush(&self.socket) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            result => result,
        }
    }
}

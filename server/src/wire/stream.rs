//! The socket under a wire: what the rest of the server asks of it, and nothing else.

use std::io::{self, IoSlice};
use std::net::Shutdown;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use socket2::SockRef;
use tokio::io::ReadBuf;
use tokio::net::TcpStream;

use super::Options;

/// A connected socket. Nothing here blocks; whoever is told `WouldBlock` waits with one of the `poll` methods.
pub(crate) struct Stream(TcpStream);

impl Stream {
    /// Takes a socket over and sets its options.
    pub(super) fn new(stream: TcpStream, options: &Options) -> Self {
        if let Err(error) = options.apply(&stream) {
            tracing::debug!(%error, "socket options refused");
        }
        Self(stream)
    }

    /// Reads what has arrived, or waits for something to arrive; nothing at the end.
    pub(super) fn poll_read(&self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        loop {
            ready!(self.0.poll_read_ready(cx))?;
            match self.0.try_read_buf(buf) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                result => return Poll::Ready(result.map(drop)),
            }
        }
    }

    /// Writes what the kernel takes at once.
    pub(crate) fn try_write(&self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        self.0.try_write_vectored(bufs)
    }

    /// Writes what the kernel takes at once, without asking the runtime first whether it would: the shortest way, for
    /// a frame to a client for which nothing waits.
    pub(crate) fn send(&self, bytes: &[u8]) -> io::Result<usize> {
        SockRef::from(&self.0).send(bytes)
    }

    /// Resolves when the kernel takes more.
    pub(crate) fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.poll_write_ready(cx)
    }

    /// Closes both directions now; unsent data is thrown away. The tasks that read and write see an end of stream and
    /// an error.
    pub(super) fn cut(&self) {
        let socket = SockRef::from(&self.0);
        // Both fail only when the peer was faster.
        socket.set_linger(Some(Duration::ZERO)).ok();
        socket.shutdown(Shutdown::Both).ok();
    }

    /// Ends the stream towards the client after what the kernel holds for it.
    ///
    /// # Errors
    /// What the kernel says; that the peer has gone is no error.
    pub(super) fn finish(&self) -> io::Result<()> {
        match SockRef::from(&self.0).shutdown(Shutdown::Write) {
            Err(error) if error.kind() != io::ErrorKind::NotConnected => Err(error),
            _ => Ok(()),
        }
    }
}

//! The socket under a wire: what the rest of the server asks of it, and nothing else.

#[cfg(test)]
mod memory;
mod tls;

use std::io::{self, IoSlice, Read};
use std::net::Shutdown;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use rustls::ServerConnection;
use socket2::SockRef;
use tokio::io::{Interest, ReadBuf};
use tokio::net::TcpStream;

#[cfg(test)]
pub(crate) use self::memory::Memory;
use self::tls::Tls;

/// A connected socket. Nothing here blocks; whoever is told `WouldBlock` waits with one of the `poll` methods.
pub(crate) enum Stream {
    Tcp(TcpStream),
    /// One with TLS on it.
    Tls(Box<Tls>),
    /// A simulated one, whose client a test plays.
    #[cfg(test)]
    Memory(Memory),
}

impl Stream {
    /// A socket over which everything goes encrypted; its handshake is done.
    pub(crate) fn secure(socket: TcpStream, connection: ServerConnection) -> Self {
        Self::Tls(Box::new(Tls::new(socket, connection)))
    }

    /// Whether it is encrypted.
    pub(crate) fn is_secure(&self) -> bool {
        matches!(self, Self::Tls(_))
    }

    /// Reads what has arrived, or waits for something to arrive; nothing at the end.
    pub(crate) fn poll_read(&self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(stream) => poll_receive(stream, cx, buf),
            Self::Tls(tls) => tls.poll_read(cx, buf),
            #[cfg(test)]
            Self::Memory(memory) => memory.poll_read(cx, buf),
        }
    }

    /// Writes what the kernel takes at once. Under TLS a byte of what was written whole may be kept back: whoever is told
    /// of less than everything writes on with the same bytes.
    pub(crate) fn try_write(&self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.try_write_vectored(bufs),
            Self::Tls(tls) => tls.try_write(bufs),
            #[cfg(test)]
            Self::Memory(memory) => memory.try_write(bufs),
        }
    }

    /// Writes what the kernel takes at once, without asking the runtime first whether it would: the shortest way, for
    /// a frame to a client for which nothing waits.
    pub(crate) fn send(&self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => SockRef::from(stream).send(bytes),
            Self::Tls(tls) => tls.try_write(&[IoSlice::new(bytes)]),
            #[cfg(test)]
            Self::Memory(memory) => memory.send(bytes),
        }
    }

    /// Of `written` bytes, those that the client's machine has taken: all but what the kernel still holds, where it tells.
    /// Under TLS encrypted bytes are counted.
    pub(crate) fn taken(&self, written: u64) -> u64 {
        match self {
            Self::Tcp(stream) => written.saturating_sub(unacknowledged(stream)),
            Self::Tls(tls) => tls.taken(unacknowledged(tls.socket())),
            #[cfg(test)]
            Self::Memory(memory) => written.saturating_sub(memory.unread()),
        }
    }

    /// Resolves when the kernel takes more.
    pub(crate) fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(stream) => stream.poll_write_ready(cx),
            Self::Tls(tls) => tls.poll_writable(cx),
            #[cfg(test)]
            Self::Memory(memory) => memory.poll_writable(cx),
        }
    }

    /// Closes both directions now; unsent data is thrown away. The tasks that read and write see an end of stream and
    /// an error.
    pub(crate) fn cut(&self) {
        let stream = match self {
            Self::Tcp(stream) => stream,
            Self::Tls(tls) => tls.socket(),
            #[cfg(test)]
            Self::Memory(memory) => return memory.cut(),
        };
        let socket = SockRef::from(stream);
        // Both fail only when the peer was faster.
        socket.set_linger(Some(Duration::ZERO)).ok();
        socket.shutdown(Shutdown::Both).ok();
    }

    /// Ends the stream towards the client after what the kernel holds for it.
    ///
    /// # Errors
    /// What the kernel says; that the peer has gone is no error.
    pub(crate) fn finish(&self) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => end(stream),
            Self::Tls(tls) => tls.finish(),
            #[cfg(test)]
            Self::Memory(memory) => {
                memory.finish();
                Ok(())
            }
        }
    }
}

/// Nothing follows what the kernel holds.
fn end(stream: &TcpStream) -> io::Result<()> {
    match SockRef::from(stream).shutdown(Shutdown::Write) {
        Err(error) if error.kind() != io::ErrorKind::NotConnected => Err(error),
        _ => Ok(()),
    }
}

/// Reads once, or waits for something to arrive.
fn poll_receive(stream: &TcpStream, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
    loop {
        ready!(stream.poll_read_ready(cx))?;
        let result = if buf.initialized().len() == buf.capacity() {
            receive(stream, buf.initialize_unfilled()).map(|read| buf.advance(read))
        } else {
            // Memory that nobody has touched is not to be filled with zeros first: most of it is never needed.
            stream.try_read_buf(buf).map(drop)
        };
        match result {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            result => return Poll::Ready(result),
        }
    }
}

/// Reads once. Less than there was room for is all there was (epoll(7), question 9), so nobody asks the kernel a second
/// time to be told that there is nothing.
fn receive(stream: &TcpStream, room: &mut [u8]) -> io::Result<usize> {
    let mut read = 0;
    let result = stream.try_io(Interest::READABLE, || {
        read = (&*SockRef::from(stream)).read(room)?;
        // This is how tokio learns it.
        if (1..room.len()).contains(&read) { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(()) }
    });
    match result {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock && read > 0 => Ok(read),
        result => result.map(|()| read),
    }
}

/// Bytes the kernel holds that the client's machine has not acknowledged (SIOCOUTQ); 0 where the kernel does not tell.
#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "an ioctl that reads one number; no crate in use wraps it")]
fn unacknowledged(stream: &TcpStream) -> u64 {
    use rustix::ioctl::{Getter, ioctl};
    /// From `linux/sockios.h`: the bytes of the send queue.
    const SIOCOUTQ: rustix::ioctl::Opcode = 0x5411;
    // SAFETY: for a TCP socket, SIOCOUTQ writes one C int to the place it is given, as `Getter` promises.
    let bytes: Result<std::ffi::c_int, _> = unsafe { ioctl(stream, Getter::<SIOCOUTQ, std::ffi::c_int>::new()) };
    bytes.ok().and_then(|bytes| u64::try_from(bytes).ok()).unwrap_or(0)
}

#[cfg(not(target_os = "linux"))]
fn unacknowledged(_: &TcpStream) -> u64 {
    0
}

//! The byte pipe of one accepted connection, as hyper and what it upgrades to see it.
//!
//! Bytes pass through as they are. It can be cut at once from anywhere, and it does not wait for ever for a client to
//! read. Our own engine takes the bare socket out of it ([`Wire::into_parts`]); the second one keeps the pipe.

mod handle;
mod patience;
mod stream;

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use carillon_core::sink::Reason;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

pub(crate) use self::handle::{Handle, Options};
pub(crate) use self::patience::Pace;
use self::patience::Patience;
#[cfg(test)]
pub(crate) use self::stream::Memory;
pub(crate) use self::stream::Stream;
use crate::admission;
use crate::metrics::Metrics;

/// The pipe itself, owned by whoever reads and writes it: hyper, later the WebSocket.
pub(crate) struct Wire {
    stream: Arc<Stream>,
    handle: Handle,
    pace: Pace,
    /// Runs while something waits that the client does not take.
    patience: Option<Box<Patience>>,
    /// What hyper has written since [`Handle::keep_answer`].
    kept: Vec<u8>,
    place: Place,
}

/// A connection's place among those that are allowed at once, given back when dropped.
pub(crate) struct Place {
    metrics: Arc<Metrics>,
    _among: admission::Place,
}

impl Place {
    /// The place of a connection that is open from now on.
    pub(crate) fn new(metrics: Arc<Metrics>, among: impl Into<admission::Place>) -> Self {
        metrics.connections.inc();
        Self { metrics, _among: among.into() }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.metrics.connections.dec();
    }
}

impl Wire {
    /// The pipe over a connection, whose client may be as slow as `pace` says.
    pub(crate) fn new(stream: Stream, peer: SocketAddr, pace: Pace, place: Place) -> Self {
        let stream = Arc::new(stream);
        let handle = Handle::new(peer, &stream);
        Self { stream, handle, pace, patience: None, kept: Vec::new(), place }
    }

    pub(crate) fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// The bare socket, for whoever reads and writes it from here on, the connection's place, and what is to be written
    /// first.
    pub(crate) fn into_parts(self) -> (Arc<Stream>, Place, Vec<u8>) {
        (self.stream, self.place, self.kept)
    }

    /// The client takes nothing: one that is too slow ends the connection.
    fn wait(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let patience = self.patience.get_or_insert_with(|| Box::new(Patience::new(self.pace)));
        ready!(patience.poll_exhausted(cx));
        self.patience = None;
        self.place.metrics.killed(Reason::Slow);
        self.handle.cut_as_slow();
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Wire {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.stream.poll_read(cx, buf)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        if this.handle.keeps_answer() {
            let before = this.kept.len();
            bufs.iter().for_each(|buf| this.kept.extend_from_slice(buf));
            return Poll::Ready(Ok(this.kept.len() - before));
        }
        loop {
            match this.stream.poll_writable(cx) {
                Poll::Pending => return this.wait(cx),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Ready(Ok(())) => {}
            }
            match this.stream.try_write(bufs) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                result => {
                    if let (Some(patience), Ok(written)) = (&mut this.patience, &result) {
                        patience.took(*written);
                    }
                    return Poll::Ready(result);
                }
            }
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// Everything that was taken is with the kernel, or is to be written by somebody else: nothing waits any more, and no client is too slow for nothing.
    fn poll_flush(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.patience = None;
        Poll::Ready(Ok(()))
    }

    /// Tells the peer that no more follows. Queued bytes are still delivered by the kernel; the descriptor is closed
    /// when the pipe is dropped.
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.stream.finish())
    }
}

#[cfg(test)]
mod tests;

//! The byte pipe of one accepted connection: under hyper first, under the WebSocket after an upgrade, ours all along.
//!
//! Under hyper, bytes pass through as they are. Once it carries a WebSocket it takes whatever Socket.IO writes, at once
//! and whole, into the session's outbox, where our own frames join it: one queue, one order. It can be told not to read, it
//! can be cut at once from anywhere, and it does not wait for ever for a client to read.

mod ahead;
mod frames;
mod handle;
mod patience;
mod stream;

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use carillon_core::sink::Reason;
use futures_util::future::BoxFuture;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use self::ahead::Ahead;
pub(crate) use self::frames::{BINARY, PONG, Splitter};
use self::frames::{CONTROL, Scanner};
pub(crate) use self::handle::{Handle, Options};
use self::patience::{Pace, Patience};
#[cfg(test)]
pub(crate) use self::stream::Memory;
pub(crate) use self::stream::Stream;
use crate::admission;
use crate::link::{Link, Writing};
use crate::metrics::Metrics;

/// Ends the head of an HTTP response; frames follow that of a 101.
const HEAD_END: [u8; 4] = *b"\r\n\r\n";

/// The pipe itself, owned by whoever reads and writes it: hyper, later the WebSocket.
pub(crate) struct Wire {
    stream: Arc<Stream>,
    handle: Handle,
    pace: Pace,
    metrics: Arc<Metrics>,
    /// The session, once frames pass.
    link: Option<Arc<Link>>,
    inbound: Scanner,
    ahead: Ahead,
    outbound: Outbound,
    /// Resolves when reading may go on.
    paused: Option<BoxFuture<'static, ()>>,
    /// Runs while something waits that the client does not take.
    patience: Option<Box<Patience>>,
    place: Place,
}

/// A connection's place among those that are allowed at once, given back when dropped.
pub(crate) struct Place {
    metrics: Arc<Metrics>,
    _among: admission::Place,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.metrics.connections.dec();
    }
}

/// What passes outwards: HTTP, the rest of the head of a 101 (so many bytes of its end seen), or frames.
enum Outbound {
    Http,
    Head(usize),
    Frames(Splitter),
}

impl Wire {
    pub(crate) fn new(
        stream: TcpStream,
        peer: SocketAddr,
        options: Options,
        metrics: Arc<Metrics>,
        place: impl Into<admission::Place>,
    ) -> Self {
        Self::over(Stream::new(stream, &options), peer, options, metrics, place)
    }

    /// The wire over a socket whose options are set.
    pub(crate) fn over(
        stream: Stream,
        peer: SocketAddr,
        options: Options,
        metrics: Arc<Metrics>,
        place: impl Into<admission::Place>,
    ) -> Self {
        metrics.connections.inc();
        let stream = Arc::new(stream);
        let handle = Handle::new(peer, &stream);
        Self {
            stream,
            handle,
            pace: options.pace,
            place: Place { metrics: Arc::clone(&metrics), _among: place.into() },
            metrics,
            link: None,
            inbound: Scanner::default(),
            ahead: Ahead::default(),
            outbound: Outbound::Http,
            paused: None,
            patience: None,
        }
    }

    pub(crate) fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// The bare socket, for whoever reads and writes it from here on, and the connection's place.
    pub(crate) fn into_parts(self) -> (Arc<Stream>, Place) {
        (self.stream, self.place)
    }

    /// Notices that the connection has been given to a session.
    fn adopt(&mut self) {
        if self.link.is_none()
            && let Some(link) = self.handle.carried()
        {
            self.link = Some(link);
            self.outbound = Outbound::Head(0);
        }
    }

    /// Follows what has just been read.
    fn received(&mut self, bytes: &[u8]) {
        let Some(link) = &self.link else { return };
        self.inbound.scan(bytes, |frame| {
            if frame.is(b'3') {
                link.pong_seen();
            } else if frame.is(b'5') {
                link.upgraded();
            } else if frame.opcode == 1 && frame.head == *b"40" {
                link.connect_seen(frame.len);
            }
        });
    }

    /// How much of `bytes` belongs to the head of the 101, which ends within them or goes on.
    fn head(&mut self, bytes: &[u8]) -> usize {
        let Outbound::Head(matched) = &mut self.outbound else { return bytes.len() };
        for (at, byte) in bytes.iter().enumerate() {
            *matched = if *byte == HEAD_END[*matched] { *matched + 1 } else { usize::from(*byte == b'\r') };
            if *matched == HEAD_END.len() {
                return at + 1;
            }
        }
        bytes.len()
    }

    /// Takes frames of Socket.IO's into the outbox.
    fn take(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        let (Outbound::Frames(splitter), Some(link)) = (&mut self.outbound, &self.link) else { return Ok(0) };
        if link.ended().is_some() && !self.handle.is_open() {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let mut taken = 0;
        for buf in bufs {
            splitter.split(buf, |frame, payload, opcode| match opcode {
                CONTROL.. => link.control(frame, opcode),
                opcode => {
                    let binary = opcode == BINARY;
                    if !binary && payload == b"2" {
                        link.ping_sent();
                    }
                    link.foreign(frame, payload, binary);
                }
            });
            taken += buf.len();
        }
        Ok(taken)
    }

    /// Writes on what did not go at once. The reading task calls this, so that one task waits for both directions.
    fn drive(&mut self, cx: &mut Context<'_>) {
        let Some(link) = &self.link else { return };
        match link.drive(&self.stream, cx) {
            Writing::Done => self.patience = None,
            // When patience is at its end the connection has been cut, and reading ends.
            Writing::Blocked(written) => drop(self.wait(cx, written)),
        }
    }

    /// The client took so many bytes and leaves the rest waiting: one that is too slow ends the connection.
    fn wait(&mut self, cx: &mut Context<'_>, written: usize) -> Poll<()> {
        let patience = self.patience.get_or_insert_with(|| Box::new(Patience::new(self.pace)));
        patience.took(written);
        ready!(patience.poll_exhausted(cx));
        self.patience = None;
        match &self.link {
            Some(link) => link.end(Reason::Slow),
            None => self.metrics.killed(Reason::Slow),
        }
        self.handle.cut();
        Poll::Ready(())
    }
}

impl AsyncRead for Wire {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        this.adopt();
        this.drive(cx);
        if let Some(link) = &this.link {
            while this.paused.is_some() || link.paused_until().is_some() {
                let paused = this.paused.get_or_insert_with(|| Box::pin(Arc::clone(link).readable()));
                ready!(paused.as_mut().poll(cx));
                this.paused = None;
            }
        }
        let before = buf.filled().len();
        if this.link.is_some() {
            ready!(this.ahead.poll_read(&this.stream, cx, buf))?;
        } else {
            ready!(this.stream.poll_read(cx, buf))?;
        }
        this.received(&buf.filled()[before..]);
        Poll::Ready(Ok(()))
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
        this.adopt();
        if matches!(this.outbound, Outbound::Frames(_)) {
            return Poll::Ready(this.take(bufs));
        }
        let result = loop {
            match this.stream.poll_writable(cx) {
                Poll::Pending => break Poll::Pending,
                Poll::Ready(Err(error)) => break Poll::Ready(Err(error)),
                Poll::Ready(Ok(())) => {}
            }
            let written = if matches!(this.outbound, Outbound::Head(_)) {
                // Only the head: what follows it are frames. Its bytes are followed once they are written.
                let first = bufs.iter().find(|buf| !buf.is_empty()).map_or(&[][..], |buf| buf);
                let Outbound::Head(before) = this.outbound else { continue };
                let head = this.head(first);
                this.outbound = Outbound::Head(before);
                this.stream.try_write(&[IoSlice::new(&first[..head])]).inspect(|written| {
                    this.head(&first[..*written]);
                })
            } else {
                this.stream.try_write(bufs)
            };
            match written {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                result => break Poll::Ready(result),
            }
        };
        if matches!(this.outbound, Outbound::Head(matched) if matched == HEAD_END.len()) {
            this.outbound = Outbound::Frames(Splitter::default());
        }
        match result {
            Poll::Pending => this.wait(cx, 0).map(|()| Err(io::ErrorKind::TimedOut.into())),
            Poll::Ready(result) => {
                this.patience = None;
                Poll::Ready(result)
            }
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
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

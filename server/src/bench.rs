//! One connection with everything that is ours about it, and no server around it: for the micro benchmarks.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use carillon_config::WireSettings;
use carillon_core::packet::Batch;
use carillon_core::sink::Pushed;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;

use crate::link::{Limits, Link};
use crate::links::Links;
use crate::metrics::Metrics;
use crate::wire::{Options, Wire};

/// A WebSocket whose client is connected to one namespace.
pub struct Connection {
    wire: Wire,
    link: Arc<Link>,
    _links: Arc<Links>,
}

impl Connection {
    /// Takes over an accepted connection as if its handshake were done.
    ///
    /// # Errors
    /// When the socket is broken, or metrics cannot be registered.
    pub fn over(stream: TcpStream, namespace: &str) -> carillon_core::Result<Self> {
        let settings = WireSettings::default();
        let core = carillon_core::metrics::Metrics::new()?;
        let metrics = Arc::new(Metrics::new(&core)?);
        let limits = Limits {
            max_queued_bytes: settings.max_queued_bytes,
            max_pause: Duration::from_secs(10),
            ping_interval: Duration::from_secs(25),
            connect_timeout: Duration::from_secs(45),
        };
        let links = Links::new(limits, Arc::clone(&metrics), core.deliveries());
        let (peer, permit) = (stream.peer_addr()?, Arc::new(Semaphore::new(1)).try_acquire_owned()?);
        let wire = Wire::new(stream, peer, Options::new(&settings), metrics, permit);
        let link = links.open();
        link.gate(namespace);
        wire.handle().carry(&link);
        link.carried_by(&wire.handle(), false);
        let reply = format!("40{namespace},{{}}");
        link.foreign(&[&[0x81, reply.len() as u8], reply.as_bytes()].concat(), reply.as_bytes(), false);
        Ok(Self { wire, link, _links: links })
    }

    /// What the hub does for each member.
    #[must_use]
    pub fn push(&self, batch: &Batch) -> Pushed {
        let taken = self.link.push(&batch.part());
        if taken.delivered > 0 { Pushed::Delivered } else { Pushed::Queued }
    }

    /// Waits until everything pushed is in the kernel, as the reading task does.
    ///
    /// # Errors
    /// When the client is gone.
    pub async fn flush(&mut self) -> io::Result<()> {
        let mut buffer = [0; 64];
        while self.link.queued_bytes() > 0 {
            let wire = &mut self.wire;
            let link = &self.link;
            poll_fn(|cx| match Pin::new(&mut *wire).poll_read(cx, &mut ReadBuf::new(&mut buffer)) {
                Poll::Pending if link.queued_bytes() > 0 => Poll::Pending,
                Poll::Pending => Poll::Ready(Ok(())),
                Poll::Ready(result) => Poll::Ready(result),
            })
            .await?;
        }
        Ok(())
    }
}

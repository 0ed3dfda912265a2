//! The way out to one client of one namespace, through socketioxide's queue.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use bytestring::ByteString;
use carillon_core::Error;
use carillon_core::packet::{Batch, Item};
use carillon_core::payload::Payload;
use carillon_core::sink::{Mode, Pushed, Reason, Sink, Transport};
use futures_util::future::BoxFuture;
use futures_util::{FutureExt, StreamExt};
use socketioxide::{AckError, SocketError};
use socketioxide_core::adapter::BroadcastOptions;
use socketioxide_core::packet::Packet;
use socketioxide_core::{Sid, Str, Value};
use tokio::runtime::Handle;

use super::adapter::Raw;
use crate::link::{Link, cost};

/// Holds no socket: a socket owns its handlers, they own the session, the session owns this.
pub(super) struct ToClient {
    raw: Arc<Raw>,
    link: Arc<Link>,
    client: Sid,
    runtime: Handle,
    paused: AtomicBool,
    /// Set before socketioxide forgets the client. Packets are queued under this lock, so each is either queued for
    /// a client that exists or refused; and in the order of the calls.
    gone: Mutex<bool>,
    /// Calls made so far, which is how socketioxide numbers them. Changed under the lock.
    calls: AtomicI64,
}

impl ToClient {
    pub(super) fn new(raw: Arc<Raw>, link: Arc<Link>, client: Sid, runtime: Handle) -> Arc<Self> {
        Arc::new(Self {
            raw,
            link,
            client,
            runtime,
            paused: AtomicBool::new(false),
            gone: Mutex::new(false),
            calls: AtomicI64::new(0),
        })
    }

    /// The client left the namespace: nothing can be sent any more, and nothing need be held up for it.
    pub(super) fn leave(&self) {
        *self.gone.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.pause_reading(false);
    }

    /// Queues what `send` sends, if the client may get so many `bytes` more. Both run one after the other for all callers.
    fn queue<T>(&self, bytes: impl FnOnce() -> usize, send: impl FnOnce() -> Result<T, Pushed>) -> Result<T, Pushed> {
        let gone = self.gone.lock().unwrap_or_else(PoisonError::into_inner);
        if *gone || self.link.ended().is_some() {
            return Err(Pushed::Closed);
        }
        let bytes = bytes();
        let sent =
            if self.link.reserve(bytes) { send().inspect_err(|_| self.link.settle(bytes)) } else { Err(Pushed::Slow) };
        drop(gone);
        if matches!(sent, Err(Pushed::Slow)) {
            self.link.end(Reason::Slow);
        }
        sent
    }

    fn only(&self) -> BroadcastOptions {
        BroadcastOptions::new(self.client)
    }
}

/// Socket.IO's queue of the client is full (our own limit should have come first), or closed.
fn refusal(errors: &[SocketError]) -> Pushed {
    if errors.iter().any(|error| matches!(error, SocketError::InternalChannelFull)) {
        Pushed::Slow
    } else {
        Pushed::Closed
    }
}

/// What a packet counts while it waits: each of its Engine.IO messages, the text with its prefix.
fn weight(packet: usize, attachments: &[Bytes]) -> usize {
    cost(1 + packet) + attachments.iter().map(|data| cost(data.len())).sum::<usize>()
}

/// An item as socketioxide takes it. It copies the text into each client's queue.
fn value(item: &Item) -> Value {
    let attachments: VecDeque<Bytes> = item.attachments().iter().cloned().collect();
    Value::Str(Str::copy_from_slice(&item.json()), (!attachments.is_empty()).then_some(attachments))
}

impl Sink for ToClient {
    fn connection(&self) -> u64 {
        self.link.number()
    }

    fn push(&self, batch: &Batch, mode: Mode) -> Pushed {
        if mode == Mode::Volatile && self.link.queued_bytes() > 0 {
            return Pushed::Volatile;
        }
        for item in batch.items() {
            match self.send(item) {
                Pushed::Delivered => {}
                refused => return refused,
            }
        }
        Pushed::Delivered
    }

    fn send(&self, item: &Item) -> Pushed {
        if item.ack_id().is_some() {
            self.link.answered();
        }
        let namespace = || Str::copy_from_slice(item.namespace());
        let packet = match item.ack_id() {
            Some(id) => Packet::ack(namespace(), value(item), id),
            None => Packet::event(namespace(), value(item)),
        };
        let send = || self.raw.local().broadcast(packet, self.only()).map_err(|errors| refusal(&errors));
        match self.queue(|| weight(item.packet().len(), item.attachments()), send) {
            Ok(()) => Pushed::Delivered,
            Err(refused) => refused,
        }
    }

    fn call(&self, item: &Item, timeout: Duration) -> BoxFuture<'static, carillon_core::Result<Payload>> {
        let packet = Packet::event(Str::copy_from_slice(item.namespace()), value(item));
        let send = || {
            // The timeout of the answer is a timer of the server's.
            let _context = self.runtime.enter();
            let (answers, clients) = self.raw.local().broadcast_with_ack(packet, self.only(), Some(timeout));
            if clients == 1 { Ok(answers) } else { Err(Pushed::Closed) }
        };
        let bytes = || {
            let id = self.calls.fetch_add(1, Ordering::Relaxed) + 1;
            let digits = id.checked_ilog10().unwrap_or(0) as usize + 1;
            weight(item.packet().len() + digits, item.attachments())
        };
        let queued = self.queue(bytes, send);
        let link = Arc::clone(&self.link);
        async move {
            let gone = || Error::unavailable("the client is gone");
            let mut answers = Box::pin(queued.map_err(|_| gone())?);
            match answers.next().await {
                Some((_, Ok(Value::Str(json, attachments)))) => {
                    let json = ByteString::try_from(Bytes::from(json))?;
                    Payload::from_array(&json, attachments.map(Vec::from).unwrap_or_default())
                }
                Some((_, Err(AckError::Timeout))) if link.ended().is_none() => {
                    Err(Error::timeout(format!("the client did not answer within {} ms", timeout.as_millis())))
                }
                Some((_, Err(AckError::Socket(SocketError::InternalChannelFull)))) => {
                    link.end(Reason::Slow);
                    Err(gone())
                }
                Some(_) | None => Err(gone()),
            }
        }
        .boxed()
    }

    fn ready(&self) -> Option<BoxFuture<'static, ()>> {
        if *self.gone.lock().unwrap_or_else(PoisonError::into_inner) {
            return None;
        }
        self.link.room()
    }

    fn pause_reading(&self, pause: bool) {
        if self.paused.swap(pause, Ordering::AcqRel) != pause {
            self.link.pause(pause);
        }
    }

    fn disconnect(&self) {
        // Fails only when the queue is full.
        if self.raw.local().disconnect_socket(self.only()).is_err() {
            self.link.end(Reason::Slow);
        }
    }

    fn close(&self, reason: Reason) {
        self.link.end(reason);
    }

    fn transport(&self) -> Transport {
        self.link.transport()
    }
}

//! The way out to one client of one namespace, through socketioxide's queue.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use bytes::Bytes;
use bytestring::ByteString;
use carillon_core::Error;
use carillon_core::packet::Item;
use carillon_core::payload::Payload;
use carillon_core::sink::{Part, Pushed, Reason, Sink, Taken, Transport};
use futures_util::future::BoxFuture;
use futures_util::{FutureExt, StreamExt};
use socketioxide::{AckError, SocketError};
use socketioxide_core::adapter::BroadcastOptions;
use socketioxide_core::packet::Packet;
use socketioxide_core::{Sid, Str, Value};
use tokio::runtime::Handle;

use super::adapter::Raw;
use crate::link::{Link, Speaker, cost};
use crate::outbox::GateId;

/// Holds no socket: a socket owns its handlers, they own the session, the session owns this.
pub(super) struct ToClient {
    raw: Arc<Raw>,
    link: Arc<Link>,
    client: Sid,
    /// The client's leave to be sent to; given back when it leaves.
    gate: GateId,
    runtime: Handle,
    paused: AtomicBool,
    /// Calls made so far, which is how socketioxide numbers them. Changed in the order of the calls.
    calls: AtomicI64,
}

impl ToClient {
    pub(super) fn new(raw: Arc<Raw>, link: Arc<Link>, client: Sid, runtime: Handle) -> Arc<Self> {
        let gate = link.gate(raw.local().path());
        Arc::new(Self { raw, link, client, gate, runtime, paused: AtomicBool::new(false), calls: AtomicI64::new(0) })
    }

    /// The CONNECT reply is queued.
    pub(super) fn connected(self: &Arc<Self>) {
        let speaker: Weak<dyn Speaker> = Arc::downgrade(self) as Weak<dyn Speaker>;
        self.link.speaks(self.gate, speaker);
    }

    /// The client left the namespace: nothing can be sent any more, and nothing need be held up for it.
    pub(super) fn leave(&self) {
        self.link.leave(self.gate);
        self.pause_reading(false);
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

impl Speaker for ToClient {
    fn through(&self, item: &Item) -> Result<(), Pushed> {
        let namespace = || Str::copy_from_slice(item.namespace());
        let packet = match item.ack_id() {
            Some(id) => Packet::ack(namespace(), value(item), id),
            None => Packet::event(namespace(), value(item)),
        };
        self.raw.local().broadcast(packet, self.only()).map_err(|errors| refusal(&errors))
    }

    fn sentinel(&self) -> Option<Vec<u8>> {
        // Nobody but this process knows it, so no plugin can send it by chance or on purpose.
        static NONCE: OnceLock<u128> = OnceLock::new();
        let nonce = NONCE.get_or_init(|| fastrand::u128(..));
        let json = format!("[\"carillon sentinel {nonce:032x}\"]");
        let namespace = self.raw.local().path();
        let prefix = if namespace.as_str() == "/" { String::new() } else { format!("{namespace},") };
        let looks = format!("42{prefix}{json}").into_bytes();
        let packet = Packet::event(namespace.clone(), Value::Str(json.into(), None));
        self.raw.local().broadcast(packet, self.only()).ok().map(|()| looks)
    }
}

impl Sink for ToClient {
    fn connection(&self) -> u64 {
        self.link.number()
    }

    fn send(&self, item: &Item) -> Pushed {
        let pushed = self.link.send(self.gate, item, |item| self.through(item));
        // Not before it is queued: whoever ends the session waits for it then.
        if item.ack_id().is_some() {
            self.link.answered();
        }
        pushed
    }

    fn warm(&self) {
        self.link.warm(self.gate);
    }

    fn push(&self, part: &Part<'_>) -> Taken {
        self.link.push(part)
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
        let queued = self.link.call(self.gate, bytes, send);
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

//! The way out to one client of one namespace, through socketioxide's queue.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use bytestring::ByteString;
use carillon_core::packet::Item;
use carillon_core::payload::Payload;
use carillon_core::sink::{Part, Pushed, Reason, Sink, Taken, Transport};
use carillon_core::{Error, Result};
use futures_util::future::BoxFuture;
use futures_util::{FutureExt, StreamExt};
use socketioxide::socket::Socket;
use socketioxide::{AckError, SocketError, TransportType};
use socketioxide_core::adapter::BroadcastOptions;
use socketioxide_core::packet::Packet;
use socketioxide_core::{Str, Value};
use tokio::runtime::Handle;

use super::adapter::Raw;
use super::session::Session;

/// See the module's documentation.
pub(super) struct ToClient {
    raw: Arc<Raw>,
    session: Arc<Session>,
    /// A socket owns its handlers, they own the router's session, and that owns this.
    socket: Weak<Socket<Raw>>,
    only: BroadcastOptions,
    runtime: Handle,
    left: AtomicBool,
}

impl ToClient {
    pub(super) fn new(raw: Arc<Raw>, session: &Arc<Session>, socket: &Arc<Socket<Raw>>, runtime: &Handle) -> Arc<Self> {
        Arc::new(Self {
            raw,
            session: Arc::clone(session),
            socket: Arc::downgrade(socket),
            only: BroadcastOptions::new(socket.id),
            runtime: runtime.clone(),
            left: AtomicBool::new(false),
        })
    }

    /// The client left the namespace: nothing can be sent any more.
    pub(super) fn leave(&self) {
        self.left.store(true, Ordering::Release);
        self.session.leaves(self);
    }

    pub(super) fn has_left(&self) -> bool {
        self.left.load(Ordering::Acquire)
    }

    /// The transport in use now.
    pub(super) fn carried_by(&self) -> Transport {
        match self.socket.upgrade().map(|socket| socket.transport_type()) {
            Some(TransportType::Websocket) => Transport::WebSocket,
            Some(TransportType::Polling) => Transport::Polling,
            None => self.session.transport(),
        }
    }

    /// Puts a packet into the client's queue. What becomes of it there nobody tells.
    pub(super) fn through(&self, item: &Item) -> Pushed {
        let namespace = Str::copy_from_slice(item.namespace());
        let packet = match item.ack_id() {
            Some(id) => Packet::ack(namespace, value(item), id),
            None => Packet::event(namespace, value(item)),
        };
        match self.raw.local().broadcast(packet, self.only.clone()) {
            Ok(()) => Pushed::Delivered,
            Err(errors) if errors.iter().any(|error| matches!(error, SocketError::InternalChannelFull)) => Pushed::Slow,
            Err(_) => Pushed::Closed,
        }
    }
}

/// An item as socketioxide takes it. It copies the text into each client's queue.
fn value(item: &Item) -> Value {
    let attachments: VecDeque<Bytes> = item.attachments().iter().cloned().collect();
    Value::Str(Str::copy_from_slice(&item.json()), (!attachments.is_empty()).then_some(attachments))
}

impl Sink for ToClient {
    fn connection(&self) -> u64 {
        self.session.number()
    }

    fn send(&self, item: &Item) -> Pushed {
        self.session.send(self, item)
    }

    fn push(&self, part: &Part<'_>) -> Taken {
        self.session.push(part)
    }

    fn call(&self, item: &Item, timeout: Duration) -> BoxFuture<'static, Result<Payload>> {
        let packet = Packet::event(Str::copy_from_slice(item.namespace()), value(item));
        let answers = self.session.has(self).then(|| {
            // The timeout of the answer is a timer of the server's.
            let _context = self.runtime.enter();
            self.raw.local().broadcast_with_ack(packet, self.only.clone(), Some(timeout)).0
        });
        let session = Arc::clone(&self.session);
        async move {
            let gone = || Error::unavailable("the client is gone");
            let mut answers = Box::pin(answers.ok_or_else(gone)?);
            match answers.next().await {
                Some((_, Ok(Value::Str(json, attachments)))) => {
                    let json = ByteString::try_from(Bytes::from(json))?;
                    Payload::from_array(&json, attachments.map(Vec::from).unwrap_or_default())
                }
                Some((_, Err(AckError::Timeout))) if session.ended().is_none() => {
                    Err(Error::timeout(format!("the client did not answer within {} ms", timeout.as_millis())))
                }
                Some((_, Err(AckError::Socket(SocketError::InternalChannelFull)))) => {
                    session.end(Reason::Slow);
                    Err(gone())
                }
                Some(_) | None => Err(gone()),
            }
        }
        .boxed()
    }

    /// How much waits in socketioxide's queue nobody tells: one that is full closes the session.
    fn ready(&self) -> Option<BoxFuture<'static, ()>> {
        None
    }

    /// socketioxide reads on, whatever its handlers do: what is too much is answered `overloaded`.
    fn pause_reading(&self, _: bool) {}

    fn disconnect(&self) {
        // Fails only when the queue is full.
        if self.socket.upgrade().is_some_and(|socket| socket.disconnect().is_err()) {
            self.session.end(Reason::Slow);
        }
    }

    fn close(&self, reason: Reason) {
        self.session.end(reason);
    }

    fn transport(&self) -> Transport {
        self.carried_by()
    }
}

//! The way out to one client, as the bridge's sink goes it: the same methods of the session, in the same order.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use carillon_core::packet::Item;
use carillon_core::payload::Payload;
use carillon_core::sink::{Part, Pushed, Reason, Sink, Taken, Transport};
use carillon_core::{Error, Result};
use futures_util::future::BoxFuture;
use tokio::sync::oneshot;

use super::engine::Engine;
use super::packet::{Packet, prefix};
use super::world::world;
use crate::link::{Speaker, cost};
use crate::outbox::GateId;

pub(super) struct ToClient {
    engine: Arc<Engine>,
    pub(super) namespace: usize,
    gate: GateId,
    paused: AtomicBool,
    calls: AtomicI64,
    answers: Mutex<BTreeMap<i64, oneshot::Sender<Payload>>>,
}

impl ToClient {
    pub(super) fn new(engine: &Arc<Engine>, namespace: usize) -> Arc<Self> {
        let gate = engine.link.gate(super::world::NAMESPACES[namespace]);
        Arc::new(Self {
            engine: Arc::clone(engine),
            namespace,
            gate,
            paused: AtomicBool::new(false),
            calls: AtomicI64::new(0),
            answers: Mutex::default(),
        })
    }

    pub(super) fn connected(self: &Arc<Self>) {
        let speaker: Weak<dyn Speaker> = Arc::downgrade(self) as Weak<dyn Speaker>;
        self.engine.link.speaks(self.gate, speaker);
    }

    pub(super) fn leave(&self) {
        self.engine.link.leave(self.gate);
        self.pause_reading(false);
        // Outside the lock: who waits for an answer is told at once.
        let answers = std::mem::take(&mut *self.answers());
        drop(answers);
    }

    fn answers(&self) -> std::sync::MutexGuard<'_, BTreeMap<i64, oneshot::Sender<Payload>>> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The client answers a call.
    pub(super) fn answer(&self, id: i64, payload: Payload) {
        let waiting = self.answers().remove(&id);
        if let Some(waiting) = waiting {
            waiting.send(payload).ok();
        }
    }
}

fn packets(text: String, item: &Item) -> Vec<Packet> {
    let attachments = item.attachments().iter().cloned().map(Packet::Binary);
    [Packet::Text(text)].into_iter().chain(attachments).collect()
}

impl Speaker for ToClient {
    fn through(&self, item: &Item) -> std::result::Result<(), Pushed> {
        // Socket.IO's queue may be full before our own limit is reached.
        if world(|world| world.random.u16(..1000)) == 0 {
            return Err(Pushed::Slow);
        }
        self.engine.queue(packets(format!("4{}", item.packet()), item)).map_err(|()| Pushed::Closed)
    }

    fn sentinel(&self) -> Option<Vec<u8>> {
        let text = format!("42{}[\"sentinel\"]", prefix(self.namespace));
        self.engine.queue(vec![Packet::Text(text.clone())]).ok().map(|()| text.into_bytes())
    }
}

impl Sink for ToClient {
    fn connection(&self) -> u64 {
        self.engine.link.number()
    }

    fn send(&self, item: &Item) -> Pushed {
        if item.ack_id().is_some() {
            self.engine.link.answered();
        }
        self.engine.link.send(self.gate, item, |item| self.through(item))
    }

    fn push(&self, part: &Part<'_>) -> Taken {
        self.engine.link.push(part)
    }

    fn call(&self, item: &Item, timeout: Duration) -> BoxFuture<'static, Result<Payload>> {
        let send = || {
            let id = self.calls.load(Ordering::Relaxed);
            let kind =
                if item.attachments().is_empty() { "2".to_owned() } else { format!("5{}-", item.attachments().len()) };
            let text = format!("4{kind}{}{id}{}", prefix(self.namespace), item.json());
            self.engine.queue(packets(text, item)).map_err(|()| Pushed::Closed)?;
            let (waiting, answer) = oneshot::channel();
            self.answers().insert(id, waiting);
            Ok(answer)
        };
        let bytes = || {
            let id = self.calls.fetch_add(1, Ordering::Relaxed) + 1;
            let digits = id.checked_ilog10().unwrap_or(0) as usize + 1;
            let attachments: usize = item.attachments().iter().map(|data| cost(data.len())).sum();
            cost(1 + item.packet().len() + digits) + attachments
        };
        let queued = self.engine.link.call(self.gate, bytes, send);
        Box::pin(async move {
            let gone = || Error::unavailable("the client is gone");
            let answer = queued.map_err(|_| gone())?;
            match tokio::time::timeout(timeout, answer).await {
                Ok(answer) => answer.map_err(|_| gone()),
                Err(_) => Err(Error::timeout("the client did not answer")),
            }
        })
    }

    fn ready(&self) -> Option<BoxFuture<'static, ()>> {
        self.engine.link.room()
    }

    fn pause_reading(&self, pause: bool) {
        if self.paused.swap(pause, Ordering::AcqRel) != pause {
            self.engine.link.pause(pause);
        }
    }

    fn disconnect(&self) {
        self.engine.disconnect(self.namespace);
    }

    fn close(&self, reason: Reason) {
        self.engine.link.end(reason);
    }

    fn transport(&self) -> Transport {
        self.engine.link.transport()
    }
}

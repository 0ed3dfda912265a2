//! The way out to one client of one namespace: what the router is given of a session.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use bytestring::ByteString;
use carillon_core::packet::Item;
use carillon_core::packet::frame::{Opcode, frame};
use carillon_core::payload::Payload;
use carillon_core::sink::{Part, Pushed, Reason, Sink, Taken, Transport};
use carillon_core::{Error, Result};
use futures_util::future::BoxFuture;
use tokio::sync::oneshot;

use super::outbox::Key;
use super::session::Session;

/// See the module's documentation.
pub(super) struct Client {
    session: Arc<Session>,
    namespace: Arc<str>,
    key: Key,
    paused: AtomicBool,
    /// Questions that are not answered yet, once there have been any.
    calls: Mutex<Option<Box<Calls>>>,
}

#[derive(Default)]
struct Calls {
    last: i64,
    waiting: BTreeMap<i64, oneshot::Sender<Payload>>,
    /// The client is gone.
    over: bool,
}

impl Client {
    pub(super) fn new(session: &Arc<Session>, namespace: &Arc<str>, key: Key) -> Arc<Self> {
        Arc::new(Self {
            session: Arc::clone(session),
            namespace: Arc::clone(namespace),
            key,
            paused: AtomicBool::new(false),
            calls: Mutex::default(),
        })
    }

    fn calls(&self) -> MutexGuard<'_, Option<Box<Calls>>> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The client left the namespace: nothing can be sent any more, and nobody waits for its answers.
    pub(super) fn leaves(&self) {
        self.session.unjoin(self.key);
        self.pause_reading(false);
        let waiting = {
            let mut calls = self.calls();
            let calls = calls.get_or_insert_default();
            calls.over = true;
            std::mem::take(&mut calls.waiting)
        };
        // Outside the lock: who waits for an answer is told at once.
        drop(waiting);
    }

    /// The client answers a call; an answer nobody waits for is ignored.
    pub(super) fn answered(&self, id: i64, json: &ByteString, attachments: Vec<Bytes>) {
        let waiting = self.calls().as_mut().and_then(|calls| calls.waiting.remove(&id));
        if let (Some(waiting), Ok(payload)) = (waiting, Payload::from_array(json, attachments)) {
            waiting.send(payload).ok();
        }
    }

    /// Sends a call under an id of its own.
    fn ask(&self, item: &Item) -> Option<(i64, oneshot::Receiver<Payload>)> {
        // Held over the sending: ids leave in their order, and an answer finds who waits for it.
        let mut guard = self.calls();
        let calls = guard.get_or_insert_default();
        if calls.over {
            return None;
        }
        let id = calls.last;
        calls.last += 1;
        let (answer, waiting) = oneshot::channel();
        calls.waiting.insert(id, answer);
        let sent = self.session.send_call(self.key, item, id);
        if !matches!(sent, Pushed::Delivered | Pushed::Queued) {
            calls.waiting.remove(&id);
            return None;
        }
        Some((id, waiting))
    }
}

impl Session {
    /// Sends `item` as a call with this id.
    fn send_call(self: &Arc<Self>, key: Key, item: &Item, id: i64) -> Pushed {
        let (packet, json) = (item.packet(), item.json());
        let head = &packet[..packet.len() - json.len()];
        let text = frame(Opcode::Text, format!("4{head}{id}{json}").as_bytes());
        let frames: Vec<Bytes> = std::iter::once(text.into()).chain(item.frames().iter().skip(1).cloned()).collect();
        self.send(key, &frames)
    }
}

impl Sink for Client {
    fn connection(&self) -> u64 {
        self.session.number
    }

    fn send(&self, item: &Item) -> Pushed {
        let pushed = self.session.send(self.key, item.frames());
        // Not before it is queued: whoever ends the session waits for it then.
        if item.ack_id().is_some() {
            self.session.owed.fetch_sub(1, Ordering::AcqRel);
        }
        pushed
    }

    fn cork(&self) {
        self.session.cork(self.key);
    }

    fn uncork(&self) {
        self.session.uncork(self.key);
    }

    fn warm(&self) {
        self.session.warm();
    }

    fn push(&self, part: &Part<'_>) -> Taken {
        self.session.push(part)
    }

    fn call(&self, item: &Item, timeout: Duration) -> BoxFuture<'static, Result<Payload>> {
        let asked = self.ask(item);
        let session = Arc::clone(&self.session);
        // The timer of the answer is the server's.
        let answered = {
            let _context = session.common.runtime.enter();
            asked.map(|(_, waiting)| tokio::time::timeout(timeout, waiting))
        };
        Box::pin(async move {
            let gone = || Error::unavailable("the client is gone");
            match answered.ok_or_else(gone)?.await {
                Ok(Ok(payload)) => Ok(payload),
                Err(_) if session.ended().is_none() => {
                    Err(Error::timeout(format!("the client did not answer within {} ms", timeout.as_millis())))
                }
                Ok(Err(_)) | Err(_) => Err(gone()),
            }
        })
    }

    fn ready(&self) -> Option<BoxFuture<'static, ()>> {
        self.session.room()
    }

    fn has_room(&self) -> bool {
        self.session.has_room_now()
    }

    fn pause_reading(&self, pause: bool) {
        if self.paused.swap(pause, Ordering::AcqRel) == pause {
            return;
        }
        if pause { self.session.pause() } else { self.session.resume() }
    }

    fn disconnect(&self) {
        self.session.dismiss(&self.namespace, self.key);
    }

    fn close(&self, reason: Reason) {
        self.session.end(reason);
    }

    fn transport(&self) -> Transport {
        self.session.transport()
    }

    fn resumes(&self) -> bool {
        true
    }
}

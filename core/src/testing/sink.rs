//! A sink that keeps what it is given.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::sync::{Notify, oneshot};

use crate::error::{Error, Result};
use crate::packet::Item;
use crate::payload::Payload;
use crate::sink::{Mode, Part, Pushed, Reason, Sink, Taken, Transport};

/// Records packets, pauses and the way the connection was closed.
pub struct RecordingSink {
    /// Each is a connection of its own.
    number: u64,
    log: Mutex<Log>,
    news: Notify,
}

/// How many received packets a failing test is shown.
const SHOWN: usize = 32;

#[derive(Default)]
struct Log {
    /// The last packets the client got, to be shown when a test fails.
    received: VecDeque<Item>,
    events: VecDeque<Item>,
    acks: HashMap<i64, Item>,
    calls: VecDeque<oneshot::Sender<Payload>>,
    modes: Vec<Mode>,
    pauses: Vec<bool>,
    disconnected: bool,
    polling: bool,
    closed: Option<Reason>,
}

impl Default for RecordingSink {
    fn default() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self { number: NEXT.fetch_add(1, Ordering::Relaxed), log: Mutex::default(), news: Notify::new() }
    }
}

impl RecordingSink {
    fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn wait<T>(&self, mut take: impl FnMut(&mut Log) -> Option<T>) -> T {
        loop {
            let news = self.news.notified();
            if let Some(found) = take(&mut self.log()) {
                return found;
            }
            news.await;
        }
    }

    pub(super) async fn ack(&self, id: i64) -> Item {
        self.wait(|log| log.acks.remove(&id)).await
    }

    pub(super) async fn event(&self) -> Item {
        self.wait(|log| log.events.pop_front()).await
    }

    #[track_caller]
    pub(super) fn answer(&self, payload: Payload) {
        let oldest = {
            let mut log = self.log();
            // Whoever asked and waits no longer needs no answer.
            log.calls.retain(|call| !call.is_closed());
            log.calls.pop_front()
        };
        // Not in a closure: the panic would name this line.
        let Some(call) = oldest else { panic!("no question of the server waits for an answer") };
        call.send(payload).ok();
    }

    /// Takes the events received so far.
    pub fn take(&self) -> Vec<Item> {
        self.log().events.drain(..).collect()
    }

    /// Takes the modes of the publishes received so far.
    pub fn modes(&self) -> Vec<Mode> {
        std::mem::take(&mut self.log().modes)
    }

    /// How reading was paused (`true`) and resumed, in order.
    pub fn pauses(&self) -> Vec<bool> {
        self.log().pauses.clone()
    }

    /// The client uses polling from now on.
    pub fn poll(&self) {
        self.log().polling = true;
    }

    /// The client uses a WebSocket from now on, as in the beginning.
    pub fn upgrade(&self) {
        self.log().polling = false;
    }

    /// Whether a DISCONNECT was sent.
    pub fn disconnected(&self) -> bool {
        self.log().disconnected
    }

    /// Why the router closed the transport, if it did.
    pub fn closed(&self) -> Option<Reason> {
        self.log().closed
    }
}

impl fmt::Debug for RecordingSink {
    /// What the client has received, a packet a line, and how its connection stands.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let log = self.log();
        match log.received.len() {
            0 => f.write_str("the client received nothing")?,
            some => write!(f, "the last {some} the client received:")?,
        }
        for item in &log.received {
            match item.ack_id() {
                Some(id) => write!(f, "\n  ack {id} {}", item.json())?,
                None => write!(f, "\n  {}", item.json())?,
            }
        }
        if log.disconnected {
            f.write_str("\n  the server disconnected it")?;
        }
        log.closed.map_or(Ok(()), |reason| write!(f, "\n  the server closed the connection: {reason:?}"))
    }
}

impl Sink for RecordingSink {
    fn connection(&self) -> u64 {
        self.number
    }

    fn send(&self, item: &Item) -> Pushed {
        let mut log = self.log();
        if log.closed.is_some() || log.disconnected {
            return Pushed::Closed;
        }
        if log.received.len() == SHOWN {
            log.received.pop_front();
        }
        log.received.push_back(item.clone());
        match item.ack_id() {
            Some(id) => assert!(log.acks.insert(id, item.clone()).is_none(), "call {id} was answered twice"),
            None => log.events.push_back(item.clone()),
        }
        drop(log);
        self.news.notify_waiters();
        Pushed::Delivered
    }

    fn push(&self, part: &Part<'_>) -> Taken {
        let mut taken = Taken::default();
        for (item, mode) in part.items() {
            self.log().modes.push(mode);
            taken.add(1, self.send(item));
        }
        taken
    }

    fn call(&self, item: &Item, timeout: Duration) -> BoxFuture<'static, Result<Payload>> {
        let (sender, answer) = oneshot::channel();
        self.log().calls.push_back(sender);
        self.send(item);
        Box::pin(async move {
            match tokio::time::timeout(timeout, answer).await {
                Ok(Ok(payload)) => Ok(payload),
                Ok(Err(_)) => Err(Error::unavailable("the client is gone")),
                Err(_) => Err(Error::timeout("the client did not answer")),
            }
        })
    }

    fn ready(&self) -> Option<BoxFuture<'static, ()>> {
        None
    }

    fn pause_reading(&self, pause: bool) {
        self.log().pauses.push(pause);
    }

    fn disconnect(&self) {
        self.log().disconnected = true;
    }

    fn close(&self, reason: Reason) {
        self.log().closed.get_or_insert(reason);
    }

    fn resumes(&self) -> bool {
        true
    }

    fn transport(&self) -> Transport {
        if self.log().polling { Transport::Polling } else { Transport::WebSocket }
    }
}

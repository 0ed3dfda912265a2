//! The hub against a naive model ([`model`]), and one thing after the other ([`cases`]).

mod cases;
mod model;

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::time::Duration;

use futures_util::future::BoxFuture;

use super::*;
use crate::error::{Error, Result};
use crate::payload::Payload;
use crate::sink::{Part, Pushed, Reason, Taken, Transport};

const SPACES: [&str; 2] = ["/a", "/b"];

/// A connection that keeps what it is pushed: as items and as bytes of the wire.
#[derive(Default)]
struct Connection {
    number: u64,
    got: Mutex<Vec<String>>,
    wire: Mutex<Vec<u8>>,
    /// How often it was pushed to.
    writes: AtomicU64,
    /// Answers `queued` to plain copies and drops volatile ones.
    blocked: bool,
    /// What other threads do while this is pushed to the next time.
    meanwhile: Mutex<Vec<Box<dyn FnOnce() + Send>>>,
}

impl Connection {
    fn take(&self, item: &Item) {
        self.got.lock().unwrap().push(item.packet().to_string());
    }
}

/// Connections served between two yields, where it does not matter.
const CHUNK: usize = 64;
const ROOMY: Bounds = Bounds { publishes: 1 << 20, bytes: 1 << 30 };

impl Hub {
    fn is_idle(&self) -> bool {
        self.shards.iter().all(|shard| shard.is_idle())
    }
}

/// One of its clients.
struct Client(Arc<Connection>);

impl Sink for Client {
    fn connection(&self) -> u64 {
        self.0.number
    }

    fn send(&self, item: &Item) -> Pushed {
        self.0.take(item);
        item.frames().iter().for_each(|frame| self.0.wire.lock().unwrap().extend_from_slice(frame));
        Pushed::Delivered
    }

    fn push(&self, part: &Part<'_>) -> Taken {
        let mut taken = Taken::default();
        let namespaces: BTreeSet<&str> = part.items().map(|(item, _)| item.namespace()).collect();
        assert!(part.namespaces().collect::<BTreeSet<_>>() == namespaces, "every namespace is told");
        assert_eq!(part.is_plain(), part.items().all(|(_, mode)| mode == Mode::All));
        for (item, mode) in part.items() {
            if self.0.blocked && mode == Mode::Volatile {
                taken.add(1, Pushed::Volatile);
                continue;
            }
            self.0.take(item);
            taken.add(1, if self.0.blocked { Pushed::Queued } else { Pushed::Delivered });
        }
        if !self.0.blocked {
            part.slices().iter().for_each(|frame| self.0.wire.lock().unwrap().extend_from_slice(frame));
        }
        self.0.writes.fetch_add(1, Ordering::Relaxed);
        let meanwhile = std::mem::take(&mut *self.0.meanwhile.lock().unwrap());
        meanwhile.into_iter().for_each(|something| something());
        taken
    }

    fn call(&self, _: &Item, _: Duration) -> BoxFuture<'static, Result<Payload>> {
        Box::pin(async { Err(Error::unavailable("nobody answers")) })
    }

    fn ready(&self) -> Option<BoxFuture<'static, ()>> {
        None
    }

    fn pause_reading(&self, _: bool) {}

    fn disconnect(&self) {
        self.0.got.lock().unwrap().push("disconnect".to_owned());
    }

    fn close(&self, _: Reason) {}

    fn transport(&self) -> Transport {
        Transport::WebSocket
    }
}

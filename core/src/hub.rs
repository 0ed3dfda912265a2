//! The hub: who is connected, in which rooms, and the fan-out to them, in shards.
//!
//! A connection lives in one shard with all its namespaces, so whatever one task publishes, emits and answers reaches
//! a client in that order. Joining takes effect at a defined point of that order: what was published before is not
//! delivered, everything published after is.

mod members;
mod shard;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub(crate) use self::members::{Key, Selection};
pub(crate) use self::shard::Space;
use self::shard::{Op, Publish, Shard};
use crate::metrics::{Metrics, Outbound};
use crate::packet::Item;
use crate::sink::{Mode, Sink, Transport};

/// Rooms one client may be in: a bound on what a client can make the server remember.
pub const MAX_ROOMS: usize = 100;
/// Length of a room's name, in bytes.
pub const MAX_ROOM_NAME: usize = 128;

/// All clients of the application.
pub(crate) struct Hub {
    shards: Box<[Arc<Shard>]>,
    keys: AtomicU64,
}

/// A member's place in the hub.
#[derive(Clone)]
pub(crate) struct Seat {
    shard: Arc<Shard>,
    space: Space,
    key: Key,
}

impl Hub {
    /// A hub of `shards` shards for `spaces` namespaces.
    pub(crate) fn new(shards: usize, spaces: usize, metrics: &Arc<Metrics>) -> Self {
        let shards = (0..shards.max(1)).map(|_| Arc::new(Shard::new(spaces, Arc::clone(metrics)))).collect();
        Self { shards, keys: AtomicU64::new(0) }
    }

    /// Starts the shards' tasks on the caller's runtime, until `stop`.
    pub(crate) fn start(&self, tasks: &TaskTracker, stop: &CancellationToken) {
        for shard in &self.shards {
            tasks.spawn(stop.clone().run_until_cancelled_owned(Arc::clone(shard).run()));
        }
    }

    /// A place for a client of `space`, in the shard of its connection. Nothing is sent to it before [`Seat::add`].
    pub(crate) fn seat(&self, space: Space, sink: &dyn Sink) -> Seat {
        let shard = (sink.connection() % self.shards.len() as u64) as usize;
        Seat { shard: Arc::clone(&self.shards[shard]), space, key: self.keys.fetch_add(1, Ordering::Relaxed) }
    }

    /// Hands a publish to every shard.
    pub(crate) fn publish(&self, space: Space, selection: Selection, item: Item, mode: Mode, series: &Arc<Outbound>) {
        let start = Instant::now();
        let publish = Arc::new(Publish { space, selection, item, mode, series: Arc::clone(series), start });
        for shard in &self.shards {
            shard.queue(Op::Publish(Arc::clone(&publish)));
        }
    }

    /// Sends DISCONNECT to every member selected, after what was published before.
    pub(crate) fn disconnect(&self, space: Space, selection: &Selection) {
        for shard in &self.shards {
            shard.queue(Op::Disconnect { space, selection: selection.clone() });
        }
    }

    /// How many members are selected now.
    pub(crate) fn count(&self, space: Space, selection: &Selection) -> usize {
        self.shards.iter().map(|shard| shard.count(space, selection)).sum()
    }

    /// How many connections are in any namespace.
    pub(crate) fn connections(&self) -> usize {
        self.shards.iter().map(|shard| shard.connections()).sum()
    }

    /// How many members use `transport` now.
    pub(crate) fn by_transport(&self, space: Space, transport: Transport) -> usize {
        self.shards.iter().map(|shard| shard.by_transport(space, transport)).sum()
    }
}

impl Seat {
    /// The client gets every publish from now on.
    pub(crate) fn add(&self, id: Arc<str>, sink: Arc<dyn Sink>) {
        self.shard.change(Op::Add { space: self.space, key: self.key, id, sink });
    }

    /// The client is gone from its namespace and its rooms.
    pub(crate) fn remove(&self, rooms: Vec<Arc<str>>) {
        self.shard.change(Op::Remove { space: self.space, key: self.key, rooms });
    }

    /// The client gets every publish to `room` from now on.
    pub(crate) fn join(&self, room: Arc<str>) {
        self.shard.change(Op::Join { space: self.space, key: self.key, room });
    }

    /// The client gets no further publish to `room`.
    pub(crate) fn leave(&self, room: Arc<str>) {
        self.shard.change(Op::Leave { space: self.space, key: self.key, room });
    }

    /// Sends something to this client, after everything the caller published before.
    pub(crate) fn send(&self, send: impl FnOnce() + Send + 'static) {
        self.shard.one(send);
    }
}

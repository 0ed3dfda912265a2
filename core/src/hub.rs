//! The hub: who is connected, in which rooms, and the fan-out to them, in shards.
//!
//! A connection lives in one shard with all its namespaces, so whatever one task publishes, emits and answers reaches
//! a client in that order. Joining takes effect at a defined point of that order: what was published before is not
//! delivered, everything published after is.

mod members;
mod quota;
mod run;
mod shard;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub(crate) use self::members::{Key, Selection};
pub(crate) use self::quota::Bounds;
use self::quota::{Permit, Quota, Used};
pub(crate) use self::shard::Space;
use self::shard::{CHUNK, Op, Publish, Shard};
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
    /// What each namespace has waiting.
    quotas: Box<[Arc<Quota>]>,
    metrics: Arc<Metrics>,
    keys: AtomicU64,
}

/// A member's place in the hub.
#[derive(Clone)]
pub(crate) struct Seat {
    shard: Arc<Shard>,
    space: Space,
    key: Key,
}

/// What is to be published, to whom.
#[derive(Clone)]
pub(crate) struct Order {
    pub(crate) space: Space,
    pub(crate) selection: Selection,
    pub(crate) item: Item,
    pub(crate) mode: Mode,
    pub(crate) series: Arc<Outbound>,
}

impl Order {
    fn with(self, permit: Permit) -> Arc<Publish> {
        let Self { space, selection, item, mode, series } = self;
        Arc::new(Publish { space, selection, item, mode, series, start: Instant::now(), _permit: permit })
    }
}

/// The namespace has too much waiting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Full;

impl Hub {
    /// A hub of `shards` shards for `spaces` namespaces, each of which may have so much waiting.
    pub(crate) fn new(shards: usize, spaces: usize, bounds: Bounds, metrics: &Arc<Metrics>) -> Self {
        Self::with_chunk(shards, spaces, bounds, CHUNK, metrics)
    }

    /// [`new`](Self::new), with sweeps that yield after so many connections.
    fn with_chunk(shards: usize, spaces: usize, bounds: Bounds, chunk: usize, metrics: &Arc<Metrics>) -> Self {
        let shards = (0..shards.max(1)).map(|_| Arc::new(Shard::new(spaces, chunk, Arc::clone(metrics)))).collect();
        let quotas = (0..spaces).map(|_| Quota::new(bounds)).collect();
        Self { shards, quotas, metrics: Arc::clone(metrics), keys: AtomicU64::new(0) }
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

    /// Hands a publish to every shard, unless the namespace has too much waiting: then [`Mode::Latest`] takes the place
    /// of an older one, [`Mode::Volatile`] is dropped, and [`Mode::All`] is refused.
    pub(crate) fn publish(&self, order: Order) -> Result<(), Full> {
        let (space, size) = (order.space, order.item.wire_len());
        if let Some(permit) = self.quotas[space].take(size) {
            self.enqueue(&order.with(permit), |_| false);
            return Ok(());
        }
        match order.mode {
            Mode::All => Err(Full),
            Mode::Volatile => {
                let copies = self.count(space, &order.selection) as u64;
                self.metrics.expected.inc_by(copies);
                self.metrics.deliveries.volatile(copies);
                Ok(())
            }
            Mode::Latest => {
                let publish = order.with(self.quotas[space].exceed(size));
                let replaced: Vec<bool> = self.shards.iter().map(|shard| shard.replace(&publish)).collect();
                if !replaced.contains(&true) {
                    return Err(Full);
                }
                // Where the older one is on its way already, this one follows it.
                self.enqueue(&publish, |shard| replaced[shard]);
                Ok(())
            }
        }
    }

    /// Hands a publish to every shard, as soon as the namespace has room for it.
    pub(crate) async fn publish_wait(&self, order: Order) {
        let permit = self.quotas[order.space].wait(order.item.wire_len()).await;
        self.enqueue(&order.with(permit), |_| false);
    }

    fn enqueue(&self, publish: &Arc<Publish>, has_it: impl Fn(usize) -> bool) {
        for (index, shard) in self.shards.iter().enumerate() {
            if !has_it(index) {
                shard.queue(Op::Publish(Arc::clone(publish)));
            }
        }
    }

    /// What the namespace has waiting.
    pub(crate) fn waiting(&self, space: Space) -> Used {
        self.quotas[space].used()
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

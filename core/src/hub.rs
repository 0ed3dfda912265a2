//! The hub: who is connected, in which rooms, and the fan-out to them, in shards.
//!
//! A connection lives in one shard with all its namespaces, so whatever one task publishes, emits and answers reaches
//! a client in that order, and waits for nothing that another plugin has published. Joining takes effect at a defined
//! point of that order: what was published before is not delivered, everything published after is.

mod lane;
mod members;
mod quota;
mod run;
mod selection;
mod shard;
mod sweep;
mod table;
#[cfg(test)]
mod tests;
mod view;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::lane::Publish;
pub(crate) use self::lane::Publisher;
use self::members::Reached;
pub(crate) use self::members::{Key, Newcomer};
pub(crate) use self::quota::Bounds;
use self::quota::{Permit, Quota, Used};
pub(crate) use self::selection::Selection;
use self::shard::{Replaced, Shard};
use self::table::Slot;
pub(crate) use self::table::Space;
use crate::client::Client;
use crate::error::{Error, Result};
use crate::metrics::{Metrics, Outbound};
use crate::packet::Item;
use crate::sink::{Mode, Part, Sink};

/// Rooms one client may be in: a bound on what a client can make the server remember.
pub const MAX_ROOMS: usize = 100;
/// Length of a room's name, in bytes.
pub const MAX_ROOM_NAME: usize = 128;

/// Whether something may be the name of a room.
///
/// # Errors
/// `bad_payload` when it is empty or too long.
pub(crate) fn check_name(room: &str) -> Result<()> {
    if (1..=MAX_ROOM_NAME).contains(&room.len()) {
        return Ok(());
    }
    Err(Error::bad_payload(format!("a room's name has 1 to {MAX_ROOM_NAME} bytes")))
}

/// All clients of the application.
pub(crate) struct Hub {
    shards: Box<[Arc<Shard>]>,
    /// What each namespace has waiting.
    quotas: Box<[Arc<Quota>]>,
    metrics: Arc<Metrics>,
    keys: AtomicU64,
}

/// A member's place in the hub.
pub(crate) struct Seat {
    shard: Arc<Shard>,
    quota: Arc<Quota>,
    space: Space,
    key: Key,
    /// Its connection's place in the shard, once it has been added.
    slot: OnceLock<Slot>,
}

/// What is to be published, by whom and to whom. It is copied only when it has to wait.
#[derive(Clone, Copy)]
pub(crate) struct Order<'a> {
    pub(crate) publisher: Publisher,
    pub(crate) space: Space,
    pub(crate) selection: &'a Selection,
    pub(crate) copy: &'a (Item, Mode),
    pub(crate) series: &'a Arc<Outbound>,
}

impl Order<'_> {
    fn with(self, permit: Permit) -> Arc<Publish> {
        let Self { space, selection, copy: (item, mode), series, .. } = self;
        let (selection, item, series) = (selection.clone(), item.clone(), Arc::clone(series));
        Arc::new(Publish { space, selection, item, mode: *mode, series, start: Instant::now(), _permit: permit })
    }
}

/// The namespace has too much waiting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Full;

impl Hub {
    /// A hub of `shards` shards for `spaces` namespaces, each of which may have so much waiting. Each namespace's plugin
    /// is the publisher of its number; sweeps yield after `chunk` steps.
    pub(crate) fn new(shards: usize, spaces: usize, bounds: Bounds, chunk: usize, metrics: &Arc<Metrics>) -> Self {
        let shard = |_| Arc::new(Shard::new(spaces, spaces + 1, chunk, Arc::clone(metrics)));
        let shards = (0..shards.max(1)).map(shard).collect();
        let quotas = (0..spaces).map(|_| Quota::new(bounds)).collect();
        Self { shards, quotas, metrics: Arc::clone(metrics), keys: AtomicU64::new(0) }
    }

    /// The publisher of what other nodes send.
    pub(crate) fn other_nodes(&self) -> Publisher {
        self.quotas.len()
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
        Seat {
            shard: Arc::clone(&self.shards[shard]),
            quota: Arc::clone(&self.quotas[space]),
            space,
            key: self.keys.fetch_add(1, Ordering::Relaxed),
            slot: OnceLock::new(),
        }
    }

    /// Hands a publish to every shard, unless the namespace has too much waiting: then [`Mode::Latest`] takes the place
    /// of an older one, [`Mode::Volatile`] is dropped, and [`Mode::All`] is refused.
    pub(crate) fn publish(&self, order: Order<'_>) -> Result<(), Full> {
        if self.at_once(order) {
            return Ok(());
        }
        let Order { publisher, space, copy: (item, mode), .. } = order;
        let size = item.wire_len();
        if let Some(permit) = self.quotas[space].take(size) {
            self.enqueue(publisher, &order.with(permit));
            return Ok(());
        }
        match mode {
            Mode::All => Err(Full),
            Mode::Volatile => {
                let copies = self.count(space, order.selection) as u64;
                self.metrics.expected.inc_by(copies);
                self.metrics.deliveries.volatile(copies);
                Ok(())
            }
            Mode::Latest => self.replace(publisher, &order.with(self.quotas[space].exceed(size))),
        }
    }

    fn replace(&self, publisher: Publisher, publish: &Arc<Publish>) -> Result<(), Full> {
        let replaced: Vec<Replaced> = self.shards.iter().map(|shard| shard.replace(publisher, publish)).collect();
        if !replaced.iter().any(|replaced| matches!(replaced, Replaced::Copies(_) | Replaced::Nobody)) {
            return Err(Full);
        }
        for (shard, replaced) in self.shards.iter().zip(replaced) {
            match replaced {
                Replaced::Copies(copies) => {
                    self.metrics.expected.inc_by(copies as u64);
                    self.metrics.deliveries.replaced(copies as u64);
                }
                // Where the older one is on its way already, this one follows it.
                Replaced::Nothing => shard.publish(publisher, publish),
                Replaced::Nobody => {}
            }
        }
        Ok(())
    }

    /// Hands a publish to every shard, whatever the namespace has waiting: whether there was room for it was asked before.
    pub(crate) fn publish_at_any_rate(&self, order: Order<'_>) {
        if self.publish(order).is_err() {
            let permit = self.quotas[order.space].exceed(order.copy.0.wire_len());
            self.enqueue(order.publisher, &order.with(permit));
        }
    }

    /// Whether there is room for one more publish of so many bytes in a namespace.
    pub(crate) fn has_room(&self, space: Space, bytes: usize) -> bool {
        self.quotas[space].has_room(bytes)
    }

    /// Waits until there is room for one more publish of so many bytes in a namespace.
    pub(crate) async fn room(&self, space: Space, bytes: usize) {
        self.quotas[space].room(bytes).await;
    }

    /// Hands a publish to every shard, as soon as the namespace has room for it.
    pub(crate) async fn publish_wait(&self, order: Order<'_>) {
        if self.at_once(order) {
            return;
        }
        let permit = self.quotas[order.space].wait(order.copy.0.wire_len()).await;
        self.enqueue(order.publisher, &order.with(permit));
    }

    /// Sends what is for one client, or for nobody, at once, unless its publisher has something queued that may be for
    /// that client too; whether that was so.
    fn at_once(&self, order: Order<'_>) -> bool {
        let Order { publisher, space, selection, copy, series } = order;
        if !selection.is_one_name() {
            return false;
        }
        let mut found = None;
        for shard in &self.shards {
            match shard.reached(publisher, space, selection) {
                Reached::Nobody => {}
                Reached::One(_, sink) if found.is_none() => found = Some(sink),
                Reached::One(..) | Reached::Many => return false,
            }
        }
        let Some(sink) = found else { return true };
        let (item, mode) = copy;
        let run = std::slice::from_ref(copy);
        let part = Part { run, places: &[0], slices: item.frames(), namespaces: &[0], plain: mode.is_all() };
        self.metrics.expected.inc();
        let taken = sink.push(&part);
        self.metrics.deliveries.taken(&taken);
        series.count(taken.accepted(), item.len());
        true
    }

    fn enqueue(&self, publisher: Publisher, publish: &Arc<Publish>) {
        self.shards.iter().for_each(|shard| shard.publish(publisher, publish));
    }

    /// What the namespace has waiting.
    pub(crate) fn waiting(&self, space: Space) -> Used {
        self.quotas[space].used()
    }

    /// Sends DISCONNECT to every member selected, after what the publisher has published before.
    pub(crate) fn disconnect(&self, publisher: Publisher, space: Space, selection: &Selection) {
        self.shards.iter().for_each(|shard| shard.disconnect(publisher, space, selection));
    }

    /// How many members are selected now.
    pub(crate) fn count(&self, space: Space, selection: &Selection) -> usize {
        self.shards.iter().map(|shard| shard.count(space, selection)).sum()
    }

    /// How many members of a namespace take offsets, and how many do not.
    pub(crate) fn kinds(&self, space: Space) -> (usize, usize) {
        let kinds = self.shards.iter().map(|shard| shard.kinds(space));
        kinds.fold((0, 0), |all, one| (all.0 + one.0, all.1 + one.1))
    }

    /// Those of a selection who are there now, up to so many.
    pub(crate) fn clients(&self, space: Space, selection: &Selection, most: usize) -> Vec<Arc<Client>> {
        let mut clients = Vec::new();
        for shard in &self.shards {
            clients.extend(shard.clients(space, selection, most - clients.len()));
        }
        clients
    }

    /// How many connections are in any namespace.
    pub(crate) fn connections(&self) -> usize {
        self.shards.iter().map(|shard| shard.connections()).sum()
    }
}

impl Seat {
    /// The client gets every publish from now on.
    pub(crate) fn add(&self, newcomer: Newcomer, sink: Arc<dyn Sink>) {
        let slot = self.shard.add(self.space, (self.key, newcomer), sink);
        self.slot.get_or_init(|| slot);
    }

    /// The client is gone from its namespace and its rooms.
    pub(crate) fn remove(&self, rooms: Vec<Arc<str>>) {
        self.shard.remove(self.space, self.key, rooms);
    }

    /// The client gets every publish to `room` from now on.
    pub(crate) fn join(&self, room: Arc<str>) {
        self.shard.join(self.space, self.key, room);
    }

    /// The client gets no further publish to `room`.
    pub(crate) fn leave(&self, room: Arc<str>) {
        self.shard.leave(self.space, self.key, room);
    }

    /// Sends `bytes` to this client, after everything its plugin has published to it before.
    pub(crate) fn send(&self, bytes: usize, send: impl FnOnce() + Send + 'static) {
        match self.slot.get() {
            // It counts with what its namespace has waiting, but is not refused.
            Some(slot) => self.shard.send(self.space, *slot, || self.quota.exceed(bytes), send),
            None => send(),
        }
    }
}

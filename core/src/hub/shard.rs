//! One shard of the hub: everything that concerns its connections, done in order by one task.
//!
//! Publishes only append to the shard's queue; the shard's task sweeps over its members. While it sweeps, further
//! publishes pile up, and the next sweep takes them all: runs of publishes to the same members are joined into one
//! batch, which costs each connection one write. What concerns a single client (an emit, an ack, a join) goes through
//! the queue too, or is done at once by the caller when nothing is pending: either way in the caller's program order.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio::time::Instant;

use super::members::{Key, Members, Selected, Selection};
use crate::metrics::{Metrics, Outbound};
use crate::packet::{Batch, Item};
use crate::sink::{Mode, Pushed, Sink, Transport};

/// Members served between two moments at which other tasks get the thread: long enough that batches grow, short
/// enough that readers and heartbeats go on.
const CHUNK: usize = 64;
/// Bytes joined into one batch at most: about what a connection's send buffer takes at once.
const BATCH_BYTES: usize = 128 << 10;

/// A namespace's place in every shard.
pub(crate) type Space = usize;

/// Something to be done in order.
pub(super) enum Op {
    Add {
        space: Space,
        key: Key,
        id: Arc<str>,
        sink: Arc<dyn Sink>,
    },
    Remove {
        space: Space,
        key: Key,
        rooms: Vec<Arc<str>>,
    },
    Join {
        space: Space,
        key: Key,
        room: Arc<str>,
    },
    Leave {
        space: Space,
        key: Key,
        room: Arc<str>,
    },
    Publish(Arc<Publish>),
    Disconnect {
        space: Space,
        selection: Selection,
    },
    /// An emit, an ack, a call: whatever goes to one client.
    One(Box<dyn FnOnce() + Send>),
}

/// A publish, shared by the shards.
pub(super) struct Publish {
    pub(super) space: Space,
    pub(super) selection: Selection,
    pub(super) item: Item,
    pub(super) mode: Mode,
    pub(super) series: Arc<Outbound>,
    pub(super) start: Instant,
}

impl Publish {
    /// Whether this may leave in one batch with `other`.
    fn joins(&self, other: &Self) -> bool {
        self.mode == Mode::All
            && other.mode == Mode::All
            && self.space == other.space
            && self.selection == other.selection
    }
}

/// See the module's documentation.
pub(crate) struct Shard {
    pending: Mutex<Pending>,
    /// Changed only by whoever knows that no sweep is under way: the task, or a caller under the lock of `pending`.
    table: Mutex<Table>,
    news: Notify,
    metrics: Arc<Metrics>,
}

struct Table {
    spaces: Vec<Members>,
    /// How many namespaces each connection is in.
    connections: HashMap<u64, usize>,
}

#[derive(Default)]
struct Pending {
    ops: Vec<Op>,
    /// The task is at work on operations it has taken.
    busy: bool,
}

impl Shard {
    pub(super) fn new(spaces: usize, metrics: Arc<Metrics>) -> Self {
        let spaces = (0..spaces).map(|_| Members::default()).collect();
        let table = Mutex::new(Table { spaces, connections: HashMap::new() });
        Self { pending: Mutex::default(), table, news: Notify::new(), metrics }
    }

    fn pending(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues an operation for the task.
    pub(super) fn queue(&self, op: Op) {
        let mut pending = self.pending();
        pending.ops.push(op);
        // Only the first one needs to wake the task: it takes everything there is before it sleeps again.
        let wake = pending.ops.len() == 1 && !pending.busy;
        drop(pending);
        if wake {
            self.news.notify_one();
        }
    }

    /// Changes the table: at once when nothing is pending, else in turn.
    pub(super) fn change(&self, op: Op) {
        let pending = self.pending();
        if pending.busy || !pending.ops.is_empty() {
            drop(pending);
            return self.queue(op);
        }
        // Still under the lock of `pending`, so that no sweep begins meanwhile.
        self.apply(op);
        drop(pending);
    }

    /// Sends something to one client: at once when nothing is pending, else in turn.
    pub(super) fn one(&self, send: impl FnOnce() + Send + 'static) {
        let pending = self.pending();
        let idle = !pending.busy && pending.ops.is_empty();
        drop(pending);
        // What another task queues between these lines has no order with this.
        if idle { send() } else { self.queue(Op::One(Box::new(send))) }
    }

    fn apply(&self, op: Op) {
        let mut table = self.table();
        match op {
            Op::Add { space, key, id, sink } => {
                *table.connections.entry(sink.connection()).or_default() += 1;
                table.spaces[space].add(key, id, sink);
            }
            Op::Remove { space, key, rooms } => {
                if let Some(sink) = table.spaces[space].remove(key, &rooms) {
                    table.disconnect(sink.connection());
                }
            }
            Op::Join { space, key, room } => table.spaces[space].join(key, room),
            Op::Leave { space, key, room } => table.spaces[space].leave(key, &room),
            Op::Disconnect { space, selection } => {
                let members = &table.spaces[space];
                let selected = members.select(&selection);
                members.part(&selected, 0, selected.len()).for_each(|sink| sink.disconnect());
            }
            Op::One(send) => {
                drop(table);
                send();
            }
            Op::Publish(_) => {}
        }
    }

    /// How many members are selected.
    pub(super) fn count(&self, space: Space, selection: &Selection) -> usize {
        self.table().spaces[space].select(selection).len()
    }

    /// How many connections have a member here.
    pub(super) fn connections(&self) -> usize {
        self.table().connections.len()
    }

    /// How many members use `transport` now.
    pub(super) fn by_transport(&self, space: Space, transport: Transport) -> usize {
        self.table().spaces[space].by_transport(transport)
    }

    /// The shard's task. Ends with its runtime.
    pub(super) async fn run(self: Arc<Self>) {
        loop {
            let ops = {
                let mut pending = self.pending();
                pending.busy = !pending.ops.is_empty();
                std::mem::take(&mut pending.ops)
            };
            if ops.is_empty() {
                self.news.notified().await;
                continue;
            }
            self.work(ops).await;
        }
    }

    async fn work(&self, ops: Vec<Op>) {
        let mut run: Vec<Arc<Publish>> = Vec::new();
        let mut bytes = 0;
        for op in ops {
            let Op::Publish(publish) = op else {
                self.sweep(&mut run).await;
                self.apply(op);
                continue;
            };
            let size = publish.item.wire_len();
            if run.first().is_some_and(|first| !first.joins(&publish)) || bytes + size > BATCH_BYTES {
                self.sweep(&mut run).await;
            }
            bytes = if run.is_empty() { size } else { bytes + size };
            run.push(publish);
        }
        self.sweep(&mut run).await;
    }

    /// Pushes a run of publishes to the same members, and empties it.
    async fn sweep(&self, run: &mut Vec<Arc<Publish>>) {
        let Some(first) = run.first().map(Arc::clone) else { return };
        let batch = Batch::new(run.iter().map(|publish| publish.item.clone()).collect());
        let selected = self.table().spaces[first.space].select(&first.selection);
        let mut tally = Tally::default();
        let mut from = 0;
        while from < selected.len() {
            self.part(&first, &selected, from, &batch, &mut tally);
            from += CHUNK;
            if from < selected.len() {
                tokio::task::yield_now().await;
            }
        }
        self.account(run, selected.len() as u64, tally);
        run.clear();
    }

    fn part(&self, publish: &Publish, selected: &Selected, from: usize, batch: &Batch, tally: &mut Tally) {
        let table = self.table();
        let members = &table.spaces[publish.space];
        members.part(selected, from, CHUNK).for_each(|sink| sink.warm());
        for sink in members.part(selected, from, CHUNK) {
            tally.add(sink.push(batch, publish.mode));
        }
    }

    fn account(&self, run: &[Arc<Publish>], members: u64, tally: Tally) {
        let copies = run.len() as u64;
        self.metrics.expected.inc_by(members * copies);
        self.metrics.deliveries.delivered(tally.delivered * copies);
        self.metrics.deliveries.volatile(tally.volatile * copies);
        self.metrics.deliveries.slow(tally.slow * copies);
        self.metrics.deliveries.closed(tally.closed * copies);
        let accepted = tally.delivered + tally.queued;
        for publish in run {
            publish.series.count(accepted, publish.item.len());
            self.metrics.fanout_seconds.observe(publish.start.elapsed().as_secs_f64());
        }
    }
}

impl Table {
    /// A connection has left one namespace.
    fn disconnect(&mut self, connection: u64) {
        if let Some(count) = self.connections.get_mut(&connection) {
            *count -= 1;
            if *count == 0 {
                self.connections.remove(&connection);
            }
        }
    }
}

/// Members by what their sink said to a push.
#[derive(Default, Clone, Copy)]
struct Tally {
    delivered: u64,
    queued: u64,
    volatile: u64,
    slow: u64,
    closed: u64,
}

impl Tally {
    fn add(&mut self, pushed: Pushed) {
        match pushed {
            Pushed::Delivered => self.delivered += 1,
            Pushed::Queued => self.queued += 1,
            Pushed::Volatile => self.volatile += 1,
            Pushed::Slow => self.slow += 1,
            Pushed::Closed => self.closed += 1,
        }
    }
}

//! One shard of the hub: everything that concerns its connections, done in order by one task.
//!
//! Publishes only append to the shard's queue; the shard's task sweeps over its members. While it sweeps, further
//! publishes pile up, and the next sweep takes them all, whatever their namespaces, rooms and exceptions: a [`Run`]
//! costs each connection one write of exactly what it gets. What concerns a single client (an emit, an ack, a join) goes through
//! the queue too, or is done at once by the caller when nothing is pending: either way in the caller's program order.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio::time::Instant;

use super::members::{Key, Members, Selection};
use super::quota::Permit;
use super::run::{Run, Slot};
use crate::metrics::{Metrics, Outbound};
use crate::packet::Item;
use crate::sink::{Mode, Sink, Taken, Transport};

/// Members served between two moments at which other tasks get the thread: long enough that batches grow, short
/// enough that readers and heartbeats go on.
pub(crate) const CHUNK: usize = 64;
/// Bytes pushed between two such moments at most, however few the members.
const CHUNK_BYTES: usize = 1 << 20;
/// Bytes and publishes of one run at most: about what a connection's send buffer takes at once.
const RUN_BYTES: usize = 128 << 10;
const RUN_PUBLISHES: usize = 1024;

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
    /// Its room in the hub, given back when every shard is done with it.
    pub(super) _permit: Permit,
}

impl Publish {
    /// Whether this may take the place of `older`, which has not left the queue.
    fn replaces(&self, older: &Self) -> bool {
        self.mode == Mode::Latest
            && older.mode == Mode::Latest
            && self.space == older.space
            && self.item.topic() == older.item.topic()
            && self.selection == older.selection
    }
}

/// See the module's documentation.
pub(crate) struct Shard {
    pending: Mutex<Pending>,
    /// Changed only by whoever knows that no sweep is under way: the task, or a caller under the lock of `pending`.
    table: Mutex<Table>,
    news: Notify,
    metrics: Arc<Metrics>,
    /// [`CHUNK`], but in tests.
    chunk: usize,
}

/// Who is connected.
pub(super) struct Table {
    spaces: Vec<Members>,
    /// Where each connection is in `lines`.
    slots: HashMap<u64, Slot>,
    lines: Vec<Option<Line>>,
    free: Vec<Slot>,
}

/// One connection.
struct Line {
    /// Of one of its clients; what is pushed through it may be for any of them.
    sink: Arc<dyn Sink>,
    /// How many namespaces it is in.
    spaces: usize,
}

#[derive(Default)]
struct Pending {
    ops: VecDeque<Op>,
    /// The task is at work on operations it has taken.
    busy: bool,
}

impl Shard {
    pub(super) fn new(spaces: usize, chunk: usize, metrics: Arc<Metrics>) -> Self {
        let spaces = (0..spaces).map(|_| Members::default()).collect();
        let table = Table { spaces, slots: HashMap::new(), lines: Vec::new(), free: Vec::new() };
        let table = Mutex::new(table);
        Self { pending: Mutex::default(), table, news: Notify::new(), metrics, chunk }
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
        pending.ops.push_back(op);
        // Only the first one needs to wake the task: it takes everything there is before it sleeps again.
        let wake = pending.ops.len() == 1 && !pending.busy;
        drop(pending);
        if wake {
            self.news.notify_one();
        }
    }

    /// Puts a publish in the place of an older one that waits; whether there was any.
    pub(super) fn replace(&self, publish: &Arc<Publish>) -> bool {
        let mut pending = self.pending();
        let older = pending.ops.iter_mut().rev().find_map(|op| match op {
            Op::Publish(older) if publish.replaces(older) => Some(older),
            _ => None,
        });
        older.map(|older| *older = Arc::clone(publish)).is_some()
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
                let slot = table.connect(&sink);
                table.spaces[space].add(key, id, sink, slot);
            }
            Op::Remove { space, key, rooms } => {
                if let Some(sink) = table.spaces[space].remove(key, &rooms) {
                    table.disconnect(sink.connection());
                }
            }
            Op::Join { space, key, room } => table.spaces[space].join(key, room),
            Op::Leave { space, key, room } => table.spaces[space].leave(key, &room),
            Op::One(send) => {
                drop(table);
                send();
            }
            // They take more than one step.
            Op::Publish(_) | Op::Disconnect { .. } => {}
        }
    }

    /// How many members are selected.
    pub(super) fn count(&self, space: Space, selection: &Selection) -> usize {
        self.table().spaces[space].count(selection)
    }

    /// How many connections have a member here.
    pub(super) fn connections(&self) -> usize {
        self.table().slots.len()
    }

    /// How many members use `transport` now.
    pub(super) fn by_transport(&self, space: Space, transport: Transport) -> usize {
        self.table().spaces[space].by_transport(transport)
    }

    /// Whether nothing waits and nothing is under way.
    #[cfg(test)]
    pub(super) fn is_idle(&self) -> bool {
        let pending = self.pending();
        !pending.busy && pending.ops.is_empty()
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

    async fn work(&self, ops: VecDeque<Op>) {
        let mut run: Vec<Arc<Publish>> = Vec::new();
        let (mut bytes, mut steps) = (0, 0);
        for op in ops {
            let Op::Publish(publish) = op else {
                self.sweep(&mut run).await;
                match op {
                    Op::Disconnect { space, selection } => self.disconnect(space, &selection).await,
                    op => self.apply(op),
                }
                steps += 1;
                if steps % self.chunk == 0 {
                    tokio::task::yield_now().await;
                }
                continue;
            };
            let size = publish.item.wire_len();
            if bytes + size > RUN_BYTES || run.len() == RUN_PUBLISHES {
                self.sweep(&mut run).await;
            }
            bytes = if run.is_empty() { size } else { bytes + size };
            run.push(publish);
        }
        self.sweep(&mut run).await;
    }

    /// Sends DISCONNECT to the members of a selection.
    async fn disconnect(&self, space: Space, selection: &Selection) {
        let sinks = self.table().spaces[space].sinks(selection);
        for some in sinks.chunks(self.chunk) {
            some.iter().for_each(|sink| sink.disconnect());
            tokio::task::yield_now().await;
        }
    }

    /// Pushes what waits to whom it is for, and empties it.
    async fn sweep(&self, waiting: &mut Vec<Arc<Publish>>) {
        while !waiting.is_empty() {
            let mut run = Run::plan(waiting, &self.table());
            let mut from = 0;
            while from < run.touched().len() {
                from += self.part(&mut run, from);
                if from < run.touched().len() {
                    tokio::task::yield_now().await;
                }
            }
            for (publish, accepted) in run.end() {
                publish.series.count(accepted, publish.item.len());
                publish.series.fanout.observe(publish.start.elapsed().as_secs_f64());
            }
        }
    }

    /// Pushes to some connections of a run; how many.
    fn part(&self, run: &mut Run, from: usize) -> usize {
        let table = self.table();
        let slots: Vec<Slot> = run.touched().iter().skip(from).take(self.chunk).copied().collect();
        slots.iter().filter_map(|slot| table.line(*slot)).for_each(|line| line.sink.warm());
        let (mut all, mut expected, mut bytes, mut done) = (Taken::default(), 0, 0, 0);
        for slot in slots {
            done += 1;
            let Some(line) = table.line(slot) else { continue };
            let (taken, copies, size) = run.push(slot, &*line.sink);
            all += taken;
            expected += copies;
            bytes += size;
            if bytes > CHUNK_BYTES {
                break;
            }
        }
        drop(table);
        self.metrics.expected.inc_by(expected);
        self.metrics.deliveries.taken(&all);
        done
    }
}

impl Table {
    /// How many places there are for connections.
    pub(super) fn slots(&self) -> usize {
        self.lines.len()
    }

    /// The members of a namespace.
    pub(super) fn members(&self, space: Space) -> &Members {
        &self.spaces[space]
    }

    fn line(&self, slot: Slot) -> Option<&Line> {
        self.lines.get(slot as usize)?.as_ref()
    }

    /// A connection has come to one more namespace.
    fn connect(&mut self, sink: &Arc<dyn Sink>) -> Slot {
        if let Some(slot) = self.slots.get(&sink.connection()).copied() {
            if let Some(line) = &mut self.lines[slot as usize] {
                line.spaces += 1;
            }
            return slot;
        }
        let line = Some(Line { sink: Arc::clone(sink), spaces: 1 });
        let slot = match self.free.pop() {
            Some(slot) => {
                self.lines[slot as usize] = line;
                slot
            }
            None => {
                self.lines.push(line);
                (self.lines.len() - 1) as Slot
            }
        };
        self.slots.insert(sink.connection(), slot);
        slot
    }

    /// A connection has left one namespace.
    fn disconnect(&mut self, connection: u64) {
        let Some(slot) = self.slots.get(&connection).copied() else { return };
        let Some(line) = &mut self.lines[slot as usize] else { return };
        line.spaces -= 1;
        if line.spaces == 0 {
            self.lines[slot as usize] = None;
            self.slots.remove(&connection);
            self.free.push(slot);
        }
    }
}

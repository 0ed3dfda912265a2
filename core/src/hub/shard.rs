//! One shard of the hub: its connections, and what waits for them. Here is what callers do; [`sweep`](super::sweep) is
//! what the shard's task does.
//!
//! Publishes are only queued, and the task sweeps over their members. Everything else is done at once by whoever asks
//! for it: a change of the table, because what is queued finds the members of its own time; an emit or an ack, unless
//! something its own plugin has published before is still to come for that connection: then the sweep sends it there.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::lane::{Lane, Publish, Publisher, What, Work};
use super::members::{Key, Moment, Newcomer, Reached};
use super::quota::Permit;
use super::selection::Selection;
use super::table::{Queued, Slot, Space, Table};
use crate::client::Client;
use crate::metrics::Metrics;
use crate::sink::{Mode, Sink};

/// See the module's documentation.
pub(crate) struct Shard {
    state: Mutex<State>,
    /// How much each lane has queued or under way, to be looked at without the lock.
    waiting: Box<[AtomicUsize]>,
    pub(super) news: Notify,
    pub(super) metrics: Arc<Metrics>,
    /// Steps between two moments at which other tasks get the thread.
    pub(super) chunk: usize,
}

/// The guarded part.
pub(super) struct State {
    pub(super) table: Table,
    pub(super) lanes: Vec<Lane>,
    /// The number of the next thing that is queued.
    next: Moment,
    /// How much is queued or under way for each namespace.
    for_space: Vec<usize>,
    /// The task is at work, or has been told to be.
    pub(super) awake: bool,
}

/// What became of the attempt to put a publish in the place of an older one.
pub(super) enum Replaced {
    /// So many copies of the older one are replaced.
    Copies(usize),
    /// There is none, and members to be served.
    Nothing,
    /// There is nobody to be served.
    Nobody,
}

impl Shard {
    pub(super) fn new(spaces: usize, publishers: usize, chunk: usize, metrics: Arc<Metrics>) -> Self {
        let state = State {
            table: Table::new(spaces),
            lanes: (0..publishers).map(|_| Lane::default()).collect(),
            next: 1,
            for_space: vec![0; spaces],
            awake: false,
        };
        let waiting = (0..publishers).map(|_| AtomicUsize::new(0)).collect();
        Self { state: Mutex::new(state), waiting, news: Notify::new(), metrics, chunk }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    // --- Publishes ---------------------------------------------------------------------------------------------

    /// Queues a publish, unless nobody here is to get it.
    pub(super) fn publish(&self, publisher: Publisher, publish: &Arc<Publish>) {
        let state = self.state();
        if state.table.members(publish.space).at_most(&publish.selection, 0) {
            return;
        }
        self.queue(state, publisher, What::Publish(Arc::clone(publish)));
    }

    /// Queues a DISCONNECT to the members of a selection.
    pub(super) fn disconnect(&self, publisher: Publisher, space: Space, selection: &Selection) {
        let state = self.state();
        let version = state.table.members(space).version();
        // Whoever says it again and again has said it.
        if !state.lanes[publisher].ends_with(space, selection, version) {
            self.queue(state, publisher, What::Disconnect(space, selection.clone()));
        }
    }

    fn queue(&self, mut state: MutexGuard<'_, State>, publisher: Publisher, what: What) {
        let work = state.work(what);
        state.next += 1;
        state.for_space[work.space()] += 1;
        state.lanes[publisher].push(work);
        self.waiting[publisher].fetch_add(1, Ordering::Release);
        let asleep = !std::mem::replace(&mut state.awake, true);
        drop(state);
        if asleep {
            self.news.notify_one();
        }
    }

    /// Puts a publish in the place of an older one that waits.
    pub(super) fn replace(&self, publisher: Publisher, publish: &Arc<Publish>) -> Replaced {
        let mut state = self.state();
        let nobody = state.table.members(publish.space).at_most(&publish.selection, 0);
        let newer = state.work(What::Publish(Arc::clone(publish)));
        match state.lanes[publisher].replace(publish, newer) {
            Some(older) => {
                // It is for whoever is there now; a change from now on comes after it.
                state.next += 1;
                Replaced::Copies(older.copies)
            }
            None if nobody => Replaced::Nobody,
            None => Replaced::Nothing,
        }
    }

    /// Whom a selection of one name reaches, when nothing that the publisher has queued is still to come for it.
    pub(super) fn reached(&self, publisher: Publisher, space: Space, selection: &Selection) -> Reached {
        let state = self.state();
        match state.table.members(space).reached(selection) {
            Reached::One(slot, _) if state.lanes[publisher].is_pending(slot) => Reached::Many,
            reached => reached,
        }
    }

    // --- One client --------------------------------------------------------------------------------------------

    /// A client comes: it gets every publish from now on.
    pub(super) fn add(&self, space: Space, client: (Key, Newcomer), sink: Arc<dyn Sink>) -> Slot {
        let mut state = self.state();
        let since = state.next;
        state.table.add(space, client, sink, since)
    }

    /// A client goes.
    pub(super) fn remove(&self, space: Space, key: Key, rooms: Vec<Arc<str>>) {
        let mut state = self.state();
        let queued = state.queued(space);
        state.table.remove(space, key, rooms, queued);
    }

    pub(super) fn join(&self, space: Space, key: Key, room: Arc<str>) {
        let mut state = self.state();
        let since = state.next;
        state.table.join(space, key, room, since);
    }

    pub(super) fn leave(&self, space: Space, key: Key, room: Arc<str>) {
        let mut state = self.state();
        let queued = state.queued(space);
        state.table.leave(space, key, room, queued);
    }

    /// Sends something to one client: at once, or after what its plugin has queued for it before.
    pub(super) fn send(
        &self,
        publisher: Publisher,
        slot: Slot,
        permit: impl FnOnce() -> Permit,
        send: impl FnOnce() + Send + 'static,
    ) {
        // What another task queues meanwhile has no order with this.
        if self.waiting[publisher].load(Ordering::Acquire) == 0 {
            return send();
        }
        let mut state = self.state();
        if state.lanes[publisher].is_pending(slot) {
            state.lanes[publisher].hold(slot, Box::new(send), permit());
        } else {
            drop(state);
            send();
        }
    }

    /// So much of what a lane had queued is done.
    pub(super) fn done(&self, publisher: Publisher, works: usize) {
        self.waiting[publisher].fetch_sub(works, Ordering::Release);
    }

    /// How many members are selected.
    pub(super) fn count(&self, space: Space, selection: &Selection) -> usize {
        self.state().table.members(space).count(selection)
    }

    /// How many members take offsets, and how many do not.
    pub(super) fn kinds(&self, space: Space) -> (usize, usize) {
        self.state().table.members(space).kinds()
    }

    /// Those of a selection who are there now, up to so many.
    pub(super) fn clients(&self, space: Space, selection: &Selection, most: usize) -> Vec<Arc<Client>> {
        self.state().table.members(space).clients(selection, most)
    }

    /// How many connections have a member here.
    pub(super) fn connections(&self) -> usize {
        self.state().table.connections()
    }

    /// Whether nothing waits and nothing is under way.
    #[cfg(test)]
    pub(super) fn is_idle(&self) -> bool {
        let state = self.state();
        !state.awake && state.lanes.iter().all(Lane::is_idle)
    }
}

impl State {
    /// Something to be queued now.
    fn work(&self, what: What) -> Work {
        let mut work = Work { place: self.next, moment: self.next, version: 0, copies: 0, what };
        let members = self.table.members(work.space());
        work.version = members.version();
        if let What::Publish(publish) = &work.what
            && publish.mode == Mode::Latest
        {
            work.copies = members.count(&publish.selection);
        }
        work
    }

    /// How much of what is queued may need what is about to be left behind.
    fn queued(&self, space: Space) -> Queued {
        let any = self.for_space.iter().any(|works| *works > 0);
        Queued { next: self.next, here: self.for_space[space] > 0, any }
    }

    /// The first thing that is queued or under way.
    fn first(&self) -> Moment {
        self.lanes.iter().filter_map(Lane::first).min().unwrap_or(self.next)
    }

    /// Whether there is anything left for the task to do.
    pub(super) fn has_more(&self) -> bool {
        self.lanes.iter().any(|lane| !lane.is_idle()) || self.table.leaves(self.first())
    }

    /// So much of what was queued for a namespace is done.
    pub(super) fn done(&mut self, space: Space, works: usize) {
        self.for_space[space] -= works;
    }

    /// Forgets up to `most` of what was left behind; whether there may be more.
    pub(super) fn forget(&mut self, most: usize) -> bool {
        let first = self.first();
        self.table.forget(first, most)
    }
}

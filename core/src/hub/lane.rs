//! What waits in a shard, in one lane for each publisher: publishes, DISCONNECTs to many, and what is sent to one client
//! and has to follow them.
//!
//! What one publisher does keeps its order; what another does is never waited for. A publisher is a plugin: what one of
//! its tasks publishes, whatever the namespace, and then emits or answers, is of one lane.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::time::Instant;

use super::members::Moment;
use super::quota::Permit;
use super::selection::Selection;
use super::table::{Slot, Space};
use crate::metrics::Outbound;
use crate::packet::Item;
use crate::sink::Mode;

/// A publisher's place in every shard.
pub(crate) type Publisher = usize;

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
            && self.is_of_topic(older)
            && self.selection == older.selection
    }

    /// Whether both say something about the same.
    fn is_of_topic(&self, other: &Self) -> bool {
        self.space == other.space && self.item.topic() == other.item.topic()
    }
}

/// Something queued.
pub(super) struct Work {
    /// Its place in the order.
    pub(super) place: Moment,
    /// Whose members it addresses: its place, or later when it has taken the place of something older.
    pub(super) moment: Moment,
    /// The version of its namespace's members at that moment.
    pub(super) version: u64,
    /// How many these are, where it may be replaced.
    pub(super) copies: usize,
    pub(super) what: What,
}

pub(super) enum What {
    Publish(Arc<Publish>),
    Disconnect(Space, Selection),
}

impl Work {
    pub(super) fn space(&self) -> Space {
        match &self.what {
            What::Publish(publish) => publish.space,
            What::Disconnect(space, _) => *space,
        }
    }
}

/// Something for one client that has to follow what its publisher has queued.
pub(super) struct Held {
    /// The last thing that it follows.
    pub(super) after: Moment,
    pub(super) send: Box<dyn FnOnce() + Send>,
    pub(super) _permit: Permit,
}

/// How far a sweep has come. Changed under the lock of the shard.
pub(super) struct Cursor {
    /// The connections it goes to, in order.
    pub(super) slots: Vec<Slot>,
    next: AtomicUsize,
}

impl Cursor {
    pub(super) fn new(slots: Vec<Slot>) -> Arc<Self> {
        Arc::new(Self { slots, next: AtomicUsize::new(0) })
    }

    /// The first connection that has not got its part.
    pub(super) fn next(&self) -> usize {
        self.next.load(Ordering::Relaxed)
    }

    /// All before `next` have got their part.
    pub(super) fn advance(&self, next: usize) {
        self.next.store(next, Ordering::Relaxed);
    }

    fn is_to_come(&self, slot: Slot) -> bool {
        let rest = &self.slots[self.next()..];
        rest.first().is_some_and(|first| *first <= slot) && rest.binary_search(&slot).is_ok()
    }
}

/// A lane's part of a sweep.
pub(super) struct UnderWay {
    pub(super) cursor: Arc<Cursor>,
    /// The first and the last thing taken from the lane.
    pub(super) first: Moment,
    pub(super) last: Moment,
}

/// See the module's documentation.
#[derive(Default)]
pub(super) struct Lane {
    pub(super) queue: VecDeque<Work>,
    /// The last thing that was queued.
    last: Moment,
    pub(super) under_way: Option<UnderWay>,
    /// By connection, in order.
    held: BTreeMap<Slot, VecDeque<Held>>,
}

impl Lane {
    pub(super) fn push(&mut self, work: Work) {
        self.last = work.place;
        self.queue.push_back(work);
    }

    /// Nothing is queued or under way.
    pub(super) fn is_idle(&self) -> bool {
        self.queue.is_empty() && self.under_way.is_none()
    }

    /// Something is queued, and the lane has no part in any sweep.
    pub(super) fn waits(&self) -> bool {
        self.under_way.is_none() && !self.queue.is_empty()
    }

    /// The first thing that is queued or under way.
    pub(super) fn first(&self) -> Option<Moment> {
        let under_way = self.under_way.as_ref().map(|sweep| sweep.first);
        under_way.or_else(|| self.queue.front().map(|work| work.place))
    }

    /// Whether anything that was queued may still have to go to this connection.
    pub(super) fn is_pending(&self, slot: Slot) -> bool {
        !self.queue.is_empty() || self.under_way.as_ref().is_some_and(|sweep| sweep.cursor.is_to_come(slot))
    }

    /// Keeps something for a connection until all that is pending for it has gone.
    pub(super) fn hold(&mut self, slot: Slot, send: Box<dyn FnOnce() + Send>, permit: Permit) {
        self.held.entry(slot).or_default().push_back(Held { after: self.last, send, _permit: permit });
    }

    /// Puts a publish in the place of an older one; that one, if there is any.
    pub(super) fn replace(&mut self, publish: &Arc<Publish>, newer: Work) -> Option<Work> {
        let replaces = |work: &Work| matches!(&work.what, What::Publish(older) if publish.replaces(older));
        let at = self.queue.iter().rposition(replaces)?;
        let is_of_topic = |work: &Work| matches!(&work.what, What::Publish(other) if publish.is_of_topic(other));
        if self.queue.range(at + 1..).any(is_of_topic) {
            // To other members, or in another mode: whoever gets both ends on the newer one.
            let older = self.queue.remove(at)?;
            self.push(newer);
            return Some(older);
        }
        let older = &mut self.queue[at];
        Some(std::mem::replace(older, Work { place: older.place, ..newer }))
    }

    /// Whether the last thing queued is the same DISCONNECT to the same members.
    pub(super) fn ends_with(&self, space: Space, selection: &Selection, version: u64) -> bool {
        let last = self.queue.back().filter(|work| work.version == version).map(|work| &work.what);
        matches!(last, Some(What::Disconnect(of, known)) if *of == space && known == selection)
    }

    /// The connections that something is held for.
    pub(super) fn holds(&self) -> impl Iterator<Item = Slot> {
        self.held.keys().copied()
    }

    /// Whether anything is held.
    pub(super) fn holds_any(&self) -> bool {
        !self.held.is_empty()
    }

    /// What the next thing held for a connection follows, when that is in the sweep under way or older.
    pub(super) fn held(&self, slot: Slot) -> Option<Moment> {
        let after = self.held.get(&slot)?.front()?.after;
        self.under_way.as_ref().is_some_and(|sweep| after <= sweep.last).then_some(after)
    }

    /// Takes the next thing held for a connection.
    pub(super) fn take_held(&mut self, slot: Slot) -> Option<Held> {
        let waiting = self.held.get_mut(&slot)?;
        let held = waiting.pop_front();
        if waiting.is_empty() {
            self.held.remove(&slot);
        }
        held
    }
}

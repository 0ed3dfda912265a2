//! Who is connected in one shard, with which namespaces. Changes take effect at once; what somebody leaves behind is
//! forgotten when nothing is queued any more that was queued before.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use super::members::{Key, Members, Moment, Newcomer, OPEN};
use crate::sink::Sink;

/// A namespace's place in every shard.
pub(crate) type Space = usize;

/// A connection's place in a shard.
pub(super) type Slot = u32;

/// See the module's documentation.
pub(super) struct Table {
    spaces: Vec<Members>,
    /// Where each connection is in `lines`.
    slots: HashMap<u64, Slot>,
    lines: Vec<Option<Line>>,
    free: Vec<Slot>,
    /// Connections that are in a namespace.
    live: usize,
    /// The namespaces that connections have left and for which something is queued: what was queued before does not go
    /// to a client that has come back meanwhile.
    left: HashMap<Slot, Vec<(Space, Moment)>>,
    /// What is to be forgotten, and when.
    graves: VecDeque<(Moment, Grave)>,
}

/// One connection.
struct Line {
    /// Of one of its clients; what is pushed through it may be for any of them.
    sink: Arc<dyn Sink>,
    /// How many namespaces it is in.
    spaces: u32,
    /// When that was none the last time.
    emptied: Moment,
}

/// Something left behind.
enum Grave {
    Member { space: Space, key: Key, slot: Slot, rooms: Vec<Arc<str>> },
    Stay { space: Space, key: Key, room: Arc<str> },
    Line(Slot),
}

/// How much of what is queued may need what is left behind now.
#[derive(Clone, Copy)]
pub(super) struct Queued {
    /// The number of the next thing.
    pub(super) next: Moment,
    /// Something is queued for the namespace in question.
    pub(super) here: bool,
    /// Something is queued.
    pub(super) any: bool,
}

impl Table {
    pub(super) fn new(spaces: usize) -> Self {
        Self {
            spaces: (0..spaces).map(|_| Members::default()).collect(),
            slots: HashMap::new(),
            lines: Vec::new(),
            free: Vec::new(),
            live: 0,
            left: HashMap::new(),
            graves: VecDeque::new(),
        }
    }

    /// How many places there are for connections.
    pub(super) fn slots(&self) -> usize {
        self.lines.len()
    }

    /// How many connections are in a namespace.
    pub(super) fn connections(&self) -> usize {
        self.live
    }

    /// The members of a namespace.
    pub(super) fn members(&self, space: Space) -> &Members {
        &self.spaces[space]
    }

    /// The way to a connection, as long as anything queued may be for it.
    pub(super) fn sink(&self, slot: Slot) -> Option<&Arc<dyn Sink>> {
        Some(&self.lines.get(slot as usize)?.as_ref()?.sink)
    }

    /// The namespaces that a connection has left: what was queued before that moment is for nobody.
    pub(super) fn left(&self, slot: Slot) -> Vec<(Space, Moment)> {
        if self.left.is_empty() { Vec::new() } else { self.left.get(&slot).cloned().unwrap_or_default() }
    }

    /// A client comes to a namespace.
    pub(super) fn add(&mut self, space: Space, client: (Key, Newcomer), sink: Arc<dyn Sink>, since: Moment) -> Slot {
        let slot = self.connect(&sink);
        self.spaces[space].add(client, sink, slot, since);
        slot
    }

    /// A client leaves its namespace and its rooms.
    pub(super) fn remove(&mut self, space: Space, key: Key, rooms: Vec<Arc<str>>, queued: Queued) {
        let members = &mut self.spaces[space];
        let Some(slot) = members.remove(key, queued.next) else { return };
        if queued.here {
            rooms.iter().for_each(|room| members.leave(key, room, queued.next));
            self.left.entry(slot).or_default().push((space, queued.next));
            self.graves.push_back((queued.next, Grave::Member { space, key, slot, rooms }));
        } else {
            rooms.iter().for_each(|room| members.forget_stays(key, room, OPEN));
            members.forget(key);
        }
        self.disconnect(slot, queued);
    }

    /// A client joins a room.
    pub(super) fn join(&mut self, space: Space, key: Key, room: Arc<str>, since: Moment) {
        self.spaces[space].join(key, room, since);
    }

    /// A client leaves a room.
    pub(super) fn leave(&mut self, space: Space, key: Key, room: Arc<str>, queued: Queued) {
        let members = &mut self.spaces[space];
        if queued.here {
            members.leave(key, &room, queued.next);
            self.graves.push_back((queued.next, Grave::Stay { space, key, room }));
        } else {
            members.forget_stays(key, &room, OPEN);
        }
    }

    /// A connection has come to one more namespace.
    fn connect(&mut self, sink: &Arc<dyn Sink>) -> Slot {
        if let Some(slot) = self.slots.get(&sink.connection()).copied()
            && let Some(line) = &mut self.lines[slot as usize]
        {
            self.live += usize::from(line.spaces == 0);
            line.spaces += 1;
            return slot;
        }
        let line = Some(Line { sink: Arc::clone(sink), spaces: 1, emptied: 0 });
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
        self.live += 1;
        slot
    }

    /// A connection has left one namespace.
    fn disconnect(&mut self, slot: Slot, queued: Queued) {
        let Some(line) = &mut self.lines[slot as usize] else { return };
        line.spaces -= 1;
        if line.spaces > 0 {
            return;
        }
        line.emptied = queued.next;
        self.live -= 1;
        if queued.any {
            self.graves.push_back((queued.next, Grave::Line(slot)));
        } else {
            self.free(slot, queued.next);
        }
    }

    /// Gives a connection's place away, unless the connection has come back since.
    fn free(&mut self, slot: Slot, emptied: Moment) {
        let gone = |line: &mut Line| line.spaces == 0 && line.emptied == emptied;
        if let Some(line) = self.lines[slot as usize].take_if(gone) {
            self.slots.remove(&line.sink.connection());
            self.free.push(slot);
        }
    }

    /// How much is kept of whoever has left.
    #[cfg(test)]
    pub(super) fn kept(&self) -> usize {
        self.graves.len()
    }

    /// Whether nothing is kept of whoever has left.
    #[cfg(test)]
    pub(super) fn is_clean(&self) -> bool {
        let lines = self.lines.iter().flatten();
        self.graves.is_empty()
            && self.left.is_empty()
            && self.slots.len() == self.live
            && lines.map(|line| line.spaces as usize).sum::<usize>()
                == self.spaces.iter().map(Members::len).sum::<usize>()
            && self.free.len() + self.live == self.lines.len()
    }

    /// Forgets up to `most` of what was left behind before `done`, the first thing that is still queued; whether there
    /// may be more.
    pub(super) fn forget(&mut self, done: Moment, most: usize) -> bool {
        let mut steps = 0;
        while steps < most {
            let Some((until, grave)) = self.graves.pop_front_if(|(until, _)| *until <= done) else { return false };
            steps += 1;
            match grave {
                Grave::Member { space, key, slot, rooms } => {
                    steps += rooms.len();
                    let members = &mut self.spaces[space];
                    rooms.iter().for_each(|room| members.forget_stays(key, room, OPEN));
                    members.forget(key);
                    if let Some(left) = self.left.get_mut(&slot) {
                        left.retain(|(_, until)| *until > done);
                        if left.is_empty() {
                            self.left.remove(&slot);
                        }
                    }
                }
                Grave::Stay { space, key, room } => self.spaces[space].forget_stays(key, &room, done),
                Grave::Line(slot) => self.free(slot, until),
            }
        }
        self.leaves(done)
    }

    /// Whether there is anything to forget before `done`.
    pub(super) fn leaves(&self, done: Moment) -> bool {
        self.graves.front().is_some_and(|(until, _)| *until <= done)
    }
}

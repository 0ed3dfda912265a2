//! The members of one namespace in one shard: who they are, their rooms, and which of them a publish addresses.
//!
//! Everything that is queued in a shard has a number. A membership says from which number on it holds and up to which,
//! so a change takes effect at once while what was queued before it still finds the members of its own time.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::{Arc, Weak};

use foldhash::fast::RandomState;

use super::selection::Selection;
use super::table::Slot;
use crate::client::Client;
use crate::sink::Sink;

/// A member's number, unique in the application.
pub(crate) type Key = u64;

/// A moment in the order of a shard: the number of something that was queued.
pub(super) type Moment = u64;
/// Where a membership that goes on ends.
pub(super) const OPEN: Moment = Moment::MAX;
/// The present, for whom nothing is queued.
pub(super) const NOW: Moment = OPEN - 1;

/// Somebody who comes to a namespace.
pub(crate) struct Newcomer {
    /// The public id.
    pub(crate) id: Arc<str>,
    /// Whether what is published ends with its offset for this one.
    pub(crate) offsets: bool,
    pub(crate) client: Weak<Client>,
}

/// Somebody who is only an id.
#[cfg(any(test, feature = "bench"))]
impl<T: Into<Arc<str>>> From<T> for Newcomer {
    fn from(id: T) -> Self {
        Self { id: id.into(), offsets: false, client: Weak::new() }
    }
}

/// Dense, so that a sweep over everybody runs through memory in order.
#[derive(Default)]
pub(super) struct Members {
    dense: Vec<Member>,
    /// How many of them have not left.
    live: usize,
    /// How many of those take offsets.
    takers: usize,
    /// Where each member stands in `dense`.
    at: HashMap<Key, usize, RandomState>,
    /// The same, by public client id. Both are names of the server's making, which nobody can choose to collide.
    ids: HashMap<Arc<str>, usize, RandomState>,
    rooms: HashMap<Arc<str>, Room>,
    /// Differs after each change of who is in what.
    version: u64,
}

struct Member {
    key: Key,
    id: Arc<str>,
    /// Whether what is published ends with its offset for this one.
    offsets: bool,
    client: Weak<Client>,
    sink: Arc<dyn Sink>,
    /// Its connection's place in the shard.
    slot: Slot,
    since: Moment,
    until: Moment,
}

impl Member {
    fn is_at(&self, moment: Moment) -> bool {
        self.since <= moment && moment < self.until
    }

    fn is_of(&self, kind: Option<bool>) -> bool {
        kind.is_none_or(|offsets| self.offsets == offsets)
    }
}

#[derive(Default)]
struct Room {
    /// Who was in it from when to when.
    stays: BTreeMap<(Key, Moment), Moment>,
    /// How many are in it now.
    live: usize,
}

impl Room {
    fn has(&self, key: Key, moment: Moment) -> bool {
        self.stays.range((key, 0)..=(key, moment)).any(|(_, until)| moment < *until)
    }

    /// The member's stay that goes on: since when.
    fn stay(&self, key: Key) -> Option<Moment> {
        let (last, until) = self.stays.range((key, 0)..=(key, OPEN)).next_back()?;
        (*until == OPEN).then_some(last.1)
    }
}

/// Whom a selection of one name reaches.
pub(super) enum Reached {
    Nobody,
    One(Slot, Arc<dyn Sink>),
    Many,
}

impl Members {
    pub(super) fn add(&mut self, (key, newcomer): (Key, Newcomer), sink: Arc<dyn Sink>, slot: Slot, since: Moment) {
        let Newcomer { id, offsets, client } = newcomer;
        // One that comes back has the id it had before: from here on it is the newer one's.
        self.ids.insert(Arc::clone(&id), self.dense.len());
        self.at.insert(key, self.dense.len());
        self.dense.push(Member { key, id, offsets, client, sink, slot, since, until: OPEN });
        self.live += 1;
        self.takers += usize::from(offsets);
        self.version += 1;
    }

    /// A member is gone from `until` on; the place of its connection. [`forget`](Self::forget) forgets it.
    pub(super) fn remove(&mut self, key: Key, until: Moment) -> Option<Slot> {
        let member = &mut self.dense[*self.at.get(&key)?];
        if member.until != OPEN {
            return None;
        }
        member.until = until;
        self.live -= 1;
        self.takers -= usize::from(member.offsets);
        self.version += 1;
        Some(member.slot)
    }

    /// Forgets a member that has left.
    pub(super) fn forget(&mut self, key: Key) {
        let Some(place) = self.at.remove(&key) else { return };
        let (member, last) = (self.dense.swap_remove(place), self.dense.len());
        if self.ids.get(&member.id) == Some(&place) {
            self.ids.remove(&member.id);
        }
        if let Some(moved) = self.dense.get(place) {
            self.at.insert(moved.key, place);
            if let Some(at) = self.ids.get_mut(&moved.id).filter(|at| **at == last) {
                *at = place;
            }
        }
    }

    pub(super) fn join(&mut self, key: Key, room: Arc<str>, since: Moment) {
        if self.member(key, NOW).is_none() {
            return;
        }
        let room = self.rooms.entry(room).or_default();
        if room.stay(key).is_none() {
            room.stays.insert((key, since), OPEN);
            room.live += 1;
            self.version += 1;
        }
    }

    /// A member is in a room no more, from `until` on. [`forget_stays`](Self::forget_stays) forgets that it was.
    pub(super) fn leave(&mut self, key: Key, name: &str, until: Moment) {
        let Some(room) = self.rooms.get_mut(name) else { return };
        if let Some(since) = room.stay(key) {
            room.stays.insert((key, since), until);
            room.live -= 1;
            self.version += 1;
        }
    }

    /// Forgets the stays of a member in a room that had ended at `until`, all of them when that is never.
    pub(super) fn forget_stays(&mut self, key: Key, name: &str, until: Moment) {
        let Some(room) = self.rooms.get_mut(name) else { return };
        while let Some((stay, end)) = room.stays.range((key, 0)..=(key, OPEN)).find(|(_, end)| **end <= until) {
            let (stay, end) = (*stay, *end);
            room.stays.remove(&stay);
            if end == OPEN {
                room.live -= 1;
                self.version += 1;
            }
        }
        if room.stays.is_empty() {
            self.rooms.remove(name);
        }
    }

    /// Equal as long as nobody comes, goes, joins or leaves.
    pub(super) fn version(&self) -> u64 {
        self.version
    }

    fn member(&self, key: Key, moment: Moment) -> Option<&Member> {
        self.dense.get(*self.at.get(&key)?).filter(|member| member.is_at(moment))
    }

    /// A room's members.
    fn room<'a>(&'a self, name: &str, moment: Moment) -> impl Iterator<Item = Key> + use<'a> {
        let stays = self.rooms.get(name).into_iter().flat_map(|room| &room.stays);
        let there = stays.filter(move |((_, since), until)| *since <= moment && moment < **until);
        there.map(|((key, _), _)| *key)
    }

    /// The one client of an id.
    fn client(&self, id: &str) -> Option<&Member> {
        Some(&self.dense[*self.ids.get(id)?])
    }

    fn key(&self, id: &str) -> Option<Key> {
        self.client(id).map(|client| client.key)
    }

    /// The members of a room and the client of an id, whichever the name is of, each once.
    fn named<'a>(&'a self, name: &str, moment: Moment) -> impl Iterator<Item = Key> + use<'a> {
        let room = self.rooms.get(name);
        let id = self.key(name).filter(|id| !room.is_some_and(|room| room.has(*id, moment)));
        self.room(name, moment).chain(id)
    }

    /// Whom the rooms and clients of a selection name, each once.
    fn chosen<'a>(&'a self, selection: &Selection, moment: Moment) -> Box<dyn Iterator<Item = Key> + 'a> {
        match (&*selection.to, &*selection.clients) {
            ([room], []) => Box::new(self.room(room, moment)),
            ([], [id]) => Box::new(self.key(id).into_iter()),
            (rooms, ids) => {
                let rooms = rooms.iter().flat_map(|room| self.room(room, moment));
                let union: BTreeSet<Key> = rooms.chain(ids.iter().filter_map(|id| self.key(id))).collect();
                Box::new(union.into_iter())
            }
        }
    }

    /// Whom a selection of one name reaches now.
    pub(super) fn reached(&self, selection: &Selection) -> Reached {
        let member = match (&*selection.to, &*selection.clients) {
            ([], [id]) => self.client(id).filter(|member| member.is_at(NOW)),
            ([room], []) => match self.rooms.get(&**room).map_or(0, |room| room.live) {
                0 => None,
                1 => self.room(room, NOW).next().and_then(|key| self.member(key, NOW)),
                _ => return Reached::Many,
            },
            _ => return Reached::Many,
        };
        match member.filter(|member| member.is_of(selection.offsets)) {
            Some(member) => Reached::One(member.slot, Arc::clone(&member.sink)),
            None => Reached::Nobody,
        }
    }

    /// Whether a selection has `few` members at most, as far as that can be told at once.
    pub(super) fn at_most(&self, selection: &Selection, few: usize) -> bool {
        if selection.is_unnamed() {
            return self.dense.len() <= few;
        }
        let of = |name: &String| self.rooms.get(&**name).map_or(0, |room| room.stays.len());
        selection.to.iter().map(of).sum::<usize>() + selection.clients.len() <= few
    }

    /// Whether anybody is in a room of this name.
    pub(super) fn is_room(&self, name: &str) -> bool {
        self.rooms.contains_key(name)
    }

    /// How many take offsets, and how many do not.
    pub(super) fn kinds(&self) -> (usize, usize) {
        (self.takers, self.live - self.takers)
    }

    /// How many there are, with those who have left and are not forgotten yet.
    pub(super) fn len(&self) -> usize {
        self.dense.len()
    }

    /// The connection of a client.
    pub(super) fn slot_of(&self, id: &str, moment: Moment) -> Option<Slot> {
        self.client(id).filter(|member| member.is_at(moment)).map(|member| member.slot)
    }

    /// The members of a selection, each once.
    fn select<'a>(&'a self, selection: &Selection, moment: Moment) -> Box<dyn Iterator<Item = &'a Member> + 'a> {
        let everybody = self.dense.iter().filter(move |member| member.is_at(moment));
        let offsets = selection.offsets;
        let of_kind = move |member: &&Member| member.is_of(offsets);
        if selection.is_unnamed() && selection.except.is_empty() {
            return if offsets.is_none() { Box::new(everybody) } else { Box::new(everybody.filter(of_kind)) };
        }
        let except: HashSet<Key> = selection.except.iter().flat_map(|name| self.named(name, moment)).collect();
        let member = move |key: Key| self.member(key, moment).filter(|_| !except.contains(&key)).filter(of_kind);
        if selection.is_unnamed() {
            return Box::new(everybody.filter_map(move |one| member(one.key)));
        }
        Box::new(self.chosen(selection, moment).filter_map(member))
    }

    /// The connections of a selection.
    pub(super) fn slots<'a>(&'a self, selection: &Selection, moment: Moment) -> impl Iterator<Item = Slot> + use<'a> {
        self.select(selection, moment).map(|member| member.slot)
    }

    /// The connections and sinks of those of a selection who are still there.
    pub(super) fn sinks(&self, selection: &Selection, moment: Moment) -> Vec<(Slot, Arc<dyn Sink>)> {
        let there = self.select(selection, moment).filter(|member| member.until == OPEN);
        there.map(|member| (member.slot, Arc::clone(&member.sink))).collect()
    }

    /// Those of a selection who are there now, up to so many.
    pub(super) fn clients(&self, selection: &Selection, most: usize) -> Vec<Arc<Client>> {
        self.select(selection, NOW).filter_map(|member| member.client.upgrade()).take(most).collect()
    }

    /// How many members a selection has now. Walks no further than exceptions and unions of rooms make necessary.
    pub(super) fn count(&self, selection: &Selection) -> usize {
        match (&*selection.to, &*selection.clients, &*selection.except) {
            _ if selection.offsets.is_some() => self.select(selection, NOW).count(),
            ([], [], []) => self.live,
            ([], [], except) => {
                let out: BTreeSet<Key> = except.iter().flat_map(|name| self.named(name, NOW)).collect();
                self.live - out.into_iter().filter(|key| self.member(*key, NOW).is_some()).count()
            }
            ([one], [], []) => self.rooms.get(&**one).map_or(0, |room| room.live),
            _ => self.select(selection, NOW).count(),
        }
    }
}

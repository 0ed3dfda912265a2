//! The members of one namespace in one shard: who they are, their rooms, and which of them a publish addresses.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use super::run::Slot;
use crate::sink::{Sink, Transport};

/// A member's number, unique in the application.
pub(crate) type Key = u64;

/// Whom a publish addresses. Empty: everybody. Who is in several rooms gets one copy.
///
/// Rooms and clients are named apart: clients may choose the names of rooms, and a room called like somebody's id must
/// not get what is meant for them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Selection {
    /// Rooms.
    pub(crate) to: Vec<String>,
    /// Public ids of clients.
    pub(crate) clients: Vec<String>,
    /// Rooms or client ids left out: who is left out by another's name loses, and learns, nothing of theirs.
    pub(crate) except: Vec<String>,
}

impl Selection {
    fn is_everybody(&self) -> bool {
        self.to.is_empty() && self.clients.is_empty() && self.except.is_empty()
    }
}

/// Dense, so that a sweep over everybody runs through memory in order.
#[derive(Default)]
pub(super) struct Members {
    dense: Vec<Member>,
    /// Where each member stands in `dense`.
    at: HashMap<Key, usize>,
    /// By public client id.
    ids: HashMap<Arc<str>, Key>,
    rooms: HashMap<Arc<str>, BTreeSet<Key>>,
}

struct Member {
    key: Key,
    id: Arc<str>,
    sink: Arc<dyn Sink>,
    /// Its connection's place in the shard.
    slot: Slot,
}

impl Members {
    pub(super) fn add(&mut self, key: Key, id: Arc<str>, sink: Arc<dyn Sink>, slot: Slot) {
        self.ids.insert(Arc::clone(&id), key);
        self.at.insert(key, self.dense.len());
        self.dense.push(Member { key, id, sink, slot });
    }

    /// Removes a member from the namespace and from `rooms`; its sink, if it was one.
    pub(super) fn remove(&mut self, key: Key, rooms: &[Arc<str>]) -> Option<Arc<dyn Sink>> {
        let place = self.at.remove(&key)?;
        let member = self.dense.swap_remove(place);
        self.ids.remove(&member.id);
        if let Some(moved) = self.dense.get(place) {
            self.at.insert(moved.key, place);
        }
        for room in rooms {
            self.leave(key, room);
        }
        Some(member.sink)
    }

    pub(super) fn join(&mut self, key: Key, room: Arc<str>) {
        if self.at.contains_key(&key) {
            self.rooms.entry(room).or_default().insert(key);
        }
    }

    pub(super) fn leave(&mut self, key: Key, room: &str) {
        if let Some(keys) = self.rooms.get_mut(room) {
            keys.remove(&key);
            if keys.is_empty() {
                self.rooms.remove(room);
            }
        }
    }

    /// A room's members.
    fn room<'a>(&'a self, name: &str) -> impl Iterator<Item = Key> + 'a {
        self.rooms.get(name).into_iter().flatten().copied()
    }

    /// The one client of an id.
    fn client(&self, id: &str) -> Option<Key> {
        self.ids.get(id).copied()
    }

    /// Whether a selection has `few` members at most, as far as that can be told at once.
    pub(super) fn at_most(&self, selection: &Selection, few: usize) -> bool {
        if selection.to.is_empty() && selection.clients.is_empty() {
            return self.dense.len() <= few;
        }
        let rooms = selection.to.iter().map(|name| self.rooms.get(&**name).map_or(0, BTreeSet::len));
        rooms.sum::<usize>() + selection.clients.len() <= few
    }

    /// Whether anybody is in a room of this name.
    pub(super) fn is_room(&self, name: &str) -> bool {
        self.rooms.contains_key(name)
    }

    /// The connection of a client.
    pub(super) fn slot_of(&self, id: &str) -> Option<Slot> {
        let place = self.at.get(self.ids.get(id)?)?;
        Some(self.dense[*place].slot)
    }

    /// The members of a selection, each once.
    fn select<'a>(&'a self, selection: &Selection) -> Box<dyn Iterator<Item = &'a Member> + 'a> {
        if selection.is_everybody() {
            return Box::new(self.dense.iter());
        }
        let except: HashSet<Key> =
            selection.except.iter().flat_map(|name| self.room(name).chain(self.client(name))).collect();
        let member = move |key: Key| {
            let place = self.at.get(&key).filter(|_| !except.contains(&key))?;
            self.dense.get(*place)
        };
        match (&*selection.to, &*selection.clients) {
            ([], []) => Box::new(self.dense.iter().filter_map(move |one| member(one.key))),
            ([room], []) => Box::new(self.room(room).collect::<Vec<Key>>().into_iter().filter_map(member)),
            ([], [client]) => Box::new(self.client(client).into_iter().filter_map(member)),
            (rooms, clients) => {
                let rooms = rooms.iter().flat_map(|name| self.room(name));
                let union: BTreeSet<Key> = rooms.chain(clients.iter().filter_map(|id| self.client(id))).collect();
                Box::new(union.into_iter().filter_map(member))
            }
        }
    }

    /// The connections of a selection.
    pub(super) fn slots<'a>(&'a self, selection: &Selection) -> impl Iterator<Item = Slot> + 'a {
        self.select(selection).map(|member| member.slot)
    }

    /// The sinks of a selection.
    pub(super) fn sinks(&self, selection: &Selection) -> Vec<Arc<dyn Sink>> {
        self.select(selection).map(|member| Arc::clone(&member.sink)).collect()
    }

    /// How many members a selection has.
    pub(super) fn count(&self, selection: &Selection) -> usize {
        if selection.is_everybody() { self.dense.len() } else { self.select(selection).count() }
    }

    /// How many use `transport` now.
    pub(super) fn by_transport(&self, transport: Transport) -> usize {
        self.dense.iter().filter(|member| member.sink.transport() == transport).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::RecordingSink;

    fn selection(to: &[&str], except: &[&str]) -> Selection {
        let own = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Selection { to: own(to), clients: Vec::new(), except: own(except) }
    }

    fn clients(ids: &[&str]) -> Selection {
        Selection { clients: ids.iter().map(|id| (*id).to_owned()).collect(), ..Selection::default() }
    }

    fn keys(members: &Members, selection: &Selection) -> Vec<Key> {
        let mut keys: Vec<Key> = members.select(selection).map(|member| member.key).collect();
        assert_eq!(members.count(selection), keys.len());
        keys.sort_unstable();
        keys
    }

    /// A11: what is meant for a client does not reach who joined a room called like it, and the other way round.
    #[test]
    fn a_room_called_like_a_client_is_not_that_client() {
        let mut members = Members::default();
        for (key, id) in ["victim", "thief"].into_iter().enumerate() {
            members.add(key as Key, id.into(), Arc::new(RecordingSink::default()), 0);
        }
        members.join(1, "victim".into());
        assert_eq!(keys(&members, &clients(&["victim"])), [0]);
        assert_eq!(keys(&members, &selection(&["victim"], &[])), [1]);
        let both = Selection { to: vec!["victim".to_owned()], ..clients(&["victim"]) };
        assert_eq!(keys(&members, &both), [0, 1]);
        assert_eq!(keys(&members, &clients(&["victim", "nobody"])), [0]);
        assert_eq!(keys(&members, &selection(&[], &["victim"])), [0; 0], "either is left out");
    }

    #[test]
    fn rooms_ids_and_exceptions_select_each_member_once() {
        let mut members = Members::default();
        for (key, id) in ["a", "b", "c", "d"].into_iter().enumerate() {
            members.add(key as Key, id.into(), Arc::new(RecordingSink::default()), 0);
        }
        for (key, room) in [(0, "r"), (1, "r"), (1, "s"), (2, "s")] {
            members.join(key, room.into());
        }
        let reached = |members: &Members, to: &[&str], except: &[&str]| keys(members, &selection(to, except));
        assert_eq!(reached(&members, &[], &[]), [0, 1, 2, 3]);
        assert_eq!(reached(&members, &["r"], &[]), [0, 1]);
        assert_eq!(reached(&members, &["r", "s"], &[]), [0, 1, 2], "a member of both rooms gets one copy");
        assert_eq!(reached(&members, &["r", "s"], &["s"]), [0]);
        assert_eq!(reached(&members, &[], &["r", "d"]), [2]);
        assert_eq!(keys(&members, &clients(&["c"])), [2]);
        assert_eq!(reached(&members, &["nobody"], &[]), [0; 0]);
        members.join(3, "d".into());
        assert_eq!(reached(&members, &["d"], &[]), [3], "a room may bear a client's id");
        members.leave(3, "d");
        members.leave(1, "r");
        members.remove(0, &["r".into()]);
        assert_eq!(reached(&members, &["r"], &[]), [0; 0]);
        assert_eq!(keys(&members, &clients(&["d"])), [3], "found where it was moved to");
        assert!(members.rooms.keys().eq([&Arc::from("s")]), "empty rooms are forgotten");
        members.join(0, "r".into());
        assert!(!members.rooms.contains_key("r"), "who has left joins nothing");
    }
}

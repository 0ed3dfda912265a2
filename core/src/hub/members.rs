//! The members of one namespace in one shard: who they are, their rooms, and which of them a publish addresses.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use crate::sink::{Sink, Transport};

/// A member's number, unique in the application.
pub(crate) type Key = u64;

/// Whom a publish addresses. Empty: everybody.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Selection {
    /// Rooms or client ids; a member of several gets one copy.
    pub(crate) to: Vec<String>,
    /// Rooms or client ids left out.
    pub(crate) except: Vec<String>,
}

impl Selection {
    fn is_everybody(&self) -> bool {
        self.to.is_empty() && self.except.is_empty()
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
}

/// The members of a selection, as places in the table. Valid while the table does not change.
pub(super) enum Selected {
    Everybody(usize),
    Some(Vec<usize>),
}

impl Selected {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Everybody(count) => *count,
            Self::Some(places) => places.len(),
        }
    }
}

impl Members {
    pub(super) fn add(&mut self, key: Key, id: Arc<str>, sink: Arc<dyn Sink>) {
        self.ids.insert(Arc::clone(&id), key);
        self.at.insert(key, self.dense.len());
        self.dense.push(Member { key, id, sink });
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

    /// A room's members, or the one client of that id.
    fn named<'a>(&'a self, name: &str) -> impl Iterator<Item = Key> + 'a {
        let room = self.rooms.get(name);
        let id = self.ids.get(name).filter(|id| !room.is_some_and(|room| room.contains(id)));
        room.into_iter().flatten().chain(id).copied()
    }

    /// Looks a selection up.
    pub(super) fn select(&self, selection: &Selection) -> Selected {
        if selection.is_everybody() {
            return Selected::Everybody(self.dense.len());
        }
        let except: HashSet<Key> = selection.except.iter().flat_map(|name| self.named(name)).collect();
        let place = |key: &Key| self.at.get(key).copied().filter(|_| !except.contains(key));
        Selected::Some(match &*selection.to {
            [] => self.dense.iter().filter_map(|member| place(&member.key)).collect(),
            [one] => self.named(one).filter_map(|key| place(&key)).collect(),
            many => {
                let union: BTreeSet<Key> = many.iter().flat_map(|name| self.named(name)).collect();
                union.iter().filter_map(place).collect()
            }
        })
    }

    /// The sinks of `selected` from its `from`th on, at most `count` of them.
    pub(super) fn part<'a>(
        &'a self,
        selected: &'a Selected,
        from: usize,
        count: usize,
    ) -> impl Iterator<Item = &'a Arc<dyn Sink>> {
        let places: Box<dyn Iterator<Item = usize>> = match selected {
            Selected::Everybody(all) => Box::new(from..all.min(&(from + count)).to_owned()),
            Selected::Some(places) => Box::new(places.iter().skip(from).take(count).copied()),
        };
        places.filter_map(|place| self.dense.get(place)).map(|member| &member.sink)
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
        Selection { to: own(to), except: own(except) }
    }

    #[test]
    fn rooms_ids_and_exceptions_select_each_member_once() {
        let mut members = Members::default();
        for (key, id) in ["a", "b", "c", "d"].into_iter().enumerate() {
            members.add(key as Key, id.into(), Arc::new(RecordingSink::default()));
        }
        for (key, room) in [(0, "r"), (1, "r"), (1, "s"), (2, "s")] {
            members.join(key, room.into());
        }
        let reached = |members: &Members, to: &[&str], except: &[&str]| {
            let selected = members.select(&selection(to, except));
            assert_eq!(members.part(&selected, 0, 100).count(), selected.len());
            let mut keys: Vec<Key> = match selected {
                Selected::Everybody(count) => members.dense[..count].iter().map(|member| member.key).collect(),
                Selected::Some(places) => places.iter().map(|place| members.dense[*place].key).collect(),
            };
            keys.sort_unstable();
            keys
        };
        assert_eq!(reached(&members, &[], &[]), [0, 1, 2, 3]);
        assert_eq!(reached(&members, &["r"], &[]), [0, 1]);
        assert_eq!(reached(&members, &["r", "s"], &[]), [0, 1, 2], "a member of both rooms gets one copy");
        assert_eq!(reached(&members, &["r", "s"], &["s"]), [0]);
        assert_eq!(reached(&members, &[], &["r", "d"]), [2]);
        assert_eq!(reached(&members, &["c"], &[]), [2]);
        assert_eq!(reached(&members, &["nobody"], &[]), [0; 0]);
        members.join(3, "d".into());
        assert_eq!(reached(&members, &["d"], &[]), [3], "a room may bear a client's id");
        members.leave(3, "d");
        members.leave(1, "r");
        members.remove(0, &["r".into()]);
        assert_eq!(reached(&members, &["r"], &[]), [0; 0]);
        assert_eq!(reached(&members, &["d"], &[]), [3], "found where it was moved to");
        assert!(members.rooms.keys().eq([&Arc::from("s")]), "empty rooms are forgotten");
        members.join(0, "r".into());
        assert!(!members.rooms.contains_key("r"), "who has left joins nothing");
    }

    #[test]
    fn a_sweep_in_parts_reaches_everybody_once() {
        let mut members = Members::default();
        for key in 0..150 {
            members.add(key, key.to_string().into(), Arc::new(RecordingSink::default()));
        }
        let selected = members.select(&Selection::default());
        let parts: Vec<usize> = (0..3).map(|part| members.part(&selected, part * 64, 64).count()).collect();
        assert_eq!(parts, [64, 64, 22]);
    }
}

//! The hub of one namespace: who is connected, in which rooms, and the fan-out to them.
//!
//! Publishes of a namespace are swept one after the other under one lock, so every member sees them in the same
//! order, and a member that joins between two publishes gets the second and not the first.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use slab::Slab;

use crate::error::{Error, Result};
use crate::packet::Item;
use crate::sink::{Pushed, Reason, Sink, Transport};

/// Rooms one client may be in: a bound on what a client can make the server remember.
pub const MAX_ROOMS: usize = 100;
/// Length of a room's name, in bytes.
pub const MAX_ROOM_NAME: usize = 128;

/// A member's place in its hub.
pub(crate) type Slot = usize;

/// The members of one namespace.
#[derive(Default)]
pub(crate) struct Hub {
    members: Mutex<Members>,
}

#[derive(Default)]
struct Members {
    slots: Slab<Member>,
    /// Public client id to slot.
    ids: HashMap<Arc<str>, Slot>,
    rooms: HashMap<Arc<str>, HashSet<Slot>>,
}

struct Member {
    id: Arc<str>,
    sink: Arc<dyn Sink>,
    rooms: Vec<Arc<str>>,
}

/// Whom a publish addresses. Empty: everybody.
#[derive(Debug, Clone, Default)]
pub(crate) struct Selection {
    /// Rooms or client ids; a member of several gets one copy.
    pub(crate) to: Vec<String>,
    /// Rooms or client ids left out.
    pub(crate) except: Vec<String>,
}

/// What became of a publish, by outcome.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) delivered: u64,
    pub(crate) slow: u64,
    pub(crate) closed: u64,
}

impl Tally {
    pub(crate) fn add(&mut self, pushed: Pushed) {
        match pushed {
            Pushed::Delivered => self.delivered += 1,
            Pushed::Slow => self.slow += 1,
            Pushed::Closed => self.closed += 1,
        }
    }

    pub(crate) fn expected(self) -> u64 {
        self.delivered + self.slow + self.closed
    }
}

impl Hub {
    fn lock(&self) -> MutexGuard<'_, Members> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a member: it gets every publish from now on.
    pub(crate) fn add(&self, id: &str, sink: Arc<dyn Sink>) -> Slot {
        let mut members = self.lock();
        let id: Arc<str> = id.into();
        let slot = members.slots.insert(Member { id: Arc::clone(&id), sink, rooms: Vec::new() });
        members.ids.insert(id, slot);
        slot
    }

    /// Removes a member from the namespace and its rooms. The slot may be given to another member afterwards.
    pub(crate) fn remove(&self, slot: Slot) {
        let mut members = self.lock();
        let Some(member) = members.slots.try_remove(slot) else { return };
        members.ids.remove(&member.id);
        for room in &member.rooms {
            members.vacate(room, slot);
        }
    }

    /// Puts a member into a room.
    pub(crate) fn join(&self, slot: Slot, room: &str) -> Result<()> {
        if room.is_empty() || room.len() > MAX_ROOM_NAME {
            return Err(Error::bad_payload(format!("a room's name has 1 to {MAX_ROOM_NAME} bytes")));
        }
        let mut guard = self.lock();
        let members = &mut *guard;
        let Some(member) = members.slots.get_mut(slot) else { return Ok(()) };
        if member.rooms.iter().any(|known| &**known == room) {
            return Ok(());
        }
        if member.rooms.len() >= MAX_ROOMS {
            return Err(Error::too_large(format!("a client can be in {MAX_ROOMS} rooms")));
        }
        let name: Arc<str> =
            members.rooms.get_key_value(room).map_or_else(|| room.into(), |(name, _)| Arc::clone(name));
        member.rooms.push(Arc::clone(&name));
        members.rooms.entry(name).or_default().insert(slot);
        Ok(())
    }

    /// Takes a member out of a room.
    pub(crate) fn leave(&self, slot: Slot, room: &str) {
        let mut members = self.lock();
        if let Some(member) = members.slots.get_mut(slot) {
            member.rooms.retain(|known| &**known != room);
            members.vacate(room, slot);
        }
    }

    /// The rooms a member is in.
    pub(crate) fn rooms(&self, slot: Slot) -> Vec<String> {
        let members = self.lock();
        members
            .slots
            .get(slot)
            .map_or_else(Vec::new, |member| member.rooms.iter().map(|room| (**room).to_owned()).collect())
    }

    /// Pushes `item` to every member selected.
    pub(crate) fn publish(&self, selection: &Selection, item: &Item) -> Tally {
        let mut tally = Tally::default();
        self.lock().each(selection, |sink| tally.add(sink.push(item)));
        tally
    }

    /// How many members are selected.
    pub(crate) fn count(&self, selection: &Selection) -> usize {
        let mut count = 0;
        self.lock().each(selection, |_| count += 1);
        count
    }

    /// Sends DISCONNECT to every member selected.
    pub(crate) fn disconnect(&self, selection: &Selection) {
        self.lock().each(selection, Sink::disconnect);
    }

    /// Closes the transport of every member.
    pub(crate) fn close_all(&self, reason: Reason) {
        self.lock().each(&Selection::default(), |sink| sink.close(reason));
    }

    /// Members by the transport they use now.
    pub(crate) fn by_transport(&self, transport: Transport) -> usize {
        self.lock().slots.iter().filter(|(_, member)| member.sink.transport() == transport).count()
    }
}

impl Members {
    fn vacate(&mut self, room: &str, slot: Slot) {
        if let Some(slots) = self.rooms.get_mut(room) {
            slots.remove(&slot);
            if slots.is_empty() {
                self.rooms.remove(room);
            }
        }
    }

    /// A room's members, or the one client of that id.
    fn named<'a>(&'a self, name: &str) -> impl Iterator<Item = Slot> + 'a {
        self.rooms.get(name).into_iter().flatten().copied().chain(self.ids.get(name).copied())
    }

    fn each(&self, selection: &Selection, mut act: impl FnMut(&dyn Sink)) {
        let except: HashSet<Slot> = selection.except.iter().flat_map(|name| self.named(name)).collect();
        let mut visit = |slot: Slot| {
            if let Some(member) = self.slots.get(slot).filter(|_| !except.contains(&slot)) {
                act(&*member.sink);
            }
        };
        match &*selection.to {
            [] if except.is_empty() => self.slots.iter().for_each(|(_, member)| act(&*member.sink)),
            [] => self.slots.iter().for_each(|(slot, _)| visit(slot)),
            [one] => self.named(one).for_each(visit),
            many => {
                let union: HashSet<Slot> = many.iter().flat_map(|name| self.named(name)).collect();
                union.into_iter().for_each(visit);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::payload::encode_event;
    use crate::testing::RecordingSink;

    fn selection(to: &[&str], except: &[&str]) -> Selection {
        let own = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Selection { to: own(to), except: own(except) }
    }

    #[test]
    fn rooms_ids_and_exceptions_select_each_member_once() {
        let hub = Hub::default();
        let sinks: Vec<_> = (0..4).map(|_| Arc::new(RecordingSink::default())).collect();
        let slots: Vec<_> =
            sinks.iter().zip(["a", "b", "c", "d"]).map(|(sink, id)| hub.add(id, sink.clone())).collect();
        for (slot, room) in [(0, "r"), (1, "r"), (1, "s"), (2, "s")] {
            hub.join(slots[slot], room).unwrap();
        }
        let item = encode_event(&Arc::from("/"), "e", &1).unwrap();
        let reached = |to: &[&str], except: &[&str]| {
            let tally = hub.publish(&selection(to, except), &item);
            let who: Vec<usize> = (0..4).filter(|i| sinks[*i].take().len() == 1).collect();
            assert_eq!(tally.expected() as usize, who.len());
            assert_eq!(hub.count(&selection(to, except)), who.len());
            who
        };
        assert_eq!(reached(&[], &[]), [0, 1, 2, 3]);
        assert_eq!(reached(&["r"], &[]), [0, 1]);
        assert_eq!(reached(&["r", "s"], &[]), [0, 1, 2], "a member of both rooms gets one copy");
        assert_eq!(reached(&["r", "s"], &["s"]), [0]);
        assert_eq!(reached(&[], &["r", "d"]), [2]);
        assert_eq!(reached(&["c"], &[]), [2]);
        assert_eq!(reached(&["nobody"], &[]), [0; 0]);
        hub.leave(slots[1], "r");
        hub.remove(slots[0]);
        assert_eq!(reached(&["r"], &[]), [0; 0]);
        assert_eq!(hub.rooms(slots[1]), ["s"]);
        assert!(hub.lock().rooms.keys().eq([&Arc::from("s")]), "empty rooms are forgotten");
    }

    #[test]
    fn a_client_cannot_make_the_server_remember_without_end() {
        let hub = Hub::default();
        let slot = hub.add("a", Arc::new(RecordingSink::default()));
        for room in 0..MAX_ROOMS {
            hub.join(slot, &room.to_string()).unwrap();
        }
        hub.join(slot, "0").unwrap();
        assert!(hub.join(slot, "one more").is_err());
        assert!(hub.join(slot, "").is_err());
        assert!(hub.join(slot, &"x".repeat(MAX_ROOM_NAME + 1)).is_err());
    }
}

//! What the other nodes have said of their rooms: who has missed something asks for all of it.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::{Presence, State};
use crate::hub::check_name;
use crate::peer::NodeId;

/// A node is asked for all it has no more often than this.
const ASK: Duration = Duration::from_secs(1);

/// How many clients a node has in the rooms of a namespace: those that have changed, or all.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Counts {
    pub(crate) namespace: String,
    /// What these are changes to; 0 when they are all there is.
    pub(super) after: u64,
    /// What they make of it. Nothing has changed when both are the same.
    pub(super) version: u64,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) rooms: BTreeMap<String, usize>,
}

impl Counts {
    /// Names and numbers are such as a node may send.
    pub(crate) fn is_sound(&self) -> bool {
        let sound = |(name, count): (&String, &usize)| check_name(name).is_ok() && u32::try_from(*count).is_ok();
        self.after <= self.version && self.rooms.iter().all(sound)
    }
}

/// The other nodes.
#[derive(Default)]
pub(super) struct Others(HashMap<NodeId, Other>);

#[derive(Default)]
struct Other {
    /// How far it is known.
    version: u64,
    rooms: HashMap<Arc<str>, usize>,
    /// When it was asked for all it has.
    asked: Option<Instant>,
}

impl Others {
    /// How many of their clients are in a room.
    pub(super) fn count(&self, room: &str) -> usize {
        self.0.values().filter_map(|other| other.rooms.get(room)).sum()
    }
}

impl Presence {
    /// What a node says; whether it is to be asked for all it has.
    pub(crate) fn hear(&self, node: NodeId, counts: Counts) -> bool {
        let mut state = self.state();
        let other = state.others.0.entry(node).or_default();
        let (whole, known) = (counts.after == 0, other.version);
        if counts.version < known || (counts.version == known && !whole) {
            return false;
        }
        if !whole && counts.after != known {
            let asks = other.asked.is_none_or(|at| at.elapsed() >= ASK);
            if asks {
                other.asked = Some(Instant::now());
            }
            return asks;
        }
        other.version = counts.version;
        let mut rooms = counts.rooms;
        if whole {
            for name in other.rooms.keys() {
                rooms.entry((**name).to_owned()).or_insert(0);
            }
        }
        for (name, count) in rooms {
            self.set(&mut state, node, &name, count);
        }
        false
    }

    /// A node has so many in a room from here on.
    fn set(&self, state: &mut State, node: NodeId, name: &str, count: usize) {
        let Some(other) = state.others.0.get_mut(&node) else { return };
        let before = other.rooms.get(name).copied().unwrap_or(0);
        if before == count {
            return;
        }
        let full = before == 0 && other.rooms.len() >= self.most;
        if full || self.event(name).is_none() {
            self.left_out.inc_by(u64::from(full));
            return;
        }
        if count == 0 {
            other.rooms.remove(name);
        } else {
            other.rooms.insert(name.into(), count);
        }
        let name: Arc<str> = name.into();
        let Some(room) = state.rooms.get_mut(&name) else {
            self.count_from_now(state, &name);
            return;
        };
        room.others = (room.others + count).saturating_sub(before);
        // Whoever is in it here is told; where nobody is anywhere, it is forgotten.
        if room.own > 0 || room.others == 0 {
            state.note(&name);
            self.news.notify_one();
        }
    }

    /// A node is gone, with the clients it had.
    pub(crate) fn gone(&self, node: NodeId) {
        let mut state = self.state();
        let rooms: Vec<Arc<str>> =
            state.others.0.get(&node).into_iter().flat_map(|other| other.rooms.keys().cloned()).collect();
        rooms.iter().for_each(|name| self.set(&mut state, node, name, 0));
        state.others.0.remove(&node);
    }

    /// So are all but these, which are sorted.
    pub(super) fn gone_but(&self, alive: &[NodeId]) {
        let known: Vec<NodeId> = self.state().others.0.keys().copied().collect();
        known.into_iter().filter(|node| alive.binary_search(node).is_err()).for_each(|node| self.gone(node));
    }

    /// Somebody wants to know all that this node has.
    pub(crate) fn is_wanted(&self) {
        self.state().whole = true;
        self.news.notify_one();
    }
}

//! The channels between Carillons: which one a message goes to, and what they are called.
//!
//! Every namespace has its own, so that a node need not hear what is said in those it has no members in. The namespace
//! stands in braces: a Redis Cluster keeps all channels of one namespace in one slot, and thereby in order.

use std::fmt::Write;
use std::sync::Arc;

use crate::bus::Bus;
use crate::hub::Selection;
use crate::peer::NodeId;

/// Channels of each namespace for publishes to a single room.
pub(super) const ROOM_CHANNELS: u8 = 64;

/// Where a message goes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Place {
    pub(super) namespace: Arc<str>,
    pub(super) part: Part,
}

/// Which channel of a namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Part {
    /// Heard by every node that has members in the namespace.
    Everybody,
    /// Heard by every node that has members in a room with this number.
    Rooms(u8),
    /// Heard by this node, while it has members in the namespace.
    Node(NodeId),
}

impl Part {
    /// The kinds, as metric labels.
    pub(super) const KINDS: [&str; 3] = ["namespace", "room", "node"];

    /// The place in [`Self::KINDS`].
    pub(super) fn kind(self) -> usize {
        match self {
            Self::Everybody => 0,
            Self::Rooms(_) => 1,
            Self::Node(_) => 2,
        }
    }

    /// The narrowest channel that all whom a publish addresses listen to. Clients alone are told on those of their nodes.
    pub(super) fn of(selection: &Selection) -> Self {
        match (&*selection.to, &*selection.clients) {
            ([room], []) => Self::Rooms(room_channel(room)),
            _ => Self::Everybody,
        }
    }

    /// All that members may want to hear in one namespace.
    pub(super) fn all() -> impl Iterator<Item = Self> {
        (0..ROOM_CHANNELS).map(Self::Rooms).chain([Self::Everybody])
    }
}

/// The number of a room's channel: FNV-1a, so that nodes of every version agree.
pub(super) fn room_channel(room: &str) -> u8 {
    let mix = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    let hash = room.bytes().fold(0xcbf2_9ce4_8422_2325, mix);
    ((hash ^ (hash >> 32)) % u64::from(ROOM_CHANNELS)) as u8
}

/// The names of one installation's channels.
#[derive(Debug, Clone)]
pub(super) struct Channels {
    /// What they begin with.
    base: Arc<str>,
}

impl Channels {
    pub(super) fn new(bus: &dyn Bus) -> Self {
        Self { base: bus.own("cluster:").into() }
    }

    /// The channel's name, such as `carillon:cluster:{/chat}:room:17`.
    pub(super) fn name(&self, namespace: &str, part: Part) -> String {
        let mut name = format!("{}{{{namespace}}}", self.base);
        // Writing to a String cannot fail.
        match part {
            Part::Everybody => Ok(()),
            Part::Rooms(number) => write!(name, ":room:{number}"),
            Part::Node(node) => write!(name, ":node:{node}"),
        }
        .ok();
        name
    }

    /// Where nodes talk about anything but publishes.
    pub(super) fn control(&self) -> String {
        format!("{}control", self.base)
    }

    /// Where one node is answered.
    pub(super) fn control_of(&self, node: NodeId) -> String {
        format!("{}control:{node}", self.base)
    }

    /// Namespace and part of a channel that is one of ours.
    pub(super) fn parse<'a>(&self, name: &'a str) -> Option<(&'a str, Part)> {
        let rest = name.strip_prefix(&*self.base)?.strip_prefix('{')?;
        let (namespace, part) = rest.rsplit_once('}')?;
        let part = if let Some(number) = part.strip_prefix(":room:") {
            Part::Rooms(number.parse().ok().filter(|number| *number < ROOM_CHANNELS)?)
        } else if let Some(node) = part.strip_prefix(":node:") {
            Part::Node(NodeId::parse(node)?)
        } else if part.is_empty() {
            Part::Everybody
        } else {
            return None;
        };
        Some((namespace, part))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn channels() -> Channels {
        Channels { base: "p:cluster:".into() }
    }

    #[test]
    fn names_are_read_as_they_are_written() {
        let channels = channels();
        assert_eq!(channels.name("/chat", Part::Everybody), "p:cluster:{/chat}");
        assert_eq!(channels.name("/chat", Part::Rooms(17)), "p:cluster:{/chat}:room:17");
        for part in Part::all().chain([Part::Node(NodeId::random())]) {
            for namespace in ["/", "/chat", "/odd}:room:1"] {
                assert_eq!(channels.parse(&channels.name(namespace, part)), Some((namespace, part)));
            }
        }
        for name in [
            "",
            "p:cluster:control",
            "q:cluster:{/}",
            "p:cluster:{/}:room:64",
            "p:cluster:{/}:room:",
            "p:cluster:{/}x",
            "p:cluster:{/}:node:x",
        ] {
            assert_eq!(channels.parse(name), None, "{name}");
        }
    }

    /// Nodes of different versions must agree: these numbers never change.
    #[test]
    fn rooms_have_channels_for_good() {
        let numbers = ["", "red", "blue", "room 1", "room 2"].map(room_channel);
        assert_eq!(numbers, [1, 5, 22, 41, 16]);
        let mut used = [false; ROOM_CHANNELS as usize];
        (0..1000).for_each(|n| used[usize::from(room_channel(&format!("user:{n}")))] = true);
        assert!(used.iter().all(|used| *used), "they are spread");
    }

    #[test]
    fn only_a_single_room_has_a_channel_of_its_own() {
        let to = |rooms: &[&str], clients: &[&str]| Selection {
            to: rooms.iter().map(|room| (*room).to_owned()).collect(),
            clients: clients.iter().map(|id| (*id).to_owned()).collect(),
            except: vec!["x".to_owned()],
            offsets: None,
        };
        assert_eq!(Part::of(&to(&["red"], &[])), Part::Rooms(room_channel("red")));
        for (rooms, clients) in [(&[][..], &[][..]), (&["a", "b"], &[]), (&["a"], &["c"])] {
            assert_eq!(Part::of(&to(rooms, clients)), Part::Everybody);
        }
    }
}

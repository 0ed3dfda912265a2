//! Which shard has which slot, channel and key; how shards keep who they are when their masters change.

use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::sync::Arc;

use super::super::address::{Maker, Server};
use super::nodes::Node;
use super::slot::Slot;

/// The place of a slot that nobody has.
const NOBODY: u16 = u16::MAX;
/// Shards of a cluster, at most.
const SHARDS: usize = 1_000;

/// A shard as long as this process lives, whoever its master is.
pub(in super::super) type SeatId = u32;

/// Who has what.
pub(in super::super) struct Routes {
    /// By slot, the place in `seats`, or [`NOBODY`].
    owners: Box<[u16]>,
    seats: Vec<(SeatId, Option<Arc<Server>>)>,
    /// What names of Carillon's own channels begin with.
    own: Arc<str>,
    next_id: SeatId,
}

/// Whether a name is one behind the prefix `own`.
pub(super) fn is_of(name: &str, own: &str) -> bool {
    name.starts_with(own)
}

impl Routes {
    /// Before any node was asked: one shard that has everything, and is nowhere.
    pub(super) fn unknown(prefix: &str) -> Self {
        Self {
            owners: vec![0; usize::from(Slot::COUNT)].into(),
            seats: vec![(0, None)],
            own: format!("{prefix}:").into(),
            next_id: 1,
        }
    }

    /// What names of Carillon's own channels begin with.
    pub(super) fn own(&self) -> &Arc<str> {
        &self.own
    }

    pub(super) fn seats(&self) -> impl Iterator<Item = (SeatId, Option<&Arc<Server>>)> {
        self.seats.iter().map(|(id, server)| (*id, server.as_ref()))
    }

    /// The master of a shard.
    pub(super) fn server(&self, id: SeatId) -> Option<Arc<Server>> {
        self.seats.iter().find(|(seat, _)| *seat == id).and_then(|(_, server)| server.clone())
    }

    /// The place of the shard whose master has this address.
    pub(super) fn at(&self, address: &str) -> Option<usize> {
        self.seats.iter().position(|(_, server)| server.as_ref().is_some_and(|server| server.address == address))
    }

    /// The place of the shard that has a channel or key: by its slot when it is our own, since others hear of the rest
    /// everywhere.
    pub(super) fn place(&self, name: &str) -> usize {
        if is_of(name, &self.own) { self.place_of_key(name) } else { self.spread(name) }
    }

    /// The place of the shard that has a key.
    pub(super) fn place_of_key(&self, key: &str) -> usize {
        self.owner(Slot::of(key)).unwrap_or_else(|| self.spread(key))
    }

    /// Shards share plain channels so that few change places when one comes or goes, and none when slots move.
    fn spread(&self, name: &str) -> usize {
        let weight = |id: SeatId| BuildHasherDefault::<DefaultHasher>::default().hash_one((name, id));
        let heaviest = self.seats.iter().enumerate().max_by_key(|(_, (id, _))| weight(*id));
        heaviest.map_or(0, |(place, _)| place)
    }

    /// Whether a shard has a channel.
    pub(super) fn is_at(&self, channel: &str, id: SeatId) -> bool {
        self.seats.get(self.place(channel)).is_some_and(|(seat, _)| *seat == id)
    }

    /// Whether a shard has a slot.
    pub(super) fn has(&self, slot: Slot, id: SeatId) -> bool {
        self.id_of(slot) == Some(id)
    }

    /// How many slots nobody has.
    pub(super) fn nobodys(&self) -> usize {
        self.owners.iter().filter(|owner| **owner == NOBODY).count()
    }

    /// What holds when the nodes are these. A shard stays the same when its master does, or when another one has taken over
    /// most of its slots.
    pub(super) fn next(&self, nodes: &[Node], maker: &Maker) -> Result<Self, String> {
        let masters: Vec<&Node> = nodes.iter().filter(|node| !node.slots.is_empty()).collect();
        if masters.is_empty() {
            return Err("no node has slots".to_owned());
        }
        if masters.len() > SHARDS {
            return Err(format!("the cluster has more than {SHARDS} shards"));
        }
        let servers = masters.iter().map(|node| maker.at(&node.host, node.port)).collect::<Result<Vec<_>, _>>()?;
        let mut ids: Vec<Option<SeatId>> =
            servers.iter().map(|server| self.at(&server.address).map(|place| self.seats[place].0)).collect();
        for (at, node) in masters.iter().enumerate() {
            if ids[at].is_none() {
                ids[at] = self.predecessor(node, &ids);
            }
        }
        let mut next_id = self.next_id;
        let mut owners = vec![NOBODY; usize::from(Slot::COUNT)];
        let mut seats = Vec::with_capacity(masters.len());
        for ((node, server), id) in masters.iter().zip(servers).zip(ids) {
            let place = u16::try_from(seats.len()).unwrap_or(NOBODY);
            node.slots().for_each(|slot| owners[slot.index()] = place);
            let id = id.unwrap_or_else(|| {
                next_id += 1;
                next_id - 1
            });
            seats.push((id, Some(self.same(id, server))));
        }
        Ok(Self { owners: owners.into(), seats, own: Arc::clone(&self.own), next_id })
    }

    /// The shard that had the most of a node's slots, if it has no master any more.
    fn predecessor(&self, node: &Node, taken: &[Option<SeatId>]) -> Option<SeatId> {
        let mut had = vec![0_usize; self.seats.len()];
        for place in node.slots().filter_map(|slot| self.owner(slot)) {
            had[place] += 1;
        }
        let free =
            had.into_iter().zip(&self.seats).filter(|(count, (id, _))| *count > 0 && !taken.contains(&Some(*id)));
        free.max_by_key(|(count, _)| *count).map(|(_, (id, _))| *id)
    }

    /// The server as it is known already, where it is the same: pools of connections belong to it.
    fn same(&self, id: SeatId, server: Arc<Server>) -> Arc<Server> {
        self.server(id).filter(|known| known.address == server.address).unwrap_or(server)
    }

    /// What is different there, in words; `None` when nothing is.
    pub(super) fn change(&self, next: &Self) -> Option<String> {
        let moved = Slot::all().filter(|slot| self.id_of(*slot) != next.id_of(*slot)).count();
        let name = |server: Option<&Arc<Server>>| server.map(|server| server.address.clone());
        let known = self.seats().map(|(id, server)| (id, name(server))).collect::<Vec<_>>();
        let now = next.seats().map(|(id, server)| (id, name(server))).collect::<Vec<_>>();
        let same = moved == 0 && known.len() == now.len() && now.iter().all(|seat| known.contains(seat));
        let names = now.into_iter().filter_map(|(_, name)| name).collect::<Vec<_>>().join(", ");
        (!same).then(|| format!("{names}; {moved} slots have moved"))
    }

    fn id_of(&self, slot: Slot) -> Option<SeatId> {
        self.owner(slot).map(|place| self.seats[place].0)
    }

    fn owner(&self, slot: Slot) -> Option<usize> {
        Some(self.owners[slot.index()]).filter(|owner| *owner != NOBODY).map(usize::from)
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::address::{Address, Kind};
    use super::super::nodes::read;
    use super::*;

    fn maker() -> Maker {
        match Address::parse("redis+cluster://h").unwrap().kind {
            Kind::Cluster { maker, .. } => maker,
            _ => panic!("another kind"),
        }
    }

    /// From masters by their ports and slots.
    fn next(routes: &Routes, masters: &[(u16, &str)]) -> Routes {
        let line = |(port, slots): &(u16, &str)| format!("id h:{port}@1 master - 0 0 1 connected {slots}\n");
        let text: String = masters.iter().map(line).collect();
        routes.next(&read(&text, "h", false).unwrap(), &maker()).unwrap()
    }

    fn seats(routes: &Routes) -> Vec<(SeatId, String)> {
        routes.seats().map(|(id, server)| (id, server.unwrap().address.clone())).collect()
    }

    fn at(routes: &Routes, channel: &str) -> SeatId {
        routes.seats[routes.place(channel)].0
    }

    #[test]
    fn a_shard_stays_the_same_when_its_master_changes_and_when_slots_move() {
        let unknown = Routes::unknown("carillon");
        let three = next(&unknown, &[(1, "0-5000"), (2, "5001-10000"), (3, "10001-16383")]);
        assert_eq!(seats(&three), [(0, "h:1".to_owned()), (1, "h:2".to_owned()), (2, "h:3".to_owned())]);
        assert_eq!(three.nobodys(), 0);
        let failed_over = next(&three, &[(1, "0-5000"), (9, "5001-10000"), (3, "10001-16383")]);
        assert_eq!(failed_over.server(1).unwrap().address, "h:9");
        assert!(three.change(&failed_over).unwrap().contains("0 slots have moved"));
        let moved = next(&failed_over, &[(3, "9000-16383"), (9, "5001-8999"), (1, "0-5000")]);
        assert_eq!(seats(&moved), [(2, "h:3".to_owned()), (1, "h:9".to_owned()), (0, "h:1".to_owned())]);
        assert!(failed_over.change(&moved).unwrap().contains("1001 slots have moved"));
        let grown = next(&moved, &[(1, "0-5000"), (4, "5001-6000"), (9, "6001-8999"), (3, "9000-16383")]);
        assert_eq!(grown.server(3).unwrap().address, "h:4", "a new one, for the others have their masters");
        assert!(
            grown
                .change(&next(&grown, &[(9, "6001-8999"), (1, "0-5000"), (4, "5001-6000"), (3, "9000-16383")]))
                .is_none()
        );
        assert_eq!(next(&grown, &[(1, "0-5000")]).nobodys(), 11_383);
    }

    #[test]
    fn our_own_channels_and_all_keys_go_by_slot_and_plain_channels_stay_where_they_are() {
        let routes = next(&Routes::unknown("carillon"), &[(1, "0-8191"), (2, "8192-16383")]);
        assert_eq!(
            at(&routes, "carillon:cluster:{/chat}"),
            at(&routes, "carillon:rooms:{/chat}:7"),
            "one tag, one shard"
        );
        let swapped = next(&routes, &[(1, "8192-16383"), (2, "0-8191")]);
        for name in ["cluster:metrics", "celery:metrics", "x"] {
            assert_eq!(at(&routes, name), at(&swapped, name), "{name}");
            assert_ne!(routes.place_of_key(name), swapped.place_of_key(name), "{name}");
            let own = format!("carillon:{name}");
            assert_ne!(at(&routes, &own), at(&swapped, &own), "{own}");
        }
        let many: std::collections::HashSet<SeatId> = (0..50).map(|n| at(&routes, &format!("row {n}"))).collect();
        assert_eq!(many.len(), 2, "rows are spread");
    }
}

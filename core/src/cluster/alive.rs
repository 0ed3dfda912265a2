//! Which other nodes there are, by their heartbeats, and whether this node's own come back to it.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use prometheus::IntGauge;
use tokio::time::Instant;

use crate::peer::NodeId;

/// A node says so often that it is there.
pub(crate) const BEAT: Duration = Duration::from_secs(3);
/// It is gone when it has not for so long; so is the way to the others, when a node has not heard itself.
const GONE: Duration = Duration::from_secs(9);
/// What is for a client of a node is sent to it for so long after that: it may merely not have been heard.
const KNOWN: Duration = Duration::from_secs(60);
/// Nodes that are known at once; no more are taken.
const MOST: usize = 1024;

/// See the module's documentation.
pub(super) struct Alive {
    heard: Mutex<Heard>,
    /// Nodes, this one included.
    gauge: IntGauge,
}

#[derive(Default)]
struct Heard {
    others: HashMap<NodeId, Instant>,
    /// When this node heard itself.
    own: Option<Instant>,
}

impl Heard {
    fn alive(&self) -> impl Iterator<Item = NodeId> {
        self.others.iter().filter(|(_, at)| at.elapsed() < GONE).map(|(node, _)| *node)
    }
}

impl Alive {
    pub(super) fn new(gauge: IntGauge) -> Self {
        gauge.set(1);
        Self { heard: Mutex::default(), gauge }
    }

    fn heard(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A node has said something.
    pub(super) fn hear(&self, node: NodeId) {
        let mut heard = self.heard();
        if heard.others.len() >= MOST && !heard.others.contains_key(&node) {
            return;
        }
        let before = heard.others.insert(node, Instant::now());
        drop(heard);
        if before.is_none_or(|at| at.elapsed() >= GONE) {
            self.count();
        }
    }

    /// A node has said that it goes.
    pub(super) fn leaves(&self, node: NodeId) {
        self.heard().others.remove(&node);
        self.count();
    }

    /// Forgets who has been silent for long, and brings the gauge up to date.
    pub(super) fn count(&self) {
        let mut heard = self.heard();
        heard.others.retain(|_, at| at.elapsed() < KNOWN);
        self.gauge.set(heard.alive().count() as i64 + 1);
    }

    /// Whether there may be such a node.
    pub(super) fn knows(&self, node: NodeId) -> bool {
        self.heard().others.get(&node).is_some_and(|at| at.elapsed() < KNOWN)
    }

    /// The other nodes, sorted.
    pub(super) fn others(&self) -> Vec<NodeId> {
        let mut others: Vec<NodeId> = self.heard().alive().collect();
        others.sort_unstable();
        others
    }

    /// This node's own word came back.
    pub(super) fn returned(&self) {
        self.heard().own = Some(Instant::now());
    }

    /// Nothing comes back for certain.
    pub(super) fn lost(&self) {
        self.heard().own = None;
    }

    /// Whether this node hears itself.
    pub(super) fn delivers(&self) -> bool {
        self.heard().own.is_some_and(|at| at.elapsed() < GONE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_is_silent_is_gone_and_later_forgotten() {
        let gauge = IntGauge::new("nodes", "nodes").unwrap();
        let alive = Alive::new(gauge.clone());
        let (a, b) = (NodeId::random(), NodeId::random());
        [a, b, a].into_iter().for_each(|node| alive.hear(node));
        assert_eq!((alive.others().len(), gauge.get()), (2, 3));
        tokio::time::advance(BEAT * 2).await;
        alive.hear(a);
        tokio::time::advance(BEAT).await;
        alive.count();
        assert_eq!((alive.others(), gauge.get()), (vec![a], 2));
        assert!(alive.knows(b));
        alive.hear(b);
        assert_eq!((alive.others().len(), gauge.get()), (2, 3), "it is back");
        alive.leaves(a);
        assert_eq!((alive.others(), gauge.get(), alive.knows(a)), (vec![b], 2, false));
        tokio::time::advance(KNOWN).await;
        assert!(!alive.knows(b));
        (0..2 * MOST).for_each(|_| alive.hear(NodeId::random()));
        assert_eq!(alive.others().len(), MOST);
    }

    #[tokio::test(start_paused = true)]
    async fn the_way_to_the_others_works_while_a_node_hears_itself() {
        let alive = Alive::new(IntGauge::new("nodes", "nodes").unwrap());
        assert!(!alive.delivers());
        alive.returned();
        assert!(alive.delivers());
        tokio::time::advance(GONE).await;
        assert!(!alive.delivers());
        alive.returned();
        alive.lost();
        assert!(!alive.delivers());
    }
}

//! The last 15 minutes of each node of the cluster.

use std::collections::{BTreeMap, HashMap, VecDeque};

use super::history::{AGE_MS, Use, UseHistory, push};

/// Nodes remembered one by one. With 900 points of 24 bytes each they take 11 MB at most.
const NODES: usize = 512;

/// One round of one node's. What is not known is not a number.
#[derive(Debug, Clone, Copy)]
struct Point {
    time: u64,
    values: [f32; 4],
}

/// A ring for each node.
#[derive(Debug, Default)]
pub(super) struct NodeHistories {
    rings: HashMap<String, VecDeque<Point>>,
}

impl NodeHistories {
    /// Adds a round, and forgets the nodes that have been silent for too long.
    pub(super) fn add(&mut self, time: u64, nodes: &BTreeMap<String, Use>) {
        self.rings.retain(|_, ring| ring.back().is_some_and(|last| last.time + AGE_MS >= time));
        for (name, measured) in nodes {
            if self.rings.len() >= NODES && !self.rings.contains_key(name) {
                continue;
            }
            // To the hundredth that is told, this is exact enough.
            let values = measured.columns().map(|value| value.map_or(f32::NAN, |value| value as f32));
            push(self.rings.entry(name.clone()).or_default(), Point { time, values }, |point| point.time);
        }
    }

    /// When each node was measured last.
    pub(super) fn last(&self) -> BTreeMap<String, u64> {
        let last = |(name, ring): (&String, &VecDeque<Point>)| Some((name.clone(), ring.back()?.time));
        self.rings.iter().filter_map(last).collect()
    }

    pub(super) fn of(&self, name: &str) -> Option<UseHistory> {
        let mut columns = UseHistory::default();
        for Point { time, values } in self.rings.get(name)? {
            let told = |value: f32| (!value.is_nan()).then(|| (f64::from(value) * 100.0).round() / 100.0);
            columns.add(*time, values.map(told));
        }
        Some(columns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round(names: impl Iterator<Item = usize>) -> BTreeMap<String, Use> {
        names.map(|name| (format!("n{name}"), Use::default())).collect()
    }

    /// However many nodes a writer makes up, so many are remembered; and those that are gone are forgotten.
    #[test]
    fn the_memory_is_bounded() {
        let mut nodes = NodeHistories::default();
        nodes.add(1, &round(0..NODES + 10));
        assert_eq!(nodes.rings.len(), NODES);
        nodes.add(1 + AGE_MS, &round(0..1));
        assert_eq!(nodes.rings.len(), NODES, "the others were there 15 minutes ago");
        nodes.add(2 + AGE_MS, &round(0..1));
        assert_eq!(nodes.rings.keys().collect::<Vec<_>>(), ["n0"]);
    }
}

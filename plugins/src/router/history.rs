//! The last 15 minutes, of the router and of the cluster, each in a ring of its own.

use std::collections::{BTreeMap, VecDeque};

use carillon_core::bus::Bus;
use carillon_core::prelude::*;

use super::nodes::NodeHistories;
use super::state::RouterState;
use crate::cluster::METRICS;

/// Points kept of each: one a second for 15 minutes.
pub(super) const POINTS: usize = 15 * 60;
/// How old a point may be, in milliseconds.
pub(super) const AGE_MS: u64 = 15 * 60 * 1_000;

/// The router, second by second; place by place the columns belong together.
#[derive(Debug, Default, Serialize, JsonSchema)]
pub(super) struct RouterHistory {
    /// When, in milliseconds since 1970.
    time: Vec<u64>,
    /// Connections.
    connections: Vec<usize>,
    /// Events received from clients, a second.
    events_in: Vec<f64>,
    /// Copies that reached a client's transport, a second.
    deliveries: Vec<f64>,
    /// Copies lost with clients that did not read fast enough, a second.
    lost: Vec<f64>,
    /// The mean time from a publish to its last delivery, in milliseconds; null when nothing was published.
    fanout_ms: Vec<Option<f64>>,
}

/// What was in use, round by round; place by place the columns belong together.
#[derive(Debug, Default, Serialize, JsonSchema)]
pub(super) struct UseHistory {
    /// When, in milliseconds since 1970.
    time: Vec<u64>,
    /// CPU use, in percent.
    cpu: Vec<Option<f64>>,
    /// Memory use, in percent.
    memory: Vec<Option<f64>>,
    /// Use of disk space, in percent.
    disk: Vec<Option<f64>>,
    /// The temperature, in degrees Celsius; null where nothing measures it.
    temperature: Vec<Option<f64>>,
}

impl UseHistory {
    /// Adds one round: CPU, memory, disk, temperature.
    pub(super) fn add(&mut self, time: u64, [cpu, memory, disk, temperature]: [Option<f64>; 4]) {
        self.time.push(time);
        self.cpu.push(cpu);
        self.memory.push(memory);
        self.disk.push(disk);
        self.temperature.push(temperature);
    }
}

/// One round of measurements, as far as it is remembered. Its writer may be another program: everything may be missing.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(super) struct Round {
    /// In the words of its writer: tells a round from the one before it.
    timestamp: Option<String>,
    nodes: BTreeMap<String, Use>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(super) struct Use {
    cpu_usage: Option<f64>,
    memory_usage: Option<f64>,
    disk_usage: Option<f64>,
    temperature: Option<f64>,
}

impl Use {
    /// CPU, memory, disk, temperature.
    pub(super) fn columns(&self) -> [Option<f64>; 4] {
        [self.cpu_usage, self.memory_usage, self.disk_usage, self.temperature]
    }
}

impl Round {
    /// The last round that is current; none when what is there cannot be read.
    pub(super) async fn read(bus: &dyn Bus) -> Result<Option<Self>> {
        let last = bus.get(METRICS).await?;
        Ok(last.and_then(|last| serde_json::from_slice(&last).ok()))
    }

    /// For each column the mean of the nodes that have it.
    fn means(&self) -> [Option<f64>; 4] {
        std::array::from_fn(|column| {
            let known = self.nodes.values().filter_map(|node| node.columns()[column]);
            let (count, sum) = known.fold((0_u32, 0.0), |(count, sum), value| (count + 1, sum + value));
            (count > 0).then(|| (sum / f64::from(count) * 100.0).round() / 100.0)
        })
    }
}

/// One point of the router's.
#[derive(Debug, Clone, Copy)]
struct RouterPoint {
    time: u64,
    connections: usize,
    rates: [f64; 3],
    fanout_ms: Option<f64>,
}

/// One point of the cluster's: CPU, memory, disk, temperature.
#[derive(Debug, Clone, Copy)]
struct ClusterPoint {
    time: u64,
    means: [Option<f64>; 4],
}

/// All rings.
#[derive(Default)]
pub(super) struct Histories {
    router: VecDeque<RouterPoint>,
    cluster: VecDeque<ClusterPoint>,
    nodes: NodeHistories,
    /// The round that was added last.
    last: Option<Round>,
}

impl Histories {
    pub(super) fn add_router(&mut self, time: u64, state: &RouterState) {
        let rates = [state.events_in, state.deliveries, state.lost];
        let point = RouterPoint { time, connections: state.connections, rates, fanout_ms: state.fanout_ms };
        push(&mut self.router, point, |point| point.time);
    }

    /// Adds a round, unless it is the last one again.
    pub(super) fn add_round(&mut self, time: u64, round: Round) {
        if self.last.as_ref() == Some(&round) {
            return;
        }
        let means = round.means();
        push(&mut self.cluster, ClusterPoint { time, means }, |point| point.time);
        self.nodes.add(time, &round.nodes);
        self.last = Some(round);
    }

    pub(super) fn router(&self) -> RouterHistory {
        let mut columns = RouterHistory::default();
        for point in &self.router {
            let [events_in, deliveries, lost] = point.rates;
            columns.time.push(point.time);
            columns.connections.push(point.connections);
            columns.events_in.push(events_in);
            columns.deliveries.push(deliveries);
            columns.lost.push(lost);
            columns.fanout_ms.push(point.fanout_ms);
        }
        columns
    }

    pub(super) fn cluster(&self) -> UseHistory {
        let mut columns = UseHistory::default();
        for point in &self.cluster {
            columns.add(point.time, point.means);
        }
        columns
    }

    /// When each node was measured last.
    pub(super) fn measured(&self) -> BTreeMap<String, u64> {
        self.nodes.last()
    }

    /// One node's, unless it was not measured lately.
    pub(super) fn node(&self, name: &str) -> Option<UseHistory> {
        self.nodes.of(name)
    }
}

/// Adds a point, and lets go of those that are too old or too many.
pub(super) fn push<T>(ring: &mut VecDeque<T>, point: T, time: fn(&T) -> u64) {
    let oldest = time(&point).saturating_sub(AGE_MS);
    while ring.len() >= POINTS || ring.front().is_some_and(|first| time(first) < oldest) {
        ring.pop_front();
    }
    ring.push_back(point);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A ring has a bound in number and in age, whatever is added.
    #[test]
    fn a_ring_is_bounded() {
        let mut ring = VecDeque::new();
        for time in 0..2_000 {
            push(&mut ring, time, |time| *time);
        }
        assert_eq!((ring.len(), ring.front()), (POINTS, Some(&(2_000 - POINTS as u64))));
        push(&mut ring, 1_999 + AGE_MS, |time| *time);
        assert_eq!(ring, [1_999, 1_999 + AGE_MS]);
    }

    /// A node without a thermometer is left out of the temperature, and a round that is there again adds nothing.
    #[test]
    fn rounds_become_means() {
        let text = r#"{"timestamp":"t","nodes":{"a":{"cpu_usage":10,"memory_usage":1,"disk_usage":5,"temperature":40},
                       "b":{"cpu_usage":25.5,"memory_usage":2,"temperature":null}}}"#;
        let round: Round = serde_json::from_str(text).unwrap();
        let mut histories = Histories::default();
        for (time, round) in [(1, round.clone()), (2, round), (3, Round::default())] {
            histories.add_round(time, round);
        }
        let cluster = histories.cluster();
        assert_eq!(cluster.time, [1, 3]);
        assert_eq!(histories.measured(), BTreeMap::from([("a".to_owned(), 1), ("b".to_owned(), 1)]));
        assert_eq!((cluster.cpu, cluster.memory), (vec![Some(17.75), None], vec![Some(1.5), None]));
        assert_eq!((cluster.disk, cluster.temperature), (vec![Some(5.0), None], vec![Some(40.0), None]));
    }
}

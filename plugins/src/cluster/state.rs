//! The state of the cluster, as the keys of the bus tell it.

use std::collections::{BTreeMap, HashSet};

use bytes::Bytes;
use carillon_core::bus::Bus;
use carillon_core::prelude::*;
use futures_util::future::try_join_all;
use serde::de::{DeserializeOwned, IgnoredAny};

use super::{METRICS, node_key};

/// What is read of the last [`Aggregate`](super::Aggregate). Its writer may be another program, so that everything may
/// be missing.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Snapshot {
    /// When it was written, in the words of its writer.
    pub(crate) timestamp: Option<String>,
    /// The nodes that answered.
    nodes: BTreeMap<String, IgnoredAny>,
    /// How many nodes there are, and how many answered.
    pub(crate) cluster_stats: Counts,
}

/// The part of the statistics that is read back.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Counts {
    pub(crate) total_nodes: usize,
    pub(crate) online_nodes: usize,
}

impl Snapshot {
    /// The last aggregate, while it is current.
    pub(crate) async fn read(bus: &dyn Bus) -> Result<Option<Self>> {
        Ok(parse(bus.get(METRICS).await?.as_ref()))
    }
}

/// What is read of a node's [`Metrics`](super::Metrics).
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(crate) struct Reading {
    pub(crate) cpu_usage: Option<f64>,
    pub(crate) memory_usage: Option<f64>,
    pub(crate) disk_usage: Option<f64>,
    pub(crate) temperature: Option<f64>,
}

/// What is known of the cluster at one moment.
#[derive(Debug, Clone, Default)]
pub(crate) struct State {
    /// The last aggregate.
    pub(crate) snapshot: Option<Snapshot>,
    /// Every node known by name, with what was measured where it answers.
    pub(crate) nodes: Vec<(String, Option<Reading>)>,
}

impl State {
    /// Reads the state from the bus. Nodes `known` from elsewhere come first and are there even when nobody measured
    /// them yet.
    ///
    /// A node answers when its key is there and the last round, if one is there, counts it: a key outlives its node
    /// for a while, and a round may be missing although its nodes were written.
    pub(crate) async fn read(bus: &dyn Bus, known: &[String]) -> Result<Self> {
        let snapshot = Snapshot::read(bus).await?;
        let measured = snapshot.iter().flat_map(|snapshot| snapshot.nodes.keys());
        let mut seen = HashSet::new();
        let names = known.iter().chain(measured).filter(|name| seen.insert(name.as_str()));
        let nodes = names.map(async |name| {
            let counted = snapshot.as_ref().is_none_or(|snapshot| snapshot.nodes.contains_key(name));
            let reading = if counted { parse(bus.get(&node_key(name)).await?.as_ref()) } else { None };
            Ok::<_, Error>((name.clone(), reading))
        });
        let nodes = try_join_all(nodes).await?;
        Ok(Self { snapshot, nodes })
    }

    /// What is known without the bus: the names of the nodes.
    pub(crate) fn unmeasured(known: &[String]) -> Self {
        Self { snapshot: None, nodes: known.iter().map(|name| (name.clone(), None)).collect() }
    }

    /// The nodes that answer.
    pub(crate) fn ready(&self) -> impl Iterator<Item = &Reading> {
        self.nodes.iter().filter_map(|(_, reading)| reading.as_ref())
    }

    /// How many nodes answer.
    pub(crate) fn online(&self) -> usize {
        self.ready().count()
    }

    /// How many nodes there are: a writer may count nodes that it does not name.
    pub(crate) fn total(&self) -> usize {
        let counted = self.snapshot.as_ref().map_or(0, |snapshot| snapshot.cluster_stats.total_nodes);
        self.nodes.len().max(counted)
    }

    /// True as long as nobody has measured anything, or what was measured is out of date.
    pub(crate) fn is_unknown(&self) -> bool {
        self.snapshot.is_none() && self.online() == 0
    }

    /// When the last round was, in the words of its writer.
    pub(crate) fn timestamp(&self) -> Option<&str> {
        self.snapshot.as_ref()?.timestamp.as_deref()
    }
}

/// What is no JSON object of this shape is not there: another program wrote it, and its next write may be right.
fn parse<T: DeserializeOwned>(value: Option<&Bytes>) -> Option<T> {
    // serde would also take a list for the fields of a struct in their order.
    let object = value.filter(|value| value.trim_ascii_start().starts_with(b"{"))?;
    serde_json::from_slice(object).inspect_err(|error| tracing::debug!("a key of the bus is unreadable: {error}")).ok()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use carillon_core::bus::BusContext;
    use carillon_core::bus::memory::MemoryBus;
    use carillon_core::metrics::Metrics;

    /// The aggregate of an older publisher that counts more nodes than it names.
    pub(crate) const AGGREGATE: &str = r#"{"timestamp":"2026-11-22T12:00:00.000000","nodes":{"node6.lan":{"memory_total":4000000000.0,"memory_available":3000000000.0,"disk_total":30000000000.0,"disk_available":20000000000.0,"temperature":51.2,"cpu_usage":12.5,"memory_usage":25,"disk_usage":33.3}},"cluster_stats":{"total_nodes":8,"online_nodes":7,"avg_cpu":12.5,"avg_memory":25,"avg_temperature":51.2}}"#;
    /// The key of its node.
    pub(crate) const NODE: &str = r#"{"memory_total":4000000000.0,"memory_available":3000000000.0,"disk_total":30000000000.0,"disk_available":20000000000.0,"temperature":51.2,"cpu_usage":12.5,"memory_usage":25,"disk_usage":33.3}"#;

    /// A bus that holds these keys.
    pub(crate) async fn bus(keys: &[(&str, &'static str)]) -> MemoryBus {
        let bus = MemoryBus::new(BusContext::new(Arc::new(Metrics::new().unwrap())));
        for (key, value) in keys {
            bus.set(key, Bytes::from_static(value.as_bytes()), None).await.unwrap();
        }
        bus
    }

    async fn state(keys: &[(&str, &'static str)], known: &[&str]) -> State {
        let known: Vec<String> = known.iter().map(|&name| name.to_owned()).collect();
        State::read(&bus(keys).await, &known).await.unwrap()
    }

    /// `node: answers` in order, then how many answer of how many.
    fn summary(state: &State) -> String {
        let nodes: Vec<_> =
            state.nodes.iter().map(|(name, reading)| format!("{name}: {}", reading.is_some())).collect();
        format!("{} = {}/{}", nodes.join(", "), state.online(), state.total())
    }

    /// Which nodes there are and which answer, whatever part of the keys is there.
    #[tokio::test]
    async fn nodes_answer_when_their_key_and_the_last_round_say_so() {
        let (round, node) = (("cluster:metrics", AGGREGATE), ("metrics:node6.lan", NODE));
        let none = state(&[], &[]).await;
        assert_eq!((summary(&none).as_str(), none.is_unknown()), (" = 0/0", true));
        let before = state(&[], &["b", "a"]).await;
        assert_eq!((summary(&before).as_str(), before.is_unknown()), ("b: false, a: false = 0/2", true));
        let both = state(&[round, node], &[]).await;
        assert_eq!((summary(&both).as_str(), both.is_unknown()), ("node6.lan: true = 1/8", false));
        assert_eq!(both.timestamp(), Some("2026-11-22T12:00:00.000000"));
        assert_eq!(summary(&state(&[round], &["node7.lan"]).await), "node7.lan: false, node6.lan: false = 0/8");
        let no_round = state(&[node], &["node6.lan"]).await;
        assert_eq!((summary(&no_round).as_str(), no_round.is_unknown()), ("node6.lan: true = 1/1", false));
        let left = state(&[round, node, ("metrics:gone", NODE)], &["gone"]).await;
        assert_eq!(summary(&left), "gone: false, node6.lan: true = 1/8", "its key is only left over");
    }

    /// Keys that another program filled with something else do no harm.
    #[tokio::test]
    async fn unreadable_keys_are_not_there() {
        for text in ["", "null", "[]", "{\"cluster_stats\":7}", "\u{feff}{}"] {
            assert!(state(&[("cluster:metrics", text)], &[]).await.snapshot.is_none(), "{text:?}");
        }
        let empty = state(&[("cluster:metrics", "{}"), ("metrics:n", "{\"cpu_usage\":null}")], &["n"]).await;
        assert_eq!(summary(&empty), "n: false = 0/1");
        let odd = state(&[("metrics:n", "{\"cpu_usage\":null}")], &["n"]).await;
        assert_eq!(odd.nodes[0].1, Some(Reading::default()));
    }
}

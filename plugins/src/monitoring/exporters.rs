//! The configured nodes: all are asked at once, and none waits for another.

use std::collections::HashMap;

use carillon_core::prelude::*;
use prometheus::IntCounterVec;
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::{Instant, sleep_until};

use super::collector::{Reading, Source};
use super::config::MonitoringConfig;
use super::exposition::CpuTime;
use super::scrape::{Failure, scrape};
use super::targets::{Target, Targets};
use crate::cluster::Metrics;

/// How long what a node said counts, in intervals, while it is being asked again.
const FRESH: u32 = 3;
/// A round waits for this part of the interval for nodes that are slow.
const PATIENCE: u32 = 5;
/// How many nodes one line of the log names.
const TOLD: usize = 10;

type Scraped = Result<(Metrics, CpuTime), Failure>;

/// Nodes that run node_exporter.
pub(super) struct Exporters {
    targets: Arc<Targets>,
    /// The targets asked last.
    current: Arc<[Target]>,
    nodes: HashMap<String, Node>,
    /// The questions under way. They end with this.
    asked: JoinSet<(Target, Scraped)>,
    /// What changed since it was told: nodes that answer again, and nodes that no longer do.
    changes: (Vec<String>, Vec<String>),
    interval: Duration,
    timeout: Duration,
    scrapes: IntCounterVec,
}

/// What is known of one node.
struct Node {
    target: Target,
    /// The question under way.
    asked: Option<Id>,
    /// What it said last, and when; nothing once it failed to answer.
    said: Option<(Metrics, Instant)>,
    /// Its CPU time then, to count from. Kept when it fails, because the kernel counts on.
    cpu: Option<CpuTime>,
    /// Whether it failed last time.
    failing: bool,
}

impl Exporters {
    /// Asks every node once: CPU use is what happens between two answers.
    pub(super) async fn open(config: &MonitoringConfig, targets: Arc<Targets>, scrapes: IntCounterVec) -> Self {
        let mut exporters = Self {
            current: targets.now(),
            targets,
            nodes: HashMap::new(),
            asked: JoinSet::new(),
            changes: Default::default(),
            interval: config.interval(),
            timeout: Duration::from_millis(config.node_exporter_timeout_ms),
            scrapes,
        };
        exporters.ask();
        exporters.listen(Instant::now() + exporters.interval / PATIENCE).await;
        exporters
    }

    /// Asks every node that is not being asked already, and forgets those that are no longer configured.
    fn ask(&mut self) {
        let targets = self.targets.now();
        if !Arc::ptr_eq(&targets, &self.current) {
            self.nodes.retain(|_, node| targets.contains(&node.target));
            self.current = targets;
        }
        for target in &*self.current {
            let new = || Node { target: target.clone(), asked: None, said: None, cpu: None, failing: false };
            let node = self.nodes.entry(target.name.clone()).or_insert_with(new);
            if node.asked.is_none() {
                let (target, timeout, earlier) = (target.clone(), self.timeout, node.cpu);
                let question = async move {
                    let scraped = scrape(&target, timeout, earlier).await;
                    (target, scraped)
                };
                node.asked = Some(self.asked.spawn(question).id());
            }
        }
    }

    /// Takes the answers that arrive until then; returns earlier when there are no more to come.
    async fn listen(&mut self, until: Instant) {
        let late = sleep_until(until);
        tokio::pin!(late);
        loop {
            tokio::select! {
                biased;
                answer = self.asked.join_next() => match answer {
                    Some(Ok((target, scraped))) => self.take(&target, scraped),
                    Some(Err(error)) => self.give_up(&error),
                    None => return,
                },
                () = &mut late => return,
            }
        }
    }

    /// Tells which nodes came and went.
    fn tell(&mut self) {
        let (back, gone) = std::mem::take(&mut self.changes);
        if !gone.is_empty() {
            tracing::warn!("nodes that do not answer: {}", some(&gone));
        }
        if !back.is_empty() {
            tracing::info!("nodes that answer again: {}", some(&back));
        }
    }

    /// A question panicked: its node is asked again.
    fn give_up(&mut self, error: &JoinError) {
        tracing::error!("a question to a node ended: {error}");
        if let Some(node) = self.nodes.values_mut().find(|node| node.asked == Some(error.id())) {
            (node.asked, node.said) = (None, None);
        }
    }

    fn take(&mut self, target: &Target, scraped: Scraped) {
        self.scrapes.with_label_values(&[scraped.as_ref().map_or_else(Failure::label, |_| "ok")]).inc();
        // It may have been taken out of the configuration meanwhile.
        let Some(node) = self.nodes.get_mut(&target.name).filter(|node| node.target == *target) else { return };
        node.asked = None;
        match scraped {
            Ok((metrics, cpu)) => {
                if std::mem::take(&mut node.failing) {
                    self.changes.0.push(target.name.clone());
                }
                node.said = Some((metrics, Instant::now()));
                node.cpu = Some(cpu);
            }
            Err(failure) => {
                if !std::mem::replace(&mut node.failing, true) {
                    self.changes.1.push(format!("{} ({failure})", target.name));
                }
                node.said = None;
            }
        }
    }
}

/// One line for many nodes: a whole cluster may go at once.
fn some(nodes: &[String]) -> String {
    let named = nodes.iter().take(TOLD).map(String::as_str).collect::<Vec<_>>().join(", ");
    match nodes.len().saturating_sub(TOLD) {
        0 => named,
        more => format!("{named} and {more} more"),
    }
}

impl Source for Exporters {
    fn total(&self) -> usize {
        self.current.len()
    }

    async fn read(&mut self) -> Result<Vec<Reading>> {
        self.ask();
        self.listen(Instant::now() + self.interval / PATIENCE).await;
        self.tell();
        let fresh = |node: &Node| {
            let (metrics, at) = node.said.as_ref()?;
            (at.elapsed() <= self.interval * FRESH).then(|| metrics.clone())
        };
        let reading = |target: &Target| {
            let metrics = fresh(self.nodes.get(&target.name)?)?;
            Some(Reading { node: target.name.clone(), metrics })
        };
        Ok(self.current.iter().filter_map(reading).collect())
    }
}

#[cfg(test)]
mod tests {
    use carillon_core::metrics::Metrics as Registry;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::super::scrape::tests::{SAID, listener};
    use super::*;

    /// Answers every request at once, or never; ends when it is dropped.
    struct Fake(JoinSet<()>);

    fn fake(listener: TcpListener, answers: bool) -> Fake {
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut silent = Vec::new();
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                if answers {
                    assert!(stream.read(&mut [0; 4096]).await.unwrap() > 0);
                    stream.write_all(format!("HTTP/1.1 200 OK\r\n\r\n{SAID}").as_bytes()).await.unwrap();
                } else {
                    silent.push(stream);
                }
            }
        });
        Fake(tasks)
    }

    async fn stop(mut fake: Fake) {
        fake.0.shutdown().await;
    }

    async fn exporters(nodes: &[Target], interval_ms: u64) -> (Exporters, IntCounterVec) {
        let scrapes = Registry::new().unwrap().counter("scrapes_total", "x", &["result"]).unwrap();
        let config = MonitoringConfig {
            nodes: nodes.iter().map(|node| node.name.clone()).collect(),
            interval_ms,
            node_exporter_timeout_ms: interval_ms,
            ..MonitoringConfig::default()
        };
        let targets = Arc::new(Targets::open(&config).await.unwrap());
        (Exporters::open(&config, targets, scrapes.clone()).await, scrapes)
    }

    async fn online(exporters: &mut Exporters) -> Vec<String> {
        exporters.read().await.unwrap().into_iter().map(|reading| reading.node).collect()
    }

    /// Ten nodes that never answer do not keep the others from being there in time, round after round.
    #[tokio::test]
    async fn silent_nodes_delay_nobody() {
        let (mut nodes, mut fakes) = (Vec::new(), Vec::new());
        for index in 0..12 {
            let (listener, target) = listener().await;
            fakes.push(fake(listener, index >= 10));
            nodes.push(target);
        }
        let (mut exporters, scrapes) = exporters(&nodes, 1_000).await;
        for _ in 0..3 {
            let begin = Instant::now();
            assert_eq!(online(&mut exporters).await, [nodes[10].name.clone(), nodes[11].name.clone()]);
            assert!(begin.elapsed() < Duration::from_millis(900), "{:?}", begin.elapsed());
            assert_eq!(exporters.total(), 12);
        }
        assert_eq!(scrapes.with_label_values(&["ok"]).get(), 8, "two nodes, asked at the start and three times after");
        drop(fakes);
    }

    /// A node that stops is gone in the next round, and back in the next after it came back.
    #[tokio::test]
    async fn a_node_goes_and_comes_back() {
        let (listener, target) = listener().await;
        let address = listener.local_addr().unwrap();
        let running = fake(listener, true);
        let (mut exporters, scrapes) = exporters(std::slice::from_ref(&target), 500).await;
        assert_eq!(online(&mut exporters).await.concat(), target.name);
        stop(running).await;
        assert!(online(&mut exporters).await.is_empty());
        assert_eq!(scrapes.with_label_values(&["unreachable"]).get(), 1);
        let again = fake(TcpListener::bind(address).await.unwrap(), true);
        assert_eq!(online(&mut exporters).await.concat(), target.name);
        stop(again).await;
    }

    /// However many nodes go at once, the log names a few.
    #[test]
    fn some_of_many() {
        let nodes: Vec<_> = (0..12).map(|n| format!("n{n}")).collect();
        assert_eq!(some(&nodes[..2]), "n0, n1");
        assert!(some(&nodes).ends_with("n9 and 2 more"));
    }

    /// While a node takes its time what it said last counts, for three intervals.
    #[tokio::test]
    async fn what_was_said_counts_for_a_while() {
        let (listener, target) = listener().await;
        let address = listener.local_addr().unwrap();
        let running = fake(listener, true);
        let (mut exporters, _) = exporters(std::slice::from_ref(&target), 500).await;
        exporters.timeout = Duration::from_secs(60);
        assert_eq!(online(&mut exporters).await.len(), 1);
        stop(running).await;
        let silent = fake(TcpListener::bind(address).await.unwrap(), false);
        let begin = Instant::now();
        while begin.elapsed() < Duration::from_millis(1_000) {
            assert_eq!(online(&mut exporters).await.len(), 1);
        }
        tokio::time::sleep(Duration::from_millis(600)).await;
        assert!(online(&mut exporters).await.is_empty());
        stop(silent).await;
    }

    /// Nodes that are no longer configured are forgotten, answers under way included.
    #[tokio::test]
    async fn nodes_that_are_gone_are_forgotten() {
        let (listener, target) = listener().await;
        let silent = fake(listener, false);
        let file = std::env::temp_dir().join(format!("carillon-exporters-{}.yaml", std::process::id()));
        std::fs::write(&file, format!("workers: ['{}']", target.name)).unwrap();
        let config =
            MonitoringConfig { nodes_file: Some(file.clone()), interval_ms: 500, ..MonitoringConfig::default() };
        let targets = Arc::new(Targets::open(&config).await.unwrap());
        let scrapes = Registry::new().unwrap().counter("scrapes_total", "x", &["result"]).unwrap();
        let mut exporters = Exporters::open(&config, Arc::clone(&targets), scrapes).await;
        assert_eq!(exporters.total(), 1);
        std::fs::write(&file, "workers: []").unwrap();
        targets.reload().await.unwrap();
        std::fs::remove_file(&file).unwrap();
        assert!(online(&mut exporters).await.is_empty());
        assert_eq!((exporters.total(), exporters.nodes.len()), (0, 0));
        stop(silent).await;
    }
}

//! What several Carillons on one Redis cost: one publishes, and clients of each receive, with more and more nodes.

mod floor;

use serde::Serialize;

use super::Measure;
use super::contest::{Contest, Contestant, Driver};
use super::relay::{start_redis, version};
use super::round;
use crate::Result;
use crate::cli::{Common, Nodes};
use crate::load::packet::Dialect;
use crate::load::shape::{NAMESPACES, Shape};
use crate::machine::proc::Cpu;
use crate::peers::protocol::{NAMESPACE, Run, TICK};
use crate::peers::{Peer, Server, carillon};
use crate::report::document::Part;
use crate::report::stats::{Figure, Latency};
use crate::report::table::{self, Table, figure};

/// Nodes without a Redis: what local delivery alone costs.
const ALONE: usize = 0;

/// So many nodes, and to whom the first of them publishes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
struct Way {
    /// [`ALONE`] is one without a bus to others.
    nodes: usize,
    shape: Shape,
    /// Whether what is published is kept.
    kept: bool,
}

/// What one round measured.
#[derive(Debug, Clone, Serialize)]
struct Round {
    #[serde(flatten)]
    way: Way,
    round: usize,
    publishes: u64,
    /// The processor time of the node that publishes, for each publish, in microseconds.
    publisher_us: f64,
    /// That of each other node, on average.
    receiver_us: Option<f64>,
    /// The same for each delivery to a client there.
    delivery_us: Option<f64>,
    /// That of Redis.
    redis_us: Option<f64>,
    /// From a publish to a client of the last node.
    latency: Option<Latency>,
    mistakes: Vec<String>,
}

/// All rounds of one way.
#[derive(Debug, Serialize)]
struct Row {
    #[serde(flatten)]
    way: Way,
    publisher_us: Option<Figure>,
    receiver_us: Option<Figure>,
    delivery_us: Option<Figure>,
    redis_us: Option<Figure>,
    p50_us: Option<Figure>,
    p99_us: Option<Figure>,
    every_us: Vec<f64>,
    failed: usize,
}

impl Measure for Nodes {
    fn common(&self) -> &Common {
        &self.common
    }

    fn seconds(&self, _: usize) -> f64 {
        ways(self).len() as f64 * ((self.rounds + 1) as f64 * self.seconds + 3.0)
    }

    fn measure(&self, contest: &mut Contest) -> Result<Part> {
        measure(contest, self)
    }

    fn missing(&self) -> Option<String> {
        version().err().map(str::to_owned)
    }
}

fn ways(options: &Nodes) -> Vec<Way> {
    let nodes: Vec<usize> = std::iter::once(ALONE).chain(options.nodes.iter().copied()).collect();
    let kept = if options.journal { &[false, true][..] } else { &[false] };
    let each = |shape: &Shape| {
        let shape = *shape;
        nodes
            .iter()
            .flat_map(move |nodes| kept.iter().map(move |kept| Way { nodes: *nodes, shape, kept: *kept }))
            .collect::<Vec<_>>()
    };
    // Journals that nodes share have an order each, and none between them: what comes of several cannot be checked so.
    let in_order = |way: &Way| !way.kept || way.nodes == ALONE || way.shape.namespaces() == 1;
    options.shape.iter().flat_map(each).filter(in_order).collect()
}

fn measure(contest: &mut Contest, options: &Nodes) -> Result<Part> {
    contest.reserve(options.clients * options.nodes.iter().copied().max().unwrap_or(1))?;
    let version = version()?;
    contest.versions.insert("redis-server".to_owned(), version);
    let redis = start_redis(contest)?;
    let (mut rounds, mut floor) = (Vec::new(), Vec::new());
    for way in ways(options) {
        contest.progress.say("floor".to_owned());
        floor.push(floor::publish_us(redis.address, options)?);
        let nodes = start(contest, way, &redis, options)?;
        // The first turn warms them up.
        for nth in 0..=options.rounds {
            let round = one(contest, &nodes, (options, way), (&redis, nth))?;
            contest.fail(&name(way), &round.mistakes);
            rounds.extend((nth > 0).then_some(round));
        }
        contest.dismiss(nodes);
    }
    drop(redis);
    let rows = summary(&rounds);
    let (text, mut notes) = (text(&rows, options), notes(&rows));
    notes.extend(floor_note(&floor));
    Part::new("nodes", (options, &rounds, &rows), (vec![text], notes))
}

/// Starts the nodes of a way, each with its clients; only the first is told to publish.
fn start(contest: &mut Contest, way: Way, redis: &Server, options: &Nodes) -> Result<Vec<Contestant>> {
    let others = &NAMESPACES[1..way.shape.namespaces()];
    let dialect = others.iter().fold(Dialect::new(NAMESPACE, TICK), |all, namespace| all.and(namespace, TICK));
    let mut nodes = Vec::new();
    for nth in 1..=way.nodes.max(1) {
        let url = (way.nodes != ALONE).then(|| ("bus.url".to_owned(), format!("redis://{}", redis.address)));
        let kept = way.kept.then(carillon::kept).into_iter().flatten();
        let settings: Vec<_> = url.into_iter().chain(kept).collect();
        let mut node = contest.start(Peer::Carillon, &format!("{}, node {nth}", name(way)), &settings)?;
        node.target.dialect = dialect.clone();
        contest.connect(&mut node, options.clients)?;
        nodes.push(node);
    }
    // Nodes hear of each other's publishes from a moment after they have started.
    contest.rest(1.0)?;
    Ok(nodes)
}

fn one(
    contest: &mut Contest,
    nodes: &[Contestant],
    (options, way): (&Nodes, Way),
    (redis, nth): (&Server, usize),
) -> Result<Round> {
    let seconds = if nth == 0 { 1.0 } else { options.seconds };
    let paced = Run::paced(options.rate, seconds, options.payload);
    let run = Run { shape: way.shape, clients: options.clients as u64, ..paced };
    let (Some(first), Some(last)) = (nodes.first(), nodes.last()) else { return Err("no node was started".into()) };
    let before = readings(nodes, redis)?;
    let watched = if nodes.len() == 1 {
        round::run(contest, first, (&run, nth), |_| Ok(()))?
    } else {
        let packet = first.target.dialect.event("run", &serde_json::to_string(&run)?);
        contest.load.say(first.group, 0, &packet);
        let last = Contestant {
            driver: Driver::Elsewhere,
            server: None,
            name: last.name.clone(),
            target: last.target.clone(),
            ..*last
        };
        round::run(contest, &last, (&run, nth), |_| Ok(()))?
    };
    let after = readings(nodes, redis)?;
    let publishes = watched.messages.max(1);
    let us = |at: usize| after[at].since(before[at]).total() * 1e6 / publishes as f64;
    let others = nodes.len() - 1;
    let receiver_us = (others > 0).then(|| (1..=others).map(us).sum::<f64>() / others as f64);
    let deliveries = way.shape.deliveries(publishes, options.clients as u64) as f64 / publishes as f64;
    Ok(Round {
        way,
        round: nth,
        publishes,
        publisher_us: us(0),
        receiver_us,
        delivery_us: receiver_us.map(|us| us / deliveries),
        redis_us: (way.nodes != ALONE).then(|| us(nodes.len())),
        latency: watched.latency,
        mistakes: watched.mistakes,
    })
}

/// The processor time of each node, and of Redis.
fn readings(nodes: &[Contestant], redis: &Server) -> Result<Vec<Cpu>> {
    let mut readings = Vec::with_capacity(nodes.len() + 1);
    for node in nodes {
        readings.push(node.cpu()?.unwrap_or_default());
    }
    readings.push(crate::machine::proc::cpu(redis.pid())?);
    Ok(readings)
}

fn name(way: Way) -> String {
    let shape = serde_json::to_string(&way.shape).unwrap_or_default();
    let nodes = if way.nodes == ALONE { "alone".to_owned() } else { way.nodes.to_string() };
    let kept = if way.kept { ", kept" } else { "" };
    format!("{nodes}, {}{kept}", shape.trim_matches('"'))
}

fn summary(rounds: &[Round]) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    for round in rounds {
        if rows.iter().any(|row| row.way == round.way) {
            continue;
        }
        let all = || rounds.iter().filter(|other| other.way == round.way);
        let good = || all().filter(|round| round.mistakes.is_empty());
        rows.push(Row {
            way: round.way,
            publisher_us: Figure::of(good().map(|round| round.publisher_us)),
            receiver_us: Figure::of(good().filter_map(|round| round.receiver_us)),
            delivery_us: Figure::of(good().filter_map(|round| round.delivery_us)),
            redis_us: Figure::of(good().filter_map(|round| round.redis_us)),
            p50_us: Figure::of(good().filter_map(|round| Some(round.latency?.p50))),
            p99_us: Figure::of(good().filter_map(|round| Some(round.latency?.p99))),
            every_us: good().map(|round| round.publisher_us).collect(),
            failed: all().count() - good().count(),
        });
    }
    rows
}

fn text(rows: &[Row], options: &Nodes) -> String {
    let mut table = Table::new(&[
        "nodes, to whom",
        "publisher us",
        "receiver us",
        "us/delivery there",
        "redis us",
        "p50 ms",
        "p99 ms",
        "failed",
        "publisher, every round",
    ]);
    for row in rows {
        table.row([
            name(row.way),
            figure(row.publisher_us),
            figure(row.receiver_us),
            figure(row.delivery_us),
            figure(row.redis_us),
            figure(row.p50_us.map(|us| us.times(1e-3))),
            figure(row.p99_us.map(|us| us.times(1e-3))),
            row.failed.to_string(),
            table::every(&row.every_us),
        ]);
    }
    let Nodes { clients, payload, rate, rounds, seconds, .. } = options;
    format!(
        "Nodes: {rate} publishes a second of {payload} bytes by the first of them to {clients} clients of each, {rounds} rounds of \
         {seconds} s; processor time for each publish\n{}",
        table.text()
    )
}

/// What nobody's publish can cost less than.
fn floor_note(every_us: &[f64]) -> Option<String> {
    let Figure { median, .. } = Figure::of(every_us.iter().copied())?;
    Some(format!(
        "floor: a thread that only writes so many publishes to this Redis and reads each answer takes {median:.1} us for each, \
         its own waking up left out ({})",
        table::every(every_us)
    ))
}

fn notes(rows: &[Row]) -> Vec<String> {
    let note = |row: &Row| {
        let alone = rows.iter().find(|other| other.way == Way { nodes: ALONE, ..row.way })?.publisher_us?.median;
        let (publisher, receiver) = (row.publisher_us?.median - alone, row.receiver_us?.median - alone);
        Some(format!(
            "{}: beyond what local delivery costs, a publish costs {publisher:+.1} us where it is made and {receiver:+.1} us on each other node",
            name(row.way)
        ))
    };
    let kept = |row: &Row| {
        let plain = rows.iter().find(|other| row.way.kept && other.way == Way { kept: false, ..row.way })?;
        let times = row.publisher_us?.median / plain.publisher_us?.median;
        Some(format!(
            "{}: a publish costs {times:.2} x what it costs where it is not kept, where it is made",
            name(row.way)
        ))
    };
    rows.iter().filter_map(note).chain(rows.iter().filter_map(kept)).collect()
}

//! What an idle connection costs: memory while nothing happens, processor time for pings, and whether all is given back.
use serde::Serialize;

use super::Measure;
use super::contest::{Contest, Contestant, Driver};
use super::metrics::Metrics;
use super::round;
use crate::cli::{Common, Idle};
use crate::machine::proc;
use crate::peers::Peer;
use crate::peers::protocol::Run;
use crate::report::document::Part;
use crate::report::row;
use crate::report::stats::Figure;
use crate::report::table::{Table, figure, in_order, number};
use crate::{Result, clock};

/// How long gauges may take to return after all have hung up.
const RETURN: f64 = 20.0;

/// What one server did.
#[derive(Debug, Clone, Serialize)]
struct Outcome {
    server: String,
    round: usize,
    connect_seconds: f64,
    rss_before_kb: u64,
    rss_connected_kb: u64,
    rss_broadcast_kb: u64,
    rss_closed_kb: u64,
    clients: usize,
    kb_per_connection: f64,
    /// The part of it that is heap and stacks, and what the kernel keeps for both ends besides.
    heap_kb_per_connection: Option<f64>,
    kernel_kb_per_connection: Option<f64>,
    /// Part of a core while nothing happens but pings.
    idle_cpu: f64,
    /// From the broadcast's time to its arrival at half of the clients, and at the last one.
    broadcast_p50_ms: Option<f64>,
    broadcast_max_ms: Option<f64>,
    /// Seconds until every gauge was back; `None` where there are none to read.
    gauges_back_seconds: Option<f64>,
    mistakes: Vec<String>,
}

impl Measure for Idle {
    fn common(&self) -> &Common {
        &self.common
    }

    fn peers(&self) -> Vec<Peer> {
        Peer::IDLE.to_vec()
    }

    fn seconds(&self, servers: usize) -> f64 {
        let each = self.settle * 3.0 + self.seconds + self.broadcasts + self.clients as f64 / 3_000.0 + 1.0;
        (self.rounds * servers) as f64 * each
    }

    fn measure(&self, contest: &mut Contest) -> Result<Part> {
        measure(contest, self)
    }
}

/// Measures, one server after the other.
fn measure(contest: &mut Contest, options: &Idle) -> Result<Part> {
    let clients = contest.at_most(options.clients)?;
    let options = &Idle { clients, ..options.clone() };
    let mut outcomes = Vec::new();
    for nth in 1..=options.rounds {
        if let Some(target) = contest.target()? {
            outcomes.push(one(contest, target, options, nth)?);
        }
        for peer in contest.servers(&options.common, &Peer::IDLE) {
            let started = contest.start(peer, &peer.to_string(), &[]);
            match started.and_then(|contestant| one(contest, contestant, options, nth)) {
                Ok(outcome) => outcomes.push(outcome),
                Err(error) => contest.fail(&peer.to_string(), &[error.to_string()]),
            }
        }
    }
    for outcome in &outcomes {
        contest.fail(&outcome.server, &outcome.mistakes);
    }
    let rows = summary(&outcomes);
    let text = text(&rows, options, |server| contest.label(server));
    Part::new("idle", (options, &outcomes, &rows), (vec![text], Vec::new()))
}

fn one(contest: &mut Contest, mut contestant: Contestant, options: &Idle, round: usize) -> Result<Outcome> {
    let pid = contestant.pid.ok_or("--target needs --pid: memory is read from its process")?;
    let address = contestant.target.address;
    let is_carillon = contestant.is_carillon();
    let scrape = || if is_carillon { Metrics::scrape(address).map(Some) } else { Ok(None) };
    contest.progress.say(format!("{}: settling", contestant.name));
    contest.rest(options.settle / 2.0)?;
    let gauges = scrape()?;
    contest.rest(options.settle / 2.0)?;
    let rss_before_kb = proc::rss_kb(pid)?;
    let parts_before = [proc::anonymous_kb(pid), proc::kernel_kb()];
    let start = clock::now();
    contest.connect(&mut contestant, options.clients)?;
    let connect_seconds = clock::seconds(clock::now() - start);
    contest.rest(options.settle)?;
    let rss_connected_kb = proc::rss_kb(pid)?;
    let parts = [proc::anonymous_kb(pid), proc::kernel_kb()];
    let [heap_kb_per_connection, kernel_kb_per_connection] = [0, 1].map(|part| {
        let (now, before) = parts[part].zip(parts_before[part])?;
        Some((now as f64 - before as f64) / options.clients as f64)
    });
    contest.progress.say(format!("{}: {} idle clients", contestant.name, options.clients));
    let (cpu, from) = (proc::cpu(pid)?, clock::now());
    contest.rest(options.seconds)?;
    let idle_cpu = proc::cpu(pid)?.since(cpu).total() / clock::seconds(clock::now() - from);

    let mut mistakes: Vec<String> = contest.load.group(contestant.group).casualty().into_iter().collect();
    let mut latency = None;
    if contestant.driver != Driver::Unknown && options.broadcasts > 0.0 {
        let run = Run::paced(1.0, options.broadcasts, 128);
        let round = round::run(contest, &contestant, (&run, 1), |_| Ok(()))?;
        mistakes.extend(round.mistakes);
        latency = round.latency;
    }
    let rss_broadcast_kb = proc::rss_kb(pid)?;

    contest.progress.say(format!("{}: hanging up", contestant.name));
    contest.load.hang_up(contestant.group);
    let gauges_back_seconds = match &gauges {
        Some(before) => back(contest, before, &scrape, &mut mistakes)?,
        None => None,
    };
    contest.rest(options.settle)?;
    Ok(Outcome {
        server: contestant.name,
        round,
        connect_seconds,
        rss_before_kb,
        rss_connected_kb,
        rss_broadcast_kb,
        rss_closed_kb: proc::rss_kb(pid)?,
        clients: options.clients,
        heap_kb_per_connection,
        kernel_kb_per_connection,
        kb_per_connection: (rss_connected_kb as f64 - rss_before_kb as f64) / options.clients as f64,
        idle_cpu,
        broadcast_p50_ms: latency.map(|latency| latency.p50 / 1e3),
        broadcast_max_ms: latency.map(|latency| latency.max / 1e3),
        gauges_back_seconds,
        mistakes,
    })
}

/// Waits until every gauge is what it was, and says how long that took.
fn back(
    contest: &mut Contest,
    before: &Metrics,
    scrape: &impl Fn() -> Result<Option<Metrics>>,
    mistakes: &mut Vec<String>,
) -> Result<Option<f64>> {
    let start = clock::now();
    loop {
        let off = scrape()?.unwrap_or_default().gauges_off(before);
        let took = clock::seconds(clock::now() - start);
        if off.is_empty() {
            return Ok(Some(took));
        }
        if took > RETURN {
            mistakes.push(format!("gauges did not return: {}", off.join(", ")));
            return Ok(None);
        }
        contest.rest(0.2)?;
    }
}

fn summary(outcomes: &[Outcome]) -> Vec<row::Idle> {
    let row = |name: &str| {
        let all = || outcomes.iter().filter(|outcome| outcome.server == name);
        let of = |value: fn(&Outcome) -> Option<f64>| {
            Figure::of(all().filter(|outcome| outcome.mistakes.is_empty()).filter_map(value))
        };
        row::Idle {
            server: name.to_owned(),
            failed: all().filter(|outcome| !outcome.mistakes.is_empty()).count(),
            kb_per_connection: of(|outcome| Some(outcome.kb_per_connection)),
            heap_kb_per_connection: of(|outcome| outcome.heap_kb_per_connection),
            kernel_kb_per_connection: of(|outcome| outcome.kernel_kb_per_connection),
            rss_mb: of(|outcome| Some(outcome.rss_connected_kb as f64 / 1024.0)),
            idle_cpu: of(|outcome| Some(outcome.idle_cpu)),
            broadcast_p50_ms: of(|outcome| outcome.broadcast_p50_ms),
            broadcast_max_ms: of(|outcome| outcome.broadcast_max_ms),
            closed_rss_mb: of(|outcome| Some(outcome.rss_closed_kb as f64 / 1024.0)),
            gauges_back_seconds: of(|outcome| outcome.gauges_back_seconds),
        }
    };
    in_order(outcomes.iter().map(|outcome| &*outcome.server)).into_iter().map(row).collect()
}

fn text(rows: &[row::Idle], options: &Idle, label: impl Fn(&str) -> String) -> String {
    let mut table = Table::new(&[
        "server",
        "KB/connection",
        "heap and stacks",
        "kernel, both ends",
        "RSS MB",
        "idle CPU %",
        "broadcast p50 ms",
        "last ms",
        "RSS MB closed",
        "gauges back s",
    ]);
    for row in rows {
        table.row([
            label(&row.server),
            figure(row.kb_per_connection),
            figure(row.heap_kb_per_connection),
            figure(row.kernel_kb_per_connection),
            figure(row.rss_mb),
            row.idle_cpu.map_or_else(|| "-".to_owned(), |cpu| number(cpu.median * 100.0)),
            figure(row.broadcast_p50_ms),
            figure(row.broadcast_max_ms),
            figure(row.closed_rss_mb),
            figure(row.gauges_back_seconds),
        ]);
    }
    format!("Idle: {} clients for {} s\n{}", options.clients, options.seconds, table.text())
}

//! What clients that stop reading do to the others, how soon they are closed, and what they cost meanwhile.

use std::collections::HashMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Measure;
use super::contest::{Contest, Contestant, Driver};
use super::metrics::Metrics;
use super::round::{self, Round};
use crate::cli::{Common, Slow};
use crate::load::{Load, Role, Stage};
use crate::machine::proc;
use crate::peers::protocol::Run;
use crate::report::document::Part;
use crate::report::stats::Figure;
use crate::report::table::{Table, figure, number};
use crate::{Result, clock};

/// How often clients that do not read send a pong nobody asked for: within any ping's timeout.
const PONG: u64 = 5_000_000_000;
/// How often the kernel's queues and the server's memory are looked at.
const LOOK: u64 = 100_000_000;
/// Seconds after the last broadcast in which slow clients may still be closed.
const GRACE: f64 = 5.0;

/// What one server did.
#[derive(Debug, Serialize)]
struct Outcome {
    server: String,
    baseline: Round,
    with_slow: Round,
    /// p99 of the clients that read, in terms of the baseline's.
    p99_ratio: Option<f64>,
    slow: usize,
    closed: usize,
    /// Seconds from the moment nothing more fitted into the kernel until the client was closed.
    closed_after: Option<Figure>,
    /// Milliseconds from the close until the plugin was told, where there is a plugin to ask.
    told_after_ms: Option<Figure>,
    rss_before_kb: u64,
    rss_peak_kb: u64,
    rss_after_kb: u64,
    peak_kb_per_slow: f64,
    /// Why the server says it closed connections.
    reasons: Vec<(String, f64)>,
}

/// A client the plugin was told about.
#[derive(Debug, Deserialize)]
struct Gone {
    client: String,
    at: u64,
}

/// A client that does not read, as the server's kernel has it.
struct SlowClient {
    index: usize,
    /// Bytes in the kernel's queue, and since when there are so many: the last change is the moment from which nothing
    /// more fitted.
    queued: u64,
    since: u64,
    /// When its connection was found gone.
    closed: Option<u64>,
}

/// Watches the slow clients and the server while a round runs.
struct Watch {
    pid: u32,
    server_port: u16,
    /// Slow clients by their port.
    queues: HashMap<u16, SlowClient>,
    rss_peak_kb: u64,
    looked: u64,
    ponged: u64,
}

impl Measure for Slow {
    fn common(&self) -> &Common {
        &self.common
    }

    fn seconds(&self, servers: usize) -> f64 {
        servers as f64 * (self.baseline + self.seconds + GRACE + 1.0)
    }

    fn measure(&self, contest: &mut Contest) -> Result<Part> {
        measure(contest, self)
    }
}

/// Measures, one server after the other.
fn measure(contest: &mut Contest, options: &Slow) -> Result<Part> {
    contest.reserve(options.clients)?;
    let mut all: Vec<Contestant> = contest.target()?.into_iter().collect();
    let mut outcomes = Vec::new();
    for peer in contest.servers(&options.common, &[]) {
        all.push(contest.start(peer, &peer.to_string(), &[])?);
    }
    for contestant in all {
        let outcome = one(contest, contestant, options)?;
        contest.fail(&outcome.server, &outcome.with_slow.mistakes);
        outcomes.push(outcome);
    }
    let (text, notes) = (text(&outcomes, options), notes(&outcomes));
    Part::new("slow", (options, &outcomes, &[(); 0]), (vec![text], notes))
}

fn one(contest: &mut Contest, mut contestant: Contestant, options: &Slow) -> Result<Outcome> {
    let pid = contestant.pid.ok_or("--target needs --pid: memory is read from its process")?;
    if contestant.driver == Driver::Unknown {
        return Err("--target needs --publish: the load must know what was sent".into());
    }
    contest.connect(&mut contestant, options.clients)?;
    let id = contestant.group;
    // Evenly among the others; the first client controls the run.
    let slow: Vec<usize> = (0..options.slow).map(|nth| 1 + nth * (options.clients - 1) / options.slow.max(1)).collect();
    for index in &slow {
        contest.load.group(id).cast(*index, Role::Aside);
    }
    let command = |seconds| Run::paced(options.rate, seconds, options.payload);
    let baseline = round::run(contest, &contestant, (&command(options.baseline), 1), |_| Ok(()))?;

    let mut ports = HashMap::new();
    for index in &slow {
        let client = SlowClient { index: *index, queued: 0, since: clock::now(), closed: None };
        ports.insert(contest.load.group(id).clients[*index].port()?, client);
        contest.load.group(id).cast(*index, Role::Deaf);
    }
    let is_carillon = contestant.is_carillon();
    let metrics = |contestant: &Contestant| is_carillon.then(|| Metrics::scrape(contestant.target.address)).transpose();
    let before = metrics(&contestant)?.unwrap_or_default();
    let rss_before_kb = proc::rss_kb(pid)?;
    let server_port = contestant.target.address.port();
    let mut watch = Watch { pid, server_port, queues: ports, rss_peak_kb: 0, looked: 0, ponged: 0 };
    let (pongs, group) = (slow.iter().step_by(2).copied().collect::<Vec<_>>(), id);
    let with_slow =
        round::run(contest, &contestant, (&command(options.seconds), 2), |load| watch.look(load, group, &pongs))?;
    contest.progress.say(format!("{}: waiting for the last to be closed", contestant.name));
    let end = clock::now() + clock::nanos(GRACE);
    while clock::now() < end {
        contest.load.turn(Duration::from_millis(50))?;
        watch.look(&mut contest.load, id, &pongs)?;
    }
    let rss_after_kb = proc::rss_kb(pid)?;
    let reasons = metrics(&contestant)?.unwrap_or_default().gains(&before, "carillon_disconnections_total");
    let told: Vec<Gone> = match is_carillon {
        true => serde_json::from_str::<(_,)>(&contest.ask(&contestant, "gone")?)?.0,
        false => Vec::new(),
    };
    let clients = &contest.load.group(id).clients;
    // To the client's own knowledge, which is exact, or else when the connection was found gone.
    let closed_at = |slow: &SlowClient| clients[slow.index].closed.as_ref().map(|(at, _)| *at).or(slow.closed);
    let lived = |slow: &SlowClient| Some(clock::seconds(closed_at(slow)?.saturating_sub(slow.since)));
    let late = |gone: &Gone| {
        let index: usize = gone.client.parse().ok()?;
        let closed = closed_at(watch.queues.values().find(|slow| slow.index == index)?)?;
        Some((gone.at as f64 - closed as f64) / 1e6)
    };
    let p99 = |round: &Round| Some(round.latency?.p99);
    let outcome = Outcome {
        p99_ratio: p99(&with_slow).zip(p99(&baseline)).map(|(with, without)| with / without),
        slow: slow.len(),
        closed: watch.queues.values().filter(|slow| closed_at(slow).is_some()).count(),
        closed_after: Figure::of(watch.queues.values().filter_map(lived)),
        told_after_ms: Figure::of(told.iter().filter_map(late)),
        rss_before_kb,
        rss_peak_kb: watch.rss_peak_kb,
        rss_after_kb,
        peak_kb_per_slow: (watch.rss_peak_kb as f64 - rss_before_kb as f64) / slow.len().max(1) as f64,
        reasons,
        server: contestant.name,
        baseline,
        with_slow,
    };
    contest.load.hang_up(id);
    Ok(outcome)
}

impl Watch {
    fn look(&mut self, load: &mut Load, group: usize, pongs: &[usize]) -> Result<()> {
        let now = clock::now();
        if now - self.ponged > PONG {
            self.ponged = now;
            for index in pongs {
                if load.group(group).clients[*index].stage == Stage::Ready {
                    load.say(group, *index, "3");
                }
            }
        }
        if now - self.looked < LOOK {
            return Ok(());
        }
        self.looked = now;
        self.rss_peak_kb = self.rss_peak_kb.max(proc::rss_kb(self.pid)?);
        let queued = proc::send_queues(self.server_port)?;
        for (port, slow) in &mut self.queues {
            match queued.get(port) {
                Some(bytes) if *bytes != slow.queued => (slow.queued, slow.since) = (*bytes, now),
                Some(_) => {}
                // A client that does not read may never hear of it, so the server's side is what counts.
                None => slow.closed = slow.closed.or(Some(now)),
            }
        }
        Ok(())
    }
}

fn text(outcomes: &[Outcome], options: &Slow) -> String {
    let mut table = Table::new(&[
        "server",
        "missing",
        "p99 ms before",
        "p99 ms with",
        "ratio",
        "closed",
        "after s",
        "at most",
        "told ms at most",
        "KB/slow at peak",
        "RSS MB before",
        "after",
    ]);
    let ms = |round: &Round| number(round.latency.map_or(f64::NAN, |latency| latency.p99 / 1e3));
    let mb = |kb: u64| number(kb as f64 / 1024.0);
    for outcome in outcomes {
        let missing = (outcome.with_slow.messages * (options.clients - options.slow) as u64)
            .saturating_sub(outcome.with_slow.deliveries);
        table.row([
            outcome.server.clone(),
            missing.to_string(),
            ms(&outcome.baseline),
            ms(&outcome.with_slow),
            outcome.p99_ratio.map_or_else(|| "-".to_owned(), number),
            format!("{}/{}", outcome.closed, outcome.slow),
            figure(outcome.closed_after).trim_start_matches('~').to_owned(),
            outcome.closed_after.map_or_else(|| "-".to_owned(), |figure| number(figure.max)),
            outcome.told_after_ms.map_or_else(|| "-".to_owned(), |figure| number(figure.max)),
            number(outcome.peak_kb_per_slow),
            mb(outcome.rss_before_kb),
            mb(outcome.rss_after_kb),
        ]);
    }
    let Slow { clients, slow, payload, rate, seconds, .. } = options;
    format!(
        "Slow: {slow} of {clients} clients stop reading, {payload} bytes at {rate} broadcasts a second for {seconds} s\n{}",
        table.text()
    )
}

fn notes(outcomes: &[Outcome]) -> Vec<String> {
    let reasons = outcomes.iter().filter(|outcome| !outcome.reasons.is_empty());
    let shown = |(labels, count): &(String, f64)| format!("{count} {labels}");
    reasons
        .map(|outcome| {
            format!("{} closed {}", outcome.server, outcome.reasons.iter().map(shown).collect::<Vec<_>>().join(", "))
        })
        .collect()
}

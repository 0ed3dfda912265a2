//! One round of one server: it publishes, every delivery is checked, and its processor time is read before and after.

use std::time::Duration;

use serde::Serialize;

use super::contest::{Contest, Contestant, Driver};
use super::driven::Driven;
use crate::load::Load;
use crate::machine::proc::{self, Cpu};
use crate::peers::Server;
use crate::peers::protocol::{Mode, Run};
use crate::report::stats::Latency;
use crate::{Result, clock};

/// Milestones of a flood in one window: after each the server may publish so much more.
const MILESTONES: u64 = 8;
/// In a flood one message in so many is timed.
const SAMPLE: u64 = 64;
/// How long nothing may arrive before what is missing counts as lost.
const SILENCE: u64 = 5_000_000_000;
/// How long after its end a round is still measured, while what was published arrives.
const DRAIN: u64 = 10_000_000_000;
/// How long after that the server may take to come to rest, before it is stopped.
const REST: u64 = 60_000_000_000;
/// Threads whose part of the work is told.
const SHARE: f64 = 0.02;

/// What one round measured.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Round {
    pub(crate) server: String,
    pub(crate) mode: Mode,
    pub(crate) round: usize,
    /// Messages the floor was told to put into one write.
    pub(crate) batch: u64,
    pub(crate) messages: u64,
    pub(crate) deliveries: u64,
    pub(crate) seconds: f64,
    pub(crate) cpu: Option<Cpu>,
    /// The server's processor time for each delivery, in microseconds.
    pub(crate) us_per_delivery: Option<f64>,
    pub(crate) deliveries_per_second: f64,
    /// Messages for each TCP segment that carried data: what left in one write.
    pub(crate) messages_per_write: Option<f64>,
    pub(crate) latency: Option<Latency>,
    pub(crate) rss_kb: Option<u64>,
    /// The threads that did the work, and which part of it.
    pub(crate) threads: Vec<(String, f64)>,
    /// Deliveries that never came, and those that came twice or out of order.
    pub(crate) lost: u64,
    pub(crate) disorder: u64,
    /// False when a paced server published less than it should have, or delivered it much too late. Its figures hold.
    pub(crate) kept_up: bool,
    /// What went wrong; the round counts only when this is empty.
    pub(crate) mistakes: Vec<String>,
}

/// What is read of a server before and after a round.
struct Reading {
    cpu: Option<Cpu>,
    threads: std::collections::HashMap<u32, (String, Cpu)>,
    segments: Option<u64>,
    at: u64,
}

impl Reading {
    fn of(contestant: &Contestant) -> Result<Self> {
        let (cpu, threads) = match contestant.pid {
            Some(pid) => (Some(proc::cpu(pid)?), proc::threads(pid)?),
            None => (None, Default::default()),
        };
        Ok(Self { cpu, threads, segments: proc::segments().ok(), at: clock::now() })
    }
}

/// What counts in a round, as of its end.
struct Measured {
    after: Reading,
    deliveries: u64,
    latency: Option<Latency>,
}

impl Measured {
    fn of(load: &mut Load, contestant: &Contestant) -> Result<Self> {
        let after = Reading::of(contestant)?;
        let tally = &load.group(contestant.group).tally;
        Ok(Self { after, deliveries: tally.messages, latency: Latency::of(&tally.latency) })
    }
}

/// Runs a round; `each` is called about every 50 ms, for whatever else there is to watch or to do.
pub(crate) fn run(
    contest: &mut Contest,
    contestant: &Contestant,
    (run, round): (&Run, usize),
    each: impl FnMut(&mut Load) -> Result<()>,
) -> Result<Round> {
    contest.progress.say(format!("{} {}", contestant.name, run.mode));
    let id = contestant.group;
    let counting = match run.mode {
        Mode::Flood => (SAMPLE, (run.window / MILESTONES).max(1)),
        Mode::Paced => (1, u64::MAX),
    };
    contest.load.group(id).begin(counting, run.shape);
    contest.load.group(id).heard(0);
    let before = Reading::of(contestant)?;
    let mut driven = Driven::start(&mut contest.load, contestant, run)?;
    let cut = watch(contest, contestant, (&mut driven, run), each)?;
    let load = &mut contest.load;
    let is_cut = cut.is_some();
    let measured = cut.map_or_else(|| Measured::of(load, contestant), Ok)?;
    let total = driven.total(load);
    let mistakes = mistakes(load, contestant, total, driven.broken.take());
    let tally = &load.group(id).tally;
    let Measured { after, deliveries, latency } = measured;
    let cpu = after.cpu.zip(before.cpu).map(|(after, before)| after.since(before));
    let in_time = !is_cut && after.at <= driven.start + run.limit() && total >= Some(run.paced_messages());
    let seconds = clock::seconds(after.at - before.at);
    let segments = after.segments.zip(before.segments).map(|(after, before)| after - before);
    Ok(Round {
        server: contestant.name.clone(),
        mode: run.mode,
        round,
        batch: run.batch,
        messages: total.unwrap_or(deliveries / tally.clients.max(1)),
        deliveries,
        seconds,
        cpu,
        us_per_delivery: cpu.map(|cpu| cpu.total() * 1e6 / deliveries as f64),
        deliveries_per_second: deliveries as f64 / seconds,
        messages_per_write: segments.map(|segments| deliveries as f64 / segments as f64),
        latency,
        // A server that has ended has none.
        rss_kb: contestant.pid.and_then(|pid| proc::rss_kb(pid).ok()),
        threads: shares(&before, &after),
        kept_up: run.mode == Mode::Flood || in_time,
        lost: total.map_or(0, |total| tally.missing(total)),
        disorder: tally.disorder,
        mistakes,
    })
}

/// Lets the round happen; what it measured, when the server was so far behind that it had to be measured as it was.
fn watch(
    contest: &mut Contest,
    contestant: &Contestant,
    (driven, run): (&mut Driven<'_>, &Run),
    mut each: impl FnMut(&mut Load) -> Result<()>,
) -> Result<Option<Measured>> {
    let Contest { load, progress, options, .. } = contest;
    // On one machine it is the sender who pays for waking a reader, and pays it the more often the slower it is; a client on
    // another machine costs it nothing. So where the load has cores of its own it stays awake.
    let awake = run.mode == Mode::Paced && !options.load_cores.iter().any(|core| options.server_cores.contains(core));
    let (mut told, mut heard) = (0, (0, clock::now()));
    let mut ticked = clock::now();
    let mut cut = None;
    loop {
        let wait = driven.publish(load, run);
        load.turn(if awake { Duration::ZERO } else { wait })?;
        let tally = &load.group(contestant.group).tally;
        let (messages, seen) = (tally.messages, tally.seen());
        if run.mode == Mode::Flood && seen > told {
            told = seen;
            driven.seen(load, seen);
        }
        let now = clock::now();
        if messages > heard.0 {
            heard = (messages, now);
        }
        if now - ticked > 50_000_000 {
            progress.spent(clock::seconds(now - ticked));
            ticked = now;
            each(load)?;
        }
        if driven.is_over(load) || now.saturating_sub(heard.1.max(driven.quiet_until)) > SILENCE {
            return Ok(cut);
        }
        // A server that is this far behind is measured as it is; the next round must not find it at work.
        if cut.is_none() && now > driven.quiet_until + DRAIN {
            cut = Some(Measured::of(load, contestant)?);
            progress.say(format!("{} {}: waiting for what is left", contestant.name, run.mode));
        }
        if now > driven.quiet_until + DRAIN + REST {
            contestant.server.iter().for_each(Server::stop);
            driven.broken = Some("was still at work a minute later, and has been stopped".to_owned());
            return Ok(cut);
        }
    }
}

/// What went wrong in a round of `total` messages.
fn mistakes(load: &mut Load, contestant: &Contestant, total: Option<u64>, broken: Option<String>) -> Vec<String> {
    let group = load.group(contestant.group);
    let mut mistakes = match total {
        Some(total) => group.tally.mistakes(total),
        None if contestant.driver == Driver::Unknown => Vec::new(),
        None => vec!["the server did not say that it was done".to_owned()],
    };
    mistakes.extend(group.casualty());
    mistakes.extend(broken);
    if group.tally.messages == 0 {
        mistakes.push("nothing was delivered".to_owned());
    }
    if let (false, Some(server)) = (mistakes.is_empty(), &contestant.server) {
        mistakes.push(format!("the server's last words: {}", server.last_words()));
    }
    mistakes
}

/// The threads that did more than a trifle, busiest first.
fn shares(before: &Reading, after: &Reading) -> Vec<(String, f64)> {
    let used = |(id, (name, cpu)): (&u32, &(String, Cpu))| {
        let earlier = before.threads.get(id).map_or(Cpu::default(), |(_, cpu)| *cpu);
        (name.clone(), cpu.since(earlier).total())
    };
    let mut threads: Vec<(String, f64)> = after.threads.iter().map(used).collect();
    let all: f64 = threads.iter().map(|(_, used)| used).sum();
    threads.iter_mut().for_each(|(_, used)| *used /= all);
    threads.retain(|(_, share)| *share >= SHARE);
    threads.sort_by(|(_, a), (_, b)| b.total_cmp(a));
    threads
}

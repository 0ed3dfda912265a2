//! How soon a call is answered while everybody is flooded, and what an event with its answer costs when many come at once.

use std::thread::JoinHandle;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

use super::Measure;
use super::contest::{Contest, Contestant, Driver};
use super::metrics::Metrics;
use super::round;
use crate::cli::{Ack, Common};
use crate::load::caller::Caller;
use crate::load::shape::Shape;
use crate::machine::proc::{self, Cpu};
use crate::peers::Peer;
use crate::peers::protocol::{Mode, Run};
use crate::report::document::Part;
use crate::report::stats::{Figure, Latency};
use crate::report::table::{self, Table, figure, in_order, number};
use crate::{Result, clock};

/// How long answers may stay away before the round is given up.
const SILENCE: u64 = 5_000_000_000;
/// Priority of the thread that calls: it must not wait for the load on its core. Kept lower where that is not allowed.
const PRIORITY: i32 = -10;

/// What one round measured.
#[derive(Debug, Clone, Serialize)]
struct Outcome {
    server: String,
    round: usize,
    /// Latency of calls while nothing else happens, and while everybody is flooded.
    quiet: Option<Latency>,
    flooded: Option<Latency>,
    /// Seconds from a publish to its last delivery during the flood, mean and p99, as Carillon's own metrics tell.
    sweep: Option<(f64, f64)>,
    deliveries_per_second: Option<f64>,
    /// Answers a second when every caller sends all its events at once.
    acks_per_second: f64,
    us_per_ack: Option<f64>,
    cpu: Option<Cpu>,
    mistakes: Vec<String>,
}

impl Measure for Ack {
    fn common(&self) -> &Common {
        &self.common
    }

    fn peers(&self) -> Vec<Peer> {
        Peer::ACK.to_vec()
    }

    fn seconds(&self, servers: usize) -> f64 {
        servers as f64 * (2.0 + self.rounds as f64 * self.seconds * 2.0)
    }

    fn measure(&self, contest: &mut Contest) -> Result<Part> {
        measure(contest, self)
    }
}

/// Measures; servers take turns.
fn measure(contest: &mut Contest, options: &Ack) -> Result<Part> {
    let mut common = options.common.clone();
    if let Some(named) = &mut common.peers {
        named.retain(|peer| peer.answers());
    }
    let everybody = contest.everybody(&common, &Peer::ACK)?;
    let everybody = contest.connect_all(everybody, options.clients)?;
    let call = options.common.target.call.clone();
    let mut outcomes = Vec::new();
    for nth in 1..=options.rounds {
        for contestant in &everybody {
            let outcome = one(contest, contestant, (options, &call), nth)?;
            contest.fail(&outcome.server, &outcome.mistakes);
            outcomes.push(outcome);
        }
    }
    contest.dismiss(everybody);
    let (text, notes) = text(&outcomes, options, |server| contest.label(server));
    Part::new("ack", (options, &outcomes, &[(); 0]), (vec![text], notes))
}

fn one(contest: &mut Contest, contestant: &Contestant, (options, call): (&Ack, &str), nth: usize) -> Result<Outcome> {
    let mut outcome = Outcome {
        server: contestant.name.clone(),
        round: nth,
        quiet: None,
        flooded: None,
        sweep: None,
        deliveries_per_second: None,
        acks_per_second: 0.0,
        us_per_ack: None,
        cpu: None,
        mistakes: Vec::new(),
    };
    flush(contest, contestant, (options, call), &mut outcome)?;
    contest.progress.say(format!("{}: calls in peace", contestant.name));
    let calling = |seconds| calls(contestant, Calling { event: call, rate: options.rate, seconds });
    let calls = calling(options.seconds / 2.0);
    while !calls.is_finished() {
        contest.load.turn(Duration::from_millis(20))?;
    }
    outcome.quiet = Latency::of(&join(calls)?);
    if contestant.driver == Driver::Unknown {
        return Ok(outcome);
    }
    let is_carillon = contestant.is_carillon();
    let scrape = || is_carillon.then(|| Metrics::scrape(contestant.target.address)).transpose();
    let before = scrape()?;
    let Ack { seconds, payload: bytes, window, .. } = *options;
    let run = Run { mode: Mode::Flood, window, ..Run::paced(0.0, seconds, bytes) };
    // Called well within the flood.
    let calls = calling((seconds - 0.3).max(0.1));
    let round = round::run(contest, contestant, (&run, nth), |_| Ok(()))?;
    outcome.flooded = Latency::of(&join(calls)?);
    outcome.sweep =
        scrape()?.zip(before).and_then(|(after, before)| after.histogram(&before, "carillon_fanout_seconds"));
    outcome.deliveries_per_second = Some(round.deliveries_per_second);
    outcome.mistakes.extend(round.mistakes);
    Ok(outcome)
}

/// What one client calls, and how often.
pub(super) struct Calling<'a> {
    pub(super) event: &'a str,
    pub(super) rate: f64,
    pub(super) seconds: f64,
}

/// One client that calls, on a thread of its own.
pub(super) fn calls(contestant: &Contestant, calling: Calling<'_>) -> JoinHandle<Result<Histogram<u64>>> {
    let (target, event) = (contestant.target.clone(), calling.event.to_owned());
    let Calling { rate, seconds, .. } = calling;
    std::thread::spawn(move || {
        rustix::process::nice(PRIORITY).ok();
        let mut caller = Caller::connect(&target)?;
        caller.run(&event, "{\"text\":\"dong\"}", rate, clock::now() + clock::nanos(seconds))
    })
}

/// How long each of its calls took.
pub(super) fn join(thread: JoinHandle<Result<Histogram<u64>>>) -> Result<Histogram<u64>> {
    thread.join().map_err(|_| "the caller panicked")?
}

/// Several clients send many events at once, as one does that was offline for a while.
fn flush(
    contest: &mut Contest,
    contestant: &Contestant,
    (options, call): (&Ack, &str),
    outcome: &mut Outcome,
) -> Result<()> {
    let Contest { load, progress, .. } = contest;
    progress.say(format!("{}: events with answers", contestant.name));
    let (id, callers) = (contestant.group, options.callers.min(options.clients));
    load.group(id).begin((1, u64::MAX), Shape::Plain);
    let cpu = contestant.pid.map(proc::cpu).transpose()?;
    let start = clock::now();
    let mut heard = (0, start);
    let mut wanted = 0;
    // Again and again: processor time is counted in hundredths of a second.
    while heard.0 == wanted && heard.1 < start + clock::nanos(options.seconds / 2.0) {
        wanted += options.flush * callers as u64;
        for index in 0..callers {
            for nth in 0..options.flush {
                let packet = contestant.target.dialect.call(nth, call, "{\"text\":\"dong\"}");
                load.group(id).clients[index].say(&packet);
            }
            load.group(id).clients[index].flush(clock::now());
        }
        while heard.0 < wanted && clock::now() - heard.1 < SILENCE {
            load.turn(Duration::from_millis(20))?;
            let acks = load.group(id).clients.iter().map(|client| client.acks).sum();
            if acks > heard.0 {
                heard = (acks, clock::now());
            }
        }
    }
    let acks = heard.0;
    let seconds = clock::seconds(heard.1 - start);
    outcome.cpu = contestant.pid.map(proc::cpu).transpose()?.zip(cpu).map(|(after, before)| after.since(before));
    outcome.us_per_ack = outcome.cpu.map(|cpu| cpu.total() * 1e6 / acks as f64);
    outcome.acks_per_second = acks as f64 / seconds;
    if acks != wanted {
        outcome.mistakes.push(format!("{acks} of {wanted} calls were answered"));
    }
    outcome.mistakes.extend(load.group(id).casualty());
    Ok(())
}

fn text(outcomes: &[Outcome], options: &Ack, label: impl Fn(&str) -> String) -> (String, Vec<String>) {
    let mut table = Table::new(&[
        "server",
        "acks/s",
        "us/ack",
        "spread",
        "quiet p50 ms",
        "p99 ms",
        "flooded p50 ms",
        "p99 ms",
        "sweep ms",
        "deliveries/s",
    ]);
    let mut notes = Vec::new();
    for name in in_order(outcomes.iter().map(|outcome| &*outcome.server)) {
        let of = |value: fn(&Outcome) -> Option<f64>| {
            Figure::of(outcomes.iter().filter(|outcome| outcome.server == name).filter_map(value))
        };
        let ms = |value: fn(&Outcome) -> Option<f64>| number(of(value).map_or(f64::NAN, |value| value.median / 1e3));
        let cost = of(|outcome| outcome.us_per_ack);
        let (p99, sweep) = (of(|outcome| Some(outcome.flooded?.p99)), of(|outcome| Some(outcome.sweep?.0 * 1e6)));
        table.row([
            label(name),
            figure(of(|outcome| Some(outcome.acks_per_second))),
            figure(cost),
            table::spread(cost),
            ms(|outcome| Some(outcome.quiet?.p50)),
            ms(|outcome| Some(outcome.quiet?.p99)),
            ms(|outcome| Some(outcome.flooded?.p50)),
            ms(|outcome| Some(outcome.flooded?.p99)),
            ms(|outcome| Some(outcome.sweep?.0 * 1e6)),
            figure(of(|outcome| outcome.deliveries_per_second)),
        ]);
        if let (Some(p99), Some(sweep)) = (p99, sweep) {
            notes.push(format!(
                "{name}: a call's p99 under flood is {:.2} x a sweep (mean of carillon_fanout_seconds)",
                p99.median / sweep.median
            ));
        }
    }
    let Ack { clients, flush, callers, rate, .. } = options;
    let head = format!(
        "Ack: {callers} clients send {flush} events each; {rate} calls a second, in peace and with {clients} clients flooded"
    );
    (format!("{head}\n{}", table.text()), notes)
}

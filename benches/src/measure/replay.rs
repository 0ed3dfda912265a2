//! How fast a client that comes back gets what it has missed, and what that does to deliveries meanwhile.

use serde::Serialize;

use super::Measure;
use super::contest::{Contest, Contestant};
use super::relay::{start_redis, version};
use super::round;
use crate::cli::{Common, Replay};
use crate::load::returning::{self, Left, Returned};
use crate::peers::protocol::{Mode, Run};
use crate::peers::{Peer, carillon};
use crate::report::document::Part;
use crate::report::stats::{Figure, Latency};
use crate::report::table::{Table, figure, in_order, number};
use crate::{Result, clock};

/// Seconds of each of the floods that fill the journal, and messages under way in them.
const FILLING: f64 = 0.5;
const WINDOW: u64 = 256;
/// How long filling it may take, in seconds.
const PATIENCE: f64 = 60.0;

/// What one pair of rounds measured.
#[derive(Debug, Clone, Serialize)]
struct Outcome {
    server: String,
    round: usize,
    without: Option<Latency>,
    with: Option<Latency>,
    /// Messages that came to the one that was away, and from its CONNECT to the last of them.
    replayed: u64,
    replayed_seconds: f64,
    mistakes: Vec<String>,
}

impl Measure for Replay {
    fn common(&self) -> &Common {
        &self.common
    }

    fn seconds(&self, _: usize) -> f64 {
        2.0 * (5.0 + (self.rounds * 2 + 1) as f64 * self.seconds)
    }

    fn measure(&self, contest: &mut Contest) -> Result<Part> {
        measure(contest, self)
    }

    fn missing(&self) -> Option<String> {
        version().err().map(str::to_owned)
    }
}

/// Measures with what is kept in memory, then with what is kept in Redis.
fn measure(contest: &mut Contest, options: &Replay) -> Result<Part> {
    contest.reserve(options.clients)?;
    contest.versions.insert("redis-server".to_owned(), version()?);
    let redis = start_redis(contest)?;
    let url = ("bus.url".to_owned(), format!("redis://{}", redis.address));
    let memory: Vec<_> = carillon::kept().collect();
    let mut outcomes = Vec::new();
    for (name, settings) in [("in memory", memory.clone()), ("in Redis", [memory, vec![url]].concat())] {
        let mut node = contest.start(Peer::Carillon, name, &settings)?;
        // A node has reached its journal a moment after it has started.
        contest.rest(1.0)?;
        let one = serde_json::to_string(&Run { seconds: 0.01, ..Run::paced(100.0, 0.01, options.payload) })?;
        let left = returning::leave(&node.target, &node.target.dialect.event("run", &one))?;
        contest.connect(&mut node, options.clients)?;
        fill(contest, &node, options)?;
        for nth in 1..=options.rounds {
            let outcome = one_round(contest, &node, (options, nth), &left)?;
            contest.fail(name, &outcome.mistakes);
            outcomes.push(outcome);
        }
        contest.dismiss(vec![node]);
    }
    let (text, notes) = text(&outcomes, options);
    Part::new("replay", (options, &outcomes, &[(); 0]), (vec![text], notes))
}

/// Publishes until there is enough to be missed.
fn fill(contest: &mut Contest, node: &Contestant, options: &Replay) -> Result<()> {
    let flood = Run { mode: Mode::Flood, window: WINDOW, ..Run::paced(0.0, FILLING, options.payload) };
    let (start, mut messages) = (clock::now(), 0);
    while messages < options.events {
        if clock::seconds(clock::now() - start) > PATIENCE {
            return Err(format!("{}: {messages} messages were kept in {PATIENCE} s", node.name).into());
        }
        messages += round::run(contest, node, (&flood, 0), |_| Ok(()))?.messages;
    }
    Ok(())
}

fn one_round(
    contest: &mut Contest,
    node: &Contestant,
    (options, nth): (&Replay, usize),
    left: &Left,
) -> Result<Outcome> {
    let run = Run::paced(options.rate, options.seconds, options.payload);
    let without = round::run(contest, node, (&run, nth), |_| Ok(()))?;
    let (target, left, events) = (node.target.clone(), left.clone(), options.events);
    let away = std::thread::spawn(move || returning::come_back(&target, &left, events));
    let with = round::run(contest, node, (&run, nth), |_| Ok(()))?;
    let Returned { messages, seconds } = away.join().map_err(|_| "the client that comes back panicked")??;
    let mut mistakes = [without.mistakes, with.mistakes].concat();
    if seconds > options.seconds {
        mistakes.push(format!("the replay took {seconds:.1} s, the round {}: give it more --seconds", options.seconds));
    }
    Ok(Outcome {
        server: node.name.clone(),
        round: nth,
        without: without.latency,
        with: with.latency,
        replayed: messages,
        replayed_seconds: seconds,
        mistakes,
    })
}

fn text(outcomes: &[Outcome], options: &Replay) -> (String, Vec<String>) {
    let mut table = Table::new(&["kept", "replayed/s", "p99 ms without", "with", "ratio"]);
    let mut notes = Vec::new();
    for name in in_order(outcomes.iter().map(|outcome| &*outcome.server)) {
        let all = || outcomes.iter().filter(|outcome| outcome.server == name && outcome.mistakes.is_empty());
        let of = |value: fn(&Outcome) -> Option<f64>| Figure::of(all().filter_map(value));
        let ms = |value: Option<Figure>| figure(value.map(|value| value.times(1e-3)));
        table.row([
            name.to_owned(),
            figure(of(|outcome| Some(outcome.replayed as f64 / outcome.replayed_seconds))),
            ms(of(|outcome| Some(outcome.without?.p99))),
            ms(of(|outcome| Some(outcome.with?.p99))),
            figure(of(|outcome| Some(outcome.with?.p99 / outcome.without?.p99))),
        ]);
        let rates = all().map(|outcome| number(outcome.replayed as f64 / outcome.replayed_seconds));
        notes.push(format!("{name}: replayed a second, every round: {}", rates.collect::<Vec<_>>().join(" ")));
    }
    let Replay { clients, events, payload, rate, rounds, seconds, .. } = options;
    let head = format!(
        "Replay: one client comes back for {events} messages of {payload} bytes, while {clients} others get {rate} a second; \
         {rounds} rounds of {seconds} s without and with"
    );
    (format!("{head}\n{}", table.text()), notes)
}

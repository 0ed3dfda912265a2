//! What faults of Redis do to deliveries that do not need it: a paced load inside one Carillon, without a fault and with.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use rustix::process::Signal;
use serde::Serialize;

use super::Measure;
use super::contest::{Contest, Contestant};
use super::relay::{redis_at, version};
use super::round;
use crate::cli::{Common, Faults};
use crate::peers::protocol::Run;
use crate::peers::{Peer, Server};
use crate::report::document::Part;
use crate::report::stats::{Figure, Latency};
use crate::report::table::{Table, figure, number};
use crate::{Result, clock};

/// How often subscribers are kicked.
const KICK: u64 = 500_000_000;
/// Seconds in which a Carillon has its bus again.
const REST: f64 = 3.0;

/// What becomes of Redis for a round.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Fault {
    /// Its process is killed.
    Away,
    /// Its process stands still, and its connections stay open.
    Hangs,
    /// Whoever subscribes to it is kicked again and again.
    Kicks,
}

impl Fault {
    const ALL: [Self; 3] = [Self::Away, Self::Hangs, Self::Kicks];

    fn name(self) -> &'static str {
        match self {
            Self::Away => "Redis is away",
            Self::Hangs => "Redis hangs",
            Self::Kicks => "subscribers are kicked",
        }
    }
}

/// What one pair of rounds measured.
#[derive(Debug, Clone, Serialize)]
struct Outcome {
    fault: Fault,
    round: usize,
    without: Option<Latency>,
    with: Option<Latency>,
    lost: u64,
    mistakes: Vec<String>,
}

impl Measure for Faults {
    fn common(&self) -> &Common {
        &self.common
    }

    fn seconds(&self, _: usize) -> f64 {
        let pairs = (self.rounds * Fault::ALL.len()) as f64;
        5.0 + self.seconds + pairs * (self.seconds * 2.0 + REST)
    }

    fn measure(&self, contest: &mut Contest) -> Result<Part> {
        measure(contest, self)
    }

    fn missing(&self) -> Option<String> {
        version().err().map(str::to_owned)
    }
}

fn measure(contest: &mut Contest, options: &Faults) -> Result<Part> {
    contest.reserve(options.clients)?;
    contest.versions.insert("redis-server".to_owned(), version()?);
    let address = Server::free_address()?;
    let mut redis = Some(redis_at(contest, address)?);
    let url = ("bus.url".to_owned(), format!("redis://{address}"));
    let mut node = contest.start(Peer::Carillon, "carillon", &[url])?;
    contest.connect(&mut node, options.clients)?;
    contest.rest(REST)?;
    let run = Run::paced(options.rate, options.seconds, options.payload);
    // The first turn warms it up.
    round::run(contest, &node, (&run, 0), |_| Ok(()))?;
    let mut outcomes = Vec::new();
    for nth in 1..=options.rounds {
        for fault in Fault::ALL {
            let outcome = one(contest, &node, (&run, nth), (fault, &mut redis))?;
            contest.fail(fault.name(), &outcome.mistakes);
            outcomes.push(outcome);
            contest.rest(REST)?;
        }
    }
    contest.dismiss(vec![node]);
    let (text, notes) = text(&outcomes, options);
    Part::new("faults", (options, &outcomes, &[(); 0]), (vec![text], notes))
}

/// A round without the fault and one with it; Redis is well again afterwards.
fn one(
    contest: &mut Contest,
    node: &Contestant,
    (run, nth): (&Run, usize),
    (fault, redis): (Fault, &mut Option<Server>),
) -> Result<Outcome> {
    let without = round::run(contest, node, (run, nth), |_| Ok(()))?;
    let address = redis.as_ref().ok_or("Redis is away")?.address;
    match fault {
        Fault::Away => drop(redis.take()),
        Fault::Hangs => redis.iter().for_each(|redis| redis.signal(Signal::STOP)),
        Fault::Kicks => {}
    }
    let mut kicked = 0;
    let with = round::run(contest, node, (run, nth), |_| {
        let now = clock::now();
        if fault == Fault::Kicks && now > kicked + KICK {
            kicked = now;
            kick(address)?;
        }
        Ok(())
    })?;
    match fault {
        Fault::Away => *redis = Some(redis_at(contest, address)?),
        Fault::Hangs => redis.iter().for_each(|redis| redis.signal(Signal::CONT)),
        Fault::Kicks => {}
    }
    Ok(Outcome {
        fault,
        round: nth,
        without: without.latency,
        with: with.latency,
        lost: without.lost + with.lost,
        mistakes: [without.mistakes, with.mistakes].concat(),
    })
}

/// Ends the connections of all subscribers.
fn kick(address: SocketAddr) -> Result<()> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(1)))?;
    stream.write_all(b"CLIENT KILL TYPE pubsub\r\n")?;
    let mut answer = [0; 64];
    let read = stream.read(&mut answer)?;
    if answer[..read].starts_with(b":") { Ok(()) } else { Err("Redis does not kick subscribers".into()) }
}

fn text(outcomes: &[Outcome], options: &Faults) -> (String, Vec<String>) {
    let mut table = Table::new(&["fault", "p50 ms without", "with", "p99 ms without", "with", "ratio", "lost"]);
    let mut notes = Vec::new();
    for fault in Fault::ALL {
        let all = || outcomes.iter().filter(|outcome| outcome.fault == fault && outcome.mistakes.is_empty());
        let ms = |value: fn(&Outcome) -> Option<f64>| {
            figure(Figure::of(all().filter_map(value)).map(|value| value.times(1e-3)))
        };
        let ratio = |outcome: &Outcome| Some(outcome.with?.p99 / outcome.without?.p99);
        table.row([
            fault.name().to_owned(),
            ms(|outcome| Some(outcome.without?.p50)),
            ms(|outcome| Some(outcome.with?.p50)),
            ms(|outcome| Some(outcome.without?.p99)),
            ms(|outcome| Some(outcome.with?.p99)),
            figure(Figure::of(all().filter_map(ratio))),
            all().map(|outcome| outcome.lost).sum::<u64>().to_string(),
        ]);
        let ratios = all().filter_map(ratio).map(number);
        notes.push(format!(
            "{}: p99 with / without, every round: {}",
            fault.name(),
            ratios.collect::<Vec<_>>().join(" ")
        ));
    }
    let Faults { clients, payload, rate, rounds, seconds, .. } = options;
    let head = format!(
        "Faults of Redis: {clients} clients of one Carillon on it, {rate} broadcasts of {payload} bytes a second inside it; {rounds} \
         rounds of {seconds} s without and with each"
    );
    (format!("{head}\n{}", table.text()), notes)
}

//! The standard set: everything a reader of the figures wants to know, in one run and one JSON.

use super::contest::Contest;
use super::{ack, connect, fanout, idle, ingress, overload, poll, relay, scrape, slow};
use crate::cli::{Ack, Common, Connect, Fanout, Idle, Ingress, Overload, Poll, Relay, Scrape, Slow, Suite};
use crate::load::shape::Shape;
use crate::peers::Peer;
use crate::peers::protocol::{Form, Mode};
use crate::report::document::{self, Part, Suite as Document};
use crate::report::table;
use crate::{Result, clock};

/// Deliveries a second of every paced load, however many clients share them: a quarter of a core at the floor's cost.
const DELIVERIES: f64 = 50_000.0;
/// Those that are followed as the number of clients and the payload grow.
const FOLLOWED: [Peer; 2] = [Peer::Floor, Peer::Socketioxide];

/// Every shape that can be asked for.
const SHAPES: [Shape; 6] =
    [Shape::Plain, Shape::TwoNamespaces, Shape::Rooms, Shape::Except, Shape::Client, Shape::Mixed];

/// One measurement of the set.
struct Step {
    /// What part of the report it becomes.
    name: String,
    what: What,
}

enum What {
    Fanout(Fanout),
    Idle(Idle),
    Slow(Slow),
    Relay(Relay),
    Ack(Ack),
    Ingress(Ingress),
    Connect(Connect),
    Poll(Poll),
    Scrape(Scrape),
    Overload(Overload),
}

/// How large the set is.
struct Size {
    /// Clients, where nothing else is said.
    clients: usize,
    rounds: usize,
    seconds: f64,
    idle: usize,
    sweep: &'static [usize],
    sweep_rounds: usize,
    payloads: &'static [usize],
    /// Clients of a storm, of a scrape, of a plugin without end, and those that poll.
    storm: usize,
    scraped: usize,
    overloaded: usize,
    polling: usize,
}

const STANDARD: Size = Size {
    clients: 1_000,
    rounds: 5,
    seconds: 1.5,
    idle: 10_000,
    sweep: &[100, 300, 1_000, 3_000, 10_000],
    sweep_rounds: 3,
    payloads: &[64, 1 << 10, 8 << 10, 64 << 10],
    storm: 2_000,
    scraped: 10_000,
    overloaded: 1_000,
    polling: 500,
};

const QUICK: Size = Size {
    clients: 200,
    rounds: 3,
    seconds: 0.4,
    idle: 500,
    sweep: &[20, 60, 200, 600, 2_000],
    sweep_rounds: 2,
    payloads: &[64, 1 << 10, 8 << 10, 64 << 10],
    storm: 200,
    scraped: 500,
    overloaded: 100,
    polling: 50,
};

/// Runs the set and writes its JSON.
pub(crate) fn run(options: &Suite) -> Result<bool> {
    if options.common.target.url.is_some() {
        return Err("a suite sets Carillon beside its peers: measure --target with fanout, idle, slow or ack".into());
    }
    let steps = steps(options);
    let mut contest = Contest::new(&options.common, 0.0)?;
    let present = contest.servers(&options.common, &Peer::FANOUT);
    let expected: f64 = steps.iter().map(|step| step.what.seconds(&present)).sum();
    contest.expect(expected);
    table::print(format!("suite on {}", contest.machine.line()));
    table::print(format!("{} measurements, about {:.1} minutes", steps.len(), expected / 60.0));
    let start = clock::now();
    let mut parts = Vec::new();
    for (nth, Step { name, what }) in steps.iter().enumerate() {
        let begun = clock::now();
        match what.measure(&mut contest) {
            Ok(Some(part)) => {
                let seconds = clock::seconds(clock::now() - begun);
                contest.progress.note(&format!("{:>2} of {}: {name}: {seconds:.1} s", nth + 1, steps.len()));
                parts.push(Part { name: name.clone(), seconds, ..part });
            }
            Ok(None) => {}
            Err(error) => contest.fail(name, &[error.to_string()]),
        }
    }
    contest.progress.finish();
    let seconds = clock::seconds(clock::now() - start);
    let Contest { machine, versions, left_out, failures, options: servers, .. } = contest;
    let well = failures.is_empty();
    let at = machine.at.clone();
    let document = Document {
        bench: "suite".to_owned(),
        machine,
        versions,
        quick: options.quick,
        expected_seconds: expected,
        seconds,
        left_out,
        failures,
        parts,
    };
    let file = document::write(&document, ("suite", &at), &servers.directory)?;
    table::print(format!("{:.1} minutes, {} failures\n{}", seconds / 60.0, document.failures.len(), file.display()));
    Ok(well)
}

impl What {
    /// About how long it takes with those servers that are there.
    fn seconds(&self, present: &[Peer]) -> f64 {
        let among = |common: &Common| common.servers(&[]).iter().filter(|peer| present.contains(peer)).count();
        match self {
            Self::Fanout(options) => fanout::seconds(options, among(&options.common)),
            Self::Idle(options) => idle::seconds(options, among(&options.common)),
            Self::Slow(options) => slow::seconds(options, among(&options.common)),
            Self::Relay(options) => relay::seconds(options),
            Self::Ack(options) => ack::seconds(options, among(&options.common)),
            Self::Ingress(options) => ingress::seconds(options, among(&options.common)),
            Self::Connect(options) => connect::seconds(options, among(&options.common)),
            Self::Poll(options) => poll::seconds(options, among(&options.common)),
            Self::Scrape(options) => scrape::seconds(options, among(&options.common)),
            Self::Overload(options) => overload::seconds(options, among(&options.common)),
        }
    }

    /// `None` when what it needs is not there.
    fn measure(&self, contest: &mut Contest) -> Result<Option<Part>> {
        match self {
            Self::Fanout(options) => fanout::measure(contest, options),
            Self::Idle(options) => idle::measure(contest, options),
            Self::Slow(options) => slow::measure(contest, options),
            Self::Relay(options) => match relay::missing() {
                Some(missing) => {
                    contest.leave_out("relay", &missing);
                    return Ok(None);
                }
                None => relay::measure(contest, options),
            },
            Self::Ack(options) => ack::measure(contest, options),
            Self::Ingress(options) => ingress::measure(contest, options),
            Self::Connect(options) => connect::measure(contest, options),
            Self::Poll(options) => poll::measure(contest, options),
            Self::Scrape(options) => scrape::measure(contest, options),
            Self::Overload(options) => overload::measure(contest, options),
        }
        .map(Some)
    }
}

/// What is measured, in this order: the main job first.
fn steps(options: &Suite) -> Vec<Step> {
    let size = if options.quick { QUICK } else { STANDARD };
    let named = options.common.peers.clone().unwrap_or_else(|| Peer::FANOUT.to_vec());
    let among = |wanted: &[Peer]| Common {
        peers: Some(named.iter().copied().filter(|peer| wanted.contains(peer)).collect()),
        ..options.common.clone()
    };
    let mut steps = main_job(&size, &among);
    steps.extend(deliveries(&size, &among));
    steps.extend(growth(&size, &among));
    steps.extend(trouble(&size, &among));
    steps
}

/// Messages through Redis, events from clients, and messages that do not go to everybody.
fn main_job(size: &Size, among: &impl Fn(&[Peer]) -> Common) -> Vec<Step> {
    let Size { clients, rounds, seconds, sweep_rounds, .. } = *size;
    let relay = Relay {
        clients: 10,
        payload: 128,
        flood: false,
        messages: 2_000,
        rate: 1_000.0,
        rounds: 3,
        seconds: seconds * 1.3,
        common: among(&[]),
    };
    let relay_flood = Relay { flood: true, clients, rounds, ..relay.clone() };
    let ingress = Ingress {
        clients: vec![10, 100, clients],
        in_flight: vec![1, 16, 64],
        acked_only: false,
        payload: 64,
        rounds: sweep_rounds,
        seconds: seconds / 3.0,
        common: among(&Peer::ACK),
    };
    let common = among(&[&[Peer::Floor][..], &Peer::SHAPES].concat());
    let fanout = fanout(size, common);
    let shapes = Fanout { shape: SHAPES.to_vec(), rounds: sweep_rounds, seconds: seconds * 0.6, ..fanout };
    vec![
        step("relay-flood", What::Relay(relay_flood)),
        step("relay", What::Relay(relay)),
        step("ingress", What::Ingress(ingress)),
        step("shapes", What::Fanout(shapes)),
    ]
}

/// Everybody side by side, and clients that poll.
fn deliveries(size: &Size, among: &impl Fn(&[Peer]) -> Common) -> Vec<Step> {
    let idle =
        Idle { clients: size.idle, seconds: 1.0, rounds: 2, settle: 1.5, broadcasts: 0.0, common: among(&Peer::IDLE) };
    let poll = Poll {
        clients: size.polling,
        payload: 128,
        rate: 2_000.0 / size.polling as f64,
        window: 16,
        rounds: size.sweep_rounds,
        seconds: size.seconds * 0.6,
        common: among(&Peer::ACK),
    };
    vec![
        step("peers", What::Fanout(fanout(size, among(&Peer::FANOUT)))),
        step("memory", What::Idle(idle)),
        step("poll", What::Poll(poll)),
    ]
}

/// What becomes of deliveries as clients come and messages grow.
fn growth(size: &Size, among: &impl Fn(&[Peer]) -> Common) -> Vec<Step> {
    let followed = Fanout {
        rounds: size.sweep_rounds,
        seconds: size.seconds.min(1.2),
        batches: Vec::new(),
        ..fanout(size, among(&FOLLOWED))
    };
    // The window of the largest step for all: what is compared is the number of clients, and nothing else.
    let most = size.sweep.iter().copied().max().unwrap_or(size.clients);
    let window = fanout::window(&Fanout { clients: most, ..followed.clone() });
    let clients = size.sweep.iter().map(|clients| {
        let rate = DELIVERIES / *clients as f64;
        step("clients", What::Fanout(Fanout { clients: *clients, rate, window, ..followed.clone() }))
    });
    let payloads = size.payloads.iter().map(|payload| {
        let seconds = size.seconds.min(1.0);
        let flood = Fanout { mode: vec![Mode::Flood], payload: *payload, seconds, ..followed.clone() };
        step("payload", What::Fanout(flood))
    });
    clients.chain(payloads).collect()
}

/// Connections that come and go, clients that do not read, floods beside calls, and a plugin without end.
fn trouble(size: &Size, among: &impl Fn(&[Peer]) -> Common) -> Vec<Step> {
    let Size { clients, seconds, .. } = *size;
    let connect = Connect {
        clients: size.storm,
        at_once: 64,
        rounds: size.sweep_rounds,
        stay: size.storm / 20,
        rate: 100.0,
        seconds: seconds * 2.0,
        common: among(&Peer::ACK),
    };
    let scrape = Scrape {
        clients: size.scraped,
        payload: 128,
        rate: DELIVERIES / 2.0 / size.scraped as f64,
        rounds: size.sweep_rounds,
        seconds: seconds * 1.5,
        every: 0,
        common: among(&[]),
    };
    let overload = Overload {
        clients: size.overloaded,
        payload: 64 << 10,
        seconds: seconds * 5.0,
        form: vec![Form::Publish, Form::Wait],
        others: 100,
        rate: 50.0,
        calls: 100.0,
        common: among(&[]),
    };
    let slow = Slow {
        clients: clients / 2,
        slow: clients / 20,
        payload: 8 << 10,
        rate: 100.0,
        seconds: 10.0,
        baseline: 3.0,
        common: among(&[]),
    };
    let ack = Ack {
        clients,
        payload: 128,
        rate: 100.0,
        flush: 3_000,
        callers: 10,
        rounds: 3,
        seconds,
        window: 1_000,
        common: among(&Peer::ACK),
    };
    vec![
        step("connect", What::Connect(connect)),
        step("scrape", What::Scrape(scrape)),
        step("overload", What::Overload(overload)),
        step("slow", What::Slow(slow)),
        step("ack", What::Ack(ack)),
    ]
}

/// A flood and a paced load for these.
fn fanout(size: &Size, common: Common) -> Fanout {
    let Size { clients, rounds, seconds, .. } = *size;
    Fanout {
        mode: vec![Mode::Flood, Mode::Paced],
        clients,
        payload: 128,
        rate: DELIVERIES / clients as f64,
        rounds,
        seconds,
        window: 1_000,
        burst: 0,
        shape: Vec::new(),
        batches: vec![1, 20, 200],
        common,
    }
}

fn step(name: &str, what: What) -> Step {
    Step { name: name.to_owned(), what }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, What as Command};

    fn suite(line: &str) -> Suite {
        match Cli::try_parse_from(line.split(' ')).unwrap().what {
            Command::Suite(suite) => suite,
            _ => unreachable!(),
        }
    }

    /// With eight servers the runs leave five of twenty-five minutes for building.
    #[test]
    fn the_standard_set_keeps_its_time() {
        let eight = [&[Peer::Carillon][..], &Peer::FANOUT].concat();
        let options = suite("b suite");
        let mut seconds = 0.0;
        for step in steps(&options) {
            seconds += match &step.what {
                What::Fanout(fanout) if step.name == "peers" => fanout::seconds(fanout, eight.len()),
                What::Idle(idle) => idle::seconds(idle, eight.len() - 1),
                what => what.seconds(&eight),
            };
        }
        assert!((300.0..1_200.0).contains(&seconds), "{seconds} s");
    }

    /// Sweeps keep deliveries a second the same, and only those who were asked for take part.
    #[test]
    fn sweeps() {
        for step in steps(&suite("b suite --peers floor,node")) {
            if let What::Fanout(fanout) = &step.what {
                assert_eq!(fanout.rate * fanout.clients as f64, DELIVERIES);
                let servers = fanout.common.servers(&[]);
                let all = ["peers", "shapes"].contains(&&*step.name);
                assert_eq!(servers.contains(&Peer::Node), all, "{}", step.name);
                assert!(servers.contains(&Peer::Floor) && servers[0] == Peer::Carillon);
            }
        }
    }
}

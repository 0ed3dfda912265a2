//! The standard set: everything a reader of the figures wants to know, in one run and one JSON.

use super::contest::Contest;
use super::{ack, fanout, idle, ingress, relay, slow};
use crate::cli::{Ack, Common, Fanout, Idle, Ingress, Relay, Slow, Suite};
use crate::peers::Peer;
use crate::peers::protocol::Mode;
use crate::peers::shape::Shape;
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
}

const STANDARD: Size = Size {
    clients: 1_000,
    rounds: 5,
    seconds: 1.5,
    idle: 5_000,
    sweep: &[100, 300, 1_000, 3_000, 10_000],
    sweep_rounds: 3,
    payloads: &[64, 1 << 10, 8 << 10, 64 << 10],
};

const QUICK: Size = Size {
    clients: 200,
    rounds: 3,
    seconds: 0.4,
    idle: 500,
    sweep: &[20, 60, 200, 600, 2_000],
    sweep_rounds: 2,
    payloads: &[64, 1 << 10, 8 << 10, 64 << 10],
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
        }
        .map(Some)
    }
}

/// What is measured, in this order.
fn steps(options: &Suite) -> Vec<Step> {
    let size = if options.quick { QUICK } else { STANDARD };
    let Size { clients, rounds, seconds, .. } = size;
    let named = options.common.peers.clone().unwrap_or_else(|| Peer::FANOUT.to_vec());
    let among = |wanted: &[Peer]| Common {
        peers: Some(named.iter().copied().filter(|peer| wanted.contains(peer)).collect()),
        ..options.common.clone()
    };
    let everybody = among(&Peer::FANOUT);
    let fanout = Fanout {
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
        common: everybody.clone(),
    };
    let followed = Fanout {
        rounds: size.sweep_rounds,
        seconds: seconds.min(1.2),
        batches: Vec::new(),
        common: among(&FOLLOWED),
        ..fanout.clone()
    };
    let idle =
        Idle { clients: size.idle, seconds: 1.0, rounds: 2, settle: 1.5, broadcasts: 0.0, common: among(&Peer::IDLE) };
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
        rounds: size.sweep_rounds,
        seconds: seconds / 3.0,
        common: among(&Peer::ACK),
    };
    let shapes = Fanout { shape: SHAPES.to_vec(), common: among(&[Peer::Floor]), ..fanout.clone() };
    let mut steps = vec![
        step("relay-flood", What::Relay(relay_flood)),
        step("relay", What::Relay(relay)),
        step("ingress", What::Ingress(ingress)),
        step("shapes", What::Fanout(shapes)),
        step("peers", What::Fanout(fanout)),
        step("memory", What::Idle(idle)),
    ];
    // The window of the largest step for all: what is compared is the number of clients, and nothing else.
    let most = size.sweep.iter().copied().max().unwrap_or(clients);
    let window = fanout::window(&Fanout { clients: most, ..followed.clone() });
    for clients in size.sweep {
        let rate = DELIVERIES / *clients as f64;
        steps.push(step("clients", What::Fanout(Fanout { clients: *clients, rate, window, ..followed.clone() })));
    }
    for payload in size.payloads {
        let flood =
            Fanout { mode: vec![Mode::Flood], payload: *payload, seconds: seconds.min(1.0), ..followed.clone() };
        steps.push(step("payload", What::Fanout(flood)));
    }
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
    steps.extend([step("slow", What::Slow(slow)), step("ack", What::Ack(ack))]);
    steps
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

    /// With eight servers the runs leave eight of twenty-five minutes for building.
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
        assert!((300.0..1_020.0).contains(&seconds), "{seconds} s");
    }

    /// Sweeps keep deliveries a second the same, and only those who were asked for take part.
    #[test]
    fn sweeps() {
        for step in steps(&suite("b suite --peers floor,node")) {
            if let What::Fanout(fanout) = &step.what {
                assert_eq!(fanout.rate * fanout.clients as f64, DELIVERIES);
                let servers = fanout.common.servers(&[]);
                assert_eq!(servers.contains(&Peer::Node), step.name == "peers", "{}", step.name);
                assert!(servers.contains(&Peer::Floor) && servers[0] == Peer::Carillon);
            }
        }
    }
}

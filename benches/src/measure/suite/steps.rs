//! What the standard set consists of, and how large each part is.

use super::super::{Measure, fanout};
use crate::cli::{
    Ack, Common, Connect, Fanout, Idle, Ingress, Nodes, Overload, Poll, Relay, Replay, Scrape, Slow, Suite,
};
use crate::load::shape::Shape;
use crate::peers::Peer;
use crate::peers::protocol::{Form, Mode};

/// Deliveries a second of every paced load, however many clients share them: a quarter of a core at the floor's cost.
const DELIVERIES: f64 = 50_000.0;
/// Those that are followed as the number of clients and the payload grow.
const FOLLOWED: [Peer; 2] = [Peer::Floor, Peer::Socketioxide];

/// Every shape that can be asked for.
const SHAPES: [Shape; 6] =
    [Shape::Plain, Shape::TwoNamespaces, Shape::Rooms, Shape::Except, Shape::Client, Shape::Mixed];

/// One measurement of the set.
pub(super) struct Step {
    /// What part of the report it becomes.
    pub(super) name: String,
    pub(super) what: Box<dyn Measure>,
}

impl Step {
    /// About how long it takes with those servers that are there.
    pub(super) fn seconds(&self, present: &[Peer]) -> f64 {
        let servers = self.what.common().servers(&[]);
        self.what.seconds(servers.iter().filter(|peer| present.contains(peer)).count())
    }
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
    /// Messages that a client that comes back has missed.
    missed: u64,
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
    missed: 100_000,
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
    missed: 5_000,
};

/// Who takes part unless somebody is named.
pub(super) fn everybody() -> Vec<Peer> {
    [&Peer::FANOUT[..], &Peer::GUARDED].concat()
}

/// What is measured, in this order: the main job first.
pub(super) fn steps(options: &Suite) -> Vec<Step> {
    let size = if options.quick { QUICK } else { STANDARD };
    let named = options.common.peers.clone().unwrap_or_else(everybody);
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

/// Messages through Redis and between nodes, what is kept, events from clients, and messages that do not go to everybody.
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
    let nodes = Nodes {
        nodes: vec![1, 2],
        shape: vec![Shape::Plain],
        journal: true,
        clients: 10,
        payload: 128,
        rate: 1_000.0,
        rounds: sweep_rounds,
        seconds,
        common: among(&[]),
    };
    let replay = Replay {
        events: size.missed,
        clients: 100,
        payload: 128,
        rate: 100.0,
        rounds: sweep_rounds,
        seconds: seconds * 2.0,
        common: among(&[]),
    };
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
        step("relay-flood", relay_flood),
        step("relay", relay),
        step("nodes", nodes),
        step("replay", replay),
        step("ingress", ingress),
        step("shapes", shapes),
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
    let (rounds, seconds) = (size.sweep_rounds, size.seconds * 0.6);
    let guarded = Fanout { batches: Vec::new(), rounds, seconds, ..fanout(size, among(&Peer::GUARDED)) };
    vec![
        step("peers", fanout(size, among(&Peer::FANOUT))),
        step("memory", idle),
        step("poll", poll),
        step("guarded", guarded),
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
        step("clients", Fanout { clients: *clients, rate: DELIVERIES / *clients as f64, window, ..followed.clone() })
    });
    let payloads = size.payloads.iter().map(|payload| {
        let seconds = size.seconds.min(1.0);
        let flood = Fanout { mode: vec![Mode::Flood], payload: *payload, seconds, ..followed.clone() };
        step("payload", flood)
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
        seconds,
        common: among(&[&Peer::ACK[..], &[Peer::Tokens]].concat()),
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
        step("connect", connect),
        step("scrape", scrape),
        step("overload", overload),
        step("slow", slow),
        step("ack", ack),
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

fn step(name: &str, what: impl Measure + 'static) -> Step {
    Step { name: name.to_owned(), what: Box::new(what) }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, What};

    fn suite(line: &str) -> Suite {
        match Cli::try_parse_from(line.split(' ')).unwrap().what {
            What::Suite(suite) => suite,
            _ => unreachable!(),
        }
    }

    /// With all servers the runs leave three of twenty-five minutes for building.
    #[test]
    fn the_standard_set_keeps_its_time() {
        let all = [vec![Peer::Carillon], everybody()].concat();
        let seconds: f64 = steps(&suite("b suite")).iter().map(|step| step.seconds(&all)).sum();
        assert!((300.0..1_320.0).contains(&seconds), "{seconds} s");
    }

    /// Only those who were asked for take part, Carillon first, and only where they can.
    #[test]
    fn who_takes_part() {
        for step in steps(&suite("b suite --peers floor,node")) {
            let servers = step.what.common().servers(&[]);
            let followed = ["clients", "payload"].contains(&&*step.name);
            assert_eq!(servers[0], Peer::Carillon);
            assert!(servers.iter().all(|peer| [Peer::Carillon, Peer::Floor, Peer::Node].contains(peer)));
            assert!(!followed || servers == [Peer::Carillon, Peer::Floor], "{}", step.name);
            assert_eq!(servers.contains(&Peer::Floor), followed || ["peers", "shapes"].contains(&&*step.name));
        }
    }
}

//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

mod common;
mod options;
mod redis;

pub(crate) use self::common::Common;
pub(crate) use self::options::{Ack, Connect, Fanout, Idle, Ingress, Overload, Poll, Scrape, Slow};
pub(crate) use self::redis::{Faults, Nodes, Relay, Replay};

/// Measures what it costs Carillon to send messages to many clients, beside its peers and beside what the kernel alone
/// takes. Servers are child processes on cores of their own; the load is raw sockets on another core, checks that
/// every message arrives once and in order, and exits with 1 when one does not.
#[derive(Debug, Parser)]
#[command(name = "carillon-benches", version, after_help = EXAMPLES)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) what: What,
}

const EXAMPLES: &str = "Examples:
  carillon-benches fanout                           Carillon, the floor and all peers side by side
  carillon-benches fanout --mode paced --peers none --seconds 2 --rounds 3
  carillon-benches fanout --target http://10.0.0.7:3000 --namespace / --event news --publish post
  carillon-benches idle --clients 15000 --peers none";

#[derive(Debug, Subcommand)]
pub(crate) enum What {
    /// What a delivery costs: floods, and a paced load with its latency
    Fanout(Fanout),
    /// What an idle connection costs in memory, and whether everything is given back
    Idle(Idle),
    /// What clients that do not read do to those that do, and what becomes of them
    Slow(Slow),
    /// What a message from Redis costs beyond one published inside the server
    Relay(Relay),
    /// What a publish costs on several Carillons that share a Redis, and how soon it is with a client of another one
    Nodes(Nodes),
    /// What faults of Redis do to deliveries that do not need it
    Faults(Faults),
    /// How fast a client that comes back gets what it has missed, and what that does to deliveries meanwhile
    Replay(Replay),
    /// What an event from a client costs, by clients and by events under way, acked and not
    Ingress(Ingress),
    /// What a connection costs to make and to close, and how soon all are back after a mass drop
    Connect(Connect),
    /// What a delivery and an event cost with clients that poll
    Poll(Poll),
    /// What a scrape of /metrics costs, and what it does to deliveries meanwhile
    Scrape(Scrape),
    /// What a plugin that publishes without end does to memory and to everybody else
    Overload(Overload),
    /// All of these in one run, the standard set: one JSON with every raw round
    Suite(Suite),
    /// Tables, plots and the page of the documentation from the JSON of a suite
    Report(Report),
    /// How soon a call is answered while everybody is flooded, and what an event with its answer costs
    Ack(Ack),
    /// The floor as a server
    #[command(hide = true)]
    ServeFloor(Serve),
    /// Bare socketioxide as a server
    #[command(hide = true)]
    ServeSocketioxide(Serve),
}

#[derive(Debug, Args)]
pub(crate) struct Serve {
    pub(crate) address: SocketAddr,
    pub(crate) workers: usize,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct Suite {
    /// The same in miniature: shows in two minutes that everything works, and measures nothing worth telling
    #[arg(long)]
    pub(crate) quick: bool,
    #[command(flatten)]
    pub(crate) common: Common,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct Report {
    /// The JSON of a suite [default: the newest below target/bench, or else that of the page]
    #[arg(value_name = "FILE")]
    pub(crate) suite: Option<PathBuf>,
    /// Write the generated parts of FOLDER/benchmarks.md and FOLDER/benchmarks/ too
    #[arg(long, value_name = "FOLDER")]
    pub(crate) docs: Option<PathBuf>,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::peers::Peer;

    fn common(line: &str) -> Common {
        match Cli::try_parse_from(line.split(' ')).unwrap().what {
            What::Fanout(fanout) => fanout.common,
            _ => unreachable!(),
        }
    }

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn whom_to_measure() {
        let default = [Peer::Floor, Peer::Node];
        let servers = |line: &str| common(line).servers(&default);
        assert_eq!(servers("b fanout"), [Peer::Carillon, Peer::Floor, Peer::Node]);
        assert_eq!(servers("b fanout --peers none"), [Peer::Carillon]);
        assert_eq!(servers("b fanout --peers floor,carillon --without-carillon"), [Peer::Floor, Peer::Carillon]);
        assert_eq!(servers("b fanout --target http://h:1"), []);
        assert_eq!(servers("b fanout --target http://h:1 --peers carillon"), [Peer::Carillon]);
        let engines = servers("b fanout --peers none --engine socketioxide,carillon");
        assert_eq!(engines, [Peer::OnSocketioxide, Peer::Carillon]);
        assert_eq!(common("b fanout --set a.b=c=d").settings, [("a.b".to_owned(), "c=d".to_owned())]);
    }

    #[test]
    fn wrong_lines_are_refused() {
        for line in ["b fanout --payload 3", "b fanout --event x", "b fanout --mode fast", "b fanout --set x", "b"] {
            assert!(Cli::try_parse_from(line.split(' ')).is_err(), "{line}");
        }
    }
}

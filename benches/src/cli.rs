//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use serde::Serialize;

use crate::load::mark;
use crate::machine;
use crate::peers::protocol::Mode;
use crate::peers::shape::Shape;
use crate::peers::{Options, Peer};

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
    /// What an event from a client costs, by clients and by events under way, acked and not
    Ingress(Ingress),
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

/// What all measurements have in common.
#[derive(Debug, Clone, Args, Serialize)]
pub(crate) struct Common {
    /// Servers to set beside Carillon; `none` for Carillon alone, `carillon` may be named to leave it in beside --target
    #[arg(long, value_delimiter = ',', value_name = "PEER")]
    #[serde(skip)]
    pub(crate) peers: Option<Vec<Peer>>,
    /// Leave Carillon out
    #[arg(long)]
    pub(crate) without_carillon: bool,
    /// Threads that carry connections, in servers that can have several
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub(crate) workers: usize,
    /// Another build of this tool: its Carillon takes part as `before`, in turns with the others
    #[arg(long, value_name = "PATH")]
    pub(crate) old: Option<PathBuf>,
    /// The servers' cores, such as `0` or `0-1`; `none` for no bond [default: one for each worker]
    #[arg(long, value_parser = machine::cores, value_name = "CORES")]
    pub(crate) server_cores: Option<std::vec::Vec<usize>>,
    /// The load's cores [default: the last one]
    #[arg(long, value_parser = machine::cores, value_name = "CORES")]
    pub(crate) load_cores: Option<std::vec::Vec<usize>>,
    /// A setting of Carillon's, as in `wire.max_queued_bytes=65536`; may be repeated
    #[arg(long = "set", value_parser = setting, value_name = "KEY=VALUE")]
    pub(crate) settings: Vec<(String, String)>,
    /// Where JSON and logs go [default: target/bench/<date>]
    #[arg(long, value_name = "FOLDER")]
    pub(crate) out: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) target: TargetArgs,
}

/// A server that is running already.
#[derive(Debug, Clone, Args, Serialize)]
pub(crate) struct TargetArgs {
    /// Measure a Socket.IO server that is running already, instead of Carillon
    #[arg(long = "target", value_name = "URL")]
    #[serde(rename = "target")]
    pub(crate) url: Option<String>,
    /// The namespace of --target
    #[arg(long, default_value = "/", value_name = "NAME", requires = "url")]
    pub(crate) namespace: String,
    /// The event of --target that is counted
    #[arg(long, default_value = "message", value_name = "NAME", requires = "url")]
    pub(crate) event: String,
    /// Send messages to --target as this event, `{"text": ".."}`, which it is expected to pass on to everybody as --event
    #[arg(long, value_name = "NAME", requires = "url")]
    pub(crate) publish: Option<String>,
    /// The event of --target that answers calls
    #[arg(long, default_value = "echo", value_name = "NAME", requires = "url")]
    pub(crate) call: String,
    /// The process of --target, on this machine, whose processor time and memory are read
    #[arg(long, value_name = "PID", requires = "url")]
    pub(crate) pid: Option<u32>,
}

#[derive(Debug, Clone, Args, Serialize)]
pub(crate) struct Fanout {
    /// What to measure: `flood`, `paced` or both
    #[arg(long, value_delimiter = ',', default_value = "flood,paced", value_name = "MODE")]
    pub(crate) mode: Vec<Mode>,
    /// Clients that receive everything
    #[arg(long, default_value_t = 1_000, value_name = "N")]
    pub(crate) clients: usize,
    /// Bytes of each message's text
    #[arg(long, default_value_t = 128, value_name = "BYTES", value_parser = payload)]
    pub(crate) payload: usize,
    /// Broadcasts a second, when paced
    #[arg(long, default_value_t = 50.0, value_name = "N")]
    pub(crate) rate: f64,
    /// Rounds of each server; they take turns
    #[arg(long, default_value_t = 5, value_name = "N")]
    pub(crate) rounds: usize,
    /// Seconds of each round
    #[arg(long, default_value_t = 4.0, value_name = "S")]
    pub(crate) seconds: f64,
    /// Messages that may be under way to the slowest client in a flood
    #[arg(long, default_value_t = 1_000, value_name = "N")]
    pub(crate) window: u64,
    /// Messages published in one go in a flood, before anything else has its turn; 0 is what each server is best off with
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub(crate) burst: u64,
    /// To whom messages go: a flood in each of these shapes, beside the floor [default: each to everybody, beside all peers]
    #[arg(long, value_delimiter = ',', value_name = "SHAPE")]
    pub(crate) shape: Vec<Shape>,
    /// Messages in one write of the floor, a row for each; one more row does as Carillon did
    #[arg(long, value_delimiter = ',', default_value = "1,20,200", value_name = "N")]
    pub(crate) batches: Vec<u64>,
    #[command(flatten)]
    pub(crate) common: Common,
}

#[derive(Debug, Clone, Args, Serialize)]
pub(crate) struct Idle {
    /// Connections
    #[arg(long, default_value_t = 10_000, value_name = "N")]
    pub(crate) clients: usize,
    /// Seconds of doing nothing; pings come every 25 s
    #[arg(long, default_value_t = 30.0, value_name = "S")]
    pub(crate) seconds: f64,
    /// Rounds of each server, each with a fresh process
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub(crate) rounds: usize,
    /// Seconds before memory is read: handshakes are over, allocators have given back what they do not need
    #[arg(long, default_value_t = 3.0, value_name = "S")]
    pub(crate) settle: f64,
    /// Broadcasts to all after the idle time, one a second
    #[arg(long, default_value_t = 3.0, value_name = "N")]
    pub(crate) broadcasts: f64,
    #[command(flatten)]
    pub(crate) common: Common,
}

#[derive(Debug, Clone, Args, Serialize)]
pub(crate) struct Slow {
    /// Clients
    #[arg(long, default_value_t = 1_000, value_name = "N")]
    pub(crate) clients: usize,
    /// Clients among them that stop reading; every other one goes on sending pongs
    #[arg(long, default_value_t = 100, value_name = "N")]
    pub(crate) slow: usize,
    /// Bytes of each message's text
    #[arg(long, default_value_t = 1_024, value_name = "BYTES", value_parser = payload)]
    pub(crate) payload: usize,
    /// Broadcasts a second
    #[arg(long, default_value_t = 100.0, value_name = "N")]
    pub(crate) rate: f64,
    /// Seconds with slow clients
    #[arg(long, default_value_t = 60.0, value_name = "S")]
    pub(crate) seconds: f64,
    /// Seconds before that, in which all read
    #[arg(long, default_value_t = 15.0, value_name = "S")]
    pub(crate) baseline: f64,
    #[command(flatten)]
    pub(crate) common: Common,
}

#[derive(Debug, Clone, Args, Serialize)]
pub(crate) struct Relay {
    /// Clients
    #[arg(long, default_value_t = 10, value_name = "N")]
    pub(crate) clients: usize,
    /// Bytes of each message's text
    #[arg(long, default_value_t = 128, value_name = "BYTES", value_parser = payload)]
    pub(crate) payload: usize,
    /// Publish --messages at once, on a channel of one row and on one of two, instead of at a rate
    #[arg(long)]
    pub(crate) flood: bool,
    /// Messages of each round of a flood
    #[arg(long, default_value_t = 2_000, value_name = "N")]
    pub(crate) messages: u64,
    /// Messages a second
    #[arg(long, default_value_t = 1_000.0, value_name = "N")]
    pub(crate) rate: f64,
    /// Rounds of each way; they take turns
    #[arg(long, default_value_t = 5, value_name = "N")]
    pub(crate) rounds: usize,
    /// Seconds of each round
    #[arg(long, default_value_t = 5.0, value_name = "S")]
    pub(crate) seconds: f64,
    #[command(flatten)]
    pub(crate) common: Common,
}

#[derive(Debug, Clone, Args, Serialize)]
pub(crate) struct Ack {
    /// Clients that are flooded while one calls
    #[arg(long, default_value_t = 1_000, value_name = "N")]
    pub(crate) clients: usize,
    /// Bytes of each message's text
    #[arg(long, default_value_t = 128, value_name = "BYTES", value_parser = payload)]
    pub(crate) payload: usize,
    /// Calls a second
    #[arg(long, default_value_t = 100.0, value_name = "N")]
    pub(crate) rate: f64,
    /// Events one client sends at once, each with an answer wanted
    #[arg(long, default_value_t = 3_000, value_name = "N")]
    pub(crate) flush: u64,
    /// Clients that do so at the same time
    #[arg(long, default_value_t = 10, value_name = "N")]
    pub(crate) callers: usize,
    /// Rounds of each server; they take turns
    #[arg(long, default_value_t = 5, value_name = "N")]
    pub(crate) rounds: usize,
    /// Seconds of calling in each round
    #[arg(long, default_value_t = 4.0, value_name = "S")]
    pub(crate) seconds: f64,
    /// Messages that may be under way to the slowest client
    #[arg(long, default_value_t = 1_000, value_name = "N")]
    pub(crate) window: u64,
    #[command(flatten)]
    pub(crate) common: Common,
}

#[derive(Debug, Clone, Args, Serialize)]
pub(crate) struct Ingress {
    /// Clients that send
    #[arg(long, value_delimiter = ',', default_value = "10,100,1000", value_name = "N")]
    pub(crate) clients: Vec<usize>,
    /// Events each keeps under way
    #[arg(long, value_delimiter = ',', default_value = "1,16,64", value_name = "N")]
    pub(crate) in_flight: Vec<u64>,
    /// Leave out the events that are not acked
    #[arg(long)]
    pub(crate) acked_only: bool,
    /// Bytes of each event's argument
    #[arg(long, default_value_t = 64, value_name = "BYTES")]
    pub(crate) payload: usize,
    /// Rounds of each server in each way; they take turns
    #[arg(long, default_value_t = 5, value_name = "N")]
    pub(crate) rounds: usize,
    /// Seconds of each round
    #[arg(long, default_value_t = 1.0, value_name = "S")]
    pub(crate) seconds: f64,
    #[command(flatten)]
    pub(crate) common: Common,
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

impl Common {
    /// The servers to measure, in order: Carillon first.
    pub(crate) fn servers(&self, default: &[Peer]) -> Vec<Peer> {
        let named = self.peers.clone();
        let alone = self.target.url.is_some() || self.without_carillon;
        let mut servers = if alone { Vec::new() } else { vec![Peer::Carillon] };
        let default = if self.target.url.is_some() { &[] } else { default };
        servers.extend(self.old.is_some().then_some(Peer::Before));
        servers.extend(named.unwrap_or_else(|| default.to_vec()));
        servers.retain(|peer| *peer != Peer::None);
        let mut seen = Vec::new();
        servers.retain(|peer| {
            let new = !seen.contains(peer);
            seen.push(*peer);
            new
        });
        servers
    }

    /// How servers are started; logs go to `directory`.
    pub(crate) fn server_options(&self, directory: PathBuf) -> Options {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Options {
            workers: self.workers.max(1),
            server_cores: self.server_cores.clone().unwrap_or_else(|| (0..self.workers.clamp(1, cores)).collect()),
            load_cores: self.load_cores.clone().unwrap_or_else(|| vec![cores - 1]),
            directory,
            settings: self.settings.clone(),
            old: self.old.clone(),
        }
    }
}

fn setting(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("a setting is KEY=VALUE")?;
    Ok((key.to_owned(), value.to_owned()))
}

fn payload(text: &str) -> Result<usize, String> {
    let bytes: usize = text.parse().map_err(|_| "a number of bytes")?;
    if bytes < mark::LEN {
        return Err(format!("a message carries a mark of {} bytes", mark::LEN));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

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
        assert_eq!(common("b fanout --set a.b=c=d").settings, [("a.b".to_owned(), "c=d".to_owned())]);
    }

    #[test]
    fn wrong_lines_are_refused() {
        for line in ["b fanout --payload 3", "b fanout --event x", "b fanout --mode fast", "b fanout --set x", "b"] {
            assert!(Cli::try_parse_from(line.split(' ')).is_err(), "{line}");
        }
    }
}

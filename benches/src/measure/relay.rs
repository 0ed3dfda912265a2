//! What a message from Redis costs: the same messages at the same rate, published inside the server and to Redis.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde::Serialize;

use super::Measure;
use super::contest::{Contest, Contestant, Driver};
use super::relay_flood;
use super::round::{self, Round};
use crate::cli::{Common, Relay};
use crate::load::Load;
use crate::machine;
use crate::peers::protocol::{NAMESPACE, Run, TICK, Tick};
use crate::peers::{Peer, Server};
use crate::report::document::Part;
use crate::report::stats::Figure;
use crate::report::table::{self, Table, figure, number};
use crate::{Result, clock};

/// The channel of Redis that becomes the event under test.
const CHANNEL: &str = "bench:tick";

/// All rounds of one way.
#[derive(Debug, Serialize)]
struct Way {
    way: String,
    us_per_message: Option<Figure>,
    p50_us: Option<Figure>,
    p99_us: Option<Figure>,
}

impl Measure for Relay {
    fn common(&self) -> &Common {
        &self.common
    }

    fn seconds(&self, _: usize) -> f64 {
        if self.flood {
            return relay_flood::seconds(self);
        }
        (self.rounds * 2 + 1) as f64 * self.seconds + 2.0
    }

    fn measure(&self, contest: &mut Contest) -> Result<Part> {
        measure(contest, self)
    }

    fn missing(&self) -> Option<String> {
        version().err().map(str::to_owned)
    }
}

/// Which Redis there is, or why nothing can be measured that needs one.
pub(super) fn version() -> std::result::Result<String, &'static str> {
    let version = machine::output("redis-server", &["--version"]);
    version.ok_or("redis-server is missing: apt-get install redis-server")
}

/// Measures both ways, which take turns.
fn measure(contest: &mut Contest, options: &Relay) -> Result<Part> {
    contest.reserve(options.clients)?;
    if options.flood {
        return relay_flood::measure(contest, options);
    }
    contest.versions.insert("redis-server".to_owned(), version()?);
    if let Err(error) = carillon_core::bus::check("redis://127.0.0.1") {
        return Err(format!("this build cannot relay from Redis: {error}").into());
    }
    let redis = start_redis(contest)?;
    let row = format!("[{{channel=\"{CHANNEL}\",event=\"{TICK}\",namespaces=[\"{NAMESPACE}\"]}}]");
    let settings =
        [("bus.url".to_owned(), format!("redis://{}", redis.address)), ("plugins.relay.rows".to_owned(), row)];
    let mut inside = contest.start(Peer::Carillon, "inside", &[])?;
    contest.connect(&mut inside, options.clients)?;
    let mut relayed = contest.start(Peer::Carillon, "redis", &settings)?;
    contest.connect(&mut relayed, options.clients)?;
    relayed.driver = Driver::Elsewhere;
    let mut publisher = Publisher::connect(redis.address)?;
    let command = |seconds| Run::paced(options.rate, seconds, options.payload);
    let mut rounds = Vec::new();
    for nth in 0..=options.rounds {
        // The first turn of each warms it up.
        let run = command(if nth == 0 { 1.0 } else { options.seconds });
        let mut a = round::run(contest, &inside, (&run, nth), |_| Ok(()))?;
        let mut b = publisher.round(contest, &relayed, (&run, nth))?;
        if nth > 0 {
            for round in [&mut a, &mut b] {
                contest.fail(&round.server, &round.mistakes);
                rounds.push(round.clone());
            }
        }
    }
    contest.dismiss(vec![inside, relayed]);
    drop(redis);
    let ways = [way("inside", &rounds), way("redis", &rounds)];
    let (text, notes) = (text(&ways, options), notes(&ways));
    Part::new("relay", (options, &rounds, &ways), (vec![text], notes))
}

/// Redis on the load's cores: its work is not the server's.
pub(super) fn start_redis(contest: &Contest) -> Result<Server> {
    redis_at(contest, Server::free_address()?)
}

/// The same at this address.
pub(super) fn redis_at(contest: &Contest, address: SocketAddr) -> Result<Server> {
    let directory: &Path = &contest.options.directory;
    let mut command = Command::new("redis-server");
    command.args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--port", &address.port().to_string()]);
    command.arg("--dir").arg(directory);
    let cores = &contest.options.load_cores;
    Server::start(command, [address; 2], (cores, cores), &directory.join("redis.log"))
}

/// A client of Redis that only publishes.
struct Publisher {
    stream: TcpStream,
}

impl Publisher {
    fn connect(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        Ok(Self { stream })
    }

    /// Publishes by the timetable of `run` while the round watches.
    fn round(&mut self, contest: &mut Contest, contestant: &Contestant, (run, nth): (&Run, usize)) -> Result<Round> {
        let mut stream = self.stream.try_clone()?;
        let run = *run;
        let thread = std::thread::spawn(move || publish(&mut stream, &run));
        let mut round = round::run(contest, contestant, (&run, nth), |_: &mut Load| Ok(()))?;
        let received = thread.join().map_err(|_| "the publisher panicked")??;
        if received < round.messages {
            round.mistakes.push(format!("Redis had no subscriber for {} messages", round.messages - received));
        }
        Ok(round)
    }
}

/// Publishes a run; returns how many messages had a subscriber.
fn publish(stream: &mut TcpStream, run: &Run) -> Result<u64> {
    // The round has begun after this time.
    std::thread::sleep(Duration::from_millis(50));
    let start = clock::now();
    let mut received = 0;
    let mut buffer = [0; 4096];
    for number in 0..run.paced_messages() {
        let due = start + run.due(number);
        std::thread::sleep(Duration::from_nanos(due.saturating_sub(clock::now())));
        let text = serde_json::to_string(&Tick::new(number, due, run.bytes))?;
        let command =
            format!("*3\r\n$7\r\nPUBLISH\r\n${}\r\n{CHANNEL}\r\n${}\r\n{text}\r\n", CHANNEL.len(), text.len());
        stream.write_all(command.as_bytes())?;
        let read = stream.read(&mut buffer)?;
        let answer = buffer.get(1..read).and_then(|answer| answer.strip_suffix(b"\r\n")).unwrap_or_default();
        received += u64::from(answer != b"0");
    }
    Ok(received)
}

fn way(name: &str, rounds: &[Round]) -> Way {
    let rounds: Vec<&Round> = rounds.iter().filter(|round| round.server == name && round.mistakes.is_empty()).collect();
    let of = |value: fn(&Round) -> Option<f64>| Figure::of(rounds.iter().filter_map(|round| value(round)));
    Way {
        way: name.to_owned(),
        us_per_message: of(|round| Some(round.cpu?.total() * 1e6 / round.messages as f64)),
        p50_us: of(|round| Some(round.latency?.p50)),
        p99_us: of(|round| Some(round.latency?.p99)),
    }
}

fn text(ways: &[Way], options: &Relay) -> String {
    let mut table = Table::new(&["published", "us/message", "spread", "p50 ms", "p99 ms"]);
    let ms = |value: Option<Figure>| number(value.map_or(f64::NAN, |value| value.median / 1e3));
    for way in ways {
        table.row([
            way.way.clone(),
            figure(way.us_per_message),
            table::spread(way.us_per_message),
            ms(way.p50_us),
            ms(way.p99_us),
        ]);
    }
    let Relay { clients, payload, rate, .. } = options;
    format!("Relay: {rate} messages a second of {payload} bytes to {clients} clients\n{}", table.text())
}

fn notes(ways: &[Way; 2]) -> Vec<String> {
    let [inside, redis] = ways;
    let difference =
        redis.us_per_message.zip(inside.us_per_message).map(|(redis, inside)| redis.median - inside.median);
    difference
        .map(|us| format!("a message from Redis costs {us:+.1} us of the server's CPU more"))
        .into_iter()
        .collect()
}

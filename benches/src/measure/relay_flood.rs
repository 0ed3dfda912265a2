//! What a flood from Redis costs: the relay's default rows beside a channel of one row, with clients in one namespace and in two.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use super::contest::{Contest, Driver};
use super::relay::{self, start_redis};
use super::round::{self, Round};
use super::shapes;
use crate::cli::Relay;
use crate::load::packet::Dialect;
use crate::load::shape::Shape;
use crate::peers::Server;
use crate::peers::protocol::{Mode, Run, Tick};
use crate::report::document::Part;
use crate::{Result, clock};

/// A channel with one row, beside those the relay has by default.
const ONE_ROW: &str = "bench:tick";
/// A channel that two of the default rows send on, to `/` and to `/monitoring`.
const TWO_ROWS: &str = "cluster:alerts";
/// The events of those rows.
const EVENTS: [&str; 2] = ["redis_cluster_alerts", "alerts_update"];

/// About how long it takes.
pub(crate) fn seconds(options: &Relay) -> f64 {
    (options.rounds + 1) as f64 * 3.0 * 1.6 + 4.0
}

/// Measures; the three ways take turns.
pub(crate) fn measure(contest: &mut Contest, options: &Relay) -> Result<Part> {
    contest.versions.insert("redis-server".to_owned(), relay::version()?);
    let rows = format!(
        "[{{channel=\"{TWO_ROWS}\",event=\"{}\",namespaces=[\"/\"]}},\
         {{channel=\"{TWO_ROWS}\",event=\"{}\",namespaces=[\"/monitoring\"]}},\
         {{channel=\"{ONE_ROW}\",event=\"{}\",namespaces=[\"/\"]}}]",
        EVENTS[0], EVENTS[1], EVENTS[0]
    );
    let settings = |redis: &Server| {
        let url = ("bus.url".to_owned(), format!("redis://{}", redis.address));
        let monitoring = ("plugins.monitoring.enabled".to_owned(), "true".to_owned());
        [url, ("plugins.relay.rows".to_owned(), rows.clone()), monitoring]
    };
    let root = Dialect::new("/", EVENTS[0]);
    let both = root.clone().and("/monitoring", EVENTS[1]);
    // A Redis for each, or each would hear what the other is measured with.
    let (mut servers, mut buses) = (Vec::new(), Vec::new());
    let builds = contest.servers(&options.common, &[]);
    for peer in builds.into_iter().filter(|peer| peer.is_carillon()) {
        for (place, dialect) in [("in /", &root), ("in / and /monitoring", &both)] {
            let redis = start_redis(contest)?;
            let name = format!("{peer}, clients {place}");
            let mut contestant = contest.start(peer, &name, &settings(&redis))?;
            contestant.target.dialect = dialect.clone();
            contestant.driver = Driver::Elsewhere;
            servers.push(contestant);
            buses.push(redis);
        }
    }
    let servers = contest.connect_all(servers, options.clients)?;
    if servers.len() < buses.len() {
        return Err("a server of the relay did not start".into());
    }
    let mut ways = Vec::new();
    for (pair, buses) in servers.chunks_exact(2).zip(buses.chunks_exact(2)) {
        ways.push((&pair[0], buses[0].address, ONE_ROW, Shape::Plain));
        ways.push((&pair[0], buses[0].address, TWO_ROWS, Shape::Plain));
        ways.push((&pair[1], buses[1].address, TWO_ROWS, Shape::Twice));
    }
    let mut rounds: Vec<Round> = Vec::new();
    for nth in 0..=options.rounds {
        for &(contestant, address, channel, shape) in &ways {
            let run = Run {
                mode: Mode::Flood,
                window: options.messages,
                shape,
                ..Run::paced(options.messages as f64, 1.0, options.payload)
            };
            let publisher = std::thread::spawn(move || publish(address, channel, &run));
            let mut round = round::run(contest, contestant, (&run, nth), |_| Ok(()))?;
            publisher.join().map_err(|_| "the publisher panicked")??;
            round.server = format!("{}, {channel}", contestant.name);
            contest.fail(&round.server, &round.mistakes);
            // The first turn of each warms it up.
            if nth > 0 {
                rounds.push(round);
            }
        }
    }
    contest.dismiss(servers);
    let rows = shapes::summary(&rounds);
    let head = format!(
        "Relay flood: {} messages of {} bytes through Redis to {} clients; {ONE_ROW} has one row (/), {TWO_ROWS} two (/ and \
         /monitoring)",
        options.messages, options.payload, options.clients
    );
    let text = shapes::text(&rows, |name| Some(name.split_once(", clients ")?.0));
    Part::new("relay-flood", (options, &rounds, &rows), (vec![format!("{head}\n{text}")], Vec::new()))
}

/// Publishes all messages of a run at once; every one of them must have a subscriber.
fn publish(address: SocketAddr, channel: &str, run: &Run) -> Result<()> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    // The round has begun after this time.
    std::thread::sleep(Duration::from_millis(50));
    let mut commands = Vec::new();
    for number in 0..run.paced_messages() {
        let text = serde_json::to_string(&Tick::new(number, clock::now(), run.bytes))?;
        let head = format!("*3\r\n$7\r\nPUBLISH\r\n${}\r\n{channel}\r\n${}\r\n", channel.len(), text.len());
        commands.extend_from_slice(format!("{head}{text}\r\n").as_bytes());
    }
    stream.write_all(&commands)?;
    let (mut answers, mut buffer) = (Vec::new(), [0; 4096]);
    while (answers.iter().filter(|byte| **byte == b'\n').count() as u64) < run.paced_messages() {
        match stream.read(&mut buffer)? {
            0 => return Err("Redis hung up".into()),
            read => answers.extend_from_slice(&buffer[..read]),
        }
    }
    let unheard = answers.split(|byte| *byte == b'\n').filter(|line| line.starts_with(b":0")).count();
    if unheard > 0 { Err(format!("Redis had no subscriber for {unheard} messages").into()) } else { Ok(()) }
}

//! What a connection costs to make and to close, how many come in a second, and how soon all are back after a mass drop.

use std::time::Duration;

use serde::Serialize;

use super::Measure;
use super::contest::{Contest, Contestant};
use super::round;
use crate::cli::{Common, Connect};
use crate::load::{GroupId, Load, Role, Stage};
use crate::machine::proc::Cpu;
use crate::peers::Peer;
use crate::peers::protocol::Run;
use crate::report::document::Part;
use crate::report::stats::{Figure, Latency};
use crate::report::table::{Table, figure, in_order, number};
use crate::{Result, clock};

/// Processor time in [`LOOK`] seconds below which a server is at rest.
const AT_REST: f64 = 0.0005;
const LOOK: f64 = 0.05;
/// Seconds a server may take to come to rest.
const PATIENCE: f64 = 10.0;
/// Seconds of broadcasts before the mass drop.
const BEFORE: f64 = 0.5;
/// Seconds of broadcasts beside which the time after the drop is set.
const BASELINE: f64 = 2.0;

/// What one round measured.
#[derive(Debug, Clone, Serialize)]
struct Churn {
    server: String,
    round: usize,
    connections_per_second: f64,
    us_per_connection: Option<f64>,
    us_per_close: Option<f64>,
}

/// All connections at once, a mass drop, and all back.
#[derive(Debug, Clone, Serialize)]
struct Storm {
    server: String,
    /// Until all of a storm were in the namespace.
    seconds: f64,
    /// From the drop until all were back, and how many attempts were refused on the way.
    back_seconds: Option<f64>,
    refused: u64,
    /// The broadcasts to those who stayed: before the drop, and from it on.
    before: Option<Latency>,
    after: Option<Latency>,
    mistakes: Vec<String>,
}

/// What all of it comes to for one server.
#[derive(Debug, Serialize)]
struct Row {
    server: String,
    connections_per_second: Option<Figure>,
    us_per_connection: Option<Figure>,
    us_per_close: Option<Figure>,
    storm: Option<Storm>,
}

impl Measure for Connect {
    fn common(&self) -> &Common {
        &self.common
    }

    fn peers(&self) -> Vec<Peer> {
        Peer::ACK.to_vec()
    }

    fn seconds(&self, servers: usize) -> f64 {
        let connecting = self.clients as f64 / 3_000.0 + 0.5;
        servers as f64 * (self.rounds as f64 * connecting + 2.0 * connecting + BASELINE + self.seconds + 1.5)
    }

    fn measure(&self, contest: &mut Contest) -> Result<Part> {
        measure(contest, self)
    }
}

/// Measures; servers take turns, and each has a storm of its own at the end.
fn measure(contest: &mut Contest, options: &Connect) -> Result<Part> {
    contest.reserve(options.clients)?;
    let mut everybody = contest.everybody(&options.common, &Peer::ACK)?;
    let (mut churns, mut storms): (Vec<Churn>, Vec<Storm>) = (Vec::new(), Vec::new());
    // The first turn of each warms it up.
    for round in 0..=options.rounds {
        let mut able = Vec::new();
        for mut contestant in everybody {
            match churn(contest, &mut contestant, options, round) {
                Ok(churn) => {
                    churns.extend((round > 0).then_some(churn));
                    able.push(contestant);
                }
                Err(error) => contest.fail(&contestant.name, &[error.to_string()]),
            }
        }
        everybody = able;
    }
    for contestant in &mut everybody {
        match storm(contest, contestant, options) {
            Ok(storm) => {
                contest.fail(&storm.server, &storm.mistakes);
                storms.push(storm);
            }
            Err(error) => contest.fail(&contestant.name, &[error.to_string()]),
        }
        contest.load.hang_up(contestant.group);
    }
    let rows = summary(&churns, &storms);
    let text = text(&rows, options, |server| contest.label(server));
    contest.dismiss(everybody);
    Part::new("connect", (options, &churns, &rows), (vec![text], Vec::new()))
}

/// Connects everybody, and hangs up.
fn churn(contest: &mut Contest, contestant: &mut Contestant, options: &Connect, round: usize) -> Result<Churn> {
    at_rest(contest, contestant)?;
    let (cpu, start) = (contestant.cpu()?, clock::now());
    contest.connect_by(contestant, options.clients, options.at_once)?;
    let seconds = clock::seconds(clock::now() - start);
    at_rest(contest, contestant)?;
    let connecting = contestant.used(cpu)?;
    let cpu = contestant.cpu()?;
    contest.load.hang_up(contestant.group);
    at_rest(contest, contestant)?;
    let closing = contestant.used(cpu)?;
    let each = |cpu: Cpu| cpu.total() * 1e6 / options.clients as f64;
    Ok(Churn {
        server: contestant.name.clone(),
        round,
        connections_per_second: options.clients as f64 / seconds,
        us_per_connection: connecting.map(each),
        us_per_close: closing.map(each),
    })
}

/// Waits until the server has nothing more to do.
fn at_rest(contest: &mut Contest, contestant: &Contestant) -> Result<()> {
    contest.progress.say(format!("{}: coming to rest", contestant.name));
    let end = clock::now() + clock::nanos(PATIENCE);
    loop {
        let cpu = contestant.cpu()?;
        contest.rest(LOOK)?;
        let used = contestant.used(cpu)?.map_or(0.0, Cpu::total);
        if used < AT_REST || clock::now() > end {
            return Ok(());
        }
    }
}

/// Who is gone after a mass drop, and since when all are back.
struct Returning {
    group: GroupId,
    from: usize,
    to: usize,
    due: u64,
    dropped: Option<u64>,
    back: Option<u64>,
    refused: u64,
}

impl Returning {
    fn look(&mut self, load: &mut Load) {
        let now = clock::now();
        if now < self.due || self.back.is_some() {
            return;
        }
        if self.dropped.is_none() {
            self.dropped = Some(now);
            return load.drop_and_return(self.group, self.from..self.to);
        }
        if load.returning() > 0 {
            return;
        }
        let stages = |load: &mut Load, stage: Stage| -> Vec<usize> {
            let clients = &load.group(self.group).clients;
            (self.from..self.to).filter(|index| clients[*index].stage == stage).collect()
        };
        if stages(load, Stage::Ready).len() == self.to - self.from {
            self.back = Some(now);
        }
        for index in stages(load, Stage::Closed) {
            self.refused += 1;
            load.drop_and_return(self.group, index..index + 1);
        }
    }
}

/// All at once; then all but a few are dropped at once, and come back.
fn storm(contest: &mut Contest, contestant: &mut Contestant, options: &Connect) -> Result<Storm> {
    let start = clock::now();
    contest.connect_by(contestant, options.clients, options.clients)?;
    let seconds = clock::seconds(clock::now() - start);
    at_rest(contest, contestant)?;
    let (id, stay) = (contestant.group, options.stay.clamp(1, options.clients));
    for index in stay..options.clients {
        contest.load.group(id).cast(index, Role::Aside);
    }
    let paced = |seconds| Run::paced(options.rate, seconds, 128);
    let baseline = round::run(contest, contestant, (&paced(BASELINE), 1), |_| Ok(()))?;
    let mut returning = Returning {
        group: id,
        from: stay,
        to: options.clients,
        due: clock::now() + clock::nanos(BEFORE),
        dropped: None,
        back: None,
        refused: 0,
    };
    let after = round::run(contest, contestant, (&paced(BEFORE + options.seconds), 2), |load| {
        returning.look(load);
        Ok(())
    })?;
    // Those who are later than the broadcasts are still waited for.
    let end = clock::now() + clock::nanos(PATIENCE);
    while returning.back.is_none() && clock::now() < end {
        contest.load.turn(Duration::from_millis(20))?;
        returning.look(&mut contest.load);
    }
    let mut mistakes = [baseline.mistakes, after.mistakes].concat();
    if returning.back.is_none() {
        mistakes.push("not all were back in the end".to_owned());
    }
    Ok(Storm {
        server: contestant.name.clone(),
        seconds,
        back_seconds: returning.back.zip(returning.dropped).map(|(back, dropped)| clock::seconds(back - dropped)),
        refused: returning.refused,
        before: baseline.latency,
        after: after.latency,
        mistakes,
    })
}

fn summary(churns: &[Churn], storms: &[Storm]) -> Vec<Row> {
    let row = |name: &str| {
        let of = |value: fn(&Churn) -> Option<f64>| {
            Figure::of(churns.iter().filter(|churn| churn.server == name).filter_map(value))
        };
        Row {
            server: name.to_owned(),
            connections_per_second: of(|churn| Some(churn.connections_per_second)),
            us_per_connection: of(|churn| churn.us_per_connection),
            us_per_close: of(|churn| churn.us_per_close),
            storm: storms.iter().find(|storm| storm.server == name).cloned(),
        }
    };
    in_order(churns.iter().map(|churn| &*churn.server)).into_iter().map(row).collect()
}

fn text(rows: &[Row], options: &Connect, label: impl Fn(&str) -> String) -> String {
    let mut table = Table::new(&[
        "server",
        "connections/s",
        "us/connection",
        "x Carillon",
        "us/close",
        "storm s",
        "back s",
        "refused",
        "p99 ms before",
        "after",
        "ratio",
    ]);
    let cost = |row: &Row| Some(row.us_per_connection?.median);
    let first = rows.first().and_then(cost);
    for row in rows {
        let ratio = cost(row).zip(first).map_or(f64::NAN, |(own, first)| own / first);
        let of = |value: fn(&Storm) -> Option<f64>| row.storm.as_ref().and_then(value).map_or("-".to_owned(), number);
        table.row([
            label(&row.server),
            figure(row.connections_per_second),
            figure(row.us_per_connection),
            number(ratio),
            figure(row.us_per_close),
            of(|storm| Some(storm.seconds)),
            of(|storm| storm.back_seconds),
            of(|storm| Some(storm.refused as f64)),
            of(|storm| Some(storm.before?.p99 / 1e3)),
            of(|storm| Some(storm.after?.p99 / 1e3)),
            of(|storm| Some(storm.after?.p99 / storm.before?.p99)),
        ]);
    }
    let Connect { clients, at_once, rounds, stay, rate, .. } = options;
    format!(
        "Connect: {clients} connections, {at_once} under way at once, {rounds} rounds; then a storm of all at once, and a \
         drop of all but {stay}, who get {rate} broadcasts a second\n{}",
        table.text()
    )
}

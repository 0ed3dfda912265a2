//! What a delivery costs: everybody is flooded, or sent to at a steady pace, and servers take turns.

use super::Measure;
use super::contest::{Contest, Contestant, Driver};
use super::round::{self, Round};
use super::shapes;
use crate::Result;
use crate::cli::{Common, Fanout};
use crate::load::shape::Shape;
use crate::peers::Peer;
use crate::peers::protocol::{Mode, Run};
use crate::report::document::Part;
use crate::report::row::{FLOOR_AS_CARILLON, Fanout as Row};
use crate::report::stats::Figure;
use crate::report::table::{self, Table, figure, in_order, number};

/// Seconds of the unmeasured round before the others.
const WARM_UP: f64 = 1.0;
/// Seconds between two rounds, about: what is under way arrives.
const DRAIN: f64 = 0.3;

/// Bytes that may be under way to one client in a flood, whatever its window: half of what Carillon keeps for a client.
const UNDER_WAY: u64 = 512 << 10;
/// Bytes that may be under way to all clients: beyond it the kernel presses on its sockets' memory.
const UNDER_WAY_TO_ALL: u64 = 512 << 20;
/// Bytes of a message besides its text.
const AROUND: u64 = 64;

impl Row {
    /// How many rounds there were, and what is to be known about them.
    fn rounds(&self) -> String {
        let failed = if self.failed > 0 { format!(", {} FAILED", self.failed) } else { String::new() };
        let behind = if self.kept_up { "" } else { ", BEHIND" };
        format!("{}{failed}{behind}", self.rounds)
    }

    /// How far a server fell behind the pace, in words.
    fn behind(&self, options: &Fanout) -> Option<String> {
        let reached = self.deliveries_per_second.filter(|_| !self.kept_up)?.median / options.clients as f64;
        let Self { server, mode, .. } = self;
        Some(format!("{mode}: {server} could not keep up: {} of {} broadcasts a second", number(reached), options.rate))
    }
}

impl Measure for Fanout {
    fn common(&self) -> &Common {
        &self.common
    }

    fn peers(&self) -> Vec<Peer> {
        if self.shape.is_empty() { Peer::FANOUT.to_vec() } else { shapes::peers() }
    }

    fn seconds(&self, servers: usize) -> f64 {
        if !self.shape.is_empty() {
            return shapes::seconds(self);
        }
        let connecting = servers as f64 * (0.5 + self.clients as f64 / 3_000.0);
        let flood_rows = servers + self.batches.len();
        let rows = self.mode.iter().map(|mode| if *mode == Mode::Flood { flood_rows } else { servers }).sum::<usize>();
        let warm_up = (self.mode.len() * servers) as f64 * WARM_UP.min(self.seconds);
        connecting + warm_up + (self.rounds * rows) as f64 * (self.seconds + DRAIN)
    }

    fn measure(&self, contest: &mut Contest) -> Result<Part> {
        measure(contest, self)
    }
}

/// Measures, with the clients of all servers connected at the same time where the system allows so many.
fn measure(contest: &mut Contest, options: &Fanout) -> Result<Part> {
    if !options.shape.is_empty() {
        return shapes::measure(contest, options);
    }
    let options = &Fanout { window: window(options), ..options.clone() };
    let mut everybody = contest.everybody(&options.common, &Peer::FANOUT)?;
    let mut rounds = Vec::new();
    let together = Contest::has_room(options.clients * everybody.len())?;
    let groups = if together { vec![everybody] } else { everybody.drain(..).map(|one| vec![one]).collect() };
    for group in groups {
        let group = contest.connect_all(group, options.clients)?;
        turns(contest, &group, options, &mut rounds)?;
        contest.dismiss(group);
    }
    let rows = summary(&rounds);
    let label = |server: &str| contest.label(server);
    let tables = options.mode.iter().map(|mode| text(&rows, *mode, (options, &label))).collect();
    let mut notes = notes(&rows);
    notes.extend(rows.iter().filter_map(|row| row.behind(options)));
    let is_fed = |row: &&Row| Peer::FANOUT.iter().any(|peer| peer.inlet().is_some() && peer.to_string() == row.server);
    let fed = in_order(rows.iter().filter(is_fed).map(|row| &*row.server));
    if !fed.is_empty() {
        notes.push(format!("{}: published to by the load; receiving that is part of their CPU", fed.join(", ")));
    }
    if !together {
        notes.push("one server after the other: the system does not allow so many connections at once".to_owned());
    }
    Part::new("fanout", (options, &rounds, &rows), (tables, notes))
}

/// Messages that may be under way: no more than the user wants, than a server may keep, and than the kernel holds.
pub(super) fn window(options: &Fanout) -> u64 {
    let bytes = UNDER_WAY.min(UNDER_WAY_TO_ALL / options.clients.max(1) as u64);
    options.window.min(bytes / (options.payload as u64 + AROUND)).max(1)
}

/// All rounds of these servers: they take turns.
fn turns(contest: &mut Contest, servers: &[Contestant], options: &Fanout, rounds: &mut Vec<Round>) -> Result<()> {
    for mode in &options.mode {
        for contestant in servers {
            let warm_up = Run { seconds: WARM_UP.min(options.seconds), ..command(options, *mode, 1) };
            let round = round::run(contest, contestant, (&warm_up, 0), |_| Ok(()))?;
            if !round.mistakes.is_empty() {
                contest.progress.note(&format!("{} {mode}, not measured: {}", round.server, round.mistakes.join("; ")));
            }
        }
        for nth in 1..=options.rounds {
            for (contestant, batch) in plan(servers, *mode, options, rounds) {
                let run = command(options, *mode, batch.unwrap_or_else(|| reached(rounds)));
                let mut round = round::run(contest, contestant, (&run, nth), |_| Ok(()))?;
                if contestant.peer == Some(Peer::Floor) && *mode == Mode::Flood {
                    round.server = batch.map_or(FLOOR_AS_CARILLON.to_owned(), |batch| format!("floor, n = {batch}"));
                }
                contest.fail(&format!("{} {mode}", round.server), &round.mistakes);
                rounds.push(round);
            }
        }
    }
    Ok(())
}

fn command(options: &Fanout, mode: Mode, batch: u64) -> Run {
    let Fanout { seconds, rate, payload: bytes, window, burst, .. } = *options;
    Run { mode, seconds, rate, bytes, window, batch: batch.clamp(1, window), burst, shape: Shape::Plain, clients: 0 }
}

/// Who runs in one turn. In a flood the floor runs several times; without a number it does what Carillon did.
fn plan<'a>(
    servers: &'a [Contestant],
    mode: Mode,
    options: &Fanout,
    rounds: &[Round],
) -> Vec<(&'a Contestant, Option<u64>)> {
    let carillon = Peer::Carillon.to_string();
    let has_carillon = servers.iter().any(|other| other.peer == Some(Peer::Carillon))
        || rounds.iter().any(|round| round.server == carillon);
    let mut plan = Vec::new();
    for contestant in servers {
        if contestant.peer == Some(Peer::Floor) && mode == Mode::Flood {
            plan.extend(options.batches.iter().map(|batch| (contestant, Some(*batch))));
            if has_carillon {
                plan.push((contestant, None));
            }
        } else if contestant.driver != Driver::Unknown || mode == Mode::Flood {
            plan.push((contestant, Some(1)));
        }
    }
    plan
}

/// Messages per write in Carillon's floods so far.
fn reached(rounds: &[Round]) -> u64 {
    let floods = rounds.iter().filter(|round| round.mode == Mode::Flood && round.server == Peer::Carillon.to_string());
    Figure::of(floods.filter_map(|round| round.messages_per_write)).map_or(1, |figure| figure.median.round() as u64)
}

fn summary(rounds: &[Round]) -> Vec<Row> {
    let mut rows: Vec<(String, Mode)> = Vec::new();
    for round in rounds {
        if !rows.contains(&(round.server.clone(), round.mode)) {
            rows.push((round.server.clone(), round.mode));
        }
    }
    let row = |(server, mode): (String, Mode)| {
        let all: Vec<&Round> = rounds.iter().filter(|round| round.server == server && round.mode == mode).collect();
        let good: Vec<&Round> = all.iter().copied().filter(|round| round.mistakes.is_empty()).collect();
        let of = |value: fn(&Round) -> Option<f64>| Figure::of(good.iter().filter_map(|round| value(round)));
        Row {
            rounds: all.len(),
            failed: all.len() - good.len(),
            kept_up: good.iter().all(|round| round.kept_up),
            us_per_delivery: of(|round| round.us_per_delivery),
            deliveries_per_second: of(|round| Some(round.deliveries_per_second)),
            messages_per_write: of(|round| round.messages_per_write),
            p50_us: of(|round| Some(round.latency?.p50)),
            p99_us: of(|round| Some(round.latency?.p99)),
            p999_us: of(|round| Some(round.latency?.p999)),
            rss_mb: of(|round| Some(round.rss_kb? as f64 / 1024.0)),
            threads: threads(&good),
            server,
            mode,
        }
    };
    rows.into_iter().map(row).collect()
}

/// The busiest threads by rank: names may repeat, and ranks are what a balance shows in.
fn threads(rounds: &[&Round]) -> Vec<(String, f64)> {
    let ranks = rounds.iter().map(|round| round.threads.len()).min().unwrap_or(0);
    let rank = |at: usize| {
        let share = Figure::of(rounds.iter().map(|round| round.threads[at].1))?;
        Some((rounds.first()?.threads[at].0.clone(), share.median))
    };
    (0..ranks).filter_map(rank).collect()
}

fn text(rows: &[Row], mode: Mode, (options, label): (&Fanout, &impl Fn(&str) -> String)) -> String {
    let mut table = Table::new(&[
        "server",
        "us/delivery",
        "spread",
        "deliveries/s",
        "msgs/write",
        "p50 ms",
        "p99 ms",
        "p99.9 ms",
        "RSS MB",
        "rounds",
    ]);
    let ms = |value: Option<Figure>| number(value.map_or(f64::NAN, |value| value.median / 1e3));
    for row in rows.iter().filter(|row| row.mode == mode) {
        table.row([
            label(&row.server),
            figure(row.us_per_delivery),
            table::spread(row.us_per_delivery),
            figure(row.deliveries_per_second),
            figure(row.messages_per_write),
            ms(row.p50_us),
            ms(row.p99_us),
            ms(row.p999_us),
            figure(row.rss_mb),
            row.rounds(),
        ]);
    }
    let Fanout { clients, payload, rate, window, .. } = options;
    let what = match mode {
        Mode::Flood => format!(
            "Flood: {clients} clients, {payload} bytes, a window of {window} messages (latency: the time in it)"
        ),
        Mode::Paced => format!("Paced: {clients} clients, {payload} bytes, {rate} broadcasts a second"),
    };
    format!("{what}\n{}", table.text())
}

/// How Carillon compares, in words.
fn notes(rows: &[Row]) -> Vec<String> {
    let find = |server: &str, mode: Mode| rows.iter().find(|row| row.server == server && row.mode == mode);
    let cost = |row: Option<&Row>| Some(row?.us_per_delivery?.median);
    let mut notes = Vec::new();
    for mode in [Mode::Flood, Mode::Paced] {
        let Some(carillon) = find("carillon", mode) else { continue };
        let Some(own) = cost(Some(carillon)) else { continue };
        for peer in rows.iter().filter(|row| row.mode == mode && row.server != carillon.server) {
            if let Some(other) = cost(Some(peer)) {
                notes.push(format!(
                    "{mode}: Carillon's CPU per delivery is {} x that of {}",
                    number(own / other),
                    peer.server
                ));
            }
        }
        if let Some(floor) = cost(find(FLOOR_AS_CARILLON, mode)) {
            let n = carillon.messages_per_write.map_or(f64::NAN, |n| n.median);
            notes.push(format!(
                "{mode}: Carillon is {:+.4} us above the floor of {} messages per write",
                own - floor,
                number(n)
            ));
        }
        if let (Some(own), Some(floor)) = (carillon.p99_us, find("floor", mode).and_then(|row| row.p99_us)) {
            notes.push(format!("{mode}: Carillon's p99 latency is {:.2} x the floor's", own.median / floor.median));
        }
        if carillon.threads.len() > 1 {
            let shares = carillon.threads.iter().map(|(name, share)| format!("{name} {:.0} %", share * 100.0));
            notes.push(format!("{mode}: Carillon's threads: {}", shares.collect::<Vec<_>>().join(", ")));
        }
    }
    notes
}

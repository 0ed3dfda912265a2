//! What a delivery costs: everybody is flooded, or sent to at a steady pace, and servers take turns.

use serde::Serialize;

use super::contest::{Contest, Contestant, Driver};
use super::round::{self, Round};
use crate::Result;
use crate::cli::Fanout;
use crate::peers::Peer;
use crate::peers::protocol::{Mode, Run};
use crate::report::stats::Figure;
use crate::report::table::{self, Table, figure, number};

/// Messages in one write of the floor's rows; its last row does as many as Carillon.
const BATCHES: [u64; 3] = [1, 20, 200];
/// Seconds of the unmeasured round before the others.
const WARM_UP: f64 = 1.0;

/// All rounds of one row of the table.
#[derive(Debug, Serialize)]
struct Row {
    server: String,
    mode: Mode,
    rounds: usize,
    failed: usize,
    /// Whether the pace was kept in every round.
    kept_up: bool,
    us_per_delivery: Option<Figure>,
    deliveries_per_second: Option<Figure>,
    messages_per_write: Option<Figure>,
    p50_us: Option<Figure>,
    p99_us: Option<Figure>,
    p999_us: Option<Figure>,
    rss_mb: Option<Figure>,
    /// The part of each of the busiest threads, medians.
    threads: Vec<(String, f64)>,
}

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

/// Runs the measurement.
pub(crate) fn run(options: &Fanout) -> Result<bool> {
    let servers = options.common.servers(&Peer::FANOUT).len() + 4;
    let seconds = (options.rounds * options.mode.len() * servers) as f64 * options.seconds;
    let mut contest = Contest::new(&options.common, seconds)?;
    let everybody = contest.everybody(&Peer::FANOUT, options.clients)?;
    let mut rounds = Vec::new();
    for mode in &options.mode {
        let plan = plan(&everybody, *mode);
        for contestant in &everybody {
            let warm_up = Run { seconds: WARM_UP.min(options.seconds), ..command(options, *mode, 1) };
            let round = round::run(&mut contest, contestant, (&warm_up, 0), |_| Ok(()))?;
            if !round.mistakes.is_empty() {
                contest.progress.note(&format!("{} {mode}, not measured: {}", round.server, round.mistakes.join("; ")));
            }
        }
        for nth in 1..=options.rounds {
            for (contestant, batch) in &plan {
                let reached = reached(&rounds);
                let run = command(options, *mode, batch.unwrap_or(reached));
                let mut round = round::run(&mut contest, contestant, (&run, nth), |_| Ok(()))?;
                if contestant.peer == Some(Peer::Floor) && *mode == Mode::Flood {
                    round.server =
                        batch.map_or("floor, n as Carillon".to_owned(), |batch| format!("floor, n = {batch}"));
                }
                contest.fail(&format!("{} {mode}", round.server), &round.mistakes);
                rounds.push(round);
            }
        }
    }
    drop(everybody);
    let rows = summary(&rounds);
    let label = |server: &str| contest.label(server);
    let tables: Vec<_> = options.mode.iter().map(|mode| text(&rows, *mode, (options, &label))).collect();
    let mut notes = notes(&rows);
    notes.extend(rows.iter().filter_map(|row| row.behind(options)));
    let fed = contest
        .versions
        .keys()
        .filter(|name| Peer::FANOUT.iter().any(|peer| peer.inlet().is_some() && peer.to_string() == **name));
    let fed: Vec<_> = fed.map(String::as_str).collect();
    if !fed.is_empty() {
        notes.push(format!("{}: published to by the load; receiving that is part of their CPU", fed.join(", ")));
    }
    contest.finish("fanout", (options, &rounds, &rows), (&tables, &notes))
}

fn command(options: &Fanout, mode: Mode, batch: u64) -> Run {
    let Fanout { seconds, rate, payload: bytes, window, burst, .. } = *options;
    Run { mode, seconds, rate, bytes, window, batch: batch.clamp(1, window), burst }
}

/// Who runs in one turn. In a flood the floor runs several times; without a number it does what Carillon did.
fn plan(everybody: &[Contestant], mode: Mode) -> Vec<(&Contestant, Option<u64>)> {
    let mut plan = Vec::new();
    for contestant in everybody {
        if contestant.peer == Some(Peer::Floor) && mode == Mode::Flood {
            plan.extend(BATCHES.map(|batch| (contestant, Some(batch))));
            if everybody.iter().any(|other| other.peer == Some(Peer::Carillon)) {
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
        for peer in ["socketioxide", "node", "floor"] {
            if let Some(other) = cost(find(peer, mode)) {
                notes.push(format!("{mode}: Carillon's CPU per delivery is {:.3} x {peer}'s", own / other));
            }
        }
        if let Some(floor) = cost(find("floor, n as Carillon", mode)) {
            let n = carillon.messages_per_write.map_or(f64::NAN, |n| n.median);
            notes.push(format!(
                "{mode}: Carillon is {:+.2} us above the floor of {} messages per write",
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

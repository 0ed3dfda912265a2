//! What an event from a client costs: many clients keep so many under way, answered or not, and servers take turns.

use serde::Serialize;

use super::Measure;
use super::calls::{Called, Calls, keep_calling};
use super::contest::{Contest, Contestant};
use crate::Result;
use crate::cli::{Common, Ingress};
use crate::peers::Peer;
use crate::report::document::Part;
use crate::report::stats::{Figure, Latency};
use crate::report::table::{self, Table, count, figure, in_order, number};

/// What surrounds the text of an event: the payload that is asked for includes it.
const AROUND: usize = "{\"text\":\"\"}".len();

/// How the events of a round come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
struct Way {
    clients: usize,
    in_flight: u64,
    acked: bool,
}

/// What one round measured.
#[derive(Debug, Clone, Serialize)]
struct Round {
    server: String,
    #[serde(flatten)]
    way: Way,
    round: usize,
    events: u64,
    events_per_second: f64,
    us_per_event: Option<f64>,
    latency: Option<Latency>,
    mistakes: Vec<String>,
}

/// All rounds of one server in one way.
#[derive(Debug, Serialize)]
struct Row {
    server: String,
    #[serde(flatten)]
    way: Way,
    us_per_event: Option<Figure>,
    events_per_second: Option<Figure>,
    p50_us: Option<Figure>,
    p99_us: Option<Figure>,
    /// The processor time of every round.
    every_us: Vec<f64>,
    failed: usize,
}

impl Measure for Ingress {
    fn common(&self) -> &Common {
        &self.common
    }

    fn peers(&self) -> Vec<Peer> {
        Peer::ACK.to_vec()
    }

    fn seconds(&self, servers: usize) -> f64 {
        (servers * (self.rounds * ways(self).len() + 1)) as f64 * (self.seconds + 0.05) + servers as f64
    }

    fn measure(&self, contest: &mut Contest) -> Result<Part> {
        measure(contest, self)
    }
}

/// Every combination, except those that are the same: one event under way is answered, or it would not be known.
fn ways(options: &Ingress) -> Vec<Way> {
    let mut ways = Vec::new();
    for acked in [true, false] {
        for clients in &options.clients {
            let flights = options.in_flight.iter().filter(|flight| acked || **flight > 1);
            ways.extend(flights.map(|flight| Way { clients: *clients, in_flight: (*flight).max(1), acked }));
        }
    }
    ways.retain(|way| !options.acked_only || way.acked);
    ways
}

/// Measures; servers take turns within each way.
fn measure(contest: &mut Contest, options: &Ingress) -> Result<Part> {
    let mut common = options.common.clone();
    if let Some(named) = &mut common.peers {
        named.retain(|peer| peer.answers());
    }
    let everybody = contest.everybody(&common, &Peer::ACK)?;
    let most = options.clients.iter().copied().max().unwrap_or(1);
    let everybody = contest.connect_all(everybody, most)?;
    let mut rounds = Vec::new();
    for (nth, way) in ways(options).into_iter().enumerate() {
        for round in 0..=options.rounds {
            for contestant in &everybody {
                let is_warm_up = round == 0;
                if is_warm_up && nth > 0 {
                    continue;
                }
                let measured = one(contest, contestant, (options, way), round)?;
                contest.fail(&measured.server, &measured.mistakes);
                if !is_warm_up {
                    rounds.push(measured);
                }
            }
        }
    }
    contest.dismiss(everybody);
    let rows = summary(&rounds);
    let text = text(&rows, options, |server| contest.label(server));
    Part::new("ingress", (options, &rounds, &rows), (vec![text], Vec::new()))
}

fn one(contest: &mut Contest, contestant: &Contestant, (options, way): (&Ingress, Way), round: usize) -> Result<Round> {
    contest.progress.say(format!("{}: {} clients, {} in flight", contestant.name, way.clients, way.in_flight));
    let argument = format!("{{\"text\":\"{}\"}}", "x".repeat(options.payload.saturating_sub(AROUND)));
    let (calls, notes) = if way.acked { (way.in_flight, 0) } else { (1, way.in_flight - 1) };
    let (clients, event, argument, seconds) =
        (0..way.clients, &*options.common.target.call, &*argument, options.seconds);
    let calls = Calls { clients, event, argument, calls, notes, seconds };
    let Called { events, seconds, us_per_event, waits, mut mistakes } = keep_calling(contest, contestant, &calls)?;
    if !way.acked && mistakes.is_empty() {
        let noted: u64 = serde_json::from_str::<(u64,)>(&contest.ask(contestant, "noted")?)?.0;
        let sent = events / (notes + 1) * notes;
        if noted != sent {
            mistakes.push(format!("{noted} of {sent} events without an answer arrived"));
        }
    }
    Ok(Round {
        server: contestant.name.clone(),
        way,
        round,
        events,
        events_per_second: events as f64 / seconds,
        us_per_event,
        latency: Latency::of(&waits),
        mistakes,
    })
}

fn summary(rounds: &[Round]) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    for round in rounds {
        if rows.iter().any(|row| row.server == round.server && row.way == round.way) {
            continue;
        }
        let all = || rounds.iter().filter(|other| other.server == round.server && other.way == round.way);
        let good = || all().filter(|round| round.mistakes.is_empty());
        rows.push(Row {
            server: round.server.clone(),
            way: round.way,
            us_per_event: Figure::of(good().filter_map(|round| round.us_per_event)),
            events_per_second: Figure::of(good().map(|round| round.events_per_second)),
            p50_us: Figure::of(good().filter_map(|round| Some(round.latency?.p50))),
            p99_us: Figure::of(good().filter_map(|round| Some(round.latency?.p99))),
            every_us: good().filter_map(|round| round.us_per_event).collect(),
            failed: all().count() - good().count(),
        });
    }
    rows
}

fn text(rows: &[Row], options: &Ingress, label: impl Fn(&str) -> String) -> String {
    let mut table = Table::new(&[
        "server",
        "clients",
        "in flight",
        "acked",
        "us/event",
        "events/s",
        "p50 ms",
        "p99 ms",
        "failed",
        "every round, us",
    ]);
    let ms = |value: Option<Figure>| number(value.map_or(f64::NAN, |value| value.median / 1e3));
    for row in rows {
        table.row([
            label(&row.server),
            count(row.way.clients),
            row.way.in_flight.to_string(),
            if row.way.acked { "yes" } else { "no" }.to_owned(),
            figure(row.us_per_event),
            figure(row.events_per_second),
            ms(row.p50_us),
            ms(row.p99_us),
            row.failed.to_string(),
            table::every(&row.every_us),
        ]);
    }
    let servers = in_order(rows.iter().map(|row| &*row.server)).len();
    let Ingress { payload, rounds, seconds, .. } = options;
    format!(
        "Ingress: events of {payload} bytes to {servers} servers, {rounds} rounds of {seconds} s; of those that are not acked \
         the last one under way is\n{}",
        table.text()
    )
}

//! What clients that poll cost: a delivery of a paced load and of a flood, and an event with its answer.

use serde::Serialize;

use super::Measure;
use super::calls::{Called, Calls, keep_calling};
use super::contest::{Contest, Contestant};
use super::round;
use crate::cli::{Common, Poll};
use crate::peers::Peer;
use crate::peers::protocol::{Mode, Run};
use crate::report::document::Part;
use crate::report::stats::{Figure, Latency};
use crate::report::table::{Table, figure, in_order, number};
use crate::{Result, clock};

/// What one round measured.
#[derive(Debug, Clone, Serialize)]
struct Round {
    server: String,
    round: usize,
    paced_us_per_delivery: Option<f64>,
    paced: Option<Latency>,
    flood_us_per_delivery: Option<f64>,
    deliveries_per_second: f64,
    us_per_event: Option<f64>,
    events_per_second: f64,
    event: Option<Latency>,
    mistakes: Vec<String>,
}

/// All rounds of one server.
#[derive(Debug, Serialize)]
struct Row {
    server: String,
    failed: usize,
    paced_us_per_delivery: Option<Figure>,
    paced_p99_us: Option<Figure>,
    flood_us_per_delivery: Option<Figure>,
    deliveries_per_second: Option<Figure>,
    us_per_event: Option<Figure>,
    events_per_second: Option<Figure>,
    event_p99_us: Option<Figure>,
}

impl Measure for Poll {
    fn common(&self) -> &Common {
        &self.common
    }

    fn peers(&self) -> Vec<Peer> {
        Peer::ACK.to_vec()
    }

    fn seconds(&self, servers: usize) -> f64 {
        servers as f64 * (2.0 + (self.rounds + 1) as f64 * (3.0 * self.seconds + 0.5))
    }

    fn measure(&self, contest: &mut Contest) -> Result<Part> {
        measure(contest, self)
    }
}

/// Measures; servers take turns.
fn measure(contest: &mut Contest, options: &Poll) -> Result<Part> {
    let mut everybody = contest.everybody(&options.common, &Peer::ACK)?;
    everybody.iter_mut().for_each(|contestant| contestant.target.polls = true);
    let everybody = contest.connect_all(everybody, options.clients + 1)?;
    let mut rounds = Vec::new();
    // The first turn of each warms it up.
    for nth in 0..=options.rounds {
        for contestant in &everybody {
            let round = one(contest, contestant, options, nth)?;
            contest.fail(&round.server, &round.mistakes);
            rounds.extend((nth > 0).then_some(round));
        }
    }
    contest.dismiss(everybody);
    let rows = summary(&rounds);
    let text = text(&rows, options, |server| contest.label(server));
    Part::new("poll", (options, &rounds, &rows), (vec![text], Vec::new()))
}

fn one(contest: &mut Contest, contestant: &Contestant, options: &Poll, nth: usize) -> Result<Round> {
    let Poll { clients, payload, rate, window, seconds, .. } = *options;
    let run = Run::paced(rate, seconds, payload);
    let paced = round::run(contest, contestant, (&run, nth), |_| Ok(()))?;
    let run = Run { mode: Mode::Flood, window, ..run };
    let flood = round::run(contest, contestant, (&run, nth), |_| Ok(()))?;
    let mut mistakes = [paced.mistakes, flood.mistakes].concat();
    // A connection on which a poll waits cannot carry an event: each gets one message more, and then does not poll again.
    eager(contest, contestant, false)?;
    mistakes.extend(round::run(contest, contestant, (&Run::paced(10.0, 0.1, payload), nth), |_| Ok(()))?.mistakes);
    contest.progress.say(format!("{}: events", contestant.name));
    let argument = format!("{{\"text\":\"{}\"}}", "x".repeat(payload));
    let (event, argument) = (&*options.common.target.call, &*argument);
    let calls = Calls { clients: 1..clients + 1, event, argument, calls: 1, notes: 0, seconds };
    let Called { events, seconds, us_per_event, waits, mistakes: more } = keep_calling(contest, contestant, &calls)?;
    mistakes.extend(more);
    eager(contest, contestant, true)?;
    Ok(Round {
        server: contestant.name.clone(),
        round: nth,
        paced_us_per_delivery: paced.us_per_delivery,
        paced: paced.latency,
        flood_us_per_delivery: flood.us_per_delivery,
        deliveries_per_second: flood.deliveries_per_second,
        us_per_event,
        events_per_second: events as f64 / seconds,
        event: Latency::of(&waits),
        mistakes,
    })
}

/// Whether all clients poll although they expect nothing.
fn eager(contest: &mut Contest, contestant: &Contestant, eager: bool) -> Result<()> {
    let clients = &mut contest.load.group(contestant.group).clients;
    for client in clients.iter_mut() {
        if let Some(polling) = &mut client.polling {
            polling.eager = eager;
        }
        client.flush(clock::now());
    }
    if eager {
        contest.rest(0.1)?;
    }
    Ok(())
}

fn summary(rounds: &[Round]) -> Vec<Row> {
    let row = |name: &str| {
        let all = || rounds.iter().filter(|round| round.server == name);
        let of = |value: fn(&Round) -> Option<f64>| {
            Figure::of(all().filter(|round| round.mistakes.is_empty()).filter_map(value))
        };
        Row {
            server: name.to_owned(),
            failed: all().filter(|round| !round.mistakes.is_empty()).count(),
            paced_us_per_delivery: of(|round| round.paced_us_per_delivery),
            paced_p99_us: of(|round| Some(round.paced?.p99)),
            flood_us_per_delivery: of(|round| round.flood_us_per_delivery),
            deliveries_per_second: of(|round| Some(round.deliveries_per_second)),
            us_per_event: of(|round| round.us_per_event),
            events_per_second: of(|round| Some(round.events_per_second)),
            event_p99_us: of(|round| Some(round.event?.p99)),
        }
    };
    in_order(rounds.iter().map(|round| &*round.server)).into_iter().map(row).collect()
}

fn text(rows: &[Row], options: &Poll, label: impl Fn(&str) -> String) -> String {
    let mut table = Table::new(&[
        "server",
        "paced us/delivery",
        "p99 ms",
        "flood us/delivery",
        "deliveries/s",
        "us/event",
        "events/s",
        "p99 ms",
        "failed",
    ]);
    let ms = |value: Option<Figure>| number(value.map_or(f64::NAN, |value| value.median / 1e3));
    for row in rows {
        table.row([
            label(&row.server),
            figure(row.paced_us_per_delivery),
            ms(row.paced_p99_us),
            figure(row.flood_us_per_delivery),
            figure(row.deliveries_per_second),
            figure(row.us_per_event),
            figure(row.events_per_second),
            ms(row.event_p99_us),
            row.failed.to_string(),
        ]);
    }
    let Poll { clients, payload, rate, window, rounds, seconds, .. } = options;
    format!(
        "Poll: {clients} polling clients, {payload} bytes: {rate} broadcasts a second, a flood with a window of {window}, \
         and events with an answer, one under way for each client; {rounds} rounds of {seconds} s\n{}",
        table.text()
    )
}

//! What it costs to address messages otherwise than to everybody: the same flood in several shapes, which take turns.

use super::contest::{Contest, Contestant};
use super::round::{self, Round};
use crate::Result;
use crate::cli::Fanout;
use crate::load::packet::Dialect;
use crate::load::shape::{NAMESPACES, Shape};
use crate::peers::Peer;
use crate::peers::protocol::{Mode, NAMESPACE, Run, TICK};
use crate::report::document::Part;
use crate::report::row::Shape as Row;
use crate::report::stats::Figure;
use crate::report::table::{self, Table, figure};

/// The floor's rows: one write for each message, to all in turn, and one message to each in turn.
const FLOOR_OF_ONE: &str = "floor, n = 1";
const FLOOR_OF_CLIENT: &str = "floor, client";

/// Beside whom shapes are measured when nobody is named.
pub(super) fn peers() -> Vec<Peer> {
    std::iter::once(Peer::Floor).chain(Peer::SHAPES).collect()
}

/// About how long it takes.
pub(crate) fn seconds(options: &Fanout) -> f64 {
    let rows = |peer: &Peer| if *peer == Peer::Floor { 2 } else { options.shape.len() };
    let rows: usize = options.common.servers(&peers()).iter().map(rows).sum();
    ((options.rounds + 1) * rows) as f64 * (options.seconds + 0.3) + 2.0
}

/// Measures whoever can do it in every shape, and beside them the floor of one write for each message.
pub(crate) fn measure(contest: &mut Contest, options: &Fanout) -> Result<Part> {
    let window = super::fanout::window(options);
    let mut everybody = Vec::new();
    for peer in contest.servers(&options.common, &peers()) {
        let can = peer.is_carillon() || peer == Peer::Floor || Peer::SHAPES.contains(&peer);
        if !can {
            contest.progress.note(&format!("{peer} has no shapes"));
            continue;
        }
        let mut contestant = contest.start(peer, &peer.to_string(), &[])?;
        if peer != Peer::Floor {
            let most = options.shape.iter().map(|shape| shape.namespaces()).max().unwrap_or(1);
            let others = &NAMESPACES[1..most];
            let all = others.iter().fold(Dialect::new(NAMESPACE, TICK), |all, namespace| all.and(namespace, TICK));
            contestant.target.dialect = all;
        }
        everybody.push(contestant);
    }
    let everybody = contest.connect_all(everybody, options.clients)?;
    let mut rounds: Vec<Round> = Vec::new();
    for nth in 0..=options.rounds {
        for contestant in &everybody {
            for shape in shapes(contestant, options) {
                let round = one(contest, contestant, (options, window, shape), nth)?;
                // The first turn of each warms it up.
                rounds.extend((nth > 0).then_some(round));
            }
        }
    }
    contest.dismiss(everybody);
    let rows = summary(&rounds);
    let Fanout { clients, payload, seconds, .. } = options;
    let head = format!(
        "Shapes: floods of {payload} bytes to {clients} clients, each in every namespace and one of two rooms, {} rounds of \
         {seconds} s, window {window}",
        options.rounds
    );
    let text = text(&rows, |name| Some(name.split_once(' ')?.0));
    Part::new("shapes", (options, &rounds, &rows), (vec![format!("{head}\n{text}")], Vec::new()))
}

fn one(
    contest: &mut Contest,
    contestant: &Contestant,
    (options, window, shape): (&Fanout, u64, Shape),
    nth: usize,
) -> Result<Round> {
    let Fanout { clients, payload, seconds, burst, .. } = *options;
    let paced = Run::paced(0.0, seconds, payload);
    let run = Run { mode: Mode::Flood, window, burst, shape, clients: clients as u64, ..paced };
    let mut round = round::run(contest, contestant, (&run, nth), |_| Ok(()))?;
    round.server = match contestant.peer {
        Some(Peer::Floor) if shape == Shape::Client => FLOOR_OF_CLIENT.to_owned(),
        Some(Peer::Floor) => FLOOR_OF_ONE.to_owned(),
        _ => format!("{} {}", contestant.name, name(shape)),
    };
    contest.fail(&round.server, &round.mistakes);
    Ok(round)
}

fn shapes(contestant: &Contestant, options: &Fanout) -> Vec<Shape> {
    if contestant.peer == Some(Peer::Floor) { vec![Shape::Plain, Shape::Client] } else { options.shape.clone() }
}

fn name(shape: Shape) -> String {
    serde_json::to_string(&shape).unwrap_or_default().trim_matches('"').to_owned()
}

/// What the rounds of each server come to, in the order of their first turn.
pub(super) fn summary(rounds: &[Round]) -> Vec<Row> {
    let names = table::in_order(rounds.iter().map(|round| &*round.server));
    let row = |name: &str| {
        let all: Vec<&Round> = rounds.iter().filter(|round| round.server == name).collect();
        let good = || all.iter().filter(|round| round.mistakes.is_empty());
        Row {
            name: name.to_owned(),
            us_per_delivery: Figure::of(good().filter_map(|round| round.us_per_delivery)),
            deliveries_per_second: Figure::of(good().map(|round| round.deliveries_per_second)),
            messages_per_write: Figure::of(good().filter_map(|round| round.messages_per_write)),
            p50_us: Figure::of(good().filter_map(|round| Some(round.latency?.p50))),
            lost: all.iter().map(|round| round.lost).sum(),
            disorder: all.iter().map(|round| round.disorder).sum(),
            every_us: all.iter().filter_map(|round| round.us_per_delivery).collect(),
        }
    };
    names.into_iter().map(row).collect()
}

/// All rows, each beside the first one of the same server, which `server` finds in a row's name.
pub(super) fn text(rows: &[Row], server: impl Fn(&str) -> Option<&str>) -> String {
    let mut table = Table::new(&[
        "what",
        "us/delivery",
        "x first",
        "deliveries/s",
        "msgs/write",
        "p50 ms",
        "lost",
        "disorder",
        "every round, us",
    ]);
    for row in rows {
        let first = rows.iter().find(|other| server(&other.name) == server(&row.name));
        let first = first.and_then(|row| row.us_per_delivery);
        let ratio = row.us_per_delivery.zip(first).map(|(own, first)| own.times(1.0 / first.median));
        table.row([
            row.name.clone(),
            figure(row.us_per_delivery),
            figure(ratio),
            figure(row.deliveries_per_second),
            figure(row.messages_per_write),
            figure(row.p50_us.map(|us| us.times(1e-3))),
            row.lost.to_string(),
            row.disorder.to_string(),
            table::every(&row.every_us),
        ]);
    }
    table.text()
}

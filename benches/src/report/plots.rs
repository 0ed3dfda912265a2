//! The plots of a report: each says in its title what is better, and shows the floor.

use super::ratios::{bytes, cost, throughput};
use super::row::{FLOOR_AS_CARILLON, Fanout};
use super::stats::Figure;
use super::story::{CARILLON, FLOOR, Measured, Story, is_floor};
use super::table::{count, in_order, number};
use crate::Result;
use crate::peers::protocol::Mode;

mod chart;

use chart::{Bars, Lines, Row, Series, svg};

/// The floor that makes one write for each message.
const FLOOR_OF_ONE: &str = "floor, n = 1";

/// A figure of a row.
type Of = fn(&Fanout) -> Option<Figure>;

/// All plots, by the names of their files.
pub(super) fn all(story: &Story) -> Result<Vec<(&'static str, String)>> {
    Ok(vec![
        ("cpu.svg", svg(&[peers(story, Mode::Flood, COST), peers(story, Mode::Paced, COST)])?),
        ("throughput.svg", svg(&[peers(story, Mode::Flood, THROUGHPUT)])?),
        ("latency.svg", svg(&[latency(story)])?),
        ("memory.svg", svg(&[memory(story)])?),
        ("clients-cpu.svg", svg(&[clients(story, Mode::Flood, COST), clients(story, Mode::Paced, COST)])?),
        ("clients-latency.svg", svg(&[clients(story, Mode::Paced, P50), clients(story, Mode::Paced, P99)])?),
        ("payload.svg", svg(&payload(story))?),
    ])
}

/// A figure with its name, its unit, and what is better.
struct Kind {
    name: &'static str,
    better: &'static str,
    unit: &'static str,
    of: Of,
}

const COST: Kind = Kind { name: "CPU per delivery", better: "less is better", unit: "µs", of: cost };
const THROUGHPUT: Kind =
    Kind { name: "deliveries per second on one core", better: "more is better", unit: "/s", of: throughput };
const P50: Kind =
    Kind { name: "half of deliveries within", better: "less is better", unit: "ms", of: |row| ms(row.p50_us) };
const P99: Kind =
    Kind { name: "99 % of deliveries within", better: "less is better", unit: "ms", of: |row| ms(row.p99_us) };

fn ms(figure: Option<Figure>) -> Option<Figure> {
    figure.map(|figure| figure.times(1e-3))
}

/// Everybody side by side, best first; the floor's rows are lines.
fn peers(story: &Story, mode: Mode, kind: Kind) -> Bars {
    let asked = story.peers.asked;
    let all = || story.peers.of(mode).filter_map(|row| Some((&*row.server, (kind.of)(row)?)));
    let lines =
        [(FLOOR_AS_CARILLON, "floor, as many messages in a write as Carillon"), (FLOOR_OF_ONE, ONE), (FLOOR, ONE)];
    let line = |(server, what): (&str, &str)| {
        let (_, figure) = all().find(|(name, _)| *name == server)?;
        Some((what.to_owned(), figure))
    };
    let mut rows: Vec<Row> = all()
        .filter(|(name, _)| !is_floor(name))
        .map(|(name, figure)| Row { name: name.to_owned(), figures: vec![figure] })
        .collect();
    let more_is_better = kind.better.starts_with("more");
    rows.sort_by(|a, b| a.figures[0].median.total_cmp(&b.figures[0].median));
    if more_is_better {
        rows.reverse();
    }
    let load = match mode {
        Mode::Flood => "flood".to_owned(),
        Mode::Paced => format!("{} broadcasts a second", count(asked.rate.round() as usize)),
    };
    Bars {
        title: format!("{}: {load}, {} clients, {}", capital(kind.name), count(asked.clients), bytes(asked.payload)),
        axis: format!("{} ({}; whiskers: least and greatest round)", unit(kind.unit), kind.better),
        unit: kind.unit,
        rows,
        lines: lines.into_iter().filter_map(line).collect(),
    }
}

const ONE: &str = "floor, one write per message";

fn unit(unit: &str) -> &str {
    if unit == "/s" { "deliveries per second" } else { unit }
}

/// Three percentiles for each, best median first.
fn latency(story: &Story) -> Bars {
    let asked = story.peers.asked;
    let figures =
        |row: &Fanout| -> Option<Vec<Figure>> { Some(vec![ms(row.p50_us)?, ms(row.p99_us)?, ms(row.p999_us)?]) };
    let row = |row: &Fanout| Some(Row { name: row.server.clone(), figures: figures(row)? });
    let mut rows: Vec<Row> = story.peers.of(Mode::Paced).filter_map(row).collect();
    rows.sort_by(|a, b| a.figures[0].median.total_cmp(&b.figures[0].median));
    let floor = story.peers.figure(FLOOR, Mode::Paced, P50.of);
    Bars {
        title: format!(
            "Latency: {} broadcasts a second, {} clients, {}",
            count(asked.rate.round() as usize),
            count(asked.clients),
            bytes(asked.payload)
        ),
        axis: "ms for 50 % (circle), 99 % (triangle), 99.9 % (cross) of deliveries; less is better".to_owned(),
        unit: "ms",
        rows,
        lines: floor.map(|figure| ("floor, 50 %".to_owned(), figure)).into_iter().collect(),
    }
}

fn memory(story: &Story) -> Bars {
    let row = |row: &super::row::Idle| Some(Row { name: row.server.clone(), figures: vec![row.kb_per_connection?] });
    let mut rows: Vec<Row> = story.memory.rows.iter().filter_map(row).collect();
    rows.sort_by(|a, b| a.figures[0].median.total_cmp(&b.figures[0].median));
    Bars {
        title: format!("Memory per idle connection: {} clients", count(story.memory.asked.clients)),
        axis: "KB of the server's resident memory (less is better)".to_owned(),
        unit: "KB",
        rows,
        lines: Vec::new(),
    }
}

/// What becomes of a figure as clients come.
fn clients(story: &Story, mode: Mode, kind: Kind) -> Lines {
    let load = match (mode, story.clients.first()) {
        (Mode::Paced, Some(step)) => {
            format!("paced, {} deliveries per second", number(step.asked.rate * step.asked.clients as f64))
        }
        _ => format!("{mode}"),
    };
    Lines {
        title: format!("{}, {load} ({})", capital(kind.name), kind.better),
        axis: "clients (both axes logarithmic)".to_owned(),
        name: |clients| count(clients.round() as usize),
        base: 10.0,
        unit: kind.unit,
        series: series(&story.clients, mode, kind.of, |step| step.asked.clients as f64),
    }
}

/// What becomes of a flood as messages grow.
fn payload(story: &Story) -> [Lines; 2] {
    let size = |step: &Measured<Fanout>| step.asked.payload as f64;
    let clients = story.payload.first().map_or(0, |step| step.asked.clients);
    let axis = "payload of a message (both axes logarithmic)".to_owned();
    let (name, base): (fn(f64) -> String, f64) = (|size| bytes(size.round() as usize), 4.0);
    let mut volume = series(&story.payload, Mode::Flood, throughput, size);
    for (size, figure) in volume.iter_mut().flat_map(|series| &mut series.points) {
        *figure = figure.times(*size / 1e6);
    }
    let what = format!("{} clients (more is better)", count(clients));
    let title = format!("Payload delivered per second, flood, {what}");
    let volume = Lines { title, axis: axis.clone(), name, base, unit: "MB/s", series: volume };
    let title = format!("Messages delivered per second, flood, {what}");
    let series = series(&story.payload, Mode::Flood, throughput, size);
    [volume, Lines { title, axis, name, base, unit: "/s", series }]
}

/// One line for each server, Carillon's first. A flood's floor is the one that coalesces like Carillon.
fn series(steps: &[Measured<Fanout>], mode: Mode, of: Of, x: impl Fn(&Measured<Fanout>) -> f64) -> Vec<Series> {
    let names = in_order(steps.iter().flat_map(|step| step.of(mode)).map(|row| &*row.server));
    let line = |name: &str| Series {
        name: if name == FLOOR_AS_CARILLON { FLOOR.to_owned() } else { name.to_owned() },
        points: steps.iter().filter_map(|step| Some((x(step), step.figure(name, mode, of)?))).collect(),
    };
    let mut series: Vec<Series> = names.into_iter().map(line).collect();
    series.sort_by_key(|series| series.name != CARILLON);
    series
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

//! How Carillon compares, as numbers: its figure, the other one, and the one in terms of the other.

use super::row::{FLOOR_AS_CARILLON, Fanout};
use super::stats::Figure;
use super::story::{CARILLON, FLOOR, Story, is_floor};
use super::table::{Table, count, figure, number};
use crate::peers::protocol::Mode;

/// One comparison.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Ratio {
    /// What is compared, with its unit.
    pub(super) what: String,
    pub(super) own: Figure,
    /// Whom, or what, with.
    pub(super) with: String,
    pub(super) other: Figure,
}

impl Ratio {
    /// Carillon's figure in terms of the other.
    pub(super) fn value(&self) -> f64 {
        self.own.median / self.other.median
    }

    /// The value as text, marked when either figure is doubtful.
    pub(super) fn text(&self) -> String {
        let mark = if self.own.is_doubtful() || self.other.is_doubtful() { "~" } else { "" };
        format!("{mark}{} x", number(self.value()))
    }
}

/// Processor time of a delivery.
pub(super) fn cost(row: &Fanout) -> Option<Figure> {
    row.us_per_delivery
}

/// Deliveries a second.
pub(super) fn throughput(row: &Fanout) -> Option<Figure> {
    row.deliveries_per_second
}

/// Everything worth comparing.
pub(super) fn all(story: &Story) -> Vec<Ratio> {
    let mut ratios = Vec::new();
    let mut add = |what: String, own: Option<Figure>, with: &str, other: Option<Figure>| {
        if let (Some(own), Some(other)) = (own, other) {
            ratios.push(Ratio { what, own, with: with.to_owned(), other });
        }
    };
    for mode in [Mode::Flood, Mode::Paced] {
        let own = story.peers.figure(CARILLON, mode, cost);
        let others = story.peers.of(mode).filter(|row| row.server != CARILLON);
        for row in others.filter(|row| !is_floor(&row.server) || [FLOOR, FLOOR_AS_CARILLON].contains(&&*row.server)) {
            add(format!("{mode}: CPU per delivery, µs"), own, &row.server, row.us_per_delivery);
        }
    }
    let memory = |server: &str| story.memory.rows.iter().find(|row| row.server == server)?.kb_per_connection;
    for row in story.memory.rows.iter().filter(|row| row.server != CARILLON) {
        let what = "idle: memory per connection, KB".to_owned();
        add(what, memory(CARILLON), &row.server, row.kb_per_connection);
    }
    let least = story.clients.iter().find(|step| step.asked.clients == story.peers.asked.clients);
    if let (Some(step), Some(most)) = (least, story.clients.last()) {
        for mode in [Mode::Flood, Mode::Paced] {
            let what = format!("{mode}, {} clients: CPU per delivery, µs", count(most.asked.clients));
            let with = format!("itself with {}", count(step.asked.clients));
            add(what, most.figure(CARILLON, mode, cost), &with, step.figure(CARILLON, mode, cost));
        }
    }
    if let Some(step) = story.payload.last() {
        let size = bytes(step.asked.payload);
        for (what, of) in [("CPU per delivery, µs", cost as fn(&Fanout) -> _), ("deliveries a second", throughput)] {
            let figure = |server| step.figure(server, Mode::Flood, of);
            add(format!("flood of {size}: {what}"), figure(CARILLON), FLOOR_AS_CARILLON, figure(FLOOR_AS_CARILLON));
        }
    }
    ratios
}

/// All of them as a table.
pub(super) fn table(ratios: &[Ratio]) -> Table {
    let mut table = Table::new(&["measure", "Carillon", "other", "beside", "Carillon / other"]);
    for ratio in ratios {
        let Ratio { what, own, with, other } = ratio;
        table.row([what.clone(), figure(Some(*own)), figure(Some(*other)), with.clone(), ratio.text()]);
    }
    table
}

/// A size as people write it.
pub(super) fn bytes(size: usize) -> String {
    if size >= 1024 && size.is_multiple_of(1024) { format!("{} KiB", size / 1024) } else { format!("{size} B") }
}

//! The generated parts of the page and of the table: everything in them comes from the JSON of one suite.

use super::document::Part;
use super::ratios::{self, Ratio, bytes, cost, throughput};
use super::row::{FLOOR_AS_CARILLON, Fanout};
use super::stats::Figure;
use super::story::{CARILLON, FLOOR, Measured, Story};
use super::table::{Table, count, figure, number, spread};
use crate::Result;
use crate::peers::protocol::Mode;

/// A generated part: its name, which marks its place in the page, its heading in plain text, and its content.
pub(super) struct Section {
    pub(super) name: &'static str,
    pub(super) head: String,
    /// Markdown before the table.
    pub(super) words: String,
    pub(super) table: Option<Table>,
}

impl Section {
    fn new(name: &'static str, head: impl Into<String>, words: String, table: Option<Table>) -> Self {
        Self { name, head: head.into(), words, table }
    }

    fn markdown(&self) -> String {
        let mut parts = vec![self.words.trim_end().to_owned()];
        parts.extend(self.table.as_ref().map(|table| table.markdown().trim_end().to_owned()));
        parts.retain(|part| !part.is_empty());
        parts.join("\n\n")
    }
}

/// Everything, in the page's order.
pub(super) fn sections(story: &Story) -> Vec<Section> {
    let ratios = ratios::all(story);
    let load = |mode: Mode| {
        let asked = story.peers.asked;
        let rounds = format!("{} rounds of {} s", asked.rounds, asked.seconds);
        let who = format!("{} clients, {}", count(asked.clients), bytes(asked.payload));
        match mode {
            Mode::Flood => format!("Flood: {who}, a window of {} messages, {rounds}", asked.window),
            Mode::Paced => {
                format!("Paced: {who}, {} broadcasts a second, {rounds}", count(asked.rate.round() as usize))
            }
        }
    };
    let memory = format!("Idle: {} clients", count(story.memory.asked.clients));
    vec![
        Section::new("machine", "Machine", machine(story), None),
        Section::new("relay-flood", "A flood through Redis", shown(story.parts("relay-flood")), None),
        Section::new("relay", "A paced load through Redis", shown(story.parts("relay")), None),
        Section::new("nodes", "Several Carillons on one Redis", shown(story.parts("nodes")), None),
        Section::new("replay", "Clients that come back", shown(story.parts("replay")), None),
        Section::new("ingress", "Events from clients", shown(story.parts("ingress")), None),
        Section::new("shapes", "Not to everybody", shown(story.parts("shapes")), None),
        Section::new("connect", "Connections", shown(story.parts("connect")), None),
        Section::new("guarded", "With TLS, with tokens, and with a journal", shown(story.parts("guarded")), None),
        Section::new("poll", "Clients that poll", shown(story.parts("poll")), None),
        Section::new("overload", "A plugin that publishes without end", shown(story.parts("overload")), None),
        Section::new("scrape", "Scrapes", shown(story.parts("scrape")), None),
        Section::new("short", "In short", in_short(story, &ratios), None),
        Section::new("ratios", "Ratios", String::new(), Some(ratios::table(&ratios))),
        Section::new("flood", load(Mode::Flood), load(Mode::Flood) + ".", Some(flood(story))),
        Section::new("paced", load(Mode::Paced), load(Mode::Paced) + ".", Some(paced(story))),
        Section::new("memory", &*memory, format!("{memory}."), Some(idle(story))),
        Section::new(
            "clients",
            "As the number of clients grows: CPU per delivery and latency",
            String::new(),
            Some(clients(story)),
        ),
        Section::new("payload", "As payload grows: floods", String::new(), Some(payload(story))),
        Section::new("rest", "Slow clients and calls", shown(story.rest()), None),
    ]
}

/// All sections as plain text.
pub(super) fn text(sections: &[Section]) -> String {
    let mut text = String::new();
    for Section { head, words, table, .. } in sections {
        let body = table.as_ref().map_or_else(|| words.replace("```text\n", "").replace("```\n", ""), Table::text);
        text.push_str(&format!("{head}\n\n{}\n\n", body.trim_end()));
    }
    text.push_str("~ marks a figure whose rounds differ by more than 20 % of their median.\n");
    text
}

/// The page with its marked places filled: `<!-- figures: NAME -->` to `<!-- end -->`.
pub(super) fn fill(page: &str, sections: &[Section]) -> Result<String> {
    const END: &str = "<!-- end -->";
    let mut out = String::new();
    let mut rest = page;
    while let Some((before, after)) = rest.split_once("<!-- figures: ") {
        let (name, after) = after.split_once(" -->").ok_or("a mark of the page has no end")?;
        let section = sections.iter().find(|section| section.name == name);
        let section = section.ok_or_else(|| format!("there are no figures `{name}`"))?;
        let (_, after) = after.split_once(END).ok_or_else(|| format!("`{name}` is not closed with {END}"))?;
        out.push_str(&format!("{before}<!-- figures: {name} -->\n\n{}\n\n{END}", section.markdown()));
        rest = after;
    }
    out.push_str(rest);
    Ok(out)
}

fn machine(story: &Story) -> String {
    let suite = &story.suite;
    let machine = &suite.machine;
    let mut lines = vec![
        format!("- {}", machine.line()),
        format!("- {:.1} GB of memory, load {} when the run began", machine.memory_mb as f64 / 1e3, machine.load),
        format!(
            "- measured on {}, in {:.1} minutes",
            machine.at.get(..16).unwrap_or(&machine.at).replace('T', " "),
            suite.seconds / 60.0
        ),
    ];
    let versions = suite.versions.iter().filter(|(_, version)| !version.is_empty());
    lines.extend(versions.map(|(name, version)| format!("- {name} {version}")));
    lines.extend(suite.left_out.iter().map(|line| format!("- {line}")));
    lines.extend(suite.failures.iter().map(|line| format!("- {line}")));
    lines.join("\n")
}

/// One line for each kind of comparison with the nearest and the farthest.
fn in_short(story: &Story, ratios: &[Ratio]) -> String {
    const QUICK: &str =
        "**A run in miniature (`--quick`): these figures show that the tool works, and nothing else.**\n";
    let mut lines: Vec<_> = story.suite.quick.then(|| QUICK.to_owned()).into_iter().collect();
    for what in super::table::in_order(ratios.iter().map(|ratio| &*ratio.what)) {
        let of = || ratios.iter().filter(|ratio| ratio.what == what);
        let shown: Vec<String> = of().map(|ratio| format!("{} {}", ratio.text(), ratio.with)).collect();
        if let Some(first) = of().next() {
            lines.push(format!("- {what}: **{}** for Carillon: {}", figure(Some(first.own)), shown.join(", ")));
        }
    }
    lines.join("\n")
}

fn flood(story: &Story) -> Table {
    let mut table = Table::new(&["server", "CPU µs/delivery", "spread", "deliveries/s", "spread", "messages/write"]);
    for row in story.peers.of(Mode::Flood) {
        let Fanout { us_per_delivery, deliveries_per_second, messages_per_write, .. } = row;
        table.row([
            name(row),
            figure(*us_per_delivery),
            spread(*us_per_delivery),
            figure(*deliveries_per_second),
            spread(*deliveries_per_second),
            figure(*messages_per_write),
        ]);
    }
    table
}

fn paced(story: &Story) -> Table {
    let mut table =
        Table::new(&["server", "CPU µs/delivery", "spread", "p50 ms", "p99 ms", "p99.9 ms", "messages/write"]);
    for row in story.peers.of(Mode::Paced) {
        table.row([
            name(row),
            figure(row.us_per_delivery),
            spread(row.us_per_delivery),
            ms(row.p50_us),
            ms(row.p99_us),
            ms(row.p999_us),
            figure(row.messages_per_write),
        ]);
    }
    table
}

fn name(row: &Fanout) -> String {
    let failed = (row.failed > 0).then(|| format!("{} of {} rounds failed", row.failed, row.rounds));
    let behind = (!row.kept_up).then(|| "could not keep up".to_owned());
    let known: Vec<String> = failed.into_iter().chain(behind).collect();
    if known.is_empty() { row.server.clone() } else { format!("{} ({})", row.server, known.join(", ")) }
}

fn ms(value: Option<Figure>) -> String {
    figure(value.map(|value| value.times(1e-3)))
}

fn idle(story: &Story) -> Table {
    let heads = [
        "server",
        "KB/connection",
        "spread",
        "heap and stacks",
        "kernel, both ends",
        "RSS MB",
        "RSS MB when all have gone",
    ];
    let mut table = Table::new(&heads);
    for row in &story.memory.rows {
        table.row([
            row.server.clone(),
            figure(row.kb_per_connection),
            spread(row.kb_per_connection),
            figure(row.heap_kb_per_connection),
            figure(row.kernel_kb_per_connection),
            figure(row.rss_mb),
            figure(row.closed_rss_mb),
        ]);
    }
    table
}

/// Every server's floor of a sweep goes by the same name as in its plot.
const FOLLOWED: [&str; 3] = [CARILLON, FLOOR, "socketioxide"];

fn of(step: &Measured<Fanout>, server: &str, mode: Mode, value: fn(&Fanout) -> Option<Figure>) -> Option<Figure> {
    let as_carillon = (mode == Mode::Flood && server == FLOOR).then_some(FLOOR_AS_CARILLON);
    step.figure(as_carillon.unwrap_or(server), mode, value)
}

fn clients(story: &Story) -> Table {
    let heads = [
        "clients",
        "server",
        "flood µs/delivery",
        "spread",
        "flood deliveries/s",
        "paced µs/delivery",
        "spread",
        "p50 ms",
        "p99 ms",
    ];
    let mut table = Table::new(&heads);
    for step in &story.clients {
        for server in FOLLOWED.iter().filter(|server| of(step, server, Mode::Paced, cost).is_some()) {
            let (flood, paced) = (of(step, server, Mode::Flood, cost), of(step, server, Mode::Paced, cost));
            table.row([
                count(step.asked.clients),
                (*server).to_owned(),
                figure(flood),
                spread(flood),
                figure(of(step, server, Mode::Flood, throughput)),
                figure(paced),
                spread(paced),
                ms(of(step, server, Mode::Paced, |row| row.p50_us)),
                ms(of(step, server, Mode::Paced, |row| row.p99_us)),
            ]);
        }
    }
    table
}

fn payload(story: &Story) -> Table {
    let mut table = Table::new(&["payload", "window", "server", "CPU µs/delivery", "spread", "deliveries/s", "MB/s"]);
    for step in &story.payload {
        for server in FOLLOWED.iter().filter(|server| of(step, server, Mode::Flood, cost).is_some()) {
            let (us, speed) = (of(step, server, Mode::Flood, cost), of(step, server, Mode::Flood, throughput));
            table.row([
                bytes(step.asked.payload),
                step.asked.window.to_string(),
                (*server).to_owned(),
                figure(us),
                spread(us),
                figure(speed),
                number(speed.map_or(f64::NAN, |speed| speed.median * step.asked.payload as f64 / 1e6)),
            ]);
        }
    }
    table
}

/// What was shown while it was measured.
fn shown<'a>(parts: impl Iterator<Item = &'a Part>) -> String {
    let mut text = String::new();
    for part in parts {
        for table in &part.tables {
            text.push_str(&format!("```text\n{}\n```\n", table.trim_end()));
        }
        for note in &part.notes {
            text.push_str(&format!("- {note}\n"));
        }
        text.push('\n');
    }
    if text.is_empty() { "Not measured in the run this page was made from.".to_owned() } else { text }
}

//! What a plugin that publishes in an endless loop does: to the server's memory, and to another namespace's calls and messages.

use serde::Serialize;

use super::Measure;
use super::contest::{Contest, Contestant};
use super::metrics::Metrics;
use super::round;
use crate::cli::{Common, Overload};
use crate::load::packet::Dialect;
use crate::load::shape::Shape;
use crate::load::{GroupId, HANDSHAKES, Stage, Target};
use crate::machine::proc;
use crate::measure::ack::{Calling, calls, join};
use crate::peers::Peer;
use crate::peers::protocol::{ENDLESS, Ended, Endless, Form, Run, TICK};
use crate::report::document::Part;
use crate::report::stats::Latency;
use crate::report::table::{Table, count, number};
use crate::{Result, clock};

/// Seconds of calls before it begins.
const QUIET: f64 = 2.0;
/// How often memory is looked at.
const LOOK: u64 = 250_000_000;
/// Seconds until everything published has been accounted for.
const DRAIN: f64 = 60.0;
/// Points of time at which memory is told.
const POINTS: usize = 12;

/// What became of one server in one form.
#[derive(Debug, Clone, Serialize)]
struct Outcome {
    server: String,
    form: Form,
    #[serde(flatten)]
    ended: Ended,
    deliveries: u64,
    /// Clients of the flooded namespace whose connections the server closed, and what is missing at the others.
    closed: usize,
    missing: u64,
    disorder: u64,
    rss_before_kb: u64,
    /// Memory while it went on, by the second.
    rss_kb: Vec<(f64, u64)>,
    rss_after_kb: u64,
    /// Calls in another namespace before it began, and while it went on.
    quiet: Option<Latency>,
    flooded: Option<Latency>,
    /// Another namespace's paced messages.
    paced: Option<Latency>,
    paced_deliveries: u64,
    paced_lost: u64,
    /// The ledger: what should have been delivered, and what became of all of it.
    expected: f64,
    told: f64,
    mistakes: Vec<String>,
}

impl Measure for Overload {
    fn common(&self) -> &Common {
        &self.common
    }

    fn seconds(&self, servers: usize) -> f64 {
        let each = self.clients as f64 / 3_000.0 + QUIET + self.seconds + 5.0;
        (servers * self.form.len()) as f64 * each
    }

    fn measure(&self, contest: &mut Contest) -> Result<Part> {
        measure(contest, self)
    }
}

/// Measures, each form with a server of its own.
fn measure(contest: &mut Contest, options: &Overload) -> Result<Part> {
    contest.reserve(options.clients + options.others)?;
    let mut outcomes = Vec::new();
    for form in &options.form {
        for peer in contest.servers(&options.common, &[]).into_iter().filter(|peer| peer.is_carillon()) {
            let outcome = one(contest, peer, (options, *form))?;
            contest.fail(&format!("{} {form:?}", outcome.server), &outcome.mistakes);
            outcomes.push(outcome);
        }
    }
    let (text, notes) = (text(&outcomes, options), outcomes.iter().map(note).collect());
    Part::new("overload", (options, &outcomes, &[(); 0]), (vec![text], notes))
}

fn one(contest: &mut Contest, peer: Peer, (options, form): (&Overload, Form)) -> Result<Outcome> {
    let mut contestant = contest.start(peer, &peer.to_string(), &[])?;
    let pid = contestant.pid.ok_or("no process")?;
    contest.connect(&mut contestant, options.others)?;
    let target = Target::local(contestant.target.address, Dialect::new(ENDLESS, TICK));
    let (name, clients) = (contestant.name.clone(), options.clients);
    let progress = contest.progress.clone();
    let flooded = contest.load.connect(target, (clients, HANDSHAKES), |ready| {
        progress.say(format!("{name}: {ready} of {clients} clients connected"));
    })?;
    let calling = |seconds| calls(&contestant, Calling { event: "echo", rate: options.calls, seconds });
    let quiet = calling(QUIET);
    while !quiet.is_finished() {
        contest.rest(0.05)?;
    }
    let quiet = Latency::of(&join(quiet)?);
    let before = Metrics::scrape(contestant.target.address)?;
    let rss_before_kb = proc::rss_kb(pid)?;
    contest.load.group(flooded).begin((64, u64::MAX), Shape::Plain);
    let told = Endless { form, seconds: options.seconds, bytes: options.payload };
    let packet = Dialect::new(ENDLESS, TICK).event("endless", &serde_json::to_string(&told)?);
    contest.load.say(flooded, 0, &packet);
    let start = clock::now();
    let calls = calling((options.seconds - 0.5).max(0.1));
    let (mut looked, mut rss_kb) = (0, Vec::new());
    let run = Run::paced(options.rate, options.seconds, 128);
    let paced = round::run(contest, &contestant, (&run, 1), |_| {
        let now = clock::now();
        if now - looked > LOOK {
            looked = now;
            rss_kb.push((clock::seconds(now - start), proc::rss_kb(pid)?));
        }
        Ok(())
    })?;
    while !calls.is_finished() {
        contest.rest(0.05)?;
    }
    let calls = Latency::of(&join(calls)?);
    let (ended, [expected, told]) = account(contest, &contestant, flooded, &before)?;
    let rss_after_kb = proc::rss_kb(pid)?;
    let group = contest.load.group(flooded);
    let alive = group.clients.iter().filter(|client| client.stage == Stage::Ready);
    let missing = alive.map(|client| ended.published.saturating_sub(client.next)).sum::<u64>() + group.tally.lost;
    let (closed, deliveries, disorder) = (group.count(Stage::Closed), group.tally.messages, group.tally.disorder);
    let mut mistakes = paced.mistakes;
    if !ended.over || expected != told {
        mistakes.push(format!("the ledger does not balance: {expected} deliveries expected, {told} accounted for"));
    }
    if missing > 0 || disorder > 0 {
        mistakes.push(format!("{missing} deliveries are missing at clients that stayed, {disorder} out of order"));
    }
    contest.load.hang_up(flooded);
    contest.dismiss(vec![contestant]);
    Ok(Outcome {
        server: name,
        form,
        ended,
        deliveries,
        closed,
        missing,
        disorder,
        rss_before_kb,
        rss_kb,
        rss_after_kb,
        quiet,
        flooded: calls,
        paced: paced.latency,
        paced_deliveries: paced.deliveries,
        paced_lost: paced.lost,
        expected,
        told,
        mistakes,
    })
}

/// Waits until the loop has ended and everything it published has arrived or is accounted for.
fn account(
    contest: &mut Contest,
    contestant: &Contestant,
    flooded: GroupId,
    before: &Metrics,
) -> Result<(Ended, [f64; 2])> {
    let end = clock::now() + clock::nanos(DRAIN);
    let mut arrived = u64::MAX;
    loop {
        let ended: Ended = serde_json::from_str::<(Ended,)>(&contest.ask(contestant, "ended")?)?.0;
        let after = Metrics::scrape(contestant.target.address)?;
        let ledger = ["deliveries_expected_total", "deliveries_total"]
            .map(|name| after.gain(before, &format!("carillon_{name}")));
        let messages = contest.load.group(flooded).tally.messages;
        let at_rest = ended.over && ledger[0] == ledger[1] && messages == arrived;
        if at_rest || clock::now() > end {
            return Ok((ended, ledger));
        }
        arrived = messages;
        contest.rest(0.5)?;
    }
}

impl Outcome {
    /// How far memory grew, in MiB.
    fn growth(&self) -> f64 {
        let most = self.rss_kb.iter().map(|(_, kb)| *kb).max().unwrap_or(self.rss_before_kb);
        (most.max(self.rss_after_kb) as f64 - self.rss_before_kb as f64) / 1024.0
    }
}

fn text(outcomes: &[Outcome], options: &Overload) -> String {
    let mut table = Table::new(&[
        "server",
        "published",
        "refused",
        "deliveries",
        "closed",
        "RSS MB before",
        "growth",
        "ack p50 ms quiet",
        "p99",
        "flooded p50",
        "p99",
        "paced p99 ms",
        "paced lost",
        "ledger",
    ]);
    let ms = |latency: Option<Latency>, of: fn(Latency) -> f64| number(latency.map_or(f64::NAN, |all| of(all) / 1e3));
    for outcome in outcomes {
        table.row([
            format!("{}, {:?}", outcome.server, outcome.form).to_lowercase(),
            count(outcome.ended.published as usize),
            count(outcome.ended.refused as usize),
            count(outcome.deliveries as usize),
            count(outcome.closed),
            number(outcome.rss_before_kb as f64 / 1024.0),
            number(outcome.growth()),
            ms(outcome.quiet, |all| all.p50),
            ms(outcome.quiet, |all| all.p99),
            ms(outcome.flooded, |all| all.p50),
            ms(outcome.flooded, |all| all.p99),
            ms(outcome.paced, |all| all.p99),
            format!("{} of {}", outcome.paced_lost, outcome.paced_deliveries + outcome.paced_lost),
            if outcome.expected == outcome.told { "balances" } else { "is off" }.to_owned(),
        ]);
    }
    let Overload { clients, payload, seconds, others, rate, calls, .. } = options;
    format!(
        "Overload: a plugin publishes {payload} bytes to {clients} clients in an endless loop for {seconds} s; in another \
         namespace {others} clients get {rate} messages a second, and {calls} calls a second are made\n{}",
        table.text()
    )
}

/// Memory over time.
fn note(outcome: &Outcome) -> String {
    let step = outcome.rss_kb.len().div_ceil(POINTS).max(1);
    let points =
        outcome.rss_kb.iter().step_by(step).map(|(at, kb)| format!("{at:.0} s {}", number(*kb as f64 / 1024.0)));
    let after = number(outcome.rss_after_kb as f64 / 1024.0);
    let what = format!("{}, {:?}", outcome.server, outcome.form).to_lowercase();
    format!("{what}: RSS in MB: {}, after it {after}", points.collect::<Vec<_>>().join(", "))
}

//! What a scrape of `/metrics` costs with many clients, and what scrapes in a loop do to a paced load.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

use super::Measure;
use super::contest::{Contest, Contestant};
use super::metrics::Metrics;
use super::round;
use crate::cli::{Common, Scrape};
use crate::load::histogram;
use crate::peers::protocol::Run;
use crate::report::document::Part;
use crate::report::stats::{Figure, Latency};
use crate::report::table::{Table, figure, in_order, number};
use crate::{Result, clock};

/// What one pair of rounds measured.
#[derive(Debug, Clone, Serialize)]
struct Outcome {
    server: String,
    round: usize,
    without: Option<Latency>,
    with: Option<Latency>,
    us_per_delivery: [Option<f64>; 2],
    /// From the request to the last byte of the answer, on a connection of its own.
    scrape: Option<Latency>,
    mistakes: Vec<String>,
}

impl Measure for Scrape {
    fn common(&self) -> &Common {
        &self.common
    }

    fn seconds(&self, servers: usize) -> f64 {
        let connecting = self.clients as f64 / 3_000.0 + 1.0;
        servers as f64 * (connecting + (self.rounds * 2 + 1) as f64 * self.seconds)
    }

    fn measure(&self, contest: &mut Contest) -> Result<Part> {
        measure(contest, self)
    }
}

/// Measures, one server after the other.
fn measure(contest: &mut Contest, options: &Scrape) -> Result<Part> {
    contest.reserve(options.clients)?;
    let mut outcomes = Vec::new();
    for peer in contest.servers(&options.common, &[]).into_iter().filter(|peer| peer.is_carillon()) {
        let mut contestant = contest.start(peer, &peer.to_string(), &[])?;
        contest.connect(&mut contestant, options.clients)?;
        // The first turn warms it up.
        let warm_up = Run::paced(options.rate, options.seconds.min(2.0), options.payload);
        round::run(contest, &contestant, (&warm_up, 0), |_| Ok(()))?;
        for nth in 1..=options.rounds {
            let outcome = one(contest, &contestant, options, nth)?;
            contest.fail(&outcome.server, &outcome.mistakes);
            outcomes.push(outcome);
        }
        contest.dismiss(vec![contestant]);
    }
    let (text, notes) = text(&outcomes, options);
    Part::new("scrape", (options, &outcomes, &[(); 0]), (vec![text], notes))
}

fn one(contest: &mut Contest, contestant: &Contestant, options: &Scrape, nth: usize) -> Result<Outcome> {
    let run = Run::paced(options.rate, options.seconds, options.payload);
    let without = round::run(contest, contestant, (&run, nth), |_| Ok(()))?;
    let (address, every) = (contestant.target.address, Duration::from_millis(options.every));
    let over = Arc::new(AtomicBool::new(false));
    let until = Arc::clone(&over);
    let scraper = std::thread::spawn(move || scrapes(address, every, &until));
    let with = round::run(contest, contestant, (&run, nth), |_| Ok(()));
    over.store(true, Ordering::Relaxed);
    let scrapes = scraper.join().map_err(|_| "the scraper panicked")??;
    let with = with?;
    Ok(Outcome {
        server: contestant.name.clone(),
        round: nth,
        without: without.latency,
        with: with.latency,
        us_per_delivery: [without.us_per_delivery, with.us_per_delivery],
        scrape: Latency::of(&scrapes),
        mistakes: [without.mistakes, with.mistakes].concat(),
    })
}

/// Scrapes until it is over.
fn scrapes(address: SocketAddr, every: Duration, over: &AtomicBool) -> Result<Histogram<u64>> {
    let mut times = histogram();
    while !over.load(Ordering::Relaxed) {
        let start = clock::now();
        Metrics::read(address)?;
        let took = clock::now() - start;
        times.saturating_record(took);
        std::thread::sleep(every.saturating_sub(Duration::from_nanos(took)));
    }
    Ok(times)
}

fn text(outcomes: &[Outcome], options: &Scrape) -> (String, Vec<String>) {
    let mut table = Table::new(&[
        "server",
        "p99 ms without",
        "with",
        "ratio",
        "us/delivery without",
        "with",
        "scrape p50 ms",
        "p99 ms",
        "scrapes",
    ]);
    let mut notes = Vec::new();
    for name in in_order(outcomes.iter().map(|outcome| &*outcome.server)) {
        let all = || outcomes.iter().filter(|outcome| outcome.server == name && outcome.mistakes.is_empty());
        let of = |value: fn(&Outcome) -> Option<f64>| Figure::of(all().filter_map(value));
        let ms = |value: Option<Figure>| figure(value.map(|value| value.times(1e-3)));
        let ratio = of(|outcome| Some(outcome.with?.p99 / outcome.without?.p99));
        table.row([
            name.to_owned(),
            ms(of(|outcome| Some(outcome.without?.p99))),
            ms(of(|outcome| Some(outcome.with?.p99))),
            figure(ratio),
            figure(of(|outcome| outcome.us_per_delivery[0])),
            figure(of(|outcome| outcome.us_per_delivery[1])),
            ms(of(|outcome| Some(outcome.scrape?.p50))),
            ms(of(|outcome| Some(outcome.scrape?.p99))),
            all().filter_map(|outcome| Some(outcome.scrape?.samples)).sum::<u64>().to_string(),
        ]);
        let ratios = all().filter_map(|outcome| Some(number(outcome.with?.p99 / outcome.without?.p99)));
        notes
            .push(format!("{name}: p99 with scrapes / without, every round: {}", ratios.collect::<Vec<_>>().join(" ")));
    }
    let Scrape { clients, payload, rate, rounds, seconds, every, .. } = options;
    let head = format!(
        "Scrape: {clients} clients, {rate} broadcasts of {payload} bytes a second, {rounds} rounds of {seconds} s without and \
         with scrapes {}",
        if *every == 0 { "in a loop".to_owned() } else { format!("every {every} ms") }
    );
    (format!("{head}\n{}", table.text()), notes)
}

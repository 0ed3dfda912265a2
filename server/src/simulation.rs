//! Random schedules against the hub, the sessions and the wire: joins, publishes, emits, acks, calls, upgrades, slow
//! readers and sudden ends, in an order that a seed decides.
//!
//! Everything is the real thing, our own engine with its frames, polls, upgrades and heartbeats, but the sockets
//! ([`Memory`](crate::wire::Memory)) and the clients ([`client`]), which check what they get against what was sent
//! ([`world`]). One thread and paused time: a seed always runs the same way, and a failure names the command that repeats
//! it step by step.

mod acts;
mod client;
mod end;
mod packet;
mod plugin;
mod schedule;
mod served;
mod world;

use std::ops::Range;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use carillon_config::{Loaded, Loader, all_sections};
use carillon_core::lifecycle::App;
use carillon_core::registry::{Registration, Registry};
use carillon_core::threads::Threads;
use futures_util::FutureExt;
use tokio::runtime::Builder;

use self::plugin::Player;
use self::schedule::Schedule;
use self::world::{World, world};
use crate::metrics::Metrics;

/// Schedules that every run of the tests includes.
const SCHEDULES: u64 = 10_000;
/// Schedules that one application goes through.
const ROUNDS: u64 = 50;
/// Real time after which a schedule that takes milliseconds goes round in circles.
const PATIENCE: Duration = Duration::from_secs(120);

/// Whatever happens, every client gets what it was promised, in order and once, and the books agree.
///
/// `CARILLON_SIMULATION_SEED=n` runs one schedule and tells every step; `CARILLON_SIMULATION_SCHEDULES=n` runs `n` of
/// them from a random seed on.
#[test]
fn promises_hold_in_every_schedule() {
    every_schedule();
}

/// A client has become a member.
pub(crate) fn arrives(id: &str) {
    world(|world| world.is_open(id, true));
}

/// It is a member no more.
pub(crate) fn departs(id: &str) {
    world(|world| world.is_open(id, false));
}

fn every_schedule() {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    if let Some(seed) = number("CARILLON_SIMULATION_SEED") {
        watched(seed..seed + 1, true);
        return;
    }
    let seeds = match number("CARILLON_SIMULATION_SCHEDULES") {
        None => 0..SCHEDULES,
        Some(schedules) => {
            let first = (u64::from(fastrand::u32(..)) << 20) * ROUNDS;
            println!("seeds from {first} on");
            first..first + schedules
        }
    };
    watched(seeds, false);
}

/// Runs schedules in groups, and fails when one of them breaks a promise or never ends.
fn watched(seeds: Range<u64>, told: bool) {
    let (begins, begun) = mpsc::channel();
    let player = std::thread::spawn(move || {
        let mut groups = seeds.clone().step_by(ROUNDS as usize).map(|first| first..(first + ROUNDS).min(seeds.end));
        groups.try_for_each(|group| run(group, told, |seed| begins.send(seed).unwrap_or_default()).map(drop))
    });
    let mut last = None;
    loop {
        match begun.recv_timeout(PATIENCE) {
            Ok(seed) => last = Some(seed),
            Err(RecvTimeoutError::Timeout) => panic!("{}", repeat(last.unwrap_or_default(), "it does not end")),
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    if let Err(failure) = player.join().unwrap() {
        panic!("{failure}");
    }
}

/// A failure, and how to see it again.
fn repeat(seed: u64, failure: &str) -> String {
    format!(
        "schedule {seed}: {failure}\nto see it step by step: CARILLON_SIMULATION_SEED={seed} \
         cargo test -p carillon-server --lib promises_hold_in_every_schedule -- --nocapture"
    )
}

/// A schedule runs the same way alone and after others.
#[test]
fn a_seed_repeats_its_schedule() {
    for group in [0, ROUNDS, 5 * ROUNDS] {
        let in_a_row = run(group..group + ROUNDS, false, |_| {}).unwrap();
        for at in [0, 31, 49] {
            let alone = run(group + at..group + at + 1, false, |_| {}).unwrap();
            assert_eq!(alone, in_a_row[at as usize..=at as usize], "seed {}", group + at);
        }
    }
}

/// Runs some schedules, one after the other, with one application; a number for each that tells what clients got when.
/// `begins` is told of each.
fn run(seeds: Range<u64>, told: bool, begins: impl Fn(u64)) -> Result<Vec<u64>, String> {
    let runtime = Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        World::begin(0, told);
        let app = app(seeds.start / ROUNDS).await;
        let metrics = Arc::new(Metrics::new(app.metrics()).unwrap());
        let mut runs = Vec::new();
        for seed in seeds {
            begins(seed);
            fastrand::seed(seed);
            World::begin(seed, told);
            let before = Books::read(&app);
            let schedule = AssertUnwindSafe(Schedule::new(&app, Arc::clone(&metrics), seed).run()).catch_unwind().await;
            let schedule = schedule.unwrap_or_else(|_| Err("it panicked, as said above".to_owned()));
            let books = schedule.and_then(|left| Books::read(&app).check(&before, left));
            books.map_err(|failure| repeat(seed, &failure))?;
            runs.push(world(|world| world.digest));
        }
        Ok(runs)
    })
}

/// The application of a group of schedules.
pub(crate) async fn app(group: u64) -> App {
    let plugins =
        vec![Registration::of::<Player<0>>(file!(), line!()), Registration::of::<Player<1>>(file!(), line!())];
    let registry = Registry::new(plugins).unwrap();
    App::boot(&registry, &config(&registry, group), Threads::Shared, 2).await.unwrap()
}

/// The settings of a group of schedules: sweeps that give the thread back after one step or after many, and room for
/// few publishes or for all.
fn config(registry: &Registry, group: u64) -> Loaded {
    let sections = all_sections(registry.sections());
    let chunk = ["1", "2", "3", "64"][group as usize % 4];
    let publishes = ["10000", "1", "3"][group as usize % 3];
    let settings =
        [("router.queue_events", "4"), ("router.sweep_chunk", chunk), ("router.max_pending_publishes", publishes)];
    let loader = settings
        .into_iter()
        .fold(Loader::new(sections), |loader, (path, value)| loader.flag(path, value, "the simulation"));
    loader.load().unwrap()
}

/// The ledger of published copies.
struct Books {
    expected: u64,
    outcomes: Vec<(String, u64)>,
}

impl Books {
    fn read(app: &App) -> Self {
        let text = app.metrics().render().unwrap();
        let value = |line: &str| line.rsplit_once(' ').map_or(0, |(_, value)| value.parse().unwrap());
        let of = |name: &'static str| text.lines().filter(move |line| line.starts_with(name));
        Self {
            expected: of("carillon_deliveries_expected_total").map(value).sum(),
            outcomes: of("carillon_deliveries_total").map(|line| (line.to_owned(), value(line))).collect(),
        }
    }

    /// Every copy that was published since `before` has one outcome, and `left` of them at least have left.
    fn check(&self, before: &Self, left: u64) -> Result<(), String> {
        let copies = world(|world| world.copies);
        let expected = self.expected - before.expected;
        let sum = |books: &Self, outcome: &str| -> u64 {
            books.outcomes.iter().filter(|(line, _)| line.contains(outcome)).map(|(_, value)| value).sum()
        };
        let outcomes = sum(self, "") - sum(before, "");
        let delivered = sum(self, "delivered") - sum(before, "delivered");
        if expected != copies || outcomes != copies || delivered < left {
            return Err(format!(
                "{copies} copies were published, {left} seen to leave: {expected} expected, {outcomes} outcomes, \
                 {delivered} delivered"
            ));
        }
        Ok(())
    }
}

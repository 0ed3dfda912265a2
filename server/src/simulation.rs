//! Random schedules against the hub, the sessions and the wire: joins, publishes, emits, acks, calls, upgrades, slow
//! readers and sudden ends, in an order that a seed decides.
//!
//! Everything is the real thing but the sockets ([`Memory`](crate::wire::Memory)), Socket.IO's part ([`engine`]) and
//! the clients ([`client`]), which check what they get against what was sent ([`world`]). One thread and paused time:
//! a seed always runs the same way, and a failure names the command that repeats it step by step.

mod client;
mod end;
mod engine;
mod packet;
mod plugin;
mod schedule;
mod served;
mod sink;
mod world;

use std::ops::Range;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

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

/// Whatever happens, every client gets what it was promised, in order and once, and the books agree.
///
/// `CARILLON_SIMULATION_SEED=n` runs one schedule and tells every step; `CARILLON_SIMULATION_SCHEDULES=n` runs `n` of
/// them from a random seed on.
#[test]
fn promises_hold_in_every_schedule() {
    every_schedule(false);
}

/// The same over our own engine, which is all its own: frames, polls, upgrades, heartbeats.
///
/// To be run as above, `CARILLON_SIMULATION_*` and all.
#[test]
fn promises_hold_over_our_own_engine() {
    every_schedule(true);
}

/// A client of our own engine has become a member.
pub(crate) fn arrives(id: &str) {
    world(|world| world.is_open(id, true));
}

/// It is a member no more.
pub(crate) fn departs(id: &str) {
    world(|world| world.is_open(id, false));
}

fn every_schedule(own: bool) {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    if let Some(seed) = number("CARILLON_SIMULATION_SEED") {
        run(seed..seed + 1, true, own).unwrap();
        return;
    }
    let seeds = match number("CARILLON_SIMULATION_SCHEDULES") {
        None => 0..SCHEDULES,
        Some(schedules) => {
            let first = u64::from(fastrand::u32(..)) << 20;
            println!("seeds from {first} on");
            first..first + schedules
        }
    };
    for first in seeds.clone().step_by(ROUNDS as usize) {
        if let Err(failure) = run(first..(first + ROUNDS).min(seeds.end), false, own) {
            panic!("{failure}");
        }
    }
}

/// A schedule runs the same way alone and after others.
#[test]
fn a_seed_repeats_its_schedule() {
    for own in [false, true] {
        let in_a_row = run(0..60, false, own).unwrap();
        for seed in [0, 31, 59] {
            assert_eq!(
                run(seed..seed + 1, false, own).unwrap(),
                in_a_row[seed as usize..=seed as usize],
                "seed {seed}"
            );
        }
    }
}

/// Runs some schedules, one after the other, with one application; a number for each that tells what clients got when.
fn run(seeds: Range<u64>, told: bool, own: bool) -> Result<Vec<u64>, String> {
    let runtime = Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        World::begin(0, told);
        let registry = registry();
        let app = App::boot(&registry, &config(&registry), Threads::Shared, 2).await.unwrap();
        let metrics = Arc::new(Metrics::new(app.metrics()).unwrap());
        let mut runs = Vec::new();
        for seed in seeds {
            fastrand::seed(seed);
            World::begin(seed, told);
            world(|world| world.own = own);
            let before = Books::read(&app);
            let schedule =
                AssertUnwindSafe(Schedule::new(&app, Arc::clone(&metrics), seed, own).run()).catch_unwind().await;
            let schedule = schedule.unwrap_or_else(|_| Err("it panicked, as said above".to_owned()));
            schedule.and_then(|left| Books::read(&app).check(&before, left)).map_err(|failure| {
                format!(
                    "schedule {seed}: {failure}\nto see it step by step: CARILLON_SIMULATION_SEED={seed} \
                     cargo test -p carillon-server --lib promises_hold_{} -- --nocapture",
                    if own { "over_our_own_engine" } else { "in_every_schedule" }
                )
            })?;
            runs.push(world(|world| world.digest));
        }
        Ok(runs)
    })
}

fn registry() -> Registry {
    Registry::new(vec![
        Registration::of::<Player<0>>(file!(), line!()),
        Registration::of::<Player<1>>(file!(), line!()),
    ])
    .unwrap()
}

fn config(registry: &Registry) -> Loaded {
    let sections = all_sections(registry.sections());
    Loader::new(sections).flag("router.queue_events", "4", "the simulation").load().unwrap()
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

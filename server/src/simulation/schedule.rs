//! One schedule: random steps, then quiet, then the end of everybody, and what must be true at each.

use std::sync::Arc;
use std::time::Duration;

use carillon_config::{ServerSettings, WireSettings};
use carillon_core::lifecycle::App;
use carillon_core::sink::{Mode, Reason};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::acts::{call, emit, publish};
use super::client::{Client, Stage, State};
use super::end::verdict;
use super::served::Served;
use super::world::{NAMESPACES, ROOMS, To, spawn, tell, world};
use crate::engine::{Engine, Settings};
use crate::metrics::Metrics;
use crate::wire::{Memory, Pace, Place, Stream, Wire};

pub(super) struct Schedule {
    pub(super) metrics: Arc<Metrics>,
    pub(super) engine: Engine,
    /// Stops its clock.
    pub(super) stop: CancellationToken,
    pace: Pace,
    pub(super) places: Arc<Semaphore>,
    pub(super) random: fastrand::Rng,
    pub(super) clients: Vec<Client>,
}

impl Schedule {
    pub(super) fn new(app: &App, metrics: Arc<Metrics>, seed: u64) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        let max_queued_bytes = random.choice([2_000, 20_000, 200_000]).unwrap_or(0);
        let wire = WireSettings { max_queued_bytes, ..WireSettings::default() };
        let settings = Settings::new(&ServerSettings::default(), &wire);
        let (tasks, deliveries) = (world(|world| world.tasks.clone()), app.metrics().deliveries());
        let engine = Engine::new(settings, app.router(), &metrics, deliveries, &tasks, &Handle::current());
        let stop = CancellationToken::new();
        spawn(engine.clone().run(stop.clone()));
        let (pace, places) = (Pace::new(&wire), Arc::new(Semaphore::new(100)));
        Self { metrics, engine, stop, pace, places, random, clients: Vec::new() }
    }

    /// The whole schedule; the published copies that have certainly left.
    pub(super) async fn run(mut self) -> Result<u64, String> {
        let (steps, clients) = (self.random.usize(30..=120), self.random.usize(1..=6));
        for _ in 0..steps {
            self.step(clients);
            self.wait().await;
            verdict()?;
        }
        let copies = self.settle().await?;
        self.end().await?;
        Ok(copies)
    }

    /// Lets others run: not at all, for a few turns, until nothing is left to do, or for long.
    async fn wait(&mut self) {
        match self.random.u8(..16) {
            0..5 => {}
            5..12 => {
                for _ in 0..self.random.u8(1..5) {
                    tokio::task::yield_now().await;
                }
            }
            12..15 => tokio::time::sleep(Duration::from_millis(1)).await,
            _ => tokio::time::sleep(Duration::from_millis(self.random.u64(..4000))).await,
        }
    }

    fn step(&mut self, most: usize) {
        let step = self.random.u8(..100);
        if self.clients.is_empty() || (step < 12 && self.clients.len() < most) {
            return self.arrive();
        }
        let at = self.random.usize(..self.clients.len());
        match step {
            ..12 => self.clients[at].polls(),
            12..50 => self.act(at),
            50..72 => (0..self.random.u8(1..6)).for_each(|_| self.publish()),
            72..95 => self.member(),
            95 | 96 => {
                let how = self.random.usize(..4);
                self.clients[at].goes(how);
            }
            97 => self.clients[at].engine.end(Reason::Killed),
            98 => self.clients[at].engine.ends_gently(Reason::Drain, Duration::from_secs(3)),
            _ => self.disconnect(),
        }
    }

    /// A client opens a session.
    fn arrive(&mut self) {
        let polling = self.random.bool();
        let engine = Served::new(&self.engine, polling);
        let memory = (!polling).then(|| self.carry(&engine, false));
        tell!("client {} comes, {}", engine.number(), if polling { "polling" } else { "over a WebSocket" });
        let mut client = Client::new(engine, memory);
        client.connects(self.random.usize(..NAMESPACES.len()));
        self.clients.push(client);
    }

    /// A WebSocket is opened for the session.
    fn carry(&mut self, engine: &Served, upgrade: bool) -> Memory {
        let room = self.random.choice([10, 500, 5_000, 1_000_000]).unwrap_or(0);
        let memory = Memory::new(room, self.random.u64(..));
        let place = Arc::clone(&self.places).try_acquire_owned().unwrap();
        let stream = Stream::Memory(memory.clone());
        let place = Place::new(Arc::clone(&self.metrics), place);
        let wire = Wire::new(stream, ([127, 0, 0, 1], 9).into(), self.pace, place);
        engine.carry(wire, upgrade);
        memory
    }

    /// A client does something.
    fn act(&mut self, at: usize) {
        let (what, namespace) = (self.random.u8(..20), self.random.usize(..NAMESPACES.len()));
        let most = self.random.choice([1, 50, 1000, 100_000]).unwrap_or(1);
        let several = self.random.choice([1, 1, 3]).unwrap_or(1);
        let client = &mut self.clients[at];
        if client.gone {
            return;
        }
        let upgrade = client.stage == Stage::Polling && client.engine.lives();
        match (what, client.sides[namespace].state) {
            (0..7, _) => {
                client.polls();
                client.reads(most);
                client.upgrades();
            }
            (7..9, _) => client.answers(),
            (9, _) if client.memory.is_some() => {
                tell!("the kernel holds {most} more for client {}", client.engine.number());
                client.memory.iter().for_each(|memory| memory.grow(most));
            }
            (10..12, _) if upgrade => {
                let engine = client.engine.clone();
                tell!("client {} upgrades", engine.number());
                let memory = self.carry(&engine, true);
                let client = &mut self.clients[at];
                (client.memory, client.stage) = (Some(memory), Stage::Opening);
            }
            // Several at once are a run, whose answers leave together.
            (12..19, State::In) => (0..several).for_each(|_| client.asks(namespace, what > 13)),
            (19, State::In) => {
                client.disconnects(namespace);
                if self.random.bool() {
                    self.clients[at].connects(namespace);
                }
            }
            (_, State::Out) => client.connects(namespace),
            _ => {}
        }
    }

    fn publish(&mut self) {
        let random = &mut self.random;
        let mode = random.choice([Mode::All, Mode::All, Mode::Latest, Mode::Volatile]).unwrap_or_default();
        let mut to = To::default();
        for _ in 0..random.choice([0, 0, 1, 2]).unwrap_or(0) {
            to.rooms.push(random.usize(..ROOMS.len()));
        }
        if random.u8(..4) == 0 {
            to.except.push(random.usize(..ROOMS.len()));
        }
        let (by, namespace) = (random.usize(..NAMESPACES.len()), random.usize(..NAMESPACES.len()));
        publish(by, namespace, &to, mode, random.usize(..2));
    }

    /// Something is done with a member, whether it is still there or not.
    fn member(&mut self) {
        let known: Vec<usize> =
            world(|world| (0..world.members.len()).filter(|at| world.members[*at].ctx.is_some()).collect());
        let Some(member) = self.random.choice(known) else { return };
        let Some(ctx) = world(|world| world.members[member].ctx.clone()) else { return };
        let room = self.random.usize(..ROOMS.len());
        match self.random.u8(..32) {
            0..12 => emit(member, &ctx),
            12..18 => {
                tell!("member {member} joins {}", ROOMS[room]);
                world(|world| world.joins(member, room));
                ctx.join(ROOMS[room]).unwrap();
            }
            18..22 => {
                tell!("member {member} leaves {}", ROOMS[room]);
                world(|world| world.leaves(member, room));
                ctx.leave(ROOMS[room]);
            }
            22..30 => call(member, &ctx),
            30 => {
                tell!("member {member} is disconnected");
                ctx.disconnect();
            }
            _ => {
                let namespace = world(|world| world.members[member].namespace);
                let to = To { member: Some(member), ..To::default() };
                publish(self.random.usize(..NAMESPACES.len()), namespace, &to, Mode::All, 0);
            }
        }
    }

    fn disconnect(&mut self) {
        let namespace = self.random.usize(..NAMESPACES.len());
        let room = ROOMS[self.random.usize(..ROOMS.len())];
        tell!("room {room} of {} is disconnected", NAMESPACES[namespace]);
        let host = world(|world| world.hosts[namespace].clone());
        host.into_iter().for_each(|host| host.to(NAMESPACES[namespace]).room(room).disconnect());
    }
}

//! The hub against a naive model: random schedules of publishes, joins, leaves and emits, by seed.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::time::Duration;

use bytes::Bytes;
use fastrand::Rng;
use futures_util::future::BoxFuture;

use super::*;
use crate::error::{Error, Result};
use crate::payload::{Payload, encode_event};
use crate::sink::{Part, Pushed, Reason, Taken};

const SPACES: [&str; 2] = ["/a", "/b"];
const ROOMS: [&str; 4] = ["r", "s", "t", "u"];

/// A connection that keeps what it is pushed: as items and as bytes of the wire.
#[derive(Default)]
struct Connection {
    number: u64,
    got: Mutex<Vec<String>>,
    wire: Mutex<Vec<u8>>,
    /// How often it was pushed to.
    writes: AtomicU64,
    /// Answers `queued` to plain copies and drops volatile ones.
    blocked: bool,
}

impl Connection {
    fn take(&self, item: &Item) {
        self.got.lock().unwrap().push(item.packet().to_string());
    }
}

/// One of its clients.
struct Client(Arc<Connection>);

impl Sink for Client {
    fn connection(&self) -> u64 {
        self.0.number
    }

    fn send(&self, item: &Item) -> Pushed {
        self.0.take(item);
        item.frames().iter().for_each(|frame| self.0.wire.lock().unwrap().extend_from_slice(frame));
        Pushed::Delivered
    }

    fn push(&self, part: &Part<'_>) -> Taken {
        let mut taken = Taken::default();
        let namespaces: BTreeSet<&str> = part.items().map(|(item, _)| item.namespace()).collect();
        assert!(part.namespaces().collect::<BTreeSet<_>>() == namespaces, "every namespace is told");
        assert_eq!(part.is_plain(), part.items().all(|(_, mode)| mode == Mode::All));
        for (item, mode) in part.items() {
            if self.0.blocked && mode == Mode::Volatile {
                taken.add(1, Pushed::Volatile);
                continue;
            }
            self.0.take(item);
            taken.add(1, if self.0.blocked { Pushed::Queued } else { Pushed::Delivered });
        }
        if !self.0.blocked {
            part.slices().iter().for_each(|frame| self.0.wire.lock().unwrap().extend_from_slice(frame));
        }
        self.0.writes.fetch_add(1, Ordering::Relaxed);
        taken
    }

    fn call(&self, _: &Item, _: Duration) -> BoxFuture<'static, Result<Payload>> {
        Box::pin(async { Err(Error::unavailable("nobody answers")) })
    }

    fn ready(&self) -> Option<BoxFuture<'static, ()>> {
        None
    }

    fn pause_reading(&self, _: bool) {}

    fn disconnect(&self) {
        self.0.got.lock().unwrap().push("disconnect".to_owned());
    }

    fn close(&self, _: Reason) {}

    fn transport(&self) -> Transport {
        Transport::WebSocket
    }
}

/// A client as the model knows it.
struct Member {
    space: Space,
    connection: usize,
    id: String,
    rooms: Vec<&'static str>,
    seat: Seat,
    sink: Arc<dyn Sink>,
}

struct World {
    random: Rng,
    hub: Hub,
    metrics: Arc<Metrics>,
    connections: Vec<Arc<Connection>>,
    members: Vec<Member>,
    /// What each connection must have got.
    expected: Vec<Vec<String>>,
    /// The same as bytes.
    wire: Vec<Vec<u8>>,
    copies: u64,
    volatile: u64,
    next: u64,
}

const ROOMY: Bounds = Bounds { publishes: 1 << 20, bytes: 1 << 30 };

impl World {
    fn new(seed: u64) -> Self {
        let mut random = Rng::with_seed(seed);
        let metrics = Arc::new(Metrics::new().unwrap());
        let (shards, chunk) = (random.usize(1..3), [1, 2, 7, 64][random.usize(0..4)]);
        let connections: Vec<Arc<Connection>> = (0..random.u64(1..60))
            .map(|number| Arc::new(Connection { number, blocked: random.u8(0..4) == 0, ..Connection::default() }))
            .collect();
        Self {
            hub: Hub::with_chunk(shards, SPACES.len(), ROOMY, chunk, &metrics),
            expected: vec![Vec::new(); connections.len()],
            wire: vec![Vec::new(); connections.len()],
            random,
            metrics,
            connections,
            members: Vec::new(),
            copies: 0,
            volatile: 0,
            next: 0,
        }
    }

    fn series(&self) -> Arc<Outbound> {
        Arc::new(self.metrics.outbound("/a", "e", Mode::All))
    }

    fn item(&mut self, space: Space) -> Item {
        self.next += 1;
        let namespace: Arc<str> = SPACES[space].into();
        if self.random.u8(0..20) == 0 {
            return encode_event(&namespace, "e", &Payload::binary(Bytes::from(vec![7; 200]))).unwrap();
        }
        encode_event(&namespace, "e", &self.next).unwrap()
    }

    fn add(&mut self) {
        let (space, connection) = (self.random.usize(0..SPACES.len()), self.random.usize(0..self.connections.len()));
        if self.members.iter().any(|member| (member.space, member.connection) == (space, connection)) {
            return;
        }
        self.next += 1;
        let id = format!("id{}", self.next);
        let sink: Arc<dyn Sink> = Arc::new(Client(Arc::clone(&self.connections[connection])));
        let seat = self.hub.seat(space, &*sink);
        seat.add(id.as_str().into(), Arc::clone(&sink));
        self.members.push(Member { space, connection, id, rooms: Vec::new(), seat, sink });
    }

    fn remove(&mut self) {
        if self.members.is_empty() {
            return;
        }
        let member = self.members.swap_remove(self.random.usize(0..self.members.len()));
        member.seat.remove(member.rooms.iter().map(|room| Arc::from(*room)).collect());
    }

    fn room(&mut self) {
        let Some(at) = self.any() else { return };
        let room = ROOMS[self.random.usize(0..ROOMS.len())];
        let member = &mut self.members[at];
        match member.rooms.iter().position(|known| *known == room) {
            Some(place) => {
                member.rooms.swap_remove(place);
                member.seat.leave(room.into());
            }
            None => {
                member.rooms.push(room);
                member.seat.join(room.into());
            }
        }
    }

    fn any(&mut self) -> Option<usize> {
        (!self.members.is_empty()).then(|| self.random.usize(0..self.members.len()))
    }

    fn id(&mut self) -> Option<String> {
        self.any().map(|member| self.members[member].id.clone())
    }

    fn any_room(&mut self) -> String {
        ROOMS[self.random.usize(0..ROOMS.len())].to_owned()
    }

    fn either(&mut self) -> String {
        let id = if self.random.bool() { self.id() } else { None };
        id.unwrap_or_else(|| self.any_room())
    }

    fn publish(&mut self) {
        let space = self.random.usize(0..SPACES.len());
        let item = self.item(space);
        let times = |world: &mut Self, most: usize| 0..world.random.usize(0..most);
        let rooms = |world: &mut Self, most| times(world, most).map(|_| world.any_room()).collect();
        let clients = |world: &mut Self, most| times(world, most).filter_map(|_| world.id()).collect();
        let except = |world: &mut Self| times(world, 3).map(|_| world.either()).collect();
        let selection = match self.random.u8(0..5) {
            0 => Selection::default(),
            1 => Selection { except: except(self), ..Selection::default() },
            2 => Selection { to: vec![self.any_room()], ..Selection::default() },
            3 => Selection { clients: self.id().into_iter().collect(), ..Selection::default() },
            _ => Selection { to: rooms(self, 3), clients: clients(self, 3), except: except(self) },
        };
        let mode = if self.random.u8(0..8) == 0 { Mode::Volatile } else { Mode::All };
        for member in &self.members {
            let is_in = |name: &String| member.rooms.iter().any(|room| room == name);
            let everybody = selection.to.is_empty() && selection.clients.is_empty();
            let chosen = everybody || selection.to.iter().any(is_in) || selection.clients.contains(&member.id);
            let left_out = selection.except.iter().any(|name| is_in(name) || *name == member.id);
            if member.space != space || !chosen || left_out {
                continue;
            }
            self.copies += 1;
            if mode == Mode::Volatile && self.connections[member.connection].blocked {
                self.volatile += 1;
                continue;
            }
            self.expected[member.connection].push(item.packet().to_string());
            item.frames().iter().for_each(|frame| self.wire[member.connection].extend_from_slice(frame));
        }
        let order = Order { space, selection, item, mode, series: self.series() };
        self.hub.publish(order).unwrap();
    }

    fn emit(&mut self) {
        let Some(at) = self.any() else { return };
        let item = self.item(self.members[at].space);
        let Member { connection, seat, sink, .. } = &self.members[at];
        self.expected[*connection].push(item.packet().to_string());
        item.frames().iter().for_each(|frame| self.wire[*connection].extend_from_slice(frame));
        let sink = Arc::clone(sink);
        seat.send(move || assert_eq!(sink.send(&item), Pushed::Delivered));
    }

    fn disconnect(&mut self) {
        let space = self.random.usize(0..SPACES.len());
        let room = ROOMS[self.random.usize(0..ROOMS.len())];
        self.hub.disconnect(space, &Selection { to: vec![room.to_owned()], ..Selection::default() });
        for member in self.members.iter().filter(|member| member.space == space && member.rooms.contains(&room)) {
            self.expected[member.connection].push("disconnect".to_owned());
        }
    }

    fn check(&self) {
        for (at, connection) in self.connections.iter().enumerate() {
            assert_eq!(*connection.got.lock().unwrap(), self.expected[at], "connection {at}");
            if !connection.blocked {
                assert!(*connection.wire.lock().unwrap() == self.wire[at], "the bytes of connection {at}");
            }
        }
        assert_eq!(self.metrics.expected.get(), self.copies);
        let told = self.metrics.ledger().to_string();
        assert!(told.contains(&format!("volatile {},", self.volatile)), "{told}");
        for space in 0..SPACES.len() {
            assert_eq!(self.hub.waiting(space), Used::default(), "nothing waits in the end");
            let members = self.members.iter().filter(|member| member.space == space).count();
            assert_eq!(self.hub.count(space, &Selection::default()), members);
        }
        let connections: BTreeSet<usize> = self.members.iter().map(|member| member.connection).collect();
        assert_eq!(self.hub.connections(), connections.len());
    }
}

/// Each connection gets exactly what the model says, in its order, over all its namespaces, in whatever runs and chunks.
#[tokio::test]
async fn every_schedule_gives_each_connection_what_the_model_says() {
    let (first, count) = match std::env::var("CARILLON_HUB_SEED") {
        Ok(seed) => (seed.parse().unwrap(), 1),
        Err(_) => (0, 1500),
    };
    for seed in first..first + count {
        println!("seed {seed}");
        let mut world = World::new(seed);
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        world.hub.start(&tasks, &stop);
        for _ in 0..world.random.usize(5..120) {
            match world.random.u8(0..100) {
                0..20 => world.add(),
                20..24 => world.remove(),
                24..36 => world.room(),
                36..80 => world.publish(),
                80..88 => world.emit(),
                88..89 => world.disconnect(),
                _ => tokio::task::yield_now().await,
            }
        }
        while world.hub.shards.iter().any(|shard| !shard.is_idle()) {
            tokio::task::yield_now().await;
        }
        world.check();
        stop.cancel();
        tasks.close();
        tasks.wait().await;
    }
}

/// A hub of one shard with `count` connections that are in both namespaces, every second of them in the room `r`.
fn hall(count: u64, bounds: Bounds) -> (Hub, Vec<Arc<Connection>>, Arc<Metrics>) {
    let metrics = Arc::new(Metrics::new().unwrap());
    let hub = Hub::new(1, SPACES.len(), bounds, &metrics);
    let connections: Vec<Arc<Connection>> =
        (0..count).map(|number| Arc::new(Connection { number, ..Connection::default() })).collect();
    for connection in &connections {
        for (space, _) in SPACES.iter().enumerate() {
            let sink: Arc<dyn Sink> = Arc::new(Client(Arc::clone(connection)));
            let seat = hub.seat(space, &*sink);
            seat.add(format!("{}", connection.number).into(), sink);
            if connection.number % 2 == 0 {
                seat.join("r".into());
            }
        }
    }
    (hub, connections, metrics)
}

fn order(metrics: &Metrics, space: Space, selection: Selection, mode: Mode, value: usize) -> Order {
    let item = encode_event(&SPACES[space].into(), "e", &value).unwrap();
    Order { space, selection, item, mode, series: Arc::new(metrics.outbound(SPACES[space], "e", mode)) }
}

async fn drained(hub: &Hub) {
    let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
    hub.start(&tasks, &stop);
    while hub.shards.iter().any(|shard| !shard.is_idle()) {
        tokio::task::yield_now().await;
    }
    stop.cancel();
}

/// Whatever alternates in the queue, a connection is written to once for all of it.
#[tokio::test]
async fn a_run_joins_whatever_waits() {
    let to = |room: &str| Selection { to: vec![room.to_owned()], ..Selection::default() };
    let except = |id: usize| Selection { except: vec![id.to_string()], ..Selection::default() };
    let client = |id: &str| Selection { clients: vec![id.to_owned()], ..Selection::default() };
    let shapes: [&dyn Fn(usize) -> (Space, Selection); 4] = [
        &|n| (n % 2, Selection::default()),
        &|n| (0, if n % 2 == 0 { to("r") } else { Selection::default() }),
        &|n| (0, except(n % 100)),
        &|n| (n % 2, [Selection::default(), to("r"), except(n % 100), client("7")][n % 4].clone()),
    ];
    for shape in shapes {
        let (hub, connections, metrics) = hall(100, ROOMY);
        for n in 0..200 {
            let (space, selection) = shape(n);
            hub.publish(order(&metrics, space, selection, Mode::All, n)).unwrap();
        }
        drained(&hub).await;
        assert!(connections.iter().all(|connection| connection.writes.load(Ordering::Relaxed) == 1));
        assert!(metrics.ledger().is_balanced());
    }
}

/// More selections than a run has classes for are served in several runs, in order.
#[tokio::test]
async fn more_classes_than_a_mask_has_bits_make_several_runs() {
    let (hub, connections, metrics) = hall(40, ROOMY);
    for n in 0..200 {
        // Rooms that nobody is in make each selection another one.
        let selection = Selection { to: vec!["r".to_owned(), format!("empty {n}")], ..Selection::default() };
        hub.publish(order(&metrics, 0, selection, Mode::All, n)).unwrap();
    }
    drained(&hub).await;
    let got = connections[0].got.lock().unwrap().clone();
    let all: Vec<String> = (0..200).map(|n| format!("2/a,[\"e\",{n}]")).collect();
    assert_eq!(got, all);
    assert_eq!(connections[0].writes.load(Ordering::Relaxed), 200_u64.div_ceil(64));
    assert!(connections[1].got.lock().unwrap().is_empty());
}

/// Full means: `all` is refused, `volatile` is dropped and counted, `latest` takes the place of an older one, and who
/// waits goes on when there is room. Another namespace notices nothing.
#[tokio::test]
async fn what_waits_is_bounded_by_namespace() {
    let (hub, connections, metrics) = hall(3, Bounds { publishes: 2, bytes: 1 << 20 });
    let everybody = Selection::default;
    hub.publish(order(&metrics, 0, everybody(), Mode::Latest, 1)).unwrap();
    hub.publish(order(&metrics, 0, everybody(), Mode::All, 2)).unwrap();
    assert_eq!(hub.publish(order(&metrics, 0, everybody(), Mode::All, 3)), Err(Full));
    hub.publish(order(&metrics, 0, everybody(), Mode::Volatile, 4)).unwrap();
    hub.publish(order(&metrics, 0, everybody(), Mode::Latest, 5)).unwrap();
    hub.publish(order(&metrics, 1, everybody(), Mode::All, 6)).unwrap();
    assert_eq!(hub.waiting(0).publishes, 2);
    let hub = Arc::new(hub);
    let waiting = TaskTracker::new().spawn({
        let (hub, order) = (Arc::clone(&hub), order(&metrics, 0, everybody(), Mode::All, 7));
        async move { hub.publish_wait(order).await }
    });
    tokio::task::yield_now().await;
    assert!(!waiting.is_finished());
    let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
    hub.start(&tasks, &stop);
    waiting.await.unwrap();
    while hub.shards.iter().any(|shard| !shard.is_idle()) {
        tokio::task::yield_now().await;
    }
    stop.cancel();
    for connection in connections {
        let got = connection.got.lock().unwrap().clone();
        assert_eq!(got, ["2/a,[\"e\",5]", "2/a,[\"e\",2]", "2/b,[\"e\",6]", "2/a,[\"e\",7]"]);
    }
    let ledger = metrics.ledger();
    assert!(ledger.is_balanced(), "{ledger}");
    assert_eq!(hub.waiting(0), Used::default());
}

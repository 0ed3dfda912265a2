//! Random schedules of publishes, joins, leaves, emits and ends, by seed, against a naive model of who has to get what.

mod check;

use std::collections::HashMap;

use bytes::Bytes;
use bytestring::ByteString;
use fastrand::Rng;

use super::*;
use crate::payload::encode_event;

const ROOMS: [&str; 4] = ["r", "s", "t", "u"];
/// Who publishes DISCONNECTs: one only, because they all look alike.
const ENDER: Publisher = SPACES.len();

/// A client as the model knows it.
struct Member {
    space: Space,
    connection: usize,
    id: String,
    rooms: Vec<&'static str>,
    seat: Arc<Seat>,
    sink: Arc<dyn Sink>,
}

/// Something that a connection has to get.
struct Sent {
    publisher: Publisher,
    text: String,
    mode: Mode,
    /// The one it was published to; `None` when it was emitted.
    id: Option<String>,
    /// What it is about, and to whom: it may be replaced by another that is equal in both, and by nothing older of the
    /// same topic.
    topic: (String, String),
}

/// A connection has come back to a namespace.
struct Life {
    connection: usize,
    /// How much it had got by then.
    since: usize,
    /// The ids it had before.
    before: Vec<String>,
}

struct World {
    random: Rng,
    hub: Arc<Hub>,
    metrics: Arc<Metrics>,
    connections: Vec<Arc<Connection>>,
    members: Vec<Member>,
    /// Who has left which connection and namespace.
    left: Vec<(Space, usize, String)>,
    /// Ids of members that have left.
    gone: Arc<Mutex<BTreeSet<String>>>,
    /// Connections that came back to a namespace.
    lives: Vec<Life>,
    /// Publishes that wait for room.
    waiting: TaskTracker,
    /// For each connection.
    expected: Arc<Mutex<Vec<Vec<Sent>>>>,
    /// The newest publish of each topic: an older one may be replaced for everybody, whoever the newer one is for.
    newest: HashMap<(Publisher, (String, String)), String>,
    /// What each text looks like on the wire.
    frames: HashMap<String, Vec<u8>>,
    copies: u64,
    next: u64,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut random = Rng::with_seed(seed);
        let metrics = Arc::new(Metrics::new().unwrap());
        let (shards, chunk) = (random.usize(1..3), [1, 2, 7, 64][random.usize(0..4)]);
        let bounds = if random.u8(0..4) == 0 { Bounds { publishes: 8, bytes: 1 << 20 } } else { ROOMY };
        let connections: Vec<Arc<Connection>> = (0..random.u64(1..60))
            .map(|number| Arc::new(Connection { number, blocked: random.u8(0..4) == 0, ..Connection::default() }))
            .collect();
        Self {
            hub: Arc::new(Hub::new(shards, SPACES.len(), bounds, chunk, &metrics)),
            expected: Arc::new(Mutex::new(connections.iter().map(|_| Vec::new()).collect())),
            random,
            metrics,
            connections,
            members: Vec::new(),
            gone: Arc::default(),
            lives: Vec::new(),
            waiting: TaskTracker::new(),
            left: Vec::new(),
            newest: HashMap::new(),
            frames: HashMap::new(),
            copies: 0,
            next: 0,
        }
    }

    fn item(&mut self, space: Space, event: &str) -> Item {
        self.next += 1;
        let payload = match self.random.u8(0..20) {
            0 => (format!(r#"[{},{{"_placeholder":true,"num":0}}]"#, self.next), vec![Bytes::from(vec![7; 200])]),
            _ => (format!("[{}]", self.next), Vec::new()),
        };
        let payload = Payload::from_array(&ByteString::from(payload.0), payload.1).unwrap();
        let item = encode_event(&SPACES[space].into(), event, &payload).unwrap();
        let frames = item.frames().iter().flat_map(|frame| frame.to_vec()).collect();
        self.frames.insert(item.packet().to_string(), frames);
        item
    }

    fn add(&mut self) {
        let (space, connection) = (self.random.usize(0..SPACES.len()), self.random.usize(0..self.connections.len()));
        if self.members.iter().any(|member| (member.space, member.connection) == (space, connection)) {
            return;
        }
        let earlier = self.left.iter().filter(|(of, at, _)| (*of, *at) == (space, connection));
        let before: Vec<String> = earlier.map(|(.., id)| id.clone()).collect();
        if !before.is_empty() {
            let since = self.connections[connection].got.lock().unwrap().len();
            self.lives.push(Life { connection, since, before });
        }
        self.next += 1;
        let id = format!("id{}", self.next);
        let sink: Arc<dyn Sink> = Arc::new(Client(Arc::clone(&self.connections[connection])));
        let seat = self.hub.seat(space, &*sink);
        seat.add(id.as_str().into(), Arc::clone(&sink));
        self.members.push(Member { space, connection, id, rooms: Vec::new(), seat: Arc::new(seat), sink });
    }

    fn remove(&mut self) {
        if self.members.is_empty() {
            return;
        }
        let member = self.members.swap_remove(self.random.usize(0..self.members.len()));
        member.seat.remove(member.rooms.iter().map(|room| Arc::from(*room)).collect());
        self.left.push((member.space, member.connection, member.id.clone()));
        self.gone.lock().unwrap().insert(member.id);
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

    fn name(&mut self) -> String {
        match self.any().filter(|_| self.random.bool()) {
            Some(member) => self.members[member].id.clone(),
            None => ROOMS[self.random.usize(0..ROOMS.len())].to_owned(),
        }
    }

    fn publish(&mut self) {
        let (space, publisher) = (self.random.usize(0..SPACES.len()), self.random.usize(0..=SPACES.len()));
        let names = |world: &mut Self, most: usize| (0..world.random.usize(0..most)).map(|_| world.name()).collect();
        let selection = match self.random.u8(0..4) {
            0 => Selection::default(),
            1 => Selection { except: names(self, 3), ..Selection::default() },
            2 => named(vec![self.name()]),
            _ => Selection { except: names(self, 3), ..named(names(self, 4)) },
        };
        let mode = [Mode::All, Mode::All, Mode::All, Mode::Latest, Mode::Volatile][self.random.usize(0..5)];
        let item = self.item(space, if mode == Mode::Latest { "latest" } else { "e" });
        let text = item.packet().to_string();
        let topic = (String::from_utf8_lossy(item.topic()).into_owned(), format!("{selection:?}"));
        let series = Arc::new(self.metrics.outbound("/a", "e", Mode::All));
        let to = selection.clone();
        let copy = (item, mode);
        let order = Order { publisher, space, selection: &selection, copy: &copy, series: &series };
        let mut served = Vec::new();
        for member in &self.members {
            let is_in = |name: &String| member.rooms.iter().any(|room| room == name);
            let everybody = to.to.is_empty() && to.clients.is_empty();
            let chosen = everybody || to.to.iter().any(is_in) || to.clients.contains(&member.id);
            let left_out = to.except.iter().any(is_in) || to.except.contains(&member.id);
            if member.space == space && chosen && !left_out {
                let (id, text, topic) = (Some(member.id.clone()), text.clone(), topic.clone());
                self.expected.lock().unwrap()[member.connection].push(Sent { publisher, text, mode, id, topic });
                served.push(member.connection);
            }
        }
        // What is emitted while this is pushed comes after it.
        match self.hub.publish(order) {
            Ok(()) => {
                self.copies += served.len() as u64;
                self.newest.insert((publisher, topic), text);
            }
            Err(Full) => served.into_iter().for_each(|at| drop(self.expected.lock().unwrap()[at].pop())),
        }
    }

    /// Publishes to rooms without anybody, as soon as there is room for it.
    fn publish_wait(&mut self) {
        let (space, publisher) = (self.random.usize(0..SPACES.len()), self.random.usize(0..=SPACES.len()));
        let copy = (self.item(space, "e"), Mode::All);
        let series = Arc::new(self.metrics.outbound("/a", "e", Mode::All));
        let hub = Arc::clone(&self.hub);
        self.waiting.spawn(async move {
            let selection = Selection { to: vec!["nobody".to_owned(), "none".to_owned()], ..Selection::default() };
            hub.publish_wait(Order { publisher, space, selection: &selection, copy: &copy, series: &series }).await;
        });
    }

    fn emit(&mut self) {
        if let Some(emit) = self.emission() {
            emit();
        }
    }

    /// While a connection is pushed to, other threads emit.
    fn emit_meanwhile(&mut self) {
        let emits: Vec<Box<dyn FnOnce() + Send>> = (0..self.random.usize(1..6))
            .filter_map(|_| Some(Box::new(self.emission()?) as Box<dyn FnOnce() + Send>))
            .collect();
        let connection = self.random.usize(0..self.connections.len());
        self.connections[connection].meanwhile.lock().unwrap().extend(emits);
    }

    /// Emits something to one member, unless it is gone by then.
    fn emission(&mut self) -> Option<impl FnOnce() + Send + use<>> {
        let at = self.any()?;
        let item = self.item(self.members[at].space, "e");
        let Member { space, connection, id, seat, sink, .. } = &self.members[at];
        let (publisher, connection, id) = (*space, *connection, id.clone());
        let (seat, sink) = (Arc::clone(seat), Arc::clone(sink));
        let (gone, expected) = (Arc::clone(&self.gone), Arc::clone(&self.expected));
        Some(move || {
            if gone.lock().unwrap().contains(&id) {
                return;
            }
            let (text, topic) = (item.packet().to_string(), Default::default());
            expected.lock().unwrap()[connection].push(Sent { publisher, text, mode: Mode::All, id: None, topic });
            seat.send(item.wire_len(), move || assert_eq!(sink.send(&item), Pushed::Delivered));
        })
    }

    fn disconnect(&mut self) {
        let space = self.random.usize(0..SPACES.len());
        let room = ROOMS[self.random.usize(0..ROOMS.len())];
        self.hub.disconnect(ENDER, space, &named(vec![room.to_owned()]));
        for member in self.members.iter().filter(|member| member.space == space && member.rooms.contains(&room)) {
            let (text, topic) = ("disconnect".to_owned(), Default::default());
            let id = Some(member.id.clone());
            self.expected.lock().unwrap()[member.connection].push(Sent {
                publisher: ENDER,
                text,
                mode: Mode::All,
                id,
                topic,
            });
        }
    }
}

/// Each connection gets exactly what the model says, each publisher's in its order, in whatever runs and chunks.
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
        // So many that selections make classes, and mostly nobody at first.
        let crowd = [0, 0, 100][world.random.usize(0..3)];
        (0..crowd).for_each(|_| world.add());
        for _ in 0..world.random.usize(5..120) {
            match world.random.u8(0..100) {
                0..20 => world.add(),
                20..26 => world.remove(),
                26..38 => world.room(),
                38..76 => world.publish(),
                76..83 => world.emit(),
                83..86 => world.emit_meanwhile(),
                86..88 => world.disconnect(),
                88..90 => world.publish_wait(),
                _ => tokio::task::yield_now().await,
            }
        }
        for turn in 0.. {
            if world.hub.is_idle() && world.waiting.is_empty() {
                break;
            }
            assert!(turn < 1_000_000, "the hub does not come to rest");
            tokio::task::yield_now().await;
        }
        world.check();
        stop.cancel();
        tasks.close();
        tasks.wait().await;
    }
}

/// A selection of rooms and clients by their names.
fn named(names: Vec<String>) -> Selection {
    let (to, clients) = names.into_iter().partition(|name| ROOMS.contains(&&**name));
    Selection { to, clients, ..Selection::default() }
}

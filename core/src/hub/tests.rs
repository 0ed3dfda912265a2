//! The hub against a naive model ([`model`]), and one thing after the other ([`cases`], [`bounds`]).

mod bounds;
mod cases;
mod model;

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::time::Duration;

use futures_util::future::BoxFuture;

use super::*;
use crate::error::{Error, Result};
use crate::payload::{Payload, encode_event};
use crate::sink::{Part, Pushed, Reason, Taken, Transport};

const SPACES: [&str; 2] = ["/a", "/b"];

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
    /// What other threads do while this is pushed to the next time.
    meanwhile: Mutex<Vec<Box<dyn FnOnce() + Send>>>,
}

impl Connection {
    fn take(&self, item: &Item) {
        self.got.lock().unwrap().push(item.packet().to_string());
    }
}

/// Connections served between two yields, where it does not matter.
const CHUNK: usize = 64;
const ROOMY: Bounds = Bounds { publishes: 1 << 20, bytes: 1 << 30 };

impl Hub {
    fn is_idle(&self) -> bool {
        self.shards.iter().all(|shard| shard.is_idle())
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
        let meanwhile = std::mem::take(&mut *self.0.meanwhile.lock().unwrap());
        meanwhile.into_iter().for_each(|something| something());
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

/// A hub of one shard with `count` connections that are in both namespaces, every second of them in the room `r`.
fn hall(count: u64, bounds: Bounds) -> (Hub, Vec<Arc<Connection>>, Arc<Metrics>) {
    let metrics = Arc::new(Metrics::new().unwrap());
    let hub = Hub::new(1, SPACES.len(), bounds, CHUNK, &metrics);
    let (connections, _) = seated(&hub, count);
    (hub, connections, metrics)
}

/// Connections that are in both namespaces of a hub, and their places in the first one.
fn seated(hub: &Hub, count: u64) -> (Vec<Arc<Connection>>, Vec<Arc<Seat>>) {
    let mut seats = Vec::new();
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
            if space == 0 {
                seats.push(Arc::new(seat));
            }
        }
    }
    (connections, seats)
}

/// What is to be published, kept for an order.
struct Message {
    space: Space,
    selection: Selection,
    copy: (Item, Mode),
    series: Arc<Outbound>,
}

impl Message {
    fn order(&self) -> Order<'_> {
        let Self { space, selection, copy, series } = self;
        Order { publisher: *space, space: *space, selection, copy, series }
    }
}

fn message(metrics: &Metrics, space: Space, selection: Selection, mode: Mode, value: usize) -> Message {
    let item = encode_event(&SPACES[space].into(), "e", &value).unwrap();
    let series = Arc::new(metrics.outbound(SPACES[space], "e", mode));
    Message { space, selection, copy: (item, mode), series }
}

async fn drained(hub: &Hub) {
    let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
    hub.start(&tasks, &stop);
    while !hub.is_idle() {
        tokio::task::yield_now().await;
    }
    stop.cancel();
}

fn room(name: &str) -> Selection {
    Selection { to: vec![name.to_owned()], ..Selection::default() }
}

fn client(id: &str) -> Selection {
    Selection { clients: vec![id.to_owned()], ..Selection::default() }
}

/// Sends one word to a client; what its connection then has.
fn says(seat: &Seat, connection: &Arc<Connection>, text: &'static str) -> Vec<String> {
    let to = Arc::clone(connection);
    seat.send(1, move || to.got.lock().unwrap().push(text.to_owned()));
    connection.got.lock().unwrap().clone()
}

//! A Redis Cluster as one bus: each shard has connections of its own, and each channel and key belongs to one of them.
//!
//! Carillon's own channels (those behind `bus.prefix`) are shard channels: only the shard that has their slot hears of a
//! publish. Channels of others, such as the relay's rows, are plain ones, which Redis tells all nodes of: each of them is
//! listened to at one shard. Keys belong to the shard that has their slot.
//!
//! When a slot moves, the new shard is subscribed to first; then nobody publishes for a moment, while the old one hands
//! over what it has not published. So what one task publishes on one channel stays in its order.

mod nodes;
mod routes;
mod shard;
mod slot;
mod watch;

pub(super) use self::watch::follow;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use carillon_core::bus::BusStatus;
use carillon_core::{Error, Result};
use futures_util::future::join_all;
use tokio::sync::{Notify, watch as channel};
use tokio::time::timeout;

use self::nodes::Node;
pub(super) use self::routes::Routes;
use self::routes::SeatId;
pub(super) use self::shard::Shard;
use super::address::Maker;
use super::commands::{Answer, Commands, Redirect};
use super::seat::{Seat, Shared};
use super::target::Target;

/// How long new shards may take to subscribe before publishes go to them.
const SUBSCRIBED: Duration = Duration::from_millis(400);
/// How long a key waits for its new shard to be known.
const REDIRECTED: Duration = Duration::from_millis(300);

/// The shards of a cluster.
pub(super) struct Shards {
    table: channel::Sender<Arc<Table>>,
    /// Held by whoever publishes, for reading; for writing while channels change their shards.
    gate: tokio::sync::RwLock<()>,
    routes: channel::Sender<Arc<Routes>>,
    doubt: Arc<Notify>,
    /// Why nobody could be asked who has what.
    trouble: Arc<Mutex<String>>,
    shared: Shared,
    maker: Maker,
    timeout: Duration,
    secrets: Arc<[String]>,
}

/// Who has what, and the connections to them, in the same order.
struct Table {
    routes: Arc<Routes>,
    seats: Vec<Arc<Seat>>,
}

impl Table {
    fn seat(&self, channel: &str) -> &Arc<Seat> {
        &self.seats[self.routes.place(channel)]
    }

    /// For keys at the shard whose master has this address.
    fn at(&self, address: &str) -> Option<Arc<Commands>> {
        self.routes.at(address).map(|place| Arc::clone(&self.seats[place].commands))
    }

    fn commands(&self, key: &str) -> Arc<Commands> {
        Arc::clone(&self.seats[self.routes.place_of_key(key)].commands)
    }
}

impl Shards {
    /// The shards of the cluster that these hosts belong to; who they are is asked at once, and again and again.
    pub(super) fn start(prefix: &str, maker: Maker, timeout: Duration, secrets: Arc<[String]>, shared: Shared) -> Self {
        let routes = Arc::new(Routes::unknown(prefix));
        let sender = channel::Sender::new(Arc::clone(&routes));
        let empty = Arc::new(Table { routes: Arc::clone(&routes), seats: Vec::new() });
        let shards = Self {
            table: channel::Sender::new(empty),
            gate: tokio::sync::RwLock::default(),
            routes: sender,
            doubt: Arc::default(),
            trouble: Arc::new(Mutex::new("not asked yet".to_owned())),
            shared,
            maker,
            timeout,
            secrets,
        };
        let seats = routes.seats().map(|(id, _)| shards.seat(id)).collect();
        shards.enter(Table { routes, seats });
        shards
    }

    fn seat(&self, id: SeatId) -> Arc<Seat> {
        let (routes, doubt) = (self.routes.subscribe(), Arc::clone(&self.doubt));
        let own = Arc::clone(self.routes.borrow().own());
        let shard = Shard::new(id, own, routes, doubt, Arc::clone(&self.trouble));
        let target = Target::shard(shard, self.timeout, Arc::clone(&self.secrets));
        Arc::new(Seat::start(target, &self.shared))
    }

    fn table(&self) -> Arc<Table> {
        Arc::clone(&self.table.borrow())
    }

    fn enter(&self, table: Table) {
        self.table.send_replace(Arc::new(table));
    }

    /// Keeps a publish for the shard that has the channel.
    pub(super) async fn publish(&self, channel: &str, payload: Bytes) -> Result<()> {
        let _open = self.gate.read().await;
        let table = self.table();
        table.seat(channel).queue.push(channel, payload).await
    }

    /// Waits until the shards of these channels have confirmed them.
    pub(super) async fn confirmed(&self, channels: &[String]) -> Result<()> {
        let table = self.table();
        let mut places: Vec<usize> = channels.iter().map(|channel| table.routes.place(channel)).collect();
        places.sort_unstable();
        places.dedup();
        let all = join_all(places.into_iter().map(|place| table.seats[place].confirmed())).await;
        all.into_iter().collect()
    }

    /// Whether the shard that has `key` is there; waits a moment when it was lost just now.
    pub(super) async fn is_usable(&self, key: &str) -> bool {
        let table = self.table();
        table.seats[table.routes.place_of_key(key)].link.usable().await
    }

    /// Asks the shard that has `key`, and the one that it is told of instead.
    pub(super) async fn ask<T, W, F>(&self, key: &str, work: W) -> Result<T>
    where
        W: Fn(Arc<Commands>, bool) -> F,
        F: Future<Output = Answer<T>>,
    {
        let Redirect { address, asking } = match work(self.table().commands(key), false).await? {
            Ok(answer) => return Ok(answer),
            Err(redirect) => redirect,
        };
        if !asking {
            self.doubt.notify_one();
        }
        let mut table = self.table.subscribe();
        let known = async {
            let table = table.wait_for(|table| table.at(&address).is_some()).await.ok()?;
            table.at(&address)
        };
        let commands = timeout(REDIRECTED, known).await.ok().flatten();
        let commands = commands.ok_or_else(|| Error::unavailable("the key is on its way to a shard not known yet"))?;
        work(commands, asking).await?.map_err(|_| Error::unavailable("the key is on its way to another shard"))
    }

    /// Whether all shards deliver; names those that do not.
    pub(super) fn status(&self) -> BusStatus {
        let table = self.table();
        let states: Vec<BusStatus> = table.seats.iter().map(|seat| seat.link.status()).collect();
        let dead: Vec<&str> = states.iter().filter(|state| !state.up).map(|state| &*state.detail).collect();
        let nobodys = table.routes.nobodys();
        let mut detail = match (states.len(), dead.len()) {
            (1, _) => states[0].detail.clone(),
            (all, 0) => format!("{all} shards deliver"),
            (all, dead_ones) => format!("{} of {all} shards deliver; {}", all - dead_ones, dead.join("; ")),
        };
        if nobodys > 0 {
            detail = format!("{detail}; nobody has {nobodys} of the slots");
        }
        BusStatus { up: dead.is_empty() && nobodys == 0, detail }
    }

    /// Keeps the counts of unsubscribed seconds current.
    pub(super) fn count(&self) {
        self.table().seats.iter().for_each(|seat| seat.link.count());
    }

    /// Closes the connections for keys.
    pub(super) fn close(&self) {
        self.table().seats.iter().for_each(|seat| seat.commands.close());
    }

    fn all_up(&self) -> bool {
        self.table().seats.iter().all(|seat| seat.link.status().up)
    }

    /// Goes by what a node of the cluster says about all of them.
    async fn hear(&self, nodes: &[Node]) -> Result<(), String> {
        let before = self.table();
        let routes = Arc::new(before.routes.next(nodes, &self.maker)?);
        let change = before.routes.change(&routes);
        if change.is_none() && !before.seats.iter().any(|seat| seat.holds()) {
            return Ok(());
        }
        if let Some(text) = &change {
            tracing::info!("the shards of the cluster: {text}");
            self.routes.send_replace(Arc::clone(&routes));
        }
        let kept = |id| before.routes.seats().position(|(old, _)| old == id).map(|at| Arc::clone(&before.seats[at]));
        let seats: Vec<_> = routes.seats().map(|(id, _)| kept(id).unwrap_or_else(|| self.seat(id))).collect();
        if change.is_some() {
            // Whoever has been refused is told so in the seat's log.
            drop(timeout(SUBSCRIBED, join_all(seats.iter().map(|seat| seat.confirmed()))).await);
        }
        let table = Table { routes, seats };
        let _closed = self.gate.write().await;
        let given = join_all(before.seats.iter().map(|seat| seat.give_back())).await;
        for (seat, publishes) in before.seats.iter().zip(given) {
            for publish in publishes {
                table.seat(&publish.channel).queue.push_again(publish);
            }
            if !table.seats.iter().any(|kept| Arc::ptr_eq(kept, seat)) {
                seat.stop();
            }
        }
        self.enter(table);
        Ok(())
    }
}

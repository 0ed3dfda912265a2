//! The Redis bus, `redis://`, `rediss://` and `unix://`: what other programs publish reaches clients, and many Carillons
//! work as one. With `redis+sentinel://` it follows the master that Sentinels name, and with `redis+cluster://` it spreads
//! over the shards of a Redis Cluster.
//!
//! - Every publish is a Redis `PUBLISH`; this process's own subscribers get it back through the subscription like everybody
//!   else, byte for byte. So nothing is delivered twice, and order is Redis's.
//! - While Redis is away, publishes reach this process's own subscribers and are counted. Each is delivered at most once;
//!   those under way at the moment of a failure may be lost, and are counted. See [`publisher`].
//! - `status()` says up while a probe published every 2 s comes back. A dead, hanging, refusing or exchanged Redis shows
//!   within 7 s; messages flow again within 2 s of a usable one. It never has to be there at the
//!   start.
//! - Journals are streams: see [`journal`].
//! - Keys and leases are Redis's own, under the names given. They answer `unavailable` at once while Redis is away.
//!
//! Subscriptions, publishes and keys have a connection each (keys a small pool): a slow command delays no message. All three
//! go to one server, a [`seat`]; a cluster has a seat for each of its [`shards`].

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use carillon_core::bus::{Bus, BusContext, BusStatus, Feed, Subscription};
use carillon_core::journal::{Bounds, Entry, Offset, Page};
use carillon_core::{Error, Result};
use futures_util::future::BoxFuture;

use address::{Address, Kind};
use commands::{Answer, Commands};
use journal::Journal;
use seat::{Seat, Shared};
use sentinel::Sentinels;
use shards::Shards;
use target::Target;

mod address;
mod commands;
mod feeds;
mod hearsay;
mod inbox;
mod journal;
mod link;
mod moved;
mod open;
mod probe;
mod publisher;
mod report;
mod seat;
mod sentinel;
mod series;
mod shards;
mod subscriber;
mod target;

carillon_core::bus!("redis", connect, check);
carillon_core::bus!("rediss", connect, check);
carillon_core::bus!("unix", connect, check);
carillon_core::bus!("redis+sentinel", connect, check);
carillon_core::bus!("rediss+sentinel", connect, check);
carillon_core::bus!("redis+cluster", connect, check);
carillon_core::bus!("rediss+cluster", connect, check);

/// The bus over Redis.
struct RedisBus {
    topology: Topology,
    shared: Shared,
    context: BusContext,
}

/// One Redis at a time, or many at once.
enum Topology {
    One(Seat),
    Shards(Arc<Shards>),
}

/// Says what is wrong with the address.
fn check(url: &str) -> Result<(), String> {
    Address::parse(url).map(drop)
}

/// Starts the bus. Only the address can be wrong: that Redis is away is no reason not to start.
fn connect(url: String, context: BusContext) -> BoxFuture<'static, Result<Arc<dyn Bus>>> {
    Box::pin(async move {
        let address = Address::parse(&url).map_err(|why| Error::unavailable(format!("bus.url: {why}")))?;
        Ok(RedisBus::start(address, context)? as Arc<dyn Bus>)
    })
}

impl RedisBus {
    fn start(address: Address, context: BusContext) -> Result<Arc<Self>> {
        let Address { kind, timeout, secrets } = address;
        let (shared, secrets) = (Shared::new(&context)?, secrets.into());
        let topology = match kind {
            Kind::One(server) => Topology::One(Seat::start(Target::fixed(server, timeout, secrets), &shared)),
            Kind::Sentinel { master, sentinels, hosts, maker } => {
                let sentinels = Sentinels::new(master, &hosts, &sentinels, maker).map_err(Error::unavailable)?;
                Topology::One(Seat::start(Target::sentinel(sentinels, timeout, secrets), &shared))
            }
            Kind::Cluster { hosts, maker } => {
                let shards = Arc::new(Shards::start(&context.prefix, maker, timeout, secrets, shared.clone()));
                shared.tasks.spawn(shards::follow(Arc::clone(&shards), hosts, shared.stop.clone()));
                Topology::Shards(shards)
            }
        };
        let bus = Arc::new(Self { topology, shared, context });
        let counted = Arc::downgrade(&bus);
        bus.context.metrics.before_scrape(move || {
            if let Some(bus) = counted.upgrade() {
                bus.topology.count();
            }
        });
        Ok(bus)
    }
}

impl Topology {
    fn count(&self) {
        match self {
            Self::One(seat) => seat.link.count(),
            Self::Shards(shards) => shards.count(),
        }
    }

    fn close(&self) {
        match self {
            Self::One(seat) => seat.commands.close(),
            Self::Shards(shards) => shards.close(),
        }
    }

    async fn confirmed(&self, channels: &[String]) -> Result<()> {
        match self {
            Self::One(seat) => seat.confirmed().await,
            Self::Shards(shards) => shards.confirmed(channels).await,
        }
    }

    /// Whether the server that has `key` is there; waits a moment when it was lost just now.
    async fn is_usable(&self, key: &str) -> bool {
        match self {
            Self::One(seat) => seat.link.usable().await,
            Self::Shards(shards) => shards.is_usable(key).await,
        }
    }

    /// What publishes on a channel of ours, in a script.
    fn publishes(&self) -> &'static str {
        match self {
            Self::One(_) => "PUBLISH",
            Self::Shards(_) => "SPUBLISH",
        }
    }

    /// Asks the server that has `key`.
    async fn ask<T, W, F>(&self, key: &str, work: W) -> Result<T>
    where
        W: Fn(Arc<Commands>, bool) -> F,
        F: Future<Output = Answer<T>>,
    {
        match self {
            Self::One(seat) => {
                let answer = work(Arc::clone(&seat.commands), false).await?;
                answer.map_err(|_| Error::unavailable("Redis is a node of a cluster: bus.url is redis+cluster://.."))
            }
            Self::Shards(shards) => shards.ask(key, work).await,
        }
    }
}

impl Drop for RedisBus {
    fn drop(&mut self) {
        self.shared.stop.cancel();
    }
}

#[async_trait]
impl Bus for RedisBus {
    fn kind(&self) -> &'static str {
        "redis"
    }

    fn prefix(&self) -> &str {
        &self.context.prefix
    }

    fn is_shared(&self) -> bool {
        true
    }

    /// Returns once the publish is queued; see [`publisher`] for what becomes of it.
    async fn publish(&self, channel: &str, payload: Bytes) -> Result<()> {
        match &self.topology {
            Topology::One(seat) => seat.queue.push(channel, payload).await,
            Topology::Shards(shards) => shards.publish(channel, payload).await,
        }
    }

    async fn subscribe(&self, channels: &[String]) -> Result<Subscription> {
        let (feed, subscription) = Subscription::new(self.context.dropped.clone());
        self.listen(channels, &feed).await?;
        Ok(subscription)
    }

    /// Waits for Redis's confirmation. While Redis is away it returns at once, and the channels follow with the others.
    async fn listen(&self, channels: &[String], feed: &Feed) -> Result<()> {
        self.shared.feeds.add(channels, feed);
        self.topology.confirmed(channels).await
    }

    /// Redis is told with the next change of subscriptions, or the next probe.
    async fn ignore(&self, channels: &[String], feed: &Feed) {
        self.shared.feeds.remove(channels, feed);
    }

    async fn get(&self, key: &str) -> Result<Option<Bytes>> {
        self.topology.ask(key, async |commands, asking| commands.get(key, asking).await).await
    }

    async fn set(&self, key: &str, value: Bytes, ttl: Option<Duration>) -> Result<()> {
        self.topology.ask(key, async |commands, asking| commands.set(key, &value, ttl, asking).await).await
    }

    async fn claim(&self, key: &str, owner: &str, ttl: Duration) -> Result<bool> {
        self.topology.ask(key, async |commands, asking| commands.claim(key, owner, ttl, asking).await).await
    }

    async fn append(
        &self,
        name: &str,
        records: &[Bytes],
        bounds: Bounds,
        known: Option<&Offset>,
    ) -> Vec<Result<Entry>> {
        Journal::new(&self.topology, self.journal_channel(name)).append(records, bounds, known).await
    }

    async fn read(&self, name: &str, after: Option<&Offset>, limit: usize, _: Bounds) -> Result<Page> {
        Journal::new(&self.topology, self.journal_channel(name)).read(after, limit).await
    }

    async fn renew(&self, name: &str, known: &Offset, _: Bounds) -> Result<()> {
        Journal::new(&self.topology, self.journal_channel(name)).renew(known).await
    }

    fn status(&self) -> BusStatus {
        match &self.topology {
            Topology::One(seat) => seat.link.status(),
            Topology::Shards(shards) => shards.status(),
        }
    }

    async fn shutdown(&self) {
        self.shared.stop.cancel();
        self.shared.tasks.close();
        self.shared.tasks.wait().await;
        self.shared.feeds.clear();
        self.topology.close();
    }
}

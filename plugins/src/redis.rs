//! The Redis bus, `redis://`, `rediss://` and `unix://`: what other programs publish reaches clients, and many Carillons
//! work as one.
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
//! Subscriptions, publishes and keys have a connection each (keys a small pool): a slow command delays no message.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use carillon_core::bus::{Bus, BusContext, BusStatus, Feed, Subscription};
use carillon_core::journal::{Bounds, Entry, Offset, Page};
use carillon_core::throttle::Throttle;
use carillon_core::{Error, Result};
use futures_util::future::BoxFuture;
use tokio::sync::mpsc::{self, error::TrySendError};
use tokio::sync::oneshot;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use address::Target;
use commands::Commands;
use feeds::Feeds;
use journal::Journal;
use link::Link;
use publisher::{Publisher, Queue};
use series::Series;
use subscriber::{Confirm, SUBSCRIBE_TIMEOUT, Subscriber};

mod address;
mod commands;
mod feeds;
mod journal;
mod link;
mod probe;
mod publisher;
mod report;
mod series;
mod subscriber;

carillon_core::bus!("redis", connect, check);
carillon_core::bus!("rediss", connect, check);
carillon_core::bus!("unix", connect, check);

/// New subscriptions that may wait for Redis's confirmation.
const CONFIRMS: usize = 64;

/// The bus over Redis.
struct RedisBus {
    link: Arc<Link>,
    feeds: Arc<Feeds>,
    commands: Arc<Commands>,
    queue: Queue,
    confirms: mpsc::Sender<Confirm>,
    context: BusContext,
    tasks: TaskTracker,
    stop: CancellationToken,
}

/// Says what is wrong with the address.
fn check(url: &str) -> Result<(), String> {
    Target::parse(url).map(drop)
}

/// Starts the bus. Only the address can be wrong: that Redis is away is no reason not to start.
fn connect(url: String, context: BusContext) -> BoxFuture<'static, Result<Arc<dyn Bus>>> {
    Box::pin(async move {
        let target = Target::parse(&url).map_err(|why| Error::unavailable(format!("bus.url: {why}")))?;
        Ok(Arc::new(RedisBus::start(target, context)?) as Arc<dyn Bus>)
    })
}

impl RedisBus {
    fn start(target: Target, context: BusContext) -> Result<Self> {
        let series = Series::new(&context.metrics)?;
        let link = Arc::new(Link::new(target.clone(), series.clone()));
        let counted = Arc::downgrade(&link);
        context.metrics.before_scrape(move || {
            if let Some(link) = counted.upgrade() {
                link.count();
            }
        });
        let feeds = Arc::new(Feeds::default());
        let tasks = TaskTracker::new();
        let commands = Arc::new(Commands::new(target.clone(), Arc::clone(&link), tasks.clone())?);
        let (publisher, queue, probes) = Publisher::new(target.clone(), Arc::clone(&link), Arc::clone(&feeds), series);
        let (confirms, confirms_receiver) = mpsc::channel(CONFIRMS);
        let subscriber = Subscriber {
            target,
            link: Arc::clone(&link),
            feeds: Arc::clone(&feeds),
            commands: Arc::clone(&commands),
            probes,
            probe_channel: format!("{}:probe:{:032x}", context.prefix, fastrand::u128(..)).into(),
            confirms: confirms_receiver,
            throttle: Throttle::per_second(),
        };
        // The publisher ends first, with its last publishes sent; then the subscriber.
        let (stop, stop_subscriber) = (CancellationToken::new(), CancellationToken::new());
        tasks.spawn(subscriber.run(stop_subscriber.clone()));
        tasks.spawn(publisher.run(stop.clone(), stop_subscriber.drop_guard()));
        Ok(Self { link, feeds, commands, queue, confirms, context, tasks, stop })
    }
}

impl Drop for RedisBus {
    fn drop(&mut self) {
        self.stop.cancel();
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
        self.queue.push(channel, payload).await
    }

    async fn subscribe(&self, channels: &[String]) -> Result<Subscription> {
        let (feed, subscription) = Subscription::new(self.context.dropped.clone());
        self.listen(channels, &feed).await?;
        Ok(subscription)
    }

    /// Waits for Redis's confirmation. While Redis is away it returns at once, and the channels follow with the others.
    async fn listen(&self, channels: &[String], feed: &Feed) -> Result<()> {
        self.feeds.add(channels, feed);
        let (confirm, confirmed) = oneshot::channel();
        // Asked for in any case: the connection may come up just now. Should there be no room, those who asked before have
        // not been answered yet, and what they get includes these channels.
        let unsent = self.confirms.try_send(confirm).err().map(TrySendError::into_inner);
        if self.link.usable().await {
            let answer = async {
                if let Some(confirm) = unsent {
                    self.confirms.send(confirm).await.ok()?;
                }
                confirmed.await.ok()
            };
            // Nobody answers when the connection breaks meanwhile: then everything is subscribed anew anyway.
            if let Ok(Some(Err(refused))) = timeout(SUBSCRIBE_TIMEOUT + Duration::from_millis(100), answer).await {
                return Err(refused);
            }
        }
        Ok(())
    }

    /// Redis is told with the next change of subscriptions, or the next probe.
    async fn ignore(&self, channels: &[String], feed: &Feed) {
        self.feeds.remove(channels, feed);
    }

    async fn get(&self, key: &str) -> Result<Option<Bytes>> {
        self.commands.get(key).await
    }

    async fn set(&self, key: &str, value: Bytes, ttl: Option<Duration>) -> Result<()> {
        self.commands.set(key, &value, ttl).await
    }

    async fn claim(&self, key: &str, owner: &str, ttl: Duration) -> Result<bool> {
        self.commands.claim(key, owner, ttl).await
    }

    /// With a hash tag: the keys of a journal have the same.
    fn journal_channel(&self, name: &str) -> String {
        self.own(&format!("journal:{{{name}}}"))
    }

    async fn append(
        &self,
        name: &str,
        records: &[Bytes],
        bounds: Bounds,
        known: Option<&Offset>,
    ) -> Vec<Result<Entry>> {
        Journal::new(&self.commands, self.journal_channel(name)).append(records, bounds, known).await
    }

    async fn read(&self, name: &str, after: Option<&Offset>, limit: usize, _: Bounds) -> Result<Page> {
        Journal::new(&self.commands, self.journal_channel(name)).read(after, limit).await
    }

    async fn renew(&self, name: &str, known: &Offset, _: Bounds) -> Result<()> {
        Journal::new(&self.commands, self.journal_channel(name)).renew(known).await
    }

    fn status(&self) -> BusStatus {
        self.link.status()
    }

    async fn shutdown(&self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        self.commands.close();
    }
}

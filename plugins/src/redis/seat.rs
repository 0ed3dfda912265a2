//! The connections to one Redis: subscriptions, publishes and keys, and whether they work.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use carillon_core::Result;
use carillon_core::bus::BusContext;
use tokio::sync::mpsc::{self, error::TrySendError};
use tokio::sync::oneshot;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::commands::Commands;
use super::feeds::Feeds;
use super::link::Link;
use super::moved::GiveBack;
use super::publisher::{Ends, Outgoing, Publisher, Queue};
use super::series::Series;
use super::subscriber::{Confirm, SUBSCRIBE_TIMEOUT, Subscriber};
use super::target::Target;

/// New subscriptions that may wait for Redis's confirmation.
const CONFIRMS: usize = 64;
/// How long a publisher may take to hand over what belongs elsewhere.
const GIVE_BACK_TIMEOUT: Duration = Duration::from_millis(250);

/// The connections to one Redis, alone or one of a cluster's.
pub(super) struct Seat {
    pub(super) link: Arc<Link>,
    pub(super) commands: Arc<Commands>,
    pub(super) queue: Queue,
    confirms: mpsc::Sender<Confirm>,
    give_back: mpsc::Sender<GiveBack>,
    holds: Arc<AtomicBool>,
    stop: CancellationToken,
}

/// What all seats of a bus have in common.
#[derive(Clone)]
pub(super) struct Shared {
    pub(super) feeds: Arc<Feeds>,
    pub(super) series: Series,
    pub(super) tasks: TaskTracker,
    /// The bus ends, and with it every seat.
    pub(super) stop: CancellationToken,
    /// What names of channels for probes begin with.
    probe_name: Arc<str>,
}

impl Shared {
    /// Registers the series; a bus does this once.
    pub(super) fn new(context: &BusContext) -> Result<Self> {
        let series = Series::new(&context.metrics)?;
        let probe_name = format!("{}:probe:{:032x}", context.prefix, fastrand::u128(..)).into();
        Ok(Self {
            feeds: Arc::default(),
            series,
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
            probe_name,
        })
    }
}

impl Seat {
    /// Starts to connect, for ever, until [`Self::stop`] or the end of the bus.
    pub(super) fn start(target: Target, shared: &Shared) -> Self {
        let Shared { feeds, series, tasks, stop, probe_name } = shared.clone();
        let link = Arc::new(Link::new(target.clone(), series.clone()));
        let commands = Arc::new(Commands::new(target.clone(), Arc::clone(&link), tasks.clone()));
        let (publisher, ends) = Publisher::new(target.clone(), Arc::clone(&link), Arc::clone(&feeds), series);
        let Ends { queue, probes, give_back, holds } = ends;
        let (confirms, confirms_receiver) = mpsc::channel(CONFIRMS);
        let subscriber = Subscriber {
            target,
            link: Arc::clone(&link),
            feeds,
            commands: Arc::clone(&commands),
            probes,
            probe_name,
            confirms: confirms_receiver,
        };
        // The publisher ends first, with its last publishes sent; then the subscriber.
        let (stop, stop_subscriber) = (stop.child_token(), CancellationToken::new());
        tasks.spawn(subscriber.run(stop_subscriber.clone()));
        tasks.spawn(publisher.run(stop.clone(), stop_subscriber.drop_guard()));
        Self { link, commands, queue, confirms, give_back, holds, stop }
    }

    /// Waits for Redis's confirmation of the channels in [`Feeds`]. While Redis is away it returns at once, and they follow
    /// with the others.
    pub(super) async fn confirmed(&self) -> Result<()> {
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

    /// Whether publishes wait here that belong elsewhere.
    pub(super) fn holds(&self) -> bool {
        self.holds.load(Ordering::Acquire)
    }

    /// The publishes that wait here and belong elsewhere.
    pub(super) async fn give_back(&self) -> Vec<Outgoing> {
        let (ask, answer) = oneshot::channel();
        let asked = async {
            self.give_back.send(ask).await.ok()?;
            answer.await.ok()
        };
        timeout(GIVE_BACK_TIMEOUT, asked).await.ok().flatten().unwrap_or_default()
    }

    /// Ends its tasks, the last publishes sent.
    pub(super) fn stop(&self) {
        self.stop.cancel();
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.stop.cancel();
        self.commands.close();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use carillon_core::bus::Subscription;
    use carillon_core::metrics::Metrics;
    use prometheus::IntCounter;

    use super::super::address::{Address, Kind};
    use super::*;

    /// A shard that has no slots any more takes nothing along that others listen to; the bus itself ends all of it.
    #[tokio::test]
    async fn a_seat_that_leaves_ends_no_subscription() {
        let context = BusContext::new(Arc::new(Metrics::new().unwrap()));
        let shared = Shared::new(&context).unwrap();
        let Address { kind: Kind::One(server), timeout, .. } = Address::parse("redis://127.0.0.1:1").unwrap() else {
            unreachable!()
        };
        let (feed, mut subscription) = Subscription::new(IntCounter::new("dropped", "test").unwrap());
        shared.feeds.add(&["a".to_owned()], &feed);
        drop(feed);
        let seat = Seat::start(Target::fixed(server, timeout, Arc::default()), &shared);
        seat.stop();
        shared.tasks.close();
        shared.tasks.wait().await;
        shared.feeds.deliver("a", &bytes::Bytes::from_static(b"still"));
        assert_eq!(&subscription.recv().await.unwrap().payload[..], b"still");
        shared.feeds.clear();
        assert!(subscription.recv().await.is_none());
    }
}

//! The bus: how publishers and routers find each other; the port every implementation serves, and its link-time registration.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use carillon_config::BusSettings;
use futures_util::future::BoxFuture;
use prometheus::IntCounter;
use tokio::sync::mpsc;

use crate::error::{Error, Result};
use crate::journal::{Bounds, Entry, Offset, Page};
use crate::metrics::Metrics;

pub mod memory;

/// Messages a subscription holds for a subscriber that is busy; more are dropped and counted.
pub const SUBSCRIPTION_DEPTH: usize = 10_000;

/// Publish and subscribe, and a few keys with a time to live.
///
/// Guarantees: messages of one publisher on one channel arrive in order, each at most once per subscription; a
/// subscription sees everything published after [`Bus::subscribe`] returned, as long as the bus is up and the
/// subscriber keeps pace ([`SUBSCRIPTION_DEPTH`]). Keys are last-writer-wins. No call blocks longer than the
/// implementation's own timeout.
///
/// Journals: what is [appended](Bus::append) to one gets its place in it and is published on its
/// [channel](Bus::journal_channel) in one step, so that all who follow it have one order. A bus that others share answers
/// in its own time, one of this process at once. A bus that keeps no journals need not say so.
#[async_trait]
pub trait Bus: Send + Sync + 'static {
    /// The implementation's name, such as `memory`.
    fn kind(&self) -> &'static str;

    /// Whether other processes publish and subscribe here too.
    fn is_shared(&self) -> bool;

    /// What stands in front of the names of Carillon's own channels and keys: installations with different prefixes do not
    /// see each other.
    fn prefix(&self) -> &str;

    /// The name of a channel or key of this installation's own, such as `carillon:collector`.
    fn own(&self, name: &str) -> String {
        format!("{}:{name}", self.prefix())
    }

    /// Sends `payload` to every subscriber of `channel`.
    async fn publish(&self, channel: &str, payload: Bytes) -> Result<()>;

    /// Starts to receive from `channels`.
    async fn subscribe(&self, channels: &[String]) -> Result<Subscription>;

    /// Adds `channels` to those that come to `feed`, made by [`Subscription::new`]: everything published on them after this
    /// has returned, as with [`subscribe`](Self::subscribe), in one order with what came to it before. Those that come to it
    /// already stay as they are.
    async fn listen(&self, channels: &[String], feed: &Feed) -> Result<()>;

    /// What is published on `channels` does not come to `feed` any more.
    async fn ignore(&self, channels: &[String], feed: &Feed);

    /// The value of `key`, if it has one that has not expired.
    async fn get(&self, key: &str) -> Result<Option<Bytes>>;

    /// Sets `key`, for `ttl` or for good.
    async fn set(&self, key: &str, value: Bytes, ttl: Option<Duration>) -> Result<()>;

    /// Takes or renews the lease `key` for `owner`: true when `owner` holds it for `ttl` from now. Atomic.
    async fn claim(&self, key: &str, owner: &str, ttl: Duration) -> Result<bool>;

    /// The channel of the journal `name`, whose name stands in braces: where it is the name of a key too, all keys of the
    /// journal have one hash tag. What comes there is what [`Entry::open`] opens.
    fn journal_channel(&self, name: &str) -> String {
        self.own(&format!("journal:{{{name}}}"))
    }

    /// Appends `records` to the journal `name`, in order, and publishes each on the journal's channel with its place: all of
    /// them, or those in front of an error. What has no room any more within `bounds` is forgotten. A journal that has not got
    /// as far as `known`, which somebody has been told of, begins a new epoch: it has forgotten something.
    ///
    /// # Errors
    /// For each record that was not appended: `timeout` when nobody knows whether it was, another code when it surely was
    /// not. What follows it was not appended either.
    async fn append(
        &self,
        name: &str,
        records: &[Bytes],
        bounds: Bounds,
        known: Option<&Offset>,
    ) -> Vec<Result<Entry>> {
        let _ = (name, bounds, known);
        records.iter().map(|_| Err(no_journals())).collect()
    }

    /// Up to `limit` entries of the journal `name`: those that follow `after`, or the newest. Where something is missing after
    /// `after` they are what follows that very entry, if it is still there, or begin with the oldest.
    async fn read(&self, name: &str, after: Option<&Offset>, limit: usize, bounds: Bounds) -> Result<Page> {
        let _ = (name, after, limit, bounds);
        Err(no_journals())
    }

    /// Begins a new epoch of the journal `name`, unless the one of `known` is over already: something was published that
    /// is not in it.
    async fn renew(&self, name: &str, known: &Offset, bounds: Bounds) -> Result<()> {
        let _ = (name, known, bounds);
        Err(no_journals())
    }

    /// Whether messages get through now.
    fn status(&self) -> BusStatus;

    /// Ends the bus's own tasks.
    async fn shutdown(&self);
}

fn no_journals() -> Error {
    Error::unavailable("this bus keeps no journals")
}

/// Whether a bus delivers, for `/readyz` and `carillon_bus_up`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BusStatus {
    /// True while messages get through.
    pub up: bool,
    /// What to tell an operator.
    pub detail: String,
}

/// One message from the bus.
#[derive(Debug, Clone)]
pub struct Message {
    /// The channel it was published on.
    pub channel: Arc<str>,
    /// Its bytes, as published.
    pub payload: Bytes,
}

/// The receiving end of [`Bus::subscribe`]. Dropping it unsubscribes.
#[derive(Debug)]
pub struct Subscription {
    messages: mpsc::Receiver<Message>,
}

impl Subscription {
    /// A subscription and the end an implementation feeds it through; `dropped` counts what did not fit.
    #[must_use]
    pub fn new(dropped: IntCounter) -> (Feed, Self) {
        let (sender, messages) = mpsc::channel(SUBSCRIPTION_DEPTH);
        (Feed { sender, dropped }, Self { messages })
    }

    /// The next message; `None` once the bus has shut down.
    pub async fn recv(&mut self) -> Option<Message> {
        self.messages.recv().await
    }
}

/// The sending end of a [`Subscription`], kept by the bus.
#[derive(Debug, Clone)]
pub struct Feed {
    sender: mpsc::Sender<Message>,
    dropped: IntCounter,
}

impl Feed {
    /// Hands over one message, or counts it as dropped when the subscriber lags. False once the subscriber is gone.
    #[must_use]
    pub fn send(&self, message: Message) -> bool {
        match self.sender.try_send(message) {
            Ok(()) => true,
            Err(mpsc::error::TrySendError::Full(_)) => {
                self.dropped.inc();
                true
            }
            Err(mpsc::error::TrySendError::Closed(_)) => false,
        }
    }

    /// Whether both feed the same subscription.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        self.sender.same_channel(&other.sender)
    }

    /// Whether the subscriber is still there.
    #[must_use]
    pub fn is_open(&self) -> bool {
        !self.sender.is_closed()
    }
}

/// What a bus may use of the application.
#[derive(Clone)]
pub struct BusContext {
    /// Counts messages dropped at slow subscribers.
    pub dropped: IntCounter,
    /// For series of the bus's own.
    pub metrics: Arc<Metrics>,
    /// What [`Bus::prefix`] is to be.
    pub prefix: Arc<str>,
}

impl BusContext {
    /// The context of an application with these metrics, and the default prefix.
    #[must_use]
    pub fn new(metrics: Arc<Metrics>) -> Self {
        Self { dropped: metrics.bus_dropped.clone(), metrics, prefix: BusSettings::default().prefix.into() }
    }

    /// The same with another prefix.
    #[must_use]
    pub fn with_prefix(self, prefix: &str) -> Self {
        Self { prefix: prefix.into(), ..self }
    }
}

/// How a bus is made from its URL.
pub type Connect = fn(url: String, context: BusContext) -> BoxFuture<'static, Result<Arc<dyn Bus>>>;

/// Says what is wrong with a bus's URL, without connecting.
pub type Check = fn(url: &str) -> Result<(), String>;

/// A bus implementation found at link time by its URL scheme. Made by [`bus!`](crate::bus!).
pub struct BusRegistration {
    scheme: &'static str,
    connect: Connect,
    check: Check,
}

impl BusRegistration {
    /// Serves URLs that begin with `scheme:`.
    #[must_use]
    pub const fn new(scheme: &'static str, connect: Connect) -> Self {
        Self { scheme, connect, check: |_| Ok(()) }
    }

    /// Refuses URLs before anything is started.
    #[must_use]
    pub const fn checked(mut self, check: Check) -> Self {
        self.check = check;
        self
    }
}

inventory::collect!(BusRegistration);

/// Registers a bus for a URL scheme: `bus!("memory", connect);` where `connect` is a [`Connect`](crate::bus::Connect), and
/// `bus!("redis", connect, check);` where `check` is a [`Check`](crate::bus::Check).
#[macro_export]
macro_rules! bus {
    ($scheme:literal, $connect:path) => {
        $crate::__private::inventory::submit! { $crate::bus::BusRegistration::new($scheme, $connect) }
    };
    ($scheme:literal, $connect:path, $check:path) => {
        $crate::__private::inventory::submit! {
            $crate::bus::BusRegistration::new($scheme, $connect).checked($check)
        }
    };
}

/// The schemes linked into this binary, sorted.
#[must_use]
pub fn schemes() -> Vec<&'static str> {
    let mut schemes: Vec<_> = inventory::iter::<BusRegistration>.into_iter().map(|bus| bus.scheme).collect();
    schemes.sort_unstable();
    schemes
}

fn find(url: &str) -> Result<&'static BusRegistration> {
    let scheme = url.split(':').next().unwrap_or_default();
    inventory::iter::<BusRegistration>.into_iter().find(|bus| bus.scheme == scheme).ok_or_else(|| {
        let known = schemes().join(", ");
        Error::unavailable(format!("no bus serves \"{scheme}:\"; this binary has: {known}"))
    })
}

/// Whether a linked bus serves `url`, as far as can be told without connecting.
///
/// # Errors
/// When none does (the message lists the schemes there are), or the bus refuses the URL.
pub fn check(url: &str) -> Result<()> {
    (find(url)?.check)(url).map_err(Error::unavailable)
}

/// Connects to the bus at `url`.
///
/// # Errors
/// When no linked bus serves the scheme, or the bus itself refuses the URL.
pub async fn connect(url: &str, context: BusContext) -> Result<Arc<dyn Bus>> {
    (find(url)?.connect)(url.to_owned(), context).await
}

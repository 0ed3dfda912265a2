//! The embedded bus, `memory://`: everything inside this process, for a Carillon that runs alone and for tests.

mod journals;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use tokio::time::Instant;

use self::journals::Journals;
use super::{Bus, BusContext, BusStatus, Feed, Message, Subscription};
use crate::error::Result;
use crate::journal::{Bounds, Entry, Offset, Page};

crate::bus!("memory", connect);

/// So many keys are few: those that have expired are not looked for.
const LOOK_AT: usize = 64;

/// The bus inside this process.
pub struct MemoryBus {
    state: Mutex<State>,
    context: BusContext,
}

#[derive(Default)]
struct State {
    feeds: HashMap<Arc<str>, Vec<Feed>>,
    keys: HashMap<String, Value>,
    /// How many keys there were when those that have expired were last looked for.
    looked_at: usize,
    journals: Journals,
}

struct Value {
    value: Bytes,
    expires: Option<Instant>,
}

impl Value {
    fn is_live(&self) -> bool {
        self.expires.is_none_or(|at| at > Instant::now())
    }
}

impl State {
    /// Under the lock, so that every subscriber sees the same order.
    fn publish(&mut self, channel: &str, payload: &Bytes) {
        let Some((channel, _)) = self.feeds.get_key_value(channel) else { return };
        let channel = Arc::clone(channel);
        if let Some(feeds) = self.feeds.get_mut(&channel) {
            feeds.retain(|feed| feed.send(Message { channel: Arc::clone(&channel), payload: payload.clone() }));
        }
    }

    /// Forgets keys that have expired, once there may be as many of them as of others.
    fn look_for_expired(&mut self) {
        if self.keys.len() > 2 * self.looked_at {
            self.keys.retain(|_, value| value.is_live());
            self.looked_at = self.keys.len().max(LOOK_AT);
        }
    }
}

impl MemoryBus {
    /// An empty bus.
    #[must_use]
    pub fn new(context: BusContext) -> Self {
        Self { state: Mutex::default(), context }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `memory://` has no options: whatever follows the scheme is ignored.
fn connect(_: String, context: BusContext) -> BoxFuture<'static, Result<Arc<dyn Bus>>> {
    Box::pin(async move { Ok(Arc::new(MemoryBus::new(context)) as Arc<dyn Bus>) })
}

#[async_trait]
impl Bus for MemoryBus {
    fn kind(&self) -> &'static str {
        "memory"
    }

    fn prefix(&self) -> &str {
        &self.context.prefix
    }

    fn is_shared(&self) -> bool {
        false
    }

    async fn publish(&self, channel: &str, payload: Bytes) -> Result<()> {
        self.state().publish(channel, &payload);
        Ok(())
    }

    async fn subscribe(&self, channels: &[String]) -> Result<Subscription> {
        let (feed, subscription) = Subscription::new(self.context.dropped.clone());
        self.listen(channels, &feed).await?;
        Ok(subscription)
    }

    async fn listen(&self, channels: &[String], feed: &Feed) -> Result<()> {
        let mut state = self.state();
        for channel in channels {
            let feeds = state.feeds.entry(channel.as_str().into()).or_default();
            feeds.retain(|known| known.is_open() && !known.is_same(feed));
            feeds.push(feed.clone());
        }
        Ok(())
    }

    async fn ignore(&self, channels: &[String], feed: &Feed) {
        let mut state = self.state();
        for channel in channels {
            if let Some(feeds) = state.feeds.get_mut(&**channel) {
                feeds.retain(|known| known.is_open() && !known.is_same(feed));
                if feeds.is_empty() {
                    state.feeds.remove(&**channel);
                }
            }
        }
    }

    async fn get(&self, key: &str) -> Result<Option<Bytes>> {
        Ok(self.state().keys.get(key).filter(|entry| entry.is_live()).map(|entry| entry.value.clone()))
    }

    async fn set(&self, key: &str, value: Bytes, ttl: Option<Duration>) -> Result<()> {
        let mut state = self.state();
        // Expired keys go here, where keys come, so that the map stays as small as what is set.
        state.look_for_expired();
        state.keys.insert(key.to_owned(), Value { value, expires: ttl.map(|ttl| Instant::now() + ttl) });
        Ok(())
    }

    async fn claim(&self, key: &str, owner: &str, ttl: Duration) -> Result<bool> {
        let mut state = self.state();
        let held_by_other = state.keys.get(key).is_some_and(|entry| entry.is_live() && entry.value != owner.as_bytes());
        if !held_by_other {
            let value = Bytes::copy_from_slice(owner.as_bytes());
            state.keys.insert(key.to_owned(), Value { value, expires: Some(Instant::now() + ttl) });
        }
        Ok(!held_by_other)
    }

    async fn append(&self, name: &str, records: &[Bytes], bounds: Bounds, _: Option<&Offset>) -> Vec<Result<Entry>> {
        let mut state = self.state();
        let channel = self.journal_channel(name);
        let append = |record: &Bytes| {
            let entry = state.journals.of(name, bounds).append(record.clone());
            if state.feeds.contains_key(&*channel) {
                state.publish(&channel, &entry.sealed());
            }
            Ok(entry)
        };
        records.iter().map(append).collect()
    }

    async fn read(&self, name: &str, after: Option<&Offset>, limit: usize, bounds: Bounds) -> Result<Page> {
        Ok(self.state().journals.of(name, bounds).read(after, limit))
    }

    async fn renew(&self, name: &str, known: &Offset, bounds: Bounds) -> Result<()> {
        self.state().journals.of(name, bounds).renew(known);
        Ok(())
    }

    fn status(&self) -> BusStatus {
        BusStatus { up: true, detail: "in this process".to_owned() }
    }

    async fn shutdown(&self) {
        self.state().feeds.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Metrics;
    use prometheus::IntCounter;

    fn bus() -> (MemoryBus, IntCounter) {
        let context = BusContext::new(Arc::new(Metrics::new().unwrap()));
        (MemoryBus::new(context.clone()), context.dropped)
    }

    #[tokio::test]
    async fn messages_arrive_in_order_on_the_channels_asked_for() {
        let (bus, dropped) = bus();
        let mut subscription = bus.subscribe(&["a".to_owned(), "b".to_owned()]).await.unwrap();
        for (channel, text) in [("a", "1"), ("c", "x"), ("b", "2"), ("a", "3")] {
            bus.publish(channel, Bytes::from_static(text.as_bytes())).await.unwrap();
        }
        for expected in ["1", "2", "3"] {
            assert_eq!(subscription.recv().await.unwrap().payload, expected);
        }
        bus.shutdown().await;
        assert!(subscription.recv().await.is_none());
        assert_eq!(dropped.get(), 0);
    }

    /// Channels come and go while a subscription goes on, each of them once.
    #[tokio::test]
    async fn a_subscription_gets_more_channels_and_fewer() {
        let (bus, dropped) = bus();
        let (feed, mut subscription) = Subscription::new(dropped);
        let [a, b] = ["a", "b"].map(|name| vec![name.to_owned()]);
        for channels in [&a, &b, &a] {
            bus.listen(channels, &feed).await.unwrap();
        }
        let publish = async |channel: &str| bus.publish(channel, Bytes::copy_from_slice(channel.as_bytes())).await;
        for channel in ["a", "b"] {
            publish(channel).await.unwrap();
        }
        bus.ignore(&a, &feed).await;
        for channel in ["a", "b"] {
            publish(channel).await.unwrap();
        }
        for expected in ["a", "b", "b"] {
            assert_eq!(subscription.recv().await.unwrap().payload, expected);
        }
        bus.ignore(&b, &feed).await;
        assert!(bus.state().feeds.is_empty());
    }

    #[tokio::test]
    async fn a_lagging_subscriber_loses_the_newest_and_it_is_counted() {
        let (bus, dropped) = bus();
        let mut subscription = bus.subscribe(&["a".to_owned()]).await.unwrap();
        for _ in 0..super::super::SUBSCRIPTION_DEPTH + 3 {
            bus.publish("a", Bytes::new()).await.unwrap();
        }
        assert_eq!(dropped.get(), 3);
        assert!(subscription.recv().await.is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn keys_and_leases_expire() {
        let (bus, _) = bus();
        let second = Duration::from_secs(1);
        bus.set("k", Bytes::from_static(b"v"), Some(second)).await.unwrap();
        assert_eq!(bus.get("k").await.unwrap().unwrap(), "v");
        assert!(bus.claim("lease", "me", second * 2).await.unwrap());
        assert!(!bus.claim("lease", "you", second).await.unwrap());
        tokio::time::advance(second).await;
        assert_eq!(bus.get("k").await.unwrap(), None);
        assert!(bus.claim("lease", "me", second).await.unwrap(), "renewed");
        tokio::time::advance(second).await;
        assert!(bus.claim("lease", "you", second).await.unwrap(), "expired");
    }
}

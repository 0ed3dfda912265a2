//! A memory bus for tests that counts what is read from it, and may be unable to publish.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use carillon_core::bus::memory::MemoryBus;
use carillon_core::bus::{Bus, BusContext, BusStatus, Feed, Subscription};
use carillon_core::metrics::Metrics;
use carillon_core::{Error, Result};
use tokio::sync::Notify;

/// See the module's documentation.
pub(super) struct Watched {
    inner: MemoryBus,
    mute: bool,
    gets: AtomicUsize,
    subscribed: Notify,
}

impl Watched {
    pub(super) fn new() -> Arc<Self> {
        Self::with(false)
    }

    /// One on which every publish fails.
    pub(super) fn mute() -> Arc<Self> {
        Self::with(true)
    }

    fn with(mute: bool) -> Arc<Self> {
        let inner = MemoryBus::new(BusContext::new(Arc::new(Metrics::new().unwrap())));
        Arc::new(Self { inner, mute, gets: AtomicUsize::new(0), subscribed: Notify::new() })
    }

    /// How often a key was read.
    pub(super) fn gets(&self) -> usize {
        self.gets.load(Ordering::Relaxed)
    }

    /// Waits for a subscription.
    pub(super) async fn subscribed(&self) {
        self.subscribed.notified().await;
    }
}

#[async_trait]
impl Bus for Watched {
    fn kind(&self) -> &'static str {
        "watched"
    }

    fn is_shared(&self) -> bool {
        true
    }

    fn prefix(&self) -> &str {
        self.inner.prefix()
    }

    async fn publish(&self, channel: &str, payload: Bytes) -> Result<()> {
        if self.mute { Err(Error::unavailable("a test")) } else { self.inner.publish(channel, payload).await }
    }

    async fn subscribe(&self, channels: &[String]) -> Result<Subscription> {
        let subscription = self.inner.subscribe(channels).await;
        self.subscribed.notify_one();
        subscription
    }

    async fn listen(&self, channels: &[String], feed: &Feed) -> Result<()> {
        self.inner.listen(channels, feed).await
    }

    async fn ignore(&self, channels: &[String], feed: &Feed) {
        self.inner.ignore(channels, feed).await;
    }

    async fn get(&self, key: &str) -> Result<Option<Bytes>> {
        self.gets.fetch_add(1, Ordering::Relaxed);
        self.inner.get(key).await
    }

    async fn set(&self, key: &str, value: Bytes, ttl: Option<Duration>) -> Result<()> {
        self.inner.set(key, value, ttl).await
    }

    async fn claim(&self, key: &str, owner: &str, ttl: Duration) -> Result<bool> {
        self.inner.claim(key, owner, ttl).await
    }

    fn status(&self) -> BusStatus {
        self.inner.status()
    }

    async fn shutdown(&self) {
        self.inner.shutdown().await;
    }
}

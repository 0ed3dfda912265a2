//! A bus with journals that several applications of this process share, and that can be away or lose messages.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock};

use async_trait::async_trait;
use carillon_core::bus::memory::MemoryBus;
use carillon_core::bus::{Bus, BusContext, BusStatus, Feed, Subscription};
use carillon_core::journal::{Bounds, Entry, Offset, Page};
use futures_util::future::BoxFuture;

use super::*;

/// What of the bus of one name does not work.
#[derive(Default)]
pub(super) struct Flaws {
    /// Nothing is appended, and that is known.
    pub(super) away: AtomicBool,
    /// What is appended is not told to who follows.
    pub(super) deaf: AtomicBool,
    /// What is appended is not acknowledged.
    pub(super) mute: AtomicBool,
    /// While somebody else has it, epochs begin and that is not acknowledged.
    pub(super) renewing: tokio::sync::Mutex<()>,
    /// While somebody else has it, what is published waits.
    pub(super) telling: tokio::sync::Mutex<()>,
    /// While somebody else has it, what is appended waits, and is not appended yet.
    pub(super) appending: tokio::sync::Mutex<()>,
    /// While somebody else has it, no key is written.
    pub(super) writing: tokio::sync::Mutex<()>,
    /// Keys are written slowly.
    pub(super) slow: AtomicBool,
    /// How often something was read.
    pub(super) reads: AtomicUsize,
    /// Reading takes a while, and few do it at once: more are refused.
    pub(super) narrow: AtomicBool,
    /// How many read now.
    reading: AtomicUsize,
}

/// How many read at once from a bus that is narrow.
const READERS: usize = 8;

struct SharedBus {
    inner: Arc<MemoryBus>,
    flaws: Arc<Flaws>,
}

carillon_core::bus!("shared", connect);

type Buses = Mutex<HashMap<String, (Arc<MemoryBus>, Arc<Flaws>)>>;

fn buses() -> &'static Buses {
    static BUSES: OnceLock<Buses> = OnceLock::new();
    BUSES.get_or_init(Mutex::default)
}

/// Those of the bus `shared://name`, once an application has been there.
pub(super) fn flaws(name: &str) -> Arc<Flaws> {
    Arc::clone(&buses().lock().unwrap()[&format!("shared://{name}")].1)
}

/// Ends all subscriptions of the bus `shared://name`.
pub(super) async fn end_subscriptions(name: &str) {
    let bus = Arc::clone(&buses().lock().unwrap()[&format!("shared://{name}")].0);
    bus.shutdown().await;
}

fn connect(url: String, context: BusContext) -> BoxFuture<'static, Result<Arc<dyn Bus>>> {
    let mut buses = buses().lock().unwrap();
    let (inner, flaws) =
        buses.entry(url).or_insert_with(|| (Arc::new(MemoryBus::new(context)), Arc::default())).clone();
    Box::pin(async move { Ok(Arc::new(SharedBus { inner, flaws }) as Arc<dyn Bus>) })
}

impl SharedBus {
    fn has(flaw: &AtomicBool) -> bool {
        flaw.load(Ordering::Relaxed)
    }

    fn inner(&self) -> Result<&MemoryBus> {
        if Self::has(&self.flaws.away) { Err(Error::unavailable("away, as told")) } else { Ok(&self.inner) }
    }
}

#[async_trait]
impl Bus for SharedBus {
    fn kind(&self) -> &'static str {
        "shared"
    }
    fn prefix(&self) -> &str {
        self.inner.prefix()
    }
    fn is_shared(&self) -> bool {
        true
    }
    async fn publish(&self, channel: &str, payload: Bytes) -> Result<()> {
        drop(self.flaws.telling.lock().await);
        self.inner.publish(channel, payload).await
    }
    async fn subscribe(&self, channels: &[String]) -> Result<Subscription> {
        self.inner.subscribe(channels).await
    }
    async fn listen(&self, channels: &[String], feed: &Feed) -> Result<()> {
        self.inner.listen(channels, feed).await
    }
    async fn ignore(&self, channels: &[String], feed: &Feed) {
        self.inner.ignore(channels, feed).await;
    }
    async fn get(&self, key: &str) -> Result<Option<Bytes>> {
        self.inner()?.get(key).await
    }
    async fn set(&self, key: &str, value: Bytes, ttl: Option<Duration>) -> Result<()> {
        drop(self.flaws.writing.lock().await);
        if Self::has(&self.flaws.slow) {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        self.inner()?.set(key, value, ttl).await
    }
    async fn claim(&self, key: &str, owner: &str, ttl: Duration) -> Result<bool> {
        self.inner.claim(key, owner, ttl).await
    }
    /// Not the one that the inner bus publishes on by itself.
    fn journal_channel(&self, name: &str) -> String {
        format!("heard:{name}")
    }
    async fn append(
        &self,
        name: &str,
        records: &[Bytes],
        bounds: Bounds,
        known: Option<&Offset>,
    ) -> Vec<Result<Entry>> {
        drop(self.flaws.appending.lock().await);
        let Ok(inner) = self.inner() else {
            return records.iter().map(|_| Err(Error::unavailable("away, as told"))).collect();
        };
        let entries: Vec<Entry> =
            inner.append(name, records, bounds, known).await.into_iter().map(Result::unwrap).collect();
        if !Self::has(&self.flaws.deaf) {
            for entry in &entries {
                inner.publish(&self.journal_channel(name), entry.sealed()).await.unwrap();
            }
        }
        let mute = Self::has(&self.flaws.mute);
        entries
            .into_iter()
            .map(|entry| if mute { Err(Error::timeout("no answer, as told")) } else { Ok(entry) })
            .collect()
    }
    async fn read(&self, name: &str, after: Option<&Offset>, limit: usize, bounds: Bounds) -> Result<Page> {
        self.flaws.reads.fetch_add(1, Ordering::Relaxed);
        if Self::has(&self.flaws.narrow) {
            if self.flaws.reading.fetch_add(1, Ordering::Relaxed) < READERS {
                tokio::time::sleep(Duration::from_millis(20)).await;
                self.flaws.reading.fetch_sub(1, Ordering::Relaxed);
            } else {
                self.flaws.reading.fetch_sub(1, Ordering::Relaxed);
                return Err(Error::overloaded("too many read, as told"));
            }
        }
        self.inner()?.read(name, after, limit, bounds).await
    }
    async fn renew(&self, name: &str, known: &Offset, bounds: Bounds) -> Result<()> {
        self.inner()?.renew(name, known, bounds).await?;
        drop(self.flaws.renewing.lock().await);
        Ok(())
    }
    fn status(&self) -> BusStatus {
        BusStatus { up: !Self::has(&self.flaws.away), detail: "a test".to_owned() }
    }
    async fn shutdown(&self) {}
}

//! For tests: memory buses with a flaw. `flaky://2000` is away for the first 2 s, `storeless://` never has its keys, and
//! `shared://name` is one and the same for all applications of the process; with `slow://name` it is too, and takes 10 s for
//! every claim but the first.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use carillon_core::bus::memory::MemoryBus;
use carillon_core::bus::{Bus, BusContext, BusStatus, Feed, Subscription};
use carillon_core::journal::{Bounds, Entry, Offset, Page};
use carillon_core::{Error, Result, bus};
use futures_util::future::BoxFuture;
use tokio::time::Instant;

bus!("flaky", flaky);
bus!("storeless", storeless);
bus!("shared", shared);
bus!("slow", slow);

struct TestBus {
    inner: Arc<MemoryBus>,
    back_at: Instant,
    store: bool,
    shared: bool,
    slow: bool,
    /// Something was claimed.
    claimed: AtomicBool,
}

impl TestBus {
    /// A memory bus of its own, without a flaw yet.
    fn sound(context: BusContext) -> Self {
        let (inner, claimed) = (Arc::new(MemoryBus::new(context)), AtomicBool::new(false));
        Self { inner, back_at: Instant::now(), store: true, shared: false, slow: false, claimed }
    }
}

fn flaky(url: String, context: BusContext) -> BoxFuture<'static, Result<Arc<dyn Bus>>> {
    Box::pin(async move {
        let away = Duration::from_millis(url.trim_start_matches("flaky://").parse()?);
        let bus = TestBus::sound(context);
        Ok(Arc::new(TestBus { back_at: bus.back_at + away, ..bus }) as Arc<dyn Bus>)
    })
}

fn storeless(_: String, context: BusContext) -> BoxFuture<'static, Result<Arc<dyn Bus>>> {
    Box::pin(async move { Ok(Arc::new(TestBus { store: false, ..TestBus::sound(context) }) as Arc<dyn Bus>) })
}

fn shared(url: String, context: BusContext) -> BoxFuture<'static, Result<Arc<dyn Bus>>> {
    let bus = named(&url, context);
    Box::pin(async move { Ok(Arc::new(bus) as Arc<dyn Bus>) })
}

fn slow(url: String, context: BusContext) -> BoxFuture<'static, Result<Arc<dyn Bus>>> {
    let bus = named(&url, context);
    Box::pin(async move { Ok(Arc::new(TestBus { slow: true, ..bus }) as Arc<dyn Bus>) })
}

/// The one of this name, whatever the scheme.
fn named(url: &str, context: BusContext) -> TestBus {
    static BUSES: Mutex<BTreeMap<String, Arc<MemoryBus>>> = Mutex::new(BTreeMap::new());
    let name = url.split("://").last().unwrap_or_default().to_owned();
    let bus = TestBus::sound(context);
    let inner = Arc::clone(BUSES.lock().unwrap().entry(name).or_insert_with(|| Arc::clone(&bus.inner)));
    TestBus { inner, shared: true, ..bus }
}

impl TestBus {
    fn inner(&self) -> Result<&MemoryBus> {
        if self.status().up { Ok(&self.inner) } else { Err(Error::unavailable("the bus is away")) }
    }

    fn store(&self) -> Result<&MemoryBus> {
        if self.store { self.inner() } else { Err(Error::unavailable("the store is away")) }
    }
}

#[async_trait]
impl Bus for TestBus {
    fn kind(&self) -> &'static str {
        "test"
    }

    fn prefix(&self) -> &str {
        self.inner.prefix()
    }

    fn is_shared(&self) -> bool {
        self.shared
    }

    async fn publish(&self, channel: &str, payload: Bytes) -> Result<()> {
        self.inner()?.publish(channel, payload).await
    }

    async fn subscribe(&self, channels: &[String]) -> Result<Subscription> {
        self.inner()?.subscribe(channels).await
    }

    async fn listen(&self, channels: &[String], feed: &Feed) -> Result<()> {
        self.inner()?.listen(channels, feed).await
    }

    async fn ignore(&self, channels: &[String], feed: &Feed) {
        self.inner.ignore(channels, feed).await;
    }

    async fn get(&self, key: &str) -> Result<Option<Bytes>> {
        self.store()?.get(key).await
    }

    async fn set(&self, key: &str, value: Bytes, ttl: Option<Duration>) -> Result<()> {
        self.store()?.set(key, value, ttl).await
    }

    async fn claim(&self, key: &str, owner: &str, ttl: Duration) -> Result<bool> {
        if self.slow && self.claimed.swap(true, Ordering::Relaxed) {
            tokio::time::sleep(Duration::from_secs(10)).await;
        }
        self.store()?.claim(key, owner, ttl).await
    }

    async fn append(
        &self,
        name: &str,
        records: &[Bytes],
        bounds: Bounds,
        known: Option<&Offset>,
    ) -> Vec<Result<Entry>> {
        match self.store() {
            Ok(store) => store.append(name, records, bounds, known).await,
            Err(_) => records.iter().map(|_| Err(Error::unavailable("the store is away"))).collect(),
        }
    }

    async fn read(&self, name: &str, after: Option<&Offset>, limit: usize, bounds: Bounds) -> Result<Page> {
        self.store()?.read(name, after, limit, bounds).await
    }

    async fn renew(&self, name: &str, known: &Offset, bounds: Bounds) -> Result<()> {
        self.store()?.renew(name, known, bounds).await
    }

    fn status(&self) -> BusStatus {
        BusStatus { up: Instant::now() >= self.back_at, detail: "a test".to_owned() }
    }

    async fn shutdown(&self) {
        self.inner.shutdown().await;
    }
}

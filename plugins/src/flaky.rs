//! For tests: a bus that is away at first. `flaky://2000` fails for 2 s after the start, and then is a memory bus.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use carillon_core::bus::memory::MemoryBus;
use carillon_core::bus::{Bus, BusContext, BusStatus, Subscription};
use carillon_core::{Error, Result, bus};
use futures_util::future::BoxFuture;
use tokio::time::Instant;

bus!("flaky", connect);

struct Flaky {
    inner: MemoryBus,
    back_at: Instant,
}

fn connect(url: String, context: BusContext) -> BoxFuture<'static, Result<Arc<dyn Bus>>> {
    Box::pin(async move {
        let away = url.trim_start_matches("flaky://").parse()?;
        let back_at = Instant::now() + Duration::from_millis(away);
        Ok(Arc::new(Flaky { inner: MemoryBus::new(context), back_at }) as Arc<dyn Bus>)
    })
}

impl Flaky {
    fn inner(&self) -> Result<&MemoryBus> {
        if self.status().up { Ok(&self.inner) } else { Err(Error::unavailable("the bus is away")) }
    }
}

#[async_trait]
impl Bus for Flaky {
    fn kind(&self) -> &'static str {
        "flaky"
    }

    fn is_shared(&self) -> bool {
        false
    }

    async fn publish(&self, channel: &str, payload: Bytes) -> Result<()> {
        self.inner()?.publish(channel, payload).await
    }

    async fn subscribe(&self, channels: &[String]) -> Result<Subscription> {
        self.inner()?.subscribe(channels).await
    }

    async fn get(&self, key: &str) -> Result<Option<Bytes>> {
        self.inner()?.get(key).await
    }

    async fn set(&self, key: &str, value: Bytes, ttl: Option<Duration>) -> Result<()> {
        self.inner()?.set(key, value, ttl).await
    }

    async fn claim(&self, key: &str, owner: &str, ttl: Duration) -> Result<bool> {
        self.inner()?.claim(key, owner, ttl).await
    }

    fn status(&self) -> BusStatus {
        BusStatus { up: Instant::now() >= self.back_at, detail: "a test".to_owned() }
    }

    async fn shutdown(&self) {
        self.inner.shutdown().await;
    }
}

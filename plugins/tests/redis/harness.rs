//! A bus with its metrics, and waiting for what has to become true.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use carillon_core::bus::{self, Bus, BusContext, Message, Subscription};
use carillon_core::metrics::Metrics;
use tokio::time::{Instant, sleep, timeout};

/// How soon an outage has to show.
pub(crate) const SHOWS: Duration = Duration::from_secs(15);
/// How soon messages have to flow again.
pub(crate) const RECOVERS: Duration = Duration::from_secs(2);
/// For what should take no time, on a busy machine.
pub(crate) const SOON: Duration = Duration::from_secs(10);

/// A bus under test.
pub(crate) struct TestBus {
    pub(crate) bus: Arc<dyn Bus>,
    pub(crate) metrics: Arc<Metrics>,
}

impl TestBus {
    /// A bus at this address, whatever is there.
    pub(crate) async fn at(url: &str) -> Self {
        let metrics = Arc::new(Metrics::new().unwrap());
        let bus = bus::connect(url, BusContext::new(Arc::clone(&metrics))).await.unwrap();
        Self { bus, metrics }
    }

    /// A bus at this address, once it is up.
    pub(crate) async fn up(url: &str) -> Self {
        let bus = Self::at(url).await;
        bus.is_up(SOON).await;
        bus
    }

    pub(crate) async fn is_up(&self, limit: Duration) -> Duration {
        eventually(limit, "the bus is up", async || self.bus.status().up).await
    }

    pub(crate) async fn is_down(&self, limit: Duration) -> Duration {
        eventually(limit, "the bus is down", async || !self.bus.status().up).await
    }

    pub(crate) fn detail(&self) -> String {
        self.bus.status().detail
    }

    pub(crate) async fn subscribe(&self, channels: &[&str]) -> Subscription {
        let channels: Vec<String> = channels.iter().map(|&channel| channel.to_owned()).collect();
        self.bus.subscribe(&channels).await.unwrap()
    }

    pub(crate) async fn publish(&self, channel: &str, text: &str) {
        self.bus.publish(channel, Bytes::copy_from_slice(text.as_bytes())).await.unwrap();
    }

    /// The value of one series.
    pub(crate) fn metric(&self, series: &str) -> f64 {
        let text = self.metrics.render().unwrap();
        let line = text.lines().find(|line| line.split(' ').next() == Some(series));
        line.unwrap_or_else(|| panic!("no {series} in {text}")).rsplit(' ').next().unwrap().parse().unwrap()
    }
}

/// The next message, which has to come soon.
pub(crate) async fn next(subscription: &mut Subscription) -> Message {
    timeout(SOON, subscription.recv()).await.expect("a message comes soon").expect("the bus runs")
}

/// The next message's text.
pub(crate) async fn next_text(subscription: &mut Subscription) -> String {
    String::from_utf8(next(subscription).await.payload.to_vec()).unwrap()
}

/// Waits until `condition` holds; fails after `limit`. Returns how long it took.
pub(crate) async fn eventually(limit: Duration, what: &str, mut condition: impl AsyncFnMut() -> bool) -> Duration {
    let start = Instant::now();
    while !condition().await {
        assert!(start.elapsed() < limit, "not within {limit:?}: {what}");
        sleep(Duration::from_millis(5)).await;
    }
    start.elapsed()
}

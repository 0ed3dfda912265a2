//! Who collects, where several could: at most one Carillon of a bus, and none while another program does.

use std::sync::{Mutex, PoisonError};

use carillon_core::bus::Subscription;
use carillon_core::prelude::*;
use tokio::time::{Instant, sleep};

use super::config::{Collect, MonitoringConfig};
use crate::cluster::{Lease, METRICS, is_ours};

/// For so many intervals nobody else may have been heard.
const QUIET: u32 = 3;
/// How often in an interval the lease is renewed, and others look whether it is free.
const CHECKS: u32 = 4;

/// A lease that was not renewed so often is lost.
const RENEWALS: u32 = 3;

/// The turn of this Carillon.
pub(super) struct Gate {
    host: Host,
    interval: Duration,
    /// Where there may be others.
    lease: Option<Lease>,
    /// When somebody else was heard last, or could have been without our hearing it. `None` where that does not matter.
    heard: Option<Mutex<Instant>>,
}

impl Gate {
    pub(super) fn new(host: Host, config: &MonitoringConfig) -> Self {
        let shared = host.bus().is_shared();
        let polite = shared && config.collect == Collect::Auto;
        Self {
            host,
            interval: config.interval(),
            lease: shared.then(|| Lease::new("collector", config.interval() / CHECKS * RENEWALS)),
            heard: polite.then(|| Mutex::new(Instant::now())),
        }
    }

    /// How long to wait before asking again.
    pub(super) fn pause(&self) -> Duration {
        self.interval / CHECKS
    }

    /// Whether this Carillon may collect now. Renews its lease for three pauses, less than an interval: once it stops
    /// asking, another finds the lease free within one, and has published within two.
    ///
    /// # Errors
    /// When the bus does not tell.
    pub(super) async fn is_open(&self) -> Result<bool> {
        let bus = self.host.bus();
        let Some(lease) = &self.lease else { return Ok(true) };
        if let Some(heard) = &self.heard {
            if !bus.status().up {
                // Whatever is said now is not heard.
                set(heard);
            }
            if get(heard).elapsed() < self.interval * QUIET {
                self.close().await;
                return Ok(false);
            }
        }
        lease.claim(bus).await
    }

    /// Gives the lease back, if this Carillon has it: another need not wait for its end.
    pub(super) async fn close(&self) {
        if let Some(lease) = &self.lease {
            lease.give_back(self.host.bus()).await;
        }
    }

    /// Listens for other programs that publish metrics, for ever.
    pub(super) async fn listen(&self) {
        let Some(heard) = &self.heard else { return std::future::pending().await };
        loop {
            match self.host.bus().subscribe(&[METRICS.to_owned()]).await {
                Ok(subscription) => self.hear(heard, subscription).await,
                Err(error) => tracing::debug!("nobody can be listened to: {error}"),
            }
            set(heard);
            sleep(self.pause()).await;
        }
    }

    async fn hear(&self, heard: &Mutex<Instant>, mut subscription: Subscription) {
        set(heard);
        let mut told: Option<Instant> = None;
        while let Some(message) = subscription.recv().await {
            // There may be thousands a second: who was just told apart is not looked at again.
            let known = told.is_some_and(|told| told.elapsed() < self.pause());
            // When the bus does not tell whose this is, it is somebody else's.
            if !known && is_ours(self.host.bus(), &message.payload).await.unwrap_or(false) {
                continue;
            }
            set(heard);
            if !known {
                if told.is_none_or(|told| told.elapsed() >= self.interval * QUIET) {
                    tracing::info!("another program publishes metrics: this Carillon collects none");
                }
                told = Some(Instant::now());
            }
        }
    }
}

fn get(heard: &Mutex<Instant>) -> Instant {
    *heard.lock().unwrap_or_else(PoisonError::into_inner)
}

fn set(heard: &Mutex<Instant>) {
    *heard.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use carillon_core::testing::Harness;

    use super::*;
    use crate::cluster::publish_metrics;

    thread_local! {
        /// The host of the plugin made last.
        static HOST: RefCell<Option<Host>> = const { RefCell::new(None) };
    }

    /// A namespace that does nothing, for its host.
    struct Idle;

    impl Plugin for Idle {
        const NAME: &'static str = "monitoring";
        const NAMESPACE: &'static str = "/monitoring";
        type Config = MonitoringConfig;

        async fn init(_: MonitoringConfig, host: Host) -> Result<Self> {
            HOST.set(Some(host));
            Ok(Self)
        }

        fn routes(_: &mut Routes<Self>, _: &MonitoringConfig) {}
    }

    /// A Carillon on this bus, and its gate, which listens.
    async fn carillon(bus: &str, collect: Collect) -> (Harness, Host, Arc<Gate>) {
        let harness = Harness::with::<Idle>(&[("bus.url", bus)]).await;
        let host = HOST.take().unwrap();
        let gate = Arc::new(Gate::new(host.clone(), &MonitoringConfig { collect, ..MonitoringConfig::default() }));
        let listening = Arc::clone(&gate);
        host.spawn("listen", async move { listening.listen().await });
        tokio::task::yield_now().await;
        (harness, host, gate)
    }

    async fn seconds(seconds: f64) {
        tokio::time::sleep(Duration::from_secs_f64(seconds)).await;
    }

    /// One of two has the turn, keeps it as long as it asks, and the other has it soon after; or at once when told.
    #[tokio::test(start_paused = true)]
    async fn one_of_several_has_the_turn() {
        let (_one, _, first) = carillon("shared://gate-lease", Collect::On).await;
        let (_two, _, second) = carillon("shared://gate-lease", Collect::On).await;
        for _ in 0..20 {
            assert!(first.is_open().await.unwrap() && !second.is_open().await.unwrap());
            seconds(1.25).await;
        }
        // The first is killed right after it asked.
        assert!(first.is_open().await.unwrap());
        let begin = Instant::now();
        while !second.is_open().await.unwrap() {
            tokio::time::sleep(second.pause()).await;
        }
        assert!(begin.elapsed() <= Duration::from_secs(5), "{:?}", begin.elapsed());
        assert!(!first.is_open().await.unwrap());
        second.close().await;
        seconds(0.01).await;
        assert!(first.is_open().await.unwrap());
    }

    /// Alone in its process there is nothing to wait for.
    #[tokio::test(start_paused = true)]
    async fn a_bus_of_its_own_is_always_open() {
        let (_harness, host, gate) = carillon("memory://", Collect::Auto).await;
        host.bus().publish(METRICS, "{}".into()).await.unwrap();
        assert!(gate.is_open().await.unwrap());
    }

    /// Who gives way waits until nobody else was heard for three intervals; Carillons do not count, old workers do.
    #[tokio::test(start_paused = true)]
    async fn others_go_first() {
        let (_one, host, gate) = carillon("shared://gate-others", Collect::Auto).await;
        let (_two, other, _) = carillon("shared://gate-others", Collect::Off).await;
        let (_three, _, rude) = carillon("shared://gate-rude", Collect::On).await;
        assert!(rude.is_open().await.unwrap());
        seconds(14.9).await;
        assert!(!gate.is_open().await.unwrap(), "somebody may be there who was not heard yet");
        seconds(0.2).await;
        assert!(gate.is_open().await.unwrap());
        for host in [&host, &other] {
            publish_metrics(host.bus(), "{\"by\": \"a Carillon\"}".into()).await.unwrap();
            seconds(0.1).await;
            assert!(gate.is_open().await.unwrap(), "a Carillon was heard");
        }
        // An old worker, for a minute; one message of it comes from a web page as well.
        for _ in 0..12 {
            for _ in 0..2 {
                other.bus().publish(METRICS, "{\"by\": \"a worker\"}".into()).await.unwrap();
            }
            seconds(0.01).await;
            assert!(!gate.is_open().await.unwrap());
            seconds(4.99).await;
        }
        seconds(9.9).await;
        assert!(!gate.is_open().await.unwrap());
        seconds(0.2).await;
        assert!(gate.is_open().await.unwrap());
    }
}

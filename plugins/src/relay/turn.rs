//! Which Carillon reads the channels whose messages are kept: one for all of them, or each would be kept several times.

use carillon_core::prelude::*;

use crate::cluster::Lease;

/// How long the lease lasts when nobody renews it, and how often its holder does.
const LEASE: Duration = Duration::from_secs(3);
const RENEW: Duration = Duration::from_secs(1);

/// See the module's documentation.
pub(super) struct Turn {
    /// Where there may be others.
    lease: Option<Lease>,
}

impl Turn {
    /// Where nobody else can be, it is always ours.
    pub(super) fn new(shared: bool) -> Self {
        Self { lease: shared.then(|| Lease::new("relay", LEASE)) }
    }

    /// While the bus is away it is everybody's: each serves its own clients then.
    pub(super) fn is_ours(&self, host: &Host) -> bool {
        self.lease.as_ref().is_none_or(|lease| lease.is_ours() || !host.bus().status().up)
    }

    /// Takes the lease and renews it, for ever.
    pub(super) async fn keep(&self, host: &Host) {
        let Some(lease) = &self.lease else { return std::future::pending().await };
        loop {
            // Who is not told keeps it no longer than it lasts.
            lease.claim(host.bus()).await.ok();
            tokio::time::sleep(RENEW).await;
        }
    }

    /// It is somebody else's from here on.
    pub(super) async fn give_back(&self, host: &Host) {
        if let Some(lease) = &self.lease {
            lease.give_back(host.bus()).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use carillon_core::testing::Harness;

    use super::super::Relay;

    /// A Carillon that keeps what comes on the channel `wall`.
    async fn carillon(bus: &str) -> Harness {
        let rows = r#"[{ channel = "wall", event = "wall", namespaces = ["/"], journal = true }]"#;
        let settings = [("bus.url", bus), ("plugins.relay.rows", rows), ("journal.namespaces", r#"["/"]"#)];
        let harness = Harness::with::<Relay>(&settings).await;
        seconds(0.01).await;
        harness
    }

    async fn seconds(seconds: f64) {
        tokio::time::sleep(std::time::Duration::from_secs_f64(seconds)).await;
    }

    /// Publishes on the channel; how often each of these has kept something until now.
    async fn kept(by: &[&Harness]) -> Vec<f64> {
        by[0].app().bus().publish("wall", "1".into()).await.unwrap();
        seconds(0.01).await;
        let series = r#"carillon_journal_publishes_total{namespace="/",result="appended"}"#;
        by.iter().map(|harness| harness.metric(series)).collect()
    }

    /// One of two has the turn; the other has it as soon as that one stops, and need not wait for the end of the lease.
    #[tokio::test(start_paused = true)]
    async fn one_reads_and_its_stop_is_known() {
        let (first, second) = (carillon("shared://turn").await, carillon("shared://turn").await);
        for n in [1.0, 2.0] {
            assert_eq!(kept(&[&second, &first]).await, [0.0, n]);
            seconds(10.0).await;
        }
        first.shutdown().await;
        seconds(1.1).await;
        assert_eq!(kept(&[&second]).await, [1.0]);
    }

    /// Who does not hear any more that the turn is still its own does not believe so for longer than the lease lasts.
    #[tokio::test(start_paused = true)]
    async fn nobody_has_the_turn_for_longer_than_its_lease() {
        let (first, second) = (carillon("slow://turn-slow").await, carillon("shared://turn-slow").await);
        assert_eq!(kept(&[&first, &second]).await, [1.0, 0.0]);
        seconds(4.5).await;
        assert_eq!(kept(&[&first, &second]).await, [1.0, 1.0]);
    }
}

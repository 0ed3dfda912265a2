//! Which Carillon reads the channels whose messages are kept: one for all of them, or each would be kept several times.

use std::sync::atomic::{AtomicBool, Ordering};

use carillon_core::prelude::*;

/// How long the lease lasts when nobody renews it, and how often its holder does.
const LEASE: Duration = Duration::from_secs(3);
const RENEW: Duration = Duration::from_secs(1);

/// See the module's documentation.
pub(super) struct Turn {
    /// There may be others.
    shared: bool,
    ours: AtomicBool,
    owner: String,
}

impl Turn {
    /// Where nobody else can be, it is always ours.
    pub(super) fn new(shared: bool) -> Self {
        let owner = format!("{:032x}", fastrand::u128(..));
        Self { shared, ours: AtomicBool::new(!shared), owner }
    }

    /// While the bus is away it is everybody's: each serves its own clients then.
    pub(super) fn is_ours(&self, host: &Host) -> bool {
        self.ours.load(Ordering::Relaxed) || !host.bus().status().up
    }

    /// Takes the lease and renews it, for ever.
    pub(super) async fn keep(&self, host: &Host) {
        if !self.shared {
            return std::future::pending().await;
        }
        let lease = host.bus().own("relay");
        loop {
            let ours = host.bus().claim(&lease, &self.owner, LEASE).await.unwrap_or(false);
            self.ours.store(ours, Ordering::Relaxed);
            tokio::time::sleep(RENEW).await;
        }
    }
}

//! Tells plugins of what other nodes published and this one never got.

use tokio::sync::watch;

/// Publishes of other Carillons to one namespace that never came, from [`Host::missed`](crate::Host::missed).
#[derive(Debug)]
pub struct Missed {
    total: Option<watch::Receiver<u64>>,
    known: u64,
}

impl Missed {
    /// What is missing of this total from now on.
    pub(super) fn of(total: &watch::Sender<u64>) -> Self {
        let total = total.subscribe();
        let known = *total.borrow();
        Self { total: Some(total), known }
    }

    /// Where nobody else is there.
    pub(crate) fn nothing() -> Self {
        Self { total: None, known: 0 }
    }

    /// Waits until something is missing; how many publishes have never come since the last call. For ever where nothing
    /// can be missing: on the embedded bus, for a namespace that is not served here, and once the application has ended.
    pub async fn next(&mut self) -> u64 {
        if let Some(total) = &mut self.total
            && let Ok(now) = total.wait_for(|now| *now != self.known).await.map(|now| *now)
        {
            return now - std::mem::replace(&mut self.known, now);
        }
        std::future::pending().await
    }
}

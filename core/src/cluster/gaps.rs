//! Tells plugins of what other nodes published and this one never got.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::watch;

use super::Namespaces;

/// How much never came, for each namespace.
#[derive(Clone)]
pub(crate) struct Gaps(Arc<HashMap<Arc<str>, watch::Sender<u64>>>);

impl Gaps {
    pub(super) fn new(namespaces: &Namespaces) -> Self {
        Self(Arc::new(namespaces.keys().map(|name| (Arc::clone(name), watch::Sender::new(0))).collect()))
    }

    /// So much more is missing.
    pub(super) fn tell(&self, namespace: &str, missing: u64) {
        if let Some(total) = self.0.get(namespace) {
            total.send_modify(|total| *total = total.saturating_add(missing));
        }
    }

    /// What is missing in a namespace from now on.
    pub(crate) fn of(&self, namespace: &str) -> Missed {
        let total = self.0.get(namespace).map(watch::Sender::subscribe);
        let known = total.as_ref().map_or(0, |total| *total.borrow());
        Missed { total, known }
    }
}

/// Publishes of other Carillons to one namespace that never came, from [`Host::missed`](crate::Host::missed).
#[derive(Debug)]
pub struct Missed {
    total: Option<watch::Receiver<u64>>,
    known: u64,
}

impl Missed {
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

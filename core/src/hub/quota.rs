//! How much one namespace may have waiting in the hub: publishes and their bytes, counted until the last shard is done with them.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// Bounds on the publishes of one namespace that wait in the hub.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    pub(crate) publishes: usize,
    pub(crate) bytes: usize,
}

/// See the module's documentation.
pub(crate) struct Quota {
    bounds: Bounds,
    used: Mutex<Used>,
    freed: Notify,
}

/// What is waiting now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Used {
    pub(crate) publishes: usize,
    pub(crate) bytes: usize,
}

impl Quota {
    pub(crate) fn new(bounds: Bounds) -> Arc<Self> {
        Arc::new(Self { bounds, used: Mutex::default(), freed: Notify::new() })
    }

    fn lock(&self) -> MutexGuard<'_, Used> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is waiting now.
    pub(crate) fn used(&self) -> Used {
        *self.lock()
    }

    fn fits(&self, used: Used, bytes: usize) -> bool {
        let fits = used.publishes < self.bounds.publishes && used.bytes + bytes <= self.bounds.bytes;
        fits || used.publishes == 0
    }

    /// Whether [`take`](Self::take) would succeed now.
    pub(crate) fn has_room(&self, bytes: usize) -> bool {
        self.fits(self.used(), bytes)
    }

    /// Room for a publish of so many bytes, given back when dropped; `None` when there is none. One that is larger than
    /// the bound has room when nothing else waits.
    pub(crate) fn take(self: &Arc<Self>, bytes: usize) -> Option<Permit> {
        let mut used = self.lock();
        if !self.fits(*used, bytes) {
            return None;
        }
        used.publishes += 1;
        used.bytes += bytes;
        Some(Permit { quota: Arc::clone(self), bytes })
    }

    /// Room for what takes the place of another.
    pub(crate) fn exceed(self: &Arc<Self>, bytes: usize) -> Permit {
        let mut used = self.lock();
        used.publishes += 1;
        used.bytes += bytes;
        Permit { quota: Arc::clone(self), bytes }
    }

    /// Waits until [`take`](Self::take) succeeds.
    pub(crate) async fn wait(self: &Arc<Self>, bytes: usize) -> Permit {
        self.until(|| self.take(bytes)).await
    }

    /// Waits until it would, and takes nothing.
    pub(crate) async fn room(&self, bytes: usize) {
        self.until(|| self.has_room(bytes).then_some(())).await;
    }

    async fn until<T>(&self, found: impl Fn() -> Option<T>) -> T {
        loop {
            let mut freed = std::pin::pin!(self.freed.notified());
            // From here on nothing that is given back is missed.
            freed.as_mut().enable();
            if let Some(found) = found() {
                return found;
            }
            freed.await;
        }
    }
}

/// Room that one publish takes.
pub(crate) struct Permit {
    quota: Arc<Quota>,
    bytes: usize,
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut used = self.quota.lock();
        used.publishes -= 1;
        used.bytes -= self.bytes;
        drop(used);
        self.quota.freed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Both bounds hold, what is given back wakes who waits, and what is larger than the bound goes alone.
    #[tokio::test]
    async fn room_is_bounded_and_given_back() {
        let quota = Quota::new(Bounds { publishes: 2, bytes: 100 });
        let first = quota.take(60).unwrap();
        assert!(quota.take(60).is_none(), "too many bytes");
        let second = quota.take(40).unwrap();
        assert!(quota.take(0).is_none(), "too many publishes");
        let waiting = tokio_util::task::TaskTracker::new().spawn({
            let quota = Arc::clone(&quota);
            async move { quota.wait(50).await }
        });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        drop(first);
        let third = waiting.await.unwrap();
        assert_eq!(quota.used(), Used { publishes: 2, bytes: 90 });
        drop((second, third));
        assert_eq!(quota.used(), Used::default());
        let huge = quota.take(1000).unwrap();
        assert!(quota.take(1).is_none());
        drop((huge, quota.exceed(5)));
        assert_eq!(quota.used(), Used::default());
    }
}

//! Whether the client of a session may be read from: not while its event queue is full, but never so long that its pong
//! comes too late.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::time::Instant;

use super::Link;

impl Link {
    /// One more (or one fewer) namespace wants the client not to be read from.
    pub(crate) fn pause(&self, pause: bool) {
        let mut clock = self.clock();
        if pause {
            if self.pausers.fetch_add(1, Ordering::AcqRel) == 0 {
                clock.paused = Some(Instant::now());
                clock.pause_expired = false;
                if let Some(links) = self.links.upgrade() {
                    links.metrics().read_pauses.inc();
                }
            }
        } else if self.pausers.fetch_sub(1, Ordering::AcqRel) == 1 {
            clock.paused = None;
            drop(clock);
            self.changed.notify_waiters();
        }
    }

    /// Until when the client must not be read from; `None` when it may be.
    pub(crate) fn paused_until(&self) -> Option<Instant> {
        // A client in the middle of its upgrade is heard to the end: cut off there, it would not notice for a ping's time.
        let draining = self.draining.load(Ordering::Acquire) && !self.is_upgrading();
        if (self.pausers.load(Ordering::Acquire) == 0 && !draining) || self.ended.get().is_some() {
            return None;
        }
        if draining {
            return Some(Instant::now() + self.limits.max_pause);
        }
        let mut clock = self.clock();
        let since = [clock.paused, clock.pinged, clock.upgrading].into_iter().flatten().min()?;
        let deadline = since + self.limits.max_pause;
        if clock.paused.is_none() || clock.pause_expired {
            return None;
        }
        if Instant::now() < deadline {
            return Some(deadline);
        }
        clock.pause_expired = true;
        drop(clock);
        if let Some(links) = self.links.upgrade() {
            links.metrics().read_pauses_expired.inc();
        }
        None
    }

    /// Resolves when the client may be read from.
    pub(crate) async fn readable(self: Arc<Self>) {
        self.until(|link| link.paused_until().map_or(Ok(()), |deadline| Err(Some(deadline)))).await;
    }

    /// A ping left for the client.
    pub(crate) fn ping_sent(&self) {
        let mut clock = self.clock();
        let now = Instant::now();
        (clock.pinged, clock.last_ping) = (Some(now), now);
    }

    /// The client's pong arrived.
    pub(crate) fn pong_seen(&self) {
        self.clock().pinged = None;
    }
}

//! How much is waiting for the client of a session: the limit that makes it slow, and the room that paces its answers.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use futures_util::future::BoxFuture;

use super::Link;

/// What each queued packet counts beyond its own bytes: the queue's memory for it.
const PACKET_OVERHEAD: usize = 64;
/// The bytes one text or binary Engine.IO message counts while it waits, `len` being its payload over WebSocket.
pub(crate) fn cost(len: usize) -> usize {
    len + PACKET_OVERHEAD
}

impl Link {
    /// Accounts for bytes about to be queued; `false` when the client already has too much waiting.
    ///
    /// A single packet larger than the limit passes when nothing else waits.
    pub(crate) fn reserve(&self, bytes: usize) -> bool {
        let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
        let before = self.queued.fetch_add(bytes, Ordering::AcqRel);
        let after = before.saturating_add(bytes);
        let limit = i64::try_from(self.limits.max_queued_bytes).unwrap_or(i64::MAX);
        // Nothing can leave while a session changes its transport, so that moment may hold four times as much.
        if before <= 0 || after <= limit || (after / 4 <= limit && self.is_upgrading()) {
            return true;
        }
        self.queued.fetch_sub(bytes, Ordering::AcqRel);
        false
    }

    /// Bytes have left, or were not queued after all.
    pub(crate) fn settle(&self, bytes: usize) {
        let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
        let before = self.queued.fetch_sub(bytes, Ordering::AcqRel);
        debug_assert!(before >= bytes, "{bytes} bytes left of {before} that were queued");
        let low = self.low_mark();
        if before > low && before - bytes <= low {
            self.changed.notify_waiters();
        }
    }

    /// Bytes accepted for the client that have not left yet.
    pub(crate) fn queued_bytes(&self) -> usize {
        usize::try_from(self.queued.load(Ordering::Acquire)).unwrap_or(0)
    }

    fn low_mark(&self) -> i64 {
        i64::try_from(self.limits.max_queued_bytes / 4).unwrap_or(i64::MAX)
    }

    /// `None` while less than half of what may wait is waiting; else resolves below a quarter.
    pub(crate) fn room(self: &Arc<Self>) -> Option<BoxFuture<'static, ()>> {
        if self.queued_bytes() <= self.limits.max_queued_bytes / 2 || self.room_now() {
            return None;
        }
        let link = Arc::clone(self);
        Some(Box::pin(async move { link.until(|link| link.room_now().then_some(()).ok_or(None)).await }))
    }

    fn room_now(&self) -> bool {
        self.queued.load(Ordering::Acquire) <= self.low_mark() || self.ended.get().is_some() || self.is_upgrading()
    }
}

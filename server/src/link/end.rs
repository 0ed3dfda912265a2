//! How a session ends: at once by the kill switch, or gently once its client has what it was promised.

use std::sync::atomic::Ordering;
use std::time::Duration;

use carillon_core::sink::{Reason, Transport};
use tokio::time::Instant;

use super::Link;

/// How often an ending session is looked at, and how long its client may do nothing to end it.
const POLL: Duration = Duration::from_millis(10);
const FAREWELL: Duration = Duration::from_secs(1);
/// How long a client may take to finish an upgrade that has begun.
const UPGRADE: Duration = Duration::from_secs(2);

impl Link {
    /// The client asked for an ack.
    pub(crate) fn asked(&self) {
        self.owed.fetch_add(1, Ordering::AcqRel);
    }

    /// An ack it asked for was sent.
    pub(crate) fn answered(&self) {
        self.owed.fetch_sub(1, Ordering::AcqRel);
    }

    /// The kill switch: ends the session now, whatever is queued. Only the first reason counts.
    pub(crate) fn end(&self, reason: Reason) {
        if self.ended.set(reason).is_err() {
            return;
        }
        self.changed.notify_waiters();
        let links = self.links.upgrade();
        if let Some(links) = &links {
            links.killed(self, reason);
        }
        if let Some(wire) = self.wire.get() {
            wire.cut();
        }
        self.close_out(reason);
        if let (Some(links), Some(id)) = (links, self.id.get())
            && self.transport() == Transport::Polling
        {
            links.close_session(id);
        }
    }

    /// The session is over, for whatever reason: nobody need wait for its client any more.
    pub(crate) fn gone(&self, reason: Reason) {
        self.ended.set(reason).ok();
        self.changed.notify_waiters();
        self.close_out(self.ended().unwrap_or(reason));
    }

    /// Ends the session so that its client loses nothing it was promised: reads no further, waits up to `patience` for
    /// the answers it is owed, and for what is queued by then to leave, as long as some of it does. What others publish
    /// meanwhile is not waited for: it may never end.
    pub(crate) async fn end_gently(&self, reason: Reason, patience: Duration) {
        self.draining.store(true, Ordering::Release);
        let start = Instant::now();
        let deadline = start + patience;
        let mut promised = 0;
        let mut seen = (self.left(), start);
        let mut owed = true;
        while self.ended.get().is_none() && Instant::now() < deadline {
            let left = self.left();
            // The last time after the last answer, which is queued by then.
            if owed {
                owed = self.owed.load(Ordering::Acquire) > 0;
                promised = left + self.queued_bytes() as u64;
            }
            if owed || left != seen.0 {
                seen = (left, Instant::now());
            }
            let upgrading = self.is_upgrading() && start.elapsed() < UPGRADE;
            let served = self.queued_bytes() == 0 || left >= promised;
            if !owed && !upgrading && (served || seen.1.elapsed() > FAREWELL) {
                break;
            }
            tokio::time::sleep(POLL).await;
        }
        let wire = self.wire.get().filter(|_| self.transport() == Transport::WebSocket);
        let Some(wire) = wire else { return self.end(reason) };
        if self.ended.set(reason).is_err() {
            return;
        }
        self.changed.notify_waiters();
        if let Some(links) = self.links.upgrade() {
            links.killed(self, reason);
        }
        // The client closes its side in answer; one that does not is cut.
        wire.finish();
        let deadline = Instant::now() + FAREWELL;
        while wire.is_open() && Instant::now() < deadline {
            tokio::time::sleep(POLL).await;
        }
        wire.cut();
    }

    /// Bytes that were queued and have left.
    fn left(&self) -> u64 {
        self.left.load(Ordering::Acquire)
    }

    /// Why the session ended, once it has.
    pub(crate) fn ended(&self) -> Option<Reason> {
        self.ended.get().copied()
    }
}

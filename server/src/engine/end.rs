//! How a session ends: at once by the kill switch, by its client, or gently once the client has what it was promised.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use carillon_core::packet::frame::{self, Violation};
use carillon_core::sink::Reason;
use tokio::time::Instant;

use super::out::Carrier;
use super::session::{Guest, Session};

/// How often an ending session is looked at, and how long its client may do nothing to end it.
const POLL: Duration = Duration::from_millis(10);
pub(super) const FAREWELL: Duration = Duration::from_secs(1);
/// How long a client may take to finish an upgrade that has begun.
const UPGRADE: Duration = Duration::from_secs(2);
/// The close code of a server that stops.
const GOING_AWAY: u16 = 1001;

impl Session {
    /// The kill switch: ends the session now, whatever is queued. Only the first reason counts. Calls nobody of the
    /// router's: they are told by a task.
    pub(super) fn end(self: &Arc<Self>, reason: Reason) {
        if self.ended.set(reason).is_err() {
            return;
        }
        self.common.metrics.killed(reason);
        self.tell(reason);
        if let Carrier::WebSocket(stream) = &self.out().carrier {
            stream.cut();
        }
        self.close_out(reason);
        let session = Arc::clone(self);
        self.common.tasks.spawn_on(async move { session.say_farewells() }, &self.common.runtime);
    }

    /// The session is over, by its client or because of what it did.
    pub(super) fn gone(self: &Arc<Self>, reason: Reason) {
        if self.ended.set(reason).is_ok() {
            self.tell(reason);
        }
        self.close_out(reason);
        self.say_farewells();
    }

    /// Tells the operator of clients that are too slow, or send too much at once: they learn no more than that their connection is
    /// gone.
    fn tell(&self, reason: Reason) {
        let (slow, large) = (&self.common.slow, &self.common.large);
        let client = || self.newcomer.handshake().address().to_string();
        match reason {
            Reason::Slow => {
                let Some(left_out) = slow.allow() else { return };
                let (client, waiting) = (client(), self.queued_bytes());
                tracing::warn!(left_out, client, waiting, "a client does not read fast enough and was closed");
            }
            Reason::TooLarge => {
                let Some(left_out) = large.allow() else { return };
                let client = client();
                let namespaces: Vec<_> = self.inside().seats.iter().map(|seat| seat.namespace.to_string()).collect();
                let (namespaces, limit) = (namespaces.join(" "), self.common.settings.max_message_bytes);
                tracing::warn!(
                    left_out,
                    client,
                    namespaces,
                    "a client sent a message over server.max_message_bytes = {limit} and was closed"
                );
            }
            _ => {}
        }
    }

    /// Nothing leaves any more; what waited is lost.
    fn close_out(&self, reason: Reason) {
        let mut out = self.out();
        out.over = true;
        let lost = out.outbox.close();
        out.stall = None;
        if let Carrier::Polling { waiting, .. } = &mut out.carrier {
            waiting.take().into_iter().for_each(std::task::Waker::wake);
        }
        drop(out);
        let reason = self.ended().unwrap_or(reason);
        let deliveries = &self.common.deliveries;
        if reason == Reason::Slow {
            deliveries.slow(lost.copies)
        } else {
            deliveries.closed(lost.copies)
        }
        self.reader.wake();
        self.changed.notify_waiters();
    }

    /// Tells the router that the client is gone from all its namespaces, and forgets the session.
    fn say_farewells(self: &Arc<Self>) {
        let reason = self.ended().unwrap_or(Reason::TransportClose);
        let mut inside = self.inside();
        if std::mem::replace(&mut inside.over, true) {
            return;
        }
        let seats = std::mem::take(&mut inside.seats);
        inside.assembly = None;
        drop(inside);
        for Guest { client, member } in seats.into_iter().filter_map(|seat| seat.guest) {
            client.leaves();
            #[cfg(test)]
            crate::simulation::departs(member.id());
            member.closed(reason);
        }
        let mut out = self.out();
        out.joined.clear();
        out.carrier = Carrier::None;
        drop(out);
        self.common.sessions.remove(self.id);
        self.common.metrics.sessions.dec();
    }

    /// Ends the session so that its client loses nothing it was promised: reads no further, waits up to `patience` for
    /// the answers it is owed, and for what is queued by then to leave, as long as some of it does. What others publish
    /// meanwhile is not waited for: it may never end.
    pub(crate) async fn end_gently(self: &Arc<Self>, reason: Reason, patience: Duration) {
        self.drain();
        let start = Instant::now();
        let deadline = start + patience;
        let mut promised = 0;
        let mut seen = (self.left().0, start);
        let mut owed = true;
        while self.ended().is_none() && Instant::now() < deadline {
            let (left, queued) = self.left();
            // The last time after the last answer, which is queued by then.
            if owed {
                owed = self.owed.load(Ordering::Acquire) > 0;
                promised = left + queued as u64;
            }
            if owed || left != seen.0 {
                seen = (left, Instant::now());
            }
            let upgrading = self.is_upgrading() && start.elapsed() < UPGRADE;
            let served = queued == 0 || left >= promised;
            if !owed && !upgrading && (served || seen.1.elapsed() > FAREWELL) {
                break;
            }
            tokio::time::sleep(POLL).await;
        }
        let stream = match &self.out().carrier {
            Carrier::WebSocket(stream) => Some(Arc::clone(stream)),
            _ => None,
        };
        let Some(stream) = stream else { return self.end(reason) };
        if self.ended.set(reason).is_err() {
            return;
        }
        self.common.metrics.killed(reason);
        self.tell(reason);
        self.write_close(frame::close(Some(GOING_AWAY)));
        self.close_out(reason);
        // The client closes its side in answer; one that does not is cut.
        stream.finish().ok();
        let deadline = Instant::now() + FAREWELL;
        while !self.inside().over && Instant::now() < deadline {
            tokio::time::sleep(POLL).await;
        }
        stream.cut();
        self.say_farewells();
    }

    /// Bytes that have left, and that wait.
    fn left(&self) -> (u64, usize) {
        let out = self.out();
        (out.left, out.outbox.cost())
    }

    /// The close frame of a client that sent a message that is too large.
    pub(super) fn too_large(&self) -> Vec<u8> {
        let limit = self.common.settings.max_message_bytes;
        frame::close_because(
            Violation::TooLarge.close_code(),
            &format!("a message over server.max_message_bytes = {limit}"),
        )
    }

    /// Writes a close frame, if one can be: not in the middle of another frame, and not where nothing more can be written.
    /// Answers that a run of events holds back do not wait for its end any more.
    pub(super) fn write_close(&self, frame: Vec<u8>) {
        let mut out = self.out();
        out.joined.iter_mut().for_each(|joined| joined.corked = false);
        out.outbox.push_urgent(Bytes::from(frame));
        self.flush(&mut out);
    }
}

//! When something is due in a session: pings and pongs, the first namespace, attachments, and the end of a pause.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use carillon_core::packet::engine::{Kind, text_frame};
use carillon_core::sink::Reason;
use tokio::time::Instant;

use super::session::Session;
use super::settings::Settings;

/// The guarded part.
pub(super) struct Clock {
    next_ping: Instant,
    /// When a ping left whose pong has not come.
    pinged: Option<Instant>,
    /// Since when the client has not been read from.
    paused: Option<Instant>,
    /// That has lasted too long: it does not begin again until everybody has let go.
    pause_expired: bool,
    /// Since when there has been no namespace.
    idle: Option<Instant>,
    /// When the attachments under way must be there.
    attachments: Option<Instant>,
    /// When the client was last told to close: the server is going away, and does not read any more.
    draining: bool,
    /// The alarm that counts.
    alarm: Option<Instant>,
}

impl Clock {
    pub(super) fn new(settings: &Settings, now: Instant) -> Self {
        Self {
            next_ping: now + settings.ping_interval,
            pinged: None,
            paused: None,
            pause_expired: false,
            idle: Some(now),
            attachments: None,
            draining: false,
            alarm: None,
        }
    }
}

impl Session {
    /// Sets the alarm to what comes next.
    pub(super) fn wind(&self, now: Instant) {
        let settings = &self.common.settings;
        let slow = self.next_look();
        let mut clock = self.clock();
        let next = [
            Some(clock.pinged.map_or(clock.next_ping, |pinged| pinged + settings.ping_timeout)),
            clock.idle.map(|since| since + settings.connect_timeout),
            clock.attachments,
            clock.paused.filter(|_| !clock.pause_expired).map(|since| self.pause_end(&clock, since)),
            slow,
        ];
        let Some(next) = next.into_iter().flatten().min() else { return };
        let next = next.max(now);
        if clock.alarm.is_none_or(|alarm| next < alarm) {
            clock.alarm = Some(next);
            self.common.alarms.set(next, self.number, self.id);
        }
    }

    /// An alarm rings.
    pub(super) fn alarmed(self: &Arc<Self>, at: Instant) {
        let settings = &self.common.settings;
        let now = Instant::now();
        let mut clock = self.clock();
        if clock.alarm != Some(at) || self.ended().is_some() {
            // One that an earlier one has replaced.
            return;
        }
        clock.alarm = None;
        let mut ping = false;
        let over = if clock.pinged.is_some_and(|pinged| now >= pinged + settings.ping_timeout) {
            Some(Reason::PingTimeout)
        } else if clock.attachments.is_some_and(|due| now >= due) {
            Some(Reason::BadPacket)
        } else if clock.idle.is_some_and(|since| now >= since + settings.connect_timeout) {
            Some(Reason::TransportClose)
        } else {
            ping = clock.pinged.is_none() && now >= clock.next_ping;
            if ping {
                clock.pinged = Some(now);
            }
            None
        };
        drop(clock);
        if let Some(reason) = over.or_else(|| self.is_too_slow(now).then_some(Reason::Slow)) {
            return self.end(reason);
        }
        if ping {
            self.say_urgently(text_frame(Kind::Ping, ""));
        }
        if self.pausers.load(Ordering::Acquire) > 0 && self.paused_until().is_none() {
            self.reader.wake();
            self.changed.notify_waiters();
        }
        self.wind(now);
    }

    fn say_urgently(&self, frame: Bytes) {
        let mut out = self.out();
        out.outbox.push_urgent(frame);
        self.flush(&mut out);
    }

    /// The client's pong arrived.
    pub(super) fn pong_seen(&self) {
        let now = Instant::now();
        let mut clock = self.clock();
        clock.pinged = None;
        clock.next_ping = now + self.common.settings.ping_interval;
    }

    /// Attachments are awaited from now on, or not any more.
    pub(super) fn awaits_attachments(&self, due: Option<Instant>) {
        self.clock().attachments = due;
        if due.is_some() {
            self.wind(Instant::now());
        }
    }

    /// The session has been without a namespace from now on; or it has one.
    pub(super) fn set_idle(&self, idle: bool) {
        let now = Instant::now();
        self.clock().idle = idle.then_some(now);
        if idle {
            self.wind(now);
        }
    }

    // --- Pauses ------------------------------------------------------------------------------------------------

    /// One more namespace wants the client not to be read from.
    pub(super) fn pause(&self) {
        let mut clock = self.clock();
        if self.pausers.fetch_add(1, Ordering::AcqRel) == 0 {
            let now = Instant::now();
            (clock.paused, clock.pause_expired) = (Some(now), false);
            self.common.metrics.read_pauses.inc();
            drop(clock);
            self.wind(now);
        }
    }

    /// One of them wants it no more.
    pub(super) fn resume(&self) {
        let mut clock = self.clock();
        if self.pausers.fetch_sub(1, Ordering::AcqRel) == 1 {
            clock.paused = None;
            drop(clock);
            self.reader.wake();
            self.changed.notify_waiters();
        }
    }

    /// The client is not read from any more, until the session has ended.
    pub(super) fn drain(&self) {
        self.clock().draining = true;
    }

    /// An unanswered ping shortens a pause: the pong may be what is not being read.
    fn pause_end(&self, clock: &Clock, paused: Instant) -> Instant {
        clock.pinged.map_or(paused, |pinged| pinged.min(paused)) + self.common.settings.max_pause()
    }

    /// Until when the client must not be read from; `None` when it may be.
    pub(super) fn paused_until(&self) -> Option<Instant> {
        if self.ended().is_some() {
            return None;
        }
        let mut clock = self.clock();
        if clock.draining && !self.is_upgrading() {
            return Some(Instant::now() + self.common.settings.max_pause());
        }
        let paused = clock.paused.filter(|_| !clock.pause_expired)?;
        let end = self.pause_end(&clock, paused);
        if Instant::now() < end {
            return Some(end);
        }
        clock.pause_expired = true;
        self.common.metrics.read_pauses_expired.inc();
        None
    }

    /// Whether the client must not be read from.
    pub(super) fn is_paused(&self) -> bool {
        let wanted = self.pausers.load(Ordering::Acquire) > 0 || self.clock().draining;
        wanted && self.paused_until().is_some()
    }

    /// Resolves when the client may be read from.
    pub(super) async fn readable(&self) {
        self.until(|session| session.paused_until().map_or(Ok(()), |end| Err(Some(end)))).await;
    }
}

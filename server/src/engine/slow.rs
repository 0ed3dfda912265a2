//! Whether a client reads fast enough, judged by what the kernel still holds for it.
//!
//! The kernel says that a socket is writable only when a good part of its buffer is free, which may take a slow reader
//! longer than it may stall. What it has not passed on yet tells every byte that the client has taken.

use std::time::Duration;

use tokio::time::Instant;

use super::out::Carrier;
use super::session::Session;
use crate::wire::Pace;

/// How many looks fit into the longest stall.
const LOOKS: u32 = 10;

/// How the client has read since the socket took no more.
pub(super) struct Stall {
    /// Bytes it had taken when it was last looked at, and since when it has taken no more.
    taken: u64,
    since: Instant,
    /// When the window under way began, and what had been taken by then.
    window: (Instant, u64),
    /// When it is looked at next.
    next: Option<Instant>,
}

impl Stall {
    pub(super) fn new(now: Instant, taken: u64) -> Self {
        Self { taken, since: now, window: (now, taken), next: None }
    }

    /// The client has taken so many bytes by now; whether it is too slow.
    fn look(&mut self, now: Instant, taken: u64, pace: &Pace) -> bool {
        self.next = None;
        if taken > self.taken {
            (self.taken, self.since) = (taken, now);
        }
        if now >= self.since + pace.stall {
            return true;
        }
        if now >= self.window.0 + pace.window {
            if taken - self.window.1.min(taken) < pace.least {
                return true;
            }
            self.window = (now, taken);
        }
        false
    }

    fn step(pace: &Pace) -> Duration {
        (pace.stall / LOOKS).clamp(Duration::from_millis(1), Duration::from_secs(1))
    }
}

impl Session {
    /// When the client has to be looked at; `None` while everything leaves at once.
    pub(super) fn next_look(&self) -> Option<Instant> {
        let mut out = self.out();
        let pace = &self.common.settings.pace;
        let stall = out.stall.as_deref_mut()?;
        Some(*stall.next.get_or_insert_with(|| Instant::now() + Stall::step(pace)))
    }

    /// Whether the client reads too slowly.
    pub(super) fn is_too_slow(&self, now: Instant) -> bool {
        let mut out = self.out();
        let out = &mut *out;
        let (Some(stall), Carrier::WebSocket(stream)) = (out.stall.as_deref_mut(), &out.carrier) else { return false };
        stall.look(now, stream.taken(out.written), &self.common.settings.pace)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// How many seconds a client is borne with that takes so many bytes every `every` seconds.
    fn borne(least: u64, bytes: u64, every: u64) -> u64 {
        let pace = Pace { stall: 10 * SECOND, least, window: 30 * SECOND };
        let start = Instant::now();
        let mut stall = Stall::new(start, 0);
        (1..100)
            .find(|second| stall.look(start + *second as u32 * SECOND, second / every * bytes, &pace))
            .unwrap_or(100)
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_may_neither_stall_nor_dribble() {
        assert_eq!(borne(30 * 1024, 0, 1), 10, "nothing at all");
        assert_eq!(borne(30 * 1024, 1000, 1), 30, "less than the least");
        assert_eq!(borne(30 * 1024, 1200, 1), 100, "fast enough, window after window");
        assert_eq!(borne(30 * 1024, 40_000, 9), 100, "seldom, but much");
        assert_eq!(borne(0, 1, 1), 100, "as slow as it likes");
    }
}

//! The proof that messages get through: one of the bus's own, published every few seconds, has to come back.
//!
//! A connection that is open proves nothing: Redis may hang, or sit behind an address that now leads elsewhere.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

/// From the return of one probe to the next.
const INTERVAL: Duration = Duration::from_secs(2);
/// How long a probe may take before it counts as missed.
const TIMEOUT: Duration = Duration::from_secs(2);
/// So many misses in a row, and the connection is built anew.
const MISSES: usize = 2;

/// The longest time between two proofs while everything works, and some more for a busy machine.
pub(super) const FRESH: Duration = Duration::from_secs(8);

/// The probes of one session.
pub(super) struct Probe {
    /// Those that have not come back, oldest first.
    open: VecDeque<(u64, Instant)>,
    last: u64,
    due: Instant,
}

impl Probe {
    /// The first probe is due now.
    pub(super) fn new() -> Self {
        Self { open: VecDeque::new(), last: 0, due: Instant::now() }
    }

    /// When to call [`tick`](Self::tick) next.
    pub(super) fn due(&self) -> Instant {
        self.due
    }

    /// There is doubt whether Redis answers: the next probe is due now, unless one is on its way.
    pub(super) fn hurry(&mut self) {
        if self.open.is_empty() {
            self.due = Instant::now();
        }
    }

    /// The number of the probe to publish now; `None` when too many were missed.
    pub(super) fn tick(&mut self) -> Option<u64> {
        if self.open.len() >= MISSES {
            return None;
        }
        let now = Instant::now();
        self.last += 1;
        self.open.push_back((self.last, now));
        self.due = now + TIMEOUT;
        Some(self.last)
    }

    /// A probe came back, late ones included: the time it took. `None` when it is not one of this session's.
    pub(super) fn returned(&mut self, number: u64) -> Option<Duration> {
        let at = self.open.iter().position(|(open, _)| *open == number)?;
        let (_, sent) = self.open.drain(..=at).next_back()?;
        let now = Instant::now();
        if self.open.is_empty() {
            self.due = now + INTERVAL;
        }
        Some(now - sent)
    }

    /// How long it takes to find out, for the message.
    pub(super) fn patience() -> Duration {
        TIMEOUT * u32::try_from(MISSES).unwrap_or(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::advance;

    #[tokio::test(start_paused = true)]
    async fn a_returned_probe_buys_time_until_the_next() {
        let mut probe = Probe::new();
        assert_eq!(probe.due(), Instant::now());
        assert_eq!(probe.tick(), Some(1));
        advance(Duration::from_millis(3)).await;
        assert_eq!(probe.returned(7), None, "somebody else's");
        assert_eq!(probe.returned(1), Some(Duration::from_millis(3)));
        assert_eq!(probe.due(), Instant::now() + INTERVAL);
        probe.hurry();
        assert_eq!(probe.due(), Instant::now());
    }

    #[tokio::test(start_paused = true)]
    async fn two_misses_end_the_session_and_a_late_return_saves_it() {
        let mut probe = Probe::new();
        assert_eq!(probe.tick(), Some(1));
        advance(TIMEOUT).await;
        assert_eq!(probe.tick(), Some(2));
        probe.hurry();
        assert_eq!(probe.due(), Instant::now() + TIMEOUT, "one is on its way");
        assert_eq!(probe.returned(1), Some(TIMEOUT));
        advance(TIMEOUT).await;
        assert_eq!(probe.tick(), Some(3));
        advance(TIMEOUT).await;
        assert_eq!(probe.tick(), None);
    }
}

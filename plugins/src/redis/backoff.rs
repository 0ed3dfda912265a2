//! How long to wait before the next attempt to reach Redis.

use std::time::Duration;

/// The first pause is between half of this and this.
const FIRST: Duration = Duration::from_millis(100);
/// So is the longest one. It stays well under the 2 s within which messages flow again once Redis is usable.
const LONGEST: Duration = Duration::from_millis(1200);

/// Pauses that double from 50..100 ms up to 0.6..1.2 s, spread so that many servers do not come back in step.
pub(super) struct Backoff {
    next: Duration,
}

impl Backoff {
    /// From the shortest pause on.
    pub(super) fn new() -> Self {
        Self { next: FIRST }
    }

    /// The next pause.
    pub(super) fn pause(&mut self) -> Duration {
        let pause = self.next;
        self.next = (pause * 2).min(LONGEST);
        pause.mul_f64(0.5 + fastrand::f64() / 2.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_and_stay_well_below_two_seconds() {
        let mut backoff = Backoff::new();
        for longest in [100, 200, 400, 800, 1200, 1200] {
            let pause = backoff.pause();
            let longest = Duration::from_millis(longest);
            assert!(pause >= longest / 2 && pause <= longest, "{pause:?} of {longest:?}");
        }
    }
}

//! Keeps a noisy cause from flooding the log: one line a period, with the number of lines left out.

use std::num::NonZeroU64;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Lets one event a period through and counts the others.
#[derive(Debug)]
pub struct Throttle {
    period: Duration,
    state: Mutex<(Option<Instant>, u64)>,
}

impl Throttle {
    /// One a second.
    #[must_use]
    pub fn per_second() -> Self {
        Self::every(Duration::from_secs(1))
    }

    /// One in this time, the first at once.
    #[must_use]
    pub fn every(period: Duration) -> Self {
        Self { period, state: Mutex::default() }
    }

    /// `Some(left_out)` when a line may be written now, with the number of lines left out since the last one: as a field
    /// of the line it shows only when there are any.
    pub fn allow(&self) -> Option<Option<NonZeroU64>> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if state.0.is_some_and(|last| now.duration_since(last) < self.period) {
            state.1 += 1;
            return None;
        }
        state.0 = Some(now);
        Some(NonZeroU64::new(std::mem::take(&mut state.1)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn one_line_a_second_tells_how_many_were_left_out() {
        let throttle = Throttle::per_second();
        assert_eq!(throttle.allow(), Some(None));
        assert_eq!((throttle.allow(), throttle.allow()), (None, None));
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(throttle.allow(), Some(NonZeroU64::new(2)));
    }
}

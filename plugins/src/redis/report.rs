//! What the log says about the link: that Redis is away, and that it delivers.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use carillon_core::throttle::Throttle;
use tokio::time::Instant;

/// A trouble that does not change is logged again after this time.
const REPEAT: Duration = Duration::from_secs(30);

/// Two kinds of lines, neither more than once a second.
pub(super) struct Report {
    away: Throttle,
    delivers: Throttle,
    /// The trouble that was logged last, and when.
    said: Mutex<Option<(String, Instant)>>,
}

impl Default for Report {
    fn default() -> Self {
        Self { away: Throttle::per_second(), delivers: Throttle::per_second(), said: Mutex::default() }
    }
}

impl Report {
    /// Redis is away: one line when the trouble is new, and now and then while it stays.
    pub(super) fn away(&self, address: &str, why: &str) {
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        let news = said.as_ref().is_none_or(|(what, at)| what != why || at.elapsed() >= REPEAT);
        if news && let Some(left_out) = self.away.allow() {
            tracing::warn!(left_out, address, "Redis is away: {why}; own clients are served on, trying again");
            *said = Some((why.to_owned(), Instant::now()));
        }
    }

    /// Redis delivers, after so long.
    pub(super) fn delivers(&self, address: &str, after: Duration) {
        *self.said.lock().unwrap_or_else(PoisonError::into_inner) = None;
        if let Some(left_out) = self.delivers.allow() {
            let after_ms = u64::try_from(after.as_millis()).unwrap_or(u64::MAX);
            tracing::info!(left_out, address, after_ms, "Redis delivers");
        }
    }
}

//! What the log says about the link: that Redis is away, and that it delivers.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use carillon_core::throttle::Throttle;
use tokio::time::Instant;

/// A trouble that does not change is logged again after this time.
const REPEAT: Duration = Duration::from_secs(30);

/// Two kinds of lines, neither more than once a second.
pub(super) struct Report {
    address: String,
    away: Throttle,
    delivers: Throttle,
    /// The trouble that was logged last, and when.
    said: Mutex<Option<(String, Instant)>>,
}

impl Report {
    /// About the Redis at this address.
    pub(super) fn new(address: &str) -> Self {
        let (away, delivers) = (Throttle::per_second(), Throttle::per_second());
        Self { address: address.to_owned(), away, delivers, said: Mutex::default() }
    }

    /// Redis is away: one line when the trouble is new, and now and then while it stays.
    pub(super) fn away(&self, why: &str) {
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        let news = said.as_ref().is_none_or(|(what, at)| what != why || at.elapsed() >= REPEAT);
        if news && let Some(left_out) = self.away.allow() {
            let address = self.address.as_str();
            tracing::warn!(left_out, address, "Redis is away: {why}; own clients are served on, trying again");
            *said = Some((why.to_owned(), Instant::now()));
        }
    }

    /// Redis delivers, after so long.
    pub(super) fn delivers(&self, after: Duration) {
        *self.said.lock().unwrap_or_else(PoisonError::into_inner) = None;
        if let Some(left_out) = self.delivers.allow() {
            let (address, after_ms) = (self.address.as_str(), u64::try_from(after.as_millis()).unwrap_or(u64::MAX));
            tracing::info!(left_out, address, after_ms, "Redis delivers");
        }
    }
}

//! The time of rate limits: nanoseconds since the start, by the clock that tests can pause.

use governor::nanos::Nanos;
use tokio::time::Instant;

/// See the module's documentation.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ticks(Instant);

impl Ticks {
    pub(super) fn start() -> Self {
        Self(Instant::now())
    }

    /// The time of a moment that the caller has read.
    pub(super) fn at(self, moment: Instant) -> Nanos {
        moment.saturating_duration_since(self.0).into()
    }

    pub(super) fn now(self) -> Nanos {
        self.at(Instant::now())
    }
}

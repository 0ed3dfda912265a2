//! One limit: so much a second, and so much at once. Time is the caller's, who reads the clock once for all of an event's limits.
//!
//! What has happened already, such as bytes that were read, cannot be refused any more: it is let through as long as anything
//! is left, and what it was too much is a debt that time pays off. Until then nothing more is let through, and a debtor that can
//! be made to wait is not refused at all. Of single things this takes or refuses each as the cell rate algorithm does, over
//! governor's cells; governor's own limiters take all of something or nothing, and read a clock each time.

use std::time::Duration;

use carillon_config::Rate;
use governor::nanos::Nanos;
use governor::state::StateStore;

use super::table::Key;

/// What one second and one burst are worth.
#[derive(Debug, Clone, Copy)]
pub(super) struct Debt {
    per_s: u32,
    burst: u32,
}

const SECOND: u64 = 1_000_000_000;

impl Debt {
    /// `None` where there is no limit.
    pub(super) fn new(rate: Rate) -> Option<Self> {
        (rate.per_s > 0).then_some(Self { per_s: rate.per_s, burst: rate.burst })
    }

    /// The key of this hash in a table.
    pub(super) fn key(&self, hash: u64) -> Key {
        Key { hash, per_s: self.per_s }
    }

    /// How long so many take.
    fn time(&self, count: u64) -> u64 {
        count.saturating_mul(SECOND) / u64::from(self.per_s)
    }

    /// How long it takes from `now` until something is left.
    pub(super) fn wait(&self, until: Option<Nanos>, now: Nanos) -> Option<Duration> {
        let counts = until.map_or(0, Nanos::as_u64).saturating_sub(now.as_u64());
        let wait = (counts + self.time(1)).saturating_sub(self.time(self.burst.into()));
        (wait > 0).then(|| Duration::from_nanos(wait))
    }

    /// Takes `count`, if anything is left; for how long nothing is left then, if so.
    ///
    /// # Errors
    /// How long it takes until something is left.
    pub(super) fn take<S: StateStore>(
        &self,
        (store, key): (&S, &S::Key),
        count: u64,
        now: Nanos,
    ) -> Result<Option<Duration>, Duration> {
        store.measure_and_replace(key, |until| match self.wait(until, now) {
            Some(wait) => Err(wait),
            None => {
                let until = Nanos::from(until.unwrap_or(now).max(now).as_u64() + self.time(count));
                Ok((self.wait(Some(until), now), until))
            }
        })
    }
}

//! The limit of one event: of each subject, or of each connection where nobody is asked who they are.

use std::sync::Arc;
use std::time::Duration;

use carillon_config::Rate;
use governor::nanos::Nanos;
use governor::state::StateStore;

use super::table::{Key, Table};
use super::ticks::{Limiter, Ticks};
use super::{quota, wait};

/// A table that others use too.
pub(super) struct Shared(pub(super) Arc<Table>);

impl StateStore for Shared {
    type Key = Key;

    fn measure_and_replace<T, F, E>(&self, key: &Key, measure: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        self.0.measure_and_replace(key, measure)
    }
}

/// See the module's documentation.
pub(crate) struct OwnLimit {
    /// Tells this event's entries from those of others.
    salt: u64,
    per_s: u32,
    /// None has no limit at all.
    limiter: Option<Limiter<Key, Shared>>,
}

impl OwnLimit {
    pub(super) fn new(rate: Rate, table: &Arc<Table>, ticks: Ticks) -> Self {
        let limiter = quota(rate).map(|quota| Limiter::new(quota, Shared(Arc::clone(table)), ticks));
        Self { salt: fastrand::u64(..), per_s: rate.per_s, limiter }
    }

    /// Takes one of `sender`.
    ///
    /// # Errors
    /// How long it has to wait for that.
    pub(super) fn take(&self, sender: u64) -> Result<(), Duration> {
        let Some(limiter) = &self.limiter else { return Ok(()) };
        let key = Key { hash: sender ^ self.salt, per_s: self.per_s };
        limiter.check_key(&key).map_err(|until| wait(&until, limiter.clock()))
    }
}

//! The limit of one event: of each subject, or of each connection where nobody is asked who they are.

use std::sync::Arc;
use std::time::Duration;

use carillon_config::Rate;
use governor::nanos::Nanos;
use governor::state::StateStore;

use super::table::Table;
use super::ticks::{Limiter, Ticks};
use super::{quota, wait};

/// One table for all events.
pub(super) struct Shared(pub(super) Arc<Table>);

impl StateStore for Shared {
    type Key = u64;

    fn measure_and_replace<T, F, E>(&self, key: &u64, measure: F) -> Result<T, E>
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
    /// None has no limit at all.
    limiter: Option<Limiter<u64, Shared>>,
}

impl OwnLimit {
    pub(super) fn new(rate: Rate, table: &Arc<Table>, ticks: Ticks) -> Self {
        let limiter = quota(rate).map(|quota| Limiter::new(quota, Shared(Arc::clone(table)), ticks));
        Self { salt: fastrand::u64(..), limiter }
    }

    /// Takes one of `sender`.
    ///
    /// # Errors
    /// How long it has to wait for that.
    pub(super) fn take(&self, sender: u64) -> Result<(), Duration> {
        let Some(limiter) = &self.limiter else { return Ok(()) };
        limiter.check_key(&(sender ^ self.salt)).map_err(|until| wait(&until, limiter.clock()))
    }
}

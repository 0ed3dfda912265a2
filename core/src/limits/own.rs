//! The limit of one event: of each subject, or of each connection where nobody is asked who they are.

use std::sync::Arc;
use std::time::Duration;

use carillon_config::Rate;
use governor::nanos::Nanos;

use super::debt::Debt;
use super::table::Table;

/// See the module's documentation.
pub(crate) struct OwnLimit {
    /// Tells this event's entries from those of others.
    salt: u64,
    /// None has no limit at all.
    debt: Option<Debt>,
    /// Others use it too.
    table: Arc<Table>,
}

impl OwnLimit {
    pub(super) fn new(rate: Rate, table: &Arc<Table>) -> Self {
        Self { salt: fastrand::u64(..), debt: Debt::new(rate), table: Arc::clone(table) }
    }

    /// Takes one of `sender`.
    ///
    /// # Errors
    /// How long it has to wait for that.
    pub(super) fn take(&self, sender: u64, now: Nanos) -> Result<(), Duration> {
        let Some(debt) = &self.debt else { return Ok(()) };
        debt.take((&*self.table, &debt.key(sender ^ self.salt)), 1, now).map(drop)
    }
}

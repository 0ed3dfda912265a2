//! What subjects have sent lately, over all their connections, those that are gone included.

use std::time::Duration;

use carillon_config::{LimitSettings, Rate};
use governor::clock::Clock;

use super::debt::Debt;
use super::quota;
use super::scope::{Over, Scope};
use super::table::Table;
use super::ticks::{Limiter, Ticks};

/// What a token says of its subject's limits: where it says nothing, the settings do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Claimed {
    pub(crate) events: Option<Rate>,
    pub(crate) bytes: Option<Rate>,
}

/// See the module's documentation.
pub(super) struct Subjects {
    events: Option<Limiter<u64, Table>>,
    bytes: Option<Debt>,
    /// Bytes of all, whatever their limit is.
    sent: Table,
    /// Events of those whose tokens say how many: each has a limit of its own, which governor would have to be made for.
    claimed: Table,
}

impl Subjects {
    pub(super) fn new(settings: &LimitSettings, ticks: Ticks) -> Self {
        let table = || Table::new(settings.max_entries);
        Self {
            events: quota(settings.subject_events()).map(|quota| Limiter::new(quota, table(), ticks)),
            bytes: Debt::new(settings.subject_bytes()),
            sent: table(),
            claimed: table(),
        }
    }

    /// Takes an event.
    ///
    /// # Errors
    /// There are too many.
    pub(super) fn take_event(&self, subject: u64, claimed: Option<Rate>, ticks: Ticks) -> Result<(), Over> {
        let taken = match (claimed, &self.events) {
            (Some(rate), _) => match Debt::new(rate) {
                Some(debt) => debt.take((&self.claimed, &subject), 1, ticks.now()).map(drop),
                None => Ok(()),
            },
            (None, Some(limiter)) => limiter.check_key(&subject).map_err(|until| super::wait(&until, &ticks)),
            (None, None) => Ok(()),
        };
        taken.map_err(|wait| Over { scope: Scope::SubjectEvents, wait })
    }

    /// Takes bytes; for how long the connection is not to be read from, if so.
    ///
    /// # Errors
    /// There are too many already.
    pub(super) fn take_bytes(
        &self,
        subject: u64,
        claimed: Option<Rate>,
        bytes: u64,
        ticks: Ticks,
    ) -> Result<Option<Duration>, Over> {
        let Some(debt) = claimed.map_or(self.bytes, Debt::new) else { return Ok(None) };
        let taken = debt.take((&self.sent, &subject), bytes, ticks.now());
        taken.map_err(|wait| Over { scope: Scope::SubjectBytes, wait })
    }

    /// The bytes of its tables.
    #[cfg(test)]
    pub(super) fn bytes(self) -> [usize; 2] {
        [self.events.map_or(0, |limiter| limiter.into_state_store().bytes()), self.sent.bytes()]
    }
}

//! What subjects have sent lately, over all their connections, those that are gone included.

use std::time::Duration;

use carillon_config::{LimitSettings, Rate};
use governor::nanos::Nanos;

use super::debt::Debt;
use super::scope::{Over, Scope};
use super::table::Table;
use super::ticks::Ticks;

/// What a token says of its subject's limits: where it says nothing, the settings do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Claimed {
    pub(crate) events: Option<Rate>,
    pub(crate) bytes: Option<Rate>,
}

/// See the module's documentation. A subject has one entry in each table, whatever its tokens say.
pub(super) struct Subjects {
    events: (Option<Debt>, Table),
    bytes: (Option<Debt>, Table),
}

impl Subjects {
    pub(super) fn new(settings: &LimitSettings, ticks: Ticks) -> Self {
        let limit = |rate| (Debt::new(rate), Table::new(settings.max_entries, ticks));
        Self { events: limit(settings.subject_events()), bytes: limit(settings.subject_bytes()) }
    }

    /// Takes an event.
    ///
    /// # Errors
    /// There are too many.
    pub(super) fn take_event(&self, subject: u64, claimed: Option<Rate>, now: Nanos) -> Result<(), Over> {
        let taken = take(&self.events, subject, (claimed, 1), now);
        taken.map(drop).map_err(|wait| Over { scope: Scope::SubjectEvents, wait })
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
        now: Nanos,
    ) -> Result<Option<Duration>, Over> {
        let taken = take(&self.bytes, subject, (claimed, bytes), now);
        taken.map_err(|wait| Over { scope: Scope::SubjectBytes, wait })
    }

    /// The bytes of its tables.
    #[cfg(test)]
    pub(super) fn bytes(&self) -> [usize; 2] {
        [self.events.1.bytes(), self.bytes.1.bytes()]
    }
}

/// Takes so many by the limit that the subject's token says, or else by that of the settings.
fn take(
    (limit, table): &(Option<Debt>, Table),
    subject: u64,
    (claimed, count): (Option<Rate>, u64),
    now: Nanos,
) -> Result<Option<Duration>, Duration> {
    let Some(debt) = claimed.map_or(*limit, Debt::new) else { return Ok(None) };
    debt.take((table, &debt.key(subject)), count, now)
}

//! What subjects have sent lately, over all their connections, those that are gone included.

use std::sync::Arc;
use std::time::Duration;

use carillon_config::{LimitSettings, Rate};
use governor::clock::Clock;

use super::debt::Debt;
use super::own::Shared;
use super::quota;
use super::scope::{Over, Scope};
use super::table::{Key, Table};
use super::ticks::{Limiter, Ticks};

/// What a token says of its subject's limits: where it says nothing, the settings do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Claimed {
    pub(crate) events: Option<Rate>,
    pub(crate) bytes: Option<Rate>,
}

/// See the module's documentation. A subject has one entry in each table, whatever its tokens say.
pub(super) struct Subjects {
    /// The settings' limit of events. Each one that a token says is another, which governor would have to be made for.
    limiter: Option<(Limiter<Key, Shared>, u32)>,
    events: Arc<Table>,
    bytes: Option<Debt>,
    sent: Table,
}

impl Subjects {
    pub(super) fn new(settings: &LimitSettings, ticks: Ticks) -> Self {
        let table = || Table::new(settings.max_entries, ticks);
        let (events, rate) = (Arc::new(table()), settings.subject_events());
        let limiter = quota(rate).map(|quota| Limiter::new(quota, Shared(Arc::clone(&events)), ticks));
        Self {
            limiter: limiter.map(|limiter| (limiter, rate.per_s)),
            events,
            bytes: Debt::new(settings.subject_bytes()),
            sent: table(),
        }
    }

    /// Takes an event.
    ///
    /// # Errors
    /// There are too many.
    pub(super) fn take_event(&self, subject: u64, claimed: Option<Rate>, ticks: Ticks) -> Result<(), Over> {
        let taken = match (claimed, &self.limiter) {
            (Some(rate), _) => match Debt::new(rate) {
                Some(debt) => debt.take((&*self.events, &debt.key(subject)), 1, ticks.now()).map(drop),
                None => Ok(()),
            },
            (None, Some((limiter, per_s))) => {
                let key = Key { hash: subject, per_s: *per_s };
                limiter.check_key(&key).map_err(|until| super::wait(&until, &ticks))
            }
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
        let taken = debt.take((&self.sent, &debt.key(subject)), bytes, ticks.now());
        taken.map_err(|wait| Over { scope: Scope::SubjectBytes, wait })
    }

    /// The bytes of its tables.
    #[cfg(test)]
    pub(super) fn bytes(&self) -> [usize; 2] {
        [self.events.bytes(), self.sent.bytes()]
    }
}

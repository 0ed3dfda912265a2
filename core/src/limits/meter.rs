//! What one connection has sent lately, over all its namespaces: made with its first event, gone with the connection. Most
//! connections only listen.

use std::sync::{Arc, OnceLock};

use carillon_config::Rate;
use governor::Quota;
use governor::state::{InMemoryState, NotKeyed};

use super::quota;
use super::ticks::{Limiter, Ticks};

pub(super) type Own = Limiter<NotKeyed, InMemoryState>;

/// Where the meter of a connection is, once it has sent anything.
pub(crate) type Slot = Arc<OnceLock<Box<Meter>>>;

/// See the module's documentation.
pub(crate) struct Meter {
    /// Stands for the connection where nobody is asked who they are.
    pub(super) key: u64,
    pub(super) events: Option<Own>,
    pub(super) bytes: InMemoryState,
    /// Events that were refused.
    pub(super) refusals: Option<Own>,
}

/// How meters are made.
pub(super) struct Meters {
    pub(super) events: Option<Quota>,
    pub(super) refusals: Option<Quota>,
}

impl Meters {
    pub(super) fn new(events: Rate, refusals: Rate) -> Self {
        Self { events: quota(events), refusals: quota(refusals) }
    }

    pub(super) fn make(&self, ticks: Ticks) -> Meter {
        let own = |quota: Option<Quota>| quota.map(|quota| Own::new(quota, InMemoryState::default(), ticks));
        Meter {
            key: fastrand::u64(..),
            events: own(self.events),
            bytes: InMemoryState::default(),
            refusals: own(self.refusals),
        }
    }
}

//! What one connection has sent lately, over all its namespaces: made with its first event, gone with the connection. Most
//! connections only listen.

use std::sync::{Arc, OnceLock};

use governor::state::InMemoryState;

/// Where the meter of a connection is, once it has sent anything.
pub(crate) type Slot = Arc<OnceLock<Box<Meter>>>;

/// See the module's documentation.
pub(crate) struct Meter {
    /// Stands for the connection where nobody is asked who they are.
    pub(super) key: u64,
    pub(super) events: InMemoryState,
    pub(super) bytes: InMemoryState,
    /// Events that were refused.
    pub(super) refusals: InMemoryState,
}

impl Default for Meter {
    fn default() -> Self {
        let state = InMemoryState::default;
        Self { key: fastrand::u64(..), events: state(), bytes: state(), refusals: state() }
    }
}

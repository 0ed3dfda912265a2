//! Events that are sent and were never declared: no schema, no series and no documentation has them.

use std::collections::BTreeSet;
use std::panic::Location;
use std::sync::{Mutex, PoisonError};

/// How many different names are told; a plugin that makes names up as it goes is told often enough by then.
const TOLD_MAX: usize = 64;

/// What one namespace has sent without a declaration.
#[derive(Debug, Default)]
pub(crate) struct Undeclared(Mutex<BTreeSet<String>>);

impl Undeclared {
    /// Tells the log about `event`, sent at `at`, the first time.
    pub(crate) fn note(&self, plugin: &str, namespace: &str, event: &str, at: &Location<'_>) {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if told.len() < TOLD_MAX && !told.contains(event) {
            tracing::warn!(
                plugin,
                namespace,
                event,
                at = %at,
                "an event that is not declared is sent and counted as `_other`: declare it with on.emits in routes"
            );
            told.insert(event.to_owned());
        }
    }

    /// Takes the names noted so far.
    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn take(&self) -> Vec<String> {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *told).into_iter().collect()
    }
}

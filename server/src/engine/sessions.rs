//! Every session of this process: found by its id, counted, and forgotten when it ends.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::session::Session;

/// The Engine.IO session id: whoever knows it can act as the client, so it is random, and never logged nor shown.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Id(u128);

impl Id {
    /// A new one.
    ///
    /// # Errors
    /// When the system has no randomness to give.
    pub(super) fn random() -> Result<Self, getrandom::Error> {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes)?;
        Ok(Self(u128::from_ne_bytes(bytes)))
    }

    /// The id that a client names.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        Some(Self(u128::from_ne_bytes(bytes.try_into().ok()?)))
    }

    /// The id as clients get it.
    pub(super) fn text(self) -> String {
        URL_SAFE_NO_PAD.encode(self.0.to_ne_bytes())
    }
}

/// The register. It owns the sessions.
#[derive(Default)]
pub(super) struct Sessions {
    all: RwLock<HashMap<Id, Arc<Session>>>,
    numbers: AtomicU64,
    /// The server is going away: no new sessions.
    refusing: AtomicBool,
}

impl Sessions {
    fn read(&self) -> RwLockReadGuard<'_, HashMap<Id, Arc<Session>>> {
        self.all.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, HashMap<Id, Arc<Session>>> {
        self.all.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// The number of the next session, unique in this process.
    pub(super) fn number(&self) -> u64 {
        self.numbers.fetch_add(1, Ordering::Relaxed)
    }

    pub(super) fn insert(&self, id: Id, session: &Arc<Session>) {
        self.write().insert(id, Arc::clone(session));
    }

    pub(super) fn remove(&self, id: Id) {
        // Dropped outside the lock.
        let session = self.write().remove(&id);
        drop(session);
    }

    pub(super) fn get(&self, id: Id) -> Option<Arc<Session>> {
        self.read().get(&id).cloned()
    }

    pub(super) fn len(&self) -> usize {
        self.read().len()
    }

    pub(super) fn all(&self) -> Vec<Arc<Session>> {
        self.read().values().cloned().collect()
    }

    pub(super) fn refuse_new(&self) {
        self.refusing.store(true, Ordering::Release);
    }

    pub(super) fn refusing(&self) -> bool {
        self.refusing.load(Ordering::Acquire)
    }
}

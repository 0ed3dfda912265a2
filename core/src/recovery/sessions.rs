//! What is known of clients that may come back: here, of those that are connected; on the bus, of all.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use bytes::Bytes;
use carillon_config::JournalSettings;
use prometheus::{IntCounter, IntCounterVec};
use serde::{Deserialize, Serialize};

use super::Resumed;
use super::life::{Life, Takeover};
use super::pending::{Last, Pending};
use crate::bus::Bus;
use crate::client::Client;
use crate::error::{Error, Result};
use crate::journal::Offset;
use crate::peer::Peer;

/// What is known of a client, as it stands on the bus.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Known {
    pub(super) namespace: String,
    /// The public id.
    pub(super) id: String,
    /// Who it is, where that is asked.
    pub(super) subject: Option<String>,
    pub(super) rooms: Vec<String>,
    /// What had been published when it came, or what it had got then.
    pub(super) offset: String,
    /// Which of the client's connections has written this.
    pub(super) life: Life,
}

/// One client, as far as it may come back.
pub(crate) struct Membership {
    pub(crate) pid: Arc<str>,
    /// Whether it takes offsets; one that may not know what they are has a pid alone.
    pub(crate) takes_offsets: bool,
    pub(super) life: Life,
    pub(super) offset: Offset,
    /// What it gets on with, when it has come back.
    pub(crate) resumed: Option<Resumed>,
}

/// The clients of one namespace that may come back.
pub(crate) struct Sessions {
    /// How long a client may be gone.
    pub(super) patience: Duration,
    connected: Mutex<HashMap<Arc<str>, Weak<Client>>>,
    /// What is to be written down.
    pub(super) pending: Pending,
    pub(super) counts: Counts,
}

/// The series of one namespace.
pub(crate) struct Counts {
    results: IntCounterVec,
    namespace: Box<str>,
    pub(super) replayed: IntCounter,
    pub(super) written: IntCounter,
    pub(super) failed: IntCounter,
    pub(super) left_out: IntCounter,
}

/// What became of the attempts to get on.
const RESULTS: [&str; 6] = ["recovered", "unknown", "gone", "forbidden", "unavailable", "broken_off"];

impl Counts {
    pub(crate) fn new(
        namespace: &str,
        results: &IntCounterVec,
        replayed: &IntCounterVec,
        writes: &IntCounterVec,
    ) -> Self {
        let write = |result| writes.with_label_values(&[namespace, result]);
        RESULTS.iter().for_each(|result| drop(results.with_label_values(&[namespace, result])));
        Self {
            results: results.clone(),
            namespace: namespace.into(),
            replayed: replayed.with_label_values(&[namespace]),
            written: write("written"),
            failed: write("failed"),
            left_out: write("left_out"),
        }
    }

    pub(super) fn write(&self, written: &Result<()>) -> &IntCounter {
        if written.is_ok() { &self.written } else { &self.failed }
    }

    pub(super) fn count(&self, result: &str) {
        self.results.with_label_values(&[&*self.namespace, result]).inc();
    }
}

impl Membership {
    /// Of a new client, or of one that has come back. `offset` is what it has got, or what has been published by now.
    pub(super) fn new(pid: Arc<str>, takes_offsets: bool, offset: Offset, resumed: Option<Resumed>) -> Self {
        let life = resumed.as_ref().map_or_else(Life::first, |resumed| resumed.life.clone());
        Self { pid, takes_offsets, life, offset, resumed }
    }

    /// What is to be known of it.
    pub(crate) fn known(&self, namespace: &str, peer: &Peer, rooms: &[Arc<str>]) -> Result<Bytes> {
        let known = Known {
            namespace: namespace.to_owned(),
            id: peer.id().to_owned(),
            subject: peer.identity().map(|identity| identity.subject().to_owned()),
            rooms: rooms.iter().map(|room| (**room).to_owned()).collect(),
            offset: self.offset.to_string(),
            life: self.life.clone(),
        };
        Ok(serde_json::to_vec(&known)?.into())
    }

    /// What its earlier connections are to be told.
    pub(crate) fn takeover(&self) -> Takeover {
        Takeover { pid: (*self.pid).to_owned(), life: self.life.clone() }
    }
}

impl Sessions {
    pub(crate) fn new(settings: &JournalSettings, counts: Counts) -> Self {
        let patience = Duration::from_secs(settings.max_disconnection_s);
        Self { patience, connected: Mutex::default(), pending: Pending::default(), counts }
    }

    pub(super) fn connected(&self) -> MutexGuard<'_, HashMap<Arc<str>, Weak<Client>>> {
        self.connected.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A client comes in; in place of which one, if there is any.
    ///
    /// # Errors
    /// When a later connection with its pid is here: of two that come back at once, one goes on.
    pub(crate) fn add(&self, client: &Arc<Client>, membership: &Membership) -> Result<Option<Arc<Client>>> {
        let mut connected = self.connected();
        let other = connected.get(&membership.pid).and_then(Weak::upgrade);
        let is_later = |other: &Client| other.membership().is_some_and(|other| other.life > membership.life);
        if other.as_deref().is_some_and(is_later) {
            return Err(Error::unavailable("it has come back over another connection"));
        }
        connected.insert(Arc::clone(&membership.pid), Arc::downgrade(client));
        Ok(other)
    }

    /// What is known of a client has changed.
    pub(crate) fn changed(&self, membership: &Membership) {
        if membership.takes_offsets {
            self.pending.changed(&membership.pid);
        }
    }

    /// The client of this pid, while it is connected here.
    pub(super) fn client(&self, pid: &str) -> Option<Arc<Client>> {
        self.connected().get(pid).and_then(Weak::upgrade)
    }

    /// A client is gone; `stays` says whether it may come back.
    pub(crate) fn closed(&self, client: &Client, membership: &Membership, rooms: &[Arc<str>], stays: bool) {
        if !membership.takes_offsets {
            return;
        }
        {
            let mut connected = self.connected();
            let is_this = |known: &Weak<Client>| std::ptr::eq(known.as_ptr(), client);
            if connected.get(&membership.pid).is_some_and(is_this) {
                connected.remove(&membership.pid);
            }
        }
        let known = stays.then(|| membership.known(&client.namespace.name, &client.peer, rooms).ok()).flatten();
        let last = Last { life: membership.life.clone(), known };
        if !self.pending.gone(&membership.pid, last) {
            self.counts.left_out.inc();
        }
    }
}

/// Where on the bus a client is known.
pub(super) fn key(bus: &dyn Bus, pid: &str) -> String {
    bus.own(&format!("session:{pid}"))
}

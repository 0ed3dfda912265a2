//! Who may come in, and what is held for them before they are known: checked before a session exists, whichever engine
//! would serve it.
//!
//! [`Addresses`] counts what each address has, [`Budget`] what everybody together makes the server hold, [`Proxies`]
//! tells where a request really comes from, [`Hosts`] by which names the server may be called, [`body`] takes what is
//! posted, [`engineio`] reads and refuses requests for both engines. A [`Guest`] is a client that was let in: whoever
//! serves its session keeps it exactly as long as that.

mod addresses;
pub(crate) mod body;
mod budget;
pub(crate) mod engineio;
mod hosts;
mod proxies;
pub(crate) mod websocket;

use std::sync::Arc;

use carillon_config::ServerSettings;
use carillon_core::Error;
use carillon_core::metrics::Metrics;
use carillon_core::peer::Handshake;
use tokio::sync::OwnedSemaphorePermit;

use crate::metrics::gauge;

pub(crate) use self::addresses::{Addresses, Connection, Session, TooMany};
pub(crate) use self::budget::{Budget, Held};
pub(crate) use self::hosts::{Hosts, NoHost};
pub(crate) use self::proxies::{Proxies, Source};

/// A connection's place among all that are allowed at once, and among those of its address.
pub(crate) struct Place {
    _all: OwnedSemaphorePermit,
    _address: Option<Connection>,
}

impl Place {
    pub(crate) fn new(all: OwnedSemaphorePermit, address: Option<Connection>) -> Self {
        Self { _all: all, _address: address }
    }
}

impl From<OwnedSemaphorePermit> for Place {
    fn from(all: OwnedSemaphorePermit) -> Self {
        Self::new(all, None)
    }
}

/// A client that was let in; it counts for its address until it is dropped.
pub(crate) struct Guest {
    handshake: Arc<Handshake>,
    _session: Session,
    /// What the handshake keeps in memory.
    held: Held,
}

/// Why there is no session for somebody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoGuest {
    /// Its address has as many as it may.
    TooMany(TooMany),
    /// What everybody holds is as much as there may be.
    NoMemory,
}

impl Guest {
    /// A place for a session of this handshake; nothing is kept when there is none.
    pub(crate) fn admit(
        addresses: &Arc<Addresses>,
        budget: &Arc<Budget>,
        handshake: Handshake,
    ) -> Result<Arc<Self>, NoGuest> {
        let address = handshake.address().ip();
        let session = addresses.session(address).map_err(NoGuest::TooMany)?;
        let held = budget.hold(address, handshake.len()).ok_or(NoGuest::NoMemory)?;
        Ok(Arc::new(Self { handshake: Arc::new(handshake), _session: session, held }))
    }

    /// Room for so many bytes that the client has sent in part; `None` when there is none.
    pub(crate) fn hold(&self, bytes: usize) -> Option<Held> {
        self.held.beside(bytes)
    }

    /// What the client's handshake said.
    pub(crate) fn handshake(&self) -> &Arc<Handshake> {
        &self.handshake
    }
}

/// All of it, as the configuration says.
pub(crate) struct Admission {
    pub(crate) addresses: Arc<Addresses>,
    pub(crate) budget: Arc<Budget>,
    pub(crate) hosts: Hosts,
    pub(crate) proxies: Proxies,
}

impl Admission {
    pub(crate) fn new(server: &ServerSettings) -> Self {
        Self {
            addresses: Addresses::new(server),
            budget: Budget::new(server.memory_budget_bytes),
            hosts: Hosts::new(server),
            proxies: Proxies::new(server.proxies()),
        }
    }

    /// Adds the series of what is held.
    ///
    /// # Errors
    /// When a name is taken.
    pub(crate) fn register(&self, core: &Metrics) -> Result<(), Error> {
        let help = "Bytes held of server.memory_budget_bytes: messages that have come in part, and handshakes.";
        let held = gauge(core, "memory_budget_held_bytes", help)?;
        let budget = Arc::clone(&self.budget);
        core.before_scrape(move || held.set(i64::try_from(budget.total()).unwrap_or(i64::MAX)));
        Ok(())
    }
}

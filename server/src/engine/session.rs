//! One Engine.IO session: everything that is known of one client's connection, whatever carries it.

use std::sync::atomic::{AtomicI64, AtomicUsize};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use bytes::Bytes;
use carillon_core::router::Session as Member;
use carillon_core::sink::{Reason, Transport};
use futures_util::task::AtomicWaker;
use smallvec::SmallVec;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::Common;
use super::client::Client;
use super::clock::Clock;
use super::out::{Carrier, Out};
use super::receive::{Assembly, Connects};
use super::sessions::Id;
use crate::admission;

/// See the module's documentation. Owned by the register until it ends.
///
/// Laid out as written: a publish to thousands waits mostly for memory, and what it needs of each session comes first.
#[repr(C)]
pub(crate) struct Session {
    pub(super) common: Arc<Common>,
    pub(super) out: Mutex<Out>,
    /// Its number, unique in this process.
    pub(super) number: u64,
    pub(super) id: Id,
    pub(super) newcomer: Arc<admission::Guest>,
    pub(super) inside: Mutex<Inside>,
    pub(super) clock: Mutex<Clock>,
    /// How many namespaces want the client not to be read from.
    pub(super) pausers: AtomicUsize,
    /// Acks the client asked for and has not been sent yet.
    pub(super) owed: AtomicI64,
    /// The task that reads from the WebSocket.
    pub(super) reader: AtomicWaker,
    pub(super) ended: OnceLock<Reason>,
    /// Told whenever something above changed that somebody may be waiting for.
    pub(super) changed: Notify,
}

/// The guarded part of what comes in.
pub(super) struct Inside {
    /// The namespaces the client is in, or asks to be let into.
    pub(super) seats: SmallVec<[Seat; 1]>,
    /// A packet whose attachments are arriving.
    pub(super) assembly: Option<Box<Assembly>>,
    pub(super) connects: Connects,
    /// Numbers seats.
    pub(super) tickets: u32,
    /// A POST is being handed over.
    pub(super) posting: bool,
    /// The farewells have been said.
    pub(super) over: bool,
}

/// A place in a namespace.
pub(super) struct Seat {
    pub(super) namespace: Arc<str>,
    pub(super) ticket: u32,
    /// `None` while the namespace is being asked.
    pub(super) guest: Option<Guest>,
}

/// A client that has been let in.
#[derive(Clone)]
pub(super) struct Guest {
    pub(super) client: Arc<Client>,
    pub(super) member: Member,
}

impl Session {
    /// A new session.
    ///
    /// # Errors
    /// When the system has no randomness to give for its id.
    pub(super) fn open(common: &Arc<Common>, newcomer: Arc<admission::Guest>) -> Result<Arc<Self>, getrandom::Error> {
        let id = Id::random()?;
        let now = Instant::now();
        let session = Arc::new(Self {
            common: Arc::clone(common),
            number: common.sessions.number(),
            id,
            newcomer,
            out: Mutex::new(Out::new()),
            inside: Mutex::new(Inside {
                seats: SmallVec::new(),
                assembly: None,
                connects: Connects::new(now),
                tickets: 0,
                posting: false,
                over: false,
            }),
            clock: Mutex::new(Clock::new(&common.settings, now)),
            pausers: AtomicUsize::new(0),
            owed: AtomicI64::new(0),
            reader: AtomicWaker::new(),
            ended: OnceLock::new(),
            changed: Notify::new(),
        });
        common.metrics.sessions.inc();
        common.sessions.insert(id, &session);
        session.wind(now);
        Ok(session)
    }

    pub(super) fn out(&self) -> MutexGuard<'_, Out> {
        self.out.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn inside(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn clock(&self) -> MutexGuard<'_, Clock> {
        self.clock.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The data of its open packet.
    pub(super) fn greeting(&self, upgrades: bool) -> String {
        self.common.settings.open(&self.id.text(), upgrades)
    }

    /// Bytes accepted for the client that have not left yet.
    pub(super) fn queued_bytes(&self) -> usize {
        self.out().outbox.cost()
    }

    /// The transport in use.
    pub(super) fn transport(&self) -> Transport {
        match self.out().carrier {
            Carrier::WebSocket(_) => Transport::WebSocket,
            Carrier::Polling { .. } | Carrier::None => Transport::Polling,
        }
    }

    /// The client has changed its transport: tells every namespace it is in.
    pub(super) fn carried_otherwise(&self) {
        let guests: Vec<Guest> = self.inside().seats.iter().filter_map(|seat| seat.guest.clone()).collect();
        guests.iter().for_each(|guest| guest.member.transport_changed());
    }

    /// Why the session ended, once it has.
    pub(super) fn ended(&self) -> Option<Reason> {
        self.ended.get().copied()
    }

    /// Waits for `condition`, which is asked again on every change and at the time it names itself.
    pub(super) async fn until(&self, condition: impl Fn(&Self) -> Result<(), Option<Instant>>) {
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            // From here on no change is missed.
            changed.as_mut().enable();
            match condition(self) {
                Ok(()) => return,
                Err(None) => changed.await,
                // Running out is as good a reason to ask again as a change.
                Err(Some(deadline)) => drop(tokio::time::timeout_at(deadline, changed).await),
            }
        }
    }

    /// Sends a packet of the protocol itself.
    pub(super) fn say(self: &Arc<Self>, frame: Bytes) {
        let mut out = self.out();
        if self.ended().is_none() && !self.queue(&mut out, frame, 0) {
            drop(out);
            self.end(Reason::Slow);
        }
    }
}

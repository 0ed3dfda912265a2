//! The journal of one namespace, as this node has it: how far it has been delivered here, and what is to be appended.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use carillon_config::JournalSettings;
use futures_util::FutureExt;
use prometheus::{IntCounter, IntCounterVec};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::timeout;

use super::tail::Tail;
use super::{Bounds, Kept, Offset, Page, Seal};
use crate::bus::Bus;
use crate::error::{Error, Result};
use crate::hub::Selection;
use crate::metrics::{Metrics, Outbound};
use crate::packet::Item;
use crate::recovery::{Counts as Recoveries, Sessions};
use crate::sink::Mode;

/// Publishes of one namespace that wait to be appended, and their bytes; more are refused, or wait.
pub(super) const OUTGOING_DEPTH: usize = 10_000;
const OUTGOING_BYTES: usize = 64 << 20;
/// Clients that ask the bus for something at once when they come back, and how long the others wait for their turn.
const TURNS: usize = 4;
const TURN: Duration = Duration::from_secs(10);

/// What all journals of an application share.
pub(crate) struct Journals {
    settings: JournalSettings,
    seal: Seal,
    bus: Arc<dyn Bus>,
    publishes: IntCounterVec,
    gaps: IntCounterVec,
    forgotten: IntCounterVec,
    recoveries: IntCounterVec,
    replayed: IntCounterVec,
    session_writes: IntCounterVec,
}

/// See the module's documentation.
pub(crate) struct Keeper {
    pub(crate) name: Arc<str>,
    pub(crate) bounds: Bounds,
    /// For how long publishes wait for a journal that is away.
    pub(super) hold: Duration,
    pub(crate) bus: Arc<dyn Bus>,
    pub(crate) seal: Seal,
    /// The clients that get on where they left off, where any do.
    pub(crate) sessions: Option<Sessions>,
    pub(super) counts: Counts,
    /// Held while something comes back from the bus and is delivered, or while somebody gets the rest of what it has missed.
    pub(crate) gate: tokio::sync::Mutex<()>,
    state: Mutex<State>,
    /// What waits to be appended, where the bus is shared: it comes back in the order of all nodes.
    pub(super) outgoing: Option<mpsc::Sender<Outgoing>>,
    pub(super) room: Arc<Semaphore>,
    waiting: Mutex<Option<mpsc::Receiver<Outgoing>>>,
    /// For clients that come back, all at once when a node has died: however many they are, the bus has time for the rest.
    turns: Semaphore,
}

/// What changes. Locked while something is delivered, or somebody comes, so that either has a place in the other's order.
pub(crate) struct State {
    /// The last publish that was delivered here; unknown while the journal has not been reached.
    last: Option<Offset>,
    /// It and those before it, where clients come back and others keep the journal.
    tail: Tail,
    /// The last publish that this node has appended. It may not have come back yet.
    pub(super) appended: Option<Offset>,
    /// How often something was published that is not in the journal, or may not be: nobody recovers before a new epoch has
    /// begun.
    breaks: u64,
    /// After how many of them one has.
    mended: u64,
}

impl State {
    /// Something was published that is not in the journal, or may not be.
    pub(super) fn breaks(&mut self) {
        self.breaks += 1;
    }

    /// The last publish that was delivered here, if it is known.
    pub(crate) fn last(&self) -> Option<&Offset> {
        self.last.as_ref()
    }

    /// The journal has got as far as this, and nothing of it is to be sent again.
    pub(super) fn reaches(&mut self, offset: Offset) {
        self.last = Some(offset);
        self.tail.clear();
    }

    /// This was delivered, and may have to be sent to who comes back.
    pub(super) fn delivered(&mut self, kept: Arc<Kept>) {
        self.last = Some(kept.offset.clone());
        self.tail.push(kept);
    }

    /// Up to so many of what was delivered after `at`, if all of it is at hand.
    pub(crate) fn delivered_after(&self, at: &Offset, many: usize) -> Option<Vec<Arc<Kept>>> {
        self.tail.after(at, many)
    }
}

/// A publish that is to be appended.
pub(super) struct Outgoing {
    pub(super) record: Bytes,
    pub(super) selection: Selection,
    pub(super) series: Arc<Outbound>,
    pub(super) copy: (Item, Mode),
    /// Its bytes' part of what may wait.
    pub(super) _room: OwnedSemaphorePermit,
    /// Counts it when it is dropped before it is known what has become of it.
    pub(super) lost: Option<IntCounter>,
}

impl Outgoing {
    /// It is known, and counted, what has become of it.
    pub(super) fn settled(mut self) {
        self.lost = None;
    }
}

impl Drop for Outgoing {
    fn drop(&mut self) {
        if let Some(lost) = &self.lost {
            lost.inc();
        }
    }
}

/// The series of one journal.
pub(super) struct Counts {
    pub(super) appended: IntCounter,
    /// Delivered without a place in the journal.
    pub(super) apart: IntCounter,
    /// Nobody knows what became of it, or the node has stopped before it could be appended.
    pub(super) lost: IntCounter,
    pub(super) malformed: IntCounter,
    pub(super) gaps: IntCounter,
    pub(super) forgotten: IntCounter,
}

impl Journals {
    pub(crate) fn new(
        settings: JournalSettings,
        secret: Option<&str>,
        bus: &Arc<dyn Bus>,
        metrics: &Metrics,
    ) -> Result<Self> {
        let help = "Publishes of namespaces that are kept: appended, apart (delivered without an offset while the journal \
                    was away), lost (nobody knows \
                    whether it was appended, or the server stopped before it could be), malformed (read, and nobody's of ours).";
        let publishes = metrics.counter("journal_publishes_total", help, &["namespace", "result"])?;
        let help = "Publishes that were kept no longer when this node came to read them.";
        let gaps = metrics.counter("journal_gaps_total", help, &["namespace"])?;
        let help = "Publishes that this node knew of and the journal does not, after another server had taken over that had \
                    not got as far.";
        let forgotten = metrics.counter("journal_forgotten_total", help, &["namespace"])?;
        let help = "Clients that came back with a pid, by what became of that: recovered, unknown (nobody of ours, or gone \
                    too long), gone (what was missed is kept no longer), forbidden, unavailable, broken_off (it could not be \
                    sent to the end).";
        let recoveries = metrics.counter("recoveries_total", help, &["namespace", "result"])?;
        let help = "Publishes that were sent to clients that came back.";
        let replayed = metrics.counter("replayed_total", help, &["namespace"])?;
        let help = "What is known of clients that may come back, as it was told to the bus: written, failed (it is tried again \
                    while the client is connected), left_out (too much waited, or the server stopped).";
        let session_writes = metrics.counter("session_writes_total", help, &["namespace", "result"])?;
        let (seal, bus) = (Seal::new(secret), Arc::clone(bus));
        Ok(Self { settings, seal, bus, publishes, gaps, forgotten, recoveries, replayed, session_writes })
    }

    /// The journal of a namespace, if it has one.
    pub(crate) fn of(&self, name: &str) -> Option<Keeper> {
        let Self { settings, seal, bus, publishes, gaps, forgotten, recoveries, replayed, session_writes } = self;
        let listed = |names: &[String]| names.iter().any(|listed| listed == name);
        if !listed(&settings.namespaces) {
            return None;
        }
        let of = |result| publishes.with_label_values(&[name, result]);
        let counts = Counts {
            appended: of("appended"),
            apart: of("apart"),
            lost: of("lost"),
            malformed: of("malformed"),
            gaps: gaps.with_label_values(&[name]),
            forgotten: forgotten.with_label_values(&[name]),
        };
        let (outgoing, waiting) = bus.is_shared().then(|| mpsc::channel(OUTGOING_DEPTH)).unzip();
        let keeper = Keeper {
            name: name.into(),
            bounds: Bounds::new(settings),
            hold: Duration::from_millis(settings.hold_ms),
            bus: Arc::clone(bus),
            seal: seal.clone(),
            sessions: listed(&settings.recovery)
                .then(|| Sessions::new(settings, Recoveries::new(name, recoveries, replayed, session_writes))),
            counts,
            gate: tokio::sync::Mutex::default(),
            state: Mutex::new(State { last: None, tail: Tail::default(), appended: None, breaks: 0, mended: 0 }),
            outgoing,
            room: Arc::new(Semaphore::new(OUTGOING_BYTES)),
            waiting: Mutex::new(waiting),
            turns: Semaphore::new(TURNS),
        };
        if keeper.is_here()
            && let Ok(page) = keeper.read_here(None, 1)
        {
            keeper.state().reaches(page.last);
        }
        Some(keeper)
    }
}

impl Keeper {
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the journal is kept in this process, and answers at once.
    pub(crate) fn is_here(&self) -> bool {
        self.outgoing.is_none()
    }

    /// Room for what is to be appended, if there is any now.
    pub(super) fn try_room(&self, record: &Bytes) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.room).try_acquire_many_owned(size(record)).ok()
    }

    /// Whether publishes can wait for a while before there is no room for others.
    pub(super) fn has_much_room(&self) -> bool {
        self.room.available_permits() > OUTGOING_BYTES / 2
    }

    /// How far this node knows that the journal has got: as far as it has come back, or was appended here.
    pub(super) fn known(&self) -> Option<Offset> {
        let state = self.state();
        let (last, appended) = (state.last.clone(), state.appended.clone());
        last.into_iter().chain(appended).max_by_key(Offset::number)
    }

    /// How many publishes this node knows of that can be in the journal no more, when `next` comes behind what was
    /// delivered last: their numbers are given anew.
    pub(super) fn forgotten(&self, next: &Offset) -> u64 {
        let state = self.state();
        let Some(last) = &state.last else { return 0 };
        let appended = state.appended.as_ref().filter(|appended| appended.epoch() == last.epoch());
        let known = appended.map_or(0, Offset::number).max(last.number());
        // What had to go anyway is none of them.
        (known + 1).saturating_sub(next.number()).min(self.bounds.events as u64)
    }

    /// Room for what is to be appended, as soon as there is any.
    pub(super) async fn wait_for_room(&self, record: &Bytes) -> Result<OwnedSemaphorePermit> {
        Ok(Arc::clone(&self.room).acquire_many_owned(size(record)).await?)
    }

    /// What is to be appended, for the one task that does it.
    pub(super) fn waiting(&self) -> Option<mpsc::Receiver<Outgoing>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Appends where the journal is in this process.
    pub(super) fn append_here(&self, record: Bytes) -> Result<Offset> {
        let appended = self.bus.append(&self.name, &[record], self.bounds, None).now_or_never();
        let entry = appended.and_then(|mut results| results.pop()).unwrap_or_else(|| Err(away()));
        entry.map(|entry| entry.offset)
    }

    /// Reads where the journal is in this process.
    pub(crate) fn read_here(&self, after: Option<&Offset>, limit: usize) -> Result<Page> {
        self.bus.read(&self.name, after, limit, self.bounds).now_or_never().unwrap_or_else(|| Err(away()))
    }

    /// Reads wherever the journal is.
    pub(crate) async fn read(&self, after: Option<&Offset>, limit: usize) -> Result<Page> {
        self.bus.read(&self.name, after, limit, self.bounds).await
    }

    /// Something that a client which comes back asks of the bus, when it is its turn.
    pub(crate) async fn in_turn<T>(&self, ask: impl Future<Output = Result<T>>) -> Result<T> {
        let overloaded = || Error::overloaded("too many clients come back at once");
        let _turn = timeout(TURN, self.turns.acquire()).await.map_err(|_| overloaded())??;
        ask.await
    }

    /// Begins a new epoch where something is missing: from here on nobody gets across that. What goes missing meanwhile may
    /// be in the new one: that is for the next call.
    pub(crate) async fn mend(&self) -> Result<()> {
        let (breaks, mended) = {
            let state = self.state();
            (state.breaks, state.mended)
        };
        if breaks != mended {
            let now = self.read(None, 1).await?.last;
            self.bus.renew(&self.name, &now, self.bounds).await?;
            let mut state = self.state();
            state.mended = state.mended.max(breaks);
        }
        Ok(())
    }
}

/// A record is smaller than what may wait.
fn size(record: &Bytes) -> u32 {
    u32::try_from(record.len().min(OUTGOING_BYTES)).unwrap_or(u32::MAX)
}

fn away() -> Error {
    Error::unavailable("the journal is away")
}

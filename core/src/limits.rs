//! How much clients may send, and how often they may fail to get in: rates of connections, subjects, events and addresses.
//!
//! Whatever carries a client, its events come here by way of [`Client::event`](crate::client::Client::event), and are
//! counted by the name that they stand for. What a connection has sent is kept with the connection; subjects and
//! addresses have tables of a fixed size, so that coming back, or coming with many names, changes nothing.

mod debt;
mod meter;
mod own;
mod pauses;
mod scope;
mod subjects;
mod table;
mod ticks;

use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use carillon_config::{LimitSettings, Rate};
use governor::nanos::Nanos;
use governor::state::{InMemoryState, NotKeyed};
use prometheus::IntCounter;
use tokio::time::Instant;

use self::debt::Debt;
use self::meter::Meter;
pub(crate) use self::meter::Slot;
pub(crate) use self::own::OwnLimit;
pub(crate) use self::pauses::Pauses;
pub(crate) use self::scope::{Over, Scope};
pub(crate) use self::subjects::Claimed;
use self::subjects::Subjects;
use self::table::Table;
use self::ticks::Ticks;
use crate::error::Error;
use crate::metrics::Metrics;
use crate::peer::{Peer, address_group};
use crate::throttle::Throttle;

/// The limits of an application, and what is known of those they are for.
pub(crate) struct RateLimits {
    ticks: Ticks,
    /// Makes keys of names, in a way that nobody can foretell.
    keys: RandomState,
    connection_events: Option<Debt>,
    connection_bytes: Option<Debt>,
    /// Of one connection, until it is closed.
    refusals: Option<Debt>,
    subjects: Subjects,
    failed_connects: Option<(Debt, Table)>,
    /// What limits of single events count in.
    own: Arc<Table>,
    counted: [IntCounter; Scope::ALL.len()],
    pub(crate) pauses: Pauses,
    /// Limits log lines about clients that go on to one a second.
    pub(crate) log: Throttle,
}

/// Whose events they are.
pub(crate) struct Sender {
    slot: Slot,
    subject: Option<u64>,
}

impl Sender {
    fn meter(&self) -> &Meter {
        self.slot.get_or_init(Box::default)
    }
}

/// What counts of an event.
#[derive(Default)]
pub(crate) struct Counted<'a> {
    /// As received, with its attachments.
    pub(crate) bytes: usize,
    /// What the token of its sender says.
    pub(crate) claimed: Claimed,
    /// The event's own limit.
    pub(crate) own: Option<&'a OwnLimit>,
    /// It shows a newer token, which may say more: no limit of bytes refuses it.
    pub(crate) refreshes: bool,
}

/// Takes so many from a cell of one connection.
fn take(debt: &Debt, cell: &InMemoryState, count: u64, now: Nanos) -> Result<Option<Duration>, Duration> {
    debt.take((cell, &NotKeyed::NonKey), count, now)
}

impl RateLimits {
    pub(crate) fn new(settings: LimitSettings, metrics: &Metrics, pauses: Pauses) -> Self {
        let ticks = Ticks::start();
        let table = || Table::new(settings.max_entries, ticks);
        Self {
            ticks,
            keys: RandomState::new(),
            connection_events: Debt::new(settings.connection_events()),
            connection_bytes: Debt::new(settings.connection_bytes()),
            refusals: Debt::new(settings.refusals()),
            subjects: Subjects::new(&settings, ticks),
            failed_connects: Debt::new(settings.failed_connects()).map(|debt| (debt, table())),
            own: Arc::new(table()),
            counted: Scope::ALL.map(|scope| metrics.rate_limited.with_label_values(&[scope.as_str()])),
            pauses,
            log: Throttle::per_second(),
        }
    }

    /// A limit of one event's own.
    pub(crate) fn own(&self, rate: Rate) -> OwnLimit {
        OwnLimit::new(rate, &self.own)
    }

    /// Whose the events of `peer` are; `None` where nothing is limited. `own` tells that some event is.
    pub(crate) fn sender(&self, peer: &Peer, own: bool) -> Option<Sender> {
        let subject = peer.identity().map(|identity| self.keys.hash_one(identity.subject()));
        // A newer token may say what this one does not.
        let any = self.connection_events.is_some() || self.connection_bytes.is_some() || own || subject.is_some();
        any.then(|| Sender { slot: peer.meter(), subject })
    }

    /// Takes an event of so many bytes that came at `moment`: for how long its connection is not to be read from then, if so, and whether it gets
    /// through; what is over a limit is counted. A refusal can come with a pause: the event has been read all the same.
    pub(crate) fn take(
        &self,
        sender: &Sender,
        event: &Counted<'_>,
        moment: Instant,
    ) -> (Option<Duration>, Result<(), Over>) {
        let now = self.ticks.at(moment);
        let (pause, in_bytes) = self.take_bytes(sender, event.claimed.bytes, event.bytes as u64, now);
        let in_bytes = if event.refreshes { Ok(()) } else { in_bytes };
        let taken = in_bytes.and_then(|()| match event.own {
            Some(own) => {
                let key = sender.subject.unwrap_or_else(|| sender.meter().key);
                own.take(key, now).map_err(|wait| Over { scope: Scope::Event, wait })
            }
            None => self.take_event(sender, event.claimed.events, now),
        });
        (pause, taken.inspect_err(|over| self.count(*over)))
    }

    /// Bytes that are over a limit pause whichever connection they come over, for as long as it takes.
    fn take_bytes(
        &self,
        sender: &Sender,
        claimed: Option<Rate>,
        bytes: u64,
        now: Nanos,
    ) -> (Option<Duration>, Result<(), Over>) {
        let connection = match &self.connection_bytes {
            Some(debt) => take(debt, &sender.meter().bytes, bytes, now),
            None => Ok(None),
        };
        let connection = match connection {
            Ok(pause) => pause,
            Err(wait) => return (Some(wait), Err(Over { scope: Scope::ConnectionBytes, wait })),
        };
        let subject = sender.subject.map(|subject| self.subjects.take_bytes(subject, claimed, bytes, now));
        match subject.unwrap_or(Ok(None)) {
            Ok(pause) => (connection.max(pause), Ok(())),
            Err(over) => (connection.max(Some(over.wait)), Err(over)),
        }
    }

    fn take_event(&self, sender: &Sender, claimed: Option<Rate>, now: Nanos) -> Result<(), Over> {
        // Without a limit no meter is made for it.
        if let Some(debt) = &self.connection_events {
            let over = |wait| Over { scope: Scope::ConnectionEvents, wait };
            take(debt, &sender.meter().events, 1, now).map_err(over)?;
        }
        sender.subject.map_or(Ok(()), |subject| self.subjects.take_event(subject, claimed, now))
    }

    fn count(&self, Over { scope, .. }: Over) {
        self.counted[scope as usize].inc();
    }

    /// An event was refused. Whether that was one too many.
    pub(crate) fn goes_on(&self, sender: &Sender) -> bool {
        let refused = |debt| take(debt, &sender.meter().refusals, 1, self.ticks.now()).is_err();
        self.refusals.as_ref().is_some_and(refused)
    }

    /// Asks whether a client of this address may try to connect.
    ///
    /// # Errors
    /// Too many of them have failed; it is counted.
    pub(crate) fn may_connect(&self, address: IpAddr) -> Result<(), Over> {
        let Some((debt, table)) = &self.failed_connects else { return Ok(()) };
        let Some(key) = self.address(address) else { return Ok(()) };
        let now = self.ticks.now();
        match table.peek(debt.key(key), |until| debt.wait(until, now)) {
            Some(wait) => Err(Over { scope: Scope::FailedConnects, wait }).inspect_err(|over| self.count(*over)),
            None => Ok(()),
        }
    }

    /// A client of this address was refused; what is wrong here says nothing about it.
    pub(crate) fn connect_failed(&self, address: IpAddr, error: &Error) {
        if error.code().is_ours() {
            return;
        }
        if let Some((debt, table)) = &self.failed_connects
            && let Some(key) = self.address(address)
        {
            // Several may have been asked about at once: who comes next waits.
            debt.take((table, &debt.key(key)), 1, self.ticks.now()).ok();
        }
    }

    /// The key of an address. This machine's own have none: a proxy may speak for everybody.
    fn address(&self, address: IpAddr) -> Option<u64> {
        let group = address_group(address);
        (!group.is_loopback()).then(|| self.keys.hash_one(group))
    }
}

#[cfg(test)]
mod tests;

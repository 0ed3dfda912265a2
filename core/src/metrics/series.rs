//! Handles of series, bound at boot so that the hot path is atomics.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};

use prometheus::{Histogram, IntCounter, IntCounterVec};

use crate::sink::{Mode, Taken};

/// Handles of one received event's series.
pub(crate) struct Inbound {
    received: IntCounter,
    bytes: IntCounter,
    pub(crate) seconds: Histogram,
    ok: IntCounter,
    outcomes: IntCounterVec,
    labels: (String, String),
    /// Its handler has lately kept its thread for long, or waited.
    slow: AtomicBool,
}

impl Inbound {
    pub(super) fn new(
        received: IntCounter,
        bytes: IntCounter,
        seconds: Histogram,
        outcomes: IntCounterVec,
        (namespace, event): (&str, &str),
    ) -> Self {
        let ok = outcomes.with_label_values(&[namespace, event, "ok"]);
        Self {
            received,
            bytes,
            seconds,
            ok,
            outcomes,
            labels: (namespace.to_owned(), event.to_owned()),
            slow: AtomicBool::new(false),
        }
    }

    /// An event of so many bytes was received.
    pub(crate) fn arrived(&self, bytes: usize) {
        self.received.inc();
        self.bytes.inc_by(bytes as u64);
    }

    /// Whether the last handler of this event took long.
    pub(crate) fn is_slow(&self) -> bool {
        self.slow.load(Ordering::Relaxed)
    }

    /// Says whether a handler took long.
    pub(crate) fn note_slow(&self, slow: bool) {
        if self.is_slow() != slow {
            self.slow.store(slow, Ordering::Relaxed);
        }
    }

    /// It ended so.
    pub(crate) fn ended(&self, outcome: &'static str) {
        if outcome == "ok" {
            self.ok.inc();
        } else {
            self.outcomes.with_label_values(&[&self.labels.0, &self.labels.1, outcome]).inc();
        }
    }
}

/// Handles of one sent event's series, and how it is sent.
pub(crate) struct Outbound {
    /// The mode of publishes that do not say.
    pub(crate) mode: Mode,
    pub(crate) sent: IntCounter,
    pub(crate) bytes: IntCounter,
    pub(crate) publishes: IntCounter,
    /// The namespace's own.
    pub(crate) fanout: Histogram,
}

impl Outbound {
    pub(crate) fn count(&self, copies: u64, bytes: usize) {
        self.sent.inc_by(copies);
        self.bytes.inc_by(copies * bytes as u64);
    }
}

/// What may become of one published copy; a label of `deliveries_total`.
#[derive(Debug, Clone, Copy)]
enum Outcome {
    Delivered,
    Replaced,
    Volatile,
    Slow,
    Closed,
}

/// Their names, in the order of the outcomes.
const OUTCOMES: [&str; 5] = ["delivered", "replaced", "volatile", "slow", "closed"];

/// `deliveries_total` by outcome: the ledger of all published copies. Their sum is `deliveries_expected_total`.
pub struct Deliveries([IntCounter; OUTCOMES.len()]);

impl Deliveries {
    pub(super) fn new(family: &IntCounterVec) -> Self {
        Self(OUTCOMES.map(|outcome| family.with_label_values(&[outcome])))
    }

    fn count(&self, outcome: Outcome, copies: u64) {
        self.0[outcome as usize].inc_by(copies);
    }

    /// What a sink said to a part of a run; the queued ones it reports itself, later.
    pub(crate) fn taken(&self, taken: &Taken) {
        let outcomes = [
            (Outcome::Delivered, taken.delivered),
            (Outcome::Volatile, taken.volatile),
            (Outcome::Slow, taken.slow),
            (Outcome::Closed, taken.closed),
        ];
        let some = outcomes.into_iter().filter(|(_, copies)| *copies > 0);
        some.for_each(|(outcome, copies)| self.count(outcome, copies));
    }

    /// Accepted by the kernel, or handed to a poll's response.
    pub fn delivered(&self, copies: u64) {
        self.count(Outcome::Delivered, copies);
    }

    /// Replaced by a newer one before they left ([`Mode::Latest`](crate::sink::Mode::Latest)).
    pub fn replaced(&self, copies: u64) {
        self.count(Outcome::Replaced, copies);
    }

    /// Dropped because something was waiting already ([`Mode::Volatile`](crate::sink::Mode::Volatile)).
    pub fn volatile(&self, copies: u64) {
        self.count(Outcome::Volatile, copies);
    }

    /// Lost with a client that was closed because it did not read fast enough.
    pub fn slow(&self, copies: u64) {
        self.count(Outcome::Slow, copies);
    }

    /// Lost with a client that was gone.
    pub fn closed(&self, copies: u64) {
        self.count(Outcome::Closed, copies);
    }
}

/// What became of every published copy so far. In a moment of rest, and at the end, it is balanced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ledger {
    expected: u64,
    outcomes: [u64; OUTCOMES.len()],
}

impl Ledger {
    pub(super) fn new(expected: &IntCounter, deliveries: &Deliveries) -> Self {
        Self { expected: expected.get(), outcomes: deliveries.0.each_ref().map(|counter| counter.get()) }
    }

    /// Whether every copy is accounted for.
    #[must_use]
    pub fn is_balanced(&self) -> bool {
        self.expected == self.outcomes.iter().sum::<u64>()
    }
}

impl fmt::Display for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let outcomes = OUTCOMES.iter().zip(self.outcomes).map(|(name, copies)| format!("{name} {copies}"));
        write!(f, "expected {}: {}", self.expected, outcomes.collect::<Vec<_>>().join(", "))
    }
}

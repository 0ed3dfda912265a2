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

/// `deliveries_total` by outcome: the ledger of all published copies. Their sum is `deliveries_expected_total`.
pub struct Deliveries {
    delivered: IntCounter,
    replaced: IntCounter,
    volatile: IntCounter,
    slow: IntCounter,
    closed: IntCounter,
}

impl Deliveries {
    pub(super) fn new(family: &IntCounterVec) -> Self {
        let of = |outcome| family.with_label_values(&[outcome]);
        Self {
            delivered: of("delivered"),
            replaced: of("replaced"),
            volatile: of("volatile"),
            slow: of("slow"),
            closed: of("closed"),
        }
    }

    /// What a sink said to a part of a run; the queued ones it reports itself, later.
    pub(crate) fn taken(&self, taken: &Taken) {
        self.delivered(taken.delivered);
        self.volatile(taken.volatile);
        self.slow(taken.slow);
        self.closed(taken.closed);
    }

    /// Accepted by the kernel, or handed to a poll's response.
    pub fn delivered(&self, copies: u64) {
        self.delivered.inc_by(copies);
    }

    /// Replaced by a newer one before they left ([`Mode::Latest`](crate::sink::Mode::Latest)).
    pub fn replaced(&self, copies: u64) {
        self.replaced.inc_by(copies);
    }

    /// Dropped because something was waiting already ([`Mode::Volatile`](crate::sink::Mode::Volatile)).
    pub fn volatile(&self, copies: u64) {
        self.volatile.inc_by(copies);
    }

    /// Lost with a client that was closed because it did not read fast enough.
    pub fn slow(&self, copies: u64) {
        self.slow.inc_by(copies);
    }

    /// Lost with a client that was gone.
    pub fn closed(&self, copies: u64) {
        self.closed.inc_by(copies);
    }
}

/// What became of every published copy so far. In a moment of rest, and at the end, it is balanced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ledger {
    expected: u64,
    delivered: u64,
    replaced: u64,
    volatile: u64,
    slow: u64,
    closed: u64,
}

impl Ledger {
    pub(super) fn new(expected: &IntCounter, deliveries: &Deliveries) -> Self {
        Self {
            expected: expected.get(),
            delivered: deliveries.delivered.get(),
            replaced: deliveries.replaced.get(),
            volatile: deliveries.volatile.get(),
            slow: deliveries.slow.get(),
            closed: deliveries.closed.get(),
        }
    }

    /// Whether every copy is accounted for.
    #[must_use]
    pub fn is_balanced(&self) -> bool {
        self.expected == self.delivered + self.replaced + self.volatile + self.slow + self.closed
    }
}

impl fmt::Display for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { expected, delivered, replaced, volatile, slow, closed } = self;
        write!(
            f,
            "expected {expected}: delivered {delivered}, replaced {replaced}, volatile {volatile}, slow {slow}, closed {closed}"
        )
    }
}

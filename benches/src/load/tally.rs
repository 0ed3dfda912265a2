//! What the clients of one server received in one round: how much, in which order, and how late.

use std::collections::VecDeque;

use hdrhistogram::Histogram;

use super::mark::hex;
use crate::load::shape::Shape;

/// Latencies are kept to a thousandth of themselves, up to a minute.
const LATENCY_MAX: u64 = 60_000_000_000;

/// Counts of one round.
#[derive(Debug)]
pub(crate) struct Tally {
    /// Clients that must receive everything.
    pub(crate) clients: u64,
    /// Bytes read, of everything.
    pub(crate) bytes: u64,
    /// Reads that found something.
    pub(crate) reads: u64,
    /// To whom messages go.
    pub(crate) shape: Shape,
    /// Messages under test.
    pub(crate) messages: u64,
    /// Messages that were skipped.
    pub(crate) lost: u64,
    /// Messages that came twice, or after a later one.
    pub(crate) disorder: u64,
    /// From the time in the mark to the time of the read, in nanoseconds.
    pub(crate) latency: Histogram<u64>,
    /// One message in so many is timed; a power of two.
    sample: u64,
    /// Milestones are so many messages apart.
    step: u64,
    /// How many clients passed each of the milestones after `seen`.
    passed: VecDeque<u64>,
    seen: u64,
}

impl Tally {
    /// Counts for `clients` clients that must receive everything.
    pub(crate) fn new(clients: u64) -> Self {
        Self {
            clients,
            bytes: 0,
            reads: 0,
            shape: Shape::Plain,
            messages: 0,
            lost: 0,
            disorder: 0,
            latency: histogram(),
            sample: 1,
            step: 1,
            passed: VecDeque::new(),
            seen: 0,
        }
    }

    /// Starts a round: times one message in `sample` (a power of two), and says every `step` messages how far all are.
    pub(crate) fn begin(&mut self, (sample, step): (u64, u64), shape: Shape) {
        *self = Self { sample: sample.next_power_of_two(), step: step.max(1), shape, ..Self::new(self.clients) };
    }

    /// A message that came after `next - 1` messages of the round, read at `now`. Returns what the next one's number is.
    #[inline]
    pub(crate) fn message(&mut self, next: u64, client: u64, (number, time): (u64, &[u8; 16]), now: u64) -> u64 {
        self.messages += 1;
        if (number + client) & (self.sample - 1) == 0 {
            self.latency.saturating_record(now.saturating_sub(hex(time)));
        }
        if number == next {
            return self.shape.next(next + 1, client, self.clients);
        }
        self.unexpected(next, number, client)
    }

    #[cold]
    fn unexpected(&mut self, next: u64, number: u64, client: u64) -> u64 {
        let (shape, clients) = (self.shape, self.clients);
        // Too late, or for somebody else.
        if number < next || !shape.wants(number, client, clients) && shape != Shape::Twice {
            self.disorder += 1;
            return next;
        }
        self.lost += (next..number).filter(|number| shape.wants(*number, client, clients)).count() as u64;
        shape.next(number + 1, client, clients)
    }

    /// A client got from `before` messages to `after`.
    #[inline]
    pub(crate) fn advance(&mut self, before: u64, after: u64) {
        let (first, last) = (before / self.step + 1, after / self.step);
        for milestone in first..=last {
            let at = (milestone - self.seen / self.step - 1) as usize;
            if self.passed.len() <= at {
                self.passed.resize(at + 1, 0);
            }
            self.passed[at] += 1;
        }
        while self.passed.front() == Some(&self.clients) {
            self.passed.pop_front();
            self.seen += self.step;
        }
    }

    /// How many messages all clients have received, to the last milestone.
    pub(crate) fn seen(&self) -> u64 {
        self.seen
    }

    /// Whether nothing more is to come once `total` messages have been sent.
    pub(crate) fn complete(&self, total: u64) -> bool {
        self.messages + self.lost >= self.shape.deliveries(total, self.clients)
    }

    /// Deliveries of `total` messages that did not come.
    pub(crate) fn missing(&self, total: u64) -> u64 {
        self.shape.deliveries(total, self.clients).saturating_sub(self.messages)
    }

    /// What is wrong with a round of `total` messages; nothing, when each client received each message once and in order.
    pub(crate) fn mistakes(&self, total: u64) -> Vec<String> {
        let (missing, all) = (self.missing(total), self.shape.deliveries(total, self.clients));
        let mut mistakes = Vec::new();
        if missing > 0 {
            mistakes.push(format!("{missing} of {all} deliveries are missing"));
        }
        if self.disorder > 0 {
            mistakes.push(format!("{} came twice or out of order", self.disorder));
        }
        mistakes
    }
}

/// An empty histogram of latencies in nanoseconds.
#[expect(clippy::expect_used, reason = "fails for bounds that contradict each other, and these do not")]
pub(crate) fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, LATENCY_MAX, 3).expect("valid bounds")
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIME: &[u8; 16] = b"0000000000000064"; // 100 ns

    fn receive(tally: &mut Tally, next: &mut [u64], client: usize, number: u64) {
        let before = next[client];
        next[client] = tally.message(before, client as u64, (number, TIME), 300);
        tally.advance(before, next[client]);
    }

    /// All is counted, the slowest client decides how far all are, and a clean round has no mistakes.
    #[test]
    fn a_clean_round() {
        let (mut tally, mut next) = (Tally::new(2), [0; 2]);
        tally.begin((1, 2), Shape::Plain);
        for number in 0..5 {
            receive(&mut tally, &mut next, 0, number);
        }
        assert_eq!((tally.seen(), tally.complete(5)), (0, false));
        for number in 0..3 {
            receive(&mut tally, &mut next, 1, number);
        }
        assert_eq!(tally.seen(), 2);
        for number in 3..5 {
            receive(&mut tally, &mut next, 1, number);
        }
        assert_eq!((tally.seen(), tally.complete(5), tally.messages), (4, true, 10));
        assert_eq!(tally.mistakes(5), Vec::<String>::new());
        assert_eq!((tally.latency.len(), tally.latency.max()), (10, 200));
        tally.begin((4, 1), Shape::Plain);
        assert_eq!((tally.messages, tally.seen(), tally.clients), (0, 0, 2));
    }

    /// A gap, a repetition and a missing end are told apart, and each makes the round fail.
    #[test]
    fn mistakes() {
        let (mut tally, mut next) = (Tally::new(1), [0; 1]);
        for number in [0, 2, 1, 3] {
            receive(&mut tally, &mut next, 0, number);
        }
        assert_eq!((tally.lost, tally.disorder, next[0]), (1, 1, 4));
        assert_eq!(tally.mistakes(4), ["1 came twice or out of order"]);
        assert_eq!(tally.mistakes(5).len(), 2, "the fifth never came");
        let silent = Tally::new(3);
        assert_eq!(silent.mistakes(2), ["6 of 6 deliveries are missing"]);
    }

    /// One message in so many is timed, and not the same one for every client.
    #[test]
    fn sampling() {
        let mut tally = Tally::new(4);
        tally.begin((4, 1), Shape::Plain);
        for client in 0..4 {
            for number in 0..8 {
                tally.message(number, client, (number, TIME), 100);
            }
        }
        assert_eq!(tally.latency.len(), 8);
    }
}

//! A client that keeps so many events under way: each answer lets it send the next ones.

use std::collections::VecDeque;

use super::packet::Dialect;

/// What such a client sends, and what became of it.
#[derive(Debug)]
pub(crate) struct Calling {
    /// The event with an answer: what stands before its number, and what follows.
    call: (String, String),
    /// Events without an answer that are sent before each one with an answer.
    notes: (u64, String),
    next: u64,
    /// Numbers and times of the calls under way.
    sent: VecDeque<(u64, u64)>,
    /// Whether an answer lets it send more.
    pub(crate) open: bool,
    /// From a call to its answer, in nanoseconds.
    pub(crate) waits: Vec<u64>,
    /// Events that were sent, with an answer or without.
    pub(crate) events: u64,
    /// Answers to calls that were not under way, or not next.
    pub(crate) strange: u64,
}

impl Calling {
    /// Events `call` with `argument`, and before each of them so many `note` without an answer.
    pub(crate) fn new(dialect: &Dialect, (call, argument): (&str, &str), (notes, note): (u64, &str)) -> Self {
        let whole = dialect.call(0, call, argument);
        let (before, after) = whole.split_once("0[").unwrap_or((&whole, "]"));
        Self {
            call: (before.to_owned(), format!("[{after}")),
            notes: (notes, dialect.event(note, argument)),
            next: 0,
            sent: VecDeque::new(),
            open: true,
            waits: Vec::new(),
            events: 0,
            strange: 0,
        }
    }

    /// The next packets, sent at `now`.
    pub(super) fn next(&mut self, now: u64, mut say: impl FnMut(&str)) {
        for _ in 0..self.notes.0 {
            say(&self.notes.1);
        }
        say(&format!("{}{}{}", self.call.0, self.next, self.call.1));
        self.sent.push_back((self.next, now));
        self.events += self.notes.0 + 1;
        self.next += 1;
    }

    /// The answer to call `id` was read at `now`. Whether more is to be sent.
    pub(super) fn answered(&mut self, id: u64, now: u64) -> bool {
        match self.sent.pop_front() {
            Some((expected, at)) if expected == id => self.waits.push(now.saturating_sub(at)),
            _ => self.strange += 1,
        }
        self.open
    }

    /// Calls that have no answer yet.
    pub(crate) fn under_way(&self) -> usize {
        self.sent.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Events leave in order, answers are timed, and one out of turn is strange.
    #[test]
    fn an_answer_lets_it_send_the_next() {
        let mut calling = Calling::new(&Dialect::new("/bench", "tick"), ("echo", "{}"), (1, "note"));
        let mut said = Vec::new();
        calling.next(100, |text| said.push(text.to_owned()));
        calling.next(150, |text| said.push(text.to_owned()));
        let note = "42/bench,[\"note\",{}]";
        assert_eq!(said, [note, "42/bench,0[\"echo\",{}]", note, "42/bench,1[\"echo\",{}]"]);
        assert!(calling.answered(0, 130));
        calling.open = false;
        assert!(!calling.answered(7, 200));
        assert_eq!((calling.waits.as_slice(), calling.strange, calling.events), (&[30][..], 1, 4));
        assert_eq!(calling.under_way(), 0);
    }
}

//! The embedded bus's journals: what was appended to each, for as long as its bounds say.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use tokio::time::Instant;

use crate::journal::{Bounds, Entry, Offset, Page, new_epoch};

/// See the module's documentation.
#[derive(Default)]
pub(super) struct Journals(HashMap<String, Journal>);

/// One journal.
pub(super) struct Journal {
    epoch: Arc<str>,
    /// The number of the last entry there has been.
    last: u64,
    kept: VecDeque<(Instant, Entry)>,
    bytes: usize,
}

impl Default for Journal {
    fn default() -> Self {
        Self { epoch: new_epoch(), last: 0, kept: VecDeque::new(), bytes: 0 }
    }
}

impl Journals {
    pub(super) fn of(&mut self, name: &str, bounds: Bounds) -> &mut Journal {
        let journal = self.0.entry(name.to_owned()).or_default();
        journal.trim(bounds);
        journal
    }
}

impl Journal {
    /// Numbers and keeps a record.
    pub(super) fn append(&mut self, record: Bytes) -> Entry {
        self.last += 1;
        self.bytes += record.len();
        let entry = Entry::now(Offset::new(Arc::clone(&self.epoch), self.last), record);
        self.kept.push_back((Instant::now(), entry.clone()));
        entry
    }

    /// See [`Bus::read`](crate::bus::Bus::read).
    pub(super) fn read(&self, after: Option<&Offset>, limit: usize) -> Page {
        let oldest = self.last - self.kept.len() as u64 + 1;
        let (whole, skip) = match after {
            None => (true, self.kept.len().saturating_sub(limit)),
            Some(after) => {
                let known = *after.epoch() == *self.epoch && (oldest..=self.last + 1).contains(&(after.number() + 1));
                let place = |known: &(Instant, Entry)| known.1.offset == *after;
                let behind = || self.kept.iter().rposition(place).map_or(0, |place| place + 1);
                (known, if known { (after.number() + 1 - oldest) as usize } else { behind() })
            }
        };
        let entries = self.kept.iter().skip(skip).take(limit).map(|(_, entry)| entry.clone()).collect();
        Page { entries, whole, last: Offset::new(Arc::clone(&self.epoch), self.last) }
    }

    /// Begins a new epoch, unless the one of `known` is over already.
    pub(super) fn renew(&mut self, known: &Offset) {
        if *known.epoch() == *self.epoch {
            self.epoch = new_epoch();
        }
    }

    fn trim(&mut self, bounds: Bounds) {
        let now = Instant::now();
        while let Some((since, entry)) = self.kept.front() {
            let too_many = self.kept.len() > bounds.events || (self.bytes > bounds.bytes && self.kept.len() > 1);
            if !too_many && now.duration_since(*since) < bounds.age {
                return;
            }
            self.bytes -= entry.record.len();
            self.kept.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const BOUNDS: Bounds = Bounds { events: 3, age: Duration::from_secs(10), bytes: 100 };

    fn numbers(page: &Page) -> (bool, Vec<u64>) {
        (page.whole, page.entries.iter().map(|entry| entry.offset.number()).collect())
    }

    /// What is read begins right after what was asked for, or says that it does not.
    #[tokio::test(start_paused = true)]
    async fn what_is_kept_is_read_in_order_and_what_is_missing_is_told() {
        let mut journals = Journals::default();
        let start = journals.of("a", BOUNDS).read(None, 10).last;
        assert_eq!(numbers(&journals.of("a", BOUNDS).read(Some(&start), 10)), (true, vec![]));
        let at = |number: u64| Offset::new(start.epoch().into(), number);
        for _ in 0..3 {
            journals.of("a", BOUNDS).append(Bytes::from_static(b"0123456789"));
        }
        let journal = journals.of("a", BOUNDS);
        assert_eq!(numbers(&journal.read(Some(&start), 10)), (true, vec![1, 2, 3]));
        assert_eq!(numbers(&journal.read(Some(&at(1)), 1)), (true, vec![2]));
        assert_eq!(numbers(&journal.read(Some(&at(3)), 10)), (true, vec![]));
        assert_eq!(numbers(&journal.read(Some(&at(4)), 10)), (false, vec![1, 2, 3]), "what never was");
        assert_eq!(numbers(&journal.read(Some(&Offset::new("other".into(), 1)), 10)), (false, vec![1, 2, 3]));
        assert_eq!(numbers(&journal.read(None, 2)), (true, vec![2, 3]), "the newest");
        journal.append(Bytes::new());
        let journal = journals.of("a", BOUNDS);
        assert_eq!(numbers(&journal.read(Some(&start), 10)), (false, vec![2, 3, 4]), "one too many");
        assert_eq!(numbers(&journal.read(Some(&at(1)), 10)), (true, vec![2, 3, 4]));
        journal.append(Bytes::from(vec![0; 95]));
        assert_eq!(numbers(&journals.of("a", BOUNDS).read(Some(&at(4)), 10)), (true, vec![5]), "too many bytes");
        tokio::time::advance(Duration::from_secs(9)).await;
        journals.of("a", BOUNDS).append(Bytes::new());
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(numbers(&journals.of("a", BOUNDS).read(Some(&at(5)), 10)), (true, vec![6]), "too old");
        tokio::time::advance(Duration::from_secs(9)).await;
        let page = journals.of("a", BOUNDS).read(Some(&at(6)), 10);
        assert_eq!((numbers(&page), page.last), ((true, vec![]), at(6)), "nothing is left, and nothing is missing");
        assert_eq!(numbers(&journals.of("a", BOUNDS).read(Some(&at(5)), 10)), (false, vec![]));
    }

    /// Who holds an offset of an epoch that is over does not get on; numbers go on.
    #[tokio::test(start_paused = true)]
    async fn an_epoch_ends_once() {
        let mut journals = Journals::default();
        let journal = journals.of("a", BOUNDS);
        let old = journal.append(Bytes::new()).offset;
        journal.renew(&old);
        let renewed = journal.read(None, 1).last;
        assert_ne!(renewed.epoch(), old.epoch());
        journal.renew(&old);
        assert_eq!(journal.read(None, 1).last, renewed, "whoever says it second");
        let next = journal.append(Bytes::new()).offset;
        assert!(renewed.is_before(&next));
        assert_eq!(numbers(&journal.read(Some(&old), 10)), (false, vec![2]), "what follows it, of whatever epoch");
        assert_eq!(numbers(&journal.read(Some(&renewed), 10)), (true, vec![2]));
    }
}

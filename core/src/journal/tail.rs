//! What was delivered here last, ready to be sent again: most who come back have missed no more than that, and when a node
//! has died they all come at once and have missed the same.

use std::collections::VecDeque;
use std::sync::{Arc, OnceLock};

use super::{Entry, Keeper, Offset, Record};
use crate::packet::Item;

/// Publishes, and bytes of their packets, that are kept here at most.
const EVENTS: usize = 4096;
const BYTES: usize = 4 << 20;

/// What stands in a journal at one place.
pub(crate) struct Kept {
    pub(crate) offset: Offset,
    /// Nothing when that is no publish: it was delivered to nobody.
    pub(crate) record: Option<Record>,
    /// As it goes to who takes offsets, once somebody is sent it again.
    ended: OnceLock<Item>,
}

impl Kept {
    pub(super) fn new(offset: Offset, record: Option<Record>) -> Self {
        Self { offset, record, ended: OnceLock::new() }
    }

    /// Reads an entry of a journal.
    pub(crate) fn read(keeper: &Keeper, entry: &Entry) -> Self {
        Self::new(entry.offset.clone(), Record::read(keeper, entry).ok())
    }

    /// The event with its offset behind it.
    pub(crate) fn ended(&self, record: &Record) -> &Item {
        self.ended.get_or_init(|| record.item.with_last(format!("\"{}\"", self.offset).as_bytes()))
    }

    fn bytes(&self) -> usize {
        self.record.as_ref().map_or(0, |record| record.item.wire_len())
    }
}

/// See the module's documentation. One after the other, without a hole.
#[derive(Default)]
pub(super) struct Tail {
    kept: VecDeque<Arc<Kept>>,
    bytes: usize,
}

impl Tail {
    /// Something was delivered.
    pub(super) fn push(&mut self, kept: Arc<Kept>) {
        if self.kept.back().is_some_and(|last| !last.offset.is_before(&kept.offset)) {
            self.clear();
        }
        self.bytes += kept.bytes();
        self.kept.push_back(kept);
        while self.kept.len() > EVENTS || self.bytes > BYTES {
            self.bytes -= self.kept.pop_front().map_or(0, |oldest| oldest.bytes());
        }
    }

    /// What comes next is not what comes right after this.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Up to so many of what was delivered after `at`, if all of it is here.
    pub(super) fn after(&self, at: &Offset, many: usize) -> Option<Vec<Arc<Kept>>> {
        let first = self.kept.front().map(|first| &first.offset).filter(|first| first.epoch() == at.epoch())?;
        let begin = usize::try_from(at.next().number().checked_sub(first.number())?).ok()?;
        (begin <= self.kept.len()).then(|| self.kept.iter().skip(begin).take(many).map(Arc::clone).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(epoch: &str, number: u64) -> Offset {
        Offset::new(epoch.into(), number)
    }

    fn of(numbers: std::ops::RangeInclusive<u64>) -> Tail {
        let mut tail = Tail::default();
        numbers.for_each(|number| tail.push(Arc::new(Kept::new(at("e", number), None))));
        tail
    }

    fn numbers(found: Option<Vec<Arc<Kept>>>) -> Option<Vec<u64>> {
        found.map(|found| found.iter().map(|kept| kept.offset.number()).collect())
    }

    /// Everything after a place, or nothing at all.
    #[test]
    fn what_is_found_is_whole() {
        let tail = of(5..=9);
        for (number, found) in
            [(3, None), (4, Some(vec![5, 6, 7])), (7, Some(vec![8, 9])), (9, Some(vec![])), (10, None)]
        {
            assert_eq!(numbers(tail.after(&at("e", number), 3)), found, "after {number}");
        }
        for other in [at("f", 7), at("e", 0), at("e", u64::MAX - 1)] {
            assert!(tail.after(&other, 3).is_none(), "after {other}");
        }
        assert!(Tail::default().after(&at("e", 0), 3).is_none());
    }

    /// A hole, numbers that go back and another epoch end it.
    #[test]
    fn it_begins_again_behind_a_hole() {
        for next in [at("e", 11), at("e", 9), at("e", 7), at("f", 10)] {
            let mut tail = of(5..=9);
            tail.push(Arc::new(Kept::new(next.clone(), None)));
            assert_eq!(numbers(tail.after(&next.previous(), 3)), Some(vec![next.number()]), "{next}");
            assert!(tail.after(&at("e", 5), 3).is_none(), "{next}");
        }
    }

    #[test]
    fn it_is_bounded() {
        let tail = of(1..=10_000);
        assert_eq!(tail.kept.len(), EVENTS);
        assert!(tail.after(&at("e", 10_000 - EVENTS as u64 - 1), 1).is_none());
        assert_eq!(numbers(tail.after(&at("e", 10_000 - EVENTS as u64), 1)), Some(vec![10_001 - EVENTS as u64]));
    }
}

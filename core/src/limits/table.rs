//! A bounded number of rate limits by key: what has the least to wait for makes room for what is new.
//!
//! It is laid out as the cache of a processor is: a key may stand in eight places, which its hash decides, so that nothing
//! is ever searched, swept or grown. The hash is the key: no name is kept. Whoever wants to be forgotten needs eight others
//! in its places that each owe more than it does, and as nobody can tell where those are, about as many as the table
//! has entries: forgetting one costs more than waiting.

use std::convert::Infallible;
use std::sync::{Mutex, OnceLock, PoisonError};

use governor::nanos::Nanos;
use governor::state::StateStore;

/// Places that a key may have.
const WAYS: usize = 8;

/// See the module's documentation.
pub(super) struct Table {
    sets: usize,
    /// Made for the first key: many servers never need it.
    table: OnceLock<Box<[Mutex<Set>]>>,
}

type Set = [Entry; WAYS];

/// A key, and until when what it has sent counts, in nanoseconds; 0 is an entry that is free.
#[derive(Clone, Copy, Default)]
struct Entry {
    key: u64,
    until: u64,
}

impl Table {
    /// A table of so many entries, rounded up to whole sets.
    pub(super) fn new(entries: usize) -> Self {
        Self { sets: entries.div_ceil(WAYS).max(1), table: OnceLock::new() }
    }

    /// The entries that one of this key may take.
    fn set(&self, key: u64) -> &Mutex<Set> {
        let make = || std::iter::repeat_with(Mutex::default).take(self.sets).collect();
        let table = self.table.get_or_init(make);
        // The upper half of the product: as even as a remainder, without a division.
        &table[((u128::from(key) * self.sets as u128) >> 64) as usize]
    }

    /// Until when what `key` has sent counts, for `look`.
    pub(super) fn peek<T>(&self, key: u64, look: impl Fn(Option<Nanos>) -> T) -> T {
        if self.table.get().is_none() {
            return look(None);
        }
        let Err(seen) = self.measure_and_replace(&key, |until| Err::<(Infallible, Nanos), _>(look(until)));
        seen
    }

    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        self.table.get().map_or(0, |table| size_of_val(&**table))
    }
}

impl StateStore for Table {
    type Key = u64;

    fn measure_and_replace<T, F, E>(&self, key: &u64, measure: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let mut set = self.set(*key).lock().unwrap_or_else(PoisonError::into_inner);
        let known = set.iter_mut().find(|entry| entry.key == *key && entry.until > 0);
        let before = known.as_ref().map(|entry| entry.until.into());
        let (told, until) = measure(before)?;
        let until = until.as_u64();
        match known {
            Some(entry) => entry.until = until,
            None => {
                if let Some(least) = set.iter_mut().min_by_key(|entry| entry.until) {
                    *least = Entry { key: *key, until };
                }
            }
        }
        Ok(told)
    }
}

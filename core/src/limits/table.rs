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

use super::ticks::Ticks;

/// Places that a key may have.
const WAYS: usize = 8;

/// See the module's documentation.
pub(super) struct Table {
    sets: usize,
    ticks: Ticks,
    /// Made for the first key: many servers never need it.
    table: OnceLock<Box<[Mutex<Set>]>>,
}

type Set = [Entry; WAYS];

/// Whose limit it is, and the rate that it is asked about with: a token may say another one than the last.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) hash: u64,
    pub(super) per_s: u32,
}

/// The half of a hash that its set does not follow from, and until when what it has sent counts at that rate, in nanoseconds;
/// 0 is an entry that is free.
#[derive(Clone, Copy, Default)]
struct Entry {
    tag: u32,
    per_s: u32,
    until: u64,
}

impl Entry {
    /// Until when the same number counts at another rate.
    fn at(&self, per_s: u32, ticks: Ticks) -> u64 {
        if self.per_s == per_s {
            return self.until;
        }
        let now = ticks.now().as_u64();
        let left = u128::from(self.until.saturating_sub(now)) * u128::from(self.per_s) / u128::from(per_s.max(1));
        now.saturating_add(u64::try_from(left).unwrap_or(u64::MAX))
    }
}

impl Table {
    /// A table of so many entries, rounded up to whole sets.
    pub(super) fn new(entries: usize, ticks: Ticks) -> Self {
        Self { sets: entries.div_ceil(WAYS).max(1), ticks, table: OnceLock::new() }
    }

    /// The entries that one of this hash may take.
    fn set(&self, hash: u64) -> &Mutex<Set> {
        let make = || std::iter::repeat_with(Mutex::default).take(self.sets).collect();
        let table = self.table.get_or_init(make);
        // The upper half of the product: as even as a remainder, without a division.
        &table[((u128::from(hash) * self.sets as u128) >> 64) as usize]
    }

    /// Until when what `key` has sent counts, for `look`.
    pub(super) fn peek<T>(&self, key: Key, look: impl Fn(Option<Nanos>) -> T) -> T {
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
    type Key = Key;

    fn measure_and_replace<T, F, E>(&self, &Key { hash, per_s }: &Key, measure: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let mut set = self.set(hash).lock().unwrap_or_else(PoisonError::into_inner);
        let tag = hash as u32;
        let known = set.iter_mut().find(|entry| entry.tag == tag && entry.until > 0);
        let before = known.as_ref().map(|entry| entry.at(per_s, self.ticks).into());
        let (told, until) = measure(before)?;
        let new = Entry { tag, per_s, until: until.as_u64() };
        let place = match known {
            Some(entry) => Some(entry),
            None => set.iter_mut().min_by_key(|entry| entry.until),
        };
        if let Some(place) = place {
            *place = new;
        }
        Ok(told)
    }
}

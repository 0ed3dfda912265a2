//! What the whole server holds for clients it does not know yet: messages that have come in part, and their handshakes.
//!
//! How whoever receives something uses it: [`Budget::hold`] before anything is kept, [`Held::grow`] for every further
//! piece, before it is kept; `None` or `false` means that the client is refused (503 or 1013) and that nothing more is
//! read from it. What was held is given back when the [`Held`] is dropped. A message that is complete and goes on to the
//! router needs it no more: from there on the queues of the router count.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use carillon_core::peer::address_group;

/// The budget of a process. One address gets half of it at most.
pub(crate) struct Budget {
    most: usize,
    used: Mutex<Used>,
}

#[derive(Default)]
struct Used {
    total: usize,
    by: HashMap<IpAddr, usize>,
}

/// Bytes held for somebody; given back when dropped.
pub(crate) struct Held {
    budget: Arc<Budget>,
    key: IpAddr,
    bytes: usize,
}

impl Budget {
    /// A budget of so many bytes.
    pub(crate) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { most, used: Mutex::default() })
    }

    fn used(&self) -> MutexGuard<'_, Used> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Room for so many bytes of somebody at `address`.
    pub(crate) fn hold(self: &Arc<Self>, address: IpAddr, bytes: usize) -> Option<Held> {
        let mut held = Held { budget: Arc::clone(self), key: address_group(address), bytes: 0 };
        held.grow(bytes).then_some(held)
    }

    /// Bytes held now, for everybody.
    pub(crate) fn total(&self) -> usize {
        self.used().total
    }
}

impl Held {
    /// Room for as much more of the same client's, held by itself.
    pub(crate) fn beside(&self, bytes: usize) -> Option<Self> {
        let mut held = Self { budget: Arc::clone(&self.budget), key: self.key, bytes: 0 };
        held.grow(bytes).then_some(held)
    }

    /// Makes it more, if there is room.
    #[must_use]
    pub(crate) fn grow(&mut self, more: usize) -> bool {
        if more == 0 {
            return true;
        }
        let mut used = self.budget.used();
        let own = used.by.get(&self.key).copied().unwrap_or_default();
        if used.total.saturating_add(more) > self.budget.most || own.saturating_add(more) > self.budget.most / 2 {
            return false;
        }
        used.total += more;
        *used.by.entry(self.key).or_default() += more;
        drop(used);
        self.bytes += more;
        true
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if self.bytes == 0 {
            return;
        }
        let mut used = self.budget.used();
        used.total -= self.bytes;
        if let Some(own) = used.by.get_mut(&self.key) {
            *own -= self.bytes;
            if *own == 0 {
                used.by.remove(&self.key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Nobody holds more than there is, nobody more than half, and what is dropped is there again.
    #[test]
    fn what_is_held_is_bounded_and_given_back() {
        let budget = Budget::new(100);
        let [a, b, c] = ["10.0.0.1", "10.0.0.2", "10.0.0.3"].map(|ip| ip.parse::<IpAddr>().unwrap());
        let mut first = budget.hold(a, 30).unwrap();
        assert!(first.grow(20) && !first.grow(1), "half");
        assert!(budget.hold(a, 1).is_none() && budget.hold(a, usize::MAX).is_none());
        let second = budget.hold(b, 50).unwrap();
        assert!(budget.hold(c, 1).is_none(), "all");
        assert!(budget.hold(c, 0).is_some());
        drop(first);
        assert!(budget.hold(c, 50).is_some());
        drop(second);
        assert_eq!((budget.total(), budget.used().by.len()), (0, 0));
    }
}

//! What is to be written down of clients: of each of them once, however often it changes, in the order of asking.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::Notify;

use super::life::Life;

/// Clients that are gone and not written down yet, at most.
const LAST_MAX: usize = 65_536;

/// The last thing that is known of a client, for as long as it may be gone; nothing when it is not to come back.
pub(super) struct Last {
    pub(super) life: Life,
    pub(super) known: Option<Bytes>,
}

/// See the module's documentation. No more than the clients that are connected, and [`LAST_MAX`].
#[derive(Default)]
pub(super) struct Pending {
    waiting: Mutex<Waiting>,
    news: Notify,
}

#[derive(Default)]
struct Waiting {
    /// The pids, in the order of asking.
    order: BTreeMap<u64, Arc<str>>,
    /// The place in that order; what is known while it is connected is asked when it is written.
    clients: HashMap<Arc<str>, (u64, Option<Last>)>,
    next: u64,
    lasts: usize,
}

impl Waiting {
    fn place(&mut self, pid: &Arc<str>) -> &mut (u64, Option<Last>) {
        let Self { order, clients, next, .. } = self;
        clients.entry(Arc::clone(pid)).or_insert_with(|| {
            order.insert(*next, Arc::clone(pid));
            *next += 1;
            (*next - 1, None)
        })
    }

    fn remove(&mut self, pid: &str) -> Option<Option<Last>> {
        let (place, last) = self.clients.remove(pid)?;
        self.order.remove(&place);
        self.lasts -= usize::from(last.is_some());
        Some(last)
    }
}

impl Pending {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is known of a client that is connected has changed.
    pub(super) fn changed(&self, pid: &Arc<str>) {
        self.waiting().place(pid);
        self.news.notify_one();
    }

    /// A client is gone. False when there is no room for that: it is not written down.
    pub(super) fn gone(&self, pid: &Arc<str>, last: Last) -> bool {
        let mut waiting = self.waiting();
        let earlier = waiting.remove(pid).flatten();
        if waiting.lasts >= LAST_MAX {
            return false;
        }
        let later = earlier.filter(|earlier| earlier.life > last.life);
        waiting.place(pid).1 = Some(later.unwrap_or(last));
        waiting.lasts += 1;
        drop(waiting);
        self.news.notify_one();
        true
    }

    /// A client has come back: what was last known of it does not matter any more.
    pub(super) fn forget(&self, pid: &str) {
        self.waiting().remove(pid);
    }

    /// Takes up to so many, as soon as there are any. Nothing is lost when nobody waits for that any more.
    pub(super) async fn next(&self, many: usize) -> Vec<(Arc<str>, Option<Last>)> {
        loop {
            let some = self.take(many);
            if !some.is_empty() {
                return some;
            }
            self.news.notified().await;
        }
    }

    fn take(&self, many: usize) -> Vec<(Arc<str>, Option<Last>)> {
        let mut waiting = self.waiting();
        let pids: Vec<_> = waiting.order.values().take(many).cloned().collect();
        let taken = |pid: Arc<str>| waiting.remove(&pid).map(|last| (pid, last));
        pids.into_iter().filter_map(taken).collect()
    }

    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.waiting().clients.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pid(n: usize) -> Arc<str> {
        n.to_string().into()
    }

    fn last(life: &Life, known: &'static str) -> Last {
        Last { life: life.clone(), known: Some(Bytes::from_static(known.as_bytes())) }
    }

    fn taken(pending: &Pending) -> Vec<(String, Option<Bytes>)> {
        let known = |last: Option<Last>| last.and_then(|last| last.known);
        pending.take(usize::MAX).into_iter().map(|(pid, last)| ((*pid).to_owned(), known(last))).collect()
    }

    /// Changes of one client are one, the end of its later connection stands, and the order is that of asking.
    #[test]
    fn each_client_waits_once() {
        let pending = Pending::default();
        let (first, second) = (Life::first(), Life::first().next());
        for n in [1, 2, 1] {
            pending.changed(&pid(n));
        }
        assert!(pending.gone(&pid(3), last(&second, "second")) && pending.gone(&pid(3), last(&first, "first")));
        assert!(pending.gone(&pid(4), last(&first, "first")));
        pending.forget("4");
        assert_eq!(taken(&pending), [("1".into(), None), ("2".into(), None), ("3".into(), Some("second".into()))]);
        assert_eq!((pending.len(), pending.waiting().lasts), (0, 0));
    }

    /// Clients that are gone take no more room than there is; those that are connected have theirs.
    #[test]
    fn what_waits_is_bounded() {
        let (pending, life) = (Pending::default(), Life::first());
        assert!((0..LAST_MAX).all(|n| pending.gone(&pid(n), last(&life, ""))));
        pending.changed(&pid(LAST_MAX));
        assert!(!pending.gone(&pid(LAST_MAX), last(&life, "")));
        assert_eq!(pending.len(), LAST_MAX);
        assert!(pending.gone(&pid(0), last(&life, "again")), "in its own place");
        assert_eq!(pending.take(1).len(), 1);
        assert!(pending.gone(&pid(LAST_MAX), last(&life, "")));
    }
}

//! One clock for all sessions: who is to be looked at, and when.
//!
//! A session has one alarm that counts, the earliest; what it finds to do then, and when it wants to be looked at
//! again, is its own business. So an idle connection has no timer, only an entry here.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Common;
use super::sessions::Id;

/// Alarms that are seen to before others get the thread.
const AT_ONCE: usize = 64;

#[derive(Default)]
pub(super) struct Alarms {
    heap: Mutex<BinaryHeap<Reverse<Alarm>>>,
    /// An earlier one than all others was set.
    earlier: Notify,
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Alarm {
    at: Instant,
    /// The session's number: of two at the same time the older session's comes first.
    number: u64,
    id: Id,
}

impl Alarms {
    fn heap(&self) -> MutexGuard<'_, BinaryHeap<Reverse<Alarm>>> {
        self.heap.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks at the session of this number and id at `at`.
    pub(super) fn set(&self, at: Instant, number: u64, id: Id) {
        let mut heap = self.heap();
        let earlier = heap.peek().is_none_or(|Reverse(first)| at < first.at);
        heap.push(Reverse(Alarm { at, number, id }));
        drop(heap);
        if earlier {
            self.earlier.notify_one();
        }
    }

    /// Those that are due, a few at a time; or when the next one is.
    fn due(&self, now: Instant) -> Result<Vec<Alarm>, Option<Instant>> {
        let mut heap = self.heap();
        let mut due = Vec::new();
        while due.len() < AT_ONCE
            && heap.peek().is_some_and(|Reverse(first)| first.at <= now)
            && let Some(Reverse(alarm)) = heap.pop()
        {
            due.push(alarm);
        }
        if due.is_empty() { Err(heap.peek().map(|Reverse(first)| first.at)) } else { Ok(due) }
    }
}

/// Rings the alarms until `stop`.
pub(super) async fn ring(common: Arc<Common>, stop: CancellationToken) {
    let ringing = async {
        loop {
            let earlier = common.alarms.earlier.notified();
            match common.alarms.due(Instant::now()) {
                Ok(due) => {
                    for Alarm { at, id, .. } in due {
                        if let Some(session) = common.sessions.get(id) {
                            session.alarmed(at);
                        }
                    }
                    tokio::task::yield_now().await;
                }
                Err(None) => earlier.await,
                // An earlier one is as good a reason to look again.
                Err(Some(next)) => drop(tokio::time::timeout_at(next, earlier).await),
            }
        }
    };
    stop.run_until_cancelled(ringing).await;
}

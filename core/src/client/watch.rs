//! The clock's look at one client: what is over its time is answered here, whatever the plugin's threads do.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::Client;
use super::queue::{Job, Run, What};
use crate::answer::{name_of, overdue, refuse, timed_out};
use crate::clock::{BLOCKED_AFTER, Blocked, Timed, note_blocked};

/// How long a run may take to come back from a handler the clock has answered for: to drop what waits, and to begin
/// with the next event. One that takes longer is blocked, and its client's events are answered without it.
const GRACE: Duration = Duration::from_millis(200);

/// Whether a run that could have come back at `since` should have; if not yet, it is looked at again.
fn late(since: Instant, now: Instant, next: &mut Instant) -> bool {
    let late = now >= since + GRACE;
    if !late {
        *next = (*next).min(since + GRACE);
    }
    late
}

impl Timed for Client {
    fn look(self: Arc<Self>, now: Instant, blocked: &mut Vec<Blocked>) -> Option<Instant> {
        let limit = self.namespace.limits.handler_timeout;
        let mut over = None;
        let mut guard = self.queue();
        let queue = &mut *guard;
        let mut next = now + limit;
        let stuck = match &mut queue.run {
            Run::Idle => {
                queue.watched = false;
                return None;
            }
            Run::Working => false,
            Run::Handed(since) => late(*since, now, &mut next),
            Run::Room(free) => {
                let room = queue.sink.as_ref().is_none_or(|sink| sink.has_room());
                *free = room.then(|| free.unwrap_or(now));
                free.is_some_and(|free| late(free, now, &mut next))
            }
            Run::Busy(current) => {
                if let Some(polling) = current.polling {
                    let what = &current.what;
                    let mark = (polling, &mut current.named);
                    note_blocked(&self.namespace, || name_of(&self.namespace, what), mark, now, blocked);
                    let found = polling + BLOCKED_AFTER;
                    next = next.min(if found > now { found } else { now + BLOCKED_AFTER });
                }
                match current.overdue {
                    Some(overdue) => late(overdue, now, &mut next),
                    None if now < current.since + limit => {
                        next = next.min(current.since + limit);
                        false
                    }
                    None => {
                        current.overdue = Some(now);
                        over = Some(current.what.clone());
                        next = next.min(now + GRACE);
                        false
                    }
                }
            }
        };
        let mut older = Vec::new();
        if stuck {
            while let Some(job) = now.checked_sub(limit).and_then(|moment| queue.take_older(moment)) {
                older.push(job);
            }
            queue.drain(self.namespace.limits.queue_events);
            next = queue.due(limit).map_or(next, |due| next.min(due));
        }
        // What takes long keeps no answers of those before it.
        let long = matches!(&queue.run, Run::Busy(current) if now >= current.since + BLOCKED_AFTER.min(limit));
        let corked = long && std::mem::take(&mut queue.corked);
        if over.is_some() || !older.is_empty() {
            queue.answering = true;
            drop(guard);
            self.answer(over, older);
        } else {
            drop(guard);
        }
        if corked && let Some(sink) = self.sink() {
            sink.uncork();
        }
        Some(next)
    }
}

impl Client {
    /// Answers `timeout`, in order, while the run waits.
    fn answer(&self, over: Option<What>, older: Vec<Job>) {
        if let Some(what) = over {
            overdue(self, &what);
        }
        for job in older {
            refuse(self, &job, timed_out(self.namespace.limits.handler_timeout));
        }
        let mut queue = self.queue();
        queue.answering = false;
        let waker = queue.waker.take();
        let spent = queue.spent_sink();
        drop(queue);
        drop(spent);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

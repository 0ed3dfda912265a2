//! The server's clock over everything that runs on plugins' threads: those may all be blocked, this one never is.
//!
//! Nothing sets a timer for one event. A client whose events are at work is watched until it has been found at rest;
//! a look at it says what is over its time, and when the next look is due.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Serialize;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::namespace::Namespace;

/// How long plugin code may keep a thread before it is named.
pub const BLOCKED_AFTER: Duration = Duration::from_secs(2);
/// The time between two looks at least, however many deadlines there are.
const GRAIN: Duration = Duration::from_millis(20);
/// Clients looked at before other tasks get the thread.
const CHUNK: usize = 256;

/// Something that runs on a plugin's threads.
pub(crate) trait Timed: Send + Sync {
    /// Answers for what is over its time, and names what blocks its thread. `None` ends the watch.
    fn look(self: Arc<Self>, now: Instant, blocked: &mut Vec<Blocked>) -> Option<Instant>;
}

/// Plugin code that has kept a thread for more than [`BLOCKED_AFTER`] without waiting for anything.
#[derive(Debug, Clone, Serialize)]
pub struct Blocked {
    /// The plugin.
    pub plugin: &'static str,
    /// Its namespace.
    pub namespace: String,
    /// What runs: an event, a hook, a route.
    pub what: String,
    /// For how long it had the thread when it was last looked at.
    pub milliseconds: u64,
}

/// See the module's documentation.
pub(crate) struct Clock {
    watched: Mutex<Vec<Arc<dyn Timed>>>,
    /// The first one came.
    news: Notify,
    blocked: Mutex<Vec<Blocked>>,
    /// No deadline lies nearer than this to the moment from which it counts.
    nearest: Duration,
}

impl Clock {
    /// A clock for handlers that may take `limit`.
    pub(crate) fn new(limit: Duration) -> Self {
        let nearest = limit.min(BLOCKED_AFTER);
        Self { watched: Mutex::default(), news: Notify::new(), blocked: Mutex::default(), nearest }
    }

    fn watched(&self) -> MutexGuard<'_, Vec<Arc<dyn Timed>>> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks at `timed` from now on, until a look says that there is nothing to watch.
    pub(crate) fn watch(&self, timed: Arc<dyn Timed>) {
        let mut watched = self.watched();
        watched.push(timed);
        if watched.len() == 1 {
            self.news.notify_one();
        }
    }

    /// What blocked a thread at the last look.
    pub(crate) fn blocked(&self) -> Vec<Blocked> {
        self.blocked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The clock's task, on the server's runtime.
    pub(crate) async fn run(self: Arc<Self>, stop: CancellationToken) {
        stop.run_until_cancelled(self.tick()).await;
        // Those watched hold their namespaces, which hold this.
        self.watched().clear();
    }

    async fn tick(&self) {
        loop {
            while self.watched().is_empty() {
                self.news.notified().await;
            }
            let mut next = Instant::now() + self.nearest;
            while !self.watched().is_empty() {
                tokio::time::sleep_until(next).await;
                next = self.look().await;
            }
        }
    }

    /// Looks at everything watched; when to look again.
    async fn look(&self) -> Instant {
        let now = Instant::now();
        // What begins from here on is due later than this.
        let mut next = now + self.nearest;
        let mut blocked = Vec::new();
        let all = std::mem::take(&mut *self.watched());
        for some in all.chunks(CHUNK) {
            let stay = some.iter().filter_map(|timed| {
                let due = Arc::clone(timed).look(now, &mut blocked)?;
                next = next.min(due);
                Some(Arc::clone(timed))
            });
            let stay: Vec<_> = stay.collect();
            self.watched().extend(stay);
            tokio::task::yield_now().await;
        }
        *self.blocked.lock().unwrap_or_else(PoisonError::into_inner) = blocked;
        next.max(now + GRAIN)
    }
}

/// Whether something has kept its thread, which it entered at `polling`, for too long: then it is listed, and named in
/// the log the first time.
pub(crate) fn note_blocked(
    namespace: &Namespace,
    what: impl FnOnce() -> String,
    (polling, named): (Instant, &mut bool),
    now: Instant,
    blocked: &mut Vec<Blocked>,
) {
    let time = now.saturating_duration_since(polling);
    if time < BLOCKED_AFTER {
        return;
    }
    let found = Blocked {
        plugin: namespace.plugin,
        namespace: namespace.name.to_string(),
        what: what(),
        milliseconds: time.as_millis() as u64,
    };
    if !std::mem::replace(named, true)
        && let Some(left_out) = namespace.blocked_log.allow()
    {
        let Blocked { plugin, namespace, what, milliseconds } = &found;
        tracing::warn!(
            plugin,
            namespace = &**namespace,
            what,
            milliseconds,
            left_out,
            "a thread of the plugin is blocked"
        );
    }
    blocked.push(found);
}

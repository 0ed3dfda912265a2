//! Hands clients to their plugin's threads: those of one moment together, because a thread that is woken for each of them
//! costs more than what it is woken for.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::task::yield_now;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

use crate::client::Client;
use crate::dispatch::work_off;

/// See the module's documentation.
pub(crate) struct Handover {
    /// The plugin's threads.
    threads: Handle,
    /// Every task that runs clients' events; those that wait here count as such.
    clients: TaskTracker,
    /// `None` once nobody gathers them any more.
    waiting: Mutex<Option<Vec<Waiting>>>,
    /// The first one came.
    news: Notify,
}

type Waiting = (Arc<Client>, TaskTrackerToken);

impl Handover {
    pub(crate) fn new(threads: Handle, clients: TaskTracker) -> Self {
        Self { threads, clients, waiting: Mutex::new(Some(Vec::new())), news: Notify::new() }
    }

    fn waiting(&self) -> MutexGuard<'_, Option<Vec<Waiting>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The client's queue is worked off from soon on.
    pub(crate) fn give(&self, client: Arc<Client>) {
        let given = (client, self.clients.token());
        let mut waiting = self.waiting();
        let Some(all) = &mut *waiting else {
            drop(waiting);
            return self.hand(given);
        };
        all.push(given);
        if all.len() == 1 {
            self.news.notify_one();
        }
    }

    fn hand(&self, (client, token): Waiting) {
        self.threads.spawn(async move {
            work_off(client).await;
            drop(token);
        });
    }

    /// Hands over what waits, on the server's runtime, until `stop`.
    pub(crate) async fn run(self: Arc<Self>, stop: CancellationToken) {
        stop.run_until_cancelled(self.gather()).await;
        // They hold their namespace, which holds this.
        let rest = self.waiting().take();
        rest.into_iter().flatten().for_each(|given| self.hand(given));
    }

    async fn gather(&self) {
        loop {
            self.news.notified().await;
            // Whatever else the sockets have for us just now comes first.
            yield_now().await;
            let all = self.waiting().as_mut().map(std::mem::take);
            all.into_iter().flatten().for_each(|given| self.hand(given));
        }
    }
}

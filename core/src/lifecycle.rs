//! The life of an application: check, init, run, drain, shutdown, each step of each plugin within its time.

mod boot;
mod boot_error;
mod supervise;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use carillon_config::Loaded;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use self::boot_error::BootError;
pub use crate::boot_plan::BootPlan;
use crate::bus::Bus;
use crate::clock::{Blocked, Clock};
use crate::expiry::Expiries;
use crate::failures::{Failure, Failures};
use crate::host::{Host, Shared};
use crate::metrics::Metrics;
use crate::module::Module;
use crate::question::ask;
use crate::readiness::{Component, Readiness, Status};
use crate::registry::Registry;
use crate::router::Router;
use crate::threads::{PluginThreads, Threads};

/// How long a plugin may take to say whether it is ready.
const READY_TIMEOUT: Duration = Duration::from_secs(1);

/// Clients that are looked at before others have a turn.
const AT_ONCE: usize = 1024;

/// A running application.
pub struct App {
    router: Router,
    shared: Arc<Shared>,
    /// In the order of start.
    running: Mutex<Vec<Running>>,
    clients: TaskTracker,
    /// The hub's shards, and what talks to other Carillons.
    tasks: TaskTracker,
    stop: CancellationToken,
    clock: Arc<Clock>,
    failures: Arc<Failures>,
    expiries: Arc<Expiries>,
    draining: AtomicBool,
    step: Duration,
}

struct Running {
    name: &'static str,
    namespace: &'static str,
    host: Host,
    module: Arc<dyn Module>,
    failing: Arc<AtomicBool>,
    _threads: PluginThreads,
}

impl Running {
    /// Asks the plugin, on its own threads, whether it is ready.
    fn ask(&self) -> (&'static str, Arc<AtomicBool>, JoinHandle<Result<(), String>>) {
        let module = Arc::clone(&self.module);
        (self.name, Arc::clone(&self.failing), self.host.threads.spawn(async move { module.ready() }))
    }
}

impl App {
    /// Plans a boot and carries it out: see [`BootPlan::boot`].
    ///
    /// # Errors
    /// All that the plan finds, or the first thing that went wrong afterwards, naming the plugin.
    pub async fn boot(
        registry: &Registry,
        config: &Loaded,
        threads: Threads,
        shards: usize,
    ) -> Result<Self, BootError> {
        BootPlan::new(registry, config)?.boot(config, threads, shards).await
    }

    fn running(&self) -> MutexGuard<'_, Vec<Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The names of the namespaces served, sorted.
    #[must_use]
    pub fn namespaces(&self) -> Vec<&str> {
        self.shared.namespaces()
    }

    /// The router, for the server.
    #[must_use]
    pub fn router(&self) -> &Router {
        &self.router
    }

    /// The metrics.
    #[must_use]
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.shared.metrics
    }

    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn shared(&self) -> &Shared {
        &self.shared
    }

    /// The bus.
    #[must_use]
    pub fn bus(&self) -> &Arc<dyn Bus> {
        &self.shared.bus
    }

    /// The last failures that were the server's own, the newest first: every `error.id` a client was given lately.
    #[must_use]
    pub fn failures(&self) -> Vec<Failure> {
        self.failures.all()
    }

    /// The plugin code that keeps a thread, as of a moment ago.
    #[must_use]
    pub fn blocked(&self) -> Vec<Blocked> {
        self.clock.blocked()
    }

    /// Whether the application can do its job now, component by component. Each plugin answers on its own threads
    /// within a second, so a plugin whose threads are all blocked shows as not ready.
    pub async fn readiness(&self) -> Readiness {
        let status = self.shared.bus.status();
        let mut components = vec![Component {
            name: "bus".to_owned(),
            ready: status.up,
            required: self.shared.bus_required,
            detail: format!("{}: {}", self.shared.bus.kind(), status.detail),
        }];
        if let Some(cluster) = &self.shared.cluster {
            let (ready, detail) = cluster.status();
            let (name, required) = ("cluster".to_owned(), self.shared.bus_required);
            components.push(Component { name, ready, required, detail });
        }
        let blocked = self.blocked();
        let questions: Vec<_> = self.running().iter().map(Running::ask).collect();
        for (name, failing, answer) in questions {
            let verdict = match tokio::time::timeout(READY_TIMEOUT, answer).await {
                Ok(Ok(Ok(()))) if failing.load(Ordering::Relaxed) => {
                    Err("its background work failed; see the log".to_owned())
                }
                Ok(Ok(verdict)) => verdict,
                Ok(Err(_)) => Err("its readiness check panicked".to_owned()),
                Err(_) => Err(format!("no answer within {} ms: its threads are blocked", READY_TIMEOUT.as_millis())),
            };
            let mut detail = verdict.as_ref().map_or_else(Clone::clone, |()| "ready".to_owned());
            for Blocked { what, milliseconds, .. } in blocked.iter().filter(|blocked| blocked.plugin == name) {
                detail.push_str(&format!("; {what} has blocked a thread for {} s", milliseconds / 1_000));
            }
            components.push(Component { name: name.to_owned(), ready: verdict.is_ok(), required: true, detail });
        }
        Readiness::new(self.draining.load(Ordering::Relaxed).then_some(Status::Draining), components)
    }

    /// Closes the connections of all clients whose token or key is revoked, as
    /// [`Authenticate::is_revoked`](crate::identity::Authenticate::is_revoked) says; tells how many clients that are.
    pub async fn end_revoked(&self) -> usize {
        let mut ended = 0;
        for some in self.expiries.all().chunks(AT_ONCE) {
            ended += some.iter().filter(|client| client.end_if_revoked()).count();
            tokio::task::yield_now().await;
        }
        ended
    }

    /// `/readyz` says `draining` from here on.
    pub fn begin_drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// Waits until every event received so far has been handled and every client's end was told to its plugin; false
    /// when `limit` passed first. Call it when no new event can arrive.
    pub async fn drain(&self, limit: Duration) -> bool {
        self.clients.close();
        tokio::time::timeout(limit, self.clients.wait()).await.is_ok()
    }

    /// Stops the plugins in reverse order of their start, then the bus.
    pub async fn shutdown(&self) {
        self.begin_drain();
        self.stop_plugins().await;
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        if tokio::time::timeout(self.step, self.shared.bus.shutdown()).await.is_err() {
            tracing::warn!("the bus did not stop in time");
        }
    }

    async fn stop_plugins(&self) {
        loop {
            let Some(running) = self.running().pop() else { return };
            running.host.shutdown.cancel();
            running.host.tasks.close();
            if tokio::time::timeout(self.step, running.host.tasks.wait()).await.is_err() {
                tracing::warn!(plugin = running.name, "background work did not stop in time and is abandoned");
            }
            let module = Arc::clone(&running.module);
            let last = async move {
                module.shutdown().await;
                Ok(())
            };
            match ask(&running.host.threads, self.step, last).await {
                Ok(()) => tracing::debug!(plugin = running.name, "stopped"),
                Err(_) => tracing::warn!(plugin = running.name, "shutdown did not end well and is abandoned"),
            }
            self.shared.metrics.plugin_up.with_label_values(&[running.name]).set(0);
        }
    }
}

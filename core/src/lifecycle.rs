//! The life of an application: check, init, run, drain, shutdown, each step of each plugin within its time.

mod boot_error;
mod supervise;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use carillon_config::{BusSettings, Loaded, RouterSettings};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use self::boot_error::BootError;
use self::supervise::supervise;
use crate::boot_plan::{BootPlan, Planned};
use crate::bus::{self, Bus, BusContext};
use crate::clock::{Blocked, Clock};
use crate::cluster::Cluster;
use crate::error::{Error, Result};
use crate::failures::{Failure, Failures};
use crate::host::{Host, Shared};
use crate::hub::{Bounds, Hub};
use crate::metrics::Metrics;
use crate::module::Module;
use crate::namespace::{Limits, Namespace, Services};
use crate::question::ask;
use crate::readiness::{Component, Readiness, Status};
use crate::registry::Registry;
use crate::router::{HttpRoute, Router};
use crate::threads::{PluginThreads, Threads};

/// How long a plugin may take to say whether it is ready.
const READY_TIMEOUT: Duration = Duration::from_secs(1);

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

/// The part of a boot that needs no I/O: event tables, target namespaces, and whether a bus serves the URL's scheme.
///
/// # Errors
/// Everything that could not work, one line each.
pub fn check(registry: &Registry, config: &Loaded) -> Result<(), BootError> {
    BootPlan::new(registry, config).map(drop)
}

impl App {
    /// Brings every enabled plugin up. `shards` tasks on the caller's runtime fan publishes out: one for each of its
    /// threads is right. When one fails, those already up are shut down again, in reverse order.
    ///
    /// # Errors
    /// The first thing that went wrong, naming the plugin.
    pub async fn boot(
        registry: &Registry,
        config: &Loaded,
        threads: Threads,
        shards: usize,
    ) -> Result<Self, BootError> {
        let settings: RouterSettings = config.get("router");
        let bus_settings: BusSettings = config.get("bus");
        let step = Duration::from_millis(settings.step_timeout_ms);
        let limits = Limits {
            handler_timeout: Duration::from_millis(settings.handler_timeout_ms),
            queue_events: settings.queue_events,
            queue_bytes: settings.queue_bytes,
        };
        let BootPlan { plugins: planned, disabled } = BootPlan::new(registry, config)?;
        let metrics = Arc::new(Metrics::new().map_err(|error| BootError::Failed(error.to_string()))?);
        let context = BusContext::new(Arc::clone(&metrics));
        let url = bus_settings.address();
        let bus = ask(&Handle::current(), step, async move { bus::connect(&url, context).await }).await;
        let bus = bus.map_err(|failure| BootError::Failed(failure.into_error().to_string()))?;
        let clients = TaskTracker::new();

        let tasks = TaskTracker::new();
        let stop = CancellationToken::new();
        let bounds = Bounds { publishes: settings.max_pending_publishes, bytes: settings.max_pending_bytes };
        let hub = Arc::new(Hub::new(shards, planned.len(), bounds, settings.sweep_chunk, &metrics));
        hub.start(&tasks, &stop);

        let clock = Arc::new(Clock::new(limits.handler_timeout));
        tasks.spawn(Arc::clone(&clock).run(stop.clone()));
        let failures = Arc::new(Failures::default());
        let services = Services {
            clients: clients.clone(),
            metrics: Arc::clone(&metrics),
            limits,
            clock: Arc::clone(&clock),
            failures: Arc::clone(&failures),
        };

        let mut namespaces = HashMap::new();
        let mut started = Vec::new();
        for (space, Planned { entry, plan, emits }) in planned.into_iter().enumerate() {
            let own = threads
                .start(entry.name())
                .map_err(|error| BootError::Failed(format!("threads of {}: {error}", entry.name())))?;
            let place = (Arc::clone(&hub), space);
            let (name, plugin, threads) = (entry.namespace(), entry.name(), own.handle.clone());
            let namespace = Namespace::new(name, plugin, plan.outline(), &emits, place, threads, services.clone());
            let namespace = Arc::new(namespace);
            namespaces.insert(Arc::clone(&namespace.name), namespace);
            started.push((entry, plan, own));
        }
        let namespaces = Arc::new(namespaces);
        let mut cluster = None;
        if bus.is_shared() {
            let (node, other_nodes) = Cluster::new(&metrics).map_err(|error| BootError::Failed(error.to_string()))?;
            tasks.spawn(other_nodes.run(Arc::clone(&bus), Arc::downgrade(&namespaces), stop.clone()));
            cluster = Some(node);
        }
        let shared = Arc::new(Shared {
            namespaces,
            disabled,
            bus,
            bus_required: bus_settings.required,
            metrics,
            hub,
            failing: AtomicUsize::new(0),
            cluster,
        });
        let mut http = Vec::new();
        let mut handshakes = Vec::new();
        let mut app = Self {
            router: Router::new(Arc::clone(&shared), Vec::new(), Vec::new()),
            shared: Arc::clone(&shared),
            running: Mutex::default(),
            clients,
            tasks,
            stop,
            clock,
            failures,
            draining: AtomicBool::new(false),
            step,
        };
        for (publisher, (entry, plan, own)) in started.into_iter().enumerate() {
            let host = Host {
                shared: Arc::clone(&shared),
                plugin: entry.name(),
                publisher,
                threads: own.handle.clone(),
                tasks: TaskTracker::new(),
                shutdown: CancellationToken::new(),
            };
            let routes = plan.outline().http.iter().enumerate();
            http.extend(routes.map(|(index, get)| HttpRoute {
                path: get.path.clone(),
                namespace: entry.namespace().into(),
                index,
            }));
            handshakes.extend(plan.outline().handshake.as_ref().map(|_| Arc::from(entry.namespace())));
            let init = plan.init(host.clone());
            let module = match ask(&own.handle, step, init).await {
                Ok(module) => module,
                Err(failure) => return Err(app.fail(entry.name(), &failure.into_error()).await),
            };
            app.running().push(Running {
                name: entry.name(),
                namespace: entry.namespace(),
                host,
                module,
                failing: Arc::default(),
                _threads: own,
            });
        }
        app.router = Router::new(shared, http, handshakes);
        app.start();
        Ok(app)
    }

    fn running(&self) -> MutexGuard<'_, Vec<Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn fail(&self, plugin: &str, error: &Error) -> BootError {
        self.shutdown().await;
        BootError::Failed(format!("plugin {plugin} did not start: {error}"))
    }

    /// Everything is initialised: opens the namespaces and starts the background work.
    fn start(&self) {
        for running in self.running().iter() {
            if let Some(namespace) = self.shared.namespaces.get(running.namespace) {
                namespace.start(Arc::clone(&running.module));
            }
        }
        for running in self.running().iter() {
            let work = supervise(Arc::clone(&running.module), running.host.clone(), Arc::clone(&running.failing));
            running.host.spawn("run", work);
        }
        let shared = Arc::clone(&self.shared);
        self.shared.metrics.before_scrape(move || {
            shared.namespaces.values().for_each(|namespace| namespace.refresh_gauges());
            shared.metrics.bus_up.set(f64::from(u8::from(shared.bus.status().up)));
        });
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

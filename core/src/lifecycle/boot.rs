//! Brings an application up, step by step: what all plugins share, their namespaces, the way to other Carillons, and then
//! one plugin after the other.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use carillon_config::{
    AuthSettings, BusSettings, ClusterSettings, JournalSettings, LimitSettings, Loaded, RouterSettings,
};
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::supervise::supervise;
use super::{App, BootError, BootPlan, Running};
use crate::answer::Failure;
use crate::boot_plan::Planned;
use crate::bus::{self, Bus, BusContext};
use crate::clock::Clock;
use crate::cluster::{Cluster, Interests};
use crate::error::{Error, Result};
use crate::expiry::Expiries;
use crate::failures::Failures;
use crate::host::{Host, Shared};
use crate::hub::{Bounds, Hub, Publisher};
use crate::identity::Authenticate;
use crate::journal::{Follower, Journals};
use crate::limits::{Pauses, RateLimits};
use crate::metrics::Metrics;
use crate::namespace::{Limits, Namespace, Services};
use crate::peer::NodeId;
use crate::presence::{Presences, Teller};
use crate::question::ask;
use crate::recovery::Writer;
use crate::registry::{Plan, Registration};
use crate::router::{HttpRoute, Router};
use crate::threads::{PluginThreads, Threads};
use crate::undeclared::Undeclared;

type Namespaces = HashMap<Arc<str>, Arc<Namespace>>;

/// A plugin with its threads, before its `init`.
struct Starting {
    entry: Registration,
    plan: Box<dyn Plan>,
    threads: PluginThreads,
}

impl BootPlan {
    /// Brings every enabled plugin up. `shards` tasks on the caller's runtime fan publishes out: one for each of its
    /// threads is right. When one fails, those already up are shut down again, in reverse order.
    ///
    /// # Errors
    /// The first thing that went wrong, naming the plugin.
    pub async fn boot(self, config: &Loaded, threads: Threads, shards: usize) -> Result<App, BootError> {
        let Self { plugins, disabled, authenticate } = self;
        let ground = Ground::lay(config, shards, plugins.len(), authenticate).await?;
        let (namespaces, starting) = ground.namespaces(plugins, threads)?;
        let mut app = ground.app(namespaces, disabled)?;
        let (mut http, mut handshakes) = (Vec::new(), Vec::new());
        for (publisher, one) in starting.into_iter().enumerate() {
            let outline = one.plan.outline();
            let namespace: Arc<str> = one.entry.namespace().into();
            http.extend(outline.http.iter().enumerate().map(|(index, get)| HttpRoute {
                path: get.path.clone(),
                doc: get.doc.clone(),
                namespace: Arc::clone(&namespace),
                index,
            }));
            handshakes.extend(outline.handshake.as_ref().map(|_| namespace));
            let name = one.entry.name();
            match one.init(publisher, &app.shared, app.step).await {
                Ok(running) => app.running().push(running),
                Err(error) => {
                    app.shutdown().await;
                    return Err(BootError::Failed(format!("plugin {name} did not start: {error}")));
                }
            }
        }
        app.router = Router::new(Arc::clone(&app.shared), http, handshakes);
        app.open();
        Ok(app)
    }
}

/// What all plugins share, before there is any.
struct Ground {
    bus: Arc<dyn Bus>,
    bus_required: bool,
    node: NodeId,
    ask_timeout: Duration,
    /// What Carillons of this installation prove to each other.
    secret: Option<String>,
    hub: Arc<Hub>,
    /// The hub's shards, the clock, and what talks to other Carillons.
    tasks: TaskTracker,
    stop: CancellationToken,
    services: Services,
    step: Duration,
}

impl Ground {
    async fn lay(
        config: &Loaded,
        shards: usize,
        spaces: usize,
        authenticate: Option<Arc<dyn Authenticate>>,
    ) -> Result<Self, BootError> {
        let settings: RouterSettings = config.get("router");
        let bus_settings: BusSettings = config.get("bus");
        let step = Duration::from_millis(settings.step_timeout_ms);
        let limits = Limits {
            handler_timeout: Duration::from_millis(settings.handler_timeout_ms),
            queue_events: settings.queue_events,
            queue_bytes: settings.queue_bytes,
        };
        let metrics = Arc::new(Metrics::new().map_err(failed)?);
        let context = BusContext::new(Arc::clone(&metrics)).with_prefix(&bus_settings.prefix);
        let url = bus_settings.address();
        let bus = ask(&Handle::current(), step, async move { bus::connect(&url, context).await }).await;
        let bus = bus.map_err(|failure| failed(failure.into_error()))?;

        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        let bounds = Bounds { publishes: settings.max_pending_publishes, bytes: settings.max_pending_bytes };
        let hub = Arc::new(Hub::new(shards, spaces, bounds, settings.sweep_chunk, &metrics));
        hub.start(&tasks, &stop);
        let clock = Arc::new(Clock::new(limits.handler_timeout));
        tasks.spawn(Arc::clone(&clock).run(stop.clone()));
        let (clients, failures) = (TaskTracker::new(), Arc::new(Failures::default()));
        let auth: AuthSettings = config.get("auth");
        let expiries = Arc::new(Expiries::new(Duration::from_millis(auth.expiry_grace_ms)));
        tasks.spawn(Arc::clone(&expiries).run(stop.clone()));
        let rates: LimitSettings = config.get("limits");
        let rates = Arc::new(RateLimits::new(rates, &metrics, Pauses::new(&tasks, &stop)));
        let journal: JournalSettings = config.get("journal");
        let journals =
            Arc::new(Journals::new(journal, bus_settings.secret.as_deref(), &bus, &metrics).map_err(failed)?);
        let interests = bus.is_shared().then(|| Interests::new(&metrics).map(Arc::new)).transpose().map_err(failed)?;
        let cluster: ClusterSettings = config.get("cluster");
        let presences = Arc::new(Presences::new(&cluster, &metrics).map_err(failed)?);
        let services = Services {
            clients,
            metrics,
            limits,
            clock,
            failures,
            authenticate,
            expiries,
            rates,
            journals,
            interests,
            presences,
        };
        let (bus_required, secret) = (bus_settings.required, bus_settings.secret);
        let (node, ask_timeout) = (NodeId::random(), Duration::from_millis(cluster.ask_timeout_ms));
        Ok(Self { bus, bus_required, node, ask_timeout, secret, hub, tasks, stop, services, step })
    }

    /// A namespace, and threads, for each plugin.
    fn namespaces(
        &self,
        planned: Vec<Planned>,
        threads: Threads,
    ) -> Result<(Arc<Namespaces>, Vec<Starting>), BootError> {
        let mut namespaces = HashMap::new();
        let mut starting = Vec::new();
        for (space, Planned { entry, plan, emits, access }) in planned.into_iter().enumerate() {
            let (name, plugin) = (entry.namespace(), entry.name());
            let own = threads.start(plugin);
            let own = own.map_err(|error| BootError::Failed(format!("threads of {plugin}: {error}")))?;
            let place = (Arc::clone(&self.hub), space);
            let (handle, services) = (own.handle.clone(), self.services.clone());
            let namespace = Namespace::new(name, (plugin, access), plan.outline(), &emits, place, handle, services);
            namespaces.insert(Arc::clone(&namespace.name), Arc::new(namespace));
            starting.push(Starting { entry, plan, threads: own });
        }
        Ok((Arc::new(namespaces), starting))
    }

    /// The way to the other Carillons, where the bus is shared with any.
    fn cluster(&self, namespaces: &Arc<Namespaces>) -> Result<Option<Cluster>, BootError> {
        let Services { metrics, interests: Some(interests), .. } = &self.services else { return Ok(None) };
        let (node, other_nodes) = Cluster::new(
            (self.node, self.ask_timeout),
            metrics,
            &*self.bus,
            self.secret.as_deref(),
            namespaces,
            interests,
        )
        .map_err(failed)?;
        self.tasks.spawn(other_nodes.run(Arc::clone(&self.bus), Arc::clone(namespaces), self.stop.clone()));
        Ok(Some(node))
    }

    /// The application, without a plugin yet.
    fn app(self, namespaces: Arc<Namespaces>, disabled: HashSet<&'static str>) -> Result<App, BootError> {
        let cluster = self.cluster(&namespaces)?;
        let Self { bus, bus_required, node, ask_timeout: _, secret: _, hub, tasks, stop, services, step } = self;
        let Services { clients, metrics, clock, failures, expiries, .. } = services;
        let failing = AtomicUsize::new(0);
        let unserved = Undeclared::default();
        let shared = Shared { namespaces, disabled, bus, bus_required, metrics, hub, failing, node, cluster, unserved };
        let shared = Arc::new(shared);
        for namespace in shared.namespaces.values() {
            tasks.spawn(Arc::clone(&namespace.handover).run(stop.clone()));
        }
        for namespace in shared.namespaces.values().filter(|namespace| namespace.keeper().is_some()) {
            tasks.spawn(Follower::new(namespace, &shared).run(stop.clone(), step));
            tasks.spawn(Writer(Arc::clone(namespace)).run(stop.clone(), step));
        }
        for namespace in shared.namespaces.values().filter(|namespace| namespace.presence.is_some()) {
            tasks.spawn(Teller::new(namespace, &shared).run(stop.clone()));
        }
        Ok(App {
            router: Router::new(Arc::clone(&shared), Vec::new(), Vec::new()),
            shared,
            running: Mutex::default(),
            clients,
            tasks,
            stop,
            clock,
            failures,
            expiries,
            draining: AtomicBool::new(false),
            step,
        })
    }
}

impl Starting {
    /// Runs the plugin's `init` on its threads.
    async fn init(self, publisher: Publisher, shared: &Arc<Shared>, step: Duration) -> Result<Running> {
        let Self { entry, plan, threads } = self;
        let host = Host {
            shared: Arc::clone(shared),
            plugin: entry.name(),
            publisher,
            threads: threads.handle.clone(),
            tasks: TaskTracker::new(),
            shutdown: CancellationToken::new(),
        };
        let module = ask(&threads.handle, step, plan.init(host.clone())).await;
        Ok(Running {
            name: entry.name(),
            namespace: entry.namespace(),
            host,
            module: module.map_err(Failure::into_error)?,
            failing: Arc::default(),
            _threads: threads,
        })
    }
}

impl App {
    /// Everything is initialised: opens the namespaces and starts the background work.
    fn open(&self) {
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
}

fn failed(error: Error) -> BootError {
    BootError::Failed(error.to_string())
}

//! Our own Engine.IO 4 and Socket.IO 5: sessions over polling and WebSocket, from the handshake to the end.
//!
//! ```text
//! handshake ──> polling ────────┐                 ┌──> receive ──> core::router
//!     │                         ├──> session ─────┤
//!     └──> websocket, upgrade ──┘   (out, clock)  └──< client  <── core (as core::sink::Sink)
//! ```
//!
//! A session has one queue towards its client ([`outbox`]), whatever carries it; whoever sends writes at once when
//! nothing waits. One task reads from a WebSocket, and writes what did not go at once. Polling has no task, and nobody
//! has a timer: [`alarms`] is the clock of all.

mod alarms;
#[cfg(feature = "bench")]
mod bench;
mod client;
mod clock;
mod end;
mod handshake;
mod out;
mod outbox;
mod polling;
mod receive;
mod session;
mod sessions;
mod settings;
mod slow;
#[cfg(test)]
pub(crate) mod testing;
mod upgrade;
mod websocket;
mod writing;

use std::sync::Arc;
use std::time::Duration;

use carillon_core::metrics::Deliveries;
use carillon_core::router::Router;
use carillon_core::throttle::Throttle;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::alarms::Alarms;
#[cfg(feature = "bench")]
pub(crate) use self::bench::Carried;
pub(crate) use self::session::Session;
use self::sessions::Sessions;
pub(crate) use self::settings::Settings;
use crate::metrics::Metrics;

/// How often it is sampled what is waiting for clients.
const SAMPLE: Duration = Duration::from_secs(5);

/// The engine. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Engine(Arc<Common>);

/// What all sessions share.
struct Common {
    settings: Settings,
    router: Router,
    /// The namespaces, which are fixed at boot.
    namespaces: Vec<Arc<str>>,
    sessions: Sessions,
    alarms: Alarms,
    metrics: Arc<Metrics>,
    /// The ledger of published copies.
    deliveries: Arc<Deliveries>,
    /// Limits log lines about slow clients to one a second.
    slow: Throttle,
    /// The same of messages that are too large.
    large: Throttle,
    /// Own what goes on beyond a request.
    tasks: TaskTracker,
    runtime: Handle,
}

impl Engine {
    /// Serves the namespaces of `router`. `tasks` own connections and what goes on beyond a request, on `runtime`.
    pub(crate) fn new(
        settings: Settings,
        router: &Router,
        metrics: &Arc<Metrics>,
        deliveries: Arc<Deliveries>,
        tasks: &TaskTracker,
        runtime: &Handle,
    ) -> Self {
        Self(Arc::new(Common {
            settings,
            router: router.clone(),
            namespaces: router.namespaces().map(Arc::from).collect(),
            sessions: Sessions::default(),
            alarms: Alarms::default(),
            metrics: Arc::clone(metrics),
            deliveries,
            slow: Throttle::per_second(),
            large: Throttle::per_second(),
            tasks: tasks.clone(),
            runtime: runtime.clone(),
        }))
    }

    /// Looks after the sessions until `stop`.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let sampling = async {
            while stop.run_until_cancelled(tokio::time::sleep(SAMPLE)).await.is_some() {
                for session in self.0.sessions.all() {
                    self.0.metrics.queued.observe(session.queued_bytes() as f64);
                }
            }
        };
        tokio::join!(alarms::ring(Arc::clone(&self.0), stop.clone()), sampling);
    }

    /// From now on there are no new sessions.
    pub(crate) fn refuse_new(&self) {
        self.0.sessions.refuse_new();
    }

    /// Whether there are no new sessions any more.
    pub(crate) fn refusing(&self) -> bool {
        self.0.sessions.refusing()
    }

    /// How many sessions there are.
    pub(crate) fn len(&self) -> usize {
        self.0.sessions.len()
    }

    /// Every living session.
    pub(crate) fn sessions(&self) -> Vec<Arc<Session>> {
        self.0.sessions.all()
    }
}

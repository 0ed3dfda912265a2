//! `/router`: what the router itself does, once a second, and what it and the cluster did in the last 15 minutes.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use carillon_core::prelude::*;
use carillon_core::readiness;
use carillon_core::time::milliseconds;
use tokio::time::{MissedTickBehavior, interval};

use counts::Counts;
use history::{Histories, RouterHistory, UseHistory};
use state::{BusState, EventCounts, RouterState, ServerState, Word};

mod counts;
mod history;
mod nodes;
mod state;
#[cfg(test)]
mod tests;

/// How often the router is looked at.
const EVERY: Duration = Duration::from_secs(1);
/// How many looks go by until the other Carillons' clients are told.
const TOLD_EVERY: u32 = 5;
/// The room of those who are told how often each event came and went.
const WATCHERS: &str = "events";

/// The answer to `request_history`: the last 15 minutes, oldest first, in columns of equal length.
#[derive(Debug, Serialize, JsonSchema)]
struct History {
    /// The router, second by second.
    router: RouterHistory,
    /// The means over the nodes of the cluster, each time they were measured.
    cluster: UseHistory,
    /// When each node of the cluster was measured last, in milliseconds since 1970.
    nodes: BTreeMap<String, u64>,
}

/// Which node is asked for.
#[derive(Debug, Deserialize, JsonSchema)]
struct NodeRequest {
    /// Its name.
    name: String,
}

struct Router {
    host: Host,
    id: String,
    machine: String,
    started: String,
    histories: Mutex<Histories>,
}

impl Plugin for Router {
    const NAME: &'static str = "router";
    const NAMESPACE: &'static str = "/router";
    type Config = NoConfig;

    async fn init(_: NoConfig, host: Host) -> Result<Self> {
        // A name for people; a machine that does not tell it has none.
        let machine = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default().trim().to_owned();
        Ok(Self {
            host,
            id: format!("{:016x}", fastrand::u64(..)),
            machine,
            started: timestamp(),
            histories: Mutex::default(),
        })
    }

    fn routes(on: &mut Routes<Self>, _: &NoConfig) {
        on.event("request_history", "Answers with the last 15 minutes.", Self::request_history);
        on.event(
            "request_node_history",
            "Answers with the last 15 minutes of one node of the cluster.",
            Self::request_node_history,
        );
        on.event("watch_events", "Has `event_counts` sent to the client from now on.", Self::watch_events);
        on.emits::<EventCounts>("event_counts", "Once a second, to the clients of this node that asked for it.")
            .latest();
        on.emits::<ServerState>(
            "server_state",
            "Every five seconds from each Carillon on the bus, to the clients of all.",
        );
        on.emits::<RouterState>("router_state", "Once a second, to the clients of this node.").latest();
    }

    async fn run(self: Arc<Self>, host: Host) -> Result<()> {
        tokio::select! {
            () = host.shutdown() => {}
            end = self.watch_router() => end?,
            // Apart from it: a bus that is away may keep its callers waiting.
            () = self.watch_cluster() => {}
        }
        Ok(())
    }
}

impl Router {
    fn histories(&self) -> MutexGuard<'_, Histories> {
        self.histories.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks at the router once a second, remembers what it saw, and tells whoever is connected. Never returns well.
    async fn watch_router(&self) -> Result<()> {
        let mut tick = interval(EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // At once, so that the first look has one before it to compare with.
        tick.tick().await;
        let mut before = Counts::read(&self.host);
        for look in 0_u32.. {
            tick.tick().await;
            let now = Counts::read(&self.host);
            let state = self.state(&before, &now);
            self.histories().add_router(milliseconds(), &state);
            if look % TOLD_EVERY == 0 {
                self.tell_others(&state);
            }
            let clients = self.host.to(Self::NAMESPACE).local();
            if clients.clients() > 0 {
                said("router_state", clients.publish("router_state", &state));
            }
            let watchers = self.host.to(Self::NAMESPACE).room(WATCHERS).local();
            if watchers.clients() > 0 {
                let counts = EventCounts { timestamp: state.timestamp, events: now.events() };
                said("event_counts", watchers.publish("event_counts", &counts));
            }
            before = now;
        }
        Ok(())
    }

    /// Tells the clients of all Carillons on the bus how this one is; without its bus, its own.
    fn tell_others(&self, state: &RouterState) {
        let server = ServerState {
            id: self.id.clone(),
            host: self.machine.clone(),
            pid: std::process::id(),
            started: state.started.clone(),
            version: state.version,
            status: state.status,
            connections: state.connections,
            events_in: state.events_in,
            deliveries: state.deliveries,
            lost: state.lost,
        };
        // Not `latest`: that of one Carillon does not stand for that of another.
        let all = self.host.to(Self::NAMESPACE).volatile();
        let all = if state.bus.up { all } else { all.local() };
        said("server_state", all.publish("server_state", &server));
    }

    /// Remembers each round of measurements that whoever collects left on the bus. Never returns.
    async fn watch_cluster(&self) {
        let mut tick = interval(EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            // The key and not the channel: one look a second, however fast others publish there.
            if let Ok(Some(round)) = history::Round::read(self.host.bus()).await {
                self.histories().add_round(milliseconds(), round);
            }
        }
    }

    fn state(&self, before: &Counts, now: &Counts) -> RouterState {
        let bus = self.host.bus();
        let status = bus.status();
        let rates = now.since(before);
        RouterState {
            timestamp: timestamp(),
            started: self.started.clone(),
            version: env!("CARGO_PKG_VERSION"),
            status: match self.host.status() {
                readiness::Status::Ready => Word::Ready,
                readiness::Status::Degraded => Word::Degraded,
                readiness::Status::Unready | readiness::Status::Draining => Word::Unready,
            },
            connections: self.host.connections(),
            clients: now.clients(),
            events_in: rates.events_in,
            deliveries: rates.deliveries,
            lost: rates.lost,
            fanout_ms: rates.fanout_ms,
            queues: now.queues(),
            slow: now.slow(),
            bus: BusState { kind: bus.kind(), up: status.up, detail: status.detail },
            plugins: now.plugins(),
        }
    }

    async fn watch_events(self: Arc<Self>, ctx: Ctx, _: Ignored) -> Result<()> {
        ctx.join(WATCHERS)
    }

    async fn request_node_history(self: Arc<Self>, _: Ctx, node: NodeRequest) -> Result<UseHistory> {
        let known = self.histories().node(&node.name);
        known.ok_or_else(|| Error::not_found(format!("no node named {} was measured lately", node.name)))
    }

    async fn request_history(self: Arc<Self>, _: Ctx, _: Ignored) -> Result<History> {
        let histories = self.histories();
        Ok(History { router: histories.router(), cluster: histories.cluster(), nodes: histories.measured() })
    }
}

/// What could not be told now is told again soon.
fn said(event: &str, told: Result<()>) {
    if let Err(error) = told {
        tracing::debug!("{event} was not told: {error}");
    }
}

plugin!(Router);

//! A namespace at run time: its members, its frozen event table with bound metrics, and its plugin.

mod sending;

use std::collections::HashMap;
use std::panic::Location;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use prometheus::IntGauge;
use tokio::runtime::Handle;
use tokio_util::task::TaskTracker;

use crate::access::Access;
use crate::clock::Clock;
use crate::cluster::{Interest, Interests};
use crate::error::{Code, Error, Result};
use crate::expiry::Expiries;
use crate::failures::Failures;
use crate::handover::Handover;
use crate::hooks::Hooks;
use crate::hub::{Hub, Space};
use crate::identity::{Authenticate, Identity};
use crate::journal::{Journals, Keeper};
use crate::limits::{OwnLimit, RateLimits};
use crate::metrics::{ACK, Inbound, Metrics, OTHER, Outbound};
use crate::module::Module;
use crate::presence::{Presence, Presences};
use crate::recovery::Sessions;
use crate::routes::Outline;
use crate::sink::{Mode, Transport};
use crate::throttle::Throttle;
use crate::undeclared::{Undeclared, unknown_event};

/// Bounds on what one client's calls may use.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// How long a handler may take.
    pub(crate) handler_timeout: Duration,
    /// Events of one client that wait for their turn before reading from it pauses.
    pub(crate) queue_events: usize,
    /// Bytes of waiting events after which further ones are answered `overloaded`.
    pub(crate) queue_bytes: usize,
}

/// What all namespaces of an application share.
#[derive(Clone)]
pub(crate) struct Services {
    pub(crate) clients: TaskTracker,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) limits: Limits,
    pub(crate) clock: Arc<Clock>,
    pub(crate) failures: Arc<Failures>,
    pub(crate) authenticate: Option<Arc<dyn Authenticate>>,
    pub(crate) expiries: Arc<Expiries>,
    pub(crate) rates: Arc<RateLimits>,
    pub(crate) journals: Arc<Journals>,
    /// Where the bus is shared with other Carillons.
    pub(crate) interests: Option<Arc<Interests>>,
    pub(crate) presences: Arc<Presences>,
}

/// One namespace.
pub(crate) struct Namespace {
    pub(crate) name: Arc<str>,
    pub(crate) plugin: &'static str,
    /// Who is let in.
    access: Access,
    pub(crate) hub: Arc<Hub>,
    pub(crate) space: Space,
    pub(crate) limits: Limits,
    pub(crate) metrics: Arc<Metrics>,
    /// The plugin's threads.
    pub(crate) threads: Handle,
    /// The way of clients to them.
    pub(crate) handover: Arc<Handover>,
    /// Watches what runs on the plugin's threads.
    pub(crate) clock: Arc<Clock>,
    failures: Arc<Failures>,
    /// Who checks what clients show; without it nobody is asked.
    pub(crate) authenticate: Option<Arc<dyn Authenticate>>,
    pub(crate) expiries: Arc<Expiries>,
    pub(crate) rates: Arc<RateLimits>,
    /// Its journal, where what is published is kept.
    keeper: Option<Box<Keeper>>,
    /// What is to be heard of other nodes, where there may be any.
    pub(crate) interest: Option<Arc<Interest>>,
    /// How many are in its rooms on all nodes, where it counts that.
    pub(crate) presence: Option<Presence>,
    /// By route, where any event has a limit of its own.
    own_limits: Option<Box<[Option<OwnLimit>]>>,
    /// Set at the end of boot, before the first client.
    module: OnceLock<Arc<dyn Module>>,
    /// The declared events, sorted by name, and their routes. No client can choose what is in it, so it needs no hash
    /// that withstands one.
    events: Box<[(String, usize)]>,
    inbound: Vec<Inbound>,
    other: Inbound,
    outbound: HashMap<String, Arc<Outbound>>,
    acks: Arc<Outbound>,
    others: Arc<Outbound>,
    /// Clients connected now, by transport.
    connected: [(Transport, IntGauge); 2],
    /// Whether it may send events that nobody declared.
    sends_any: bool,
    pub(crate) undeclared: Undeclared,
    /// Handlers running now.
    pub(crate) in_flight: IntGauge,
    /// Limits log lines about failed calls to one a second.
    log: Throttle,
    /// Limits log lines about blocked threads likewise.
    pub(crate) blocked_log: Throttle,
}

fn sorted(outline: &Outline) -> Box<[(String, usize)]> {
    let mut events: Vec<_> = outline.events.iter().zip(0..).map(|(event, route)| (event.name.clone(), route)).collect();
    events.sort_unstable();
    events.into()
}

impl Namespace {
    /// `access` is the role its clients must have, `emits` are all events declared for this namespace, by its own plugin
    /// and by others, and their modes.
    pub(crate) fn new(
        name: &str,
        (plugin, access): (&'static str, Option<Box<str>>),
        outline: &Outline,
        emits: &[(String, Mode)],
        (hub, space): (Arc<Hub>, Space),
        threads: Handle,
        services: Services,
    ) -> Self {
        let Services { clients, metrics, limits, clock, failures, authenticate, expiries, rates, .. } = services;
        let Services { interests, journals, presences, .. } = services;
        let own = outline.events.iter().map(|event| event.limit.map(|rate| rates.own(rate)));
        let own: Box<[_]> = own.collect();
        metrics.preset(name);
        Self {
            name: name.into(),
            plugin,
            access: Access::new(name, plugin, access, &metrics),
            hub,
            space,
            limits,
            handover: Arc::new(Handover::new(threads.clone(), clients)),
            threads,
            module: OnceLock::new(),
            events: sorted(outline),
            inbound: outline.events.iter().map(|event| metrics.inbound(name, &event.name)).collect(),
            other: metrics.inbound(name, OTHER),
            outbound: emits
                .iter()
                .map(|(event, mode)| (event.clone(), Arc::new(metrics.outbound(name, event, *mode))))
                .collect(),
            acks: Arc::new(metrics.outbound(name, ACK, Mode::All)),
            others: Arc::new(metrics.outbound(name, OTHER, Mode::All)),
            connected: Transport::ALL
                .map(|transport| (transport, metrics.connected.with_label_values(&[name, transport.as_str()]))),
            sends_any: outline.emits_any.is_some(),
            undeclared: Undeclared::default(),
            in_flight: metrics.in_flight.with_label_values(&[name]),
            metrics,
            clock,
            failures,
            authenticate,
            expiries,
            own_limits: own.iter().any(Option::is_some).then_some(own),
            rates,
            keeper: journals.of(name).map(Box::new),
            interest: interests.map(|shared| Arc::new(Interest::new(&shared))),
            presence: presences.of(name, &outline.presence),
            log: Throttle::per_second(),
            blocked_log: Throttle::per_second(),
        }
    }

    /// Waits, for a moment, until what other nodes publish to this room comes here.
    pub(crate) async fn room_heard(&self, room: &str) {
        if let Some(interest) = &self.interest {
            interest.room_heard(room).await;
        }
    }

    /// Whether this namespace is open to whoever that is.
    pub(crate) fn admits(&self, identity: Option<&Identity>) -> Result<()> {
        self.access.admits(identity)
    }

    /// The plugin, once it is up.
    pub(crate) fn module(&self) -> Result<&Arc<dyn Module>> {
        self.module.get().ok_or_else(|| Error::unavailable("the server is starting"))
    }

    /// The hooks that clients of this namespace meet.
    pub(crate) fn hooks(&self) -> Hooks {
        self.module.get().map_or(Hooks { admit: true, connected: true, disconnected: true }, |module| module.hooks())
    }

    /// Ends the boot of this namespace. A second call is ignored.
    pub(crate) fn start(&self, module: Arc<dyn Module>) {
        self.module.set(module).ok();
    }

    /// The route of event `name`, and its series; undeclared events share one.
    pub(crate) fn route(&self, name: &str) -> (Option<usize>, &Inbound) {
        match self.events.binary_search_by(|(known, _)| known.as_str().cmp(name)) {
            Ok(at) => {
                let route = self.events[at].1;
                (Some(route), &self.inbound[route])
            }
            Err(_) => (None, &self.other),
        }
    }

    /// What a client is told that sends an event which nobody declared.
    pub(crate) fn unknown_event(&self, name: &str, identity: Option<&Identity>) -> Error {
        unknown_event(name, self.events.iter().map(|(event, _)| event.as_str()), identity)
    }

    /// Whether any event has a limit of its own.
    pub(crate) fn limits_events(&self) -> bool {
        self.own_limits.is_some()
    }

    /// The limit of event `name` of its own.
    pub(crate) fn own_limit(&self, name: &str) -> Option<&OwnLimit> {
        self.own_limits.as_ref()?[self.route(name).0?].as_ref()
    }

    /// The series of an event that is sent, with the mode it was declared with; undeclared events share one.
    pub(crate) fn series(&self, event: &str) -> &Arc<Outbound> {
        self.outbound.get(event).unwrap_or(&self.others)
    }

    /// [`series`](Self::series) of an event that is about to be sent from `at`: one that nobody declared is told of.
    pub(crate) fn note(&self, event: &str, at: &Location<'_>) -> &Arc<Outbound> {
        let series = self.series(event);
        if Arc::ptr_eq(series, &self.others) && !self.sends_any {
            self.undeclared.note(self.plugin, &self.name, event, at);
        }
        series
    }

    /// Its journal, where what is published is kept.
    pub(crate) fn keeper(&self) -> Option<&Keeper> {
        self.keeper.as_deref()
    }

    /// Its journal, and what is known of its clients, where they get on where they left off.
    pub(crate) fn recovering(&self) -> Option<(&Keeper, &Sessions)> {
        let keeper = self.keeper()?;
        Some((keeper, keeper.sessions.as_ref()?))
    }

    /// Remembers a failure that is the server's own, and logs it, at most one a second; returns the id that links the
    /// answer, the log and [`App::failures`](crate::lifecycle::App::failures).
    pub(crate) fn failed(&self, event: impl FnOnce() -> String, error: &Error) -> Option<String> {
        if error.code() != Code::Internal {
            return None;
        }
        let event = event();
        let id = self.failures.remember(self.plugin, &self.name, &event, &error.cause());
        if let Some(left_out) = self.log.allow() {
            tracing::error!(
                id,
                plugin = self.plugin,
                namespace = &*self.name,
                event,
                left_out,
                "handler failed: {error}"
            );
        }
        Some(id)
    }

    /// The gauge of clients that use `transport`.
    pub(crate) fn connected(&self, transport: Transport) -> Option<&IntGauge> {
        self.connected.iter().find(|(of, _)| *of == transport).map(|(_, gauge)| gauge)
    }

    /// Brings the gauges of what waits up to date.
    pub(crate) fn refresh_gauges(&self) {
        let waiting = self.hub.waiting(self.space);
        self.metrics.hub_publishes.with_label_values(&[&*self.name]).set(waiting.publishes as i64);
        self.metrics.hub_bytes.with_label_values(&[&*self.name]).set(waiting.bytes as i64);
    }
}

//! A namespace at run time: its members, its frozen event table with bound metrics, and its plugin.

use std::collections::HashMap;
use std::panic::Location;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use prometheus::IntGauge;
use tokio::runtime::Handle;
use tokio_util::task::TaskTracker;

use crate::client::Client;
use crate::error::{Error, Result};
use crate::hub::{Full, Hub, Order, Selection, Space};
use crate::metrics::{ACK, Inbound, Metrics, OTHER, Outbound};
use crate::module::Module;
use crate::packet::Item;
use crate::payload::{Emit, encode_event};
use crate::routes::Outline;
use crate::sink::{Mode, Pushed, Transport};
use crate::throttle::Throttle;
use crate::undeclared::Undeclared;

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

/// One namespace.
pub(crate) struct Namespace {
    pub(crate) name: Arc<str>,
    pub(crate) plugin: &'static str,
    pub(crate) hub: Arc<Hub>,
    pub(crate) space: Space,
    pub(crate) limits: Limits,
    pub(crate) metrics: Arc<Metrics>,
    /// The plugin's threads.
    pub(crate) threads: Handle,
    /// Every task that runs clients' events.
    pub(crate) clients: TaskTracker,
    /// Set at the end of boot, before the first client.
    module: OnceLock<Arc<dyn Module>>,
    events: HashMap<String, usize>,
    inbound: Vec<Inbound>,
    other: Inbound,
    outbound: HashMap<String, Arc<Outbound>>,
    acks: Arc<Outbound>,
    others: Arc<Outbound>,
    /// Whether it may send events that nobody declared.
    sends_any: bool,
    pub(crate) undeclared: Undeclared,
    /// Handlers running now.
    pub(crate) in_flight: IntGauge,
    /// Limits log lines about failed calls to one a second.
    pub(crate) log: Throttle,
}

impl Namespace {
    /// `emits` are all events declared for this namespace, by its own plugin and by others, and their modes.
    pub(crate) fn new(
        name: &str,
        plugin: &'static str,
        outline: &Outline,
        emits: &[(String, Mode)],
        (hub, space): (Arc<Hub>, Space),
        runtime: (Handle, TaskTracker, Arc<Metrics>, Limits),
    ) -> Self {
        let (threads, clients, metrics, limits) = runtime;
        metrics.preset(name);
        Self {
            name: name.into(),
            plugin,
            hub,
            space,
            limits,
            threads,
            clients,
            module: OnceLock::new(),
            events: outline.events.iter().enumerate().map(|(index, event)| (event.name.clone(), index)).collect(),
            inbound: outline.events.iter().map(|event| metrics.inbound(name, &event.name)).collect(),
            other: metrics.inbound(name, OTHER),
            outbound: emits
                .iter()
                .map(|(event, mode)| (event.clone(), Arc::new(metrics.outbound(name, event, *mode))))
                .collect(),
            acks: Arc::new(metrics.outbound(name, ACK, Mode::All)),
            others: Arc::new(metrics.outbound(name, OTHER, Mode::All)),
            sends_any: outline.emits_any.is_some(),
            undeclared: Undeclared::default(),
            in_flight: metrics.in_flight.with_label_values(&[name]),
            metrics,
            log: Throttle::per_second(),
        }
    }

    /// The plugin, once it is up.
    pub(crate) fn module(&self) -> Result<&Arc<dyn Module>> {
        self.module.get().ok_or_else(|| Error::unavailable("the server is starting"))
    }

    /// Ends the boot of this namespace. A second call is ignored.
    pub(crate) fn start(&self, module: Arc<dyn Module>) {
        self.module.set(module).ok();
    }

    /// The route of event `name`, and its series; undeclared events share one.
    pub(crate) fn route(&self, name: &str) -> (Option<usize>, &Inbound) {
        match self.events.get(name) {
            Some(index) => (Some(*index), &self.inbound[*index]),
            None => (None, &self.other),
        }
    }

    fn series(&self, event: &str) -> &Arc<Outbound> {
        self.outbound.get(event).unwrap_or(&self.others)
    }

    /// An event is about to be sent from `at`: one that nobody declared is told of.
    pub(crate) fn note(&self, event: &str, at: &Location<'_>) {
        if !self.sends_any && !self.outbound.contains_key(event) {
            self.undeclared.note(self.plugin, &self.name, event, at);
        }
    }

    /// The mode declared for an event.
    pub(crate) fn mode(&self, event: &str) -> Mode {
        self.series(event).mode
    }

    /// Fans an encoded event out.
    ///
    /// # Errors
    /// `overloaded` when the namespace has too much waiting.
    pub(crate) fn publish_item(&self, selection: Selection, event: &str, item: Item, mode: Mode) -> Result<()> {
        let order = self.order(selection, event, item, mode);
        self.hub.publish(order).map_err(|Full| {
            Error::overloaded(format!("too much waits to be sent in {}; publish_wait waits for room", self.name))
        })
    }

    /// Fans an encoded event out, as soon as there is room for it.
    pub(crate) async fn publish_item_wait(&self, selection: Selection, event: &str, item: Item, mode: Mode) {
        let order = self.order(selection, event, item, mode);
        // What may replace or be dropped need not wait for that.
        if !mode.is_all() && self.hub.publish(order.clone()).is_ok() {
            return;
        }
        self.hub.publish_wait(order).await;
    }

    fn order(&self, selection: Selection, event: &str, item: Item, mode: Mode) -> Order {
        let series = Arc::clone(self.series(event));
        series.publishes.inc();
        Order { space: self.space, selection, item, mode, series }
    }

    /// Sends one event to one client.
    pub(crate) fn emit<T: Emit + ?Sized>(&self, client: &Client, event: &str, value: &T) -> Result<()> {
        let item = encode_event(&self.name, event, value)?;
        self.send(client, item, self.series(event));
        Ok(())
    }

    /// Sends an ack to one client, unless its handler has sent it.
    pub(crate) fn ack(&self, client: &Client, item: Item) {
        if client.deferred.allows(item.ack_id()) {
            self.ack_once(client, item);
        }
    }

    /// Sends an ack that nobody else will.
    pub(crate) fn ack_once(&self, client: &Client, item: Item) {
        self.send(client, item, &self.acks);
    }

    fn send(&self, client: &Client, item: Item, series: &Arc<Outbound>) {
        let (sink, series) = (Arc::clone(&client.sink), Arc::clone(series));
        client.seat.send(move || {
            if matches!(sink.send(&item), Pushed::Delivered | Pushed::Queued) {
                series.count(1, item.len());
            }
        });
    }

    /// Counts a server-to-client call as a sent event.
    pub(crate) fn count_call(&self, event: &str, item: &Item) {
        self.series(event).count(1, item.len());
    }

    /// Brings the gauges of members and of what waits up to date.
    pub(crate) fn refresh_gauges(&self) {
        let waiting = self.hub.waiting(self.space);
        self.metrics.hub_publishes.with_label_values(&[&*self.name]).set(waiting.publishes as i64);
        self.metrics.hub_bytes.with_label_values(&[&*self.name]).set(waiting.bytes as i64);
        for transport in Transport::ALL {
            let labels = [&*self.name, transport.as_str()];
            self.metrics.connected.with_label_values(&labels).set(self.hub.by_transport(self.space, transport) as i64);
        }
    }
}

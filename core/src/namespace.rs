//! A namespace at run time: its members, its frozen event table with bound metrics, and its plugin.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use crate::error::{Error, Result};
use crate::hub::{Hub, Selection};
use crate::metrics::{ACK, Inbound, Metrics, OTHER, Outbound};
use crate::module::Module;
use crate::packet::Item;
use crate::payload::{Emit, encode_event};
use crate::routes::Outline;
use crate::sink::{Pushed, Sink, Transport};
use crate::throttle::Throttle;

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
    pub(crate) hub: Hub,
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
    outbound: HashMap<String, Outbound>,
    acks: Outbound,
    others: Outbound,
    /// Limits log lines about failed calls to one a second.
    pub(crate) log: Throttle,
}

impl Namespace {
    /// `emits` are all events declared for this namespace, by its own plugin and by others.
    pub(crate) fn new<'a>(
        name: &str,
        plugin: &'static str,
        outline: &Outline,
        emits: impl Iterator<Item = &'a str>,
        runtime: (Handle, TaskTracker, Arc<Metrics>, Limits),
    ) -> Self {
        let (threads, clients, metrics, limits) = runtime;
        metrics.preset(name);
        Self {
            name: name.into(),
            plugin,
            hub: Hub::default(),
            limits,
            threads,
            clients,
            module: OnceLock::new(),
            events: outline.events.iter().enumerate().map(|(index, event)| (event.name.clone(), index)).collect(),
            inbound: outline.events.iter().map(|event| metrics.inbound(name, &event.name)).collect(),
            other: metrics.inbound(name, OTHER),
            outbound: emits.map(|event| (event.to_owned(), metrics.outbound(name, event))).collect(),
            acks: metrics.outbound(name, ACK),
            others: metrics.outbound(name, OTHER),
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

    fn series(&self, event: &str) -> &Outbound {
        self.outbound.get(event).unwrap_or(&self.others)
    }

    /// Encodes an event once and fans it out to this node's clients.
    pub(crate) fn publish<T: Emit + ?Sized>(&self, selection: &Selection, event: &str, value: &T) -> Result<()> {
        let item = encode_event(&self.name, event, value)?;
        self.publish_item(selection, event, &item);
        Ok(())
    }

    /// Fans an encoded event out; counts every copy.
    pub(crate) fn publish_item(&self, selection: &Selection, event: &str, item: &Item) {
        let start = Instant::now();
        let tally = self.hub.publish(selection, item);
        let series = self.series(event);
        series.publishes.inc();
        series.count(tally.delivered, item.len());
        self.metrics.expected.inc_by(tally.expected());
        self.metrics.deliveries.add(tally);
        self.metrics.fanout_seconds.observe(start.elapsed().as_secs_f64());
    }

    /// Sends one event to one client.
    pub(crate) fn emit<T: Emit + ?Sized>(&self, sink: &dyn Sink, event: &str, value: &T) -> Result<()> {
        let item = encode_event(&self.name, event, value)?;
        self.push(sink, &item, self.series(event));
        Ok(())
    }

    /// Sends an ack to one client.
    pub(crate) fn ack(&self, sink: &dyn Sink, item: &Item) {
        self.push(sink, item, &self.acks);
    }

    fn push(&self, sink: &dyn Sink, item: &Item, series: &Outbound) {
        if sink.push(item) == Pushed::Delivered {
            series.count(1, item.len());
        }
    }

    /// Counts a server-to-client call as a sent event.
    pub(crate) fn count_call(&self, event: &str, item: &Item) {
        self.series(event).count(1, item.len());
    }

    /// Brings the membership gauge up to date.
    pub(crate) fn refresh_gauges(&self) {
        for transport in Transport::ALL {
            let labels = [&*self.name, transport.as_str()];
            self.metrics.connected.with_label_values(&labels).set(self.hub.by_transport(transport) as i64);
        }
    }
}

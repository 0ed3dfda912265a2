//! Several Carillons on one bus act as one: what a plugin publishes reaches the clients of all of them.
//!
//! Each publish is delivered to this node's own clients at once and sent to the others on a channel of its namespace, as
//! one message in an envelope. A node leaves out what it sent itself. While the bus is away every node serves its own
//! clients, and what did not arrive is counted when it is back.
//!
//! With `bus.secret`, only nodes that know it are heard. Without, whoever may publish on those channels speaks for a node:
//! an ACL of the bus keeps others off them. Sizes and names are checked before anything is made of a message all the same.

mod channels;
#[doc(hidden)]
pub mod envelope;
mod gaps;
mod incoming;
mod interest;
mod listening;
mod message;
mod nodes;
mod outgoing;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use prometheus::{IntCounter, IntCounterVec};
use tokio_util::sync::CancellationToken;

use self::channels::{Channels, Part, Place};
pub(crate) use self::gaps::Gaps;
pub use self::gaps::Missed;
use self::incoming::Receiver;
pub(crate) use self::interest::{Interest, Interests, RoomSet};
use self::listening::Listening;
pub use self::message::is_understood;
pub(crate) use self::message::{event, put_together, take_apart};
use self::outgoing::{Outgoing, Sending};
use crate::bus::{Bus, Subscription};
use crate::error::Result;
use crate::hub::Selection;
use crate::metrics::Metrics;
use crate::namespace::Namespace;
use crate::packet::Item;
use crate::peer::public_id;
use crate::sink::Mode;
use crate::throttle::Throttle;

/// Bytes of the name of a node, a namespace or an event.
const NAME_MAX: usize = 256;
/// Pause before a failed subscription is tried again.
const RESUBSCRIBE: Duration = Duration::from_secs(1);

type Namespaces = HashMap<Arc<str>, Arc<Namespace>>;

/// This node's way to the others.
pub(crate) struct Cluster {
    outgoing: Outgoing,
    gaps: Gaps,
    counters: Counters,
    refused: Throttle,
}

/// The other end: what the node's tasks work with.
pub(crate) struct Tasks {
    node: Arc<str>,
    channels: Channels,
    secret: Option<String>,
    sending: Sending,
    gaps: Gaps,
    counters: Counters,
    interests: Arc<Interests>,
    /// Counts what did not fit into the subscription.
    overflow: IntCounter,
}

#[derive(Clone)]
struct Counters {
    messages: IntCounterVec,
    /// By kind of channel.
    received: [IntCounter; Part::KINDS.len()],
    gaps: IntCounter,
}

impl Counters {
    fn new(metrics: &Metrics) -> Result<Self> {
        let help = "Publishes exchanged with other Carillons: sent, received, dropped, malformed, refused (bus.secret), repeated.";
        let messages = metrics.counter("cluster_messages_total", help, &["result"])?;
        for result in ["sent", "received", "dropped", "malformed", "refused", "repeated"] {
            messages.with_label_values(&[result]);
        }
        let help = "Publishes of other Carillons received, by kind of channel: namespace, or room (to a single one).";
        let received = metrics.counter("cluster_received_total", help, &["channel"])?;
        let help = "Publishes of other Carillons that never came, told from the numbers of those that did.";
        let gaps = metrics.counter("cluster_gaps_total", help, &[])?.with_label_values::<&str>(&[]);
        Ok(Self { messages, received: Part::KINDS.map(|kind| received.with_label_values(&[kind])), gaps })
    }

    fn count(&self, result: &str) {
        self.messages.with_label_values(&[result]).inc();
    }

    fn received(&self, part: Part) {
        self.count("received");
        self.received[part.kind()].inc();
    }
}

impl Cluster {
    /// A node with a name nobody else has, on this bus, with the secret of its installation if there is one.
    pub(crate) fn new(
        metrics: &Metrics,
        bus: &dyn Bus,
        secret: Option<&str>,
        namespaces: &Namespaces,
        interests: &Arc<Interests>,
    ) -> Result<(Self, Tasks)> {
        let (counters, channels, node) = (Counters::new(metrics)?, Channels::new(bus), public_id().into());
        let dropped = counters.messages.with_label_values(&["dropped"]);
        let (outgoing, sending) = Outgoing::new(&node, &channels, secret, dropped);
        let (gaps, secret) = (Gaps::new(namespaces), secret.map(str::to_owned));
        let cluster =
            Self { outgoing, gaps: gaps.clone(), counters: counters.clone(), refused: Throttle::per_second() };
        let (interests, overflow) = (Arc::clone(interests), metrics.bus_dropped.clone());
        Ok((cluster, Tasks { node, channels, secret, sending, gaps, counters, interests, overflow }))
    }

    /// Sends an event to the other nodes.
    pub(crate) fn publish(&self, namespace: &Arc<str>, selection: &Selection, item: &Item, mode: Mode) {
        self.send(namespace, selection, put_together(namespace, selection, mode, &item.json(), item.attachments()));
    }

    /// Asks the other nodes to disconnect their clients.
    pub(crate) fn disconnect(&self, namespace: &Arc<str>, selection: &Selection) {
        self.send(namespace, selection, put_together(namespace, selection, Mode::All, "", &[]));
    }

    fn send(&self, namespace: &Arc<str>, selection: &Selection, message: Option<Bytes>) {
        if let Some(message) = message {
            let place = Place { namespace: Arc::clone(namespace), part: Part::of(selection) };
            return self.outgoing.push(place, message);
        }
        if let Some(left_out) = self.refused.allow() {
            let namespace = &**namespace;
            tracing::error!(
                left_out,
                namespace,
                "a publish is too large, or named too long, to be sent to other nodes"
            );
        }
        self.counters.count("dropped");
    }

    /// What never comes from other nodes.
    pub(crate) fn gaps(&self) -> &Gaps {
        &self.gaps
    }
}

impl Tasks {
    /// Runs until `stop`: hands out what other nodes publish, and what this one has to tell them.
    pub(crate) async fn run(self, bus: Arc<dyn Bus>, namespaces: Arc<Namespaces>, stop: CancellationToken) {
        let Self { node, channels, secret, sending, gaps, counters, interests, overflow } = self;
        let (feed, mut subscription) = Subscription::new(overflow);
        let listening = Listening::new(&*bus, &channels, feed, &interests, &namespaces);
        let mut receiver = Receiver::new(&node, &channels, secret.as_deref(), &counters, &gaps);
        let receiving = receiver.receive(&mut subscription, &namespaces);
        tokio::select! {
            () = stop.cancelled() => {}
            () = async { tokio::join!(sending.run(&*bus, &counters), listening.run(), receiving); } => {}
        }
    }
}

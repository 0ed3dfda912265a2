//! Several Carillons on one bus act as one: what a plugin publishes reaches the clients of all of them.
//!
//! Each publish is delivered to this node's own clients at once and sent to the others on one channel, as one
//! message in an envelope. A node leaves out what it sent itself. While the bus is away every node serves its own
//! clients, and what did not arrive is counted when it is back.
//!
//! With `bus.secret`, only nodes that know it are heard. Without, whoever may publish on that channel speaks for a node:
//! an ACL of the bus keeps others off it. Sizes and names are checked before anything is made of a message all the same.

#[doc(hidden)]
pub mod envelope;
mod message;
mod nodes;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use prometheus::{IntCounter, IntCounterVec};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use self::envelope::{Envelopes, Wrong};
pub use self::message::is_understood;
pub(crate) use self::message::{event, put_together, take_apart};
use self::nodes::{Nodes, Turn};
use crate::bus::{Bus, Message};
use crate::error::Result;
use crate::hub::Selection;
use crate::metrics::Metrics;
use crate::namespace::Namespace;
use crate::packet::Item;
use crate::payload::encode_event;
use crate::peer::public_id;
use crate::sink::Mode;
use crate::throttle::Throttle;

/// The channel of all Carillons of an installation, behind the bus's prefix.
pub const CHANNEL: &str = "cluster";
/// Bytes of the name of a node, a namespace or an event.
const NAME_MAX: usize = 256;
/// Publishes that wait for the bus; more are dropped and counted.
const OUTGOING_DEPTH: usize = 10_000;
/// Pause before a failed subscription is tried again.
const RESUBSCRIBE: Duration = Duration::from_secs(1);

type Namespaces = HashMap<Arc<str>, Arc<Namespace>>;

/// This node's way to the others.
pub(crate) struct Cluster {
    outgoing: mpsc::Sender<Bytes>,
    /// How many did not fit since the last that did: others are to miss them.
    skipped: Arc<AtomicU64>,
    dropped: IntCounter,
    refused: Throttle,
}

/// The other end: what the node's two tasks work with.
pub(crate) struct Tasks {
    node: String,
    channel: String,
    envelopes: Envelopes,
    outgoing: mpsc::Receiver<Bytes>,
    skipped: Arc<AtomicU64>,
    counters: Counters,
}

#[derive(Clone)]
struct Counters {
    messages: IntCounterVec,
    gaps: IntCounter,
}

impl Counters {
    fn count(&self, result: &str) {
        self.messages.with_label_values(&[result]).inc();
    }
}

impl Cluster {
    /// A node with a name nobody else has, on this bus, with the secret of its installation if there is one.
    pub(crate) fn new(metrics: &Metrics, bus: &dyn Bus, secret: Option<&str>) -> Result<(Self, Tasks)> {
        let help = "Publishes exchanged with other Carillons: sent, received, dropped, malformed, refused (bus.secret), repeated.";
        let messages = metrics.counter("cluster_messages_total", help, &["result"])?;
        for result in ["sent", "received", "dropped", "malformed", "refused", "repeated"] {
            messages.with_label_values(&[result]);
        }
        let gaps = "Publishes of other Carillons that never came, told from the numbers of those that did.";
        let gaps = metrics.counter("cluster_gaps_total", gaps, &[])?.with_label_values::<&str>(&[]);
        let (sender, outgoing) = mpsc::channel(OUTGOING_DEPTH);
        let dropped = messages.with_label_values(&["dropped"]);
        let (skipped, channel) = (Arc::new(AtomicU64::new(0)), bus.own(CHANNEL));
        let tasks = Tasks {
            node: public_id(),
            envelopes: Envelopes::new(&channel, secret),
            channel,
            outgoing,
            skipped: Arc::clone(&skipped),
            counters: Counters { messages, gaps },
        };
        Ok((Self { outgoing: sender, skipped, dropped, refused: Throttle::per_second() }, tasks))
    }

    /// Sends an event to the other nodes.
    pub(crate) fn publish(&self, namespace: &str, selection: &Selection, item: &Item, mode: Mode) {
        self.send(namespace, put_together(namespace, selection, mode, &item.json(), item.attachments()));
    }

    /// Asks the other nodes to disconnect their clients.
    pub(crate) fn disconnect(&self, namespace: &str, selection: &Selection) {
        self.send(namespace, put_together(namespace, selection, Mode::All, "", &[]));
    }

    fn send(&self, namespace: &str, message: Option<Bytes>) {
        let Some(message) = message else {
            if let Some(left_out) = self.refused.allow() {
                tracing::error!(
                    left_out,
                    namespace,
                    "a publish is too large, or named too long, to be sent to other nodes"
                );
            }
            return self.dropped.inc();
        };
        if self.outgoing.try_send(message).is_err() {
            self.skipped.fetch_add(1, Ordering::Relaxed);
            self.dropped.inc();
        }
    }
}

impl Tasks {
    /// Runs until `stop`: hands out what other nodes publish, and what this one has to tell them.
    pub(crate) async fn run(self, bus: Arc<dyn Bus>, namespaces: Weak<Namespaces>, stop: CancellationToken) {
        let Self { node, channel, envelopes, mut outgoing, skipped, counters } = self;
        let sending = async {
            let mut sequence = 0;
            while let Some(message) = outgoing.recv().await {
                sequence += 1 + skipped.swap(0, Ordering::Relaxed);
                let sealed = envelopes.seal(&node, sequence, &message);
                counters.count(if bus.publish(&channel, sealed).await.is_ok() { "sent" } else { "dropped" });
            }
        };
        let receiver = Receiver {
            node: &node,
            envelopes: &envelopes,
            counters: &counters,
            nodes: Nodes::default(),
            log: Throttle::per_second(),
        };
        let receiving = receiver.receive(&*bus, &channel, &namespaces);
        tokio::select! {
            () = stop.cancelled() => {}
            () = async { tokio::join!(sending, receiving); } => {}
        }
    }
}

/// Who hears the other nodes.
struct Receiver<'a> {
    node: &'a str,
    envelopes: &'a Envelopes,
    counters: &'a Counters,
    nodes: Nodes,
    log: Throttle,
}

impl Receiver<'_> {
    async fn receive(mut self, bus: &dyn Bus, channel: &str, namespaces: &Weak<Namespaces>) {
        loop {
            match bus.subscribe(&[channel.to_owned()]).await {
                Ok(mut subscription) => {
                    while let Some(message) = subscription.recv().await {
                        let Some(namespaces) = namespaces.upgrade() else { return };
                        if let Some(text) = self.open(&message) {
                            self.deliver(&text, &namespaces).await;
                        }
                    }
                }
                Err(error) => tracing::warn!("the cluster channel cannot be subscribed to: {error}"),
            }
            tokio::time::sleep(RESUBSCRIBE).await;
        }
    }

    /// What another node says, if it is one and says it for the first time.
    fn open(&mut self, message: &Message) -> Option<Bytes> {
        let payload = &message.payload;
        if Envelopes::is_of(payload, self.node) {
            return None;
        }
        let opened = match self.envelopes.open(payload) {
            Ok(opened) => opened,
            Err(Wrong::Malformed) => {
                self.counters.count("malformed");
                return None;
            }
            Err(wrong) => {
                self.counters.count("refused");
                self.tell(wrong, &message.channel);
                return None;
            }
        };
        match self.nodes.hear(opened.node, opened.sequence, opened.old) {
            Turn::Next(missing) => {
                self.counters.gaps.inc_by(missing);
                Some(payload.slice(opened.at..))
            }
            Turn::Repeated => {
                self.counters.count("repeated");
                None
            }
        }
    }

    fn tell(&self, wrong: Wrong, channel: &str) {
        let Some(left_out) = self.log.allow() else { return };
        if wrong == Wrong::Stale {
            tracing::warn!(
                left_out,
                channel,
                "a message of more than a minute ago, or to come, is refused: are the clocks right?"
            );
        } else {
            tracing::warn!(
                left_out,
                channel,
                "a message without the right proof is refused: bus.secret is to be the same on all nodes"
            );
        }
    }

    /// A namespace with too much waiting makes this wait: the feed is bounded, and counts what it drops.
    async fn deliver(&self, text: &Bytes, namespaces: &Namespaces) {
        let Ok((header, rest)) = take_apart(text) else { return self.counters.count("malformed") };
        let Some(namespace) = namespaces.get(&*header.namespace) else { return self.counters.count("received") };
        let Ok(event) = event(&header, rest) else { return self.counters.count("malformed") };
        self.counters.count("received");
        let selection = header.selection();
        let publisher = namespace.hub.other_nodes();
        match event {
            None => namespace.hub.disconnect(publisher, namespace.space, &selection),
            Some((name, payload)) => match encode_event(&namespace.name, &name, &payload) {
                Ok(item) => {
                    let series = namespace.series(&name);
                    namespace.publish_item_wait(publisher, &selection, series, &(item, header.mode)).await;
                }
                Err(error) => tracing::error!(%error, "a publish of another node could not be encoded"),
            },
        }
    }
}

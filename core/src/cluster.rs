//! Several Carillons on one bus act as one: what a plugin publishes reaches the clients of all of them.
//!
//! Each publish is delivered to this node's own clients at once and sent to the others on a channel of its namespace, as
//! one message in an envelope. A node leaves out what it sent itself. While the bus is away every node serves its own
//! clients, and what did not arrive is counted when it is back.
//!
//! With `bus.secret`, only nodes that know it are heard. Without, whoever may publish on those channels speaks for a node:
//! an ACL of the bus keeps others off them. Sizes and names are checked before anything is made of a message all the same.

mod alive;
mod channels;
mod control;
mod ends;
#[doc(hidden)]
pub mod envelope;
mod gaps;
mod incoming;
mod interest;
mod listening;
mod message;
mod nodes;
mod outgoing;
mod question;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use prometheus::{IntCounter, IntCounterVec};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use self::alive::Alive;
pub(crate) use self::alive::BEAT;
use self::channels::{Channels, Part, Place};
use self::control::{Control, Said, Shared, Speaker, Word};
pub use self::gaps::Missed;
use self::incoming::Receiver;
pub(crate) use self::interest::{Interest, Interests, RoomSet};
use self::listening::Listening;
pub use self::message::is_understood;
use self::message::put_over;
pub(crate) use self::message::{event, put_together, take_apart};
use self::outgoing::{Outgoing, Sending};
pub(crate) use self::question::{Answer, MEMBERS_MAX, Request, act, settled};
pub use self::question::{AskedNodes, Member};
use self::question::{Open, Question};
use crate::bus::{Bus, Subscription};
use crate::error::Result;
use crate::hub::Selection;
use crate::metrics::Metrics;
use crate::namespace::Namespace;
use crate::packet::Item;
use crate::peer::NodeId;
use crate::presence::Counts;
use crate::recovery::Takeover;
use crate::sink::Mode;
use crate::throttle::Throttle;

/// Bytes of the name of a node, a namespace or an event.
const NAME_MAX: usize = 256;
/// Pause before a failed subscription is tried again.
const RESUBSCRIBE: Duration = Duration::from_secs(1);

type Namespaces = HashMap<Arc<str>, Arc<Namespace>>;

/// This node's way to the others.
pub(crate) struct Cluster {
    shared: Arc<Shared>,
    outgoing: Outgoing,
    counters: Counters,
    refused: Throttle,
    ask_timeout: Duration,
    /// Namespaces whose clients may come back, to whichever node.
    roaming: HashSet<Arc<str>>,
}

/// The other end: what the node's tasks work with.
pub(crate) struct Tasks {
    shared: Arc<Shared>,
    words: mpsc::Receiver<Word>,
    channels: Channels,
    secret: Option<String>,
    sending: Sending,
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
        let help = "Publishes exchanged with other Carillons: sent, received, dropped, malformed, refused (bus.secret), repeated, \
                    unknown_node (to a client of a Carillon that is not there).";
        let messages = metrics.counter("cluster_messages_total", help, &["result"])?;
        for result in ["sent", "received", "dropped", "malformed", "refused", "repeated", "unknown_node"] {
            messages.with_label_values(&[result]);
        }
        let help = "Publishes of other Carillons received, by kind of channel: namespace, room (to a single one), node (to \
                    clients of this one).";
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
    /// This node on this bus, with the secret of its installation if there is one. Others have so long to answer it.
    pub(crate) fn new(
        (node, ask_timeout): (NodeId, Duration),
        metrics: &Metrics,
        bus: &dyn Bus,
        secret: Option<&str>,
        namespaces: &Namespaces,
        interests: &Arc<Interests>,
    ) -> Result<(Self, Tasks)> {
        let (counters, channels) = (Counters::new(metrics)?, Channels::new(bus));
        let nodes = metrics.gauge("cluster_nodes", "Carillons of this installation, this one included.", &[])?;
        let (words, receiver) = mpsc::channel(control::DEPTH);
        let (alive, open) = (Alive::new(nodes.with_label_values::<&str>(&[])), Arc::new(Open::default()));
        let shared = Arc::new(Shared { node, alive, open, words });
        let counted = Arc::downgrade(&shared);
        metrics.before_scrape(move || {
            if let Some(shared) = counted.upgrade() {
                shared.alive.count();
            }
        });
        let roaming = namespaces.values().filter(|namespace| namespace.recovering().is_some());
        let roaming = roaming.map(|namespace| Arc::clone(&namespace.name)).collect();
        let dropped = counters.messages.with_label_values(&["dropped"]);
        let (outgoing, sending) = Outgoing::new(node, &channels, secret, dropped);
        let secret = secret.map(str::to_owned);
        let cluster = Self {
            shared: Arc::clone(&shared),
            outgoing,
            counters: counters.clone(),
            refused: Throttle::per_second(),
            ask_timeout,
            roaming,
        };
        let (interests, overflow) = (Arc::clone(interests), metrics.bus_dropped.clone());
        Ok((cluster, Tasks { shared, words: receiver, channels, secret, sending, counters, interests, overflow }))
    }

    /// Sends an event to the other nodes.
    pub(crate) fn publish(&self, namespace: &Arc<str>, selection: &Selection, item: &Item, mode: Mode) {
        self.send(namespace, selection, |to| put_together(namespace, to, mode, &item.json(), item.attachments()));
    }

    /// Asks the other nodes to disconnect their clients.
    pub(crate) fn disconnect(&self, namespace: &Arc<str>, selection: &Selection) {
        self.send(namespace, selection, |to| put_together(namespace, to, Mode::All, "", &[]));
    }

    /// Tells the other nodes that a client has come back.
    pub(crate) fn supersede(&self, namespace: &Arc<str>, id: &str, over: &Takeover) {
        let selection = Selection { clients: vec![id.to_owned()], ..Selection::default() };
        self.send(namespace, &selection, |to| put_over(namespace, to, over.clone()));
    }

    /// Clients alone are told of to their nodes, everything else to whoever listens.
    fn send(&self, namespace: &Arc<str>, selection: &Selection, message: impl Fn(&Selection) -> Option<Bytes>) {
        if !self.tells_nodes(namespace, selection) {
            return self.push(namespace, Part::of(selection), message(selection));
        }
        for (node, clients) in self.by_node(selection) {
            let selection = Selection { clients, except: selection.except.clone(), ..Selection::default() };
            self.push(namespace, Part::Node(node), message(&selection));
        }
    }

    /// Whether ids tell which nodes have the clients. Who comes back to a namespace keeps its id, whichever node it comes to.
    fn tells_nodes(&self, namespace: &str, selection: &Selection) -> bool {
        selection.is_of_clients() && !self.roaming.contains(namespace)
    }

    /// Clients of other nodes, by these; those of nodes that are not there are counted.
    fn by_node(&self, selection: &Selection) -> BTreeMap<NodeId, Vec<String>> {
        let mut nodes = BTreeMap::<NodeId, Vec<String>>::new();
        for id in &selection.clients {
            match NodeId::of_client(id) {
                Some(node) if node == self.shared.node => {}
                Some(node) if self.shared.alive.knows(node) => nodes.entry(node).or_default().push(id.clone()),
                _ => self.counters.count("unknown_node"),
            }
        }
        nodes
    }

    fn push(&self, namespace: &Arc<str>, part: Part, message: Option<Bytes>) {
        if let Some(message) = message {
            return self.outgoing.push(Place { namespace: Arc::clone(namespace), part }, message);
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

    /// Asks the other nodes for their clients; what came in time, and from whom nothing came.
    pub(crate) async fn ask(
        &self,
        namespace: &str,
        selection: &Selection,
        what: &Request,
    ) -> (Vec<(NodeId, Answer)>, Vec<NodeId>) {
        let Shared { alive, open, words, .. } = &*self.shared;
        let nodes = if self.tells_nodes(namespace, selection) {
            self.by_node(selection).into_keys().collect()
        } else {
            alive.others()
        };
        if nodes.is_empty() {
            return Default::default();
        }
        let asked = open.ask(nodes);
        let (namespace, selection, what) = (namespace.to_owned(), selection.clone(), what.clone());
        let question = Question { id: asked.id, namespace, selection, what };
        if !question.is_sound() {
            // Nobody has such a name, or is in such a room.
            return Default::default();
        }
        if words.try_send((None, Said::Question(question))).is_err() {
            return (Vec::new(), asked.missing());
        }
        asked.wait(self.ask_timeout).await
    }

    /// Tells the other nodes how many are in rooms here. Those that miss it ask.
    pub(crate) fn tell_counts(&self, counts: Counts) {
        self.shared.words.try_send((None, Said::Counts(counts))).ok();
    }

    /// The other nodes, sorted.
    pub(crate) fn others(&self) -> Vec<NodeId> {
        self.shared.alive.others()
    }

    /// Whether the way to the others works, and what to tell an operator.
    pub(crate) fn status(&self) -> (bool, String) {
        let Shared { node, alive, .. } = &*self.shared;
        let delivers = alive.delivers();
        let detail = match (delivers, alive.others().len()) {
            (true, others) => format!("node {node}, with {others} others"),
            (false, _) => format!("node {node} does not hear itself"),
        };
        (delivers, detail)
    }
}

impl Tasks {
    /// Runs until `stop`: hands out what other nodes publish, and what this one has to tell them.
    pub(crate) async fn run(self, bus: Arc<dyn Bus>, namespaces: Arc<Namespaces>, stop: CancellationToken) {
        let Self { shared, words, channels, secret, sending, counters, interests, overflow } = self;
        let (node, secret, alive) = (shared.node, secret.as_deref(), &shared.alive);
        let (feed, mut subscription) = Subscription::new(overflow);
        let listening = Listening::new(&*bus, (&channels, node), feed, &interests, &namespaces);
        let mut receiver = Receiver::new(node, &channels, secret, &counters);
        let receiving = receiver.receive(&mut subscription, &namespaces);
        let (bus, channels, shared) = (&*bus, &channels, &*shared);
        let control = Control { bus, channels, secret, shared, counters: &counters, namespaces: &namespaces };
        let mut speaker = Speaker::new(&control, words);
        let talk = control.run(&mut speaker);
        tokio::select! {
            () = stop.cancelled() => {}
            () = async { tokio::join!(sending.run(bus, &counters, alive), listening.run(), receiving, talk); } => {}
        }
        speaker.farewell().await;
    }
}

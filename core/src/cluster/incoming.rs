//! What other nodes say: opened, judged by its number, and handed to the hub as the bytes that came.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;

use super::channels::{Channels, Part};
use super::envelope::{Envelopes, Wrong};
use super::gaps::Gaps;
use super::message::{event, take_apart};
use super::nodes::{Nodes, Turn};
use super::{Counters, Namespaces};
use crate::bus::{Message, Subscription};
use crate::namespace::Namespace;
use crate::peer::NodeId;
use crate::throttle::Throttle;

/// Who hears the other nodes.
pub(super) struct Receiver<'a> {
    node: NodeId,
    channels: &'a Channels,
    secret: Option<&'a str>,
    counters: &'a Counters,
    gaps: &'a Gaps,
    lines: HashMap<Arc<str>, Line>,
    log: Throttle,
}

/// One channel, as its listener knows it.
struct Line {
    namespace: Arc<Namespace>,
    part: Part,
    envelopes: Envelopes,
    nodes: Nodes,
    /// Since when it has been listened to.
    since: u64,
}

impl<'a> Receiver<'a> {
    pub(super) fn new(
        node: NodeId,
        channels: &'a Channels,
        secret: Option<&'a str>,
        counters: &'a Counters,
        gaps: &'a Gaps,
    ) -> Self {
        Self { node, channels, secret, counters, gaps, lines: HashMap::new(), log: Throttle::per_second() }
    }

    /// Hands on what comes, until the subscription ends.
    pub(super) async fn receive(&mut self, subscription: &mut Subscription, namespaces: &Namespaces) {
        while let Some(message) = subscription.recv().await {
            // Before anything else: everybody hears what they say themselves.
            if Envelopes::is_of(&message.payload, self.node.as_str()) {
                continue;
            }
            self.listen(&message, namespaces);
            if let Some(line) = self.lines.get_mut(&message.channel)
                && let Some(text) = line.open(&message, self.counters, self.gaps, &self.log)
            {
                line.deliver(&text, self.counters).await;
            }
        }
    }

    /// Prepares for a channel that is heard for the first time.
    fn listen(&mut self, message: &Message, namespaces: &Namespaces) {
        if self.lines.contains_key(&message.channel) {
            return;
        }
        let place = self.channels.parse(&message.channel);
        let Some((namespace, part)) = place.and_then(|(name, part)| Some((namespaces.get(name)?, part))) else {
            return;
        };
        let envelopes = Envelopes::new(&message.channel, self.secret);
        let line = Line { namespace: Arc::clone(namespace), part, envelopes, nodes: Nodes::default(), since: 0 };
        self.lines.insert(Arc::clone(&message.channel), line);
    }
}

impl Line {
    /// What another node says, if it is one and says it for the first time.
    fn open(&mut self, message: &Message, counters: &Counters, gaps: &Gaps, log: &Throttle) -> Option<Bytes> {
        let payload = &message.payload;
        let since = self.namespace.interest.as_ref().map_or(0, |interest| interest.since(self.part));
        if since != self.since {
            self.since = since;
            self.envelopes.listens_since(since);
            self.nodes.resume();
        }
        let opened = match self.envelopes.open(payload) {
            Ok(opened) => opened,
            Err(Wrong::Malformed) => {
                counters.count("malformed");
                return None;
            }
            Err(wrong) => {
                counters.count("refused");
                tell(log, wrong, &message.channel);
                return None;
            }
        };
        match self.nodes.hear(opened.node, opened.sequence, opened.old) {
            Turn::Next(missing) => {
                if missing > 0 {
                    counters.gaps.inc_by(missing);
                    gaps.tell(&self.namespace.name, missing);
                }
                Some(payload.slice(opened.at..))
            }
            Turn::Repeated => {
                counters.count("repeated");
                None
            }
        }
    }

    /// A namespace with too much waiting makes this wait: the feed is bounded, and counts what it drops.
    async fn deliver(&self, text: &Bytes, counters: &Counters) {
        let namespace = &self.namespace;
        let taken = take_apart(text).ok().filter(|(header, _)| *header.namespace == *namespace.name);
        let Some((header, event)) = taken.and_then(|(header, rest)| {
            let event = event(&header, &namespace.name, rest).ok()?;
            Some((header, event))
        }) else {
            return counters.count("malformed");
        };
        counters.received(self.part);
        let selection = header.selection();
        let publisher = namespace.hub.other_nodes();
        match event {
            None => namespace.hub.disconnect(publisher, namespace.space, &selection),
            Some((item, name)) => {
                let series = namespace.series(&name);
                namespace.publish_item_wait(publisher, &selection, series, &(item, header.mode)).await;
            }
        }
    }
}

fn tell(log: &Throttle, wrong: Wrong, channel: &str) {
    let Some(left_out) = log.allow() else { return };
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

//! What other nodes say: opened, judged by its number, and handed to the hub as the bytes that came.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;

use super::channels::{Channels, Part};
use super::ends::Ear;
use super::envelope::Envelopes;
use super::message::{event, take_apart};
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
    lines: HashMap<Arc<str>, Line>,
    log: Throttle,
}

/// One channel, as its listener knows it.
struct Line {
    namespace: Arc<Namespace>,
    part: Part,
    ear: Ear,
    /// Since when it has been listened to.
    since: u64,
}

impl<'a> Receiver<'a> {
    pub(super) fn new(node: NodeId, channels: &'a Channels, secret: Option<&'a str>, counters: &'a Counters) -> Self {
        Self { node, channels, secret, counters, lines: HashMap::new(), log: Throttle::per_second() }
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
                && let Some(text) = line.open(&message, self.counters, &self.log)
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
        let ear = Ear::new(&message.channel, self.secret);
        let line = Line { namespace: Arc::clone(namespace), part, ear, since: 0 };
        self.lines.insert(Arc::clone(&message.channel), line);
    }
}

impl Line {
    /// What another node says, if it is one and says it for the first time.
    fn open(&mut self, message: &Message, counters: &Counters, log: &Throttle) -> Option<Bytes> {
        let interest = self.namespace.interest.as_ref();
        let since = interest.map_or(0, |interest| interest.since(self.part));
        if since != self.since {
            self.since = since;
            self.ear.listens_since(since);
        }
        let (opened, missing) = self.ear.open(message, counters, log)?;
        if missing > 0 {
            counters.gaps.inc_by(missing);
            interest.into_iter().for_each(|interest| interest.misses(missing));
        }
        Some(message.payload.slice(opened.at..))
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
        let publisher = namespace.hub.other_nodes();
        match event {
            None => match &header.over {
                Some(over) => namespace.supersede(over),
                None => namespace.hub.disconnect(publisher, namespace.space, &header.selection),
            },
            Some((item, name)) => {
                let series = namespace.series(&name);
                namespace.publish_item_wait(publisher, &header.selection, series, &(item, header.mode)).await;
            }
        }
    }
}

//! The two ends of a channel between Carillons: who numbers and seals what is said there, and who opens it and judges its number.

use bytes::Bytes;

use super::Counters;
use super::envelope::{Envelopes, Opened, Wrong};
use super::nodes::{Nodes, Turn};
use crate::bus::Message;
use crate::peer::NodeId;
use crate::throttle::Throttle;

/// One channel, as its sender knows it.
pub(super) struct Voice {
    pub(super) channel: String,
    envelopes: Envelopes,
    sequence: u64,
}

impl Voice {
    pub(super) fn new(channel: String, secret: Option<&str>) -> Self {
        Self { envelopes: Envelopes::new(&channel, secret), channel, sequence: 0 }
    }

    /// What is said next; so many before it did not leave.
    pub(super) fn seal(&mut self, node: NodeId, missed: u64, text: &[u8]) -> Bytes {
        self.sequence += 1 + missed;
        self.envelopes.seal(node.as_str(), self.sequence, text)
    }
}

/// One channel, as its listener knows it.
pub(super) struct Ear {
    envelopes: Envelopes,
    nodes: Nodes,
}

impl Ear {
    pub(super) fn new(channel: &str, secret: Option<&str>) -> Self {
        Self { envelopes: Envelopes::new(channel, secret), nodes: Nodes::default() }
    }

    /// The channel was not listened to for a while, and is since then, in milliseconds since 1970.
    pub(super) fn listens_since(&mut self, since: u64) {
        self.envelopes.listens_since(since);
        self.nodes.resume();
    }

    /// What another node says, if it is one and says it for the first time; how many before it never came.
    pub(super) fn open<'m>(
        &mut self,
        message: &'m Message,
        counters: &Counters,
        log: &Throttle,
    ) -> Option<(Opened<'m>, u64)> {
        let opened = match self.envelopes.open(&message.payload) {
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
            Turn::Next(missing) => Some((opened, missing)),
            Turn::Repeated => {
                counters.count("repeated");
                None
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

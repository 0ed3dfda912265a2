//! What was last heard of each other node: what comes twice is left out, and what never came is counted.

use std::collections::HashMap;

/// Nodes that are known at once. When there are more, whoever was silent longest is forgotten.
const MOST: usize = 1024;

/// The other nodes.
#[derive(Default)]
pub(super) struct Nodes {
    heard: HashMap<String, Heard>,
    /// Messages so far, of all: the clock by which nodes are silent.
    messages: u64,
    /// By that clock, when this channel was listened to again: what was said until then is no loss.
    resumed: u64,
}

struct Heard {
    sequence: u64,
    at: u64,
}

/// What a message's sequence number says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// It is new, and so many before it never came.
    Next(u64),
    /// It, or a later one, has come already.
    Repeated,
}

impl Nodes {
    /// The channel is listened to again, after a while in which it was not.
    pub(super) fn resume(&mut self) {
        self.resumed = self.messages;
    }

    /// A message of a node, under its sequence number. What a node said before it was first heard is no loss; a message that
    /// is `old`, from before this node began to listen, may have been heard by who was here before, and is no first one.
    pub(super) fn hear(&mut self, node: &str, sequence: u64, old: bool) -> Turn {
        self.messages += 1;
        let at = self.messages;
        if let Some(heard) = self.heard.get_mut(node) {
            if sequence <= heard.sequence {
                return Turn::Repeated;
            }
            let missing = if heard.at > self.resumed { sequence - heard.sequence - 1 } else { 0 };
            *heard = Heard { sequence, at };
            return Turn::Next(missing);
        }
        if old {
            return Turn::Repeated;
        }
        if self.heard.len() >= MOST
            && let Some(silent) = self.heard.iter().min_by_key(|(_, heard)| heard.at).map(|(node, _)| node.clone())
        {
            self.heard.remove(&silent);
        }
        self.heard.insert(node.to_owned(), Heard { sequence, at });
        Turn::Next(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeats_and_holes_are_told_for_each_node() {
        let mut nodes = Nodes::default();
        let heard = [("a", 5), ("a", 6), ("b", 1), ("a", 6), ("a", 10), ("a", 7), ("b", 2)];
        let turns = heard.map(|(node, sequence)| nodes.hear(node, sequence, false));
        let expected =
            [Turn::Next(0), Turn::Next(0), Turn::Next(0), Turn::Repeated, Turn::Next(3), Turn::Repeated, Turn::Next(0)];
        assert_eq!(turns, expected);
    }

    /// Somebody who has recorded what a node said cannot say it to one that was started since.
    #[test]
    fn what_was_said_before_a_start_is_no_first_word() {
        let mut nodes = Nodes::default();
        let turns = [(7, true), (8, false), (9, true)].map(|(sequence, old)| nodes.hear("a", sequence, old));
        assert_eq!(turns, [Turn::Repeated, Turn::Next(0), Turn::Next(0)]);
    }

    /// What was said while nobody here wanted to hear it is no loss, and no reason to hear the same again.
    #[test]
    fn what_nobody_wanted_to_hear_is_not_missed() {
        let mut nodes = Nodes::default();
        nodes.hear("a", 5, false);
        nodes.resume();
        let turns = [5, 9, 11].map(|sequence| nodes.hear("a", sequence, false));
        assert_eq!(turns, [Turn::Repeated, Turn::Next(0), Turn::Next(1)]);
    }

    /// However many names strangers think of, no more is kept, and who talks is not forgotten.
    #[test]
    fn so_many_nodes_are_known_and_no_more() {
        let mut nodes = Nodes::default();
        for n in 0..10_000 {
            nodes.hear(&format!("node {n}"), 1, false);
            nodes.hear("talks", n + 1, false);
        }
        assert_eq!(nodes.heard.len(), MOST);
        assert_eq!(nodes.hear("talks", 10_000, false), Turn::Repeated);
    }
}

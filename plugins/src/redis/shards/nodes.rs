//! What a node of a cluster says about all of them: the answer to `CLUSTER NODES`.

use std::ops::RangeInclusive;

use super::slot::Slot;

/// One node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Node {
    pub(super) host: String,
    pub(super) port: u16,
    /// Its slots; a replica has none.
    pub(super) slots: Vec<RangeInclusive<u16>>,
    /// The higher, the newer is its claim to them.
    pub(super) epoch: u64,
    /// Whether it is worth while to ask it.
    pub(super) answers: bool,
}

impl Node {
    /// Its slots one by one.
    pub(super) fn slots(&self) -> impl Iterator<Item = Slot> + '_ {
        self.slots.iter().cloned().flatten().filter_map(Slot::new)
    }
}

/// Reads the answer of the node at `host`, which may not know its own name. With TLS, hosts are called as their certificates
/// may call them.
pub(super) fn read(text: &str, host: &str, names: bool) -> Result<Vec<Node>, String> {
    text.lines().map(|line| node(line, host, names).ok_or_else(|| format!("it said: {line}"))).collect()
}

/// How new an answer is: each failover and each move of a slot has a higher number than all before.
pub(super) fn epoch(nodes: &[Node]) -> u64 {
    nodes.iter().filter(|node| !node.slots.is_empty()).map(|node| node.epoch).max().unwrap_or_default()
}

/// `id host:port@bus[,name[,..]] flags master ping pong epoch link slot..`
fn node(line: &str, asked: &str, names: bool) -> Option<Node> {
    let mut words = line.split_ascii_whitespace().skip(1);
    let (place, flags) = (words.next()?, words.next()?);
    let epoch = words.nth(3)?.parse().ok()?;
    let mut place = place.split(',');
    let (host, port) = place.next()?.split('@').next()?.rsplit_once(':')?;
    let name = place.next().filter(|name| names && !name.is_empty() && !name.contains('='));
    let host = match (name, host) {
        (Some(name), _) => name,
        (None, "") => asked,
        (None, host) => host,
    };
    let flags: Vec<&str> = flags.split(',').collect();
    let answers = !flags.iter().any(|flag| matches!(*flag, "fail" | "handshake" | "noaddr"));
    // What is on its way stands in brackets.
    let slots = words.skip(1).filter(|word| !word.starts_with('[')).map(slots).collect::<Option<Vec<_>>>()?;
    let slots = if flags.contains(&"master") { slots } else { Vec::new() };
    Some(Node { host: host.to_owned(), port: port.parse().ok()?, slots, epoch, answers })
}

fn slots(word: &str) -> Option<RangeInclusive<u16>> {
    let (first, last) = word.split_once('-').unwrap_or((word, word));
    let (first, last) = (first.parse().ok()?, last.parse().ok()?);
    (first <= last && last < Slot::COUNT).then_some(first..=last)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWER: &str = "\
07c3 127.0.0.1:30004@31004 slave e7d1 0 1426238317239 4 connected
67ed :30001@31001,one.lan myself,master - 0 0 1 connected 0-5460 5462 [93-<-292f]
292f ::1:30002@31002,,shard-id=69bc master,fail - 0 1426238316232 12 disconnected 5461 5463-10922
6ec2 127.0.0.1:30005@31005,,tls-port=1 slave,noaddr 67ed 0 1426238316232 99 connected
";

    #[test]
    fn nodes_say_where_they_are_and_which_slots_they_have() {
        let nodes = read(ANSWER, "asked", false).unwrap();
        let at: Vec<_> =
            nodes.iter().map(|node| (&*node.host, node.port, node.slots().count(), node.answers)).collect();
        let expected = [
            ("127.0.0.1", 30004, 0, true),
            ("asked", 30001, 5462, true),
            ("::1", 30002, 5461, false),
            ("127.0.0.1", 30005, 0, false),
        ];
        assert_eq!(at, expected);
        assert_eq!(epoch(&nodes), 12, "of those with slots");
        assert_eq!(read(ANSWER, "asked", true).unwrap()[1].host, "one.lan");
    }

    #[test]
    fn an_answer_that_is_none_is_told() {
        for line in [
            "",
            "x",
            "a b c d e f g h",
            "id h:1@2 master - 0 0 1 connected 5-1",
            "id h:1@2 master - 0 0 1 connected 16384",
        ] {
            assert!(read(&format!("{line}\n"), "asked", false).is_err(), "{line}");
        }
    }
}

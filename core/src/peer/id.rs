//! Public ids: a node's, and a client's, which begins with that of the node that has it.

use std::fmt;
use std::sync::Arc;

const DIGITS: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
/// Characters of a node's id, of 5 bits each.
const NODE: usize = 8;
/// Characters of a client's.
const CLIENT: usize = 24;

/// A Carillon's id: 40 random bits in base 32, made anew at each start. It is no secret.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct NodeId([u8; NODE]);

impl NodeId {
    /// One that nobody else has.
    pub(crate) fn random() -> Self {
        Self(random())
    }

    /// The id that this text is.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let digits: [u8; NODE] = text.as_bytes().try_into().ok()?;
        digits.iter().all(|digit| DIGITS.contains(digit)).then_some(Self(digits))
    }

    /// The node that has the client of this id.
    pub(crate) fn of_client(id: &str) -> Option<Self> {
        if id.len() == CLIENT { Self::parse(id.get(..NODE)?) } else { None }
    }

    /// An id for a client of this node: the node's, and 80 random bits, so that nobody guesses another's.
    pub(crate) fn client(self) -> Arc<str> {
        let mut id = String::with_capacity(CLIENT);
        id.push_str(self.as_str());
        id.extend(random::<{ CLIENT - NODE }>().map(char::from));
        id.into()
    }

    pub(crate) fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A name that nobody else has or guesses: 120 random bits in base 32.
pub(crate) fn public_id() -> String {
    random::<CLIENT>().map(char::from).iter().collect()
}

/// So many random digits.
#[expect(clippy::expect_used, reason = "without randomness ids could be guessed: better no client than that")]
fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the system has random numbers");
    bytes.map(|byte| DIGITS[usize::from(byte & 31)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clients_id_tells_its_node() {
        let node = NodeId::random();
        let (one, two) = (node.client(), node.client());
        assert_ne!(one, two);
        assert_eq!((one.len(), NodeId::of_client(&one)), (CLIENT, Some(node)));
        assert_eq!(NodeId::parse(node.as_str()), Some(node));
        for id in ["", "abcdefgh", "ABCDEFGHijklmnopqrstuvwx", "äbcdefgijklmnopqrstuvwx", &format!("{one}a")] {
            assert_eq!(NodeId::of_client(id), None, "{id}");
        }
    }
}

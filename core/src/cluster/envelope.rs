//! What stands in front of every message between Carillons: who sends it, the how-many-eth it is, when, and a proof.
//!
//! One line, `carillon 3 <node> <sequence> <milliseconds> <proof>`, then what is said. It is looked at before anything
//! else of a message is, so that a node's own messages, and those of strangers, cost little. The proof is the
//! HMAC-SHA-256 (RFC 2104) of the channel, the line up to it and all that follows, under `bus.secret`; without a secret
//! it is `-`.

use std::fmt::Write;
use std::time::Duration;

use bytes::Bytes;
use carillon_config::digest;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::NAME_MAX;
use crate::time::milliseconds;

/// The first words of a message, with the version of the format.
const MAGIC: &str = "carillon 3";
/// What stands for a proof where there is no secret.
const NO_PROOF: &str = "-";
/// Bytes of the line at most.
const LINE_MAX: usize = 512;
/// A proved message is taken for so long, and for as long before its time: clocks of nodes may differ by that.
pub const LIFETIME: Duration = Duration::from_secs(60);

/// What was made so long before a channel was listened to may be by a clock that is behind. Older is not for the first time.
const CLOCKS_DIFFER: Duration = Duration::from_secs(5);

/// For a channel that is listened to from now on: what is older than this has been heard by those who listened before.
pub(super) fn listening_from() -> u64 {
    milliseconds().saturating_sub(CLOCKS_DIFFER.as_millis() as u64)
}

/// Who puts messages of one channel into envelopes, and opens those of others.
#[derive(Clone)]
pub struct Envelopes {
    channel: String,
    secret: Option<Hmac<Sha256>>,
    since: u64,
}

/// What was in an envelope.
#[derive(Debug, PartialEq, Eq)]
pub struct Opened<'a> {
    /// The sending node.
    pub node: &'a str,
    /// Grows by one with each message of the node on this channel, those included that did not leave.
    pub sequence: u64,
    /// Whether it was made before its channel was listened to, as far as that is proved.
    pub old: bool,
    /// Where what is said begins.
    pub at: usize,
}

/// Why an envelope is not opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wrong {
    /// It is none.
    Malformed,
    /// It proves nothing, although there is a secret; it proves something, although there is none; or the wrong thing.
    Unproved,
    /// It was made longer ago than [`LIFETIME`], or is to be made.
    Stale,
}

impl Envelopes {
    /// For `channel`; with a `secret`, only messages of those who know it are opened.
    #[must_use]
    pub fn new(channel: &str, secret: Option<&str>) -> Self {
        // A key of any length is one.
        let secret = secret.and_then(|secret| Hmac::new_from_slice(secret.as_bytes()).ok());
        Self { channel: channel.to_owned(), secret, since: listening_from() }
    }

    /// The channel has been listened to since then, in milliseconds since 1970.
    pub(super) fn listens_since(&mut self, since: u64) {
        self.since = since;
    }

    /// Puts `text` of `node`, a name without spaces, into an envelope.
    #[must_use]
    pub fn seal(&self, node: &str, sequence: u64, text: &[u8]) -> Bytes {
        self.seal_at(milliseconds(), node, sequence, text)
    }

    fn seal_at(&self, now: u64, node: &str, sequence: u64, text: &[u8]) -> Bytes {
        let line = format!("{MAGIC} {node} {sequence} {now} ");
        let proof = self
            .mac(line.as_bytes(), text)
            .map_or_else(|| NO_PROOF.to_owned(), |mac| hex(&mac.finalize().into_bytes()));
        let mut message = Vec::with_capacity(line.len() + proof.len() + 1 + text.len());
        message.extend_from_slice(line.as_bytes());
        message.extend_from_slice(proof.as_bytes());
        message.push(b'\n');
        message.extend_from_slice(text);
        message.into()
    }

    /// Whether `message` is one that `node` has sealed, told from its first bytes.
    #[must_use]
    pub fn is_of(message: &[u8], node: &str) -> bool {
        let rest = message.strip_prefix(MAGIC.as_bytes()).and_then(|rest| rest.strip_prefix(b" "));
        rest.and_then(|rest| rest.strip_prefix(node.as_bytes())).is_some_and(|rest| rest.first() == Some(&b' '))
    }

    /// Opens an envelope.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn open<'a>(&self, message: &'a [u8]) -> Result<Opened<'a>, Wrong> {
        self.open_at(milliseconds(), message)
    }

    fn open_at<'a>(&self, now: u64, message: &'a [u8]) -> Result<Opened<'a>, Wrong> {
        let (envelope, proof) = split(message).ok_or(Wrong::Malformed)?;
        let Some(mac) = self.mac(&message[..envelope.proof], &message[envelope.at..]) else {
            return if proof == NO_PROOF { Ok(envelope.opened()) } else { Err(Wrong::Unproved) };
        };
        // In a time that tells nothing.
        mac.verify_slice(&digest(proof).ok_or(Wrong::Unproved)?).map_err(|_| Wrong::Unproved)?;
        let lifetime = LIFETIME.as_millis() as u64;
        if now.abs_diff(envelope.made) > lifetime {
            return Err(Wrong::Stale);
        }
        Ok(Opened { old: envelope.made < self.since, ..envelope.opened() })
    }

    fn mac(&self, line: &[u8], text: &[u8]) -> Option<Hmac<Sha256>> {
        let mut mac = self.secret.clone()?;
        for part in [self.channel.as_bytes(), b"\n", line, text] {
            mac.update(part);
        }
        Some(mac)
    }
}

/// The parts of a line.
struct Envelope<'a> {
    node: &'a str,
    sequence: u64,
    /// Milliseconds since 1970.
    made: u64,
    /// Where the proof begins, and what is said.
    proof: usize,
    at: usize,
}

impl<'a> Envelope<'a> {
    fn opened(self) -> Opened<'a> {
        Opened { node: self.node, sequence: self.sequence, old: false, at: self.at }
    }
}

/// The parts of a message's first line, and its proof.
fn split(message: &[u8]) -> Option<(Envelope<'_>, &str)> {
    let end = memchr::memchr(b'\n', &message[..message.len().min(LINE_MAX)])?;
    let line = std::str::from_utf8(&message[..end]).ok()?;
    let mut words = line.strip_prefix(MAGIC)?.strip_prefix(' ')?.split(' ');
    let [node, sequence, made, proof] = std::array::from_fn(|_| words.next());
    let (node, proof) = (node?, proof?);
    if words.next().is_some() || !(1..=NAME_MAX).contains(&node.len()) {
        return None;
    }
    let (sequence, made) = (sequence?.parse().ok()?, made?.parse().ok()?);
    Some((Envelope { node, sequence, made, proof: end - proof.len(), at: end + 1 }, proof))
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 * bytes.len());
    // Writing to a String cannot fail.
    bytes.iter().for_each(|byte| {
        write!(text, "{byte:02x}").ok();
    });
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_700_000_000_000;
    const SECRET: Option<&str> = Some("a secret of some length");

    fn sealed(channel: &str, secret: Option<&str>) -> Bytes {
        Envelopes::new(channel, secret).seal_at(NOW, "node", 7, b"what\nis said")
    }

    #[test]
    fn what_was_sealed_is_opened_with_the_same_secret_or_none() {
        for secret in [None, SECRET] {
            let message = sealed("c", secret);
            let opened = Envelopes::new("c", secret).open_at(NOW, &message).unwrap();
            assert_eq!((opened.node, opened.sequence, &message[opened.at..]), ("node", 7, &b"what\nis said"[..]));
            assert!(Envelopes::is_of(&message, "node") && !Envelopes::is_of(&message, "nod"));
        }
    }

    /// Who does not know the secret can neither make a message nor change one, nor use it elsewhere.
    #[test]
    fn strangers_open_nothing_and_seal_nothing() {
        let ours = Envelopes::new("c", SECRET);
        let message = sealed("c", SECRET);
        for at in 0..message.len() {
            let mut changed = message.to_vec();
            changed[at] ^= 1;
            assert!(ours.open_at(NOW, &changed).is_err(), "byte {at}");
        }
        let longer = [&message[..], b"!"].concat();
        for forged in [&sealed("c", None)[..], &sealed("c", Some("another")), &sealed("d", SECRET), &longer] {
            assert_eq!(ours.open_at(NOW, forged), Err(Wrong::Unproved));
        }
        assert_eq!(Envelopes::new("c", None).open_at(NOW, &message), Err(Wrong::Unproved));
    }

    #[test]
    fn a_proved_message_ages() {
        let (ours, message) = (Envelopes::new("c", SECRET), sealed("c", SECRET));
        let lifetime = LIFETIME.as_millis() as u64;
        for (now, open) in
            [(NOW - lifetime - 1, false), (NOW - lifetime, true), (NOW + lifetime, true), (NOW + lifetime + 1, false)]
        {
            assert_eq!(
                ours.open_at(now, &message).map_err(|wrong| wrong == Wrong::Stale).map(drop),
                if open { Ok(()) } else { Err(true) }
            );
        }
    }

    /// What was made before somebody began to listen is told from what came since, where the time is proved.
    #[test]
    fn what_is_older_than_its_reader_is_told() {
        for (secret, since, old) in [(SECRET, NOW + 1, true), (SECRET, NOW, false), (None, NOW + 1, false)] {
            let envelopes = Envelopes { since, ..Envelopes::new("c", secret) };
            assert_eq!(envelopes.open_at(NOW, &sealed("c", secret)).unwrap().old, old, "{since}");
        }
    }

    #[test]
    fn nonsense_is_no_envelope() {
        let long = format!("{MAGIC} {} 1 1 -\n", "n".repeat(NAME_MAX + 1));
        for text in [
            "",
            "\n",
            "carillon 3\n",
            "carillon 3 n 1 1\n",
            "carillon 3 n 1 1 - x\n",
            "carillon 2 n 1 1 -\n",
            "carillon 3  1 1 -\n",
            "carillon 3 n -1 1 -\n",
            "carillon 3 n 1 18446744073709551616 -\n",
            "carillon 3 n 1 1 -",
            "{\"node\":\"n\"}\n",
            &long,
        ] {
            assert_eq!(Envelopes::new("c", None).open_at(NOW, text.as_bytes()), Err(Wrong::Malformed), "{text:?}");
        }
    }
}

//! Clients that come back get on where they left off: what they show for it, and what is known of them meanwhile.
//!
//! A client is told a `pid` at its CONNECT and the offset of every publish. When it comes back it shows both, and gets what
//! it has missed before anything new, under its old id and in its old rooms. What is known of it stands on the bus from its
//! CONNECT on, so that it may come back to any node, also when its own has died. What cannot be told in full is not told at
//! all: then it is a new client.

mod claim;
mod life;
mod pending;
mod replay;
mod resume;
mod sessions;
mod writer;

use std::sync::Arc;

pub(crate) use self::claim::Claim;
pub(crate) use self::life::Takeover;
pub(crate) use self::resume::Resumed;
pub(crate) use self::sessions::{Counts, Membership, Sessions};
pub(crate) use self::writer::Writer;
use crate::peer::public_id;

/// In front of every pid: nothing else that clients show looks so.
const PID: &str = "pid-";

/// A new pid: who knows it may come back as that client, if it may come in at all.
fn new_pid() -> Arc<str> {
    format!("{PID}{}", public_id()).into()
}

/// Whether we may have given this.
fn is_pid(text: &str) -> bool {
    let digits = text.strip_prefix(PID).unwrap_or_default();
    digits.len() == 24 && digits.bytes().all(|digit| matches!(digit, b'a'..=b'z' | b'2'..=b'7'))
}

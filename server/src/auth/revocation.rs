//! Tokens and keys that are not to be believed any more, although they have not ended: what is revoked, on every node.
//!
//! A revocation is a line of JSON, and so is what is stored: a list of them, under [`KEY`] of the bus, for as long as the last
//! of them holds. Who revokes writes there and says on [`CHANNEL`] that there is something to read. Every node reads the list
//! at its start, when it is told, and every ten seconds, and writes back what it knows and does not find there: what a bus has lost, or never got, comes back.
//!
//! Whoever may write there can lock everybody out: an ACL of the bus keeps others off it.

mod bus;
mod entry;
mod follow;
mod set;
#[cfg(test)]
mod testing;

pub(crate) use self::bus::revoke;
pub(crate) use self::entry::Revocation;
pub(super) use self::entry::now;
pub(super) use self::follow::Follower;
pub(super) use self::set::Revoked;

// All behind the prefix of the bus.
/// Where it is said that the list is another.
const CHANNEL: &str = "revoked";
/// The key of the list.
const KEY: &str = "revocations";
/// The lease of whoever changes the list.
const LEASE: &str = "revocations:lease";
/// Revocations at once; more are not taken.
const LIMIT: usize = 10_000;

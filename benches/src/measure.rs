//! What is measured: servers are started and connected to, rounds are run in turn, and compared.

pub(crate) mod ack;
mod contest;
pub(crate) mod fanout;
pub(crate) mod idle;
mod metrics;
pub(crate) mod relay;
mod round;
pub(crate) mod slow;
pub(crate) mod suite;

use clap::ValueEnum;

use crate::peers::Peer;

/// Everybody there is to set beside Carillon.
pub(crate) fn peers() -> Vec<Peer> {
    Peer::value_variants().iter().copied().filter(|peer| !matches!(peer, Peer::Carillon | Peer::None)).collect()
}

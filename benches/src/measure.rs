//! What is measured: servers are started and connected to, rounds are run in turn, and compared.

pub(crate) mod ack;
mod calls;
pub(crate) mod connect;
mod contest;
mod driven;
pub(crate) mod fanout;
pub(crate) mod idle;
pub(crate) mod ingress;
mod metrics;
pub(crate) mod overload;
pub(crate) mod poll;
pub(crate) mod relay;
mod relay_flood;
mod round;
pub(crate) mod scrape;
mod shapes;
pub(crate) mod slow;
pub(crate) mod suite;

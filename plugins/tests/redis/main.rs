//! The Redis bus against real redis-servers, each test with its own.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

use carillon_plugins as _;

mod client;
mod harness;
mod server;

mod hang;
mod journal;
mod keys;
mod order;
mod outage;
mod password;
mod refusal;
mod shutdown;
mod tls;

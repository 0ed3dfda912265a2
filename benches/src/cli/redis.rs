//! How large the measurements are that need a Redis.

use clap::Args;
use serde::Serialize;

use super::common::Common;
use super::options::payload;
use crate::load::shape::Shape;

#[derive(Debug, Clone, Args, Serialize)]
pub(crate) struct Relay {
    /// Clients
    #[arg(long, default_value_t = 10, value_name = "N")]
    pub(crate) clients: usize,
    /// Bytes of each message's text
    #[arg(long, default_value_t = 128, value_name = "BYTES", value_parser = payload)]
    pub(crate) payload: usize,
    /// Publish --messages at once, on a channel of one row and on one of two, instead of at a rate
    #[arg(long)]
    pub(crate) flood: bool,
    /// Messages of each round of a flood
    #[arg(long, default_value_t = 2_000, value_name = "N")]
    pub(crate) messages: u64,
    /// Messages a second
    #[arg(long, default_value_t = 1_000.0, value_name = "N")]
    pub(crate) rate: f64,
    /// Rounds of each way; they take turns
    #[arg(long, default_value_t = 5, value_name = "N")]
    pub(crate) rounds: usize,
    /// Seconds of each round
    #[arg(long, default_value_t = 5.0, value_name = "S")]
    pub(crate) seconds: f64,
    #[command(flatten)]
    pub(crate) common: Common,
}

#[derive(Debug, Clone, Args, Serialize)]
pub(crate) struct Nodes {
    /// Carillons on one Redis, beside one alone
    #[arg(long, value_delimiter = ',', default_value = "1,2,4", value_name = "N", value_parser = nodes)]
    pub(crate) nodes: Vec<usize>,
    /// To whom the first of them publishes: `plain`, `two-namespaces`, `rooms`, `mixed`
    #[arg(long, value_delimiter = ',', default_value = "plain,rooms,mixed", value_name = "SHAPE")]
    pub(crate) shape: Vec<Shape>,
    /// Measure the same once more where everything that is published is kept
    #[arg(long)]
    pub(crate) journal: bool,
    /// Clients of each node
    #[arg(long, default_value_t = 10, value_name = "N")]
    pub(crate) clients: usize,
    /// Bytes of each message's text
    #[arg(long, default_value_t = 128, value_name = "BYTES", value_parser = payload)]
    pub(crate) payload: usize,
    /// Publishes a second
    #[arg(long, default_value_t = 1_000.0, value_name = "N")]
    pub(crate) rate: f64,
    /// Rounds of each number of nodes
    #[arg(long, default_value_t = 5, value_name = "N")]
    pub(crate) rounds: usize,
    /// Seconds of each round
    #[arg(long, default_value_t = 3.0, value_name = "S")]
    pub(crate) seconds: f64,
    #[command(flatten)]
    pub(crate) common: Common,
}

#[derive(Debug, Clone, Args, Serialize)]
pub(crate) struct Faults {
    /// Clients
    #[arg(long, default_value_t = 100, value_name = "N")]
    pub(crate) clients: usize,
    /// Bytes of each message's text
    #[arg(long, default_value_t = 128, value_name = "BYTES", value_parser = payload)]
    pub(crate) payload: usize,
    /// Broadcasts a second
    #[arg(long, default_value_t = 200.0, value_name = "N")]
    pub(crate) rate: f64,
    /// Rounds without each fault, and with it; they take turns
    #[arg(long, default_value_t = 5, value_name = "N")]
    pub(crate) rounds: usize,
    /// Seconds of each round
    #[arg(long, default_value_t = 5.0, value_name = "S")]
    pub(crate) seconds: f64,
    #[command(flatten)]
    pub(crate) common: Common,
}

#[derive(Debug, Clone, Args, Serialize)]
pub(crate) struct Replay {
    /// Messages that the client has missed, at least
    #[arg(long, default_value_t = 100_000, value_name = "N")]
    pub(crate) events: u64,
    /// Clients that stay
    #[arg(long, default_value_t = 100, value_name = "N")]
    pub(crate) clients: usize,
    /// Bytes of each message's text
    #[arg(long, default_value_t = 128, value_name = "BYTES", value_parser = payload)]
    pub(crate) payload: usize,
    /// Broadcasts a second to those who stay
    #[arg(long, default_value_t = 100.0, value_name = "N")]
    pub(crate) rate: f64,
    /// Rounds without the one that comes back, and with it; they take turns
    #[arg(long, default_value_t = 5, value_name = "N")]
    pub(crate) rounds: usize,
    /// Seconds of each round; the replay has to be over by then
    #[arg(long, default_value_t = 4.0, value_name = "S")]
    pub(crate) seconds: f64,
    #[command(flatten)]
    pub(crate) common: Common,
}

/// Nodes that fit on one machine.
fn nodes(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|nodes| (1..=16).contains(nodes)).ok_or_else(|| "is a number from 1 to 16".to_owned())
}

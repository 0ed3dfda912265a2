//! What each measurement is told.

use clap::Args;
use serde::Serialize;

use super::common::Common;
use crate::load::mark;
use crate::load::shape::Shape;
use crate::peers::protocol::{Form, Mode};

#[derive(Debug, Clone, Args, Serialize)]
pub(crate) struct Fanout {
    /// What to measure: `flood`, `paced` or both
    #[arg(long, value_delimiter = ',', default_value = "flood,paced", value_name = "MODE")]
    pub(crate) mode: Vec<Mode>,
    /// Clients that receive everything
    #[arg(long, default_value_t = 1_000, value_name = "N")]
    pub(crate) clients: usize,
    /// Bytes of each message's text
    #[arg(long, default_value_t = 128, value_name = "BYTES", value_parser = payload)]
    pub(crate) payload: usize,
    /// Broadcasts a second, when paced
    #[arg(long, default_value_t = 50.0, value_name = "N")]
    pub(crate) rate: f64,
    /// Rounds of each server; they take turns
    #[arg(long, default_value_t = 5, value_name = "N")]
    pub(crate) rounds: usize,
    /// Seconds of each round
    #[arg(long, default_value_t = 4.0, value_name = "S")]
    pub(crate) seconds: f64,
    /// Messages that may be under way to the slowest client in a flood
    #[arg(long, default_value_t = 1_000, value_name = "N")]
    pub(crate) window: u64,
    /// Messages published in one go in a flood, before anything else has its turn; 0 is what each server is best off with
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub(crate) burst: u64,
    /// To whom messages go: a flood in each of these shapes, beside the floor [default: each to everybody, beside all peers]
    #[arg(long, value_delimiter = ',', value_name = "SHAPE")]
    pub(crate) shape: Vec<Shape>,
    /// Messages in one write of the floor, a row for each; one more row does as Carillon did
    #[arg(long, value_delimiter = ',', default_value = "1,20,200", value_name = "N")]
    pub(crate) batches: Vec<u64>,
    #[command(flatten)]
    pub(crate) common: Common,
}

#[derive(Debug, Clone, Args, Serialize)]
pub(crate) struct Idle {
    /// Connections, as far as the system's open files allow so many
    #[arg(long, default_value_t = 10_000, value_name = "N")]
    pub(crate) clients: usize,
    /// Seconds of doing nothing; pings come every 25 s
    #[arg(long, default_value_t = 30.0, value_name = "S")]
    pub(crate) seconds: f64,
    /// Rounds of each server, each with a fresh process
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub(crate) rounds: usize,
    /// Seconds before memory is read: handshakes are over, allocators have given back what they do not need
    #[arg(long, default_value_t = 3.0, value_name = "S")]
    pub(crate) settle: f64,
    /// Broadcasts to all after the idle time, one a second
    #[arg(long, default_value_t = 3.0, value_name = "N")]
    pub(crate) broadcasts: f64,
    #[command(flatten)]
    pub(crate) common: Common,
}

#[derive(Debug, Clone, Args, Serialize)]
pub(crate) struct Slow {
    /// Clients
    #[arg(long, default_value_t = 1_000, value_name = "N")]
    pub(crate) clients: usize,
    /// Clients among them that stop reading; every other one goes on sending pongs
    #[arg(long, default_value_t = 100, value_name = "N")]
    pub(crate) slow: usize,
    /// Bytes of each message's text
    #[arg(long, default_value_t = 1_024, value_name = "BYTES", value_parser = payload)]
    pub(crate) payload: usize,
    /// Broadcasts a second
    #[arg(long, default_value_t = 100.0, value_name = "N")]
    pub(crate) rate: f64,
    /// Seconds with slow clients
    #[arg(long, default_value_t = 60.0, value_name = "S")]
    pub(crate) seconds: f64,
    /// Seconds before that, in which all read
    #[arg(long, default_value_t = 15.0, value_name = "S")]
    pub(crate) baseline: f64,
    #[command(flatten)]
    pub(crate) common: Common,
}

#[derive(Debug, Clone, Args, Serialize)]
pub(crate) struct Ack {
    /// Clients that are flooded while one calls
    #[arg(long, default_value_t = 1_000, value_name = "N")]
    pub(crate) clients: usize,
    /// Bytes of each message's text
    #[arg(long, default_value_t = 128, value_name = "BYTES", value_parser = payload)]
    pub(crate) payload: usize,
    /// Calls a second
    #[arg(long, default_value_t = 100.0, value_name = "N")]
    pub(crate) rate: f64,
    /// Events one client sends at once, each with an answer wanted
    #[arg(long, default_value_t = 3_000, value_name = "N")]
    pub(crate) flush: u64,
    /// Clients that do so at the same time
    #[arg(long, default_value_t = 10, value_name = "N")]
    pub(crate) callers: usize,
    /// Rounds of each server; they take turns
    #[arg(long, default_value_t = 5, value_name = "N")]
    pub(crate) rounds: usize,
    /// Seconds of calling in each round
    #[arg(long, default_value_t = 4.0, value_name = "S")]
    pub(crate) seconds: f64,
    /// Messages that may be under way to the slowest client
    #[arg(long, default_value_t = 1_000, value_name = "N")]
    pub(crate) window: u64,
    #[command(flatten)]
    pub(crate) common: Common,
}

#[derive(Debug, Clone, Args, Serialize)]
pub(crate) struct Ingress {
    /// Clients that send
    #[arg(long, value_delimiter = ',', default_value = "10,100,1000", value_name = "N")]
    pub(crate) clients: Vec<usize>,
    /// Events each keeps under way
    #[arg(long, value_delimiter = ',', default_value = "1,16,64", value_name = "N")]
    pub(crate) in_flight: Vec<u64>,
    /// Leave out the events that are not acked
    #[arg(long)]
    pub(crate) acked_only: bool,
    /// Bytes of each event's argument
    #[arg(long, default_value_t = 64, value_name = "BYTES")]
    pub(crate) payload: usize,
    /// Rounds of each server in each way; they take turns
    #[arg(long, default_value_t = 5, value_name = "N")]
    pub(crate) rounds: usize,
    /// Seconds of each round
    #[arg(long, default_value_t = 1.0, value_name = "S")]
    pub(crate) seconds: f64,
    #[command(flatten)]
    pub(crate) common: Common,
}

#[derive(Debug, Clone, Args, Serialize)]
pub(crate) struct Connect {
    /// Connections of each round, and of the storm
    #[arg(long, default_value_t = 1_000, value_name = "N")]
    pub(crate) clients: usize,
    /// Handshakes under way at once, except in the storm
    #[arg(long, default_value_t = 64, value_name = "N")]
    pub(crate) at_once: usize,
    /// Rounds of each server; they take turns
    #[arg(long, default_value_t = 5, value_name = "N")]
    pub(crate) rounds: usize,
    /// Clients that stay while all others are dropped at once and come back at once
    #[arg(long, default_value_t = 100, value_name = "N")]
    pub(crate) stay: usize,
    /// Broadcasts a second to those who stay
    #[arg(long, default_value_t = 100.0, value_name = "N")]
    pub(crate) rate: f64,
    /// Seconds of broadcasts before the drop, and from it on at most
    #[arg(long, default_value_t = 10.0, value_name = "S")]
    pub(crate) seconds: f64,
    #[command(flatten)]
    pub(crate) common: Common,
}

#[derive(Debug, Clone, Args, Serialize)]
pub(crate) struct Poll {
    /// Clients that poll; one more, on a WebSocket, controls the run
    #[arg(long, default_value_t = 500, value_name = "N")]
    pub(crate) clients: usize,
    /// Bytes of each message's text and each event's argument
    #[arg(long, default_value_t = 128, value_name = "BYTES", value_parser = payload)]
    pub(crate) payload: usize,
    /// Broadcasts a second, when paced
    #[arg(long, default_value_t = 4.0, value_name = "N")]
    pub(crate) rate: f64,
    /// Messages that may be under way to the slowest client in a flood; python-engineio keeps no more than 16
    #[arg(long, default_value_t = 16, value_name = "N")]
    pub(crate) window: u64,
    /// Rounds of each server; they take turns
    #[arg(long, default_value_t = 5, value_name = "N")]
    pub(crate) rounds: usize,
    /// Seconds of each round
    #[arg(long, default_value_t = 2.0, value_name = "S")]
    pub(crate) seconds: f64,
    #[command(flatten)]
    pub(crate) common: Common,
}

#[derive(Debug, Clone, Args, Serialize)]
pub(crate) struct Scrape {
    /// Clients
    #[arg(long, default_value_t = 10_000, value_name = "N")]
    pub(crate) clients: usize,
    /// Bytes of each message's text
    #[arg(long, default_value_t = 128, value_name = "BYTES", value_parser = payload)]
    pub(crate) payload: usize,
    /// Broadcasts a second
    #[arg(long, default_value_t = 4.0, value_name = "N")]
    pub(crate) rate: f64,
    /// Rounds without scrapes and with; they take turns
    #[arg(long, default_value_t = 5, value_name = "N")]
    pub(crate) rounds: usize,
    /// Seconds of each round
    #[arg(long, default_value_t = 5.0, value_name = "S")]
    pub(crate) seconds: f64,
    /// Milliseconds from one scrape to the next; 0 is a loop without a pause
    #[arg(long, default_value_t = 0, value_name = "MS")]
    pub(crate) every: u64,
    #[command(flatten)]
    pub(crate) common: Common,
}

#[derive(Debug, Clone, Args, Serialize)]
pub(crate) struct Overload {
    /// Clients of the plugin that publishes without end
    #[arg(long, default_value_t = 5_000, value_name = "N")]
    pub(crate) clients: usize,
    /// Bytes of each of its messages
    #[arg(long, default_value_t = 64 << 10, value_name = "BYTES", value_parser = payload)]
    pub(crate) payload: usize,
    /// Seconds it goes on
    #[arg(long, default_value_t = 60.0, value_name = "S")]
    pub(crate) seconds: f64,
    /// How it publishes: `publish`, `wait` or both, one after the other
    #[arg(long, value_delimiter = ',', default_value = "publish,wait", value_name = "FORM")]
    pub(crate) form: Vec<Form>,
    /// Clients of the other namespace
    #[arg(long, default_value_t = 100, value_name = "N")]
    pub(crate) others: usize,
    /// Broadcasts a second in the other namespace, 128 bytes each
    #[arg(long, default_value_t = 50.0, value_name = "N")]
    pub(crate) rate: f64,
    /// Calls a second in the other namespace
    #[arg(long, default_value_t = 100.0, value_name = "N")]
    pub(crate) calls: f64,
    #[command(flatten)]
    pub(crate) common: Common,
}

pub(super) fn payload(text: &str) -> Result<usize, String> {
    let bytes: usize = text.parse().map_err(|_| "a number of bytes")?;
    if bytes < mark::LEN {
        return Err(format!("a message carries a mark of {} bytes", mark::LEN));
    }
    Ok(bytes)
}

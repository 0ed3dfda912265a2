//! What the load and every server under test say to each other, so that all servers are driven alike.
//!
//! The first client sends `run`; the server publishes `tick` to everybody as told, and sends `done` to that client when it
//! has published the last one. In a flood the load says with `seen` how many messages all clients have received, and the
//! server keeps no more than a window of messages beyond that: it never waits for a clock, and never overruns a client.
//!
//! A server that cannot keep the pace publishes late, marked with the time each message was due, and gives up [`LATE`]
//! seconds after the end: what is left is never published, and `done` tells how much was.
//!
//! The same is written once more in JavaScript and in Python, under `benches/peers`. Servers that have no publisher of ours
//! inside are published to by the load, within the same window and by the same timetable.

use std::fmt;

use carillon_core::prelude::{JsonSchema, schemars};
use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use crate::load::mark::Mark;
use crate::load::packet::Dialect;
pub(crate) use crate::load::shape::NAMESPACE;
use crate::load::shape::Shape;

/// The namespace of the plugin that publishes without end.
pub(crate) const ENDLESS: &str = "/endless";
/// The messages under test.
pub(crate) const TICK: &str = "tick";
/// The last message has been published.
pub(crate) const DONE: &str = "done";

/// Seconds after its end in which a paced run still publishes what is late.
pub(crate) const LATE: f64 = 1.0;

/// How a server is to publish.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Mode {
    /// As fast as it can, within the window.
    Flood,
    /// At a rate, whether or not the last message has arrived.
    Paced,
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Flood => "flood",
            Self::Paced => "paced",
        })
    }
}

/// `run`: publish like this.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Run {
    /// How to publish.
    pub(crate) mode: Mode,
    /// For how long.
    pub(crate) seconds: f64,
    /// Messages a second, when paced.
    pub(crate) rate: f64,
    /// Bytes of the text of each message.
    pub(crate) bytes: usize,
    /// Messages that may be under way to the slowest client, in a flood.
    pub(crate) window: u64,
    /// Messages in one write, for the floor, which can choose.
    pub(crate) batch: u64,
    /// Messages published in one go before anything else has its turn; 0 is what the server is best off with.
    pub(crate) burst: u64,
    /// To whom.
    #[serde(default)]
    pub(crate) shape: Shape,
    /// The clients, where they are addressed one by one.
    #[serde(default)]
    pub(crate) clients: u64,
}

impl Run {
    /// A steady pace.
    pub(crate) fn paced(rate: f64, seconds: f64, bytes: usize) -> Self {
        Self { mode: Mode::Paced, seconds, rate, bytes, window: 0, batch: 1, burst: 0, shape: Shape::Plain, clients: 0 }
    }

    /// How many messages a paced run has.
    pub(crate) fn paced_messages(&self) -> u64 {
        (self.seconds * self.rate).round() as u64
    }

    /// How long after the first message a paced run is given up, in nanoseconds.
    pub(crate) fn limit(&self) -> u64 {
        ((self.seconds + LATE) * 1e9) as u64
    }

    /// When message `number` of a paced run is due, in nanoseconds after the first.
    pub(crate) fn due(&self, number: u64) -> u64 {
        (number as f64 / self.rate * 1e9) as u64
    }
}

/// How a plugin publishes without end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Form {
    /// Whatever becomes of it: what there is no room for is refused
    Publish,
    /// Waiting for room
    Wait,
}

/// `endless`: publish as fast as it goes, to all clients of [`ENDLESS`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Endless {
    /// How.
    pub(crate) form: Form,
    /// For how long.
    pub(crate) seconds: f64,
    /// Bytes of the text of each message.
    pub(crate) bytes: usize,
}

/// `ended`: what became of that.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Ended {
    /// Whether it is over.
    pub(crate) over: bool,
    /// Messages that were published.
    pub(crate) published: u64,
    /// Messages that were refused.
    pub(crate) refused: u64,
}

/// `done`: the run is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Done {
    /// How many messages were published.
    pub(crate) messages: u64,
}

/// `tick`: a message under test.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct Tick {
    /// A mark and a filling.
    pub(crate) text: String,
}

impl Tick {
    /// Message `number`, sent `at`, with a text of so many bytes.
    pub(crate) fn new(number: u64, at: u64, bytes: usize) -> Self {
        Self { text: Mark { number, at }.text(bytes) }
    }
}

/// The words of this protocol.
pub(crate) fn dialect() -> Dialect {
    Dialect::new(NAMESPACE, TICK)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_paced_run_is_a_timetable() {
        let run = Run::paced(50.0, 2.0, 128);
        assert_eq!((run.paced_messages(), run.due(0), run.due(50)), (100, 0, 1_000_000_000));
        let text = serde_json::to_string(&run).unwrap();
        assert_eq!(serde_json::from_str::<Run>(&text).unwrap(), run);
        assert_eq!(Tick::new(1, 2, 128).text.len(), 128);
    }
}

//! To whom each message of a run goes, so that every delivery can be counted and its order checked.

use carillon_core::prelude::{JsonSchema, schemars};
use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// The usual namespace.
pub(crate) const NAMESPACE: &str = "/bench";
/// The namespaces every client is in where more than one is asked for; the first is the usual one.
pub(crate) const NAMESPACES: [&str; 3] = [NAMESPACE, "/bench2", "/bench3"];
/// The rooms of the clients with even and with odd numbers.
pub(crate) const ROOMS: [&str; 2] = ["even", "odd"];
/// What repeats in a mixture.
const MIXTURE: [To; 6] = [To::All(0), To::All(1), To::All(2), To::Room(0), To::All(1), To::Room(1)];

/// How the messages of a run are addressed.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Shape {
    /// Each to everybody
    #[default]
    Plain,
    /// Each to everybody, in two namespaces in turns
    TwoNamespaces,
    /// Each to one of two rooms, in turns
    Rooms,
    /// Each leaves out another client
    Except,
    /// Each to another client
    Client,
    /// Three namespaces, rooms and everybody, mixed
    Mixed,
    /// Each to everybody twice: in both namespaces, as two rows of the relay do
    #[value(skip)]
    Twice,
}

/// To whom one message goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum To {
    /// The clients of one of [`NAMESPACES`].
    All(usize),
    /// One of [`ROOMS`].
    Room(usize),
    /// Everybody but this client.
    Except(u64),
    /// This client.
    Client(u64),
}

impl Shape {
    /// Whether clients must be in all of [`NAMESPACES`].
    pub(crate) fn namespaces(self) -> usize {
        match self {
            Self::TwoNamespaces => 2,
            Self::Mixed => 3,
            _ => 1,
        }
    }

    /// To whom message `number` goes, of so many clients.
    pub(crate) fn to(self, number: u64, clients: u64) -> To {
        let turn = |of: usize| (number % of as u64) as usize;
        match self {
            Self::Plain | Self::Twice => To::All(0),
            Self::TwoNamespaces => To::All(turn(2)),
            Self::Rooms => To::Room(turn(2)),
            // One client alone is never left out.
            Self::Except if clients > 1 => To::Except(number % clients),
            Self::Except => To::All(0),
            Self::Client => To::Client(number % clients.max(1)),
            Self::Mixed => MIXTURE[turn(MIXTURE.len())],
        }
    }

    /// The number of a message as a client counts it, read in the namespace at `place`.
    #[inline]
    pub(crate) fn count(self, number: u64, place: usize) -> u64 {
        if self == Self::Twice { number * 2 + place as u64 } else { number }
    }

    /// Whether `client` gets message `number`.
    pub(crate) fn wants(self, number: u64, client: u64, clients: u64) -> bool {
        match self.to(number, clients) {
            To::All(_) => true,
            To::Room(room) => client % 2 == room as u64,
            To::Except(other) => client != other,
            To::Client(only) => client == only,
        }
    }

    /// The first message for `client` from number `from` on.
    #[inline]
    pub(crate) fn next(self, from: u64, client: u64, clients: u64) -> u64 {
        match self {
            Self::Plain | Self::TwoNamespaces | Self::Twice => from,
            Self::Client => from + (client + clients - from % clients) % clients,
            _ => (from..).find(|number| self.wants(*number, client, clients)).unwrap_or(from),
        }
    }

    /// How many deliveries so many messages are.
    pub(crate) fn deliveries(self, messages: u64, clients: u64) -> u64 {
        let of = |number: u64| match self.to(number, clients) {
            To::All(_) => clients,
            To::Room(0) => clients.div_ceil(2),
            To::Room(_) => clients / 2,
            To::Except(_) => clients.saturating_sub(1),
            To::Client(_) => clients.min(1),
        };
        if self == Self::Twice {
            return messages * clients * 2;
        }
        let period = (MIXTURE.len() as u64).min(messages.max(1));
        let whole: u64 = (0..period).map(of).sum();
        whole * (messages / period) + (0..messages % period).map(of).sum::<u64>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is expected of all clients one by one is what is expected of them together.
    #[test]
    fn every_shape_adds_up() {
        for shape in [Shape::Plain, Shape::TwoNamespaces, Shape::Rooms, Shape::Except, Shape::Client, Shape::Mixed] {
            for (messages, clients) in [(0, 3), (1, 1), (5, 3), (6, 4), (1_003, 7)] {
                let mut sum = 0;
                for client in 0..clients {
                    let mut next = shape.next(0, client, clients);
                    while next < messages {
                        assert!(shape.wants(next, client, clients), "{shape:?} {next} {client}");
                        sum += 1;
                        next = shape.next(next + 1, client, clients);
                    }
                }
                assert_eq!(sum, shape.deliveries(messages, clients), "{shape:?} {messages} {clients}");
            }
        }
        assert_eq!(Shape::Twice.deliveries(3, 2), 12);
        assert_eq!((Shape::Twice.count(3, 1), Shape::Rooms.count(3, 1)), (7, 3));
    }

    #[test]
    fn the_next_message_of_one_client() {
        assert_eq!([0, 1, 2, 3].map(|from| Shape::Client.next(from, 1, 3)), [1, 1, 4, 4]);
        assert_eq!([0, 1, 2].map(|from| Shape::Except.next(from, 1, 3)), [0, 2, 2]);
        assert_eq!([2, 3, 4, 5, 6].map(|from| Shape::Mixed.next(from, 0, 3)), [2, 3, 4, 6, 6]);
    }
}

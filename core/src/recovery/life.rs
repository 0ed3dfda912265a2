//! The connections of one client, one after the other: whoever comes back takes over from all that came before.

use serde::{Deserialize, Serialize};

use crate::peer::public_id;

/// One of the connections of a client, by its place among them. Two that come back at once have the same number: one of them is
/// greater all the same, everywhere.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Life {
    number: u64,
    id: String,
}

impl Life {
    pub(crate) fn first() -> Self {
        Self { number: 0, id: public_id() }
    }

    /// One that gets on where this left off.
    pub(crate) fn next(&self) -> Self {
        Self { number: self.number.saturating_add(1), id: public_id() }
    }

    /// Whether none has been in between.
    pub(super) fn is_right_after(&self, earlier: &Self) -> bool {
        earlier.number.checked_add(1) == Some(self.number)
    }
}

/// The client of a pid has come back: its earlier connections are over, on whichever node they are, and later ones are not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Takeover {
    pub(crate) pid: String,
    pub(crate) life: Life,
}

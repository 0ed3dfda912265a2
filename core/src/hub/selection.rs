//! Whom a publish addresses.

use serde::{Deserialize, Serialize};

use super::check_name;

/// Whom a publish addresses. Empty: everybody. Who is in several rooms gets one copy.
///
/// Rooms and clients are named apart: clients may choose the names of rooms, and a room called like somebody's id must
/// not get what is meant for them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Selection {
    /// Rooms.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) to: Vec<String>,
    /// Public ids of clients.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) clients: Vec<String>,
    /// Rooms or client ids left out: who is left out by another's name loses, and learns, nothing of theirs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) except: Vec<String>,
    /// Only of those who take offsets, or only of those who do not. Each node asks that of its own clients.
    #[serde(skip)]
    pub(crate) offsets: Option<bool>,
}

impl Selection {
    /// Whether its names are such as rooms and clients may have.
    pub(crate) fn is_sound(&self) -> bool {
        let names = self.to.iter().chain(&self.clients).chain(&self.except);
        names.into_iter().all(|name| check_name(name).is_ok())
    }

    /// Whether it is one room or one client, and nobody left out.
    pub(super) fn is_one_name(&self) -> bool {
        self.to.len() + self.clients.len() == 1 && self.except.is_empty()
    }

    /// Whether it names clients and no rooms.
    pub(crate) fn is_of_clients(&self) -> bool {
        self.to.is_empty() && !self.clients.is_empty()
    }

    /// Whether it names neither rooms nor clients.
    pub(super) fn is_unnamed(&self) -> bool {
        self.to.is_empty() && self.clients.is_empty()
    }

    /// Those of it who take offsets, or those who do not.
    pub(crate) fn of_kind(&self, offsets: bool) -> Self {
        Self { offsets: Some(offsets), ..self.clone() }
    }
}

//! Whom a publish addresses.

/// Whom a publish addresses. Empty: everybody. Who is in several rooms gets one copy.
///
/// Rooms and clients are named apart: clients may choose the names of rooms, and a room called like somebody's id must
/// not get what is meant for them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Selection {
    /// Rooms.
    pub(crate) to: Vec<String>,
    /// Public ids of clients.
    pub(crate) clients: Vec<String>,
    /// Rooms or client ids left out: who is left out by another's name loses, and learns, nothing of theirs.
    pub(crate) except: Vec<String>,
    /// Only of those who take offsets, or only of those who do not.
    pub(crate) offsets: Option<bool>,
}

impl Selection {
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

//! A client as far as it may come back.

use std::sync::Arc;

use bytes::Bytes;

use super::{Client, Rooms};
use crate::error::Result;
use crate::journal::State;
use crate::recovery::{Membership, Sessions};
use crate::sink::Reason;

impl Client {
    /// What it may come back with.
    pub(crate) fn membership(&self) -> Option<&Membership> {
        self.membership.as_deref()
    }

    /// Whether what it is sent ends with offsets.
    pub(crate) fn takes_offsets(&self) -> bool {
        self.membership().is_some_and(|membership| membership.takes_offsets)
    }

    /// Whether it has come back.
    pub(crate) fn has_resumed(&self) -> bool {
        self.membership().is_some_and(|membership| membership.resumed.is_some())
    }

    fn sessions(&self) -> Option<(&Sessions, &Membership)> {
        Some((self.namespace.recovering()?.1, self.membership()?))
    }

    /// What is to be known of it has changed.
    pub(crate) fn is_known_otherwise(&self) {
        if let Some((sessions, membership)) = self.sessions() {
            sessions.changed(membership);
        }
    }

    /// What is to be known of it.
    pub(crate) fn known(&self) -> Option<Bytes> {
        let membership = self.membership()?;
        let rooms = self.rooms();
        membership.known(&self.namespace.name, &self.peer, &rooms.names).ok()
    }

    /// The CONNECT reply is queued, and what the client has missed was sent.
    pub(crate) fn opened(self: &Arc<Self>) {
        let state = self.namespace.recovering().map(|(keeper, _)| keeper.state());
        self.open_in(state.as_deref());
    }

    /// It is the client of its pid from here on: the one that was, which is to be closed, if there is any.
    ///
    /// # Errors
    /// When a later connection of it is here already.
    pub(super) fn takes_its_place(self: &Arc<Self>) -> Result<Option<Arc<Self>>> {
        match self.sessions().filter(|(_, membership)| membership.takes_offsets) {
            Some((sessions, membership)) => sessions.add(self, membership),
            None => Ok(None),
        }
    }

    /// It is in the rooms it had. The state is locked: nothing is published meanwhile.
    pub(super) fn comes_back(&self, rooms: &mut Rooms, _: Option<&State>) {
        let Some(resumed) = self.membership().and_then(|membership| membership.resumed.as_ref()) else { return };
        resumed.rooms.iter().for_each(|room| self.enters(rooms, Arc::clone(room)));
    }

    /// It has come back over another connection.
    pub(crate) fn superseded(self: &Arc<Self>) {
        let sink = self.sink();
        self.closed(Reason::Resumed);
        if let Some(sink) = sink {
            sink.close(Reason::Resumed);
        }
    }

    /// It is gone.
    pub(super) fn goes(&self, reason: Reason, rooms: &[Arc<str>]) {
        if let Some((sessions, membership)) = self.sessions() {
            // Whoever leaves, or is sent away, does not come back.
            let stays = !matches!(reason, Reason::ClientDisconnect | Reason::ServerDisconnect);
            sessions.closed(self, membership, rooms, stays);
        }
    }
}

//! The rooms of one client: joining and leaving them, and waiting until what other nodes publish to them comes.

use std::future::Future;
use std::sync::{Arc, MutexGuard, PoisonError};

use super::Client;
use crate::cluster::{Request, RoomSet};
use crate::error::{Error, Result};
use crate::hub::{MAX_ROOMS, check_name};
use crate::sink::Reason;

/// A client's rooms.
#[derive(Default)]
pub(crate) struct Rooms {
    /// Whether it can join any: after `opened`, and until `closed`.
    pub(super) open: bool,
    /// They stay known for `disconnected`.
    pub(crate) names: Vec<Arc<str>>,
    /// Channels of those of them of which nothing comes yet that other nodes publish.
    pub(super) unheard: RoomSet,
}

impl Client {
    pub(crate) fn rooms(&self) -> MutexGuard<'_, Rooms> {
        self.rooms.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts the client into a room. Nothing happens to one that is gone.
    pub(crate) fn join(&self, room: &str) -> Result<()> {
        check_name(room)?;
        if self.peer.identity().is_some_and(|identity| !identity.may_join(room)) {
            return Err(Error::forbidden("not allowed in this room"));
        }
        let mut rooms = self.rooms();
        if !rooms.open {
            return Ok(());
        }
        if rooms.names.iter().any(|known| &**known == room) {
            return Ok(());
        }
        if rooms.names.len() >= MAX_ROOMS {
            return Err(Error::too_large(format!("a client can be in {MAX_ROOMS} rooms")));
        }
        self.enters(&mut rooms, room.into());
        self.is_known_otherwise();
        Ok(())
    }

    /// It is in a room that it was not in, for all who keep count of that.
    pub(super) fn enters(&self, rooms: &mut Rooms, room: Arc<str>) {
        if let Some(interest) = &self.namespace.interest {
            rooms.unheard |= interest.join(&room);
        }
        self.seat.join(Arc::clone(&room));
        if let Some(presence) = &self.namespace.presence {
            presence.joined(&room);
        }
        rooms.names.push(room);
    }

    /// Takes the client out of a room.
    pub(crate) fn leave(&self, room: &str) {
        let mut rooms = self.rooms();
        if rooms.open
            && let Some(place) = rooms.names.iter().position(|known| &**known == room)
        {
            let room = rooms.names.swap_remove(place);
            if let Some(interest) = &self.namespace.interest {
                interest.leave(&room);
            }
            self.seat.leave(Arc::clone(&room));
            if let Some(presence) = &self.namespace.presence {
                presence.left(&room);
            }
            self.is_known_otherwise();
        }
    }

    /// Does what a plugin asks of all clients; false where it could not.
    pub(crate) fn does(&self, request: &Request) -> bool {
        match request {
            Request::Join { room } => self.join(room).is_ok(),
            Request::Leave { room } => {
                self.leave(room);
                true
            }
            Request::Close { .. } => self.sink().map(|sink| sink.close(Reason::Killed)).is_some(),
            Request::Members { .. } => true,
        }
    }

    /// Waits, for a moment, until what other nodes publish to rooms joined since the last call comes here. `None` where
    /// there is nothing to wait for.
    pub(crate) fn rooms_heard(&self) -> Option<impl Future<Output = ()> + Send + use<>> {
        let interest = self.namespace.interest.as_ref()?;
        let unheard = std::mem::take(&mut self.rooms().unheard);
        let interest = (unheard != 0).then(|| Arc::clone(interest))?;
        Some(async move { interest.rooms_heard(unheard).await })
    }
}

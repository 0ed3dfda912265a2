//! How a plugin declares that it counts who is in its rooms.

use super::Routes;
use crate::presence::RoomCount;

/// Rooms whose members are counted, and told how many they are.
#[derive(Debug, Clone, Default)]
pub struct PresenceOutline {
    /// The event that tells them.
    pub event: String,
    /// What the names of these rooms begin with.
    pub rooms: String,
}

impl PresenceOutline {
    /// Counts only rooms whose names begin like this.
    pub fn rooms(&mut self, prefix: impl Into<String>) {
        self.rooms = prefix.into();
    }
}

impl<P: Send + Sync + 'static> Routes<P> {
    /// Counts who is in rooms of this namespace, on all Carillons, and declares the [`RoomCount`] that their members are sent
    /// as `event`: when one of them comes, or how many they are has changed, and no more often than
    /// `cluster.presence_interval_ms`, with what holds then. [`Target::present`](crate::Target::present) asks for the count.
    ///
    /// All rooms are counted, or those whose names begin as is said:
    /// `on.presence("players", "How many play at a table.").rooms("table:")`. Of several such calls the first that fits a room
    /// counts it. Of each namespace `cluster.presence_rooms` rooms are counted.
    pub fn presence(&mut self, event: impl Into<String>, doc: &str) -> &mut PresenceOutline {
        let event = event.into();
        self.emits::<RoomCount>(event.clone(), doc);
        let presence = &mut self.table.outline.presence;
        let at = presence.len();
        presence.push(PresenceOutline { event, rooms: String::new() });
        &mut presence[at]
    }
}

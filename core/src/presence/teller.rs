//! Tells of what has changed: the members of rooms, and the other nodes; each room once in an interval.

use std::sync::{Arc, Weak};

use tokio::time::{Instant, sleep, timeout_at};
use tokio_util::sync::CancellationToken;

use super::{News, Presence, RoomCount};
use crate::cluster::BEAT;
use crate::host::Shared;
use crate::hub::Selection;
use crate::namespace::Namespace;
use crate::payload::encode_event;
use crate::sink::Mode;

/// Rooms that are told before other work has the thread.
const AT_ONCE: usize = 64;

/// Of one namespace.
pub(crate) struct Teller {
    namespace: Arc<Namespace>,
    /// The way to the other nodes.
    shared: Weak<Shared>,
}

impl Teller {
    pub(crate) fn new(namespace: &Arc<Namespace>, shared: &Arc<Shared>) -> Self {
        Self { namespace: Arc::clone(namespace), shared: Arc::downgrade(shared) }
    }

    /// Runs until `stop`; at once over where nothing is counted.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let Some(presence) = &self.namespace.presence else { return };
        tokio::select! {
            () = stop.cancelled() => {}
            () = self.tell(presence) => {}
        }
    }

    async fn tell(&self, presence: &Presence) {
        let mut beat = Instant::now() + BEAT;
        loop {
            drop(timeout_at(beat, presence.news.notified()).await);
            let beats = Instant::now() >= beat;
            if beats {
                beat = Instant::now() + BEAT;
                self.forget_who_is_gone(presence);
            }
            let News { here, others } = presence.news(|room| self.own(room), beats);
            if let Some(mut counts) = others
                && let Some(shared) = self.shared.upgrade()
                && let Some(cluster) = &shared.cluster
            {
                counts.namespace = (*self.namespace.name).to_owned();
                cluster.tell_counts(counts);
            }
            for (at, (event, room)) in here.into_iter().enumerate() {
                self.publish(&event, room).await;
                if at % AT_ONCE == AT_ONCE - 1 {
                    tokio::task::yield_now().await;
                }
            }
            sleep(presence.every).await;
        }
    }

    fn forget_who_is_gone(&self, presence: &Presence) {
        if let Some(shared) = self.shared.upgrade()
            && let Some(cluster) = &shared.cluster
        {
            presence.gone_but(&cluster.others());
        }
    }

    /// How many of this node's clients are in a room.
    fn own(&self, room: &str) -> usize {
        self.namespace.hub.count(self.namespace.space, &of_room(room))
    }

    async fn publish(&self, event: &str, room: RoomCount) {
        let namespace = &self.namespace;
        let Ok(item) = encode_event(&namespace.name, event, &room) else { return };
        let (selection, series) = (of_room(&room.room), namespace.series(event));
        // It has the lane of what other nodes publish: it is about their clients too.
        namespace.publish_item_wait(namespace.hub.other_nodes(), &selection, series, &(item, Mode::All)).await;
    }
}

fn of_room(room: &str) -> Selection {
    Selection { to: vec![room.to_owned()], ..Selection::default() }
}

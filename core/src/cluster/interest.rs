//! What this node wants to hear of one namespace: its channel while there are members, a room's while any of them is in
//! such a room. Kept where members come and go; [`listening`](super::listening) tells the bus.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use prometheus::{IntCounter, IntGaugeVec};
use tokio::sync::{Notify, watch};

use super::channels::{Part, ROOM_CHANNELS, room_channel};
use super::envelope;
use super::gaps::Missed;
use crate::error::Result;
use crate::metrics::Metrics;

/// How long a CONNECT or a join waits until the bus has confirmed what they listen to.
const WAIT: Duration = Duration::from_millis(250);

/// What all namespaces of a node share.
pub(crate) struct Interests {
    /// Somebody wants something else than before.
    pub(super) news: Notify,
    pub(super) subscribed: IntGaugeVec,
    unconfirmed: IntCounter,
}

impl Interests {
    pub(crate) fn new(metrics: &Metrics) -> Result<Self> {
        let subscribed = metrics.gauge(
            "cluster_subscriptions",
            "Channels of other Carillons this one listens to: of namespaces, and of rooms.",
            &["channel"],
        )?;
        ["namespace", "room"].iter().for_each(|kind| subscribed.with_label_values(&[*kind]).set(0));
        let help = "CONNECTs and joins that went on after 250 ms, before the bus had confirmed that publishes of other \
                    Carillons would come.";
        let unconfirmed = metrics.counter("cluster_unconfirmed_total", help, &[])?.with_label_values::<&str>(&[]);
        Ok(Self { news: Notify::new(), subscribed, unconfirmed })
    }
}

/// One namespace's.
pub(crate) struct Interest {
    shared: Arc<Interests>,
    /// The rooms' channels, then everybody's.
    slots: [Slot; ROOM_CHANNELS as usize + 1],
    /// Told when more is heard.
    confirmed: watch::Sender<()>,
    /// How much never came.
    missing: watch::Sender<u64>,
}

/// One channel.
#[derive(Default)]
struct Slot {
    members: AtomicUsize,
    /// What is published comes.
    heard: AtomicBool,
    /// When it was listened to for the last time, in milliseconds since 1970, or never.
    since: AtomicU64,
}

/// Channels of rooms, a bit for each.
pub(crate) type RoomSet = u64;

impl Interest {
    pub(crate) fn new(shared: &Arc<Interests>) -> Self {
        let slots = std::array::from_fn(|_| Slot::default());
        Self { shared: Arc::clone(shared), slots, confirmed: watch::Sender::new(()), missing: watch::Sender::new(0) }
    }

    fn slot(&self, part: Part) -> &Slot {
        &self.slots[match part {
            Part::Rooms(number) => usize::from(number % ROOM_CHANNELS),
            // Whoever has members in a namespace may be told of one of them.
            Part::Everybody | Part::Node(_) => usize::from(ROOM_CHANNELS),
        }]
    }

    // --- Who comes and goes ------------------------------------------------------------------------------------

    fn add(&self, part: Part) {
        // In one order with `heard`: either this is seen by who stops to listen, or that is by who waits.
        if self.slot(part).members.fetch_add(1, Ordering::SeqCst) == 0 {
            self.shared.news.notify_one();
        }
    }

    fn remove(&self, part: Part) {
        if self.slot(part).members.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.shared.news.notify_one();
        }
    }

    /// A client is about to be a member.
    pub(crate) fn come(&self) {
        self.add(Part::Everybody);
    }

    /// It is none any more, with the rooms it was in.
    pub(crate) fn go(&self, rooms: &[Arc<str>]) {
        rooms.iter().for_each(|room| self.leave(room));
        self.remove(Part::Everybody);
    }

    /// A member joins a room; what has to be waited for.
    pub(crate) fn join(&self, room: &str) -> RoomSet {
        let number = room_channel(room);
        self.add(Part::Rooms(number));
        if self.is_heard(Part::Rooms(number)) { 0 } else { 1 << number }
    }

    pub(crate) fn leave(&self, room: &str) {
        self.remove(Part::Rooms(room_channel(room)));
    }

    // --- Who waits ---------------------------------------------------------------------------------------------

    fn is_heard(&self, part: Part) -> bool {
        self.slot(part).heard.load(Ordering::SeqCst)
    }

    async fn wait(&self, heard: impl Fn() -> bool) {
        if heard() {
            return;
        }
        let mut confirmed = self.confirmed.subscribe();
        if tokio::time::timeout(WAIT, confirmed.wait_for(|()| heard())).await.is_err() {
            self.shared.unconfirmed.inc();
        }
    }

    /// Waits until what is published to everybody comes; not for ever.
    pub(crate) async fn namespace_heard(&self) {
        self.wait(|| self.is_heard(Part::Everybody)).await;
    }

    /// Waits until what is published to these rooms comes; not for ever.
    pub(crate) async fn rooms_heard(&self, rooms: RoomSet) {
        let heard = |number: u8| rooms & (1 << number) == 0 || self.is_heard(Part::Rooms(number));
        self.wait(|| (0..ROOM_CHANNELS).all(heard)).await;
    }

    /// The same for one room.
    pub(crate) async fn room_heard(&self, room: &str) {
        self.rooms_heard(1 << room_channel(room)).await;
    }

    // --- What never came ---------------------------------------------------------------------------------------

    /// So much more.
    pub(super) fn misses(&self, count: u64) {
        self.missing.send_modify(|total| *total = total.saturating_add(count));
    }

    /// What is missing from now on.
    pub(crate) fn missed(&self) -> Missed {
        Missed::of(&self.missing)
    }

    // --- Who listens -------------------------------------------------------------------------------------------

    /// Whether anybody here is to hear what is said there.
    pub(super) fn is_wanted(&self, part: Part) -> bool {
        self.slot(part).members.load(Ordering::SeqCst) > 0
    }

    /// The bus is about to be asked for this channel.
    pub(super) fn begins(&self, part: Part) {
        self.slot(part).since.store(envelope::listening_from(), Ordering::Release);
    }

    /// What is said on these channels comes from now on.
    pub(super) fn hears(&self, part: Part) {
        self.slot(part).heard.store(true, Ordering::SeqCst);
        self.confirmed.send_replace(());
    }

    /// Nothing comes from now on; false, and nothing changes, when somebody has come meanwhile.
    pub(super) fn ends(&self, part: Part) -> bool {
        self.slot(part).heard.store(false, Ordering::SeqCst);
        let ends = !self.is_wanted(part);
        if !ends {
            self.hears(part);
        }
        ends
    }

    /// Since when this channel has been listened to without a break; it tells one time from the next.
    pub(super) fn since(&self, part: Part) -> u64 {
        self.slot(part).since.load(Ordering::Acquire)
    }
}

//! The hub alone, with nobody at work on what waits in it: for the micro benchmarks.

use std::sync::Arc;

use crate::error::Result;
use crate::hub::{Bounds, Hub, Order, Publisher, Seat, Selection};
use crate::metrics::{Metrics, Outbound};
use crate::packet::Item;
use crate::payload::encode_event;
use crate::sink::{Mode, Pushed, Sink};

/// Two namespaces, whose clients are in both.
pub struct Hall {
    hub: Hub,
    seats: Vec<Seat>,
    copy: (Item, Mode),
    sink: Arc<dyn Sink>,
    series: Arc<Outbound>,
}

/// One client, as a plugin addresses it.
pub struct One(Selection);

impl One {
    /// The client of this number.
    #[must_use]
    pub fn new(number: usize) -> Self {
        Self(Selection { clients: vec![format!("client {number}")], ..Selection::default() })
    }
}

impl Hall {
    /// A hall of `members` clients, in `shards` shards.
    ///
    /// # Errors
    /// Never in practice.
    pub fn new(shards: usize, members: usize, sink: impl Fn() -> Arc<dyn Sink>) -> Result<Self> {
        let metrics = Arc::new(Metrics::new()?);
        let bounds = Bounds { publishes: usize::MAX, bytes: usize::MAX };
        let hub = Hub::new(shards, 2, bounds, 64, &metrics);
        let mut seats = Vec::new();
        for member in 0..members {
            let sink = sink();
            for space in 0..2 {
                let seat = hub.seat(space, &*sink);
                seat.add(format!("client {member}").into(), Arc::clone(&sink));
                seats.push(seat);
            }
        }
        let item = encode_event(&"/bench".into(), "e", &"a reading of some length")?;
        let series = Arc::new(metrics.outbound("/bench", "e", Mode::All));
        Ok(Self { hub, seats, copy: (item, Mode::All), sink: sink(), series })
    }

    fn order<'a>(&'a self, publisher: Publisher, selection: &'a Selection) -> Order<'a> {
        Order { publisher, space: publisher, selection, copy: &self.copy, series: &self.series }
    }

    /// The second namespace's plugin publishes to everybody; it waits for ever.
    pub fn flood(&self, publishes: usize) {
        for _ in 0..publishes {
            self.hub.publish(self.order(1, &Selection::default())).ok();
        }
    }

    /// The first namespace's plugin publishes to one client.
    pub fn publish_to(&self, client: &One) {
        self.hub.publish(self.order(0, &client.0)).ok();
    }

    /// A client of the first namespace joins a room, or leaves it.
    pub fn join(&self, client: usize, room: &Arc<str>) {
        self.seats[2 * client].join(Arc::clone(room));
    }

    /// A client of the first namespace leaves a room.
    pub fn leave(&self, client: usize, room: &Arc<str>) {
        self.seats[2 * client].leave(Arc::clone(room));
    }

    /// A client of the first namespace is answered.
    pub fn ack(&self, client: usize) {
        let (sink, item, series) = (Arc::clone(&self.sink), self.copy.0.clone(), Arc::clone(&self.series));
        self.seats[2 * client].send(item.wire_len(), move || {
            if matches!(sink.send(&item), Pushed::Delivered | Pushed::Queued) {
                series.count(1, item.len());
            }
        });
    }
}

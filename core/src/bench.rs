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
    item: Item,
    sink: Arc<dyn Sink>,
    series: Arc<Outbound>,
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
        Ok(Self { hub, seats, item, sink: sink(), series })
    }

    fn order(&self, publisher: Publisher, clients: Vec<String>) -> Order {
        let (item, series) = (self.item.clone(), Arc::clone(&self.series));
        let selection = Selection { clients, ..Selection::default() };
        Order { publisher, space: publisher, selection, item, mode: Mode::All, series }
    }

    /// The second namespace's plugin publishes to everybody; it waits for ever.
    pub fn flood(&self, publishes: usize) {
        for _ in 0..publishes {
            self.hub.publish(self.order(1, Vec::new())).ok();
        }
    }

    /// The first namespace's plugin publishes to one client.
    pub fn publish_to(&self, client: String) {
        self.hub.publish(self.order(0, vec![client])).ok();
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
        let (sink, item, series) = (Arc::clone(&self.sink), self.item.clone(), Arc::clone(&self.series));
        self.seats[2 * client].send(item.wire_len(), move || {
            if matches!(sink.send(&item), Pushed::Delivered | Pushed::Queued) {
                series.count(1, item.len());
            }
        });
    }
}

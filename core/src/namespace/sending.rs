//! What leaves a namespace: publishes to many, events and acks to one.

use std::sync::Arc;

use super::Namespace;
use crate::client::Client;
use crate::error::{Error, Result};
use crate::hub::{Full, Order, Publisher, Selection};
use crate::journal::Published;
use crate::metrics::Outbound;
use crate::packet::Item;
use crate::payload::{Emit, encode_event};
use crate::sink::{Mode, Pushed};

impl Namespace {
    /// What a publisher is told who has to wait.
    pub(crate) fn full(&self) -> Error {
        Error::overloaded(format!("too much waits to be sent in {}; publish_wait waits for room", self.name))
    }

    /// Fans an encoded event out to this node's clients, without keeping it.
    ///
    /// # Errors
    /// `overloaded` when the namespace has too much waiting.
    pub(crate) fn publish_item(
        &self,
        publisher: Publisher,
        selection: &Selection,
        series: &Arc<Outbound>,
        copy: &(Item, Mode),
    ) -> Result<()> {
        if let Some((keeper, _)) = self.recovering() {
            return self.publish_apart(keeper, publisher, Published { selection, series, copy });
        }
        self.hub.publish(self.order(publisher, selection, series, copy)).map_err(|Full| self.full())
    }

    /// [`publish_item`](Self::publish_item), as soon as there is room for it.
    pub(crate) async fn publish_item_wait(
        &self,
        publisher: Publisher,
        selection: &Selection,
        series: &Arc<Outbound>,
        copy: &(Item, Mode),
    ) {
        if let Some((keeper, _)) = self.recovering() {
            return self.publish_apart_wait(keeper, publisher, Published { selection, series, copy }).await;
        }
        let order = self.order(publisher, selection, series, copy);
        // What may replace or be dropped need not wait for that.
        if !copy.1.is_all() && self.hub.publish(order).is_ok() {
            return;
        }
        self.hub.publish_wait(order).await;
    }

    fn order<'a>(
        &self,
        publisher: Publisher,
        selection: &'a Selection,
        series: &'a Arc<Outbound>,
        copy: &'a (Item, Mode),
    ) -> Order<'a> {
        series.publishes.inc();
        Order { publisher, space: self.space, selection, copy, series }
    }

    /// Sends one event to one client.
    pub(crate) fn emit<T: Emit + ?Sized>(&self, client: &Client, event: &str, value: &T) -> Result<()> {
        let mut item = encode_event(&self.name, event, value)?;
        if item.ends_in_text() && client.takes_offsets() {
            // It would be taken for an offset.
            item = item.with_last(b"null");
        }
        self.send(client, item, self.series(event));
        Ok(())
    }

    /// Sends an ack to one client, unless its handler has sent it.
    pub(crate) fn ack(&self, client: &Client, item: Item) {
        if client.deferred.allows(item.ack_id()) {
            self.ack_once(client, item);
        }
    }

    /// Sends an ack that nobody else will.
    pub(crate) fn ack_once(&self, client: &Client, item: Item) {
        self.send(client, item, &self.acks);
    }

    fn send(&self, client: &Client, item: Item, series: &Arc<Outbound>) {
        let Some(sink) = client.sink() else { return };
        let series = Arc::clone(series);
        client.seat.send(item.wire_len(), move || {
            if matches!(sink.send(&item), Pushed::Delivered | Pushed::Queued) {
                series.count(1, item.len());
            }
        });
    }

    /// Counts a server-to-client call as a sent event.
    pub(crate) fn count_call(&self, event: &str, item: &Item) {
        self.series(event).count(1, item.len());
    }
}

//! How a namespace publishes where its publishes are kept, or end with their offset for some of its clients.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::mpsc::error::TrySendError;

use super::keeper::{Keeper, Outgoing};
use super::record::record;
use super::{Kept, Offset, Record};
use crate::error::{Error, Result};
use crate::hub::{Order, Publisher, Selection};
use crate::metrics::Outbound;
use crate::namespace::Namespace;
use crate::packet::Item;
use crate::sink::Mode;

/// A publish: to whom, the series of its event, and the packet with what may become of it.
#[derive(Clone, Copy)]
pub(crate) struct Published<'a> {
    pub(crate) selection: &'a Selection,
    pub(crate) series: &'a Arc<Outbound>,
    pub(crate) copy: &'a (Item, Mode),
}

impl Namespace {
    /// Publishes and keeps it. Where the journal is shared it is delivered when it comes back, in the order of all nodes.
    ///
    /// # Errors
    /// `overloaded` when too much waits, `too_large` when it has more than a journal takes, `unavailable` when the server stops.
    pub(crate) fn publish_kept(&self, keeper: &Keeper, publish: Published<'_>) -> Result<()> {
        let record = record(keeper, publish.selection, publish.copy)?;
        let Some(outgoing) = &keeper.outgoing else { return self.append_here(keeper, &record, publish) };
        let full = || Error::overloaded(format!("too much waits for the journal of {}", self.name));
        let room = keeper.try_room(&record).ok_or_else(full)?;
        let place = outgoing.try_reserve().map_err(|error| match error {
            TrySendError::Full(()) => full(),
            TrySendError::Closed(()) => going_away(),
        })?;
        place.send(publish.outgoing(keeper, record, room));
        Ok(())
    }

    /// [`publish_kept`](Self::publish_kept), as soon as there is room for it.
    ///
    /// # Errors
    /// `too_large`, and `unavailable`.
    pub(crate) async fn publish_kept_wait(&self, keeper: &Keeper, publish: Published<'_>) -> Result<()> {
        let record = record(keeper, publish.selection, publish.copy)?;
        let Some(outgoing) = &keeper.outgoing else {
            while self.append_here(keeper, &record, publish).is_err() {
                self.room(publish).await;
            }
            return Ok(());
        };
        let room = keeper.wait_for_room(&record).await?;
        let place = outgoing.reserve().await.map_err(|_| going_away())?;
        place.send(publish.outgoing(keeper, record, room));
        Ok(())
    }

    /// Keeps it in this process, and delivers it.
    ///
    /// # Errors
    /// `overloaded` when too much waits.
    fn append_here(&self, keeper: &Keeper, record: &Bytes, publish: Published<'_>) -> Result<()> {
        let mut state = keeper.state();
        self.check_room(publish)?;
        let offset = keeper.append_here(record.clone()).ok();
        match &offset {
            Some(_) => keeper.counts.appended.inc(),
            None => {
                keeper.counts.apart.inc();
                state.breaks();
            }
        }
        self.deliver(self.space, publish, offset.as_ref());
        if let Some(offset) = offset {
            state.reaches(offset);
        }
        Ok(())
    }

    /// Delivers what stands in the journal at `offset` to this node's clients, as soon as there is room for it.
    pub(super) async fn deliver_kept(&self, keeper: &Keeper, offset: &Offset, record: Record) {
        let copy = (record.item.clone(), record.mode);
        let series = self.series(&record.event);
        let publish = Published { selection: &record.selection, series, copy: &copy };
        self.room(publish).await;
        let mut state = keeper.state();
        self.deliver(self.space, publish, Some(offset));
        match &keeper.sessions {
            Some(_) => state.delivered(Arc::new(Kept::new(offset.clone(), Some(record)))),
            None => state.reaches(offset.clone()),
        }
    }

    /// Delivers, to this node's clients, what has no place in the journal.
    ///
    /// # Errors
    /// `overloaded` when too much waits.
    pub(crate) fn publish_apart(&self, keeper: &Keeper, publisher: Publisher, publish: Published<'_>) -> Result<()> {
        let _state = keeper.state();
        self.check_room(publish)?;
        self.deliver(publisher, publish, None);
        Ok(())
    }

    /// [`publish_apart`](Self::publish_apart), as soon as there is room for it.
    pub(crate) async fn publish_apart_wait(&self, keeper: &Keeper, publisher: Publisher, publish: Published<'_>) {
        while self.publish_apart(keeper, publisher, publish).is_err() {
            self.room(publish).await;
        }
    }

    /// What may not be left out needs room.
    fn check_room(&self, publish: Published<'_>) -> Result<()> {
        let (item, mode) = publish.copy;
        if !mode.is_all() || self.hub.has_room(self.space, item.wire_len()) {
            return Ok(());
        }
        Err(self.full())
    }

    async fn room(&self, publish: Published<'_>) {
        let (item, mode) = publish.copy;
        if mode.is_all() {
            self.hub.room(self.space, item.wire_len()).await;
        }
    }

    /// Hands a publish to the hub: with its offset for those who take one, as it is for the others. The client in
    /// JavaScript takes the last argument of any event for an offset when it is text, so one that has none ends in something
    /// else. Called with the journal's state locked.
    fn deliver(&self, publisher: Publisher, publish: Published<'_>, offset: Option<&Offset>) {
        let Published { selection, series, copy } = publish;
        series.publishes.inc();
        let send = |selection: &Selection, copy: &(Item, Mode)| {
            self.hub.publish_at_any_rate(Order { publisher, space: self.space, selection, copy, series });
        };
        let (takers, others) = if self.recovering().is_some() { self.hub.kinds(self.space) } else { (0, 1) };
        let ending = match offset {
            _ if takers == 0 => return send(selection, copy),
            Some(offset) => format!("\"{offset}\""),
            None if copy.0.ends_in_text() => "null".to_owned(),
            None => return send(selection, copy),
        };
        let ended = (copy.0.with_last(ending.as_bytes()), copy.1);
        if others == 0 {
            return send(selection, &ended);
        }
        send(&selection.of_kind(true), &ended);
        send(&selection.of_kind(false), copy);
    }
}

impl Published<'_> {
    fn outgoing(self, keeper: &Keeper, record: Bytes, room: OwnedSemaphorePermit) -> Outgoing {
        let Self { selection, series, copy } = self;
        let (selection, series, copy) = (selection.clone(), Arc::clone(series), copy.clone());
        Outgoing { record, selection, series, copy, _room: room, lost: Some(keeper.counts.lost.clone()) }
    }
}

fn going_away() -> Error {
    Error::unavailable("the server is going away")
}

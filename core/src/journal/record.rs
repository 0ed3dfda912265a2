//! What a journal keeps of a publish: to whom it went, and the event, as nodes tell it to each other.

use std::sync::Arc;

use bytes::Bytes;

use super::{Entry, Keeper};
use crate::cluster::{event, put_together, take_apart};
use crate::error::{Error, Result};
use crate::hub::Selection;
use crate::packet::{Item, split_event};
use crate::payload::{Arguments, Decode, Payload};
use crate::sink::Mode;

/// A publish that was read from a journal.
pub(crate) struct Record {
    pub(crate) selection: Selection,
    pub(crate) mode: Mode,
    pub(crate) event: String,
    pub(crate) item: Item,
}

/// What is appended for a publish.
///
/// # Errors
/// `too_large` when it has more, or is named longer, than other nodes take.
pub(super) fn record(keeper: &Keeper, selection: &Selection, (item, mode): &(Item, Mode)) -> Result<Bytes> {
    let record = put_together(&keeper.name, selection, *mode, &item.json(), item.attachments());
    let too_large = || Error::too_large("a publish is too large, or named too long, for the journal");
    Ok(keeper.seal.close(&keeper.name, record.ok_or_else(too_large)?))
}

impl Record {
    /// Reads an entry of a journal.
    ///
    /// # Errors
    /// `bad_payload` or `forbidden` when somebody else has written it.
    pub(crate) fn read(keeper: &Keeper, entry: &Entry) -> Result<Self> {
        Self::of(&keeper.name, &keeper.seal.open(&keeper.name, entry.record.clone())?)
    }

    fn of(namespace: &Arc<str>, record: &Bytes) -> Result<Self> {
        let (header, rest) = take_apart(record)?;
        let known = event(&header, namespace, rest)?.filter(|_| *header.namespace == **namespace);
        let (item, event) = known.ok_or_else(|| Error::bad_payload("not a publish of this namespace"))?;
        Ok(Self { selection: header.selection.into_owned(), mode: header.mode, event, item })
    }

    /// Whether it was for a client of this id in these rooms.
    pub(crate) fn is_for(&self, id: &str, rooms: &[impl AsRef<str>]) -> bool {
        let Selection { to, clients, except, .. } = &self.selection;
        let in_room = |name: &String| rooms.iter().any(|room| room.as_ref() == name);
        let named = to.iter().any(in_room) || clients.iter().any(|client| client == id);
        let everybody = to.is_empty() && clients.is_empty();
        (everybody || named) && !except.iter().any(|name| in_room(name) || name == id)
    }

    /// Its arguments.
    ///
    /// # Errors
    /// Never for what was published.
    pub(super) fn payload(&self) -> Result<Payload> {
        let json = self.item.json();
        let args = split_event(&json)?.args;
        Payload::decode(&Arguments::new(json, args, self.item.attachments().to_vec()))
    }

    /// Whether it was for everybody.
    pub(crate) fn is_for_all(&self) -> bool {
        let Selection { to, clients, except, .. } = &self.selection;
        to.is_empty() && clients.is_empty() && except.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::payload::encode_event;

    fn read(selection: &Selection, namespace: &str) -> Result<Record> {
        let item = encode_event(&"/n".into(), "e", &"x").unwrap();
        let record = put_together("/n", selection, Mode::Latest, &item.json(), item.attachments()).unwrap();
        Record::of(&namespace.into(), &record)
    }

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn a_publish_is_read_as_it_was_and_only_where_it_belongs() {
        let record = read(&Selection::default(), "/n").unwrap();
        assert_eq!((record.mode, &*record.event, record.payload().unwrap().json()), (Mode::Latest, "e", "\"x\""));
        assert!(read(&Selection::default(), "/other").is_err());
    }

    /// Rooms, ids and exceptions say who would have got it.
    #[test]
    fn whom_a_publish_was_for_is_known_later() {
        let record = |to: &[&str], clients: &[&str], except: &[&str]| {
            let (to, clients, except) = (names(to), names(clients), names(except));
            read(&Selection { to, clients, except, offsets: None }, "/n").unwrap()
        };
        for (to, clients, except, is_for) in [
            (&[][..], &[][..], &[][..], true),
            (&["r"], &[], &[], true),
            (&["s"], &[], &[], false),
            (&["s", "r"], &[], &[], true),
            (&[], &["me"], &[], true),
            (&["me"], &[], &[], false),
            (&[], &["r"], &[], false),
            (&["s"], &["me"], &[], true),
            (&[], &[], &["r"], false),
            (&[], &[], &["me"], false),
            (&["r"], &[], &["s"], true),
            (&["r"], &["me"], &["r"], false),
        ] {
            let record = record(to, clients, except);
            assert_eq!(record.is_for("me", &["r"]), is_for, "to {to:?} {clients:?} except {except:?}");
            assert_eq!(record.is_for_all(), [to, clients, except].iter().all(|names| names.is_empty()));
        }
    }
}

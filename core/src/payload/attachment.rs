//! Binary data as a field: in JSON it is a placeholder, the bytes travel beside it.

use std::borrow::Cow;
use std::cell::RefCell;
use std::ops::Deref;

use bytes::Bytes;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Error as _;
use serde::ser::{Error as _, SerializeStruct};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The `format` of binary data in a schema.
pub(crate) const BINARY: &str = "binary";

/// Binary data in a request, a reply or an event: a `Buffer`, an `ArrayBuffer` or a `Blob` at the client, whatever
/// field it stands in. It shares the bytes with the packet and its other receivers.
///
/// It is read from what a client sent and written into what a client is sent; by itself it has no JSON.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Attachment(pub Bytes);

impl Deref for Attachment {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl<T: Into<Bytes>> From<T> for Attachment {
    fn from(data: T) -> Self {
        Self(data.into())
    }
}

impl JsonSchema for Attachment {
    fn schema_name() -> Cow<'static, str> {
        "Attachment".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "format": BINARY, "description": "Binary data: a Buffer, an ArrayBuffer or a Blob." })
    }

    fn inline_schema() -> bool {
        true
    }
}

/// What an attachment is in the JSON of a packet.
#[derive(Deserialize)]
struct Placeholder {
    _placeholder: bool,
    num: usize,
}

thread_local! {
    /// The attachments of the packet that this thread reads or writes now.
    static PACKET: RefCell<Option<Packet>> = const { RefCell::new(None) };
}

/// One packet's attachments.
struct Packet {
    attachments: Vec<Bytes>,
    /// Whether any was read.
    taken: bool,
    /// Attachments that stand in the packet already when this one is written.
    before: usize,
}

/// Runs `work` with `packet` as the thread's own, and returns what has become of it. Nested calls and panics leave the
/// outer one as it was.
fn with<T>(packet: Packet, work: impl FnOnce() -> T) -> (T, Packet) {
    struct Restore(Option<Packet>);
    impl Drop for Restore {
        fn drop(&mut self) {
            PACKET.set(self.0.take());
        }
    }
    let outer = PACKET.replace(Some(packet));
    let mut restore = Restore(outer);
    let done = work();
    let mine = PACKET.replace(restore.0.take());
    std::mem::forget(restore);
    (done, mine.unwrap_or(Packet { attachments: Vec::new(), taken: false, before: 0 }))
}

/// Reads something with these attachments at hand; says whether any of them was read.
pub(super) fn reading<T>(attachments: &[Bytes], read: impl FnOnce() -> T) -> (T, bool) {
    let packet = Packet { attachments: attachments.to_vec(), taken: false, before: 0 };
    let (done, packet) = with(packet, read);
    (done, packet.taken)
}

/// Writes something behind `before` attachments; returns those it had.
pub(super) fn writing<T>(before: usize, write: impl FnOnce() -> T) -> (T, Vec<Bytes>) {
    let (done, packet) = with(Packet { attachments: Vec::new(), taken: false, before }, write);
    (done, packet.attachments)
}

impl<'de> Deserialize<'de> for Attachment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let placeholder = Placeholder::deserialize(deserializer).ok().filter(|found| found._placeholder);
        let found = PACKET.with_borrow_mut(|packet| {
            let packet = packet.as_mut()?;
            let data = packet.attachments.get(placeholder?.num).cloned()?;
            packet.taken = true;
            Some(data)
        });
        found.map(Self).ok_or_else(|| D::Error::custom("expected binary data"))
    }
}

impl Serialize for Attachment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let num = PACKET.with_borrow_mut(|packet| {
            let packet = packet.as_mut()?;
            packet.attachments.push(self.0.clone());
            Some(packet.before + packet.attachments.len() - 1)
        });
        let num = num.ok_or_else(|| S::Error::custom("an attachment can be sent to a client, and nowhere else"))?;
        let mut placeholder = serializer.serialize_struct("Placeholder", 2)?;
        placeholder.serialize_field("_placeholder", &true)?;
        placeholder.serialize_field("num", &num)?;
        placeholder.end()
    }
}

//! What Carillons say to each other: a line of JSON (to whom), the event's JSON array, then the attachments.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use bytestring::ByteString;
use serde::{Deserialize, Serialize};

use super::NAME_MAX;
use super::control::understood;
use super::envelope::Envelopes;
use crate::error::{Error, Result};
use crate::hub::Selection;
use crate::packet::Item;
use crate::recovery::Takeover;
use crate::sink::Mode;

/// Bytes of a message without its envelope, and of its first line; larger ones are neither sent nor taken.
const MESSAGE_MAX: usize = 32 << 20;
const HEADER_MAX: usize = 256 << 10;
/// Attachments of one event.
const ATTACHMENTS_MAX: usize = 1024;

/// The first line of a message.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Header<'a> {
    pub(crate) namespace: Cow<'a, str>,
    /// To whom.
    #[serde(rename = "for", default, skip_serializing_if = "is_everybody")]
    pub(crate) selection: Cow<'a, Selection>,
    #[serde(default)]
    pub(crate) mode: Mode,
    /// Bytes of the JSON array; 0 asks for a DISCONNECT of the clients addressed.
    pub(super) json: usize,
    /// Bytes of each attachment.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) attachments: Vec<usize>,
    /// In place of a DISCONNECT: the client addressed has come back, over another connection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) over: Option<Takeover>,
}

impl Header<'_> {
    /// Names and sizes are such as a node may send; `rest` bytes follow the line.
    pub(super) fn is_sound(&self, rest: usize) -> bool {
        let size = self.attachments.iter().try_fold(self.json, |sum, size| sum.checked_add(*size));
        (1..=NAME_MAX).contains(&self.namespace.len())
            && self.namespace.starts_with('/')
            && self.selection.is_sound()
            && self.attachments.len() <= ATTACHMENTS_MAX
            && (self.json > 0 || self.attachments.is_empty())
            && size == Some(rest)
    }
}

fn is_everybody(selection: &Selection) -> bool {
    *selection == Selection::default()
}

/// An event, or a DISCONNECT where `json` is empty, for other nodes; `None` when it is larger, or named longer, than they
/// take.
pub(crate) fn put_together(
    namespace: &str,
    selection: &Selection,
    mode: Mode,
    json: &str,
    attachments: &[Bytes],
) -> Option<Bytes> {
    let header = Header {
        namespace: namespace.into(),
        selection: Cow::Borrowed(selection),
        mode,
        json: json.len(),
        attachments: attachments.iter().map(Bytes::len).collect(),
        over: None,
    };
    write(&header, json, attachments)
}

/// That a client of these has come back.
pub(super) fn put_over(namespace: &str, selection: &Selection, over: Takeover) -> Option<Bytes> {
    let (namespace, selection) = (namespace.into(), Cow::Borrowed(selection));
    let header = Header { namespace, selection, mode: Mode::All, json: 0, attachments: Vec::new(), over: Some(over) };
    write(&header, "", &[])
}

fn write(header: &Header<'_>, json: &str, attachments: &[Bytes]) -> Option<Bytes> {
    let rest = json.len() + attachments.iter().map(Bytes::len).sum::<usize>();
    let line = serde_json::to_vec(header).ok().filter(|line| line.len() <= HEADER_MAX && header.is_sound(rest));
    let mut message = line.filter(|line| line.len() + 1 + rest <= MESSAGE_MAX)?;
    message.push(b'\n');
    message.extend_from_slice(json.as_bytes());
    attachments.iter().for_each(|attachment| message.extend_from_slice(attachment));
    Some(message.into())
}

/// To whom, and the bytes of the event: checked before anything is made of them.
pub(crate) fn take_apart(message: &Bytes) -> Result<(Header<'static>, Bytes)> {
    let malformed = || Error::bad_payload("not a message of a Carillon");
    if message.len() > MESSAGE_MAX {
        return Err(malformed());
    }
    let start = &message[..message.len().min(HEADER_MAX + 1)];
    let line = memchr::memchr(b'\n', start).ok_or_else(malformed)?;
    let header: Header<'_> = serde_json::from_slice(&message[..line])?;
    let rest = message.slice(line + 1..);
    if header.is_sound(rest.len()) { Ok((header, rest)) } else { Err(malformed()) }
}

/// The event as a packet for clients of `namespace`, and its name; `None` for a DISCONNECT.
pub(crate) fn event(header: &Header<'_>, namespace: &Arc<str>, mut rest: Bytes) -> Result<Option<(Item, String)>> {
    if header.json == 0 {
        return Ok(None);
    }
    let json = ByteString::try_from(rest.split_to(header.json))?;
    let attachments: Vec<Bytes> = header.attachments.iter().map(|length| rest.split_to(*length)).collect();
    let (item, name) = Item::forward(namespace, &json, &attachments)?;
    if name.len() > NAME_MAX {
        return Err(Error::bad_payload("the name of the event is too long"));
    }
    Ok(Some((item, name)))
}

/// Whether this is a message of a Carillon, sound and whole, its event included: what fuzzing asks.
#[doc(hidden)]
#[must_use]
pub fn is_understood(message: &Bytes) -> bool {
    let Ok(opened) = Envelopes::new("", None).open(message) else { return false };
    let taken = take_apart(&message.slice(opened.at..));
    let text = &message[opened.at..];
    taken.and_then(|(header, rest)| event(&header, &(*header.namespace).into(), rest)).is_ok()
        || understood(text).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hub::MAX_ROOM_NAME;
    use crate::payload::{Payload, encode_event};

    fn read(header: &Header<'_>, rest: Bytes) -> Result<Option<(Item, String)>> {
        event(header, &(*header.namespace).into(), rest)
    }

    #[test]
    fn a_publish_survives_the_way_to_another_node() {
        let own = |name: &str| vec![name.to_owned()];
        let selection = Selection { to: own("r\n\""), clients: own("c"), except: own("x"), offsets: None };
        let payload = Payload::binary(Bytes::from_static(b"\n\0"));
        let item = encode_event(&Arc::from("/n"), "e", &payload).unwrap();
        let message = put_together("/n", &selection, Mode::All, &item.json(), item.attachments()).unwrap();
        let (header, rest) = take_apart(&message).unwrap();
        let (arrived, name) = read(&header, rest).unwrap().unwrap();
        assert_eq!(*header.selection, selection);
        assert_eq!((name.as_str(), arrived.frames()), ("e", item.frames()));
        let (header, rest) = take_apart(&put_together("/n", &selection, Mode::All, "", &[]).unwrap()).unwrap();
        assert!(read(&header, rest).unwrap().is_none());
    }

    #[test]
    fn nonsense_on_the_channel_is_refused() {
        let header = r#"{"namespace":"/","json":9}"#;
        for text in ["", "x", "\n", "{}\n[]", &format!("{header}\n[\"e\"]"), &format!("{header}\n[\"e\",nul]")] {
            let taken = take_apart(&Bytes::copy_from_slice(text.as_bytes()));
            assert!(taken.and_then(|(header, rest)| read(&header, rest)).is_err(), "{text}");
        }
    }

    /// A5: sizes that do not add up, names of any length and lines without an end are refused for their looks.
    #[test]
    fn sizes_and_names_are_checked_before_anything_is_made_of_a_message() {
        let long = "n".repeat(129);
        let huge = usize::MAX;
        let many = vec!["0"; ATTACHMENTS_MAX + 1].join(",");
        for (header, rest) in [
            (format!(r#"{{"namespace":"/","json":{huge}}}"#), "[]"),
            (format!(r#"{{"namespace":"/","json":2,"attachments":[{huge},1]}}"#), "[]"),
            (format!(r#"{{"namespace":"/","json":1,"attachments":[{huge},1]}}"#), "["),
            (r#"{"namespace":"/","json":2}"#.to_owned(), "[]x"),
            (r#"{"namespace":"/","json":0,"attachments":[2]}"#.to_owned(), "[]"),
            (format!(r#"{{"namespace":"/","json":2,"attachments":[{many}]}}"#), "[]"),
            (format!(r#"{{"namespace":"/","json":2,"for":{{"to":["{long}"]}}}}"#), "[]"),
            (r#"{"namespace":"/","json":2,"for":{"clients":[""]}}"#.to_owned(), "[]"),
            (r#"{"namespace":"chat","json":2}"#.to_owned(), "[]"),
            (format!(r#"{{"namespace":"/{}","json":2}}"#, "n".repeat(NAME_MAX)), "[]"),
            (format!(r#"{{"namespace":"/","json":2{}}}"#, " ".repeat(HEADER_MAX)), "[]"),
        ] {
            let message = Bytes::from(format!("{header}\n{rest}"));
            assert!(take_apart(&message).is_err(), "{}", &header[..header.len().min(120)]);
        }
        assert!(take_apart(&Bytes::from(vec![b'\n'; MESSAGE_MAX + 1])).is_err());
        let name = "e".repeat(NAME_MAX + 1);
        let json = format!("[\"{name}\"]");
        let message = Bytes::from(format!("{{\"namespace\":\"/\",\"json\":{}}}\n{json}", json.len()));
        let (header, rest) = take_apart(&message).unwrap();
        assert!(read(&header, rest).is_err());
    }

    /// What other nodes would not take is not sent.
    #[test]
    fn what_nobody_would_take_is_not_put_together() {
        let selection = Selection { to: vec!["n".repeat(MAX_ROOM_NAME + 1)], ..Selection::default() };
        assert!(put_together("/n", &selection, Mode::All, "", &[]).is_none());
    }
}

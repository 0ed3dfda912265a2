//! Events of other nodes: packets made of the JSON as it came, read once to see that it is sound.

use std::sync::Arc;

use bytes::Bytes;
use bytestring::ByteString;
use serde::de::IgnoredAny;

use super::{Item, ItemBuilder, split_event};
use crate::error::{Error, Result};

impl Item {
    /// The event `["name",arg..]` with these attachments, to the byte, and its name.
    ///
    /// # Errors
    /// `bad_payload` when it is not one JSON array that begins with a string.
    pub(crate) fn forward(namespace: &Arc<str>, json: &ByteString, attachments: &[Bytes]) -> Result<(Self, String)> {
        serde_json::from_str::<IgnoredAny>(json)
            .map_err(|error| Error::bad_payload(format!("malformed JSON: {error}")))?;
        let event = split_event(json)?;
        let inside = json.trim_ascii_end();
        let mut builder = ItemBuilder::open(namespace, b'2', None, attachments);
        builder.name_end = builder.json_at + event.name_end;
        // Its brackets are the builder's.
        builder.buffer.extend_from_slice(&inside.as_bytes()[1..inside.len() - 1]);
        Ok((builder.build(), event.name.into_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::payload::{Payload, encode_event};

    /// What one node encodes, another one makes the same packet of.
    #[test]
    fn a_forwarded_packet_is_the_packet_that_was_sent() {
        let namespace = Arc::from("/n");
        let binary = [Bytes::from_static(b"a\n"), Bytes::from_static(b"")];
        let placeholders = r#"{"_placeholder":true,"num":0},[1,{"_placeholder":true,"num":1}]"#;
        let payload = Payload::from_array(&format!("[{placeholders}]").into(), binary.to_vec()).unwrap();
        let sent = [
            encode_event(&namespace, "e", &Payload::empty()).unwrap(),
            encode_event(&namespace, "q\"é", &"x\u{2028}".repeat(100)).unwrap(),
            encode_event(&namespace, "binary", &payload).unwrap(),
        ];
        for item in sent {
            let (forwarded, name) = Item::forward(&namespace, &item.json(), item.attachments()).unwrap();
            assert_eq!((forwarded.frames(), forwarded.topic()), (item.frames(), item.topic()));
            assert_eq!((forwarded.packet(), forwarded.json()), (item.packet(), item.json()));
            assert!(["e", "q\"é", "binary"].contains(&&*name), "{name}");
        }
        let (odd, name) = Item::forward(&namespace, &"[ \"e\" , 1 ]\n".into(), &[]).unwrap();
        assert_eq!((&*odd.packet(), &*name), ("2/n,[ \"e\" , 1 ]", "e"));
    }

    #[test]
    fn what_is_no_event_is_not_forwarded() {
        for json in
            ["", "[]", "{}", "[1]", "[\"e\"", "[\"e\",]", "[\"e\",nul]", "[\"e\"][\"e\"]", "[\"e\"] x", " [\"e\"]"]
        {
            assert!(Item::forward(&Arc::from("/n"), &json.into(), &[]).is_err(), "{json}");
        }
    }
}

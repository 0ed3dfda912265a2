//! An event with one more argument: what some of its receivers get of it, and others do not.

use std::sync::Arc;

use bytes::{Buf, Bytes};

use super::{Encoded, FRONT, Item, put_header};

impl Item {
    /// Whether its last argument is text; so is the event's name, where there is none.
    #[must_use]
    pub fn ends_in_text(&self) -> bool {
        self.0.frames[0].ends_with(b"\"]")
    }

    /// The same event with one more argument at the end, which is JSON.
    #[must_use]
    pub fn with_last(&self, argument: &[u8]) -> Self {
        let Encoded { namespace, ack, frames, packet_at, json_at, name_end, attachments } = &*self.0;
        let packet = &frames[0][*packet_at..frames[0].len() - 1];
        let mut buffer = Vec::with_capacity(FRONT + packet.len() + argument.len() + 2);
        buffer.resize(FRONT - 1, 0);
        buffer.push(b'4');
        for part in [packet, b",", argument, b"]"] {
            buffer.extend_from_slice(part);
        }
        let start = put_header(&mut buffer);
        let mut text = Bytes::from(buffer);
        text.advance(start);
        // Everything stands as far from the packet's start as before.
        let (packet, at) = (FRONT - start, |before: usize| FRONT - start + (before - packet_at));
        Self(Arc::new(Encoded {
            namespace: Arc::clone(namespace),
            ack: *ack,
            packet_at: packet,
            json_at: at(*json_at),
            name_end: at(*name_end),
            frames: std::iter::once(text).chain(frames[1..].iter().cloned()).collect(),
            attachments: attachments.clone(),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::event;
    use super::*;

    /// Length and place of all parts are those of the longer packet, whatever header it needs.
    #[test]
    fn an_event_gets_one_more_argument() {
        for (size, ends_in_text) in [(0, false), (119, true), (70_000, true)] {
            let text = format!("\"{}\"", "x".repeat(size));
            let arguments: &[&str] = if ends_in_text { &[&text] } else { &["1"] };
            let attachments = [Bytes::from_static(b"x")];
            let item = event("/a", arguments, &attachments);
            assert_eq!(item.ends_in_text(), ends_in_text);
            let longer = event("/a", &[arguments[0], "\"e-1\""], &attachments);
            let more = item.with_last(b"\"e-1\"");
            assert_eq!(more.frames(), longer.frames());
            assert_eq!((more.json(), more.packet(), more.len()), (longer.json(), longer.packet(), longer.len()));
            assert_eq!((more.topic(), more.attachments()), (item.topic(), item.attachments()));
        }
        assert!(event("/", &[], &[]).ends_in_text(), "its name");
        assert_eq!(event("/", &[], &[]).with_last(b"null").packet(), "2[\"e\",null]");
    }
}

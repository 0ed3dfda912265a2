//! Socket.IO packets as clients send them: type, namespace, ack id, number of attachments, and the JSON left alone.

use serde::de::IgnoredAny;

use super::split_event;

/// A packet taken apart. Its JSON is valid, and of the kind that its type asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Received<'a> {
    /// What the client wants.
    pub kind: Kind,
    /// The namespace, `/` for the root.
    pub namespace: &'a str,
    /// The id of the ack an event asks for, or of the call an ack answers.
    pub id: Option<i64>,
    /// How many binary messages follow that belong to it.
    pub attachments: usize,
    /// The JSON text; empty when there is none.
    pub json: &'a str,
}

/// What a client may send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It asks to be let into the namespace; the JSON is its `auth`.
    Connect,
    /// It leaves the namespace.
    Disconnect,
    /// An event: `["name",args..]`.
    Event,
    /// The answer to a call: `[args..]`.
    Ack,
}

/// No packet: the client is not one of Socket.IO.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed;

/// Names that mean something to clients themselves: no event may have them.
const RESERVED: [&str; 6] =
    ["connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"];

impl<'a> Received<'a> {
    /// Takes the packet `text` apart, the Engine.IO type in front of it left out.
    ///
    /// # Errors
    /// When it is no packet, or one that only servers send.
    pub fn parse(text: &'a str) -> Result<Self, Malformed> {
        let kind = text.as_bytes().first().ok_or(Malformed)?;
        let (kind, binary) = match kind {
            b'0' => (Kind::Connect, false),
            b'1' => (Kind::Disconnect, false),
            b'2' => (Kind::Event, false),
            b'3' => (Kind::Ack, false),
            b'5' => (Kind::Event, true),
            b'6' => (Kind::Ack, true),
            _ => return Err(Malformed),
        };
        let mut rest = &text[1..];
        let mut attachments = 0;
        if binary {
            let (count, after) = number(rest);
            attachments = count.and_then(|count| usize::try_from(count).ok()).ok_or(Malformed)?;
            rest = after.strip_prefix('-').ok_or(Malformed)?;
        }
        let mut namespace = "/";
        if rest.starts_with('/') {
            (namespace, rest) = rest.split_once(',').unwrap_or((rest, ""));
        }
        // Only events and acks have ids; the `auth` of a CONNECT may be a number.
        let has_id = matches!(kind, Kind::Event | Kind::Ack) && rest.starts_with(|first: char| first.is_ascii_digit());
        let (id, json) = if has_id {
            let (id, after) = number(rest);
            (Some(id.ok_or(Malformed)?), after)
        } else {
            (None, rest)
        };
        let packet = Self { kind, namespace, id, attachments, json };
        if packet.is_valid() { Ok(packet) } else { Err(Malformed) }
    }

    fn is_valid(&self) -> bool {
        let json = || serde_json::from_str::<IgnoredAny>(self.json).is_ok();
        match self.kind {
            Kind::Connect => self.json.is_empty() || json(),
            Kind::Disconnect => self.json.is_empty(),
            Kind::Ack => self.id.is_some() && self.json.trim_ascii_start().starts_with('[') && json(),
            Kind::Event => json() && split_event(self.json).is_ok_and(|event| !RESERVED.contains(&&*event.name)),
        }
    }
}

/// The decimal number that `text` begins with, `None` when there is none or it is too large; and what follows it.
fn number(text: &str) -> (Option<i64>, &str) {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, rest) = text.split_at(digits);
    (number.parse().ok(), rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_are_taken_apart() {
        let packet = |kind, namespace, id, attachments, json| Received { kind, namespace, id, attachments, json };
        for (text, wanted) in [
            ("0", packet(Kind::Connect, "/", None, 0, "")),
            ("0/a,", packet(Kind::Connect, "/a", None, 0, "")),
            ("0/a", packet(Kind::Connect, "/a", None, 0, "")),
            ("07", packet(Kind::Connect, "/", None, 0, "7")),
            ("0/a,{\"b\":1}", packet(Kind::Connect, "/a", None, 0, "{\"b\":1}")),
            ("1/a,", packet(Kind::Disconnect, "/a", None, 0, "")),
            ("2[\"e\"]", packet(Kind::Event, "/", None, 0, "[\"e\"]")),
            ("2/a,12[\"\\u00e9\",1]", packet(Kind::Event, "/a", Some(12), 0, "[\"\\u00e9\",1]")),
            ("29223372036854775807[\"e\"]", packet(Kind::Event, "/", Some(i64::MAX), 0, "[\"e\"]")),
            ("52-/a,3[\"e\",{},{}]", packet(Kind::Event, "/a", Some(3), 2, "[\"e\",{},{}]")),
            ("30[]", packet(Kind::Ack, "/", Some(0), 0, "[]")),
            ("61-4[{}]", packet(Kind::Ack, "/", Some(4), 1, "[{}]")),
        ] {
            assert_eq!(Received::parse(text), Ok(wanted), "{text}");
        }
        let deep = format!("2[\"e\",{}{}]", "[".repeat(100_000), "]".repeat(100_000));
        assert!(Received::parse(&deep).is_ok(), "depth is the application's business");
    }

    #[test]
    fn what_is_no_packet_is_refused() {
        for text in [
            "",
            "9",
            "4{}",
            "é",
            "2",
            "2/a,",
            "2{}",
            "2[]",
            "2[1]",
            "2[\"e\"",
            "2[\"e\",x]",
            "2[\"e\"]x",
            "3[]",
            "3/a,[\"x\"]",
            "31{}",
            "5[\"e\"]",
            "5-[\"e\"]",
            "599999999999999999999-[\"e\"]",
            "29223372036854775808[\"e\"]",
            "0{",
            "1{}",
            "2[\"connect\"]",
            "2[\"disconnect\"]",
            "2[\"newListener\"]",
            "2[\"conn\\u0065ct\"]",
        ] {
            assert_eq!(Received::parse(text), Err(Malformed), "{text}");
        }
    }

    /// Whatever a client sends, nothing panics.
    #[test]
    fn random_packets_are_borne() {
        let mut random = fastrand::Rng::with_seed(11);
        let pieces = ["2", "5", "1-", "/a", ",", "[", "\"e\"", "]", "{", "}", "\\u", "é", "9", "", "3", ":", "\""];
        for _ in 0..100_000 {
            let text: String = (0..random.usize(..10)).filter_map(|_| random.choice(pieces)).collect();
            if let Ok(packet) = Received::parse(&text) {
                assert!(packet.json.is_empty() || serde_json::from_str::<IgnoredAny>(packet.json).is_ok());
            }
        }
    }
}

//! What a client says and what it is told, in the words of its server: Socket.IO's, or another's for those that have their own.

use carillon_core::packet::engine::{self, Kind};

use super::nats;

/// What a server speaks over its WebSockets.
#[derive(Debug, Clone)]
pub(crate) enum Dialect {
    /// Socket.IO: the words of one namespace and one event.
    SocketIo {
        /// `/bench,`, or nothing for the root namespace.
        namespace: String,
        /// What a message under test begins with.
        message: Vec<u8>,
        /// The same of other namespaces that clients are in as well.
        also: Vec<(String, Vec<u8>)>,
        /// What clients show at each CONNECT, as JSON; or nothing.
        auth: String,
    },
    /// NATS' own protocol: a stream of lines and payloads, however it is cut into frames.
    Nats {
        /// The subject of the messages under test.
        subject: String,
    },
    /// One message in each frame and nothing else, as from nchan.
    Plain,
}

/// What a server said.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Packet<'a> {
    /// The Engine.IO session is open.
    Open,
    /// To be answered with a pong.
    Ping,
    /// The namespace lets us in.
    Connected,
    /// The namespace refuses us, and why.
    Refused(&'a str),
    /// An event: `["name",args..]`.
    Event(&'a str),
    /// The answer to a call: `[args..]`.
    Ack(u64, &'a str),
    /// A message, where a frame may hold several: its payload.
    Message(&'a [u8]),
    /// The server took us out of the namespace.
    Disconnected,
    /// Something else.
    Other,
}

impl Dialect {
    /// Socket.IO's words for messages `event` in `namespace`.
    pub(crate) fn new(namespace: &str, event: &str) -> Self {
        let namespace = if namespace == "/" { String::new() } else { format!("{namespace},") };
        let message = format!("42{namespace}[\"{event}\"").into_bytes();
        Self::SocketIo { namespace, message, also: Vec::new(), auth: String::new() }
    }

    /// The same clients, which show this at each CONNECT, as JSON.
    pub(crate) fn with_auth(mut self, shown: &str) -> Self {
        if let Self::SocketIo { auth, .. } = &mut self {
            shown.clone_into(auth);
        }
        self
    }

    /// The same clients in another namespace too, where messages are called `event`.
    pub(crate) fn and(mut self, namespace: &str, event: &str) -> Self {
        if let (Self::SocketIo { also, .. }, Self::SocketIo { namespace, message, .. }) =
            (&mut self, Self::new(namespace, event))
        {
            also.push((namespace, message));
        }
        self
    }

    /// Whether this frame is one message that may be under test (its mark tells), and in which of the namespaces.
    #[inline]
    pub(crate) fn message(&self, text: &[u8]) -> Option<usize> {
        match self {
            Self::SocketIo { message, .. } if text.starts_with(message) => Some(0),
            Self::SocketIo { also, .. } => {
                also.iter().position(|(_, message)| text.starts_with(message)).map(|at| at + 1)
            }
            Self::Nats { .. } => None,
            Self::Plain => Some(0),
        }
    }

    /// Where a server of our own listens for WebSockets.
    pub(crate) fn path(&self) -> &'static str {
        match self {
            Self::SocketIo { .. } => "/socket.io/",
            Self::Nats { .. } => "/",
            Self::Plain => "/sub",
        }
    }

    /// Asks to be let into the namespace, or to be sent the messages under test.
    pub(crate) fn connect(&self) -> String {
        match self {
            Self::SocketIo { namespace, auth, .. } => format!("40{namespace}{auth}"),
            Self::Nats { subject } => nats::subscribe(subject),
            Self::Plain => String::new(),
        }
    }

    /// What asks for all of the namespaces.
    pub(crate) fn connects(&self) -> Vec<String> {
        let Self::SocketIo { also, auth, .. } = self else { return vec![self.connect()] };
        let also = also.iter().map(|(namespace, _)| format!("40{namespace}{auth}"));
        std::iter::once(self.connect()).chain(also).collect()
    }

    /// The answer to a ping.
    pub(crate) fn pong(&self) -> &'static str {
        match self {
            Self::SocketIo { .. } => "3",
            Self::Nats { .. } => nats::PONG,
            Self::Plain => "",
        }
    }

    /// An event with one argument, as JSON. Where there are no events, it is a message for everybody.
    pub(crate) fn event(&self, name: &str, argument: &str) -> String {
        match self {
            Self::SocketIo { namespace, .. } => format!("42{namespace}[\"{name}\",{argument}]"),
            Self::Nats { .. } => nats::publish(name, argument),
            Self::Plain => argument.to_owned(),
        }
    }

    /// The same, with an answer wanted; only Socket.IO gives one.
    pub(crate) fn call(&self, id: u64, name: &str, argument: &str) -> String {
        match self {
            Self::SocketIo { namespace, .. } => format!("42{namespace}{id}[\"{name}\",{argument}]"),
            Self::Nats { .. } | Self::Plain => self.event(name, argument),
        }
    }

    /// Reads a whole text frame that is no message under test. NATS is read by [`nats::next`] instead.
    pub(crate) fn parse<'a>(&self, text: &'a [u8]) -> Packet<'a> {
        let Self::SocketIo { namespace, also, .. } = self else { return Packet::Other };
        let Ok(text) = std::str::from_utf8(text) else { return Packet::Other };
        let message = match engine::parse(text) {
            Some((Kind::Open, _)) => return Packet::Open,
            Some((Kind::Ping, _)) => return Packet::Ping,
            Some((Kind::Message, message)) => message,
            _ => return Packet::Other,
        };
        let Some((kind, rest)) = message.split_at_checked(1) else { return Packet::Other };
        if also.iter().any(|(other, _)| rest.starts_with(other)) {
            return match kind {
                "0" => Packet::Connected,
                "1" => Packet::Disconnected,
                "4" => Packet::Refused(rest),
                _ => Packet::Other,
            };
        }
        rest.strip_prefix(&**namespace).map_or(Packet::Other, |rest| Self::socket_io(kind, rest))
    }

    fn socket_io<'a>(kind: &str, rest: &'a str) -> Packet<'a> {
        match kind {
            "0" => Packet::Connected,
            "1" => Packet::Disconnected,
            "2" => Packet::Event(rest),
            "3" => {
                let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
                rest[..digits].parse().map_or(Packet::Other, |id| Packet::Ack(id, &rest[digits..]))
            }
            "4" => Packet::Refused(rest),
            _ => Packet::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_packet() {
        let bench = Dialect::new("/bench", "tick");
        assert_eq!(bench.parse(b"0{\"sid\":\"x\"}"), Packet::Open);
        assert_eq!(bench.parse(b"2"), Packet::Ping);
        assert_eq!(bench.parse(b"40/bench,{\"sid\":\"x\"}"), Packet::Connected);
        assert_eq!(bench.parse(b"40{\"sid\":\"x\"}"), Packet::Other, "of another namespace");
        assert_eq!(bench.parse(b"41/bench,"), Packet::Disconnected);
        assert_eq!(bench.parse(b"42/bench,[\"done\",1]"), Packet::Event("[\"done\",1]"));
        assert_eq!(bench.parse(b"43/bench,17[1]"), Packet::Ack(17, "[1]"));
        assert_eq!(bench.parse(b"44/bench,{\"message\":\"no\"}"), Packet::Refused("{\"message\":\"no\"}"));
        for other in [&b""[..], b"4", b"6", b"3probe", b"\xff\xfe", b"43/bench,x", b"48/bench,"] {
            assert_eq!(bench.parse(other), Packet::Other);
        }
    }

    #[test]
    fn the_root_namespace_has_no_name() {
        let root = Dialect::new("/", "tick");
        assert_eq!((root.connect().as_str(), root.event("e", "1").as_str()), ("40", "42[\"e\",1]"));
        assert_eq!(root.parse(b"40{\"sid\":\"x\"}"), Packet::Connected);
        assert_eq!((root.message(b"42[\"tick\",{}]"), root.message(b"42[\"tock\",{}]")), (Some(0), None));
        let bench = Dialect::new("/bench", "tick");
        assert_eq!(bench.connect(), "40/bench,");
        assert_eq!(bench.call(3, "echo", "{}"), "42/bench,3[\"echo\",{}]");
    }

    /// A client of two namespaces asks for both, and tells their messages apart.
    #[test]
    fn more_than_one_namespace() {
        let both = Dialect::new("/", "a").and("/monitoring", "b");
        assert_eq!(both.connects(), ["40", "40/monitoring,"]);
        assert_eq!(both.parse(b"40/monitoring,{}"), Packet::Connected);
        assert_eq!(both.parse(b"42/monitoring,[\"c\"]"), Packet::Other);
        assert_eq!(both.message(b"42/monitoring,[\"b\",1]"), Some(1));
        assert_eq!(both.message(b"42/monitoring,[\"a\",1]"), None);
    }

    /// Frames with nothing but a message need no words at all.
    #[test]
    fn plain_frames() {
        assert_eq!(Dialect::Plain.path(), "/sub");
        assert_eq!(Dialect::Plain.message(b"{}"), Some(0));
        assert_eq!(Dialect::Plain.event("tick", "{}"), "{}");
        assert_eq!(Dialect::Plain.parse(b"2"), Packet::Other);
    }
}

//! The request that opened a session, as far as anybody has to know it.

use std::fmt;
use std::net::SocketAddr;
use std::sync::OnceLock;

use bytestring::ByteString;

use crate::limits::Slot;

/// Headers a plugin may look at, beside all that begin with `x-forwarded-`.
const HEADERS: [&str; 5] = ["authorization", "cookie", "origin", "user-agent", "x-api-key"];

/// The request that opened a session, as far as plugins may see it. Shared by all namespaces of the session.
pub struct Handshake {
    pub(super) address: SocketAddr,
    pub(super) secure: bool,
    pub(super) path: ByteString,
    pub(super) query: ByteString,
    pub(super) headers: Box<[(ByteString, ByteString)]>,
    /// It offers to compress what it says over its WebSocket.
    deflates: bool,
    /// What the session's clients have sent lately, once it has any.
    pub(super) meter: OnceLock<Slot>,
}

impl Handshake {
    /// A handshake from `address`, over TLS or not, with its query string.
    #[must_use]
    pub fn new(address: SocketAddr, secure: bool, query: impl Into<ByteString>) -> Self {
        let (path, query) = (ByteString::default(), query.into());
        Self { address, secure, path, query, headers: Box::default(), deflates: false, meter: OnceLock::new() }
    }

    /// Sets the path of the URL, as the client wrote it.
    #[must_use]
    pub fn with_path(mut self, path: impl Into<ByteString>) -> Self {
        self.path = path.into();
        self
    }

    /// Takes those of the headers that plugins may see. Names are in lower case.
    #[must_use]
    pub fn with_headers<'a>(mut self, headers: impl Iterator<Item = (&'a str, &'a str)>) -> Self {
        let deflates = &mut self.deflates;
        let kept = headers.filter(|(name, value)| {
            *deflates |= *name == "sec-websocket-extensions" && value.contains("permessage-deflate");
            HEADERS.contains(name) || name.starts_with("x-forwarded-")
        });
        self.headers = kept.map(|(name, value)| (name.into(), value.into())).collect();
        self
    }

    /// Whether it was the stock client in JavaScript that sent it, in a browser or in Node.js, as far as that can be told:
    /// it writes the query in an order of its own, and what sends it there has its own `User-Agent`, or none over a
    /// WebSocket that may be compressed. What looks otherwise is no such client here.
    pub(super) fn is_stock_javascript(&self) -> bool {
        let agent = self.headers.iter().find(|(name, _)| name == "user-agent").map(|(_, value)| &**value);
        let sender = match agent {
            Some(agent) => agent.starts_with("Mozilla/") || agent == "node-XMLHttpRequest" || agent == "node",
            None => self.deflates,
        };
        sender && self.query.contains("EIO=4&transport=")
    }

    /// Where the client is.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Bytes that are kept for as long as the session lasts.
    #[must_use]
    pub fn len(&self) -> usize {
        self.path.len()
            + self.query.len()
            + self.headers.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>()
    }

    /// Whether nothing is kept.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Without what may be a secret.
impl fmt::Debug for Handshake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.headers.iter().map(|(name, _)| &**name).collect();
        let Self { address, secure, .. } = self;
        f.debug_struct("Handshake").field("address", address).field("secure", secure).field("headers", &names).finish()
    }
}

//! Where a server is and how it is spoken to.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, ToSocketAddrs};
use std::sync::Arc;

use rustls::ClientConfig;

use super::packet::Dialect;
use crate::Result;

/// Connections from one source address: an address has 28,000 ports to give, and some are taken.
const PER_SOURCE: usize = 25_000;
/// The key every load connection sends, and the answer RFC 6455 gives for it.
pub(crate) const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
/// See [`KEY`].
pub(crate) const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// A server.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    pub(crate) address: SocketAddr,
    host: String,
    path: String,
    pub(crate) dialect: Dialect,
    /// Whether all clients but the first one poll.
    pub(crate) polls: bool,
    /// Whom clients believe, where everything is encrypted.
    pub(crate) tls: Option<Arc<ClientConfig>>,
}

impl Target {
    /// A server of our own on loopback.
    pub(crate) fn local(address: SocketAddr, dialect: Dialect) -> Self {
        Self { address, host: address.to_string(), path: dialect.path().to_owned(), dialect, polls: false, tls: None }
    }

    /// The same, encrypted where clients are told whom to believe.
    pub(crate) fn over(self, tls: Option<Arc<ClientConfig>>) -> Self {
        Self { tls, ..self }
    }

    /// The server at `url`: `http://host:port`, or `ws://`, with a path when it is not `/socket.io/`.
    pub(crate) fn parse(url: &str, dialect: Dialect) -> Result<Self> {
        let Some(rest) = url.strip_prefix("http://").or_else(|| url.strip_prefix("ws://")) else {
            return Err(format!("`{url}`: a target is http://HOST:PORT (TLS is not spoken)").into());
        };
        let (host, path) =
            rest.split_once('/').map_or((rest, String::new()), |(host, path)| (host, format!("/{path}")));
        let path = if matches!(&*path, "" | "/") { "/socket.io/".to_owned() } else { path };
        let with_port = if host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok()) {
            host.to_owned()
        } else {
            format!("{host}:80")
        };
        let address = with_port.to_socket_addrs().map_err(|error| format!("`{url}`: {error}"))?.next();
        let address = address.ok_or_else(|| format!("`{url}`: the host has no address"))?;
        Ok(Self { address, host: host.to_owned(), path, dialect, polls: false, tls: None })
    }

    /// The request that opens the WebSocket of client `index`; the server may read the index from the query.
    pub(crate) fn handshake(&self, index: usize) -> String {
        let engine = if matches!(self.dialect, Dialect::SocketIo { .. }) { "EIO=4&transport=websocket&" } else { "" };
        format!(
            "GET {}?{engine}client={index} HTTP/1.1\r\nHost: {}\r\nConnection: Upgrade\r\n\
             Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n\r\n",
            self.path, self.host
        )
    }

    /// The path with which client `index` polls, up to the session, and the host.
    pub(super) fn polling(&self, index: usize) -> (String, String) {
        (format!("{}?EIO=4&transport=polling&client={index}", self.path), self.host.clone())
    }

    /// The address client `index` connects from, where it must be chosen: loopback has many to offer.
    pub(crate) fn source(&self, index: usize) -> Option<SocketAddr> {
        let local = matches!(self.address.ip(), IpAddr::V4(ip) if ip.is_loopback());
        let nth = index / PER_SOURCE;
        let last = u8::try_from(nth + 1).ok()?;
        (local && nth > 0).then(|| (Ipv4Addr::new(127, 0, 0, last), 0).into())
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}{}", self.host, self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(url: &str) -> Result<Target> {
        Target::parse(url, Dialect::new("/", "tick"))
    }

    #[test]
    fn urls() {
        for (url, address, shown) in [
            ("http://127.0.0.1:8085", "127.0.0.1:8085", "http://127.0.0.1:8085/socket.io/"),
            ("ws://127.0.0.1:8085/", "127.0.0.1:8085", "http://127.0.0.1:8085/socket.io/"),
            ("http://127.0.0.1/chat/", "127.0.0.1:80", "http://127.0.0.1/chat/"),
            ("http://[::1]:9", "[::1]:9", "http://[::1]:9/socket.io/"),
        ] {
            let target = parse(url).unwrap();
            assert_eq!((target.address.to_string(), target.to_string()), (address.to_owned(), shown.to_owned()));
        }
        for wrong in ["127.0.0.1:8085", "https://127.0.0.1", "http://no such host", ""] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }

    /// More clients than one address has ports come from several.
    #[test]
    fn sources() {
        let target = parse("http://127.0.0.1:8085").unwrap();
        assert_eq!(target.source(24_999), None);
        assert_eq!(target.source(25_000), Some(([127, 0, 0, 2], 0).into()));
        assert_eq!(target.source(60_000), Some(([127, 0, 0, 3], 0).into()));
        assert!(target.handshake(7).contains("client=7 HTTP/1.1\r\nHost: 127.0.0.1:8085\r\n"));
    }
}

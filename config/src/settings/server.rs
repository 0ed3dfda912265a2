//! `[server]`: where the server listens, whom it lets in, and what one client may ask of it.
use crate::{ListenAddress, Network, Problems, TlsSettings};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::net::{Ipv4Addr, SocketAddr};

/// Where the server listens, whom it lets in, and what one client may ask of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ServerSettings {
    /// The address and port to listen on, or a name of this machine and a port: `localhost:8085`. `0.0.0.0:8085`
    /// accepts clients from other machines; port 0 takes any free port.
    pub listen: ListenAddress,
    /// Threads that carry connections; 0 is one for each core.
    #[schemars(range(max = 1024))]
    pub workers: usize,
    /// The web origins whose pages may connect, as `https://example.org` or `http://localhost:3000`. Empty lets in only
    /// pages of the same host; `["*"]` lets in all. Clients that are not browsers send no origin and are let in.
    pub origins: Vec<String>,
    /// Which implementation of Engine.IO and Socket.IO serves the clients.
    pub engine: EngineName,
    /// The names this server may be called by, as `board.example.org`. Empty allows every name, unless `listen` is a
    /// loopback address: then only local names (`localhost`) and addresses are, which keeps pages of other sites out
    /// that point a name of theirs at this machine. Addresses and local names are always allowed.
    pub hosts: Vec<String>,
    /// The reverse proxies that are trusted to say where a request comes from, as addresses or networks (`127.0.0.1`,
    /// `10.0.0.0/8`). Only from these are `X-Forwarded-For` and `X-Forwarded-Proto` taken: limits for each address count
    /// the client's then, plugins see it, and origins are compared with their scheme.
    pub trusted_proxies: Vec<String>,
    /// Where Socket.IO clients find the server: the option `path` of every client. The pages look at the default.
    #[schemars(length(min = 2, max = 200))]
    pub path: String,
    /// The transports offered to clients.
    #[schemars(length(min = 1))]
    pub transports: Vec<TransportName>,
    /// The largest message a client may send, in bytes, on either transport.
    #[schemars(range(min = 1024, max = 104_857_600))]
    pub max_message_bytes: usize,
    /// How often a client is pinged, in milliseconds.
    #[schemars(range(min = 10, max = 600_000))]
    pub ping_interval_ms: u64,
    /// How long a client may take to answer a ping, in milliseconds, before its connection is closed.
    #[schemars(range(min = 10, max = 599_999))]
    pub ping_timeout_ms: u64,
    /// How long a new connection may take to join its first namespace, in milliseconds.
    #[schemars(range(min = 1, max = 600_000))]
    pub connect_timeout_ms: u64,
    /// How many connections are held at once. Further ones are answered 503 and closed; under TLS they
    /// are closed without a word, and so are those of one address that are too many.
    #[schemars(range(min = 1, max = 10_000_000))]
    pub max_connections: usize,
    /// How many connections one address may hold; an IPv6 address counts with its /64. Further ones are answered 429 and
    /// closed. 0 is 1,000, but half of `max_connections` for this machine's own addresses, which may be those of a proxy
    /// that speaks for everybody. Trusted proxies are not counted.
    #[schemars(range(max = 10_000_000))]
    pub max_connections_per_ip: usize,
    /// How many sessions one address may have, over either transport. Further ones are answered 429. 0 is as many as
    /// for `max_connections_per_ip`.
    #[schemars(range(max = 10_000_000))]
    pub max_sessions_per_ip: usize,
    /// How many new sessions one address may open a second once it has opened as many as it may have; more are
    /// answered 429. 0 is a tenth of those.
    #[schemars(range(max = 10_000_000))]
    pub new_sessions_per_ip_per_s: u32,
    /// How many bytes the whole server holds of messages that have come in part and of clients it does not know yet.
    /// What would be more is answered 503. One address may hold half.
    #[schemars(range(min = 1_048_576, max = 1_073_741_824))]
    pub memory_budget_bytes: usize,
    /// How long a client may take for the TLS handshake, to send the head of a request, and stay idle between two
    /// requests, in milliseconds each.
    #[schemars(range(min = 1, max = 600_000))]
    pub header_timeout_ms: u64,
    /// The certificate that clients are shown, and whether they have to show one.
    pub tls: TlsSettings,
}

/// An implementation of Engine.IO and Socket.IO.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum EngineName {
    /// Carillon's own.
    Carillon,
    /// The crate socketioxide.
    Socketioxide,
}

/// A way Socket.IO clients reach the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum TransportName {
    /// HTTP long polling, which passes every proxy.
    Polling,
    /// WebSocket.
    Websocket,
}

impl Default for ServerSettings {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8085)).into(),
            workers: 0,
            origins: Vec::new(),
            engine: EngineName::Carillon,
            hosts: Vec::new(),
            trusted_proxies: Vec::new(),
            path: "/socket.io/".to_owned(),
            transports: vec![TransportName::Polling, TransportName::Websocket],
            max_message_bytes: 1_000_000,
            ping_interval_ms: 25_000,
            ping_timeout_ms: 20_000,
            connect_timeout_ms: 10_000,
            max_connections: 50_000,
            max_connections_per_ip: 0,
            max_sessions_per_ip: 0,
            new_sessions_per_ip_per_s: 0,
            memory_budget_bytes: 128 * 1024 * 1024,
            header_timeout_ms: 10_000,
            tls: TlsSettings::default(),
        }
    }
}

impl ServerSettings {
    /// The reverse proxies that are trusted.
    #[must_use]
    pub fn proxies(&self) -> Vec<Network> {
        self.trusted_proxies.iter().filter_map(|proxy| proxy.parse().ok()).collect()
    }

    /// Checks what single values cannot tell: origins, names and networks that parse, and transports named once.
    pub fn check(&self, problems: &mut Problems) {
        for (index, origin) in self.origins.iter().enumerate() {
            if let Err((message, hint)) = check_origin(origin) {
                problems.add(format!("origins[{index}]"), message).hint(hint);
            }
        }
        for (index, host) in self.hosts.iter().enumerate() {
            if !is_name(host) {
                problems
                    .add(format!("hosts[{index}]"), format!("`{host}` is not the name of a host"))
                    .hint("write the name alone, without scheme and port: `board.example.org`");
            }
        }
        for (index, proxy) in self.trusted_proxies.iter().enumerate() {
            if proxy.parse::<Network>().is_err() {
                problems
                    .add(format!("trusted_proxies[{index}]"), format!("`{proxy}` is no address and no network"))
                    .hint("for example `127.0.0.1` or `10.0.0.0/8`");
            }
        }
        self.tls.check(problems);
        if self.memory_budget_bytes / 2 < self.max_message_bytes {
            problems
                .add(
                    "memory_budget_bytes",
                    "is less than twice `max_message_bytes`: the largest message could never arrive",
                )
                .hint(format!("at least {}", self.max_message_bytes * 2));
        }
        if self.origins.len() > 1 && self.origins.iter().any(|origin| origin == "*") {
            problems
                .add("origins", "`*` already lets in all: the other origins have no effect")
                .hint("write `origins = [\"*\"]`, or leave `*` out");
        }
        if let Err(hint) = check_path(&self.path) {
            problems.add("path", format!("`{}` is not a path", self.path)).hint(hint);
        }
        for (index, transport) in self.transports.iter().enumerate() {
            if self.transports[..index].contains(transport) {
                problems.add(format!("transports[{index}]"), "is in the list twice").hint("name each transport once");
            }
        }
    }
}

/// A path of plain segments: what is an escape or a pattern elsewhere would never be found.
fn check_path(path: &str) -> Result<(), &'static str> {
    let segments = path.strip_prefix('/').ok_or("it begins with `/`, for example `/socket.io/`")?;
    let segments = segments.strip_suffix('/').unwrap_or(segments);
    let plain =
        |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~".contains(&b));
    if segments.split('/').all(plain) && !segments.split('/').any(|part| part == "." || part == "..") {
        Ok(())
    } else {
        Err("use segments of letters, digits and `-._~`, for example `/app/socket.io/`")
    }
}

/// An origin is what browsers send: a scheme, a host, and a port if it is not the scheme's own.
fn check_origin(origin: &str) -> Result<(), (String, String)> {
    if origin == "*" {
        return Ok(());
    }
    let wrong = |hint: &str| Err((format!("`{origin}` is not a web origin"), hint.to_owned()));
    let Some((scheme, host)) = origin.split_once("://") else {
        return wrong(&format!("write the scheme too: `https://{origin}`"));
    };
    if scheme.is_empty() || !scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b)) {
        return wrong("for example `https://example.org`");
    }
    if let Some(end) = host.find(['/', '?', '#']) {
        return wrong(&format!("leave out everything after the host: `{scheme}://{}`", &host[..end]));
    }
    // The port is what follows the last colon, unless that colon is inside an IPv6 address.
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) if !port.ends_with(']') => (name, Some(port)),
        _ => (host, None),
    };
    if port.is_some_and(|port| !port.parse::<u16>().is_ok_and(|port| port > 0)) {
        return wrong("the port is a number from 1 to 65535");
    }
    let ipv6 = name.strip_prefix('[').and_then(|name| name.strip_suffix(']'));
    let valid = match ipv6 {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => is_name(name),
    };
    if valid { Ok(()) } else { wrong("for example `https://example.org` or `http://localhost:3000`") }
}

fn is_name(host: &str) -> bool {
    !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Names without scheme and port, addresses and networks: everything else is told with an example.
    #[test]
    fn hosts_and_proxies() {
        let text = |server: ServerSettings| {
            let mut problems = Problems::default();
            server.check(&mut problems);
            problems.to_string()
        };
        let hosts = |hosts: &[&str]| hosts.iter().map(|host| (*host).to_owned()).collect();
        let good = ServerSettings {
            hosts: hosts(&["board.example.org"]),
            trusted_proxies: hosts(&["127.0.0.1", "10.0.0.0/8", "fd00::/8"]),
            ..ServerSettings::default()
        };
        assert_eq!(good.proxies().len(), 3);
        assert_eq!(text(good), "");
        let bad = ServerSettings {
            hosts: hosts(&["http://a.example"]),
            trusted_proxies: hosts(&["nginx"]),
            ..ServerSettings::default()
        };
        let told = text(bad);
        assert!(told.contains("hosts[0]") && told.contains("trusted_proxies[0]"), "{told}");
    }

    #[test]
    fn paths() {
        for path in ["/socket.io/", "/socket.io", "/a/b-c_d/", "/~x"] {
            assert_eq!(check_path(path), Ok(()), "{path}");
        }
        for path in ["", "socket.io", "/", "//", "/a//b", "/{x}", "/a b", "/a?b", "/..", "/a/./b", "/%20"] {
            assert!(check_path(path).is_err(), "{path}");
        }
    }

    /// What browsers send as Origin is accepted; what people write by mistake is refused with the right spelling.
    #[test]
    fn origins() {
        for origin in [
            "*",
            "https://example.org",
            "http://localhost:3000",
            "http://[::1]:3000",
            "http://10.0.0.1",
            "app://carillon",
        ] {
            assert_eq!(check_origin(origin), Ok(()), "{origin}");
        }
        for (origin, hint) in [
            ("example.org", "https://example.org"),
            ("https://example.org/", "`https://example.org`"),
            ("https://example.org/chat", "`https://example.org`"),
            ("http://localhost:99999", "65535"),
            ("http://localhost:0", "65535"),
            ("http://", "example.org"),
            ("://host", "example.org"),
            ("http://a b", "example.org"),
            ("http://*.example.org", "example.org"),
            ("http://[::g]", "example.org"),
        ] {
            let (message, found) = check_origin(origin).unwrap_err();
            assert!(message.contains(origin) && found.contains(hint), "{origin}: {found}");
        }
    }
}

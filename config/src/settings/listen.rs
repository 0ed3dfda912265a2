//! An address to listen on: a host, by address or by name, and a port.
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

/// `HOST:PORT`. The host is an address or a name; what a name means is looked up when the server starts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub struct ListenAddress {
    /// An address or a name, without the brackets of an IPv6 address.
    pub host: String,
    /// The port; 0 is any free one.
    pub port: u16,
}

/// What is allowed, for who wrote something else.
const ALLOWED: &str = "write an address or a name and a port, as in 127.0.0.1:8085, [::1]:8085 or localhost:8085";

impl ListenAddress {
    /// Whether only this machine can connect, as far as the text tells: a loopback address, or `localhost`.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        self.host.eq_ignore_ascii_case("localhost") || self.host.parse().is_ok_and(|host: IpAddr| host.is_loopback())
    }
}

impl FromStr for ListenAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // Whoever reads this is shown the text beside it.
        let refused = |why: String| Err(format!("{why}: {ALLOWED}"));
        let Some((host, port)) = text.rsplit_once(':') else {
            return refused("a port is missing".to_owned());
        };
        let Ok(port) = port.parse() else {
            return refused("the port is a number from 0 to 65535".to_owned());
        };
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let name = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
        match bare {
            Some(address) if address.parse::<Ipv6Addr>().is_ok() => Ok(Self { host: address.to_owned(), port }),
            Some(_) => refused("between the brackets stands an IPv6 address".to_owned()),
            None if host.contains(':') => refused("an IPv6 address stands in brackets".to_owned()),
            None if host.is_empty() || host.len() > 253 || !host.bytes().all(name) => {
                refused("before the port stands an address or the name of a host".to_owned())
            }
            None => Ok(Self { host: host.to_owned(), port }),
        }
    }
}

impl TryFrom<String> for ListenAddress {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<SocketAddr> for ListenAddress {
    fn from(address: SocketAddr) -> Self {
        Self { host: address.ip().to_string(), port: address.port() }
    }
}

impl From<ListenAddress> for String {
    fn from(address: ListenAddress) -> Self {
        address.to_string()
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port } = self;
        if host.contains(':') { write!(f, "[{host}]:{port}") } else { write!(f, "{host}:{port}") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Addresses and names are taken and written back as they were; a refusal says what is allowed.
    #[test]
    fn listen_takes_addresses_and_names() {
        for text in ["127.0.0.1:8085", "[::1]:8085", "localhost:0", "node6.lan:80", "my_host-1:65535"] {
            assert_eq!(text.parse::<ListenAddress>().unwrap().to_string(), text);
        }
        for (text, why) in [
            ("localhost", "a port is missing"),
            ("localhost:http", "the port is a number"),
            ("localhost:65536", "from 0 to 65535"),
            ("::1:80", "stands in brackets"),
            ("[localhost]:80", "IPv6 address"),
            (":80", "the name of a host"),
            ("http://a:80", "in brackets"),
            ("a b:80", "the name of a host"),
        ] {
            let told = text.parse::<ListenAddress>().unwrap_err();
            assert!(told.contains(why) && told.ends_with(ALLOWED), "{text}: {told}");
        }
    }
}

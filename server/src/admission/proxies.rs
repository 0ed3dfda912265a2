//! Where a request really comes from, when it comes through a proxy that is trusted to say so.

use std::net::{IpAddr, SocketAddr};

use carillon_config::Network;
use http::HeaderMap;

/// The names of the headers.
const FORWARDED_FOR: &str = "x-forwarded-for";
const FORWARDED_PROTO: &str = "x-forwarded-proto";

/// The proxies that are trusted.
#[derive(Debug, Clone)]
pub(crate) struct Proxies(Vec<Network>);

/// Where a request comes from, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Source {
    /// The client's address; a proxy does not tell the port, which is 0 then.
    pub(crate) address: SocketAddr,
    /// Whether the client speaks TLS; `None` when an unknown proxy may have taken it off.
    pub(crate) secure: Option<bool>,
}

impl Proxies {
    pub(crate) fn new(trusted: Vec<Network>) -> Self {
        Self(trusted)
    }

    /// Whether `address` is one of them: what it does is done for others.
    pub(crate) fn trust(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(address))
    }

    /// Who asks. Of the addresses that proxies wrote down, each at the end, the last one that is no trusted proxy's
    /// own: what stands before it is the client's word. Whatever is no address ends the list.
    pub(crate) fn source(&self, peer: SocketAddr, headers: &HeaderMap) -> Source {
        if !self.trust(peer.ip()) {
            return Source { address: peer, secure: None };
        }
        let values = |name: &'static str| headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
        let hops: Vec<&str> = values(FORWARDED_FOR).flat_map(|value| value.split(',')).map(str::trim).collect();
        let mut client = None;
        for hop in hops.iter().rev() {
            let Some(address) = address(hop) else { break };
            client = Some(address);
            if !self.trust(address) {
                break;
            }
        }
        // The nearest proxy wrote the last one.
        let proto = values(FORWARDED_PROTO).flat_map(|value| value.split(',')).map(str::trim).next_back();
        let secure = match proto {
            Some(proto) if proto.eq_ignore_ascii_case("https") || proto.eq_ignore_ascii_case("wss") => Some(true),
            Some(proto) if proto.eq_ignore_ascii_case("http") || proto.eq_ignore_ascii_case("ws") => Some(false),
            _ => None,
        };
        Source { address: client.map_or(peer, |address| SocketAddr::new(address, 0)), secure }
    }
}

/// An address as proxies write it: alone, in brackets, or with a port.
fn address(hop: &str) -> Option<IpAddr> {
    let bare = hop.strip_prefix('[').and_then(|hop| hop.split_once(']')).map_or(hop, |(address, _)| address);
    let address = bare.parse().ok().or_else(|| hop.parse::<SocketAddr>().ok().map(|address| address.ip()))?;
    Some(IpAddr::to_canonical(&address))
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    fn ask(peer: &str, lines: &[(&'static str, &str)]) -> (String, Option<bool>) {
        let trusted = ["127.0.0.1", "10.0.0.0/8", "fd00::/8"].map(|text| text.parse().unwrap());
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
        }
        let Source { address, secure } = Proxies::new(trusted.to_vec()).source(peer.parse().unwrap(), &headers);
        (address.to_string(), secure)
    }

    /// The rightmost address that is no proxy's counts; what a client writes before it does not, nor what it writes itself.
    #[test]
    fn the_last_untrusted_address_is_the_client() {
        let list = "x-forwarded-for";
        for (peer, lines, address) in [
            ("127.0.0.1:9", &[][..], "127.0.0.1:9"),
            ("192.0.2.1:9", &[(list, "198.51.100.7")], "192.0.2.1:9"),
            ("127.0.0.1:9", &[(list, "198.51.100.7")], "198.51.100.7:0"),
            ("[::ffff:127.0.0.1]:9", &[(list, "198.51.100.7")], "198.51.100.7:0"),
            ("127.0.0.1:9", &[(list, "203.0.113.1, 198.51.100.7, 10.1.1.1")], "198.51.100.7:0"),
            ("127.0.0.1:9", &[(list, "203.0.113.1"), (list, "198.51.100.7:4711,10.1.1.1")], "198.51.100.7:0"),
            ("127.0.0.1:9", &[(list, "203.0.113.1, unknown, 10.1.1.1")], "10.1.1.1:0"),
            ("127.0.0.1:9", &[(list, "unknown")], "127.0.0.1:9"),
            ("127.0.0.1:9", &[(list, "10.1.1.1, 10.1.1.2")], "10.1.1.1:0"),
            ("[fd00::1]:9", &[(list, "[2001:db8::7]:443")], "[2001:db8::7]:0"),
            ("[fd00::1]:9", &[(list, "2001:db8::7")], "[2001:db8::7]:0"),
        ] {
            assert_eq!(ask(peer, lines).0, address, "{peer} {lines:?}");
        }
    }

    /// Only a trusted proxy says whether there was TLS.
    #[test]
    fn the_scheme_is_a_trusted_proxys_word() {
        let proto = "x-forwarded-proto";
        assert_eq!(ask("127.0.0.1:9", &[(proto, "https")]).1, Some(true));
        assert_eq!(ask("127.0.0.1:9", &[(proto, "https, http")]).1, Some(false));
        assert_eq!(ask("127.0.0.1:9", &[(proto, "gopher")]).1, None);
        assert_eq!(ask("192.0.2.1:9", &[(proto, "https")]).1, None);
    }
}

//! Networks of addresses, as settings name them: `10.0.0.0/8`, `fd00::/8`, or one address.
use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;

/// A network, or a single address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network(IpNet);

impl Network {
    /// Whether the address is in it. An IPv4 address is the same in its IPv6 spelling.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.contains(&address.to_canonical())
    }
}

impl FromStr for Network {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let single = || text.parse::<IpAddr>().map(|address| IpNet::from(address.to_canonical()));
        text.parse().or_else(|_| single()).map(Self).map_err(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_has_the_addresses_that_begin_as_it_does() {
        let contains = |network: &str, address: &str| {
            network.parse::<Network>().unwrap().contains(address.parse::<IpAddr>().unwrap())
        };
        assert!(contains("10.0.0.0/8", "10.255.0.1") && !contains("10.0.0.0/8", "11.0.0.1"));
        assert!(contains("10.0.0.0/8", "::ffff:10.0.0.1") && contains("127.0.0.1", "127.0.0.1"));
        assert!(contains("fd00::/8", "fd12::1") && !contains("::1", "::2"));
        for text in ["", "10.0.0.0/33", "10.0.0", "proxy", "10.0.0.1:80"] {
            assert_eq!(text.parse::<Network>(), Err(()), "{text}");
        }
    }
}

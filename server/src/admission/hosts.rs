//! By which names the server may be called. A page of another site can give its own name the address 127.0.0.1 and so
//! talk to this machine as if it were its own server; its name stays in the Host header, and is refused here.

use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr};

use carillon_config::ServerSettings;
use http::{HeaderMap, Version, header};

/// The names.
#[derive(Debug, Clone)]
pub(crate) struct Hosts {
    listed: HashSet<String>,
    /// Whether every name will do.
    any: bool,
}

/// Why a request is not answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum NoHost {
    /// There is none, or more than one, or it is empty.
    Malformed,
    /// This server has no such name.
    Unknown(String),
}

impl Hosts {
    /// On loopback only local names and addresses; elsewhere all, unless some are listed.
    pub(crate) fn new(server: &ServerSettings) -> Self {
        let closed = server.listen.is_loopback() || !server.hosts.is_empty();
        let listed = server.hosts.iter().map(|host| host.trim_end_matches('.').to_ascii_lowercase()).collect();
        Self { listed, any: !closed }
    }

    /// The same names, for a listener of the server's own that has `address`: it is closed to others on loopback only.
    pub(crate) fn at(server: &ServerSettings, address: SocketAddr) -> Self {
        Self { any: !address.ip().is_loopback(), ..Self::new(server) }
    }

    /// Whether a request is for us.
    pub(crate) fn check(&self, version: Version, headers: &HeaderMap) -> Result<(), NoHost> {
        self.judge(self.any, version, headers)
    }

    /// The same for what only the server's own pages may read: a name has to be local or listed wherever it listens.
    pub(crate) fn check_own(&self, version: Version, headers: &HeaderMap) -> Result<(), NoHost> {
        self.judge(false, version, headers)
    }

    fn judge(&self, any: bool, version: Version, headers: &HeaderMap) -> Result<(), NoHost> {
        let mut values = headers.get_all(header::HOST).iter();
        let host = match (values.next(), values.next()) {
            // As probes of older load balancers do.
            (None, _) if version < Version::HTTP_11 => return Ok(()),
            (Some(host), None) => host.to_str().map_err(|_| NoHost::Malformed)?.trim(),
            _ => return Err(NoHost::Malformed),
        };
        let name = name(host).ok_or(NoHost::Malformed)?.trim_end_matches('.').to_ascii_lowercase();
        // No page of another site is served from an address.
        let local = name == "localhost" || name.ends_with(".localhost") || is_address(&name);
        if any || local || self.listed.contains(&name) { Ok(()) } else { Err(NoHost::Unknown(name)) }
    }
}

/// A Host without its port; `None` when it is none.
fn name(host: &str) -> Option<&str> {
    let end = match host.strip_prefix('[') {
        Some(rest) => rest.find(']')? + 2,
        None => host.find(':').unwrap_or(host.len()),
    };
    let (name, port) = host.split_at(end);
    let port = port.strip_prefix(':').unwrap_or(port);
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._[]:%~".contains(&byte);
    let sound = !name.is_empty() && name.bytes().all(allowed) && port.bytes().all(|byte| byte.is_ascii_digit());
    sound.then_some(name)
}

fn is_address(name: &str) -> bool {
    name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name).parse::<IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn check(listen: &str, hosts: &[&str], lines: &[&str]) -> Result<(), NoHost> {
        let server = ServerSettings {
            listen: listen.parse().unwrap(),
            hosts: hosts.iter().map(|host| (*host).to_owned()).collect(),
            ..ServerSettings::default()
        };
        let mut headers = HeaderMap::new();
        for host in lines {
            headers.append(header::HOST, HeaderValue::from_str(host).unwrap());
        }
        Hosts::new(&server).check(Version::HTTP_11, &headers)
    }

    /// A8: on loopback a name of another site is not ours, however it got our address.
    #[test]
    fn on_loopback_only_local_names_and_listed_ones_are_ours() {
        let loopback = "127.0.0.1:8085";
        for host in ["localhost", "LocalHost:8085", "a.localhost.:1", "127.0.0.1:8085", "[::1]:8085", "10.0.0.1"] {
            assert_eq!(check(loopback, &[], &[host]), Ok(()), "{host}");
        }
        for host in ["evil.example:8085", "localhost.evil.example", "127.0.0.1.evil.example", "notlocalhost"] {
            let name = host.split(':').next().unwrap().to_owned();
            assert_eq!(check(loopback, &[], &[host]), Err(NoHost::Unknown(name)), "{host}");
        }
        assert_eq!(check(loopback, &["Board.example"], &["board.example:443"]), Ok(()));
        assert_eq!(check("0.0.0.0:80", &[], &["anything.example"]), Ok(()));
        assert!(check("0.0.0.0:80", &["board.example"], &["anything.example"]).is_err());
    }

    /// A name that anybody can give this server's address is not one of its own, wherever it listens.
    #[test]
    fn what_is_for_own_pages_is_under_local_and_listed_names_everywhere() {
        let hosts = ["board.example".to_owned()];
        for (hosts, name, own) in [
            (&[][..], "10.0.0.1:80", true),
            (&[], "localhost", true),
            (&[], "evil.example", false),
            (&hosts, "board.example", true),
        ] {
            let (listen, hosts) = ("0.0.0.0:80".parse().unwrap(), hosts.to_vec());
            let server = ServerSettings { listen, hosts, ..ServerSettings::default() };
            let headers = HeaderMap::from_iter([(header::HOST, HeaderValue::from_static(name))]);
            let (hosts, version) = (Hosts::new(&server), Version::HTTP_11);
            assert_eq!(hosts.check(version, &headers), Ok(()), "{name}");
            assert_eq!(hosts.check_own(version, &headers).is_ok(), own, "{name}");
        }
    }

    #[test]
    fn there_is_exactly_one_host() {
        for lines in [&[][..], &[""], &["a", "a"], &["a b"], &["a/b"], &["a@b"], &[":80"], &["a:8o"], &["[::1"]] {
            assert_eq!(check("0.0.0.0:80", &[], lines), Err(NoHost::Malformed), "{lines:?}");
        }
        let none = HeaderMap::new();
        assert_eq!(Hosts::new(&ServerSettings::default()).check(Version::HTTP_10, &none), Ok(()));
    }
}

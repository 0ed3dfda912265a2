//! Addresses with several hosts, which a URL has no form for: `[user][:password@]host[:port],host[:port]/path?options`.

use deadpool_redis::redis::{IntoConnectionInfo, RedisConnectionInfo};
use url::Host;

use super::options::Options;
use super::parsed;

/// Hosts of one address, at most.
const HOSTS: usize = 64;

/// What such an address says.
pub(super) struct Hosts {
    pub(super) hosts: Vec<(String, u16)>,
    /// User and password.
    pub(super) settings: RedisConnectionInfo,
    /// Without the slashes around it.
    pub(super) path: String,
    pub(super) options: Options,
}

impl Hosts {
    /// Reads what stands behind `scheme://`, host by host as a URL of one.
    pub(super) fn read(scheme: &str, rest: &str, port: u16, known: &[&str]) -> Result<Self, String> {
        if !matches!(scheme, "redis" | "rediss") {
            return Err(
                "is written redis+sentinel://, rediss+sentinel://, redis+cluster:// or rediss+cluster://".to_owned()
            );
        }
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, tail) = rest.split_at(end);
        let (credentials, names) = match authority.rfind('@') {
            Some(at) => authority.split_at(at + 1),
            None => ("", authority),
        };
        let mut hosts = Vec::new();
        for name in names.split(',') {
            if name.is_empty() {
                return Err("names a host that is empty; several hosts are parted by commas".to_owned());
            }
            let url = parsed(&format!("redis://{name}"))?;
            let host = match url.host() {
                Some(Host::Ipv6(address)) => address.to_string(),
                Some(host) => host.to_string(),
                None => String::new(),
            };
            let other = !matches!(url.path(), "" | "/") || !url.username().is_empty() || url.query().is_some();
            if host.is_empty() || other || url.port() == Some(0) {
                return Err(
                    "names a host that is none (in a password write /, #, ?, @, : and % as %2F, %23, %3F, %40, \
                            %3A and %25)"
                        .to_owned(),
                );
            }
            hosts.push((host, url.port().unwrap_or(port)));
        }
        if hosts.len() > HOSTS {
            return Err(format!("names more than {HOSTS} hosts"));
        }
        let url = parsed(&format!("redis://{credentials}one{tail}"))?;
        let options = Options::read(&url, known)?;
        let path = url.path().trim_matches('/').to_owned();
        let mut bare = url;
        bare.set_path("");
        bare.set_query(None);
        let info = bare
            .into_connection_info()
            .map_err(|error| format!("is no address Redis can be reached at ({})", error.category()))?;
        Ok(Self { hosts, settings: info.redis_settings().clone(), path, options })
    }
}

//! Reads the address of a Redis: `redis://`, `rediss://` (TLS) or `unix://`, with user, password and database.
//!
//! - `redis://[user][:password@]host[:port][/db]`
//! - `rediss://` likewise, over TLS. Certificates are always verified: with the system's authorities, or with the PEM file
//!   `?ca=<file>`; `?cert=<file>&key=<file>` is what the client shows of itself.
//! - `unix:///path/to/redis.sock[?db=<n>&user=<user>&pass=<password>]`
//!
//! Every form takes `timeout_ms` (500), the time one command may take; publishes get 1 s at least. Messages never repeat a part of the address: what
//! is not a host in a mistyped address may be the password.

use std::time::Duration;

use deadpool_redis::redis::io::tcp::TcpSettings;
use deadpool_redis::redis::{Client, ClientTlsConfig, ConnectionInfo, IntoConnectionInfo, TlsCertificates};
use url::Url;

/// How long one command may take unless the address says otherwise.
const COMMAND_TIMEOUT_MS: u64 = 500;
const COMMAND_TIMEOUTS_MS: std::ops::RangeInclusive<u64> = 50..=10_000;

/// Where Redis is, and how to talk to it.
#[derive(Clone)]
pub(super) struct Target {
    /// Opens connections.
    pub(super) client: Client,
    /// `host:port` or a path: for people, without credentials.
    pub(super) address: String,
    /// How long one command may take.
    pub(super) timeout: Duration,
}

impl Target {
    /// Reads a URL.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let url = Url::parse(text).map_err(|error| {
            format!("{error} (in a password write /, #, ?, @, : and % as %2F, %23, %3F, %40, %3A and %25)")
        })?;
        if url.fragment().is_some() {
            return Err("no #fragment is known; TLS certificates are always verified, and ?ca=<file> names a private \
                        authority (a # in a password is written %23)"
                .to_owned());
        }
        match url.scheme() {
            "unix" if url.host().is_some() => {
                return Err("unix:// takes three slashes: unix:///path/to/redis.sock".to_owned());
            }
            "unix" => {}
            _ if url.host_str().unwrap_or_default().is_empty() => return Err("names no host".to_owned()),
            _ => database(url.path().trim_matches('/'))?,
        }
        let options = Options::read(&url)?;
        let info = url.clone().into_connection_info().map_err(|error| error.category().to_owned());
        let info = info.map_err(|what| format!("is no address Redis can be reached at ({what})"))?;
        let redis = info.redis_settings().clone().set_lib_name("carillon", env!("CARGO_PKG_VERSION"));
        let info = info.set_redis_settings(redis).set_tcp_settings(TcpSettings::default().set_nodelay(true));
        let address = info.addr().to_string();
        let timeout = options.timeout;
        let client = if url.scheme() == "rediss" { options.tls_client(info)? } else { plain_client(info)? };
        Ok(Self { client, address, timeout })
    }

    /// `text` without the password, should a server have repeated it.
    pub(super) fn scrub(&self, text: &str) -> String {
        match self.client.get_connection_info().redis_settings().password() {
            Some(password) if !password.is_empty() => text.replace(password, "***"),
            _ => text.to_owned(),
        }
    }
}

fn database(text: &str) -> Result<(), String> {
    match text {
        "" => Ok(()),
        text if text.parse::<u32>().is_ok() => Ok(()),
        _ => Err("the database is a number, as in redis://host:6379/2 (a / in a password is written %2F)".to_owned()),
    }
}

fn plain_client(info: ConnectionInfo) -> Result<Client, String> {
    Client::open(info).map_err(|error| error.category().to_owned())
}

/// What stands after the `?`.
struct Options {
    timeout: Duration,
    ca: Option<Vec<u8>>,
    cert: Option<Vec<u8>>,
    key: Option<Vec<u8>>,
}

impl Options {
    fn read(url: &Url) -> Result<Self, String> {
        let known: &[&str] = match url.scheme() {
            "unix" => &["db", "user", "pass", "timeout_ms"],
            "rediss" => &["ca", "cert", "key", "timeout_ms"],
            _ => &["timeout_ms"],
        };
        let mut options = Self { timeout: Duration::from_millis(COMMAND_TIMEOUT_MS), ca: None, cert: None, key: None };
        for (name, value) in url.query_pairs() {
            let Some(name) = known.iter().find(|known| **known == name) else {
                let known = known.join(", ");
                return Err(format!("has an unknown parameter; known are {known} (a ? in a password is written %3F)"));
            };
            match *name {
                "db" => database(&value)?,
                "timeout_ms" => {
                    let ms = value.parse().ok().filter(|ms| COMMAND_TIMEOUTS_MS.contains(ms));
                    options.timeout = ms.map(Duration::from_millis).ok_or_else(|| {
                        let (least, most) = (COMMAND_TIMEOUTS_MS.start(), COMMAND_TIMEOUTS_MS.end());
                        format!("timeout_ms is a number from {least} to {most}")
                    })?;
                }
                "ca" => options.ca = Some(file("ca", &value)?),
                "cert" => options.cert = Some(file("cert", &value)?),
                "key" => options.key = Some(file("key", &value)?),
                // user and pass are read by redis itself.
                _ => {}
            }
        }
        Ok(options)
    }

    fn tls_client(self, info: ConnectionInfo) -> Result<Client, String> {
        // Named here, so that no other package that brings another provider along makes the choice ambiguous. A provider
        // installed before stays.
        drop(rustls::crypto::ring::default_provider().install_default());
        let client_tls = match (self.cert, self.key) {
            (Some(client_cert), Some(client_key)) => Some(ClientTlsConfig { client_cert, client_key }),
            (None, None) => None,
            _ => return Err("cert and key go together".to_owned()),
        };
        let certificates = TlsCertificates { client_tls, root_cert: self.ca };
        Client::build_with_tls(info, certificates).map_err(|error| error.to_string())
    }
}

fn file(parameter: &str, path: &str) -> Result<Vec<u8>, String> {
    std::fs::read(path).map_err(|error| format!("the file of {parameter} cannot be read: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(url: &str) -> String {
        match Target::parse(url) {
            Ok(_) => panic!("{url} was accepted"),
            Err(why) => why,
        }
    }

    #[test]
    fn user_password_and_database_are_read_and_the_address_shows_none_of_them() {
        let target = Target::parse("redis://us%40er:p%2Fss@cache.lan:7000/2?timeout_ms=800").unwrap();
        let redis = target.client.get_connection_info().redis_settings();
        assert_eq!((redis.username(), redis.password(), redis.db()), (Some("us@er"), Some("p/ss"), 2));
        assert_eq!((target.address.as_str(), target.timeout), ("cache.lan:7000", Duration::from_millis(800)));
        assert_eq!(target.scrub("with args beginning with: 'p/ss'"), "with args beginning with: '***'");

        let target = Target::parse("unix:///run/redis.sock?db=3&user=u&pass=p").unwrap();
        let redis = target.client.get_connection_info().redis_settings();
        assert_eq!((redis.username(), redis.password(), redis.db()), (Some("u"), Some("p"), 3));
        assert_eq!(target.address, "/run/redis.sock");
        assert!(Target::parse("rediss://[::1]/0").is_ok());
    }

    #[test]
    fn a_wrong_address_is_refused_with_the_reason_and_nothing_of_the_password() {
        for (url, reason) in [
            ("redis:///1", "names no host"),
            ("redis://:s3cret@host:6379/s3cret", "the database is a number"),
            ("redis://:s3cret/x@host", "empty host"),
            ("redis://:1/s3cret@host", "empty host"),
            ("redis://user:12/s3cret@host:6379/0", "the database is a number"),
            ("redis://host?s3cret", "known are timeout_ms"),
            ("redis://host?timeout_ms=s3cret", "timeout_ms is a number from 50 to 10000"),
            ("redis://user:s3cret/x@host", "invalid port number"),
            ("redis://user:s3cret@host:99999", "invalid port number"),
            ("redis://0.0.0.0:6379", "is no address"),
            ("rediss://:s3cret@host#insecure", "always verified"),
            ("rediss://host?ca=/nowhere/s3cret", "the file of ca cannot be read"),
            ("unix://run/redis.sock", "three slashes"),
            ("unix:///run/redis.sock?db=s3cret", "the database is a number"),
        ] {
            let why = refused(url);
            assert!(why.contains(reason), "{url}: {why}");
            assert!(!why.contains("s3cret"), "{url}: {why}");
        }
    }
}

//! What stands after the `?` of an address of Redis.

use std::time::Duration;

use deadpool_redis::redis::{ClientTlsConfig, TlsCertificates};
use url::Url;

use super::database;

/// How long one command may take unless the address says otherwise.
const COMMAND_TIMEOUT_MS: u64 = 500;
const COMMAND_TIMEOUTS_MS: std::ops::RangeInclusive<u64> = 50..=10_000;

/// What stands after the `?`.
pub(super) struct Options {
    pub(super) timeout: Duration,
    pub(super) sentinel_user: Option<String>,
    pub(super) sentinel_password: Option<String>,
    ca: Option<Vec<u8>>,
    cert: Option<Vec<u8>>,
    key: Option<Vec<u8>>,
}

impl Options {
    /// Reads them; others than the known ones are refused.
    pub(super) fn read(url: &Url, known: &[&str]) -> Result<Self, String> {
        let timeout = Duration::from_millis(COMMAND_TIMEOUT_MS);
        let mut options =
            Self { timeout, sentinel_user: None, sentinel_password: None, ca: None, cert: None, key: None };
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
                "sentinel_user" => options.sentinel_user = Some(value.into_owned()),
                "sentinel_password" => options.sentinel_password = Some(value.into_owned()),
                // user and pass are read by redis itself.
                _ => {}
            }
        }
        Ok(options)
    }

    /// What TLS needs, where the address is one of TLS.
    pub(super) fn tls(&self, wanted: bool) -> Result<Option<TlsCertificates>, String> {
        let client_tls = match (self.cert.clone(), self.key.clone()) {
            (Some(client_cert), Some(client_key)) => Some(ClientTlsConfig { client_cert, client_key }),
            (None, None) => None,
            _ => return Err("cert and key go together".to_owned()),
        };
        match (wanted, self.ca.is_some() || client_tls.is_some()) {
            (true, _) => Ok(Some(TlsCertificates { client_tls, root_cert: self.ca.clone() })),
            (false, true) => Err("ca, cert and key are for TLS: rediss+sentinel:// or rediss+cluster://".to_owned()),
            (false, false) => Ok(None),
        }
    }
}

fn file(parameter: &str, path: &str) -> Result<Vec<u8>, String> {
    std::fs::read(path).map_err(|error| format!("the file of {parameter} cannot be read: {error}"))
}

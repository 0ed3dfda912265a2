//! `[server.tls]`: the certificate that clients are shown, and whether they have to show one.
use crate::Problems;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// TLS 1.2 and 1.3 on `server.listen`; without `cert` and `key` it speaks plain HTTP. The files are read again when they
/// change and on SIGHUP; what cannot be used leaves everything as it was.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TlsSettings {
    /// A file in PEM: the certificate of this server, then those that lead from it to a root that clients trust.
    #[schemars(extend("examples" = ["/etc/carillon/fullchain.pem"]))]
    pub cert: Option<String>,
    /// A file in PEM with the private key of the first certificate, not encrypted.
    #[schemars(extend("examples" = ["/etc/carillon/privkey.pem"]))]
    pub key: Option<String>,
    /// A file in PEM with the roots of client certificates. When it is set, only clients that show a certificate of
    /// one of these get past the handshake.
    #[schemars(extend("examples" = ["/etc/carillon/clients.pem"]))]
    pub client_ca: Option<String>,
}

/// The files of a server with TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TlsFiles<'a> {
    /// The certificates.
    pub cert: &'a str,
    /// The private key.
    pub key: &'a str,
    /// The roots of client certificates.
    pub client_ca: Option<&'a str>,
}

impl TlsSettings {
    /// The files, when there is to be TLS.
    #[must_use]
    pub fn files(&self) -> Option<TlsFiles<'_>> {
        let (cert, key) = (self.cert.as_deref()?, self.key.as_deref()?);
        Some(TlsFiles { cert, key, client_ca: self.client_ca.as_deref() })
    }

    /// Whatever needs another one has it; `problems` are those of `[server]`.
    pub(super) fn check(&self, problems: &mut Problems) {
        match (&self.cert, &self.key) {
            (Some(_), None) => {
                problems.add("tls.key", "is missing: `cert` needs it").hint("name the file with the private key");
            }
            (None, Some(_)) => {
                problems.add("tls.cert", "is missing: `key` needs it").hint("name the file with the certificate");
            }
            (None, None) if self.client_ca.is_some() => {
                problems.add("tls.client_ca", "has no effect without TLS").hint("set `cert` and `key` too");
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Half of a pair is told, and which half is missing.
    #[test]
    fn a_pair_is_whole() {
        let problems = |text: &str| {
            let settings: TlsSettings = toml::from_str(text).unwrap();
            let mut problems = Problems::default();
            settings.check(&mut problems);
            problems.iter().map(|problem| problem.path.clone()).collect::<Vec<_>>().join(" ")
        };
        for (text, told) in [
            ("", ""),
            ("cert = 'c'\nkey = 'k'\nclient_ca = 'a'", ""),
            ("cert = 'c'", "tls.key"),
            ("key = 'k'", "tls.cert"),
            ("client_ca = 'a'", "tls.client_ca"),
        ] {
            assert_eq!(problems(text), told, "{text}");
        }
    }
}

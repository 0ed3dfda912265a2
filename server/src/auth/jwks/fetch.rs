//! One GET of an address, over TLS or, on this machine, without.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{ACCEPT, CONNECTION, HOST, USER_AGENT};
use http::{Request, StatusCode, Uri};
use http_body_util::{BodyExt, Empty, Limited};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::exchange::exchange;
use crate::tls::roots;

/// Bytes of an answer.
const ANSWER_MAX: usize = 256 * 1024;

/// An address, as it is asked.
pub(super) struct Source {
    uri: Uri,
    /// Without the brackets of an IPv6 address.
    host: String,
    port: u16,
    tls: Option<(TlsConnector, ServerName<'static>)>,
}

/// The address.
impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.uri.fmt(f)
    }
}

impl Source {
    /// The address `url`, whose certificate the system's authorities vouch for, or those in the file `ca`.
    ///
    /// # Errors
    /// What is wrong with either, beginning with `url` or `ca`.
    pub(super) fn new(url: &str, ca: Option<&str>) -> Result<Self, String> {
        let wrong = |what: &str| format!("url: {what}; write https://HOST/PATH");
        let uri: Uri = url.parse().map_err(|_| wrong("is no address"))?;
        let authority = uri.authority().filter(|authority| !authority.host().is_empty());
        let authority = authority.ok_or_else(|| wrong("names no host"))?;
        if authority.as_str().contains('@') {
            return Err(wrong("a user or a password in it is not supported"));
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        let port = authority.port_u16();
        let (port, tls) = match uri.scheme_str() {
            Some("https") => {
                let name = ServerName::try_from(host.clone()).map_err(|_| wrong("its host is no name"))?;
                (port.unwrap_or(443), Some((connector(ca)?, name)))
            }
            Some("http") if is_here(&host) => (port.unwrap_or(80), None),
            Some("http") => return Err(wrong("keys that come without TLS are anybody's, but from this machine")),
            _ => return Err(wrong("is not over https")),
        };
        Ok(Self { uri, host, port, tls })
    }

    /// What is there. The caller keeps the time.
    pub(super) async fn fetch(&self) -> Result<Bytes, String> {
        let stream = TcpStream::connect((self.host.as_str(), self.port)).await;
        let stream = stream.map_err(|error| format!("it cannot be reached: {error}"))?;
        match &self.tls {
            Some((connector, name)) => {
                let stream = connector.connect(name.clone(), stream).await;
                self.ask(stream.map_err(|error| format!("no TLS with it: {error}"))?).await
            }
            None => self.ask(stream).await,
        }
    }

    async fn ask(&self, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> Result<Bytes, String> {
        let path = self.uri.path_and_query().map_or("/", |path| path.as_str());
        let request = Request::get(path)
            .header(HOST, self.uri.authority().map_or("", |authority| authority.as_str()))
            .header(USER_AGENT, concat!("carillon/", env!("CARGO_PKG_VERSION")))
            .header(ACCEPT, "application/jwk-set+json, application/json")
            .header(CONNECTION, "close")
            .body(Empty::<Bytes>::new())
            .map_err(|error| error.to_string())?;
        exchange(stream, request, async |answer| {
            let (head, body) = answer.into_parts();
            if head.status != StatusCode::OK {
                return Err(format!("it answered {}", head.status));
            }
            let body = Limited::new(body, ANSWER_MAX).collect().await;
            body.map(|body| body.to_bytes()).map_err(|error| format!("its answer was not read: {error}"))
        })
        .await
    }
}

/// Whether a host is this machine.
fn is_here(host: &str) -> bool {
    host == "localhost" || host.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

/// A client of TLS that believes these authorities.
fn connector(ca: Option<&str>) -> Result<TlsConnector, String> {
    let roots = match ca {
        Some(file) => roots("ca", file)?,
        None => {
            let mut roots = RootCertStore::empty();
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            if roots.is_empty() {
                return Err("ca: the system has no authorities: name a file with them".to_owned());
            }
            roots
        }
    };
    // Named here, so that it does not matter which providers other packages bring along.
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("ca: {error}"))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Keys come over TLS, or from this machine; an address has no secret in it.
    #[test]
    fn addresses_that_cannot_be_trusted_are_refused() {
        let told = |url: &str| Source::new(url, None).err().unwrap_or_default();
        for good in ["http://127.0.0.1:1/keys", "http://localhost/", "http://[::1]:8080/keys?x=1"] {
            assert_eq!(told(good), "", "{good}");
        }
        for (url, why) in [
            ("http://192.0.2.1/keys", "keys that come without TLS"),
            ("http://localhost.example.org/keys", "keys that come without TLS"),
            ("ftp://127.0.0.1/keys", "is not over https"),
            ("/keys", "names no host"),
            ("127.0.0.1", "is not over https"),
            ("", "is no address"),
            ("http://ann:s3cret@127.0.0.1/", "a user or a password"),
        ] {
            let told = told(url);
            assert!(told.starts_with("url: ") && told.contains(why) && !told.contains("s3cret"), "{url}: {told}");
        }
        let told = |ca: &str| Source::new("https://127.0.0.1/", Some(ca)).err().unwrap_or_default();
        assert!(told("/no/such/file").starts_with("ca: cannot read /no/such/file: "), "{}", told("/no/such/file"));
        assert_eq!(told("/dev/null"), "ca: /dev/null holds no certificate in PEM (-----BEGIN CERTIFICATE-----)");
        assert_eq!(told("/dev/zero"), "ca: /dev/zero is larger than 1048576 bytes");
    }
}

//! Reads certificates and keys, and says in one line what is wrong with them: the setting, the file, the fix.

use std::fs::File;
use std::io::Read as _;
use std::sync::Arc;

use carillon_config::{TlsFiles, TlsSettings};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig};

/// The largest file that is read, in bytes: the roots of all the world are smaller.
const MOST: u64 = 1 << 20;
/// All that is spoken on such a connection.
const HTTP_1: &[u8] = b"http/1.1";

/// Reads what the settings name; `None` where there is no TLS.
///
/// # Errors
/// What is wrong, with the key of the setting and the file.
pub(super) fn load(settings: &TlsSettings) -> Result<Option<Arc<ServerConfig>>, String> {
    let Some(files) = settings.files() else { return Ok(None) };
    let provider = Arc::new(ring::default_provider());
    let chain = certificates("server.tls.cert", files.cert)?;
    let key = key(files.key)?;
    let versions = ServerConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions();
    let builder = versions.map_err(|error| format!("server.tls: {error}"))?;
    let builder = match files.client_ca {
        Some(file) => builder.with_client_cert_verifier(verifier(file, &provider)?),
        None => builder.with_no_client_auth(),
    };
    let mut config = builder.with_single_cert(chain, key).map_err(|error| unusable(&files, &error))?;
    config.alpn_protocols = vec![HTTP_1.to_vec()];
    // Who comes back is known by a ticket of its own: nothing of it is kept here, however many there are.
    config.ticketer = ring::Ticketer::new().map_err(|error| format!("server.tls: {error}"))?;
    config.send_tls13_tickets = 1;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    Ok(Some(Arc::new(config)))
}

/// A pair whose halves are sound, and that does not serve.
fn unusable(files: &TlsFiles<'_>, error: &rustls::Error) -> String {
    let TlsFiles { cert, key, .. } = files;
    match error {
        rustls::Error::InconsistentKeys(_) => format!(
            "server.tls.key: {key} is not the key of the first certificate in {cert} (server.tls.cert): name the two that \
             belong together, the server's own certificate first"
        ),
        rustls::Error::InvalidCertificate(_) => format!("server.tls.cert: {cert} holds no usable certificate: {error}"),
        _ => {
            format!("server.tls.key: {key} is no key that can be used ({error}): RSA from 2048 bits, ECDSA or Ed25519")
        }
    }
}

fn certificates(setting: &str, file: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    let text = text(setting, file)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    let found = found.map_err(|error| format!("{setting}: {file} is not PEM: {error}"))?;
    if found.is_empty() {
        return Err(format!("{setting}: {file} holds no certificate in PEM (-----BEGIN CERTIFICATE-----)"));
    }
    Ok(found)
}

fn key(file: &str) -> Result<PrivateKeyDer<'static>, String> {
    let text = text("server.tls.key", file)?;
    PrivateKeyDer::from_pem_slice(&text).map_err(|_| {
        let encrypted = text.windows(9).any(|word| word == b"ENCRYPTED");
        let why = if encrypted {
            "holds an encrypted key: decrypt it with `openssl pkey`"
        } else {
            "holds no private key in PEM"
        };
        format!("server.tls.key: {file} {why}")
    })
}

fn verifier(file: &str, provider: &Arc<CryptoProvider>) -> Result<Arc<dyn ClientCertVerifier>, String> {
    const SETTING: &str = "server.tls.client_ca";
    let roots = Arc::new(roots(SETTING, file)?);
    let verifier = WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(provider));
    verifier.build().map_err(|error| format!("{SETTING}: {file}: {error}"))
}

/// The authorities in a file that `setting` names.
///
/// # Errors
/// What is wrong, beginning with the setting.
pub(crate) fn roots(setting: &str, file: &str) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(setting, file)? {
        let added = roots.add(certificate);
        added.map_err(|error| format!("{setting}: {file} holds a certificate that is no root: {error}"))?;
    }
    Ok(roots)
}

fn text(setting: &str, file: &str) -> Result<Vec<u8>, String> {
    let mut text = Vec::new();
    let read = File::open(file).and_then(|open| open.take(MOST + 1).read_to_end(&mut text));
    read.map_err(|error| {
        format!("{setting}: cannot read {file}: {error}; the user who runs the server must be able to")
    })?;
    if text.len() as u64 > MOST {
        return Err(format!("{setting}: {file} is larger than {MOST} bytes"));
    }
    Ok(text)
}

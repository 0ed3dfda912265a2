//! Carillon that clients reach in another way than as it is: with TLS of its own, with nginx before it, or with tokens.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use carillon_server::bench::Tokens;
use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, RootCertStore};

use super::super::{Options, PING_INTERVAL, child};
use crate::{Result, machine};

/// The program that stands before it.
pub(in crate::peers) const PROXY: &str = "nginx";
const TEMPLATE: &str = include_str!("../../../peers/carillon/nginx.conf");

/// What signs the tokens.
const SECRET: &str = "a secret that is known to everybody";

/// What clients need to get in.
#[derive(Debug, Clone, Default)]
pub(crate) struct Access {
    /// Whom they believe, where everything is encrypted.
    pub(crate) tls: Option<Arc<ClientConfig>>,
    /// What they show at each CONNECT.
    pub(crate) token: Option<String>,
}

/// A certificate for this machine, with its key, as files.
pub(in crate::peers) struct Certificate {
    cert: PathBuf,
    key: PathBuf,
    clients: Arc<ClientConfig>,
}

impl Certificate {
    /// A new one, below `directory`.
    pub(in crate::peers) fn new(directory: &Path) -> Result<Self> {
        let key = KeyPair::generate()?;
        let certificate = CertificateParams::new(["127.0.0.1".to_owned()])?.self_signed(&key)?;
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from(certificate.der().to_vec()))?;
        let clients = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        let write = |name: &str, text: String| -> Result<PathBuf> {
            let file = directory.join(name);
            fs::write(&file, text).map_err(|error| format!("{}: {error}", file.display()))?;
            Ok(fs::canonicalize(file)?)
        };
        let cert = write("certificate.pem", pem("CERTIFICATE", certificate.der()))?;
        let key = write("key.pem", pem("PRIVATE KEY", &key.serialize_der()))?;
        Ok(Self { cert, key, clients: Arc::new(clients) })
    }

    /// What clients need.
    pub(in crate::peers) fn access(&self) -> Access {
        Access { tls: Some(Arc::clone(&self.clients)), token: None }
    }

    /// What Carillon is told.
    pub(in crate::peers) fn settings(&self) -> [(String, String); 2] {
        [("cert", &self.cert), ("key", &self.key)]
            .map(|(name, file)| (format!("server.tls.{name}"), file.display().to_string()))
    }

    /// nginx with this certificate on `address`, before the server that `behind` starts on `inner`. That one ends when nginx
    /// does.
    pub(in crate::peers) fn proxy(
        &self,
        options: &Options,
        (address, inner): (SocketAddr, SocketAddr),
        behind: &Command,
    ) -> Result<Command> {
        let prefix = options.directory.join("proxy");
        let file = prefix.join("nginx.conf");
        let config = TEMPLATE
            .replace("@WORKERS@", &options.workers.to_string())
            .replace("@ADDRESS@", &address.to_string())
            .replace("@CARILLON@", &inner.to_string())
            .replace("@CERT@", &self.cert.display().to_string())
            .replace("@KEY@", &self.key.display().to_string())
            .replace("@SILENCE_SECONDS@", &(2 * PING_INTERVAL / 1000).to_string());
        fs::create_dir_all(&prefix)
            .and_then(|()| fs::write(&file, config))
            .map_err(|error| format!("{}: {error}", file.display()))?;
        let mut command = child::guarded("sh")?;
        command.args(["-c", "\"$1\" serve & shift; exec \"$@\"", "sh"]).arg(behind.get_program());
        command.arg(machine::find(PROXY).ok_or("it is not installed")?);
        command.arg("-e").arg("stderr").arg("-p").arg(fs::canonicalize(prefix)?).arg("-c").arg(fs::canonicalize(file)?);
        command.envs(behind.get_envs().filter_map(|(name, value)| Some((name, value?))));
        Ok(command)
    }
}

/// A file of one thing.
fn pem(what: &str, der: &[u8]) -> String {
    let mut text = format!("-----BEGIN {what}-----\n");
    for line in der.chunks(48) {
        text.push_str(&STANDARD.encode(line));
        text.push('\n');
    }
    text + &format!("-----END {what}-----\n")
}

/// What Carillon is told, for clients that must show a token, and such a token.
pub(in crate::peers) fn tokens() -> Result<([(String, String); 2], Access)> {
    let settings = [("auth.mode", "jwt"), ("auth.key", SECRET)].map(|(key, value)| (key.to_owned(), value.to_owned()));
    let token = Tokens::of(SECRET).and_then(|tokens| tokens.issue("bench")).map_err(|error| error.to_string())?;
    Ok((settings, Access { tls: None, token: Some(token) }))
}

//! TLS of the listener for clients: the certificate in use, and the handshake of each connection.

mod files;
mod stamps;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use carillon_config::TlsSettings;
use rustls::ServerConfig;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use self::files::load;
pub(crate) use self::files::roots;
use self::stamps::Stamps;
use crate::metrics::{Handshake, Metrics};
use crate::wire::Stream;

/// How often the files are looked at. Those that change are read at the second look that finds them the same: two files
/// are seldom replaced at once.
const LOOK: Duration = Duration::from_secs(1);

/// The certificate in use. Connections keep the one they began with.
pub(crate) struct Tls {
    settings: TlsSettings,
    metrics: Arc<Metrics>,
    current: Mutex<Current>,
}

/// What was read, and when.
pub(crate) struct Current {
    config: Arc<ServerConfig>,
    /// The files as they were when they were read last, whether they could be used or not.
    stamps: Stamps,
}

/// Reads the files that the settings name; `None` where there is no TLS.
///
/// # Errors
/// What is wrong, with the key of the setting and the file.
pub(crate) fn read(settings: &TlsSettings) -> Result<Option<Current>, String> {
    // Before what is read: a change in between is seen afterwards.
    let stamps = Stamps::of(settings);
    Ok(load(settings)?.map(|config| Current { config, stamps }))
}

impl Tls {
    /// Begins with what was read.
    pub(crate) fn new(settings: &TlsSettings, current: Current, metrics: Arc<Metrics>) -> Self {
        Self { settings: settings.clone(), metrics, current: Mutex::new(current) }
    }

    fn current(&self) -> MutexGuard<'_, Current> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Shakes hands with a client, for no longer than `limit`; nothing when that does not succeed.
    pub(crate) async fn shake(&self, socket: TcpStream, limit: Duration) -> Option<Stream> {
        let acceptor = TlsAcceptor::from(Arc::clone(&self.current().config));
        let result = match timeout(limit, acceptor.accept(socket)).await {
            Ok(Ok(stream)) => {
                self.metrics.tls.shaken(Handshake::Done);
                let (socket, connection) = stream.into_inner();
                return Some(Stream::secure(socket, connection));
            }
            Ok(Err(error)) => {
                tracing::debug!(%error, "a TLS handshake failed");
                Handshake::Failed
            }
            Err(_) => Handshake::Late,
        };
        self.metrics.tls.shaken(result);
        None
    }

    /// Reads the files again, because of `why`; what cannot be used changes nothing.
    pub(crate) fn reload(&self, why: &str) {
        let stamps = Stamps::of(&self.settings);
        let read = load(&self.settings);
        self.metrics.tls.reloaded(read.is_ok());
        let mut current = self.current();
        current.stamps = stamps;
        match read {
            Ok(Some(config)) => {
                current.config = config;
                tracing::info!("{why}: the certificate was read again, new connections get it");
            }
            Ok(None) => {}
            Err(mistake) => tracing::error!("{why}: the certificate stays as it was: {mistake}"),
        }
    }

    /// Looks at the files until `stop`, and reads what has changed.
    pub(crate) async fn watch(self: Arc<Self>, stop: CancellationToken) {
        let mut seen = None;
        while stop.run_until_cancelled(tokio::time::sleep(LOOK)).await.is_some() {
            let tls = Arc::clone(&self);
            // A file may be far away.
            let look = tokio::task::spawn_blocking(move || {
                let stamps = Stamps::of(&tls.settings);
                if tls.current().stamps == stamps {
                    return None;
                }
                if seen.as_ref() == Some(&stamps) {
                    tls.reload("server.tls: a file has changed");
                    return None;
                }
                Some(stamps)
            });
            seen = look.await.ok().flatten();
        }
    }
}

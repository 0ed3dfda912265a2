//! The listener of `[admin]`: what operators read, apart from clients, until the last moment of a stop.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use carillon_config::{AdminSettings, ListenAddress, ServerSettings};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::accept;
use crate::admission::{Admission, Hosts};
use crate::http::{self, Site};
use crate::listen;
use crate::wire::Options;

/// Connections open at once: scrapers and probes, which no crowd of clients keeps out.
pub(crate) const MOST: usize = 64;
/// How long an answer that is under way may take at the end of a stop.
const LAST: Duration = Duration::from_millis(500);

/// The listener, once it serves.
pub(crate) struct Admin {
    stop: CancellationToken,
    tasks: TaskTracker,
}

/// Listens, where that is asked for; connections have these options.
///
/// # Errors
/// In words, as for the listener of clients.
pub(crate) async fn open(settings: &AdminSettings, options: Options) -> Result<Option<TcpListener>, String> {
    let Some(listen) = &settings.listen else { return Ok(None) };
    let opened = listen::open(listen, options, "admin.listen").await;
    opened.map(Some).map_err(|why| format!("admin.listen: {why}"))
}

/// Whether the two listeners would be in each other's way, as far as the settings tell.
pub(crate) fn clash(admin: &ListenAddress, server: &ListenAddress) -> bool {
    let every = |listen: &ListenAddress| matches!(listen.host.as_str(), "0.0.0.0" | "::");
    admin.port != 0 && admin.port == server.port && (admin.host == server.host || every(admin) || every(server))
}

impl Admin {
    /// Starts to serve what `site` has for operators.
    ///
    /// # Errors
    /// When the socket does not know its address.
    pub(crate) fn start(
        listener: TcpListener,
        site: &Site,
        server: &ServerSettings,
        settings: accept::Settings,
    ) -> io::Result<Self> {
        let address = listener.local_addr()?;
        let admission = Admission { hosts: Hosts::at(server, address), ..Admission::new(&rules()) };
        let admission = Arc::new(admission);
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        let site = Arc::new(Site { admission: Arc::clone(&admission), ..site.clone() });
        let metrics = Arc::clone(&site.metrics);
        let settings = accept::Settings { max_connections: MOST, tls: None, ..settings };
        let routes = http::operators_router(site);
        tasks.spawn(accept::run(listener, routes, settings, admission, metrics, tasks.clone(), stop.clone()));
        tracing::info!(
            "operators find /metrics, /livez, /readyz and /api/failures on http://{address}, and only there"
        );
        Ok(Self { stop, tasks })
    }

    /// Ends it; what is being answered is.
    pub(crate) async fn stop(self) {
        self.stop.cancel();
        self.tasks.close();
        if tokio::time::timeout(LAST, self.tasks.wait()).await.is_err() {
            tracing::debug!("some operators did not take their answers in time");
        }
    }
}

/// Who may come in here: one address may have every place.
fn rules() -> ServerSettings {
    ServerSettings { max_connections: MOST, max_connections_per_ip: MOST, ..ServerSettings::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_listeners_have_two_addresses() {
        let clash = |admin: &str, server: &str| clash(&admin.parse().unwrap(), &server.parse().unwrap());
        for (admin, server, found) in [
            ("127.0.0.1:8085", "127.0.0.1:8085", true),
            ("0.0.0.0:8085", "127.0.0.1:8085", true),
            ("127.0.0.1:8085", "[::]:8085", true),
            ("127.0.0.1:8085", "192.0.2.1:8085", false),
            ("127.0.0.1:9085", "127.0.0.1:8085", false),
            ("127.0.0.1:0", "127.0.0.1:0", false),
        ] {
            assert_eq!(clash(admin, server), found, "{admin} {server}");
        }
    }
}

//! A WebSocket of a session with one client, as if everything before had been said: for the micro benchmarks.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

use carillon_config::ServerSettings;
use carillon_core::peer::Handshake;
use carillon_core::sink::{Part, Taken};
use carillon_core::{Error, Result};

use super::Engine;
use super::out::{Carrier, Joined};
use super::session::Session;
use crate::admission::{Addresses, Budget, Guest};
use crate::wire::{Place, Stream, Wire};

/// See the module's documentation.
pub(crate) struct Carried {
    session: Arc<Session>,
    stream: Arc<Stream>,
    _place: Place,
}

impl Engine {
    /// A session that goes over `wire`, whose client is in `namespace`.
    ///
    /// # Errors
    /// When there can be no such session.
    pub(crate) fn carried(&self, wire: Wire, namespace: &str) -> Result<Carried> {
        let handshake = Handshake::new(([127, 0, 0, 1], 9).into(), false, "");
        let addresses = Addresses::new(&ServerSettings::default());
        let guest = Guest::admit(&addresses, &Budget::new(1 << 20), handshake);
        let guest = guest.map_err(|_| Error::unavailable("no room for a session"))?;
        let session = Session::open(&self.0, guest).map_err(|error| Error::internal(error.to_string()))?;
        let (stream, place, _) = wire.into_parts();
        let mut out = session.out();
        out.carrier = Carrier::WebSocket(Arc::clone(&stream));
        out.joined.push(Joined { key: 0, namespace: namespace.into(), corked: false });
        drop(out);
        Ok(Carried { session, stream, _place: place })
    }
}

impl Carried {
    pub(crate) fn push(&self, part: &Part<'_>) -> Taken {
        self.session.push(part)
    }

    /// Waits until everything is in the kernel, as the reading task does.
    pub(crate) async fn flush(&self) {
        poll_fn(|cx| {
            self.session.drive(&self.stream, cx);
            if self.session.queued_bytes() > 0 { Poll::Pending } else { Poll::Ready(()) }
        })
        .await;
    }
}

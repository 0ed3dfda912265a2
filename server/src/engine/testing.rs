//! The engine without HTTP in front of it, for tests and the simulation: sessions, polls, POSTs and WebSockets as requests make them.

use std::sync::Arc;

use axum::body::Body;
use carillon_config::{ServerSettings, WireSettings};
use carillon_core::lifecycle::App;
use carillon_core::peer::Handshake;
use carillon_core::sink::Reason;
use http_body_util::BodyExt;
use tokio::runtime::Handle;
use tokio_util::task::TaskTracker;

use super::session::Session;
use super::upgrade::{Purpose, Socket, carry};
use super::{Engine, Settings, polling};
use crate::admission::{Addresses, Budget, Guest};
use crate::metrics::Metrics;
use crate::wire::{Place, Stream};

/// A simulated client that was let in.
fn guest() -> Arc<Guest> {
    let handshake = Handshake::new(([127, 0, 0, 1], 9).into(), false, "");
    let addresses = Addresses::new(&ServerSettings::default());
    Guest::admit(&addresses, &Budget::new(1 << 20), handshake).ok().unwrap()
}

impl Engine {
    /// An engine for these namespaces, of which nobody waits for the tasks; and what it counts.
    pub(crate) fn of(app: &App, wire: &WireSettings) -> (Self, Arc<Metrics>) {
        let metrics = Arc::new(Metrics::new(app.metrics()).unwrap());
        let (settings, deliveries) = (Settings::new(&ServerSettings::default(), wire), app.metrics().deliveries());
        let engine = Self::new(settings, app.router(), &metrics, deliveries, &TaskTracker::new(), &Handle::current());
        (engine, metrics)
    }

    /// A polling session.
    pub(crate) fn open_polling(&self) -> Arc<Session> {
        Session::open(&self.0, guest()).unwrap()
    }

    /// Serves a WebSocket: of a session of its own, which writes the `answer` to its handshake, or of one that polls.
    pub(crate) async fn carry(self, session: Option<Arc<Session>>, stream: Arc<Stream>, place: Place, answer: Vec<u8>) {
        let socket = Socket { stream, place, answer, rest: Vec::new() };
        let purpose = session.map_or_else(|| Purpose::Session(guest()), Purpose::Upgrade);
        carry(self.0, purpose, socket).await;
    }

    /// The session that was opened last.
    pub(crate) fn newest(&self) -> Option<Arc<Session>> {
        self.sessions().into_iter().max_by_key(|session| session.number)
    }
}

impl Session {
    pub(crate) fn name(&self) -> u64 {
        self.number
    }

    /// The body of a poll's answer; `None` when it is refused.
    pub(crate) async fn poll(self: &Arc<Self>) -> Option<String> {
        if self.ended().is_some() {
            return None;
        }
        let body = polling::get(self).await.ok()?.into_body().collect().await.unwrap().to_bytes();
        Some(String::from_utf8(body.to_vec()).unwrap())
    }

    /// Whether a POST is taken.
    pub(crate) async fn post(self: &Arc<Self>, body: String) -> bool {
        self.ended().is_none() && polling::post(Arc::clone(self), Body::from(body)).await.is_ok()
    }

    pub(crate) fn lives(&self) -> bool {
        self.ended().is_none()
    }

    pub(crate) fn waiting_bytes(&self) -> usize {
        self.queued_bytes()
    }

    pub(crate) fn kill(self: &Arc<Self>, reason: Reason) {
        self.end(reason);
    }
}

//! The engine that serves Socket.IO, whichever it is: what HTTP, start and stop ask of it.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use carillon_core::sink::{Reason, Transport};
use http::request::Parts;
use tokio_util::sync::CancellationToken;

use crate::admission::Guest;
use crate::{bridge, engine};

/// Who speaks Socket.IO. Cheap to clone.
#[derive(Clone)]
pub(crate) enum Serving {
    /// Our own engine.
    Carillon(engine::Engine),
    /// The second engine, behind the bridge.
    Bridge(Box<bridge::Engine>),
}

impl Serving {
    /// The transport of the session that a request would open, given a guest; `None` when it opens none.
    pub(crate) fn opens(&self, parts: &Parts) -> Option<Transport> {
        match self {
            Self::Carillon(engine) => engine.opens(parts),
            Self::Bridge(engine) => engine.opens(parts),
        }
    }

    /// Answers one HTTP request of a client; one that names no session comes with the `guest` whose session it opens.
    pub(crate) async fn call(&self, parts: Parts, body: Body, guest: Option<Arc<Guest>>) -> Response {
        match self {
            Self::Carillon(engine) => engine.call(parts, body, guest).await,
            Self::Bridge(engine) => engine.call(parts, body, guest).await,
        }
    }

    /// Looks after the sessions until `stop`.
    pub(crate) async fn run(self, stop: CancellationToken) {
        match self {
            Self::Carillon(engine) => engine.run(stop).await,
            Self::Bridge(engine) => engine.run(stop).await,
        }
    }

    /// From now on there are no new sessions.
    pub(crate) fn refuse_new(&self) {
        match self {
            Self::Carillon(engine) => engine.refuse_new(),
            Self::Bridge(engine) => engine.sessions().refuse_new(),
        }
    }

    /// Whether there are no new sessions any more.
    pub(crate) fn refusing(&self) -> bool {
        match self {
            Self::Carillon(engine) => engine.refusing(),
            Self::Bridge(engine) => engine.sessions().refusing(),
        }
    }

    /// How many sessions there are.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Carillon(engine) => engine.len(),
            Self::Bridge(engine) => engine.sessions().len(),
        }
    }

    /// Every living session.
    pub(crate) fn sessions(&self) -> Vec<Session> {
        match self {
            Self::Carillon(engine) => engine.sessions().into_iter().map(Session::Carillon).collect(),
            Self::Bridge(engine) => engine.sessions().all().into_iter().map(Session::Bridge).collect(),
        }
    }
}

/// A session of either engine.
pub(crate) enum Session {
    Carillon(Arc<engine::Session>),
    Bridge(Arc<bridge::Session>),
}

impl Session {
    /// Ends it once its client has the answers it is owed, or after `patience`.
    pub(crate) async fn end_gently(self, reason: Reason, patience: Duration) {
        match self {
            Self::Carillon(session) => session.end_gently(reason, patience).await,
            Self::Bridge(session) => session.end_gently(reason, patience).await,
        }
    }
}

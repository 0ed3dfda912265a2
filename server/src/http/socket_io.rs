//! `/socket.io/`: who may open a session, before any of it exists; the engine answers the rest.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;
use carillon_core::peer::{Handshake, Peer};
use carillon_core::sink::Transport;
use http::StatusCode;
use http::request::Parts;

use super::{Site, checks, reply};
use crate::admission::{Guest, NoGuest, Source, TooMany, engineio};
use crate::metrics::Refused;

/// Answers one request of a Socket.IO client.
pub(super) async fn answer(State(site): State<Arc<Site>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    if let Err(words) = checks::page(&site, &parts) {
        return engineio::refusal(StatusCode::FORBIDDEN, 4, &words);
    }
    let guest = if names_session(&parts) {
        None
    } else {
        match newcomer(&site, &parts) {
            Ok(guest) => Some(guest),
            Err(refusal) => return *refusal,
        }
    };
    if let Some(guest) = &guest
        && site.plugins.decides_handshakes()
        && let Some(transport) = site.engine.opens(&parts)
        && let Some(refusal) = decided(&site, guest, transport).await
    {
        return refusal;
    }
    site.engine.call(parts, body, guest).await
}

/// Whether the request is for a session that is there.
fn names_session(parts: &Parts) -> bool {
    engineio::param(parts.uri.query().unwrap_or_default(), "sid").is_some()
}

/// The answer when there can be no new session.
fn full(site: &Site) -> Option<Response> {
    let (reason, text) = if site.engine.refusing() {
        (Refused::Draining, "The server is going away")
    } else if site.engine.len() >= site.max_sessions {
        (Refused::TooManySessions, "Too many sessions")
    } else {
        return None;
    };
    site.metrics.refused(reason);
    Some(reply::later(reply::detail(StatusCode::SERVICE_UNAVAILABLE, text)))
}

/// Room for another session, or the answer when there is none.
fn newcomer(site: &Site, parts: &Parts) -> Result<Arc<Guest>, Box<Response>> {
    if let Some(refusal) = full(site) {
        return Err(refusal.into());
    }
    let source = checks::source(parts).ok_or_else(unknown_session)?;
    guest(site, parts, source).map_err(|why| no_guest(site, why).into())
}

/// Room for another session, before anything of it exists.
fn guest(site: &Site, parts: &Parts, source: Source) -> Result<Arc<Guest>, NoGuest> {
    let headers = parts.headers.iter().filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)));
    let query = parts.uri.query().unwrap_or_default();
    let handshake = Handshake::new(source.address, source.secure == Some(true), query)
        .with_headers(headers)
        .with_path(parts.uri.path());
    Guest::admit(&site.admission.addresses, &site.admission.budget, handshake)
}

/// The answer when a plugin refuses the handshake of `guest`.
async fn decided(site: &Site, guest: &Guest, transport: Transport) -> Option<Response> {
    let Err(refusal) = site.plugins.handshake(Peer::of(guest.handshake(), transport, None)).await else {
        // That took a while: meanwhile others came, or the server began to stop.
        return full(site);
    };
    site.metrics.refused(Refused::Plugin);
    let response = engineio::refusal(reply::status(refusal.status()), 4, refusal.message());
    let passing = matches!(response.status(), StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE);
    Some(if passing { reply::later(response) } else { response })
}

/// The answer when there is none.
fn no_guest(site: &Site, why: NoGuest) -> Response {
    let (reason, text) = match why {
        NoGuest::NoMemory => return no_memory(site),
        NoGuest::TooMany(TooMany::AtOnce) => (Refused::TooManyFromAddress, "Too many sessions from this address"),
        NoGuest::TooMany(TooMany::TooFast) => (Refused::TooFast, "New sessions too fast from this address"),
    };
    site.metrics.refused(reason);
    reply::later(reply::detail(StatusCode::TOO_MANY_REQUESTS, text))
}

fn no_memory(site: &Site) -> Response {
    site.metrics.refused(Refused::Memory);
    reply::later(reply::detail(StatusCode::SERVICE_UNAVAILABLE, "Too much is under way"))
}

fn unknown_session() -> Response {
    engineio::refusal(StatusCode::BAD_REQUEST, 1, "Session ID unknown")
}

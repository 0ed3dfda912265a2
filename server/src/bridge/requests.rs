//! HTTP requests on their way to socketioxide: what is checked before, and which session a connection carries.

use std::sync::Arc;

use axum::body::Body;
use axum::response::Response;
use carillon_core::sink::Transport;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Uri, header};
use http_body_util::BodyExt;
use hyper::upgrade::OnUpgrade;
use serde::Deserialize;

use super::{Engine, Session};
use crate::admission::Guest;
use crate::admission::engineio::{param, refusal};
use crate::admission::websocket::{self, Wrong};
use crate::wire::Handle;

/// The parameters that socketioxide reads.
const OWN: [&str; 3] = ["EIO", "transport", "sid"];

/// The session that a request opens, for the doors of its namespaces.
#[derive(Clone)]
pub(super) struct Caller(pub(super) Arc<Session>);

impl Engine {
    /// The transport of the session that a request would open, given a guest; `None` when it opens none.
    pub(crate) fn opens(&self, parts: &Parts) -> Option<Transport> {
        let query = parts.uri.query().unwrap_or_default();
        let opens = parts.method == Method::GET && param(query, "EIO") == Some("4") && param(query, "sid").is_none();
        match param(query, "transport").filter(|_| opens)? {
            "polling" => Some(Transport::Polling),
            "websocket" => websocket::check(parts.version, &parts.headers).ok().map(|()| Transport::WebSocket),
            _ => None,
        }
    }

    /// Answers one HTTP request of a client; one that names no session comes with the `guest` whose session it opens.
    pub(crate) async fn call(&self, parts: Parts, body: Body, guest: Option<Arc<Guest>>) -> Response {
        let query = parts.uri.query().unwrap_or_default();
        let for_websocket = param(query, "transport") == Some("websocket");
        let transport = if for_websocket { Transport::WebSocket } else { Transport::Polling };
        let known = param(query, "sid").and_then(|id| self.sessions.named(id));
        if for_websocket {
            if let Err(wrong) = websocket::check(parts.version, &parts.headers) {
                return not_a_handshake(wrong);
            }
            // socketioxide would agree first, and hang up then.
            if guest.is_none() && known.is_none() {
                return refusal(StatusCode::BAD_REQUEST, 1, "Session ID unknown");
            }
        }
        let opened = guest.map(|guest| self.sessions.open(guest, transport));
        let session = opened.clone().or(known);
        let response = self.ask(slim(&parts, body, opened.clone())).await;
        match (response.status(), session, opened) {
            (StatusCode::SWITCHING_PROTOCOLS, Some(session), _) => {
                parts.extensions.get::<Handle>().into_iter().for_each(|wire| session.is_carried_by(wire));
                response
            }
            (StatusCode::OK, _, Some(session)) => named(response, &session).await,
            _ => response,
        }
    }
}

/// The answer to a handshake over polling, which tells the session's id.
async fn named(response: Response, session: &Arc<Session>) -> Response {
    #[derive(Deserialize)]
    struct Open<'a> {
        #[serde(borrow)]
        sid: &'a str,
    }
    let (head, body) = response.into_parts();
    // It is complete from the start.
    let body = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let open = body.strip_prefix(b"0").and_then(|open| serde_json::from_slice::<Open<'_>>(open).ok());
    match open {
        Some(open) => session.is_named(open.sid),
        None => tracing::error!("socketioxide answered a handshake in a way not understood"),
    }
    Response::from_parts(head, Body::from(body))
}

/// The request without what socketioxide has no use for: a session keeps its first request for life, and headers are
/// slices of a read buffer of several kilobytes. Cookies and tokens go the same way, those in the query included:
/// plugins see them in the [`Guest`]'s handshake.
fn slim(parts: &Parts, body: Body, opens: Option<Arc<Session>>) -> Request<Body> {
    let mut request = Request::new(body);
    *request.method_mut() = parts.method.clone();
    *request.version_mut() = parts.version;
    let query = parts.uri.query().unwrap_or_default();
    let kept = OWN.iter().filter_map(|name| Some(format!("{name}={}", param(query, name)?)));
    let uri = format!("{}?{}", parts.uri.path(), kept.collect::<Vec<_>>().join("&"));
    *request.uri_mut() = Uri::try_from(uri).unwrap_or_default();
    // Made for one header, not for several, as by default.
    *request.headers_mut() = HeaderMap::with_capacity(1);
    let key = parts.headers.get(header::SEC_WEBSOCKET_KEY);
    if let Some(key) = key.and_then(|key| HeaderValue::from_bytes(key.as_bytes()).ok()) {
        request.headers_mut().insert(header::SEC_WEBSOCKET_KEY, key);
    }
    if let Some(session) = opens {
        request.extensions_mut().insert(Caller(session));
    }
    if let Some(taken_over) = parts.extensions.get::<OnUpgrade>() {
        request.extensions_mut().insert(taken_over.clone());
    }
    request
}

/// The answer to a WebSocket handshake that is none.
fn not_a_handshake(wrong: Wrong) -> Response {
    match wrong {
        Wrong::Malformed(why) => {
            refusal(StatusCode::BAD_REQUEST, 3, &format!("Bad request: not a WebSocket handshake ({why})"))
        }
        Wrong::Version => {
            refusal(StatusCode::UPGRADE_REQUIRED, 3, "Bad request: not a version of WebSocket known here")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slim_request_keeps_what_socketioxide_reads_and_nothing_else() {
        let request = http::Request::get("/socket.io/?EIO=4&transport=polling&token=a%20b")
            .header("cookie", "secret")
            .body(())
            .unwrap();
        let (parts, ()) = request.into_parts();
        let slim = slim(&parts, Body::empty(), None);
        assert_eq!(slim.uri().to_string(), "/socket.io/?EIO=4&transport=polling", "A6: nor what is for plugins");
        assert!(slim.headers().is_empty());
        assert_eq!(param(slim.uri().query().unwrap(), "transport"), Some("polling"));
    }
}

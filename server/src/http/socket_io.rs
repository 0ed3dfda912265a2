//! `/socket.io/`: what is checked and noted about a request before Socket.IO gets it, and about its answer after.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use carillon_core::sink::Reason;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use http_body_util::BodyExt;
use hyper::upgrade::OnUpgrade;

use super::polling::{self, NoBody};
use super::{Serving, Site, reply};
use crate::bridge::Engine;
use crate::link::{Caller, Link};
use crate::metrics::Refused;
use crate::wire::Handle;

/// Answers one request of a Socket.IO client.
pub(super) async fn answer(State(site): State<Arc<Site>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    if !site.origins.allow(parts.headers.get(header::ORIGIN), parts.headers.get(header::HOST)) {
        site.metrics.refused(Refused::Origin);
        return reply::engine(StatusCode::FORBIDDEN, 4, "Forbidden: this origin is not allowed");
    }
    let query = parts.uri.query().unwrap_or_default();
    let engine = match &site.engine {
        Serving::Carillon(own) => {
            return match full(&site).filter(|_| param(query, "sid").is_none()) {
                Some(refusal) => refusal,
                None => own.call(parts, body).await,
            };
        }
        Serving::Bridge(engine) => engine,
    };
    let link = match param(query, "sid") {
        None => None,
        Some(id) => match site.links.get(id) {
            Some(link) => Some(link),
            None => return unknown_session(),
        },
    };
    if link.is_none()
        && let Some(refusal) = full(&site)
    {
        return refusal;
    }
    match (param(query, "transport"), link, &parts.method) {
        (Some("websocket"), link, &Method::GET) => websocket(&site, engine, parts, link).await,
        (Some("polling"), None, &Method::GET) => handshake(&site, engine, parts).await,
        (Some("polling"), Some(link), &Method::GET) => poll(engine, parts, &link).await,
        (Some("polling"), Some(link), &Method::POST) => post(&site, engine, parts, body, link).await,
        // Nothing else goes on to Socket.IO: it could open a session that nobody here knows of.
        (Some("websocket" | "polling"), None, _) => reply::engine(StatusCode::BAD_REQUEST, 2, "Bad handshake method"),
        (Some("websocket" | "polling"), Some(_), _) => reply::engine(StatusCode::BAD_REQUEST, 3, "Bad request"),
        _ => reply::engine(StatusCode::BAD_REQUEST, 0, "Transport unknown"),
    }
}

/// Opens a session over WebSocket, or moves one there.
async fn websocket(site: &Arc<Site>, engine: &Engine, parts: Parts, session: Option<Arc<Link>>) -> Response {
    let (Some(wire), true) = (parts.extensions.get::<Handle>().cloned(), wants_websocket(&parts.headers)) else {
        return reply::engine(StatusCode::BAD_REQUEST, 3, "Bad request: not a WebSocket handshake");
    };
    let upgrade = session.is_some();
    let link = match session {
        Some(link) if link.has_wire() => {
            return reply::engine(StatusCode::BAD_REQUEST, 3, "Bad request: already a WebSocket");
        }
        Some(link) => link,
        None => site.links.open(),
    };
    let mut request = slim(&parts, Body::empty());
    // Kept for life, and made for several headers by default.
    *request.headers_mut() = HeaderMap::with_capacity(1);
    copy(header::SEC_WEBSOCKET_KEY, &parts.headers, request.headers_mut());
    request.extensions_mut().insert(Caller { address: wire.peer(), link: Arc::clone(&link) });
    if let Some(taken_over) = parts.extensions.get::<OnUpgrade>() {
        request.extensions_mut().insert(taken_over.clone());
    }
    let response = engine.call(request).await;
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        wire.carry(&link);
        link.carried_by(&wire, upgrade);
    }
    response
}

/// Opens a polling session.
async fn handshake(site: &Arc<Site>, engine: &Engine, parts: Parts) -> Response {
    let Some(wire) = parts.extensions.get::<Handle>() else { return unknown_session() };
    let link = site.links.open();
    let mut request = slim(&parts, Body::empty());
    request.extensions_mut().insert(Caller { address: wire.peer(), link: Arc::clone(&link) });
    let (mut head, body) = taken(engine.call(request).await).await;
    if head.status != StatusCode::OK {
        return Response::from_parts(head, Body::from(body));
    }
    let told = std::str::from_utf8(&body)
        .ok()
        .and_then(|body| polling::handshake(body, site.max_message_bytes, site.websocket));
    let Some((id, told)) = told else {
        tracing::error!("Socket.IO answered a handshake in a way not understood");
        return reply::detail(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error");
    };
    link.named(&id);
    head.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(told.len()));
    Response::from_parts(head, Body::from(told))
}

/// Waits for packets to the client.
async fn poll(engine: &Engine, parts: Parts, link: &Arc<Link>) -> Response {
    let (head, body) = taken(engine.call(slim(&parts, Body::empty())).await).await;
    if head.status == StatusCode::OK {
        polling::account(link, &body);
    }
    Response::from_parts(head, Body::from(body))
}

/// Takes packets from the client.
async fn post(site: &Arc<Site>, engine: &Engine, parts: Parts, body: Body, link: Arc<Link>) -> Response {
    let Some(posting) = link.post() else {
        // Which of the two comes first could not be told: Node ends such a session too.
        link.end(Reason::DoublePoll);
        return reply::engine(StatusCode::BAD_REQUEST, 3, "Bad request: another POST is under way");
    };
    let body = match polling::read(body, site.max_message_bytes).await {
        Ok(body) => body,
        Err(NoBody::TooLarge) => {
            link.end(Reason::BadPacket);
            return reply::detail(StatusCode::PAYLOAD_TOO_LARGE, "Payload Too Large");
        }
        Err(NoBody::Broken) => {
            link.end(Reason::TransportError);
            return reply::engine(StatusCode::BAD_REQUEST, 3, "Bad request: the body did not arrive");
        }
    };
    let request = slim(&parts, polling::paced(link, body));
    let engine = engine.clone();
    // What has arrived is handled to its end, also when the client hangs up meanwhile.
    let handed_over = site.tasks.spawn(async move {
        let response = engine.call(request).await;
        drop(posting);
        response
    });
    handed_over.await.unwrap_or_else(|_| reply::detail(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error"))
}

/// The answer when there can be no new session.
fn full(site: &Site) -> Option<Response> {
    let (refusing, sessions) = match &site.engine {
        Serving::Carillon(own) => (own.refusing(), own.len()),
        Serving::Bridge(_) => (site.links.refusing(), site.links.len()),
    };
    let (reason, text) = if refusing {
        (Refused::Draining, "The server is going away")
    } else if sessions >= site.max_sessions {
        (Refused::TooManySessions, "Too many sessions")
    } else {
        return None;
    };
    site.metrics.refused(reason);
    let mut refusal = reply::detail(StatusCode::SERVICE_UNAVAILABLE, text);
    // Another server may be reached over another connection.
    refusal.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    Some(refusal)
}

fn unknown_session() -> Response {
    reply::engine(StatusCode::BAD_REQUEST, 1, "Session ID unknown")
}

/// An answer of Socket.IO, taken apart. Its bodies are complete from the start.
async fn taken(response: Response) -> (http::response::Parts, bytes::Bytes) {
    let (head, body) = response.into_parts();
    (head, body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default())
}

/// The first `name=` of a query, as Socket.IO itself reads it.
fn param<'a>(query: &'a str, name: &str) -> Option<&'a str> {
    query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
}

/// The request without what Socket.IO has no use for: a session keeps its first request for life, and headers are
/// slices of a read buffer of several kilobytes. Cookies and tokens go the same way.
fn slim(parts: &Parts, body: Body) -> Request {
    let mut request = Request::new(body);
    *request.method_mut() = parts.method.clone();
    *request.version_mut() = parts.version;
    // From a string of its own: a copy of the `Uri` would share the buffer.
    *request.uri_mut() = Uri::try_from(parts.uri.to_string()).unwrap_or_default();
    request
}

fn copy(name: HeaderName, from: &HeaderMap, to: &mut HeaderMap) {
    if let Some(value) = from.get(&name).and_then(|value| HeaderValue::from_bytes(value.as_bytes()).ok()) {
        to.insert(name, value);
    }
}

/// Whether the request is a WebSocket handshake (RFC 6455, section 4.2.1).
fn wants_websocket(headers: &HeaderMap) -> bool {
    let has = |name: HeaderName, token: &str| {
        let values = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
        values.flat_map(|value| value.split(',')).any(|part| part.trim().eq_ignore_ascii_case(token))
    };
    has(header::CONNECTION, "upgrade")
        && has(header::UPGRADE, "websocket")
        && has(header::SEC_WEBSOCKET_VERSION, "13")
        && headers.contains_key(header::SEC_WEBSOCKET_KEY)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slim_request_keeps_the_uri_and_nothing_of_the_head() {
        let request = http::Request::get("/socket.io/?EIO=4&transport=polling&token=a%20b")
            .header("cookie", "secret")
            .body(())
            .unwrap();
        let (parts, ()) = request.into_parts();
        let slim = slim(&parts, Body::empty());
        assert_eq!(slim.uri().to_string(), "/socket.io/?EIO=4&transport=polling&token=a%20b");
        assert!(slim.headers().is_empty());
        assert_eq!(param(slim.uri().query().unwrap(), "transport"), Some("polling"));
        assert_eq!(param("a=1&sid=&sid=2", "sid"), Some(""));
        assert_eq!(param("sidney=1", "sid"), None);
    }

    #[test]
    fn a_websocket_handshake_has_all_four_headers() {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONNECTION, HeaderValue::from_static("keep-alive, Upgrade"));
        headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
        assert!(!wants_websocket(&headers));
        headers.insert(header::SEC_WEBSOCKET_KEY, HeaderValue::from_static("AAAA"));
        assert!(wants_websocket(&headers));
    }
}

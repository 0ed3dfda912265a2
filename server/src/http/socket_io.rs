//! `/socket.io/`: what is checked and noted about a request before Socket.IO gets it, and about its answer after.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use carillon_core::peer::{Handshake, Peer};
use carillon_core::sink::{Reason, Transport};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use http_body_util::BodyExt;
use hyper::upgrade::OnUpgrade;

use super::polling;
use super::{Serving, Site, checks, reply};
use crate::admission::body::{self, NoBody};
use crate::admission::websocket::{self, Wrong};
use crate::admission::{Guest, NoGuest, Source, TooMany};
use crate::bridge::Engine;
use crate::link::{Caller, Link};
use crate::metrics::Refused;
use crate::wire::Handle;

/// The parameters that Socket.IO itself reads.
const OWN: [&str; 3] = ["EIO", "transport", "sid"];

/// Answers one request of a Socket.IO client.
pub(super) async fn answer(State(site): State<Arc<Site>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    if let Err(words) = checks::page(&site, &parts) {
        return reply::engine(StatusCode::FORBIDDEN, 4, &words);
    }
    let query = parts.uri.query().unwrap_or_default();
    let engine = match &site.engine {
        Serving::Carillon(own) => {
            let guest = match param(query, "sid") {
                Some(_) => None,
                None => match newcomer(&site, &parts) {
                    Ok(guest) => Some(guest),
                    Err(refusal) => return *refusal,
                },
            };
            if let Some(guest) = &guest
                && let Some(transport) = own.opens(&parts)
                && let Some(refusal) = decided(&site, guest, transport).await
            {
                return refusal;
            }
            return own.call(parts, body, guest).await;
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
    if let Err(wrong) = websocket::check(parts.version, &parts.headers) {
        return not_a_handshake(wrong);
    }
    let (Some(wire), Some(source)) = (parts.extensions.get::<Handle>().cloned(), checks::source(&parts)) else {
        return unknown_session();
    };
    let upgrade = session.is_some();
    let (link, caller) = match session {
        Some(link) if link.has_wire() => {
            return reply::engine(StatusCode::BAD_REQUEST, 3, "Bad request: already a WebSocket");
        }
        Some(link) => (link, None),
        None => match guest(site, &parts, source) {
            Ok(guest) => {
                if let Some(refusal) = decided(site, &guest, Transport::WebSocket).await {
                    return refusal;
                }
                let link = site.links.open();
                (Arc::clone(&link), Some(Caller { guest, link }))
            }
            Err(why) => return no_guest(site, why),
        },
    };
    let mut request = slim(&parts, Body::empty());
    // Kept for life, and made for several headers by default.
    *request.headers_mut() = HeaderMap::with_capacity(1);
    copy(header::SEC_WEBSOCKET_KEY, &parts.headers, request.headers_mut());
    // One that began with polling has it from there.
    if let Some(caller) = caller {
        request.extensions_mut().insert(caller);
    }
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

/// The answer to a handshake that is none.
fn not_a_handshake(wrong: Wrong) -> Response {
    match wrong {
        Wrong::Malformed(why) => {
            let words = format!("Bad request: not a WebSocket handshake ({why})");
            reply::engine(StatusCode::BAD_REQUEST, 3, &words)
        }
        Wrong::Version => {
            let words = "Bad request: the version of WebSocket is 13";
            let mut response = reply::engine(StatusCode::UPGRADE_REQUIRED, 3, words);
            let headers = response.headers_mut();
            headers.insert(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static(websocket::VERSION));
            headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
            headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
            response
        }
    }
}

/// Opens a polling session.
async fn handshake(site: &Arc<Site>, engine: &Engine, parts: Parts) -> Response {
    let Some(source) = checks::source(&parts) else { return unknown_session() };
    let guest = match guest(site, &parts, source) {
        Ok(guest) => guest,
        Err(why) => return no_guest(site, why),
    };
    if let Some(refusal) = decided(site, &guest, Transport::Polling).await {
        return refusal;
    }
    let link = site.links.open();
    let mut request = slim(&parts, Body::empty());
    request.extensions_mut().insert(Caller { guest, link: Arc::clone(&link) });
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
    let Some(source) = checks::source(&parts) else { return unknown_session() };
    let Some(held) = site.admission.budget.hold(source.address.ip(), 0) else { return no_memory(site) };
    let (body, held) = match body::read(body, site.max_message_bytes, held).await {
        Ok(taken) => taken,
        Err(NoBody::TooLarge) => {
            link.end(Reason::BadPacket);
            return reply::detail(StatusCode::PAYLOAD_TOO_LARGE, "Payload Too Large");
        }
        Err(NoBody::Broken) => {
            link.end(Reason::TransportError);
            return reply::engine(StatusCode::BAD_REQUEST, 3, "Bad request: the body did not arrive");
        }
        Err(NoBody::NoMemory) => {
            // What it said is lost, so the session is over.
            link.end(Reason::TransportError);
            return no_memory(site);
        }
    };
    let request = slim(&parts, polling::paced(link, body));
    let engine = engine.clone();
    // What has arrived is handled to its end, also when the client hangs up meanwhile.
    let handed_over = site.tasks.spawn(async move {
        let response = engine.call(request).await;
        drop((posting, held));
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
    if !site.plugins.decides_handshakes() {
        return None;
    }
    let Err(refusal) = site.plugins.handshake(Peer::of(guest.handshake(), transport, None)).await else {
        // That took a while: meanwhile others came, or the server began to stop.
        return full(site);
    };
    site.metrics.refused(Refused::Plugin);
    let response = reply::engine(reply::status(refusal.status()), 4, refusal.message());
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
/// slices of a read buffer of several kilobytes. Cookies and tokens go the same way, those in the query included:
/// plugins see them in the [`Guest`]'s handshake.
fn slim(parts: &Parts, body: Body) -> Request {
    let mut request = Request::new(body);
    *request.method_mut() = parts.method.clone();
    *request.version_mut() = parts.version;
    let query = parts.uri.query().unwrap_or_default();
    let kept = OWN.iter().filter_map(|name| Some(format!("{name}={}", param(query, name)?)));
    let uri = format!("{}?{}", parts.uri.path(), kept.collect::<Vec<_>>().join("&"));
    *request.uri_mut() = Uri::try_from(uri).unwrap_or_default();
    request
}

fn copy(name: HeaderName, from: &HeaderMap, to: &mut HeaderMap) {
    if let Some(value) = from.get(&name).and_then(|value| HeaderValue::from_bytes(value.as_bytes()).ok()) {
        to.insert(name, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handshake_of_another_version_is_told_ours() {
        let answer = not_a_handshake(Wrong::Version);
        assert_eq!(answer.status(), StatusCode::UPGRADE_REQUIRED);
        assert_eq!(answer.headers()[header::SEC_WEBSOCKET_VERSION], websocket::VERSION);
    }

    #[test]
    fn a_slim_request_keeps_what_socket_io_reads_and_nothing_else() {
        let request = http::Request::get("/socket.io/?EIO=4&transport=polling&token=a%20b")
            .header("cookie", "secret")
            .body(())
            .unwrap();
        let (parts, ()) = request.into_parts();
        let slim = slim(&parts, Body::empty());
        assert_eq!(slim.uri().to_string(), "/socket.io/?EIO=4&transport=polling", "A6: nor what is for plugins");
        assert!(slim.headers().is_empty());
        assert_eq!(param(slim.uri().query().unwrap(), "transport"), Some("polling"));
        assert_eq!(param("a=1&sid=&sid=2", "sid"), Some(""));
        assert_eq!(param("sidney=1", "sid"), None);
    }
}

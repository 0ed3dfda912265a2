//! HTTP requests of clients: which transport of which session they are for, and what is wrong with them.

use std::sync::Arc;

use axum::body::Body;
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use carillon_core::packet::engine::Kind;
use carillon_core::sink::Transport;
use http::request::Parts;
use http::{HeaderValue, Method, StatusCode, header};
use hyper::upgrade::OnUpgrade;
use sha1::{Digest, Sha1};

use super::session::Session;
use super::sessions::Id;
use super::upgrade::{self, Purpose};
use super::{Engine, polling};
use crate::admission::Guest;
use crate::admission::engineio::{param, refusal};
use crate::admission::websocket::{self, Wrong};
use crate::metrics::Refused;
use crate::wire::Handle;

/// RFC 6455, section 1.3: proves that the server has understood a WebSocket handshake.
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
/// The version of Engine.IO.
const ENGINE_IO: &str = "4";

/// Why a request is refused; the codes are those of Engine.IO.
pub(super) enum Refusal {
    UnknownTransport,
    UnknownSession,
    BadMethod,
    BadRequest(&'static str),
    UnsupportedProtocol,
    /// The WebSocket protocol has another version.
    WebSocketVersion,
    TooLarge,
    /// As much is held as may be of messages that have come in part.
    NoMemory,
    /// The system has no randomness to give.
    Failure,
}

impl Engine {
    /// Answers one HTTP request of a client; one that names no session comes with the `guest` whose session it opens.
    pub(crate) async fn call(&self, parts: Parts, body: Body, guest: Option<Arc<Guest>>) -> Response {
        self.answer(parts, body, guest).await.unwrap_or_else(Refusal::into_response)
    }

    /// The transport of the session that a request would open, given a guest; `None` when it opens none.
    pub(crate) fn opens(&self, parts: &Parts) -> Option<Transport> {
        match self.check(parts).ok()? {
            (_, Some(_)) => None,
            (true, None) => websocket::check(parts.version, &parts.headers).ok().map(|()| Transport::WebSocket),
            (false, None) => Some(Transport::Polling),
        }
    }

    /// Whether a request is for a WebSocket, and which session it is for; with `None` it opens one.
    fn check(&self, parts: &Parts) -> Result<(bool, Option<Arc<Session>>), Refusal> {
        let settings = &self.0.settings;
        let query = parts.uri.query().unwrap_or_default();
        let websocket = match param(query, "transport") {
            Some("polling") if settings.polling => false,
            Some("websocket") if settings.websocket => true,
            _ => return Err(Refusal::UnknownTransport),
        };
        let session = match param(query, "sid") {
            None => None,
            Some(id) => {
                let session = Id::parse(id).and_then(|id| self.0.sessions.get(id));
                Some(session.filter(|session| session.ended().is_none()).ok_or(Refusal::UnknownSession)?)
            }
        };
        if session.is_none() {
            if parts.method != Method::GET {
                return Err(Refusal::BadMethod);
            }
            if param(query, "EIO") != Some(ENGINE_IO) {
                return Err(Refusal::UnsupportedProtocol);
            }
        }
        Ok((websocket, session))
    }

    async fn answer(&self, mut parts: Parts, body: Body, guest: Option<Arc<Guest>>) -> Result<Response, Refusal> {
        let (websocket, session) = self.check(&parts)?;
        match (session, &parts.method) {
            (session, &Method::GET) if websocket => self.websocket(&mut parts, session, guest),
            (None, _) => self.open(guest.ok_or(Refusal::Failure)?),
            (Some(session), &Method::GET) => polling::get(&session).await,
            (Some(session), &Method::POST) => {
                let taken = polling::post(session, body).await;
                if matches!(taken, Err(Refusal::NoMemory)) {
                    self.0.metrics.refused(Refused::Memory);
                }
                taken
            }
            (Some(_), _) => Err(Refusal::BadRequest("not a method of this transport")),
        }
    }

    /// Opens a polling session.
    fn open(&self, guest: Arc<Guest>) -> Result<Response, Refusal> {
        let session = Session::open(&self.0, guest).map_err(|_| Refusal::Failure)?;
        Ok(polling::answer(format!("{}{}", char::from(Kind::Open.byte()), session.greeting(true))))
    }

    /// Agrees on a WebSocket: for a session of its own, or for one that polls.
    fn websocket(
        &self,
        parts: &mut Parts,
        session: Option<Arc<Session>>,
        guest: Option<Arc<Guest>>,
    ) -> Result<Response, Refusal> {
        let accept = accept(parts)?;
        let upgrade = parts.extensions.get::<OnUpgrade>();
        let upgrade = upgrade.ok_or(Refusal::BadRequest("not a WebSocket handshake"))?;
        let purpose = match session {
            Some(session) => Purpose::Upgrade(session),
            None => {
                let guest = guest.ok_or(Refusal::Failure)?;
                // The open packet follows at once.
                parts.extensions.get::<Handle>().into_iter().for_each(Handle::keep_answer);
                Purpose::Session(guest)
            }
        };
        let served = upgrade::serve(Arc::clone(&self.0), purpose, upgrade.clone());
        self.0.tasks.spawn_on(served, &self.0.runtime);
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let head = response.headers_mut();
        head.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
        head.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        head.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
        Ok(response)
    }
}

/// The proof for a WebSocket handshake (section 4.2), or what is wrong with it.
fn accept(parts: &Parts) -> Result<HeaderValue, Refusal> {
    websocket::check(parts.version, &parts.headers).map_err(|wrong| match wrong {
        Wrong::Malformed(why) => Refusal::BadRequest(why),
        Wrong::Version => Refusal::WebSocketVersion,
    })?;
    let key = parts.headers.get(header::SEC_WEBSOCKET_KEY).map(|key| key.as_bytes().trim_ascii()).unwrap_or_default();
    let proof = Sha1::new().chain_update(key).chain_update(GUID).finalize();
    HeaderValue::from_str(&STANDARD.encode(proof)).map_err(|_| Refusal::Failure)
}

impl Refusal {
    fn into_response(self) -> Response {
        let (status, code, message) = match self {
            Self::UnknownTransport => (StatusCode::BAD_REQUEST, 0, "Transport unknown".to_owned()),
            Self::UnknownSession => (StatusCode::BAD_REQUEST, 1, "Session ID unknown".to_owned()),
            Self::BadMethod => (StatusCode::BAD_REQUEST, 2, "Bad handshake method".to_owned()),
            Self::BadRequest(why) => (StatusCode::BAD_REQUEST, 3, format!("Bad request: {why}")),
            Self::UnsupportedProtocol => (StatusCode::BAD_REQUEST, 5, "Unsupported protocol version".to_owned()),
            Self::WebSocketVersion => {
                (StatusCode::UPGRADE_REQUIRED, 3, "Bad request: not a version of WebSocket known here".to_owned())
            }
            Self::NoMemory => (StatusCode::SERVICE_UNAVAILABLE, 3, "Too much is under way".to_owned()),
            Self::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, 3, "Bad request: too large".to_owned()),
            Self::Failure => (StatusCode::INTERNAL_SERVER_ERROR, 3, "Internal Server Error".to_owned()),
        };
        let mut response = refusal(status, code, &message);
        if status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}

//! Who is at the other end: what is known of a client from its CONNECT on.
//!
//! What a client sent to be let in is kept no longer than it takes to decide about it: `auth` can be 64 KiB for each
//! namespace, and cookies and tokens have no place in memory, logs and core dumps.

mod group;
mod handshake;
mod id;

use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::SystemTime;

use bytestring::ByteString;
use schemars::{JsonSchema, schema_for};
use serde::de::DeserializeOwned;

pub use self::group::address_group;
pub use self::handshake::Handshake;
pub(crate) use self::id::{NodeId, public_id};
use crate::error::{Error, Result};
use crate::identity::Identity;
use crate::limits::Slot;
use crate::params::Params;
use crate::payload::argument;
use crate::sink::Transport;

/// A client as it connected. Cheap to clone.
#[derive(Clone)]
pub struct Peer(Arc<Facts>);

struct Facts {
    /// Given by the router, unless the client has come back and has one, or made when somebody asks before.
    id: OnceLock<Arc<str>>,
    address: SocketAddr,
    secure: bool,
    transport: Transport,
    connected_at: SystemTime,
    recovered: AtomicBool,
    /// Until the client has been let in.
    told: Mutex<Option<Told>>,
    /// Who it is, where that is asked. Looked at by whoever admits it, by its events and by plugins; by no delivery.
    identity: OnceLock<Mutex<Identity>>,
}

struct Told {
    handshake: Arc<Handshake>,
    auth: Option<ByteString>,
}

impl Peer {
    /// A client that connects from `address`, with the raw JSON of CONNECT's `auth` and the handshake's query string.
    #[must_use]
    pub fn new(address: SocketAddr, transport: Transport, query: String, auth: Option<ByteString>) -> Self {
        Self::of(&Arc::new(Handshake::new(address, false, query)), transport, auth)
    }

    /// A client of this handshake's session, with the raw JSON of CONNECT's `auth`.
    #[must_use]
    pub fn of(handshake: &Arc<Handshake>, transport: Transport, auth: Option<ByteString>) -> Self {
        let told = Mutex::new(Some(Told { handshake: Arc::clone(handshake), auth }));
        let Handshake { address, secure, .. } = **handshake;
        Self(Arc::new(Facts {
            id: OnceLock::new(),
            address,
            secure,
            transport,
            connected_at: SystemTime::now(),
            recovered: AtomicBool::new(false),
            told,
            identity: OnceLock::new(),
        }))
    }

    /// The public id: unique, safe to show and log. Its first 8 characters tell the Carillon that has the client, and are the
    /// same for all of that one's; nobody guesses the others. It is not the Engine.IO session id, which is a bearer handle.
    #[must_use]
    pub fn id(&self) -> &str {
        self.known_id()
    }

    fn known_id(&self) -> &Arc<str> {
        self.0.id.get_or_init(|| NodeId::random().client())
    }

    /// The same, to be kept.
    pub(crate) fn shared_id(&self) -> Arc<str> {
        Arc::clone(self.known_id())
    }

    /// Makes it a client of this node, by its id, unless it has one.
    pub(crate) fn belongs_to(&self, node: NodeId) {
        self.0.id.get_or_init(|| node.client());
    }

    /// The client has come back and has the id it had before. Before anybody has asked for one.
    pub(crate) fn set_id(&self, id: &str) {
        self.0.id.set(id.into()).ok();
    }

    /// Whether this is the stock client in JavaScript, as far as that can be told while its [query](Self::query) is known.
    pub(crate) fn is_stock_javascript(&self) -> bool {
        self.told().as_ref().is_some_and(|told| told.handshake.is_stock_javascript())
    }

    /// What plugins see as the client's `auth`.
    pub(crate) fn set_auth(&self, auth: Option<ByteString>) {
        if let Some(told) = self.told().as_mut() {
            told.auth = auth;
        }
    }

    /// Whether the client has come back and gets on where it left off: it has the id and the rooms it had, and gets what it
    /// has missed before anything else.
    #[must_use]
    pub fn recovered(&self) -> bool {
        self.0.recovered.load(Ordering::Relaxed)
    }

    pub(crate) fn set_recovered(&self) {
        self.0.recovered.store(true, Ordering::Relaxed);
    }

    /// Where the client is: the other end of its connection, or what a proxy in `server.trusted_proxies` says. A proxy
    /// tells no port: it is 0 then.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.0.address
    }

    /// Whether the client speaks TLS to us, or to a proxy in `server.trusted_proxies`.
    #[must_use]
    pub fn is_secure(&self) -> bool {
        self.0.secure
    }

    /// The transport at the time of CONNECT.
    #[must_use]
    pub fn transport(&self) -> Transport {
        self.0.transport
    }

    /// What the clients of its session have sent lately: all of them share it, as long as they are told of the session.
    pub(crate) fn meter(&self) -> Slot {
        self.told().as_ref().map(|told| Arc::clone(told.handshake.meter.get_or_init(Slot::default))).unwrap_or_default()
    }

    fn told(&self) -> MutexGuard<'_, Option<Told>> {
        self.0.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The query's names and values, decoded, in the order of the URL.
    #[must_use]
    pub fn query_pairs(&self) -> Vec<(String, String)> {
        let query = self.query();
        url::form_urlencoded::parse(query.as_bytes()).into_owned().collect()
    }

    /// The query as a type: numbers and booleans where its schema says so. Engine.IO's own parameters (`EIO`,
    /// `transport`, `t`) are among them, so `T` must not deny unknown fields.
    ///
    /// # Errors
    /// `bad_payload` when it is of another shape; the message is fit for `connect_error`.
    pub fn query_as<T: DeserializeOwned + JsonSchema>(&self) -> Result<T> {
        let read = Params::new(self.query_pairs()).decode(&schema_for!(T));
        read.map_err(|error| Error::bad_payload(format!("malformed query: {}", error.message())))
    }

    /// When the client connected to its namespace.
    #[must_use]
    pub fn connected_at(&self) -> SystemTime {
        self.0.connected_at
    }

    /// The handshake's query string, without the question mark. It is there while a
    /// [handshake](crate::routes::Routes::handshake) is decided about, in `admit` and in `connected`, and empty afterwards.
    #[must_use]
    pub fn query(&self) -> ByteString {
        self.told().as_ref().map(|told| told.handshake.query.clone()).unwrap_or_default()
    }

    /// The path of the handshake's URL, as the client wrote it: `server.path`, with or without the slash at its end, or
    /// what a proxy made of it. It is there as long as the [query](Self::query).
    #[must_use]
    pub fn path(&self) -> ByteString {
        self.told().as_ref().map(|told| told.handshake.path.clone()).unwrap_or_default()
    }

    /// The first header of this name, in lower case, that the handshake had: `authorization`, `cookie`, `origin`,
    /// `user-agent`, `x-api-key` and `x-forwarded-..`; others are not kept. It is there as long as the [query](Self::query).
    #[must_use]
    pub fn header(&self, name: &str) -> Option<ByteString> {
        let told = self.told();
        let headers = &told.as_ref()?.handshake.headers;
        headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone())
    }

    /// The raw JSON of `auth`, if the client sent one. It is there in the plugin's `admit` and `connected`, and forgotten
    /// before the client's first event: what is needed later goes into [`Ctx::state`](crate::ctx::Ctx::state).
    #[must_use]
    pub fn auth(&self) -> Option<ByteString> {
        self.told().as_ref().and_then(|told| told.auth.clone())
    }

    /// `auth` as a type.
    ///
    /// # Errors
    /// `forbidden` when it is missing (`authentication required`), `bad_payload` when it is of another shape: the field, what
    /// was expected and what came, as in ``malformed auth: `name`: expected a string, got 1``. The message is fit for `connect_error`, which it
    /// becomes in `admit`; in `connected` it is too late to refuse.
    pub fn auth_as<T: DeserializeOwned + JsonSchema>(&self) -> Result<T> {
        let auth = self.auth().ok_or_else(|| Error::forbidden("authentication required"))?;
        argument(&auth).map_err(|error| Error::bad_payload(format!("malformed auth: {}", error.message())))
    }

    /// Who the client is: what its token or key says. `None` while `auth.mode` is `"open"`.
    #[must_use]
    pub fn identity(&self) -> Option<Identity> {
        self.0.identity.get().map(|identity| identity.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }

    /// Notes who the client is.
    pub(crate) fn identify(&self, identity: Identity) {
        let cell = self.0.identity.get_or_init(|| Mutex::new(identity.clone()));
        *cell.lock().unwrap_or_else(PoisonError::into_inner) = identity;
    }

    /// The client has been let in: drops what it sent for that, whoever else has a copy of this value.
    pub(crate) fn forget(&self) {
        self.told().take();
    }
}

/// Without what may be a secret: a plugin may well log its peer.
impl fmt::Debug for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Facts { address, transport, .. } = &*self.0;
        f.debug_struct("Peer").field("id", &self.id()).field("address", address).field("transport", transport).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_query_is_decoded_pair_by_pair_and_as_a_type() {
        #[derive(Debug, PartialEq, serde::Deserialize, JsonSchema)]
        struct Query {
            token: String,
            version: u32,
            beta: Option<bool>,
        }
        let peer = |query: &str| Peer::new(([127, 0, 0, 1], 1).into(), Transport::Polling, query.to_owned(), None);
        let good = peer("EIO=4&transport=polling&token=a%20b+c&version=7");
        let pairs = good.query_pairs();
        assert_eq!(pairs[2], ("token".to_owned(), "a b c".to_owned()));
        assert_eq!(good.query_as::<Query>().unwrap(), Query { token: "a b c".to_owned(), version: 7, beta: None });
        let error = peer("token=a&version=x").query_as::<Query>().unwrap_err();
        assert_eq!(error.code(), crate::error::Code::BadPayload);
        assert!(
            error.message().starts_with("malformed query: parameter `version`: expected a whole number"),
            "{error}"
        );
        assert!(good.connected_at() <= SystemTime::now());
    }

    #[test]
    fn auth_of_any_shape_is_kept_and_typed_on_demand() {
        #[derive(Debug, serde::Deserialize, JsonSchema)]
        #[expect(dead_code, reason = "only asked for")]
        struct Auth {
            user: String,
        }
        let peer = |auth: Option<&'static str>| {
            Peer::new(([127, 0, 0, 1], 1).into(), Transport::Polling, String::new(), auth.map(ByteString::from_static))
        };
        assert_eq!(peer(Some("7")).auth_as::<u8>().unwrap(), 7);
        let told = |auth| peer(auth).auth_as::<Auth>().unwrap_err().message().to_owned();
        assert_eq!(told(Some("{}")), "malformed auth: `user` is missing: expected a string");
        assert_eq!(told(Some(r#"{"user":7}"#)), "malformed auth: `user`: expected a string, got 7");
        assert_eq!(told(Some("null")), "malformed auth: expected an object with `user`, got null");
        assert_eq!(told(None), "authentication required");
        let code = |auth| peer(auth).auth_as::<Auth>().unwrap_err().code();
        assert_eq!((code(Some("{}")), code(None)), (crate::error::Code::BadPayload, crate::error::Code::Forbidden));
        assert_ne!(peer(None).id(), peer(None).id());
        assert_eq!(peer(None).id().len(), 24);
    }

    /// A6, A13: headers of the list are told until the client is in; nothing of it is shown or kept afterwards.
    #[test]
    fn what_was_sent_to_be_let_in_is_told_and_forgotten() {
        let sent = [("cookie", "id=s3cr3t"), ("x-forwarded-for", "10.0.0.1"), ("accept", "*/*"), ("cookie", "second")];
        let handshake = Handshake::new(([10, 0, 0, 1], 0).into(), true, "token=s3cr3t").with_headers(sent.into_iter());
        let handshake = handshake.with_path("/socket.io/");
        let handshake = Arc::new(handshake);
        let peer = Peer::of(&handshake, Transport::Polling, Some("\"s3cr3t\"".into()));
        let header = |name| peer.header(name).map(|value| value.to_string());
        assert_eq!(header("cookie").as_deref(), Some("id=s3cr3t"));
        assert_eq!(header("x-forwarded-for").as_deref(), Some("10.0.0.1"));
        assert_eq!((header("accept"), header("origin")), (None, None));
        assert_eq!((&*peer.query(), peer.is_secure()), ("token=s3cr3t", true));
        assert_eq!(&*peer.path(), "/socket.io/");
        let shown = format!("{peer:?} {handshake:?}");
        assert!(shown.contains("10.0.0.1") && !shown.contains("s3cr3t"), "{shown}");
        let copy = peer.clone();
        peer.forget();
        assert_eq!((copy.auth(), copy.header("cookie"), &*copy.query(), &*copy.path()), (None, None, "", ""));
        assert_eq!(Arc::strong_count(&handshake), 1);
    }
}

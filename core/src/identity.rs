//! Who a client is, as its token or key says, and what that lets it do.
//!
//! The server says how credentials are checked ([`Authenticate`]); the router asks once at CONNECT and keeps the answer
//! with the client, so that nothing of it is looked at when something is delivered.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytestring::ByteString;
use carillon_config::Rate;
use futures_util::future::BoxFuture;
use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::error::{Code, Error, Result};
use crate::limits::Claimed;
use crate::payload::argument;
use crate::peer::Peer;

/// The claim that lists what a client may do beyond everybody's: `access` of a plugin names one of them.
const ROLES: &str = "roles";

/// Checks what clients show. One for all namespaces, engines and HTTP routes of an application.
pub trait Authenticate: Send + Sync + 'static {
    /// Tells who shows this. It must not block: it is asked on the server's threads.
    ///
    /// # Errors
    /// [`unauthorized`], whatever the reason is: the client is told nothing that helps with guessing. `unavailable` while
    /// nobody could be told from anybody else.
    fn authenticate(&self, shown: &Shown) -> Result<Identity>;

    /// What has to be waited for before [`authenticate`](Self::authenticate) can judge this; most often nothing. It ends in its
    /// own time, and soon. What is needed has been asked for when this returns, whether it is waited for or not.
    fn prepare(&self, shown: &Shown) -> Option<BoxFuture<'static, ()>> {
        let _ = shown;
        None
    }

    /// Whether somebody whom [`authenticate`](Self::authenticate) has let in is not to be let in any more. It is asked when a
    /// client is connected, and by [`App::end_revoked`](crate::lifecycle::App::end_revoked); it must not block.
    fn is_revoked(&self, identity: &Identity) -> bool {
        let _ = identity;
        false
    }
}

/// What every client is told that did not show what is asked for.
#[must_use]
pub fn unauthorized() -> Error {
    Error::new(Code::Unauthorized, "a valid token or key is needed")
}

/// What a client shows to be let in.
#[derive(Default)]
pub struct Shown {
    /// `auth.token` of its CONNECT; what is said there counts more than the headers.
    pub token: Option<ByteString>,
    /// The header `Authorization`.
    pub authorization: Option<ByteString>,
    /// The header `X-Api-Key`.
    pub api_key: Option<ByteString>,
    /// The header `Cookie`.
    pub cookie: Option<ByteString>,
    /// The query string of the request, without the question mark.
    pub query: Option<ByteString>,
}

impl Shown {
    /// What a peer has sent, as long as that is known.
    ///
    /// # Errors
    /// [`unauthorized`] when its `auth` is not an object whose `token` is text.
    pub(crate) fn by(peer: &Peer) -> Result<Self> {
        #[derive(Deserialize)]
        struct Auth {
            token: Option<String>,
        }
        let token = match peer.auth() {
            Some(auth) => serde_json::from_str::<Option<Auth>>(&auth).map_err(|_| unauthorized())?,
            None => None,
        };
        let token = token.and_then(|auth| auth.token).map(ByteString::from);
        Ok(Self { token, ..Self::of(Some(peer.query()), |name| peer.header(name)) })
    }

    /// What a request shows by its query and its headers, each asked for by its name in lower case.
    pub fn of(query: Option<ByteString>, header: impl Fn(&str) -> Option<ByteString>) -> Self {
        Self {
            token: None,
            authorization: header("authorization"),
            api_key: header("x-api-key"),
            cookie: header("cookie"),
            query,
        }
    }
}

/// Never what it holds.
impl fmt::Debug for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shown").finish_non_exhaustive()
    }
}

/// A client that has shown who it is. Cheap to clone.
#[derive(Clone)]
pub struct Identity(Arc<Known>);

#[derive(Clone)]
struct Known {
    subject: String,
    expires: Option<SystemTime>,
    namespaces: Allowed,
    rooms: Allowed,
    events: Allowed,
    roles: Vec<String>,
    limits: Option<Claimed>,
    claims: Map<String, Value>,
}

impl Identity {
    /// An identity of these claims: `sub` is its subject, `exp` (seconds since 1970) its end, `namespaces`, `rooms` and
    /// `events` are all it may use, where they are there, `roles` is what it is beyond that, and `limits` how much it may
    /// send, instead of what the settings say of subjects.
    ///
    /// # Errors
    /// What is wrong with the claims: those that this type reads must be what they are meant to be.
    pub fn new(claims: Map<String, Value>) -> Result<Self, String> {
        let subject = match claims.get("sub") {
            Some(Value::String(subject)) if !subject.is_empty() => subject.clone(),
            _ => return Err("`sub` must be a text".to_owned()),
        };
        let expires = match claims.get("exp") {
            None => None,
            Some(seconds) => Some(time(seconds).ok_or("`exp` must be whole seconds since 1970")?),
        };
        let texts = |name: &str| match claims.get(name) {
            None => Ok(None),
            Some(value) => match Vec::<String>::deserialize(value) {
                Ok(texts) => Ok(Some(texts)),
                Err(_) => Err(format!("`{name}` must be a list of texts")),
            },
        };
        Ok(Self(Arc::new(Known {
            subject,
            expires,
            namespaces: Allowed(texts("namespaces")?),
            rooms: Allowed(texts("rooms")?),
            events: Allowed(texts("events")?),
            roles: texts(ROLES)?.unwrap_or_default(),
            limits: claims.get("limits").map(claimed).transpose()?,
            claims,
        })))
    }

    /// The same, which ends at `end` if not before: what made it known ends then.
    #[must_use]
    pub fn until(mut self, end: SystemTime) -> Self {
        if self.0.expires.is_none_or(|own| own > end) {
            Arc::make_mut(&mut self.0).expires = Some(end);
        }
        self
    }

    /// Who it is: the claim `sub`, or the name of the API key.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.0.subject
    }

    /// Whether the claim `roles` contains `role`.
    #[must_use]
    pub fn has_role(&self, role: &str) -> bool {
        self.0.roles.iter().any(|has| has == role)
    }

    /// All that its token says, or the configuration of its key.
    #[must_use]
    pub fn claims(&self) -> &Map<String, Value> {
        &self.0.claims
    }

    /// When it ends, if it does.
    #[must_use]
    pub fn expires_at(&self) -> Option<SystemTime> {
        self.0.expires
    }

    /// A claim as a type. One that is missing reads as null: `Option<T>` takes it.
    ///
    /// # Errors
    /// `forbidden` when it is missing or of another shape, with a message that names it.
    pub fn claim<T: DeserializeOwned + JsonSchema>(&self, name: &str) -> Result<T> {
        let value = self.0.claims.get(name).unwrap_or(&Value::Null);
        argument(&value.to_string())
            .map_err(|error| Error::forbidden(format!("the claim {name:?} does not fit: {}", error.message())))
    }

    /// Whether it may connect to this namespace.
    #[must_use]
    pub fn may_enter(&self, namespace: &str) -> bool {
        self.0.namespaces.allows(namespace)
    }

    /// Whether it may be put into this room.
    #[must_use]
    pub fn may_join(&self, room: &str) -> bool {
        self.0.rooms.allows(room)
    }

    /// Whether it may send this event.
    #[must_use]
    pub fn may_send(&self, event: &str) -> bool {
        self.0.events.allows(event)
    }

    /// How much it may send, where its token says so.
    pub(crate) fn limits(&self) -> Option<Claimed> {
        self.0.limits
    }

    /// Whether it may send every event.
    pub(crate) fn sends_all(&self) -> bool {
        self.0.events.0.is_none()
    }
}

/// Claims may be personal: the subject is enough for a log.
impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("subject", &self.0.subject).finish_non_exhaustive()
    }
}

/// Names that are allowed: all, where there is no list. One that ends with `*` stands for all that begin like it.
#[derive(Clone)]
struct Allowed(Option<Vec<String>>);

impl Allowed {
    fn allows(&self, name: &str) -> bool {
        let fits = |listed: &String| match listed.strip_suffix('*') {
            Some(start) => name.starts_with(start),
            None => listed == name,
        };
        self.0.as_ref().is_none_or(|list| list.iter().any(fits))
    }
}

/// The limits that a token names: rates without a burst have one of a second.
fn claimed(limits: &Value) -> Result<Claimed, String> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Limits {
        events_per_s: Option<u32>,
        events_burst: Option<u32>,
        bytes_per_s: Option<u32>,
        bytes_burst: Option<u32>,
    }
    let wrong = "`limits` must be an object of numbers: `events_per_s`, `events_burst`, `bytes_per_s`, `bytes_burst`";
    let Limits { events_per_s, events_burst, bytes_per_s, bytes_burst } =
        Limits::deserialize(limits).map_err(|_| wrong.to_owned())?;
    let rate = |per_s: Option<u32>, burst: Option<u32>| match (per_s, burst) {
        (Some(per_s), burst) => Ok(Some(Rate { per_s, burst: burst.unwrap_or(per_s).max(1) })),
        (None, None) => Ok(None),
        (None, Some(_)) => Err(wrong.to_owned()),
    };
    Ok(Claimed { events: rate(events_per_s, events_burst)?, bytes: rate(bytes_per_s, bytes_burst)? })
}

/// A time as tokens write it, no later than the year 9999.
fn time(seconds: &Value) -> Option<SystemTime> {
    const LAST: u64 = 253_402_300_799;
    let seconds = seconds.as_u64().filter(|seconds| *seconds <= LAST)?;
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn identity(claims: Value) -> Result<Identity, String> {
        let Value::Object(claims) = claims else { panic!("not an object") };
        Identity::new(claims)
    }

    /// Lists allow what they name, by its name or its beginning; without a list all is allowed, with an empty one nothing.
    #[test]
    fn lists_say_all_that_is_allowed() {
        let ann = identity(json!({"sub": "ann", "namespaces": ["/chat"], "rooms": ["team-*"], "events": []})).unwrap();
        assert_eq!((ann.may_enter("/chat"), ann.may_enter("/chats"), ann.may_enter("/")), (true, false, false));
        assert_eq!((ann.may_join("team-7"), ann.may_join("team"), ann.may_send("say")), (true, false, false));
        let bob = identity(json!({"sub": "bob", "roles": ["operator"]})).unwrap();
        assert!(bob.may_enter("/any") && bob.may_join("any") && bob.may_send("any") && bob.sends_all());
        assert_eq!((bob.has_role("operator"), bob.has_role("oper"), ann.has_role("operator")), (true, false, false));
    }

    /// Claims that say what one may do are taken as they are meant or not at all.
    #[test]
    fn claims_that_are_not_what_they_should_be_are_refused() {
        for claims in [
            json!({}),
            json!({"sub": 7}),
            json!({"sub": ""}),
            json!({"sub": "a", "exp": "tomorrow"}),
            json!({"sub": "a", "exp": 1.5}),
            json!({"sub": "a", "exp": -1}),
            json!({"sub": "a", "exp": u64::MAX}),
            json!({"sub": "a", "namespaces": "/chat"}),
            json!({"sub": "a", "events": [7]}),
            json!({"sub": "a", "roles": null}),
            json!({"sub": "a", "limits": 7}),
            json!({"sub": "a", "limits": {"events": 7}}),
            json!({"sub": "a", "limits": {"events_per_s": -1}}),
            json!({"sub": "a", "limits": {"bytes_per_s": 1u64 << 32}}),
            json!({"sub": "a", "limits": {"bytes_burst": 7}}),
        ] {
            assert!(identity(claims.clone()).is_err(), "{claims}");
        }
    }

    /// Other claims are read as a type, and their mistakes are told by name.
    #[test]
    fn claims_are_typed() {
        let ann = identity(json!({"sub": "ann", "exp": 60, "team": 7})).unwrap();
        assert_eq!(ann.claim::<u8>("team").unwrap(), 7);
        assert_eq!(ann.claim::<Option<u8>>("floor").unwrap(), None);
        let error = ann.claim::<String>("team").unwrap_err();
        assert_eq!(error.code(), Code::Forbidden);
        assert!(error.message().starts_with("the claim \"team\" does not fit: "), "{error}");
        assert_eq!(ann.expires_at(), Some(SystemTime::UNIX_EPOCH + Duration::from_secs(60)));
        assert!(!format!("{ann:?}").contains("team"));
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        assert_eq!(ann.clone().until(at(59)).expires_at(), Some(at(59)));
        assert_eq!(ann.clone().until(at(61)).expires_at(), Some(at(60)));
        assert_eq!(ann.expires_at(), Some(at(60)), "the other one stays as it is");
    }
}

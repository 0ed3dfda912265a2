//! Signed tokens (JWT): the key is chosen by the configuration, never by the token, and has one algorithm.

use std::str::FromStr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use carillon_config::AuthSettings;
use carillon_core::identity::Identity;
use futures_util::future::BoxFuture;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, decode};
use serde_json::Value;

use super::jwks::Jwks;
use super::key::Key;
use super::reason::Reason;
use super::unique::Unique;

/// What a header may not hold: where to find a key, a key, or what this server would have to understand.
const REFUSED: [&str; 6] = ["jku", "jwk", "x5u", "x5c", "crit", "b64"];

/// The keys that are believed.
pub(super) struct Tokens {
    configured: Vec<Key>,
    pub(super) published: Option<Arc<Jwks>>,
    /// How long after its end a token is still taken, in milliseconds: a clock may be behind, but a connection that would be
    /// closed at once is refused.
    grace_ms: u64,
    /// Whether a single key without a name is meant by whatever name: not where others are published, read or not.
    alone: bool,
}

impl Tokens {
    /// Reads the keys, also from their files.
    pub(super) fn new(
        settings: &AuthSettings,
        published: Result<Option<Arc<Jwks>>, String>,
    ) -> Result<Self, Vec<String>> {
        let only = settings.only_key().map(|key| ("auth.key".to_owned(), key));
        let listed = settings.keys.iter().cloned().enumerate();
        let all = only.into_iter().chain(listed.map(|(index, key)| (format!("auth.keys[{index}]"), key)));
        let (published, mut mistakes) = published.map_or_else(|mistake| (None, vec![mistake]), |found| (found, vec![]));
        let mut keys = Vec::new();
        for (path, key) in all {
            match Key::new(key, settings) {
                Ok(key) => {
                    if key.has_ended() {
                        tracing::warn!("{path} has ended: tokens that it signed are refused");
                    }
                    keys.push(key);
                }
                Err(mistake) => mistakes.push(format!("{path}: {mistake}")),
            }
        }
        if mistakes.is_empty() {
            Ok(Self {
                configured: keys,
                published,
                grace_ms: settings.expiry_grace_ms,
                alone: settings.jwks_url.is_none(),
            })
        } else {
            Err(mistakes)
        }
    }

    /// Who has this token.
    pub(super) fn check(&self, token: &str) -> Result<Identity, Reason> {
        let header = Header::of(token)?;
        if let Some(key) = self.configured(header.kid.as_deref()) {
            return self.in_time(judge(token, &header, key)?);
        }
        let published = self.published.as_ref().map(|published| published.keys());
        let key = published.iter().flat_map(|keys| &***keys).find(|key| key.kid == header.kid);
        // There is never none once they have been read.
        let unread = published.as_ref().is_some_and(|keys| keys.is_empty());
        let unknown = if unread { Reason::KeysUnread } else { Reason::UnknownKey };
        self.in_time(judge(token, &header, key.ok_or(unknown)?)?)
    }

    fn in_time(&self, identity: Identity) -> Result<Identity, Reason> {
        let end = identity.expires_at().and_then(|end| end.checked_add(Duration::from_millis(self.grace_ms)));
        if end.is_some_and(|end| end <= SystemTime::now()) { Err(Reason::Expired) } else { Ok(identity) }
    }

    /// What to wait for before a token is judged: the published keys, when it names one that is not known.
    pub(super) fn prepare(&self, token: &str) -> Option<BoxFuture<'static, ()>> {
        let published = self.published.as_ref()?;
        let header = Header::of(token).ok()?;
        let known = self.configured(header.kid.as_deref()).is_some()
            || published.keys().iter().any(|key| key.kid == header.kid);
        if known { None } else { published.ask() }
    }

    /// The configured key that a token names. A single key without a name is meant by whatever name.
    fn configured(&self, kid: Option<&str>) -> Option<&Key> {
        match self.configured.as_slice() {
            [only] if only.kid.is_none() && self.alone => Some(only),
            keys => keys.iter().find(|key| key.kid.as_deref() == kid),
        }
    }
}

/// Who has a token that this key is to have signed.
fn judge(token: &str, header: &Header, key: &Key) -> Result<Identity, Reason> {
    if header.algorithm != key.algorithm {
        return Err(Reason::Algorithm);
    }
    if key.has_ended() {
        return Err(Reason::KeyEnded);
    }
    let claims = decode::<Unique>(token, &key.key, &key.validation).map_err(|error| reason(error.kind()))?;
    let identity = Identity::new(claims.claims.0).map_err(|_| Reason::Claims)?;
    Ok(key.ends.into_iter().fold(identity, Identity::until))
}

/// What a token says of itself, before any of it is believed.
struct Header {
    algorithm: Algorithm,
    kid: Option<String>,
}

impl Header {
    fn of(token: &str) -> Result<Self, Reason> {
        let mut parts = token.split('.');
        let (Some(header), Some(_), Some(_), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
            return Err(Reason::Malformed);
        };
        let header = URL_SAFE_NO_PAD.decode(header).map_err(|_| Reason::Malformed)?;
        let Unique(header) = serde_json::from_slice(&header).map_err(|_| Reason::Malformed)?;
        if REFUSED.iter().any(|name| header.contains_key(*name)) {
            return Err(Reason::Header);
        }
        let algorithm = header.get("alg").and_then(Value::as_str).ok_or(Reason::Malformed)?;
        let algorithm = Algorithm::from_str(algorithm).map_err(|_| Reason::Algorithm)?;
        let kid = match header.get("kid") {
            None => None,
            Some(Value::String(kid)) => Some(kid.clone()),
            Some(_) => return Err(Reason::Malformed),
        };
        Ok(Self { algorithm, kid })
    }
}

fn reason(kind: &ErrorKind) -> Reason {
    match kind {
        ErrorKind::InvalidSignature => Reason::Signature,
        ErrorKind::ExpiredSignature => Reason::Expired,
        ErrorKind::ImmatureSignature => Reason::NotYet,
        ErrorKind::InvalidIssuer => Reason::Issuer,
        ErrorKind::InvalidAudience => Reason::Audience,
        ErrorKind::MissingRequiredClaim(name) if name == "iss" => Reason::Issuer,
        ErrorKind::MissingRequiredClaim(name) if name == "aud" => Reason::Audience,
        ErrorKind::MissingRequiredClaim(_) | ErrorKind::InvalidClaimFormat(_) | ErrorKind::Json(_) => Reason::Claims,
        ErrorKind::InvalidAlgorithm => Reason::Algorithm,
        _ => Reason::Malformed,
    }
}

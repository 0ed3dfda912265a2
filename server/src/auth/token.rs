//! Signed tokens (JWT): the key is chosen by the configuration, never by the token, and has one algorithm.

use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use carillon_config::AuthSettings;
use carillon_core::identity::Identity;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, decode};
use serde_json::Value;

use super::key::Key;
use super::reason::Reason;
use super::unique::Unique;

/// What a header may not hold: where to find a key, a key, or what this server would have to understand.
const REFUSED: [&str; 6] = ["jku", "jwk", "x5u", "x5c", "crit", "b64"];

/// The keys that are believed.
pub(super) struct Tokens(Vec<Key>);

impl Tokens {
    /// Reads the keys, also from their files.
    pub(super) fn new(settings: &AuthSettings) -> Result<Self, Vec<String>> {
        let only = settings.only_key().map(|key| ("auth.key".to_owned(), key));
        let listed = settings.keys.iter().cloned().enumerate();
        let all = only.into_iter().chain(listed.map(|(index, key)| (format!("auth.keys[{index}]"), key)));
        let (mut keys, mut mistakes) = (Vec::new(), Vec::new());
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
        if mistakes.is_empty() { Ok(Self(keys)) } else { Err(mistakes) }
    }

    /// Who has this token.
    pub(super) fn check(&self, token: &str) -> Result<Identity, Reason> {
        let header = Header::of(token)?;
        let key = self.key(header.kid.as_deref()).ok_or(Reason::UnknownKey)?;
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

    /// The key that a token names. A single key without a name is meant by whatever name.
    fn key(&self, kid: Option<&str>) -> Option<&Key> {
        match self.0.as_slice() {
            [only] if only.kid.is_none() => Some(only),
            keys => keys.iter().find(|key| key.kid.as_deref() == kid),
        }
    }
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

//! Signed tokens (JWT): the key is chosen by the configuration, never by the token, and has one algorithm.

use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use carillon_config::{AlgorithmName, AuthSettings, TokenKeySettings};
use carillon_core::identity::Identity;
use jsonwebtoken::crypto::verify;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode};
use serde_json::Value;

use super::reason::Reason;
use super::unique::Unique;

/// How far the clocks of who issues tokens and of this machine may be apart, in seconds.
const LEEWAY: u64 = 10;

/// What a header may not hold: where to find a key, a key, or what this server would have to understand.
const REFUSED: [&str; 6] = ["jku", "jwk", "x5u", "x5c", "crit", "b64"];

/// The keys that are believed.
pub(super) struct Tokens(Vec<Key>);

struct Key {
    kid: Option<String>,
    algorithm: Algorithm,
    key: DecodingKey,
    validation: Validation,
}

impl Tokens {
    /// Reads the keys, also from their files.
    pub(super) fn new(settings: &AuthSettings) -> Result<Self, Vec<String>> {
        let only = settings.key.as_ref().map(|key| {
            let key = Some(key.clone());
            ("auth.key".to_owned(), TokenKeySettings { kid: None, algorithm: settings.algorithm, key, key_file: None })
        });
        let listed = settings.keys.iter().cloned().enumerate();
        let all = only.into_iter().chain(listed.map(|(index, key)| (format!("auth.keys[{index}]"), key)));
        let (mut keys, mut mistakes) = (Vec::new(), Vec::new());
        for (path, key) in all {
            match Key::new(key, settings) {
                Ok(key) => keys.push(key),
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
        let claims = decode::<Unique>(token, &key.key, &key.validation).map_err(|error| reason(error.kind()))?;
        Identity::new(claims.claims.0).map_err(|_| Reason::Claims)
    }

    /// The key that a token names. A single key without a name is meant by whatever name.
    fn key(&self, kid: Option<&str>) -> Option<&Key> {
        match self.0.as_slice() {
            [only] if only.kid.is_none() => Some(only),
            keys => keys.iter().find(|key| key.kid.as_deref() == kid),
        }
    }
}

impl Key {
    fn new(settings: TokenKeySettings, auth: &AuthSettings) -> Result<Self, String> {
        let text = settings.text()?;
        let algorithm = algorithm(settings.algorithm);
        let key = decoding_key(settings.algorithm, &text)?;
        let mut validation = Validation::new(algorithm);
        validation.leeway = LEEWAY;
        validation.validate_nbf = true;
        let mut required = vec!["exp", "sub"];
        if !auth.issuers.is_empty() {
            validation.set_issuer(&auth.issuers);
            required.push("iss");
        }
        if !auth.audiences.is_empty() {
            validation.set_audience(&auth.audiences);
            required.push("aud");
        }
        validation.set_required_spec_claims(&required);
        Ok(Self { kid: settings.kid, algorithm, key, validation })
    }
}

fn algorithm(name: AlgorithmName) -> Algorithm {
    match name {
        AlgorithmName::HS256 => Algorithm::HS256,
        AlgorithmName::HS384 => Algorithm::HS384,
        AlgorithmName::HS512 => Algorithm::HS512,
        AlgorithmName::RS256 => Algorithm::RS256,
        AlgorithmName::RS384 => Algorithm::RS384,
        AlgorithmName::RS512 => Algorithm::RS512,
        AlgorithmName::PS256 => Algorithm::PS256,
        AlgorithmName::PS384 => Algorithm::PS384,
        AlgorithmName::PS512 => Algorithm::PS512,
        AlgorithmName::ES256 => Algorithm::ES256,
        AlgorithmName::ES384 => Algorithm::ES384,
        AlgorithmName::EdDSA => Algorithm::EdDSA,
    }
}

/// The key that a text is, tried once so that one of another kind is told of now.
fn decoding_key(name: AlgorithmName, text: &str) -> Result<DecodingKey, String> {
    if let Some(bytes) = name.secret_bytes() {
        if text.contains("-----BEGIN") {
            return Err(format!("{name:?} has a secret, and this is a key in PEM"));
        }
        if text.len() < bytes {
            return Err(format!("a secret for {name:?} has at least {bytes} bytes"));
        }
        return Ok(DecodingKey::from_secret(text.as_bytes()));
    }
    if text.contains("PRIVATE KEY") {
        return Err("this is a private key: the server needs the public one".to_owned());
    }
    let wrong = || format!("is not a public key for {name:?} in PEM");
    let key = match name {
        AlgorithmName::ES256 | AlgorithmName::ES384 => DecodingKey::from_ec_pem(text.as_bytes()),
        AlgorithmName::EdDSA => DecodingKey::from_ed_pem(text.as_bytes()),
        _ => DecodingKey::from_rsa_pem(text.as_bytes()),
    };
    let key = key.map_err(|_| wrong())?;
    verify("", b"", &key, algorithm(name)).map_err(|_| wrong())?;
    Ok(key)
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

//! Makes tokens with a configured key, or with a private key beside its public one: for operators, not for clients.

use std::time::Duration;

use carillon_config::{AlgorithmName, AuthSettings, TokenKeySettings};
use carillon_core::identity::Identity;
use jsonwebtoken::{EncodingKey, Header, encode};
use serde_json::{Map, Value};

use super::key::algorithm;
use super::revocation;
use super::token::Tokens;

/// What a token says.
pub(crate) struct Claims {
    pub(crate) subject: String,
    /// How long it is good, from now on.
    pub(crate) lifetime: Duration,
    /// Its name, with which it can be revoked; without one it gets one.
    pub(crate) id: Option<String>,
    pub(crate) issuer: Option<String>,
    pub(crate) audience: Option<String>,
    /// Everything else.
    pub(crate) more: Map<String, Value>,
}

/// What signs it, where that is not the only key that is configured.
pub(crate) struct Signing {
    /// The `kid` of a configured key, or one that is only written into the token.
    pub(crate) kid: Option<String>,
    /// A private key, or a secret: for who has configured only the public key.
    pub(crate) key: Option<String>,
    /// What that is for, where no configured key tells.
    pub(crate) algorithm: Option<AlgorithmName>,
}

/// A signed token. Where the configuration has the key's other half, the token has passed its checks.
///
/// # Errors
/// What is missing or does not fit, and the option that helps; nothing of a key.
pub(crate) fn issue(settings: &AuthSettings, claims: Claims, signing: Signing) -> Result<String, String> {
    let known = configured(settings, signing.kid.as_deref(), signing.key.is_some())?;
    let (kid, name) = match (&known, signing.algorithm) {
        (Some(known), Some(given)) if given != known.algorithm => {
            return Err(format!(
                "the key is configured for {}, and not for {}",
                known.algorithm.as_str(),
                given.as_str()
            ));
        }
        (Some(known), _) => (known.kid.clone(), known.algorithm),
        (None, Some(given)) => (signing.kid, given),
        (None, None) => return Err("--algorithm is needed: no configured key tells what the key is for".to_owned()),
    };
    let text = match (signing.key, &known) {
        (Some(text), _) => text,
        (None, Some(known)) if known.algorithm.secret_bytes().is_some() => known.text()?,
        (None, _) => {
            return Err(format!(
                "--key-file is needed: the configuration has only the public key for {}",
                name.as_str()
            ));
        }
    };
    let key = encoding_key(name, &text)?;
    let token = encode(&Header { kid, ..Header::new(algorithm(name)) }, &claims.of(settings)?, &key)
        .map_err(|_| format!("the key is no private key for {}", name.as_str()))?;
    if known.is_some() {
        let tokens = Tokens::new(settings, Ok(None)).map_err(|mistakes| mistakes.join("\n"))?;
        let refused = |reason: super::Reason| format!("this configuration would refuse the token: {}", reason.told());
        tokens.check(&token).map_err(refused)?;
    }
    Ok(token)
}

/// The configured key that is meant, if any is.
fn configured(settings: &AuthSettings, kid: Option<&str>, given: bool) -> Result<Option<TokenKeySettings>, String> {
    if let Some(only) = settings.only_key() {
        return Ok(Some(TokenKeySettings { kid: kid.map(str::to_owned), ..only }));
    }
    let keys = &settings.keys;
    match (kid, keys.as_slice()) {
        (_, []) if given => Ok(None),
        (_, []) => Err("no key is configured: set auth.key or auth.keys, or say --key-file and --algorithm".to_owned()),
        (None, [only]) => Ok(Some(only.clone())),
        (kid, keys) => match keys.iter().find(|key| key.kid.as_deref() == kid) {
            Some(key) => Ok(Some(key.clone())),
            None if given && kid.is_some() => Ok(None),
            None => {
                let known: Vec<_> = keys.iter().filter_map(|key| key.kid.as_deref()).collect();
                let mistake = if kid.is_some() { "no such key" } else { "which key is meant" };
                Err(format!("--key-id: {mistake}; auth.keys has {}", known.join(", ")))
            }
        },
    }
}

impl Claims {
    fn of(self, settings: &AuthSettings) -> Result<Map<String, Value>, String> {
        let now = revocation::now();
        let mut claims = self.more;
        claims.insert("sub".to_owned(), self.subject.into());
        claims.insert("iat".to_owned(), now.into());
        claims.insert("exp".to_owned(), now.saturating_add(self.lifetime.as_secs()).into());
        claims.insert("jti".to_owned(), self.id.unwrap_or_else(|| format!("{:032x}", fastrand::u128(..))).into());
        for (name, text) in [
            ("iss", self.issuer.or_else(|| settings.issuers.first().cloned())),
            ("aud", self.audience.or_else(|| settings.audiences.first().cloned())),
        ] {
            if let Some(text) = text {
                claims.insert(name.to_owned(), text.into());
            }
        }
        Identity::new(claims.clone())?;
        Ok(claims)
    }
}

/// The signing key that a text is.
fn encoding_key(name: AlgorithmName, text: &str) -> Result<EncodingKey, String> {
    if let Some(bytes) = name.secret_bytes() {
        let fits = text.len() >= bytes && !text.contains("-----BEGIN");
        let wrong = || format!("the key is no secret for {}, which has at least {bytes} bytes", name.as_str());
        return fits.then(|| EncodingKey::from_secret(text.as_bytes())).ok_or_else(wrong);
    }
    let key = match name {
        AlgorithmName::ES256 | AlgorithmName::ES384 => EncodingKey::from_ec_pem(text.as_bytes()),
        AlgorithmName::EdDSA => EncodingKey::from_ed_pem(text.as_bytes()),
        _ => EncodingKey::from_rsa_pem(text.as_bytes()),
    };
    key.map_err(|_| {
        format!("the key is no private key for {} in PEM (PKCS #8, as `openssl genpkey` writes it)", name.as_str())
    })
}

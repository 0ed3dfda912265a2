//! A key that tokens are signed with, and what is asked of the tokens that it signed.

use std::time::SystemTime;

use carillon_config::{AlgorithmName, AuthSettings, TokenKeySettings};
use jsonwebtoken::crypto::verify;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};

/// How far the clocks of who issues tokens and of this machine may be apart, in seconds.
const LEEWAY: u64 = 10;

/// See the module's documentation.
pub(super) struct Key {
    pub(super) kid: Option<String>,
    pub(super) algorithm: Algorithm,
    pub(super) key: DecodingKey,
    pub(super) validation: Validation,
    /// When it ends, if it does.
    pub(super) ends: Option<SystemTime>,
}

impl Key {
    /// A key of the configuration.
    pub(super) fn new(settings: TokenKeySettings, auth: &AuthSettings) -> Result<Self, String> {
        let (text, ends) = (settings.text()?, settings.ends());
        let key = decoding_key(settings.algorithm, &text)?;
        Ok(Self::of(settings.kid, settings.algorithm, key, ends, auth))
    }

    /// A key that an issuer publishes for this algorithm.
    pub(super) fn published(jwk: &Jwk, name: AlgorithmName, auth: &AuthSettings) -> Result<Self, String> {
        let key = DecodingKey::from_jwk(jwk).map_err(|error| error.to_string())?;
        verify("", b"", &key, algorithm(name)).map_err(|error| error.to_string())?;
        Ok(Self::of(jwk.common.key_id.clone(), name, key, None, auth))
    }

    fn of(
        kid: Option<String>,
        name: AlgorithmName,
        key: DecodingKey,
        ends: Option<SystemTime>,
        auth: &AuthSettings,
    ) -> Self {
        let algorithm = algorithm(name);
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
        Self { kid, algorithm, key, validation, ends }
    }

    /// Whether its time is over.
    pub(super) fn has_ended(&self) -> bool {
        self.ends.is_some_and(|end| end <= SystemTime::now())
    }
}

/// An algorithm by its name.
pub(super) fn algorithm(name: AlgorithmName) -> Algorithm {
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
            return Err(format!(
                "a secret for {name:?} has at least {bytes} bytes: `openssl rand -hex {bytes}` makes one"
            ));
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

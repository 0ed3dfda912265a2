//! The keys of `[auth]`: those that tokens are signed with, and API keys.
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::SystemTime;

/// How a token is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum AlgorithmName {
    /// HMAC with SHA-256 and a shared secret.
    HS256,
    /// HMAC with SHA-384 and a shared secret.
    HS384,
    /// HMAC with SHA-512 and a shared secret.
    HS512,
    /// RSA (PKCS #1 v1.5) with SHA-256.
    RS256,
    /// RSA (PKCS #1 v1.5) with SHA-384.
    RS384,
    /// RSA (PKCS #1 v1.5) with SHA-512.
    RS512,
    /// RSA-PSS with SHA-256.
    PS256,
    /// RSA-PSS with SHA-384.
    PS384,
    /// RSA-PSS with SHA-512.
    PS512,
    /// ECDSA with P-256 and SHA-256.
    ES256,
    /// ECDSA with P-384 and SHA-384.
    ES384,
    /// Ed25519.
    EdDSA,
}

impl AlgorithmName {
    /// The one of this name.
    #[must_use]
    pub fn named(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.as_str() == text)
    }

    /// Each of them.
    pub const ALL: [Self; 12] = [
        Self::HS256,
        Self::HS384,
        Self::HS512,
        Self::RS256,
        Self::RS384,
        Self::RS512,
        Self::PS256,
        Self::PS384,
        Self::PS512,
        Self::ES256,
        Self::ES384,
        Self::EdDSA,
    ];

    /// Its name, as settings and tokens write it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::HS256 => "HS256",
            Self::HS384 => "HS384",
            Self::HS512 => "HS512",
            Self::RS256 => "RS256",
            Self::RS384 => "RS384",
            Self::RS512 => "RS512",
            Self::PS256 => "PS256",
            Self::PS384 => "PS384",
            Self::PS512 => "PS512",
            Self::ES256 => "ES256",
            Self::ES384 => "ES384",
            Self::EdDSA => "EdDSA",
        }
    }

    /// Its bytes, where its key is a secret that both sides know.
    #[must_use]
    pub fn secret_bytes(self) -> Option<usize> {
        match self {
            Self::HS256 => Some(32),
            Self::HS384 => Some(48),
            Self::HS512 => Some(64),
            _ => None,
        }
    }
}

/// A key that tokens are signed with.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TokenKeySettings {
    /// What tokens name it by; without one it is for tokens that name none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kid: Option<String>,
    /// What it is for.
    pub algorithm: AlgorithmName,
    /// The secret, or the public key in PEM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// A file that holds `key`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_file: Option<String>,
    /// When it ends, as in 2027-01-31T00:00:00Z; without this it does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_until: Option<String>,
}

impl TokenKeySettings {
    /// The secret or public key, from its file where it names one.
    ///
    /// # Errors
    /// What is wrong with the file, or that not one of the two is there.
    pub fn text(&self) -> Result<String, String> {
        match (&self.key, &self.key_file) {
            (Some(key), None) => Ok(key.clone()),
            (None, Some(file)) => crate::secret_in_file(file),
            _ => Err("needs either `key` or `key_file`".to_owned()),
        }
    }

    /// When it ends; `None` when that is not said, or is no time.
    #[must_use]
    pub fn ends(&self) -> Option<SystemTime> {
        time(self.valid_until.as_deref()?)
    }
}

/// An API key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ApiKeySettings {
    /// Who has it, as plugins and logs see it.
    pub name: String,
    /// The SHA-256 of the key, in hexadecimal digits.
    pub sha256: String,
    /// The namespaces it opens; all when this is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespaces: Option<Vec<String>>,
    /// The rooms it may be put into; all when this is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rooms: Option<Vec<String>>,
    /// The events it may send; all when this is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub events: Option<Vec<String>>,
    /// Its roles.
    #[serde(default)]
    pub roles: Vec<String>,
    /// What plugins may want to know of it.
    #[serde(default)]
    pub info: BTreeMap<String, String>,
    /// When it ends, as in 2027-01-31T00:00:00Z; without this it does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_until: Option<String>,
}

impl ApiKeySettings {
    /// When it ends; `None` when that is not said, or is no time.
    #[must_use]
    pub fn ends(&self) -> Option<SystemTime> {
        time(self.valid_until.as_deref()?)
    }

    /// The bytes of `sha256`; `None` when it is not 64 hexadecimal digits.
    #[must_use]
    pub fn digest(&self) -> Option<[u8; 32]> {
        digest(&self.sha256)
    }
}

/// The bytes of a SHA-256 that is written as 64 hexadecimal digits; `None` for anything else.
#[must_use]
pub fn digest(text: &str) -> Option<[u8; 32]> {
    let value = |digit: u8| char::from(digit).to_digit(16).map(|value| value as u8);
    let mut bytes = [0; 32];
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        *byte = value(pair[0])? << 4 | value(pair[1])?;
    }
    (text.len() == 64).then_some(bytes)
}

/// A time with its offset from UTC, as RFC 3339 writes it.
fn time(text: &str) -> Option<SystemTime> {
    SystemTime::try_from(text.parse::<jiff::Timestamp>().ok()?).ok()
}

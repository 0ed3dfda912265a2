//! API keys: the configuration holds their SHA-256 only.

use std::time::SystemTime;

use carillon_config::ApiKeySettings;
use carillon_core::identity::Identity;
use serde_json::{Map, json};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::reason::Reason;

/// The keys that are believed.
pub(super) struct ApiKeys(Vec<([u8; 32], Identity)>);

impl ApiKeys {
    pub(super) fn new(settings: &[ApiKeySettings]) -> Result<Self, Vec<String>> {
        let (mut keys, mut mistakes) = (Vec::new(), Vec::new());
        for (index, key) in settings.iter().enumerate() {
            let digest = key.digest().ok_or("`sha256` is not 64 hexadecimal digits".to_owned());
            let known = identity(key).and_then(|identity| Ok((digest?, identity)));
            match known {
                Ok(known) => keys.push(known),
                Err(mistake) => mistakes.push(format!("auth.api_keys[{index}]: {mistake}")),
            }
        }
        if mistakes.is_empty() { Ok(Self(keys)) } else { Err(mistakes) }
    }

    /// Who has this key. All are compared, and each to its end: how long it takes tells nothing of them.
    pub(super) fn check(&self, shown: &str) -> Result<Identity, Reason> {
        let shown: [u8; 32] = Sha256::digest(shown.as_bytes()).into();
        let mut found = None;
        for (key, identity) in &self.0 {
            if bool::from(key.ct_eq(&shown)) {
                found = Some(identity);
            }
        }
        let found = found.ok_or(Reason::UnknownKey)?;
        match found.expires_at() {
            Some(end) if end <= SystemTime::now() => Err(Reason::KeyEnded),
            _ => Ok(found.clone()),
        }
    }
}

/// Its name and what it may use, as claims say that of a token.
fn identity(key: &ApiKeySettings) -> Result<Identity, String> {
    let mut claims = Map::new();
    claims.insert("sub".to_owned(), key.name.clone().into());
    for (name, list) in [("namespaces", &key.namespaces), ("rooms", &key.rooms), ("events", &key.events)] {
        if let Some(list) = list {
            claims.insert(name.to_owned(), list.clone().into());
        }
    }
    claims.insert("roles".to_owned(), key.roles.clone().into());
    claims.insert("info".to_owned(), json!(key.info));
    Ok(key.ends().into_iter().fold(Identity::new(claims)?, Identity::until))
}

//! Reads what an issuer publishes: public keys for signatures, each with one algorithm.

use carillon_config::{AlgorithmName, AuthSettings};
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, PublicKeyUse};
use serde::Deserialize;
use serde_json::Value;

use super::super::key::Key;

/// Keys of a set; more are not looked at.
const KEYS_MAX: usize = 100;
/// Characters of an RSA modulus of 2048 bits in base64url: shorter ones are not believed.
const MODULUS_LEAST: usize = 342;

#[derive(Deserialize)]
struct Set {
    keys: Vec<Value>,
}

/// The keys of a set that can be used; others are left out.
///
/// # Errors
/// When it is no set, or has none.
pub(super) fn read(body: &[u8], settings: &AuthSettings) -> Result<Vec<Key>, String> {
    let set: Set = serde_json::from_slice(body).map_err(|_| "what is there is no JWKS".to_owned())?;
    let mut keys: Vec<Key> = Vec::new();
    for key in set.keys.into_iter().take(KEYS_MAX).filter_map(|key| read_one(key, settings)) {
        // Of two with one name the first counts.
        if keys.iter().all(|known| known.kid != key.kid) {
            keys.push(key);
        }
    }
    if keys.is_empty() { Err("what is there has no public key for signatures".to_owned()) } else { Ok(keys) }
}

fn read_one(key: Value, settings: &AuthSettings) -> Option<Key> {
    let jwk: Jwk = serde_json::from_value(key).ok()?;
    if jwk.common.public_key_use.as_ref().is_some_and(|what| *what != PublicKeyUse::Signature) {
        return None;
    }
    let algorithm = algorithm(&jwk)?;
    Key::published(&jwk, algorithm, settings).ok()
}

/// What a key is for: what it says, or what its kind is used for where it says nothing. Secrets are not published.
fn algorithm(jwk: &Jwk) -> Option<AlgorithmName> {
    let said = match jwk.common.key_algorithm {
        Some(said) => {
            let said = said.to_string();
            Some(AlgorithmName::named(&said)?)
        }
        None => None,
    };
    let kind = match &jwk.algorithm {
        AlgorithmParameters::RSA(key) if key.n.len() >= MODULUS_LEAST => {
            return match said {
                None => Some(AlgorithmName::RS256),
                Some(name) if name.as_str().starts_with("RS") || name.as_str().starts_with("PS") => Some(name),
                Some(_) => None,
            };
        }
        AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P256 => AlgorithmName::ES256,
        AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P384 => AlgorithmName::ES384,
        AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => AlgorithmName::EdDSA,
        _ => return None,
    };
    (said.is_none() || said == Some(kind)).then_some(kind)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Public keys for signatures are taken, each for one algorithm; secrets, other uses and weak keys are left out.
    #[test]
    fn a_set_is_read_key_by_key() {
        let modulus = |bytes: usize| {
            use base64::Engine as _;
            let mut modulus = vec![0xc5; bytes];
            modulus[bytes - 1] = 0x0d;
            base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(modulus)
        };
        let rsa = |kid: &str, bytes: usize| json!({"kty": "RSA", "kid": kid, "n": modulus(bytes), "e": "AQAB"});
        let with = |mut key: Value, more: Value| {
            key.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            key
        };
        let ed =
            json!({"kty": "OKP", "crv": "Ed25519", "kid": "ed", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"});
        let ec = json!({
            "kty": "EC", "crv": "P-256", "kid": "ec",
            "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
        });
        let keys = json!([
            rsa("plain", 256),
            with(rsa("pss", 256), json!({"alg": "PS512", "use": "sig"})),
            with(rsa("for secrets", 256), json!({"use": "enc"})),
            with(rsa("oaep", 256), json!({"alg": "RSA-OAEP"})),
            with(rsa("hmac", 256), json!({"alg": "HS256"})),
            rsa("weak", 128),
            {"kty": "oct", "kid": "secret", "alg": "HS256", "k": "AAAA"},
            ed.clone(), ec.clone(),
            with(ec.clone(), json!({"kid": "wrong curve", "alg": "ES384"})),
            with(ec, json!({"kid": "off the curve", "y": "AAAAzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"})),
            with(ed, json!({"alg": "EdDSA"})),
            rsa("plain", 256),
            7, {}, {"kty": "new"},
        ]);
        let read = |set: Value| read(set.to_string().as_bytes(), &AuthSettings::default());
        let read_keys = read(json!({"keys": keys})).unwrap();
        let found: Vec<_> =
            read_keys.iter().map(|key| (key.kid.as_deref().unwrap(), format!("{:?}", key.algorithm))).collect();
        let expected = [("plain", "RS256"), ("pss", "PS512"), ("ed", "EdDSA"), ("ec", "ES256")];
        assert_eq!(found, expected.map(|(kid, name)| (kid, name.to_owned())));
        for none in [json!({}), json!([]), json!({"keys": []}), json!({"keys": [rsa("weak", 128)]}), json!({"keys": 7})]
        {
            assert!(read(none.clone()).is_err(), "{none}");
        }
        let many: Vec<_> = (0..KEYS_MAX + 5).map(|n| rsa(&n.to_string(), 256)).collect();
        assert_eq!(read(json!({"keys": many})).unwrap().len(), KEYS_MAX);
    }
}

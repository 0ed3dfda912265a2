//! What nodes keep on the bus for each other, with a proof that one of them has written it, where `bus.secret` is set.
//!
//! It has no time, as messages between nodes have: what is kept is read later. The proof is the HMAC-SHA-256 (RFC 2104) of
//! what it is for and of what it says, in hexadecimal digits and in front of it.

use std::fmt::Write;

use bytes::Bytes;
use carillon_config::digest;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::error::{Error, Result};

/// Digits of a proof.
const DIGITS: usize = 64;

/// See the module's documentation. Without a secret it does nothing.
#[derive(Clone)]
pub(crate) struct Seal(Option<Hmac<Sha256>>);

impl Seal {
    pub(crate) fn new(secret: Option<&str>) -> Self {
        // A key of any length is one.
        Self(secret.and_then(|secret| Hmac::new_from_slice(secret.as_bytes()).ok()))
    }

    fn mac(&self, purpose: &str, text: &[u8]) -> Option<Hmac<Sha256>> {
        let mut mac = self.0.clone()?;
        for part in [b"kept ", purpose.as_bytes(), b"\n", text] {
            mac.update(part);
        }
        Some(mac)
    }

    /// `text`, which is kept for this purpose, with the proof.
    pub(crate) fn close(&self, purpose: &str, text: Bytes) -> Bytes {
        let Some(mac) = self.mac(purpose, &text) else { return text };
        let mut sealed = String::with_capacity(DIGITS);
        for byte in mac.finalize().into_bytes() {
            // Writing to a String cannot fail.
            write!(sealed, "{byte:02x}").ok();
        }
        let mut sealed = sealed.into_bytes();
        sealed.extend_from_slice(&text);
        sealed.into()
    }

    /// What was [closed](Self::close) for this purpose.
    ///
    /// # Errors
    /// `forbidden` when it proves nothing.
    pub(crate) fn open(&self, purpose: &str, mut sealed: Bytes) -> Result<Bytes> {
        if self.0.is_none() {
            return Ok(sealed);
        }
        let unproved = || Error::forbidden("without the right proof: bus.secret is to be the same on all nodes");
        if sealed.len() < DIGITS {
            return Err(unproved());
        }
        let proof = sealed.split_to(DIGITS);
        let proof = std::str::from_utf8(&proof).ok().and_then(digest).ok_or_else(unproved)?;
        let mac = self.mac(purpose, &sealed).ok_or_else(unproved)?;
        // In a time that tells nothing.
        mac.verify_slice(&proof).map_err(|_| unproved())?;
        Ok(sealed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Only who knows the secret writes what is read, for the purpose it was written for.
    #[test]
    fn what_is_kept_is_proved() {
        let text = Bytes::from_static(b"text");
        let (ours, theirs, none) = (Seal::new(Some("ours")), Seal::new(Some("theirs")), Seal::new(None));
        let sealed = ours.close("a", text.clone());
        assert_eq!(ours.open("a", sealed.clone()).unwrap(), text);
        assert!(ours.open("b", sealed.clone()).is_err(), "for something else");
        assert!(theirs.open("a", sealed.clone()).is_err());
        assert!(ours.open("a", text.clone()).is_err(), "without a proof");
        let mut other = sealed.to_vec();
        *other.last_mut().unwrap() ^= 1;
        assert!(ours.open("a", other.into()).is_err());
        assert_eq!(none.open("a", none.close("a", text.clone())).unwrap(), text);
    }
}

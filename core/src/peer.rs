//! Who is at the other end: what is known of a client from its CONNECT on.

use std::net::SocketAddr;
use std::sync::Arc;

use bytestring::ByteString;
use serde::de::DeserializeOwned;

use crate::error::{Error, Result};
use crate::payload::mistakes::first_mistake;
use crate::sink::Transport;

/// A client as it connected. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Peer(Arc<Facts>);

#[derive(Debug)]
struct Facts {
    id: Arc<str>,
    address: SocketAddr,
    transport: Transport,
    query: String,
    auth: Option<ByteString>,
}

impl Peer {
    /// A client that connects from `address`, with the raw JSON of CONNECT's `auth` and the handshake's query string.
    #[must_use]
    pub fn new(address: SocketAddr, transport: Transport, query: String, auth: Option<ByteString>) -> Self {
        Self(Arc::new(Facts { id: public_id().into(), address, transport, query, auth }))
    }

    /// The public id: unique, safe to show and log. It is not the Engine.IO session id, which is a bearer handle.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.0.id
    }

    /// The same, to be kept.
    pub(crate) fn shared_id(&self) -> Arc<str> {
        Arc::clone(&self.0.id)
    }

    /// The remote address of the TCP connection.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.0.address
    }

    /// The transport at the time of CONNECT.
    #[must_use]
    pub fn transport(&self) -> Transport {
        self.0.transport
    }

    /// The handshake's query string, without the question mark.
    #[must_use]
    pub fn query(&self) -> &str {
        &self.0.query
    }

    /// The raw JSON of `auth`, if the client sent one.
    #[must_use]
    pub fn auth(&self) -> Option<&str> {
        self.0.auth.as_deref()
    }

    /// `auth` as a type.
    ///
    /// # Errors
    /// `forbidden` when it is missing or of another shape; the message is fit for `connect_error`.
    pub fn auth_as<T: DeserializeOwned>(&self) -> Result<T> {
        let auth = self.auth().ok_or_else(|| Error::forbidden("authentication required"))?;
        serde_json::from_str(auth).map_err(|_| {
            let mistake = first_mistake::<T>(auth).unwrap_or_else(|| "malformed JSON".to_owned());
            Error::forbidden(format!("malformed auth: {mistake}"))
        })
    }
}

/// 120 random bits in base 32: collisions across nodes need no coordination to be ruled out in practice.
pub(crate) fn public_id() -> String {
    const DIGITS: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
    let mut bits = fastrand::u128(..);
    (0..24)
        .map(|_| {
            let digit = DIGITS[(bits & 31) as usize];
            bits >>= 5;
            char::from(digit)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn auth_of_any_shape_is_kept_and_typed_on_demand() {
        let peer = |auth: Option<&'static str>| {
            Peer::new(([127, 0, 0, 1], 1).into(), Transport::Polling, String::new(), auth.map(ByteString::from_static))
        };
        assert_eq!(peer(Some("7")).auth_as::<u8>().unwrap(), 7);
        assert!(peer(Some("[]")).auth_as::<u8>().is_err());
        assert!(peer(None).auth_as::<u8>().is_err());
        assert_ne!(peer(None).id(), peer(None).id());
        assert_eq!(peer(None).id().len(), 24);
    }
}

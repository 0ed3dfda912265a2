//! Who is at the other end: what is known of a client from its CONNECT on.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::SystemTime;

use bytestring::ByteString;
use schemars::{JsonSchema, schema_for};
use serde::de::DeserializeOwned;

use crate::error::{Error, Result};
use crate::params::Params;
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
    connected_at: SystemTime,
    auth: Option<ByteString>,
}

impl Peer {
    /// A client that connects from `address`, with the raw JSON of CONNECT's `auth` and the handshake's query string.
    #[must_use]
    pub fn new(address: SocketAddr, transport: Transport, query: String, auth: Option<ByteString>) -> Self {
        Self(Arc::new(Facts {
            id: public_id().into(),
            address,
            transport,
            query,
            connected_at: SystemTime::now(),
            auth,
        }))
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

    /// The query's names and values, decoded, in the order of the URL.
    #[must_use]
    pub fn query_pairs(&self) -> Vec<(String, String)> {
        let query = self.query();
        url::form_urlencoded::parse(query.as_bytes()).into_owned().collect()
    }

    /// The query as a type: numbers and booleans where its schema says so. Engine.IO's own parameters (`EIO`,
    /// `transport`, `t`) are among them, so `T` must not deny unknown fields.
    ///
    /// # Errors
    /// `forbidden` when it is of another shape; the message is fit for `connect_error`.
    pub fn query_as<T: DeserializeOwned + JsonSchema>(&self) -> Result<T> {
        let read = Params::new(self.query_pairs()).decode(&schema_for!(T));
        read.map_err(|error| Error::forbidden(format!("malformed query: {}", error.message())))
    }

    /// When the client connected to its namespace.
    #[must_use]
    pub fn connected_at(&self) -> SystemTime {
        self.0.connected_at
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
        serde_json::from_str(auth).map_err(|error| Error::forbidden(format!("malformed auth: {error}")))
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
    fn the_query_is_decoded_pair_by_pair_and_as_a_type() {
        #[derive(Debug, PartialEq, serde::Deserialize, JsonSchema)]
        struct Query {
            token: String,
            version: u32,
            beta: Option<bool>,
        }
        let peer = |query: &str| Peer::new(([127, 0, 0, 1], 1).into(), Transport::Polling, query.to_owned(), None);
        let good = peer("EIO=4&transport=polling&token=a%20b+c&version=7");
        let pairs = good.query_pairs();
        assert_eq!(pairs[2], ("token".to_owned(), "a b c".to_owned()));
        assert_eq!(good.query_as::<Query>().unwrap(), Query { token: "a b c".to_owned(), version: 7, beta: None });
        let error = peer("token=a&version=x").query_as::<Query>().unwrap_err();
        assert_eq!(error.code(), crate::error::Code::Forbidden);
        assert!(
            error.message().starts_with("malformed query: parameter `version`: expected a whole number"),
            "{error}"
        );
        assert!(good.connected_at() <= SystemTime::now());
    }

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

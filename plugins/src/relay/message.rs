//! What a message of the bus is to clients.

use bytes::Bytes;
use bytestring::ByteString;
use carillon_core::prelude::*;

/// What a message turned out to be.
#[derive(Debug)]
pub(super) enum Relayed {
    /// JSON: checked here, once, and passed on to the byte.
    Json(Payload),
    /// No JSON: clients get it as `{"message": text}`.
    Text(ByteString),
}

impl Relayed {
    /// Reads a message as the original system did: bytes that are not UTF-8 are left out, and `null` is an event without
    /// arguments. (Its parser took `NaN` for a number, which no browser reads; here that is text.)
    pub(super) fn read(bytes: Bytes) -> Self {
        let text = ByteString::try_from(bytes.clone())
            .unwrap_or_else(|_| bytes.utf8_chunks().map(|chunk| chunk.valid()).collect::<String>().into());
        // Only what JSON calls white space; the standard `trim` strips more.
        let json = text.slice_ref(text.trim_matches([' ', '\t', '\r', '\n']));
        match Payload::from_json(json) {
            Ok(payload) if payload.json() == "null" => Self::Json(Payload::empty()),
            Ok(payload) => Self::Json(payload),
            Err(_) => Self::Text(text),
        }
    }
}

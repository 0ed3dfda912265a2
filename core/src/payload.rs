//! Arguments on their way in and out: typed, ignored, or passed through as they came.

mod args;
mod attachment;
mod decode;
mod encode;
mod shape;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::ops::Range;

use bytes::Bytes;
use bytestring::ByteString;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Serialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::value::RawValue;

pub use self::args::{Args, DescribeArgs, ReadArgs, WriteArgs};
pub use self::attachment::Attachment;
pub(crate) use self::attachment::BINARY;
pub(crate) use self::decode::argument;
pub use self::decode::{AnyEvent, Decode, Ignored};
pub(crate) use self::encode::encode_error;
pub use self::encode::{Emit, Plain, Reply, encode_event};
pub(crate) use self::shape::Shape;
use crate::error::{Error, Result};

/// The arguments of a received event, not decoded yet.
#[derive(Debug, Clone)]
pub struct Arguments {
    /// The whole array `["name",args..]`.
    event: ByteString,
    /// Where `args..` stand in it.
    args: Range<usize>,
    attachments: Vec<Bytes>,
}

impl Arguments {
    /// The arguments of the event text `event`, which stand at `args`.
    pub(crate) fn new(event: ByteString, args: Range<usize>, attachments: Vec<Bytes>) -> Self {
        Self { event, args, attachments }
    }

    /// The whole array `["name",args..]`.
    pub(crate) fn event(&self) -> &ByteString {
        &self.event
    }

    fn json(&self) -> &str {
        &self.event[self.args.clone()]
    }
}

/// All arguments and attachments of a packet, passed through untouched: as request, as reply, as emit.
///
/// Attachments stand in the JSON as `{"_placeholder":true,"num":n}`, as Socket.IO sends them.
#[derive(Debug, Clone, Default)]
pub struct Payload {
    /// `arg,arg..` without brackets: valid JSON values.
    args: ByteString,
    attachments: Vec<Bytes>,
}

impl Payload {
    /// No argument.
    #[must_use]
    pub fn empty() -> Self {
        Self::default()
    }

    /// One argument, serialized.
    ///
    /// # Errors
    /// `internal` when the value cannot be written as JSON.
    pub fn new<T: Serialize + ?Sized>(value: &T) -> Result<Self> {
        Ok(Self { args: serde_json::to_string(value)?.into(), attachments: Vec::new() })
    }

    /// One argument from raw JSON, checked and then kept to the byte.
    ///
    /// # Errors
    /// `bad_payload` when `json` is not one JSON value.
    pub fn from_json(json: ByteString) -> Result<Self> {
        serde_json::from_str::<IgnoredAny>(&json).map_err(|error| Error::bad_payload(format!("not JSON: {error}")))?;
        Ok(Self { args: json, attachments: Vec::new() })
    }

    /// All arguments from the raw JSON array `[arg..]`, with the attachments its placeholders name.
    ///
    /// # Errors
    /// `bad_payload` when `json` is not a JSON array.
    pub fn from_array(json: &ByteString, attachments: Vec<Bytes>) -> Result<Self> {
        serde_json::from_str::<Vec<IgnoredAny>>(json)
            .map_err(|error| Error::bad_payload(format!("not a JSON array: {error}")))?;
        let array = json.trim_ascii();
        let inside = array[1..array.len() - 1].trim_ascii();
        Ok(Self { args: json.slice_ref(inside), attachments })
    }

    /// One binary argument.
    #[must_use]
    pub fn binary(data: Bytes) -> Self {
        Self { args: ByteString::from_static(r#"{"_placeholder":true,"num":0}"#), attachments: vec![data] }
    }

    /// The raw arguments, `arg,arg..`.
    #[must_use]
    pub fn json(&self) -> &str {
        &self.args
    }

    /// The attachments, in the order of their placeholders.
    #[must_use]
    pub fn attachments(&self) -> &[Bytes] {
        &self.attachments
    }

    /// The arguments of an ack, to be decoded like those of an event.
    pub(crate) fn into_arguments(self) -> Arguments {
        let event = format!("[{}]", self.args);
        let args = 1..event.len() - 1;
        Arguments { event: event.into(), args, attachments: self.attachments }
    }

    /// Every argument as raw JSON.
    ///
    /// # Errors
    /// Never for a payload that was received or made by the constructors.
    pub fn args(&self) -> Result<Vec<Box<RawValue>>> {
        Ok(serde_json::from_str(&format!("[{}]", self.args))?)
    }

    /// Argument `index`, counted from 0, as a type.
    ///
    /// # Errors
    /// `bad_payload` when there is no such argument or it is of another type.
    pub fn arg<T: DeserializeOwned + JsonSchema>(&self, index: usize) -> Result<T> {
        let args = self.args()?;
        let raw = args.get(index).ok_or_else(|| Error::bad_payload(format!("missing argument {}", index + 1)))?;
        let (read, _) = attachment::reading(&self.attachments, || decode::argument(raw.get()));
        read.map_err(|error| Error::bad_payload(format!("argument {}: {}", index + 1, error.message())))
    }
}

impl JsonSchema for Payload {
    fn schema_name() -> Cow<'static, str> {
        "Payload".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "x-arguments": "raw", "description": "Any arguments, binary data included, as they come." })
    }

    fn inline_schema() -> bool {
        true
    }
}

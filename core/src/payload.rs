//! Arguments on their way in and out: typed, ignored, or passed through as they came.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use bytestring::ByteString;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Serialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::value::RawValue;

use crate::error::{Error, ErrorBody, Result};
use crate::packet::{Item, ItemBuilder, split_event};

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

    fn json(&self) -> &str {
        &self.event[self.args.clone()]
    }
}

/// What a handler may take: any `DeserializeOwned + JsonSchema` (the first argument), [`Ignored`] or [`Payload`].
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a handler's request",
    label = "not a request type",
    note = "derive `Deserialize` and `JsonSchema` on it, or take `Ignored` (any arguments) or `Payload` (raw arguments)"
)]
pub trait Decode: Sized + Send + 'static {
    /// Reads the arguments.
    ///
    /// # Errors
    /// `bad_payload` with the JSON path of the first mistake.
    fn decode(arguments: &Arguments) -> Result<Self>;

    /// The first argument's JSON schema, for the generated reference; `true` where anything goes.
    fn schema(generator: &mut SchemaGenerator) -> Schema;
}

impl<T: DeserializeOwned + JsonSchema + Send + 'static> Decode for T {
    fn decode(arguments: &Arguments) -> Result<Self> {
        if !arguments.attachments.is_empty() {
            return Err(Error::bad_payload("this event takes no binary data"));
        }
        let json = arguments.json();
        let mut values = serde_json::Deserializer::from_str(json).into_iter::<T>();
        match values.next() {
            Some(Ok(value)) => Ok(value),
            Some(Err(_)) => Err(explain::<T>(json)),
            // No argument at all: right for optional requests, an error for the others.
            None => serde_json::from_str("null").map_err(|_| Error::bad_payload("this event needs an argument")),
        }
    }

    fn schema(generator: &mut SchemaGenerator) -> Schema {
        generator.subschema_for::<T>()
    }
}

/// Decodes once more, slowly, to say where the mistake is.
fn explain<T: DeserializeOwned>(json: &str) -> Error {
    let mut deserializer = serde_json::Deserializer::from_str(json);
    match serde_path_to_error::deserialize::<_, T>(&mut deserializer) {
        Ok(_) => Error::bad_payload("malformed JSON after the first argument"),
        Err(error) => {
            let path = error.path().to_string();
            let text = error.inner().to_string();
            // serde_json appends a position within the packet, which says nothing to the sender of an object.
            let text = text.split(" at line ").next().unwrap_or(&text);
            Error::bad_payload(if path == "." { text.to_owned() } else { format!("{path}: {text}") })
        }
    }
}

/// A request that takes whatever comes and looks at none of it.
#[derive(Debug, Clone, Copy)]
pub struct Ignored;

impl Decode for Ignored {
    fn decode(_: &Arguments) -> Result<Self> {
        Ok(Self)
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        Schema::from(true)
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

    /// The arguments of the event `["name",arg..]`.
    pub(crate) fn of_event(json: &ByteString, attachments: Vec<Bytes>) -> Result<Self> {
        Self::decode(&Arguments::new(json.clone(), split_event(json)?.args, attachments))
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

    /// Argument `index` as a type.
    ///
    /// # Errors
    /// `bad_payload` when there is no such argument or it is of another type.
    pub fn arg<T: DeserializeOwned>(&self, index: usize) -> Result<T> {
        let args = self.args()?;
        let raw = args.get(index).ok_or_else(|| Error::bad_payload(format!("argument {index} is missing")))?;
        serde_json::from_str(raw.get()).map_err(|error| Error::bad_payload(format!("argument {index}: {error}")))
    }
}

impl Decode for Payload {
    fn decode(arguments: &Arguments) -> Result<Self> {
        // Validated once, here, because it may be handed on as it is.
        serde_json::from_str::<IgnoredAny>(&arguments.event)
            .map_err(|error| Error::bad_payload(format!("malformed JSON: {error}")))?;
        Ok(Self {
            args: arguments.event.slice_ref(arguments.json().trim_ascii()),
            attachments: arguments.attachments.clone(),
        })
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        Schema::from(true)
    }
}

/// An event nobody declared, as the catch-all route gets it.
#[derive(Debug, Clone)]
pub struct AnyEvent {
    /// The event's name, as the client sent it: never use it as a metric label.
    pub name: String,
    /// Its arguments.
    pub payload: Payload,
}

impl Decode for AnyEvent {
    fn decode(arguments: &Arguments) -> Result<Self> {
        let name = split_event(&arguments.event)?.name.into_owned();
        Ok(Self { name, payload: Payload::decode(arguments)? })
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        Schema::from(true)
    }
}

/// What can be emitted and published: any `Serialize` (one argument), or a [`Payload`] (all arguments, with attachments).
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be sent to a client",
    label = "not serializable",
    note = "derive `Serialize` on it, or send a `Payload`"
)]
pub trait Emit: Sync {
    /// The attachments, which stand in the packet's header and so must be known first.
    fn attachments(&self) -> &[Bytes];

    /// Writes the arguments.
    ///
    /// # Errors
    /// `internal` when the value cannot be written as JSON.
    fn write(&self, packet: &mut ItemBuilder) -> Result<()>;
}

impl<T: Serialize + Sync + ?Sized> Emit for T {
    fn attachments(&self) -> &[Bytes] {
        &[]
    }

    fn write(&self, packet: &mut ItemBuilder) -> Result<()> {
        Ok(serde_json::to_writer(packet.argument(), self)?)
    }
}

impl Emit for Payload {
    fn attachments(&self) -> &[Bytes] {
        &self.attachments
    }

    fn write(&self, packet: &mut ItemBuilder) -> Result<()> {
        if !self.args.is_empty() {
            packet.argument().extend_from_slice(self.args.as_bytes());
        }
        Ok(())
    }
}

/// Encodes an event.
pub(crate) fn encode_event<T: Emit + ?Sized>(namespace: &Arc<str>, event: &str, value: &T) -> Result<Item> {
    let mut packet = ItemBuilder::event(namespace, event, value.attachments())?;
    value.write(&mut packet)?;
    Ok(packet.build())
}

/// What a handler may return inside `Result`: any `Serialize + JsonSchema` (it becomes `data` of the envelope), or [`Plain`].
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a handler's response",
    label = "not a response type",
    note = "derive `Serialize` and `JsonSchema` on it, or return `Plain<T>` to answer without the envelope"
)]
pub trait Reply: Send + 'static {
    /// The ack packet for call `id`.
    ///
    /// # Errors
    /// `internal` when the value cannot be written as JSON.
    fn encode(&self, namespace: &Arc<str>, id: i64) -> Result<Item>;

    /// The schema of `data` (or of the whole first argument for [`Plain`]).
    fn schema(generator: &mut SchemaGenerator) -> Schema;

    /// Whether the ack carries the envelope.
    const ENVELOPE: bool;
}

impl<T: Serialize + JsonSchema + Send + 'static> Reply for T {
    fn encode(&self, namespace: &Arc<str>, id: i64) -> Result<Item> {
        let mut packet = ItemBuilder::ack(namespace, id, &[]);
        let buffer = packet.argument();
        buffer.extend_from_slice(br#"{"ok":true,"data":"#);
        serde_json::to_writer(&mut *buffer, self)?;
        buffer.push(b'}');
        Ok(packet.build())
    }

    fn schema(generator: &mut SchemaGenerator) -> Schema {
        generator.subschema_for::<T>()
    }

    const ENVELOPE: bool = true;
}

/// A reply without the envelope, for routes that speak an existing protocol: the ack is exactly `T`, or all arguments of a [`Payload`].
#[derive(Debug, Clone)]
pub struct Plain<T>(pub T);

impl<T: Emit + PlainSchema + Send + 'static> Reply for Plain<T> {
    fn encode(&self, namespace: &Arc<str>, id: i64) -> Result<Item> {
        let mut packet = ItemBuilder::ack(namespace, id, self.0.attachments());
        self.0.write(&mut packet)?;
        Ok(packet.build())
    }

    fn schema(generator: &mut SchemaGenerator) -> Schema {
        T::schema(generator)
    }

    const ENVELOPE: bool = false;
}

/// The schema of what [`Plain`] carries.
#[doc(hidden)]
pub trait PlainSchema {
    /// The schema.
    fn schema(generator: &mut SchemaGenerator) -> Schema;
}

impl<T: JsonSchema> PlainSchema for T {
    fn schema(generator: &mut SchemaGenerator) -> Schema {
        generator.subschema_for::<T>()
    }
}

impl PlainSchema for Payload {
    fn schema(_: &mut SchemaGenerator) -> Schema {
        Schema::from(true)
    }
}

/// The ack of a failed call: `[{"ok":false,"error":{..}}]`.
pub(crate) fn encode_error(namespace: &Arc<str>, id: i64, error: &Error, log_id: Option<&str>) -> Result<Item> {
    #[derive(Serialize)]
    struct Failure<'a> {
        ok: bool,
        error: ErrorBody<'a>,
    }
    let mut packet = ItemBuilder::ack(namespace, id, &[]);
    Failure { ok: false, error: error.body(log_id) }.write(&mut packet)?;
    Ok(packet.build())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, Deserialize, JsonSchema, PartialEq)]
    struct Point {
        x: i32,
        tags: Vec<String>,
    }

    fn arguments(json: &'static str, attachments: usize) -> Arguments {
        let range = split_event(json).unwrap().args;
        Arguments::new(ByteString::from_static(json), range, vec![Bytes::from_static(b"b"); attachments])
    }

    fn message<T: Decode + std::fmt::Debug>(json: &'static str, attachments: usize) -> String {
        T::decode(&arguments(json, attachments)).unwrap_err().message().to_owned()
    }

    #[test]
    fn the_first_argument_is_decoded_and_the_rest_left_alone() {
        let point = Point { x: 1, tags: vec![] };
        assert_eq!(Point::decode(&arguments(r#"["p",{"x":1,"tags":[]}]"#, 0)).unwrap(), point);
        assert_eq!(Point::decode(&arguments(r#"["p",{"x":1,"tags":[]},2,{}]"#, 0)).unwrap(), point);
        assert_eq!(i32::decode(&arguments(r#"["p",7,"x"]"#, 0)).unwrap(), 7);
        assert_eq!(Option::<i32>::decode(&arguments(r#"["p"]"#, 0)).unwrap(), None);
        assert!(Ignored::decode(&arguments(r#"["p",nonsense]"#, 3)).is_ok());
    }

    #[test]
    fn mistakes_are_named_with_their_path() {
        assert_eq!(
            message::<Point>(r#"["p",{"x":1,"tags":[1]}]"#, 0),
            "tags[0]: invalid type: integer `1`, expected a string"
        );
        assert_eq!(message::<Point>(r#"["p",{"x":1}]"#, 0), "missing field `tags`");
        assert_eq!(message::<Point>(r#"["p"]"#, 0), "this event needs an argument");
        assert_eq!(message::<Point>(r#"["p",{}]"#, 1), "this event takes no binary data");
        assert!(message::<Payload>(r#"["p",nonsense]"#, 0).starts_with("malformed JSON"));
    }

    #[test]
    fn payloads_pass_through_to_the_byte() {
        let payload =
            Payload::decode(&arguments(r#"["p", {"a":1.50,"b":{"_placeholder":true,"num":0}} ,"x" ]"#, 1)).unwrap();
        assert_eq!(payload.json(), r#"{"a":1.50,"b":{"_placeholder":true,"num":0}} ,"x""#);
        assert_eq!(payload.arg::<String>(1).unwrap(), "x");
        assert!(payload.arg::<String>(2).is_err());
        let ack = Plain(payload).encode(&Arc::from("/n"), 3).unwrap();
        assert_eq!(ack.packet(), r#"61-/n,3[{"a":1.50,"b":{"_placeholder":true,"num":0}} ,"x"]"#);
        let array = Payload::from_array(&ByteString::from_static("[[1],2]"), vec![]).unwrap();
        assert_eq!(array.json(), "[1],2");
        assert!(Payload::from_json("{".into()).is_err());
        assert_eq!(encode_event(&Arc::from("/"), "e", &Payload::empty()).unwrap().packet(), "2[\"e\"]");
    }

    #[test]
    fn replies_wear_the_envelope() {
        let ns = Arc::from("/");
        assert_eq!(7.encode(&ns, 1).unwrap().packet(), r#"31[{"ok":true,"data":7}]"#);
        assert_eq!(Plain(7).encode(&ns, 1).unwrap().packet(), "31[7]");
        let failure = encode_error(&ns, 1, &Error::not_found("no node n7"), None).unwrap();
        assert_eq!(
            failure.packet(),
            r#"31[{"ok":false,"error":{"code":"not_found","message":"no node n7","retryable":false}}]"#
        );
    }
}

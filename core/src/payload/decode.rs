//! What a handler may take, and how it is made from the arguments of an event.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{DeserializeOwned, IgnoredAny};

use super::attachment::reading;
use super::shape::Shape;
use super::{Arguments, Payload};
use crate::error::{Error, Result};
use crate::packet::split_event;

/// What a handler may take: any `DeserializeOwned + JsonSchema` (the first argument), [`Args`](super::Args) (several),
/// [`Ignored`] or [`Payload`].
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a handler's request",
    label = "not a request type",
    note = "derive `Deserialize` and `JsonSchema` on it, or take `Args<(A, B)>` (several arguments), `Ignored` (any) or `Payload` (raw)"
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

/// What an event is told that has binary data where none is wanted.
pub(super) const NO_BINARY: &str = "this event takes no binary data";

impl<T: DeserializeOwned + JsonSchema + Send + 'static> Decode for T {
    fn decode(arguments: &Arguments) -> Result<Self> {
        let first = || match arguments.json() {
            json if json.trim_ascii_start().is_empty() => missing(1),
            json => argument(json),
        };
        if arguments.attachments.is_empty() {
            return first();
        }
        match reading(&arguments.attachments, first) {
            (Ok(_), false) => Err(Error::bad_payload(NO_BINARY)),
            (read, _) => read,
        }
    }

    fn schema(generator: &mut SchemaGenerator) -> Schema {
        generator.subschema_for::<T>()
    }
}

/// Reads the argument that `json` begins with.
pub(crate) fn argument<T: DeserializeOwned + JsonSchema>(json: &str) -> Result<T> {
    let mut values = serde_json::Deserializer::from_str(json).into_iter::<T>();
    match values.next() {
        Some(Ok(value)) => Ok(value),
        Some(Err(_)) | None => Err(explain::<T>(json)),
    }
}

/// What becomes of an argument that is not there: right for optional ones, an error for the others.
pub(super) fn missing<T: DeserializeOwned + JsonSchema>(number: usize) -> Result<T> {
    serde_json::from_str("null").map_err(|_| {
        Error::bad_payload(short(format!("missing argument {number}: expected {}", Shape::of::<T>().expected())))
    })
}

/// Decodes once more, slowly, to say where the mistake is: as the schema sees it, which speaks of what travels. What
/// only the type itself can tell is told in the words of its `Deserialize`.
fn explain<T: DeserializeOwned + JsonSchema>(json: &str) -> Error {
    let mut values = serde_json::Deserializer::from_str(json).into_iter::<serde_json::Value>();
    let Some(Ok(value)) = values.next() else { return Error::bad_payload("malformed JSON") };
    let shape = Shape::of::<T>();
    if let Some(mistake) = shape.mistake(&value) {
        return Error::bad_payload(short(mistake));
    }
    let mut deserializer = serde_json::Deserializer::from_str(json);
    match serde_path_to_error::deserialize::<_, T>(&mut deserializer) {
        Ok(_) => Error::bad_payload("malformed JSON after the first argument"),
        Err(error) => {
            let path = error.path().to_string();
            let text = error.inner().to_string();
            // serde_json appends a position within the packet, which says nothing to the sender of an object.
            let text = text.split(" at line ").next().unwrap_or(&text);
            // serde's own words name Rust's types.
            let serdes = text.starts_with("invalid ") || text.starts_with("data did not match");
            let text = if serdes { format!("expected {}", shape.expected()) } else { text.to_owned() };
            Error::bad_payload(short(if path == "." { text } else { format!("`{path}`: {text}") }))
        }
    }
}

/// What a mistake may say at most, in bytes: serde repeats the value it did not like, which may be as long as the event.
const MESSAGE_MAX: usize = 200;

fn short(mut text: String) -> String {
    if text.len() > MESSAGE_MAX {
        text.truncate(text.floor_char_boundary(MESSAGE_MAX));
        text.push_str("..");
    }
    text
}

/// A request that takes whatever comes and looks at none of it.
#[derive(Debug, Clone, Copy)]
pub struct Ignored;

impl Decode for Ignored {
    fn decode(_: &Arguments) -> Result<Self> {
        Ok(Self)
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "x-arguments": "ignored", "description": "Any arguments: none is looked at." })
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

    fn schema(generator: &mut SchemaGenerator) -> Schema {
        <Self as JsonSchema>::json_schema(generator)
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

    fn schema(generator: &mut SchemaGenerator) -> Schema {
        <Payload as Decode>::schema(generator)
    }
}

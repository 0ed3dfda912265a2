//! What a handler may take, and how it is made from the arguments of an event.

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::{DeserializeOwned, IgnoredAny};

use super::mistakes::{first_mistake, missing};
use super::{Arguments, Payload};
use crate::error::{Error, Result};
use crate::packet::split_event;

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
            Some(Err(_)) => {
                let mistake = first_mistake::<T>(json);
                Err(Error::bad_payload(mistake.unwrap_or_else(|| "malformed JSON after the first argument".to_owned())))
            }
            // No argument at all: right for optional requests, an error for the others.
            None => serde_json::from_str("null").map_err(|_| Error::bad_payload(missing::<T>())),
        }
    }

    fn schema(generator: &mut SchemaGenerator) -> Schema {
        generator.subschema_for::<T>()
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

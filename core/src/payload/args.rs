//! Several typed arguments, as existing Socket.IO applications send them.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use super::attachment::reading;
use super::decode::{NO_BINARY, argument, missing};
use super::encode::write_argument;
use super::{Arguments, Decode, Emit};
use crate::error::{Error, Result};
use crate::packet::ItemBuilder;

/// Several arguments, each of a type of its own: `Args<(String, u32)>` is what `emit("move", "left", 3)` sends. Up to six;
/// those at the end that are `Option`s may be missing, and what comes behind the last is left alone.
///
/// As a request, as what is emitted and published, and as `Plain<Args<(A, B)>>` in an ack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Args<T>(pub T);

/// A tuple that [`Args`] can carry.
#[doc(hidden)]
#[diagnostic::on_unimplemented(
    message = "`Args<{Self}>` cannot be read from a client",
    label = "not a tuple of two to six requests",
    note = "write `Args<(A, B)>`, each of them deriving `Deserialize` and `JsonSchema`"
)]
pub trait ReadArgs: Sized + Send + 'static {
    /// Reads each argument.
    fn read(arguments: &[&RawValue]) -> Result<Self>;
}

/// A tuple that [`Args`] can describe.
#[doc(hidden)]
pub trait DescribeArgs {
    /// The schema of each argument.
    fn schemas(generator: &mut SchemaGenerator) -> Vec<Schema>;
}

/// A tuple that [`Args`] can send.
#[doc(hidden)]
#[diagnostic::on_unimplemented(
    message = "`Args<{Self}>` cannot be sent to a client",
    label = "not a tuple of two to six values that serialize",
    note = "write `Args((a, b))`, each of them deriving `Serialize`"
)]
pub trait WriteArgs: Sync {
    /// Writes each argument.
    fn write(&self, packet: &mut ItemBuilder) -> Result<()>;
}

macro_rules! tuples {
    ($(($($name:ident $at:tt),+);)*) => { $(
        impl<$($name: DeserializeOwned + JsonSchema + Send + 'static),+> ReadArgs for ($($name,)+) {
            fn read(arguments: &[&RawValue]) -> Result<Self> {
                Ok(($(one::<$name>(arguments, $at)?,)+))
            }
        }

        impl<$($name: JsonSchema),+> DescribeArgs for ($($name,)+) {
            fn schemas(generator: &mut SchemaGenerator) -> Vec<Schema> {
                vec![$(generator.subschema_for::<$name>()),+]
            }
        }

        impl<$($name: Serialize + Sync),+> WriteArgs for ($($name,)+) {
            fn write(&self, packet: &mut ItemBuilder) -> Result<()> {
                $(write_argument(packet, &self.$at)?;)+
                Ok(())
            }
        }
    )* };
}

tuples! {
    (A 0, B 1);
    (A 0, B 1, C 2);
    (A 0, B 1, C 2, D 3);
    (A 0, B 1, C 2, D 3, E 4);
    (A 0, B 1, C 2, D 3, E 4, F 5);
}

/// Argument number `at`, counted from zero.
fn one<T: DeserializeOwned + JsonSchema>(arguments: &[&RawValue], at: usize) -> Result<T> {
    match arguments.get(at) {
        Some(raw) => argument::<T>(raw.get())
            .map_err(|error| Error::bad_payload(format!("argument {}: {}", at + 1, error.message()))),
        None => missing::<T>(at + 1),
    }
}

impl<T: ReadArgs + DescribeArgs> Decode for Args<T> {
    fn decode(arguments: &Arguments) -> Result<Self> {
        let array = format!("[{}]", arguments.json());
        let raw: Vec<&RawValue> = serde_json::from_str(&array).map_err(|_| Error::bad_payload("malformed JSON"))?;
        if arguments.attachments.is_empty() {
            return T::read(&raw).map(Self);
        }
        let (read, taken) = reading(&arguments.attachments, || T::read(&raw));
        if taken { read.map(Self) } else { Err(read.err().unwrap_or_else(|| Error::bad_payload(NO_BINARY))) }
    }

    fn schema(generator: &mut SchemaGenerator) -> Schema {
        <Self as JsonSchema>::json_schema(generator)
    }
}

impl<T: WriteArgs> Emit for Args<T> {
    fn attachments(&self) -> &[bytes::Bytes] {
        &[]
    }

    fn write(&self, packet: &mut ItemBuilder) -> Result<()> {
        self.0.write(packet)
    }
}

/// One after the other, in `prefixItems`; `x-arguments` tells that they are not one argument that is a list.
impl<T: DescribeArgs> JsonSchema for Args<T> {
    fn schema_name() -> Cow<'static, str> {
        "Args".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({ "x-arguments": "several", "type": "array", "prefixItems": T::schemas(generator) })
    }

    fn inline_schema() -> bool {
        true
    }
}

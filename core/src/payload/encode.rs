//! What can be sent to a client, and how it becomes a packet.

use std::sync::Arc;

use bytes::Bytes;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Serialize;

use super::Payload;
use super::attachment::writing;
use crate::error::{Error, ErrorBody, Result};
use crate::packet::{Item, ItemBuilder};

/// What can be emitted and published: any `Serialize` (one argument), [`Args`](super::Args) (several), or a
/// [`Payload`] (all arguments, raw).
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be sent to a client",
    label = "not serializable",
    note = "derive `Serialize` on it, or send a `Payload`"
)]
pub trait Emit: Sync {
    /// Attachments that are known before the arguments are written.
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
        write_argument(packet, self)
    }
}

/// Writes one argument, and hands its binary data to the packet.
pub(super) fn write_argument<T: Serialize + ?Sized>(packet: &mut ItemBuilder, value: &T) -> Result<()> {
    let (written, attachments) =
        writing(packet.attachments(), || serde_json::to_writer(&mut *packet.argument(), value));
    written?;
    packet.attach(attachments);
    Ok(())
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

/// Encodes an event once for everybody, as [`Target::publish`](crate::Target::publish) does.
///
/// # Errors
/// `internal` when the value cannot be written as JSON.
pub fn encode_event<T: Emit + ?Sized>(namespace: &Arc<str>, event: &str, value: &T) -> Result<Item> {
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
        packet.argument().extend_from_slice(br#"{"ok":true,"data":"#);
        let (written, attachments) = writing(0, || serde_json::to_writer(packet.buffer(), self));
        written?;
        packet.buffer().push(b'}');
        packet.attach(attachments);
        Ok(packet.build())
    }

    fn schema(generator: &mut SchemaGenerator) -> Schema {
        generator.subschema_for::<T>()
    }

    const ENVELOPE: bool = true;
}

/// A reply without the envelope, for routes that speak an existing protocol: the ack is exactly `T`, or all
/// arguments of an [`Args`](super::Args) or a [`Payload`].
#[derive(Debug, Clone)]
pub struct Plain<T>(pub T);

impl<T: Emit + JsonSchema + Send + 'static> Reply for Plain<T> {
    fn encode(&self, namespace: &Arc<str>, id: i64) -> Result<Item> {
        let mut packet = ItemBuilder::ack(namespace, id, self.0.attachments());
        self.0.write(&mut packet)?;
        Ok(packet.build())
    }

    fn schema(generator: &mut SchemaGenerator) -> Schema {
        generator.subschema_for::<T>()
    }

    const ENVELOPE: bool = false;
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

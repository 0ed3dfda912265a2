//! What plugins declare to send, so that a test is told of an event whose arguments are others.

use std::collections::HashMap;

use schemars::Schema;
use serde_json::{Map, Value};

use crate::payload::Shape;
use crate::registry::Description;
use crate::routes::Outline;

/// The events that each namespace is sent, whoever declares them. One that several declare may be any of theirs.
#[derive(Default)]
pub(super) struct Declared(HashMap<(String, String), Vec<Arguments>>);

/// How an event's arguments are declared.
enum Arguments {
    /// As they come: there is nothing to compare them with.
    Raw,
    /// One, of this shape.
    One(Shape),
    /// Several, as the items of a list of this shape.
    Several(Shape),
}

impl Declared {
    pub(super) fn of(plugins: &[Description]) -> Self {
        let mut all = Self::default();
        for Description { namespace, outline, .. } in plugins {
            for emit in &outline.emits {
                all.add(emit.namespace.as_deref().unwrap_or(namespace), &emit.name, &emit.payload, outline);
            }
            for call in &outline.calls {
                all.add(namespace, &call.name, &call.request, outline);
            }
        }
        all
    }

    fn add(&mut self, namespace: &str, event: &str, schema: &Schema, outline: &Outline) {
        let arguments = match schema.get("x-arguments").and_then(Value::as_str) {
            Some("raw") => Arguments::Raw,
            Some(_) => Arguments::Several(shape(schema, &outline.definitions)),
            None => Arguments::One(shape(schema, &outline.definitions)),
        };
        self.0.entry((namespace.to_owned(), event.to_owned())).or_default().push(arguments);
    }

    /// What about the arguments of an event does not fit its declarations. One that nobody declared is none of them.
    pub(super) fn mistake(&self, namespace: &str, event: &str, arguments: &[Value]) -> Option<String> {
        let declared = self.0.get(&(namespace.to_owned(), event.to_owned()))?;
        let mistakes = declared.iter().map(|one| one.mistake(arguments)).collect::<Option<Vec<_>>>()?;
        mistakes.into_iter().next()
    }
}

impl Arguments {
    fn mistake(&self, arguments: &[Value]) -> Option<String> {
        match self {
            Self::Raw => None,
            Self::One(shape) => shape.mistake(arguments.first().unwrap_or(&Value::Null)),
            Self::Several(shape) => shape.mistake(&Value::from(arguments)),
        }
    }
}

/// A schema of an outline, with the definitions it refers to.
fn shape(schema: &Schema, definitions: &Map<String, Value>) -> Shape {
    // One that is no object is `true`: any value.
    let mut whole = schema.as_object().cloned().unwrap_or_default();
    whole.insert("definitions".to_owned(), definitions.clone().into());
    Shape::new(whole.into())
}

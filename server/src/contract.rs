//! What clients and this server may send each other, namespace by namespace: the event table of all plugins put together,
//! which TypeScript's types and the AsyncAPI document are written from.

mod asyncapi;
mod definitions;
mod typescript;

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use bytes::Bytes;
use carillon_config::{Loaded, Rate};
use carillon_core::registry::{Description, Registry};
use serde_json::{Map, Value};

use self::definitions::Definitions;
use crate::program::Program;

/// Everything that is declared.
#[derive(Debug, Default)]
pub(crate) struct Contract {
    namespaces: BTreeMap<String, Namespace>,
    /// JSON schemas by their names; others refer to them as `#/definitions/<name>`.
    definitions: Map<String, Value>,
}

/// What is declared for one namespace, by whatever plugin.
#[derive(Debug, Default)]
struct Namespace {
    /// Events the server sends, by name. A plugin may send into the namespace of another, an event that this one sends too.
    sent: BTreeMap<String, Vec<Sent>>,
    /// Events clients send, by name.
    taken: BTreeMap<String, Taken>,
    /// What it says of events whose names are not declared: those it sends, those it takes.
    sent_any: Option<String>,
    taken_any: Option<String>,
    /// Schema of `auth`.
    auth: Option<Value>,
    /// Whether clients are told offsets.
    recovery: bool,
}

/// An event the server sends.
#[derive(Debug)]
struct Sent {
    doc: String,
    payload: Value,
    /// Schema of the answer it wants, if it wants one.
    answer: Option<Value>,
}

/// An event a client sends.
#[derive(Debug)]
struct Taken {
    doc: String,
    request: Value,
    response: Value,
    /// Whether the ack is `{ ok, data }`.
    envelope: bool,
    /// How often it may be sent, where it has a limit of its own.
    limit: Option<Rate>,
}

impl Taken {
    /// Its own limit, for people.
    fn limit_text(&self) -> Option<String> {
        self.limit.map(|limit| if limit.per_s == 0 { "Not limited.".to_owned() } else { format!("At most {limit}.") })
    }
}

impl Contract {
    /// That of the plugins which this configuration enables.
    pub(crate) fn new(registry: &Registry, config: &Loaded) -> Self {
        let enabled = registry.iter().filter(|entry| config.plugin_enabled(entry.name()));
        Self::of(&enabled.map(|entry| entry.describe(config)).collect::<Vec<_>>())
    }

    /// That of these plugins.
    pub(crate) fn of(plugins: &[Description]) -> Self {
        let definitions = Definitions::new(plugins);
        let mut contract = Self { definitions: definitions.all(), ..Self::default() };
        for plugin in plugins {
            let named = |schema: &Value| definitions.renamed(plugin.name, schema);
            let outline = &plugin.outline;
            let own = contract.namespaces.entry(plugin.namespace.to_owned()).or_default();
            own.taken_any.clone_from(&outline.any);
            own.sent_any.clone_from(&outline.emits_any);
            own.auth = outline.auth.as_ref().map(|auth| named(auth.as_value()));
            own.recovery = outline.recovery;
            for event in outline.events.iter().chain(&outline.built_in) {
                let (request, response) = (named(event.request.as_value()), named(event.response.as_value()));
                let (doc, limit) = (event.doc.clone(), event.limit);
                let taken = Taken { doc, request, response, envelope: event.envelope, limit };
                own.taken.insert(event.name.clone(), taken);
            }
            for call in &outline.calls {
                let (payload, answer) = (named(call.request.as_value()), Some(named(call.response.as_value())));
                own.sent.entry(call.name.clone()).or_default().push(Sent { doc: call.doc.clone(), payload, answer });
            }
            for emit in &outline.emits {
                let namespace = emit.namespace.as_deref().unwrap_or(plugin.namespace);
                let events = &mut contract.namespaces.entry(namespace.to_owned()).or_default().sent;
                let sent = Sent { doc: emit.doc.clone(), payload: named(emit.payload.as_value()), answer: None };
                events.entry(emit.name.clone()).or_default().push(sent);
            }
        }
        contract
    }

    /// Types for TypeScript, to be used with socket.io-client.
    pub(crate) fn typescript(&self) -> String {
        typescript::write(self)
    }

    /// The AsyncAPI document.
    pub(crate) fn asyncapi(&self, program: Program) -> String {
        format!("{:#}\n", asyncapi::document(self, program))
    }
}

/// What the server says of itself: both documents as it hands them out, and the name that `/docs` has.
#[derive(Debug)]
pub(crate) struct Documents {
    /// The program's name.
    pub(crate) program: &'static str,
    pub(crate) typescript: Document,
    pub(crate) asyncapi: Document,
}

impl Documents {
    /// Writes them.
    pub(crate) fn new(contract: &Contract, program: Program) -> Self {
        Self {
            program: program.name,
            typescript: Document::new(contract.typescript()),
            asyncapi: Document::new(contract.asyncapi(program)),
        }
    }
}

/// A text, and the entity tag that tells it from another.
#[derive(Debug)]
pub(crate) struct Document {
    pub(crate) text: Bytes,
    pub(crate) tag: String,
}

impl Document {
    fn new(text: String) -> Self {
        // The same in every process, so that a client knows the text of a server that was started again.
        let mut hasher = DefaultHasher::new();
        text.hash(&mut hasher);
        Self { tag: format!("\"{:016x}\"", hasher.finish()), text: text.into() }
    }
}

#[cfg(test)]
mod tests;

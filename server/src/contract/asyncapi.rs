//! The contract as an AsyncAPI 3.0 document: a channel for each namespace, an operation for each event.
//!
//! The application it describes is the server: it receives what clients emit, and sends what they listen to.

use std::collections::HashSet;

use carillon_core::Code;
use serde_json::{Map, Value, json};

use super::definitions::PREFIX;
use super::{Contract, Namespace, Sent, Taken};
use crate::program::Program;

/// The document.
pub(super) fn document(contract: &Contract, program: Program) -> Value {
    let mut document = Document::default();
    for (address, namespace) in &contract.namespaces {
        document.namespace(address, namespace);
    }
    let schemas: Map<_, _> =
        contract.definitions.iter().map(|(name, schema)| (name.clone(), moved(schema))).chain([failure()]).collect();
    json!({
        "asyncapi": "3.0.0",
        "info": {
            "title": program.name,
            "version": program.version,
            "description": "Events over Socket.IO. A channel is a namespace, a message is an event with that name: \
                            its payload is the event's argument. A reply is the argument of the ack.",
        },
        "defaultContentType": "application/json",
        "channels": document.channels,
        "operations": document.operations,
        "components": { "schemas": schemas },
    })
}

/// The schema of a refusal; no type of a plugin's has a dot in its name.
const FAILURE: &str = "carillon.failure";

fn failure() -> (String, Value) {
    let schema = json!({
        "type": "object",
        "description": "Why a call failed.",
        "properties": {
            "code": { "type": "string", "enum": Code::ALL.map(Code::as_str), "description": "For programs." },
            "message": { "type": "string", "description": "For people." },
            "retryable": { "type": "boolean", "description": "Whether the same call may succeed later." },
            "retry_after_ms": {
                "type": "integer",
                "minimum": 0,
                "description": "With rate_limited: in how many milliseconds it may be tried again.",
            },
            "id": { "type": "string", "description": "Finds the cause in the server's log." },
        },
        "required": ["code", "message", "retryable"],
    });
    (FAILURE.to_owned(), schema)
}

/// What is told of a namespace whose clients come back.
const OFFSETS: &str = "Clients that take offsets are sent one behind the arguments of each publish.";

#[derive(Default)]
struct Document {
    channels: Map<String, Value>,
    operations: Map<String, Value>,
}

impl Document {
    fn namespace(&mut self, address: &str, namespace: &Namespace) {
        let name = if address == "/" { "root" } else { address.trim_start_matches('/') };
        let channel = unused(name, |key| self.channels.contains_key(key));
        let mut messages = Messages { channel: &channel, all: Map::new(), taken: HashSet::new() };
        for (event, sent) in &namespace.sent {
            // One operation for each plugin that sends it: they may send different things at different times.
            for sent in sent {
                let operation = messages.sent(event, sent);
                let key = unused(&format!("{channel}.send.{event}"), |key| self.operations.contains_key(key));
                self.operations.insert(key, operation);
            }
        }
        for (event, taken) in &namespace.taken {
            let operation = messages.received(event, taken);
            let key = unused(&format!("{channel}.receive.{event}"), |key| self.operations.contains_key(key));
            self.operations.insert(key, operation);
        }
        let mut described = json!({ "address": address, "messages": messages.all });
        let any = [("Takes other events too", &namespace.taken_any), ("Sends other events too", &namespace.sent_any)];
        let said = any.into_iter().filter_map(|(what, doc)| doc.as_ref().map(|doc| format!("{what}: {doc}")));
        let said: Vec<_> = said.chain(namespace.recovery.then(|| OFFSETS.to_owned())).collect();
        if let Some(fields) = described.as_object_mut() {
            if !said.is_empty() {
                fields.insert("description".to_owned(), said.join("\n").into());
            }
            if let Some(auth) = &namespace.auth {
                fields.insert("x-auth".to_owned(), moved(auth));
            }
        }
        self.channels.insert(channel, described);
    }
}

/// The messages of one channel.
struct Messages<'a> {
    channel: &'a str,
    all: Map<String, Value>,
    taken: HashSet<String>,
}

impl Messages<'_> {
    fn sent(&mut self, event: &str, sent: &Sent) -> Value {
        let message = self.add(event, event, &sent.doc, moved(&sent.payload));
        let reply = sent.answer.as_ref().map(|answer| {
            let doc = format!("What a client answers {event} with.");
            self.add(&format!("{event}.ack"), event, &doc, moved(answer))
        });
        self.operation("send", &sent.doc, &message, reply.as_deref())
    }

    fn received(&mut self, event: &str, taken: &Taken) -> Value {
        let message = self.add(event, event, &taken.doc, moved(&taken.request));
        let data = moved(&taken.response);
        let refused = json!({
            "type": "object",
            "properties": {
                "ok": { "const": false },
                "error": { "$ref": format!("#/components/schemas/{FAILURE}") },
            },
            "required": ["ok", "error"],
        });
        let done = if taken.envelope {
            json!({ "type": "object", "properties": { "ok": { "const": true }, "data": data }, "required": ["ok", "data"] })
        } else {
            data
        };
        let doc = format!("The ack of {event}.");
        let reply = self.add(&format!("{event}.ack"), event, &doc, json!({ "oneOf": [done, refused] }));
        let mut operation = self.operation("receive", &taken.doc, &message, Some(&reply));
        if let (Some(fields), Some(limit)) = (operation.as_object_mut(), &taken.limit) {
            fields.insert("x-limit".to_owned(), json!(limit));
        }
        operation
    }

    fn add(&mut self, key: &str, event: &str, doc: &str, payload: Value) -> String {
        let key = unused(key, |key| self.taken.contains(key));
        self.taken.insert(key.clone());
        // A message's own schema is an object there, also where anything goes.
        let payload = if payload.is_object() { payload } else { json!({}) };
        self.all.insert(key.clone(), json!({ "name": event, "summary": doc, "payload": payload }));
        key
    }

    fn operation(&self, action: &str, doc: &str, message: &str, reply: Option<&str>) -> Value {
        let channel = json!({ "$ref": format!("#/channels/{}", self.channel) });
        let at = |key: &str| json!({ "$ref": format!("#/channels/{}/messages/{key}", self.channel) });
        let mut operation = json!({ "action": action, "channel": channel, "summary": doc, "messages": [at(message)] });
        if let (Some(fields), Some(reply)) = (operation.as_object_mut(), reply) {
            fields.insert("reply".to_owned(), json!({ "channel": channel, "messages": [at(reply)] }));
        }
        operation
    }
}

/// A key that AsyncAPI allows and nothing has yet.
fn unused(wanted: &str, has: impl Fn(&str) -> bool) -> String {
    let allowed = |c: char| if c.is_ascii_alphanumeric() || c == '.' { c } else { '_' };
    let mut key: String = wanted.chars().map(allowed).collect();
    while has(&key) {
        key.push('_');
    }
    key
}

/// A schema whose references lead to where the document has the types.
fn moved(schema: &Value) -> Value {
    match schema {
        Value::Object(fields) => {
            let field = |(key, value): (&String, &Value)| match value.as_str().and_then(|to| to.strip_prefix(PREFIX)) {
                Some(name) if key == "$ref" => (key.clone(), format!("#/components/schemas/{name}").into()),
                _ => (key.clone(), moved(value)),
            };
            Value::Object(fields.iter().map(field).collect())
        }
        Value::Array(items) => items.iter().map(moved).collect(),
        other => other.clone(),
    }
}

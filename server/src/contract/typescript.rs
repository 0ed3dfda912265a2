//! The contract as TypeScript: one interface for all namespaces, made for the type parameters of socket.io-client's
//! `Socket`.

use std::fmt::Write;

use carillon_core::Code;
use serde_json::{Map, Value};

use super::definitions::PREFIX;
use super::{Contract, Namespace, Sent, Taken};

/// What the file itself declares.
pub(super) const OWN_NAMES: [&str; 6] = ["Ack", "Refused", "Failure", "Namespaces", "Listen", "Emit"];

const HEAD: &str = r#"// What this Carillon and its clients send each other. Generated: `carillon types ts`, or /types.d.ts of a server.
//
//   import { io, type Socket } from "socket.io-client";
//   import type { Emit, Listen } from "./types";
//   const monitoring: Socket<Listen<"/monitoring">, Emit<"/monitoring">> = io("http://127.0.0.1:8085/monitoring");

/** Why a call failed. */
export interface Failure {
  /** For programs. */
  code:{codes};
  /** For people. */
  message: string;
  /** Whether the same call may succeed later. */
  retryable: boolean;
  /** With `rate_limited`: in how many milliseconds it may be tried again. */
  retry_after_ms?: number;
  /** Finds the cause in the server's log. */
  id?: string;
}

/** What a call is answered with. */
export type Ack<T> = { ok: true; data: T } | Refused;

/** A call that failed. */
export type Refused = { ok: false; error: Failure };

/** What a namespace sends: the first type parameter of `Socket`. */
export type Listen<N extends keyof Namespaces> = Namespaces[N]["listen"];

/** What a namespace takes: the second type parameter of `Socket`. Use `emitWithAck`, or `emit` with a function at the end. */
export type Emit<N extends keyof Namespaces> = Namespaces[N]["emit"];
"#;

/// Binary data: what Node.js and browsers hand out, and what either takes.
const BINARY: &str = "ArrayBuffer | Uint8Array";

/// The whole file.
pub(super) fn write(contract: &Contract) -> String {
    let codes: String = Code::ALL.iter().map(|code| format!("\n    | \"{}\"", code.as_str())).collect();
    let mut text = HEAD.replace("{codes}", &codes);
    text.push_str("\n/** Every namespace. */\nexport interface Namespaces {\n");
    for (name, namespace) in &contract.namespaces {
        text.push_str(&format!("  {}: {{\n", quoted(name)));
        push_namespace(&mut text, namespace);
        text.push_str("  };\n");
    }
    text.push_str("}\n");
    for (name, schema) in &contract.definitions {
        text.push('\n');
        push_doc(&mut text, "", doc_of(schema));
        // Writing to a String cannot fail.
        writeln!(text, "export type {name} = {};", type_of(schema, "")).ok();
    }
    text
}

fn push_namespace(text: &mut String, namespace: &Namespace) {
    if let Some(auth) = &namespace.auth {
        push_doc(text, "    ", Some("What a client sends as `auth`."));
        writeln!(text, "    auth: {};", type_of(auth, "    ")).ok();
    }
    text.push_str("    listen: {\n");
    for (event, sent) in &namespace.sent {
        let docs: Vec<_> = sent.iter().map(|sent| sent.doc.as_str()).collect();
        push_doc(text, "      ", Some(&docs.join("\n")));
        let mut signatures: Vec<_> = sent.iter().map(|sent| listener(sent, namespace.recovery)).collect();
        signatures.dedup();
        // What several plugins send under one name is one or the other for who listens.
        let arguments = signatures.join(" | ");
        writeln!(text, "      {}: (...args: {arguments}) => void;", quoted(event)).ok();
    }
    push_any(text, namespace.sent_any.as_deref());
    text.push_str("    };\n    emit: {\n");
    for (event, taken) in &namespace.taken {
        let docs: Vec<_> = [Some(taken.doc.clone()), taken.limit_text()].into_iter().flatten().collect();
        push_doc(text, "      ", Some(&docs.join("\n")));
        writeln!(text, "      {}: (...args: {}) => void;", quoted(event), emitter(taken)).ok();
    }
    push_any(text, namespace.taken_any.as_deref());
    text.push_str("    };\n");
}

fn push_any(text: &mut String, doc: Option<&str>) {
    if let Some(doc) = doc {
        push_doc(text, "      ", Some(doc));
        text.push_str("      [event: string]: (...args: any[]) => void;\n");
    }
}

/// The arguments of a listener, as a tuple; with `recovery` what is published ends with its offset for some clients, and what is
/// sent to one client may end with `null` in its place.
fn listener(sent: &Sent, recovery: bool) -> String {
    let mut all = arguments("payload", &sent.payload, "      ");
    if let Some(answer) = &sent.answer {
        let answer = arguments("answer", answer, "      ").join(", ");
        all.push(format!("ack: (...args: [{answer}]) => void"));
    } else if recovery && !all.iter().any(|argument| argument.starts_with("...")) {
        all.push("offset?: string | null".to_owned());
    }
    format!("[{}]", all.join(", "))
}

/// The arguments of an `emit` behind the event's name, as a tuple.
fn emitter(taken: &Taken) -> String {
    let mut all = arguments("payload", &taken.request, "      ");
    let response = &taken.response;
    let ack = if taken.envelope {
        format!("answer: Ack<{}>", type_of(response, "      "))
    } else {
        // Failures have the envelope all the same.
        format!("...args: [{}] | [refused: Refused]", arguments("answer", response, "      ").join(", "))
    };
    all.push(format!("ack: ({ack}) => void"));
    format!("[{}]", all.join(", "))
}

/// What stands for a schema in a list of arguments: one, several or any.
fn arguments(name: &str, schema: &Value, indent: &str) -> Vec<String> {
    match schema.get("x-arguments").and_then(Value::as_str) {
        Some("several") => {
            let each = schema.get("prefixItems").and_then(Value::as_array).into_iter().flatten().enumerate();
            each.map(|(at, schema)| format!("{name}{}: {}", at + 1, type_of(schema, indent))).collect()
        }
        Some("ignored") => vec![format!("{name}: unknown")],
        Some(_) => vec!["...rest: unknown[]".to_owned()],
        None if schema.get("type").is_some_and(|kind| kind == "null") => Vec::new(),
        None => vec![format!("{name}: {}", type_of(schema, indent))],
    }
}

/// The type that a JSON schema describes.
fn type_of(schema: &Value, indent: &str) -> String {
    let fields = match schema {
        Value::Bool(false) => return "never".to_owned(),
        Value::Object(fields) => fields,
        _ => return "unknown".to_owned(),
    };
    let mut all = Vec::new();
    if let Some(to) = fields.get("$ref").and_then(Value::as_str) {
        all.push(to.strip_prefix(PREFIX).unwrap_or(to).to_owned());
    }
    let list = |key: &str| fields.get(key).and_then(Value::as_array);
    if let Some(value) = fields.get("const") {
        all.push(value.to_string());
    } else if let Some(values) = list("enum") {
        all.push(union(values.iter().map(Value::to_string)));
    } else {
        match fields.get("type") {
            Some(Value::String(kind)) => all.push(of_kind(kind, fields, indent)),
            Some(Value::Array(kinds)) => {
                all.push(union(kinds.iter().filter_map(Value::as_str).map(|kind| of_kind(kind, fields, indent))));
            }
            _ if fields.contains_key("properties") => all.push(object(fields, indent)),
            _ if fields.get("format").is_some_and(|format| format == "binary") => all.push(BINARY.to_owned()),
            _ => {}
        }
    }
    for key in ["oneOf", "anyOf"] {
        all.extend(list(key).map(|each| union(each.iter().map(|schema| type_of(schema, indent)))));
    }
    all.extend(list("allOf").into_iter().flatten().map(|schema| type_of(schema, indent)));
    match all.len() {
        0 => "unknown".to_owned(),
        1 => all.concat(),
        _ => all.iter().map(|part| format!("({part})")).collect::<Vec<_>>().join(" & "),
    }
}

fn union(types: impl Iterator<Item = String>) -> String {
    let mut all: Vec<String> = Vec::new();
    for one in types {
        if !all.contains(&one) {
            all.push(one);
        }
    }
    if all.is_empty() { "never".to_owned() } else { all.join(" | ") }
}

fn of_kind(kind: &str, fields: &Map<String, Value>, indent: &str) -> String {
    match kind {
        "string" => "string".to_owned(),
        "integer" | "number" => "number".to_owned(),
        "boolean" => "boolean".to_owned(),
        "null" => "null".to_owned(),
        "array" => array(fields, indent),
        "object" => object(fields, indent),
        _ => "unknown".to_owned(),
    }
}

fn array(fields: &Map<String, Value>, indent: &str) -> String {
    if let Some(items) = fields.get("prefixItems").and_then(Value::as_array) {
        return format!("[{}]", items.iter().map(|item| type_of(item, indent)).collect::<Vec<_>>().join(", "));
    }
    let item = fields.get("items").map_or_else(|| "unknown".to_owned(), |item| type_of(item, indent));
    format!("Array<{item}>")
}

fn object(fields: &Map<String, Value>, indent: &str) -> String {
    let others = fields.get("additionalProperties").filter(|others| others.is_object());
    let Some(properties) = fields.get("properties").and_then(Value::as_object) else {
        return format!(
            "Record<string, {}>",
            others.map_or_else(|| "unknown".to_owned(), |each| type_of(each, indent))
        );
    };
    let required = fields.get("required").and_then(Value::as_array);
    let deeper = format!("{indent}  ");
    let mut text = "{\n".to_owned();
    for (name, schema) in properties {
        push_doc(&mut text, &deeper, doc_of(schema));
        let must = required.is_some_and(|names| names.iter().any(|one| one == name));
        let mark = if must { "" } else { "?" };
        writeln!(text, "{deeper}{}{mark}: {};", quoted(name), type_of(schema, &deeper)).ok();
    }
    if others.is_some() {
        // Must hold for the fields that have a name as well.
        writeln!(text, "{deeper}[name: string]: unknown;").ok();
    }
    text + indent + "}"
}

fn doc_of(schema: &Value) -> Option<&str> {
    schema.get("description").and_then(Value::as_str)
}

fn push_doc(text: &mut String, indent: &str, doc: Option<&str>) {
    let Some(doc) = doc else { return };
    let doc = doc.replace("*/", "* /");
    match doc.lines().collect::<Vec<_>>().as_slice() {
        [] => {}
        [line] => text.push_str(&format!("{indent}/** {line} */\n")),
        lines => {
            let lines: Vec<_> = lines.iter().map(|line| format!("{indent} * {line}").trim_end().to_owned()).collect();
            text.push_str(&format!("{indent}/**\n{}\n{indent} */\n", lines.join("\n")));
        }
    }
}

/// A name as a key of a type.
fn quoted(name: &str) -> String {
    let plain = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if plain { name.to_owned() } else { Value::from(name).to_string() }
}

//! What is wrong with an argument, in words of the wire: which field, what it should be and what it is. No Rust in it.

use std::fmt::Write;

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema};
use serde_json::{Map, Value};

/// How deep a value is looked into; recursive types have no end of their own.
const DEPTH: usize = 32;
/// The longest text that is shown of a value.
const SHOWN: usize = 40;

/// A type as its JSON schema tells it, with the definitions it refers to.
pub(crate) struct Shape(Value);

impl Shape {
    /// The shape of `T`. Made for a message about a mistake, so it is worth its time only then.
    pub(crate) fn of<T: JsonSchema>() -> Self {
        Self::new(SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<T>())
    }

    pub(crate) fn new(schema: Schema) -> Self {
        Self(schema.to_value())
    }

    /// What is expected, such as ``an object with `text` ``.
    pub(crate) fn expected(&self) -> String {
        self.describe(&self.0, 0)
    }

    /// The first thing about `value` that does not fit, if the schema can tell.
    pub(crate) fn mistake(&self, value: &Value) -> Option<String> {
        self.find(&self.0, value, &mut String::new(), 0)
    }

    fn resolve<'a>(&'a self, schema: &'a Value) -> &'a Value {
        let path = schema.get("$ref").and_then(Value::as_str).and_then(|path| path.strip_prefix('#'));
        path.map_or(schema, |path| self.0.pointer(path).unwrap_or(&Value::Null))
    }

    fn find(&self, schema: &Value, value: &Value, path: &mut String, depth: usize) -> Option<String> {
        let schema = self.resolve(schema);
        if depth > DEPTH {
            return None;
        }
        if let Some(variants) = variants(schema) {
            return self.none_of(schema, variants, value, path, depth);
        }
        if !self.is_kind(schema, value) || !in_range(schema, value) || !is_listed(schema, value) {
            return Some(at(path, &format!("expected {}, got {}", self.describe(schema, depth), shown(value))));
        }
        match value {
            Value::Object(object) => self.fields(schema, object, path, depth),
            Value::Array(items) => self.items(schema, items, path, depth),
            _ => None,
        }
    }

    /// A value has to fit one of `variants`. Where one has a tag that fits, its mistake is the one to tell.
    fn none_of(
        &self,
        schema: &Value,
        offered: &[Value],
        value: &Value,
        path: &mut String,
        depth: usize,
    ) -> Option<String> {
        let mut mistakes = Vec::new();
        for variant in offered {
            mistakes.push((variant, self.find(variant, value, path, depth + 1)?));
        }
        let tagged = |variant: &Value| {
            let fields = self.resolve(variant).get("properties").and_then(Value::as_object);
            let mut tags = fields.into_iter().flatten().filter(|(_, field)| field.get("const").is_some()).peekable();
            tags.peek().is_some() && tags.all(|(name, field)| value.get(name) == field.get("const"))
        };
        let near = |variant: &Value| {
            let variant = self.resolve(variant);
            let choice = variants(variant).is_some();
            tagged(variant)
                || !value.is_null() && (choice || variant.get("type").is_some() && self.is_kind(variant, value))
        };
        let mut fitting = mistakes.iter().filter(|(variant, _)| near(variant));
        if let (Some((_, mistake)), None) = (fitting.next(), fitting.next()) {
            return Some(mistake.clone());
        }
        if let Some((_, mistake)) = mistakes.iter().find(|(variant, _)| tagged(variant)) {
            return Some(mistake.clone());
        }
        Some(at(path, &format!("expected {}, got {}", self.describe(schema, depth), shown(value))))
    }

    fn fields(&self, schema: &Value, object: &Map<String, Value>, path: &mut String, depth: usize) -> Option<String> {
        let none = Map::new();
        let fields = schema.get("properties").and_then(Value::as_object).unwrap_or(&none);
        let mut required =
            schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
        if let Some(name) = required.find(|name| !object.contains_key(*name)) {
            let expected = fields.get(name).map(|field| self.describe(field, depth + 1));
            let text = expected.map_or_else(|| "is missing".to_owned(), |what| format!("is missing: expected {what}"));
            return within(path, name, |path| Some(format!("`{path}` {text}")));
        }
        let others = schema.get("additionalProperties");
        for (name, value) in object {
            let mistake = match (fields.get(name), others) {
                (Some(field), _) | (None, Some(field @ Value::Object(_))) => {
                    within(path, name, |path| self.find(field, value, path, depth + 1))
                }
                (None, Some(Value::Bool(false))) => {
                    let known: Vec<String> = fields.keys().map(|name| format!("`{name}`")).collect();
                    let known = if known.is_empty() { "no fields".to_owned() } else { known.join(", ") };
                    within(path, &cut(name), |path| Some(format!("`{path}` is unknown; there are {known}")))
                }
                (None, _) => None,
            };
            if mistake.is_some() {
                return mistake;
            }
        }
        None
    }

    fn items(&self, schema: &Value, items: &[Value], path: &mut String, depth: usize) -> Option<String> {
        let first = schema.get("prefixItems").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let rest = schema.get("items").filter(|rest| rest.is_object());
        for (index, value) in items.iter().enumerate() {
            let Some(item) = first.get(index).or(rest) else { break };
            let length = path.len();
            // Writing to a String cannot fail.
            write!(path, "[{index}]").ok();
            let mistake = self.find(item, value, path, depth + 1);
            path.truncate(length);
            if mistake.is_some() {
                return mistake;
            }
        }
        let bound = |name: &str| schema.get(name).and_then(Value::as_u64);
        let few = bound("minItems").is_some_and(|least| (items.len() as u64) < least);
        let many = bound("maxItems").is_some_and(|most| items.len() as u64 > most);
        (few || many)
            .then(|| at(path, &format!("expected {}, got {} items", self.describe(schema, depth), items.len())))
    }

    fn is_kind(&self, schema: &Value, value: &Value) -> bool {
        if schema.get("format").and_then(Value::as_str) == Some(super::BINARY) {
            return value.get("_placeholder").is_some();
        }
        if value.get("_placeholder").is_some() {
            return schema.get("type").is_none();
        }
        let fits = |kind: &Value| match kind.as_str() {
            Some("string") => value.is_string(),
            Some("integer") => value.is_i64() || value.is_u64(),
            Some("number") => value.is_number(),
            Some("boolean") => value.is_boolean(),
            Some("array") => value.is_array(),
            Some("object") => value.is_object(),
            Some("null") => value.is_null(),
            _ => true,
        };
        match schema.get("type") {
            Some(Value::Array(kinds)) => kinds.iter().any(fits),
            Some(kind) => fits(kind),
            None => true,
        }
    }

    fn describe(&self, schema: &Value, depth: usize) -> String {
        let schema = self.resolve(schema);
        if depth > DEPTH {
            return "a value".to_owned();
        }
        if let Some(only) = schema.get("const") {
            return only.to_string();
        }
        if let Some(listed) = schema.get("enum").and_then(Value::as_array) {
            return alternatives(listed.iter().map(Value::to_string));
        }
        if let Some(variants) = variants(schema) {
            return alternatives(variants.iter().map(|variant| self.describe(variant, depth + 1)));
        }
        if schema.get("format").and_then(Value::as_str) == Some(super::BINARY) {
            return "binary data".to_owned();
        }
        let one = |kind: &Value| match kind.as_str() {
            Some("string") => "a string".to_owned(),
            Some("integer") => format!("a whole number{}", range(schema)),
            Some("number") => format!("a number{}", range(schema)),
            Some("boolean") => "true or false".to_owned(),
            Some("array") => list(schema),
            Some("object") => object(schema),
            Some("null") => "null".to_owned(),
            _ => "a value".to_owned(),
        };
        match schema.get("type") {
            Some(Value::Array(kinds)) => alternatives(kinds.iter().map(one)),
            Some(kind) => one(kind),
            None => "a value".to_owned(),
        }
    }
}

/// What `schema` offers to choose from.
fn variants(schema: &Value) -> Option<&Vec<Value>> {
    ["anyOf", "oneOf"].iter().find_map(|key| schema.get(key)).and_then(Value::as_array)
}

/// Runs `look` with `name` behind `path`.
fn within(path: &mut String, name: &str, look: impl FnOnce(&mut String) -> Option<String>) -> Option<String> {
    let length = path.len();
    if !path.is_empty() {
        path.push('.');
    }
    path.push_str(name);
    let found = look(path);
    path.truncate(length);
    found
}

fn at(path: &str, text: &str) -> String {
    if path.is_empty() { text.to_owned() } else { format!("`{path}`: {text}") }
}

fn alternatives(all: impl Iterator<Item = String>) -> String {
    let mut different: Vec<String> = Vec::new();
    all.for_each(|one| {
        if !different.contains(&one) {
            different.push(one);
        }
    });
    match different.split_last() {
        Some((last, before)) if !before.is_empty() => format!("{} or {last}", before.join(", ")),
        Some((only, _)) => only.clone(),
        None => "nothing".to_owned(),
    }
}

fn object(schema: &Value) -> String {
    let required = schema.get("required").and_then(Value::as_array).into_iter().flatten();
    let names: Vec<String> = required.filter_map(Value::as_str).map(|name| format!("`{name}`")).collect();
    match names.split_last() {
        None => "an object".to_owned(),
        Some((only, [])) => format!("an object with {only}"),
        Some((last, before)) => format!("an object with {} and {last}", before.join(", ")),
    }
}

fn list(schema: &Value) -> String {
    let bound = |name: &str| schema.get(name).and_then(Value::as_u64);
    match (bound("minItems"), bound("maxItems")) {
        (Some(least), Some(most)) if least == most => format!("a list of {least}"),
        (Some(least), Some(most)) => format!("a list of {least} to {most}"),
        (Some(least), None) => format!("a list of at least {least}"),
        (None, Some(most)) => format!("a list of at most {most}"),
        (None, None) => "a list".to_owned(),
    }
}

/// The limits a schema names, or its format implies.
fn limits(schema: &Value) -> (Option<f64>, Option<f64>) {
    let bound = |name: &str| schema.get(name).and_then(Value::as_f64);
    let (least, most) = match schema.get("format").and_then(Value::as_str) {
        Some("int32") => (Some(f64::from(i32::MIN)), Some(f64::from(i32::MAX))),
        Some("uint32") => (Some(0.0), Some(f64::from(u32::MAX))),
        _ => (None, None),
    };
    (bound("minimum").or(least), bound("maximum").or(most))
}

fn range(schema: &Value) -> String {
    match limits(schema) {
        (Some(least), Some(most)) => format!(" from {least} to {most}"),
        (Some(least), None) => format!(" of at least {least}"),
        (None, Some(most)) => format!(" of at most {most}"),
        (None, None) => String::new(),
    }
}

fn in_range(schema: &Value, value: &Value) -> bool {
    let (least, most) = limits(schema);
    value.as_f64().is_none_or(|value| least.is_none_or(|least| value >= least) && most.is_none_or(|most| value <= most))
}

fn is_listed(schema: &Value, value: &Value) -> bool {
    let listed = schema.get("enum").and_then(Value::as_array);
    listed.is_none_or(|all| all.contains(value)) && schema.get("const").is_none_or(|only| only == value)
}

/// A value, as short as it has to be.
fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => format!("{:?}", cut(text)),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(object) if object.contains_key("_placeholder") => "binary data".to_owned(),
        Value::Object(_) => "an object".to_owned(),
        short => short.to_string(),
    }
}

fn cut(text: &str) -> String {
    let end = text.floor_char_boundary(SHOWN);
    if end == text.len() { text.to_owned() } else { format!("{}..", &text[..end]) }
}

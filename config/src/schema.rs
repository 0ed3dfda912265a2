//! Looks things up in a section's JSON schema: the keys of a table, the type and the limits of a value.
use serde_json::{Map, Value};

/// The schema of one section, with the definitions it refers to.
#[derive(Debug)]
pub(crate) struct Schema {
    root: Value,
    definitions: Map<String, Value>,
}

/// The schema of one value inside a section.
#[derive(Clone, Copy)]
pub(crate) struct View<'a> {
    schema: &'a Schema,
    /// As written on the field: its doc comment, its limits.
    outer: &'a Value,
    /// What that refers to, once `$ref` and "or null" are followed: the type's own schema.
    inner: &'a Value,
}

/// How many references are followed in a row, so that a schema that refers to itself ends.
const REFERENCES: usize = 16;

impl Schema {
    pub(crate) fn new(root: Value, definitions: Map<String, Value>) -> Self {
        Self { root, definitions }
    }

    /// The section itself.
    pub(crate) fn view(&self) -> View<'_> {
        View::new(self, &self.root)
    }
}

impl<'a> View<'a> {
    fn new(schema: &'a Schema, outer: &'a Value) -> Self {
        let mut inner = outer;
        for _ in 0..REFERENCES {
            let next = reference(inner)
                .and_then(|name| schema.definitions.get(name))
                .or_else(|| only(inner.get("allOf")))
                .or_else(|| only(inner.get("anyOf")))
                .or_else(|| only(inner.get("oneOf")));
            match next {
                Some(next) => inner = next,
                None => break,
            }
        }
        Self { schema, outer, inner }
    }

    fn with(self, value: &'a Value) -> Self {
        Self::new(self.schema, value)
    }

    /// A keyword of the schema: as written on the field, else as its type says.
    pub(crate) fn get(self, keyword: &str) -> Option<&'a Value> {
        self.outer.get(keyword).or_else(|| self.inner.get(keyword))
    }

    /// The doc comment of the field, else of its type.
    pub(crate) fn doc(self) -> &'a str {
        self.get("description").and_then(Value::as_str).unwrap_or_default()
    }

    /// True for a value that must never be shown.
    pub(crate) fn secret(self) -> bool {
        self.get("writeOnly").and_then(Value::as_bool).unwrap_or_default()
    }

    /// The named fields, if this is a struct.
    pub(crate) fn properties(self) -> Option<impl Iterator<Item = (&'a str, View<'a>)>> {
        let properties = self.inner.get("properties")?.as_object()?;
        Some(properties.iter().map(move |(key, value)| (key.as_str(), self.with(value))))
    }

    /// One field of a struct, or any entry of a map.
    pub(crate) fn entry(self, key: &str) -> Option<Self> {
        let property = self.inner.get("properties").and_then(|properties| properties.get(key));
        property.map(|value| self.with(value)).or_else(|| self.values())
    }

    /// The fields that have to be there.
    pub(crate) fn required(self) -> impl Iterator<Item = &'a str> {
        self.inner.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
    }

    /// True for a table that takes no other keys than it names: a struct, whatever its type says itself.
    pub(crate) fn is_closed(self) -> bool {
        let named = self.inner.get("properties").is_some() || self.inner.get("additionalProperties").is_some();
        named && self.alternatives().next().is_none()
    }

    /// The entries of a map: a table whose keys the configuration chooses.
    pub(crate) fn values(self) -> Option<Self> {
        match self.inner.get("additionalProperties") {
            Some(Value::Bool(false)) | None => None,
            Some(value) => Some(self.with(value)),
        }
    }

    /// The entries of a list.
    pub(crate) fn items(self) -> Option<Self> {
        self.inner.get("items").map(|value| self.with(value))
    }

    /// The JSON types a value may have, "null" left out. Empty when the schema does not say.
    pub(crate) fn types(self) -> Vec<&'a str> {
        let mut types = Vec::new();
        self.add_types(&mut types, 0);
        types.retain(|name| *name != "null");
        types
    }

    fn add_types(self, types: &mut Vec<&'a str>, depth: usize) {
        let named: Vec<_> = match self.inner.get("type") {
            Some(Value::String(name)) => vec![name.as_str()],
            Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).collect(),
            _ => {
                let constants = self.inner.get("enum").and_then(Value::as_array).into_iter().flatten();
                constants.chain(self.inner.get("const")).map(json_type).collect()
            }
        };
        for name in named {
            if !types.contains(&name) {
                types.push(name);
            }
        }
        if depth < REFERENCES {
            self.alternatives().for_each(|view| view.add_types(types, depth + 1));
        }
    }

    fn alternatives(self) -> impl Iterator<Item = View<'a>> {
        ["oneOf", "anyOf"]
            .into_iter()
            .filter_map(move |word| self.inner.get(word)?.as_array())
            .flatten()
            .map(move |value| self.with(value))
    }

    /// The words to choose from, with their meanings, if the value is one of a fixed set.
    pub(crate) fn choices(self) -> Option<Vec<(&'a str, &'a str)>> {
        let mut choices = Vec::new();
        let complete = self.add_choices(&mut choices, 0);
        (complete && !choices.is_empty()).then_some(choices)
    }

    fn add_choices(self, choices: &mut Vec<(&'a str, &'a str)>, depth: usize) -> bool {
        if let Some(word) = self.inner.get("const") {
            let doc = self.inner.get("description").and_then(Value::as_str).unwrap_or_default();
            return word.as_str().map(|word| choices.push((word, doc))).is_some();
        }
        if let Some(words) = self.inner.get("enum").and_then(Value::as_array) {
            let words = words.iter().filter(|word| !word.is_null());
            return words
                .map(Value::as_str)
                .map(|word| word.map(|word| choices.push((word, ""))))
                .all(|word| word.is_some());
        }
        let mut any = false;
        for alternative in self.alternatives() {
            any = true;
            if depth == REFERENCES || !(alternative.is_null() || alternative.add_choices(choices, depth + 1)) {
                return false;
            }
        }
        any
    }

    fn is_null(self) -> bool {
        self.inner.get("type").and_then(Value::as_str) == Some("null")
    }

    /// The view of the value at `path` below this one.
    pub(crate) fn at(self, path: &crate::path::Path) -> Option<Self> {
        use crate::path::Step;
        path.0.iter().try_fold(self, |view, step| match step {
            Step::Key(key) => view.entry(key),
            Step::Index(_) => view.items(),
        })
    }
}

/// The definition a schema refers to.
fn reference(schema: &Value) -> Option<&str> {
    schema.get("$ref")?.as_str()?.strip_prefix("#/$defs/")
}

/// The only alternative that is not "null".
fn only(alternatives: Option<&Value>) -> Option<&Value> {
    let mut left =
        alternatives?.as_array()?.iter().filter(|value| value.get("type").and_then(Value::as_str) != Some("null"));
    left.next().filter(|_| left.next().is_none())
}

/// The name JSON schema gives to the type of a value.
fn json_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

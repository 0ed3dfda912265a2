//! Path and query parameters of an HTTP route, on their way into a typed request.

use schemars::Schema;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::error::{Error, Result};
use crate::payload::Shape;

/// Parameters as the URL had them: names and texts. A later one of the same name wins.
#[derive(Debug, Clone, Default)]
pub struct Params(Vec<(String, String)>);

impl Params {
    /// Decoded name and value pairs.
    #[must_use]
    pub fn new(pairs: Vec<(String, String)>) -> Self {
        Self(pairs)
    }

    /// Makes `T`; `schema` tells which texts are meant as numbers or booleans.
    pub(crate) fn decode<T: DeserializeOwned>(&self, schema: &Schema) -> Result<T> {
        let object: Map<String, Value> =
            self.0.iter().map(|(name, text)| (name.clone(), typed(schema, name, text))).collect();
        let value = if object.is_empty() && !is_object(schema) { Value::Null } else { Value::Object(object) };
        serde_path_to_error::deserialize(&value).map_err(|error| {
            let mistake = Shape::new(without_null(schema)).mistake(&value);
            let told = mistake.unwrap_or_else(|| format!("`{}`: {}", error.path(), error.inner()));
            Error::bad_payload(format!("parameter {told}"))
        })
    }
}

fn is_object(schema: &Schema) -> bool {
    schema.get("type").and_then(Value::as_str) == Some("object")
}

/// The schema without the `null` that an optional field may be elsewhere: a URL cannot say it, only leave the name out.
fn without_null(schema: &Schema) -> Schema {
    let mut schema = schema.clone();
    let fields = schema.get_mut("properties").and_then(Value::as_object_mut);
    for field in fields.into_iter().flat_map(|fields| fields.values_mut()).filter_map(Value::as_object_mut) {
        if let Some(Value::Array(kinds)) = field.get_mut("type") {
            kinds.retain(|kind| kind != "null");
        }
        if let Some(Value::Array(variants)) = field.get_mut("anyOf") {
            variants.retain(|variant| variant.get("type").is_none_or(|kind| kind != "null"));
        }
        if let Some(Value::Array(listed)) = field.get_mut("enum") {
            listed.retain(|value| !value.is_null());
        }
    }
    schema
}

/// `text` as the scalar its property is declared to be; a text that is none stays one, for the decoder to refuse.
fn typed(schema: &Schema, name: &str, text: &str) -> Value {
    let declared = schema.get("properties").and_then(|all| all.get(name)).and_then(|property| property.get("type"));
    let is = |kind: &str| match declared {
        Some(Value::String(one)) => one == kind,
        Some(Value::Array(many)) => many.iter().any(|one| one == kind),
        _ => false,
    };
    let wanted =
        |value: &Value| value.is_number() && (is("integer") || is("number")) || value.is_boolean() && is("boolean");
    serde_json::from_str(text).ok().filter(wanted).unwrap_or_else(|| Value::String(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use schemars::JsonSchema;
    use serde::Deserialize;

    #[derive(Debug, Deserialize, JsonSchema)]
    #[expect(dead_code, reason = "only read")]
    struct Page {
        name: String,
        size: Option<u32>,
        order: Option<Order>,
        shown: Option<Shown>,
    }

    #[derive(Debug, Deserialize, JsonSchema)]
    #[serde(rename_all = "snake_case")]
    enum Order {
        Up,
        Down,
    }

    /// Variants of which one is described, which makes another schema of them.
    #[derive(Debug, Deserialize, JsonSchema)]
    #[serde(rename_all = "snake_case")]
    enum Shown {
        /// Everything.
        All,
        New,
    }

    fn page(pairs: &[(&str, &str)]) -> Result<Page> {
        let pairs = pairs.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        Params::new(pairs).decode(&schemars::schema_for!(Page))
    }

    #[test]
    fn texts_become_what_the_request_declares() {
        let good = page(&[("name", "7"), ("size", "20")]).unwrap();
        assert_eq!((good.name.as_str(), good.size), ("7", Some(20)));
        assert_eq!(page(&[("name", "a")]).unwrap().size, None);
        let told = |pairs: &[(&str, &str)]| page(pairs).unwrap_err().message().to_owned();
        let size = r#"parameter `size`: expected a whole number from 0 to 4294967295, got "x""#;
        assert_eq!(told(&[("name", "a"), ("size", "x")]), size);
        for (field, other) in [("order", "a string"), ("shown", "x")] {
            let text = told(vec![("name", "a"), (field, other)].as_slice());
            assert!(text.starts_with(&format!("parameter `{field}`: expected")) && !text.contains("null"), "{text}");
        }
        assert_eq!(told(&[]), "parameter `name` is missing: expected a string");
        Params::default().decode::<()>(&schemars::schema_for!(())).unwrap();
    }
}

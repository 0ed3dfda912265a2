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
        let mistake = Shape::new(schema.clone()).mistake(&value);
        serde_path_to_error::deserialize(value).map_err(|error| {
            let told = mistake.unwrap_or_else(|| format!("`{}`: {}", error.path(), error.inner()));
            Error::bad_payload(format!("parameter {told}"))
        })
    }
}

fn is_object(schema: &Schema) -> bool {
    schema.get("type").and_then(Value::as_str) == Some("object")
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
    struct Page {
        name: String,
        size: Option<u32>,
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
        let told = |pairs| page(pairs).unwrap_err().message().to_owned();
        let size = r#"parameter `size`: expected a whole number from 0 to 4294967295 or null, got "x""#;
        assert_eq!(told(&[("name", "a"), ("size", "x")]), size);
        assert_eq!(told(&[]), "parameter `name` is missing: expected a string");
        Params::default().decode::<()>(&schemars::schema_for!(())).unwrap();
    }
}

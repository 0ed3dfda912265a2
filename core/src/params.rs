//! Path and query parameters of an HTTP route, on their way into a typed request.

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::error::{Error, Result};
use crate::payload::{Decode, Ignored, Shape};

/// What a handler of [`Routes::get`](crate::routes::Routes::get) may take: any `DeserializeOwned + JsonSchema`, made from the
/// parameters of the path and the query; [`Ignored`] or `()`, where there are none to look at and any may come.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the request of an HTTP route",
    label = "not a request type",
    note = "derive `Deserialize` and `JsonSchema` on it, or take `Ignored` (no parameters are looked at)"
)]
pub trait Parameters: Sized + Send + 'static {
    /// Reads the parameters; `whole` is [`whole_schema`](Self::whole_schema).
    ///
    /// # Errors
    /// `bad_payload`, with the name of the first parameter that is wrong and what was expected.
    fn read(params: &Params, whole: &Schema) -> Result<Self>;

    /// The JSON schema for the generated reference, as a part of it.
    fn schema(generator: &mut SchemaGenerator) -> Schema;

    /// The JSON schema, by itself.
    fn whole_schema(generator: &mut SchemaGenerator) -> Schema;
}

impl<T: DeserializeOwned + JsonSchema + Send + 'static> Parameters for T {
    fn read(params: &Params, whole: &Schema) -> Result<Self> {
        params.decode(whole)
    }

    fn schema(generator: &mut SchemaGenerator) -> Schema {
        generator.subschema_for::<T>()
    }

    fn whole_schema(generator: &mut SchemaGenerator) -> Schema {
        generator.root_schema_for::<T>()
    }
}

impl Parameters for Ignored {
    fn read(_: &Params, _: &Schema) -> Result<Self> {
        Ok(Self)
    }

    fn schema(generator: &mut SchemaGenerator) -> Schema {
        <Self as Decode>::schema(generator)
    }

    fn whole_schema(generator: &mut SchemaGenerator) -> Schema {
        <Self as Decode>::schema(generator)
    }
}

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
        // A type without fields takes no parameters; those that come all the same, such as a cache buster, are not looked at.
        let none = is(schema, "null") || object.is_empty() && !is(schema, "object");
        let value = if none { Value::Null } else { Value::Object(object) };
        serde_path_to_error::deserialize(&value).map_err(|error| {
            let mistake = Shape::new(without_null(schema)).mistake(&value);
            let told = mistake.unwrap_or_else(|| format!("`{}`: {}", error.path(), error.inner()));
            Error::bad_payload(format!("parameter {told}"))
        })
    }
}

fn is(schema: &Schema, kind: &str) -> bool {
    schema.get("type").and_then(Value::as_str) == Some(kind)
}

/// The `{name}`s of `path` that an object described by `schema` has no place for.
pub(crate) fn lacking(path: &str, schema: &Schema) -> Vec<String> {
    let open = ["additionalProperties", "oneOf", "anyOf", "allOf", "$ref"];
    let closed = schema
        .as_object()
        .is_some_and(|all| open.iter().all(|key| all.get(*key).is_none_or(|value| *value == Value::Bool(false))));
    let has = |name: &str| schema.get("properties").is_some_and(|all| all.get(name).is_some());
    path.split('/')
        .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
        .filter(|name| closed && !has(name))
        .map(str::to_owned)
        .collect()
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

    #[derive(Deserialize, JsonSchema)]
    struct Nothing;

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
    }

    /// A route without parameters answers whatever is behind its question mark, such as a cache buster.
    #[test]
    fn who_takes_no_parameters_is_given_any() {
        let some = Params::new(vec![("x".to_owned(), "1".to_owned())]);
        for params in [Params::default(), some] {
            params.decode::<()>(&schemars::schema_for!(())).unwrap();
            params.decode::<Nothing>(&schemars::schema_for!(Nothing)).unwrap();
            Ignored::read(&params, &Schema::default()).unwrap();
        }
    }
}

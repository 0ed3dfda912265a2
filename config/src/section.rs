//! Describes one section of the configuration, so that the loader can treat it without knowing its type.
use crate::node::Node;
use crate::path::{Path, Step};
use crate::schema::Schema;
use crate::{Problems, Setting};
use schemars::{JsonSchema, SchemaGenerator};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

/// The type of a section: a struct with named fields that has defaults.
///
/// Every type with the four derives below is one. Doc comments become the reference manual, `#[schemars(range(..))]`
/// and `length(..)` are enforced by the loader, and a field with `#[schemars(extend("writeOnly" = true))]` is a secret
/// that is never printed, and whose value may be in a file: `<field>_file` names it.
///
/// ```
/// # use carillon_config::Config;
/// # use schemars::JsonSchema;
/// # use serde::{Deserialize, Serialize};
/// #[derive(Serialize, Deserialize, JsonSchema)]
/// #[serde(default, deny_unknown_fields)]
/// struct Settings {
///     /// How long one sweep may take, in milliseconds.
///     #[schemars(range(min = 1, max = 60_000))]
///     sweep_ms: u64,
/// }
/// impl Default for Settings {
///     fn default() -> Self {
///         Self { sweep_ms: 500 }
///     }
/// }
/// fn is_config<T: Config>() {}
/// is_config::<Settings>();
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a configuration section",
    note = "derive Serialize, Deserialize, JsonSchema and Default for it"
)]
pub trait Config: DeserializeOwned + Serialize + JsonSchema + Default + Send + Sync + 'static {}

impl<T: DeserializeOwned + Serialize + JsonSchema + Default + Send + Sync + 'static> Config for T {}

/// The section of a plugin that has nothing to configure.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NoConfig {}

/// One section: where it stands, its defaults, its schema and its rules. Cheap to clone.
#[derive(Clone)]
pub struct Section {
    path: Cow<'static, str>,
    typed: Arc<dyn Typed>,
}

/// What became of one attempt to read a section.
pub(crate) enum Outcome {
    /// The value at the path does not fit.
    Failed(Path, String),
    /// The section was read, and these are its own objections.
    Checked(Problems),
}

impl Section {
    /// Describes the section at `path` (`"server"`, `"plugins.echo"`), whose cross-field rules are in `check`.
    ///
    /// `check` runs on values that fit the type, and reports through [`Problems::add`]; it must do no I/O.
    pub fn of<T: Config>(path: impl Into<Cow<'static, str>>, check: fn(&T, &mut Problems)) -> Self {
        Self { path: path.into(), typed: Arc::new(Of(check, PhantomData)) }
    }

    /// Where the section stands.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The name of the plugin the section belongs to, if it is one.
    pub fn plugin(&self) -> Option<&str> {
        self.path.strip_prefix("plugins.")
    }

    /// The settings of the section with their types, defaults and meanings, as the reference lists them.
    pub fn settings(&self) -> Vec<Setting> {
        crate::setting::list(self)
    }

    /// What the section is about: the doc comment of its type.
    pub(crate) fn doc(&self) -> String {
        self.schema().view().doc().to_owned()
    }

    /// The section's path in steps.
    pub(crate) fn steps(&self) -> Path {
        // Not parsed: a plugin's name may hold any character, and is one key.
        match self.plugin() {
            Some(name) => Path::default().key("plugins").key(name),
            None => Path::default().key(&self.path),
        }
    }

    /// The defaults as a tree, fields in the order the type declares them; or why there are none.
    pub(crate) fn defaults(&self) -> Result<Node, String> {
        let mut node = Node::from_json(&self.typed.defaults()?)?;
        let Some(table) = node.table_mut() else {
            return Err("the type of a section must be a struct with named fields".to_owned());
        };
        if self.plugin().is_some() {
            for (place, own) in OWN.iter().enumerate() {
                if table.iter().any(|(key, _)| key == own.key) {
                    return Err(format!(
                        "`{}` is the loader's own key: the plugin must name its field differently",
                        own.key
                    ));
                }
                table.insert(place, (own.key.to_owned(), Node::default_leaf((own.default)())));
            }
        }
        Ok(node)
    }

    /// The section's schema, complete in itself.
    pub(crate) fn schema(&self) -> Schema {
        let mut generator = SchemaGenerator::default();
        let root = self.schema_in(&mut generator);
        Schema::new(root, generator.take_definitions(true))
    }

    /// The section's schema with the types it refers to left in `generator`.
    pub(crate) fn schema_in(&self, generator: &mut SchemaGenerator) -> Value {
        let mut root = self.typed.schema(generator).to_value();
        let Some(object) = root.as_object_mut() else {
            return root;
        };
        // The loader merges a section over its defaults and refuses keys it does not know, whatever the type says.
        object.remove("required");
        object.entry("additionalProperties").or_insert(Value::Bool(false));
        let properties = object.entry("properties").or_insert_with(|| Value::Object(Default::default()));
        let (Some(properties), Ok(defaults)) = (properties.as_object_mut(), self.defaults()) else {
            return root;
        };
        crate::secret::add_file_keys(properties);
        if self.plugin().is_some() {
            for own in &OWN {
                let schema = serde_json::json!({ "type": own.kind, "description": own.doc });
                properties.insert(own.key.to_owned(), schema);
            }
        }
        for (key, default) in defaults.table().unwrap_or_default() {
            if let Some(property) = properties.get_mut(key).and_then(Value::as_object_mut) {
                property.insert("default".to_owned(), default.to_value());
            }
        }
        root
    }

    /// Reads `value` as the section's type, and runs the section's rules on it.
    pub(crate) fn read(&self, value: Value) -> Outcome {
        self.typed.read(value)
    }
}

/// A key of the loader's own in every plugin's section.
pub(crate) struct Own {
    pub(crate) key: &'static str,
    kind: &'static str,
    default: fn() -> Value,
    /// What the reference says about it.
    doc: &'static str,
}

/// Whether the plugin runs.
pub(crate) const ENABLED: &str = "enabled";
/// Who may use it.
pub(crate) const ACCESS: &str = "access";

/// The loader's own keys, in the order of the reference.
pub(crate) const OWN: [Own; 2] = [
    Own {
        key: ENABLED,
        kind: "boolean",
        default: || Value::Bool(true),
        doc: "Whether the plugin runs. When false its namespace does not exist; its section is still checked.",
    },
    Own {
        key: ACCESS,
        kind: "string",
        default: || Value::String(String::new()),
        doc: "The role that clients must have to connect to the plugin's namespace and to use its HTTP routes: one that \
              the claim `roles` of their token, or `roles` of their API key, contains. Empty asks for none. Needs \
              `auth.mode`.",
    },
];

impl fmt::Debug for Section {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Section").field(&self.path).finish()
    }
}

/// Everything the loader asks of a section's type.
trait Typed: Send + Sync {
    fn defaults(&self) -> Result<String, String>;
    fn schema(&self, generator: &mut SchemaGenerator) -> schemars::Schema;
    fn read(&self, value: Value) -> Outcome;
}

struct Of<T>(fn(&T, &mut Problems), PhantomData<fn() -> T>);

impl<T: Config> Typed for Of<T> {
    fn defaults(&self) -> Result<String, String> {
        // As text, because a JSON object in memory would lose the order of the fields.
        serde_json::to_string(&T::default()).map_err(|error| format!("the defaults cannot be written down: {error}"))
    }

    fn schema(&self, generator: &mut SchemaGenerator) -> schemars::Schema {
        T::json_schema(generator)
    }

    fn read(&self, value: Value) -> Outcome {
        match serde_path_to_error::deserialize::<_, T>(value) {
            Err(error) => Outcome::Failed(failed_path(error.path()), error.inner().to_string()),
            Ok(section) => {
                let mut problems = Problems::default();
                (self.0)(&section, &mut problems);
                Outcome::Checked(problems)
            }
        }
    }
}

/// Where serde failed. What lies under a part that serde buffers (untagged enums, flattened fields) is not known to it.
fn failed_path(path: &serde_path_to_error::Path) -> Path {
    use serde_path_to_error::Segment;
    let step = |segment: &Segment| match segment {
        Segment::Seq { index } => Some(Step::Index(*index)),
        Segment::Map { key } => Some(Step::Key(key.clone())),
        Segment::Enum { variant } => Some(Step::Key(variant.clone())),
        Segment::Unknown => None,
    };
    Path(path.iter().map_while(step).collect())
}

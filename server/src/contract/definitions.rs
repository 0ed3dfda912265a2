//! One name for each type of all plugins: types of two plugins that are called alike and are not alike get the plugin's
//! name in front.

use std::collections::{BTreeMap, BTreeSet};

use carillon_core::registry::Description;
use serde_json::{Map, Value};

use super::typescript::OWN_NAMES;

/// How plugins' schemas refer to shared ones.
pub(super) const PREFIX: &str = "#/definitions/";

/// The types of all plugins.
pub(super) struct Definitions<'a> {
    /// By plugin, then by the name it has there.
    of: BTreeMap<&'static str, &'a Map<String, Value>>,
    /// The names of those whose own mean several things: by plugin and own name.
    prefixed: BTreeMap<(&'static str, &'a str), String>,
}

impl<'a> Definitions<'a> {
    pub(super) fn new(plugins: &'a [Description]) -> Self {
        let of: BTreeMap<_, _> = plugins.iter().map(|plugin| (plugin.name, &plugin.outline.definitions)).collect();
        let mut first: BTreeMap<&str, &Value> = BTreeMap::new();
        let mut ambiguous = BTreeSet::new();
        let all = || of.values().flat_map(|definitions| definitions.iter());
        for (name, schema) in all() {
            if *first.entry(name).or_insert(schema) != schema || OWN_NAMES.contains(&name.as_str()) {
                ambiguous.insert(name.as_str());
            }
        }
        // What refers to an ambiguous name is itself another type in every plugin.
        loop {
            let before = ambiguous.len();
            let touched = all().filter(|(_, schema)| {
                let mut found = false;
                references(schema, &mut |name| found |= ambiguous.contains(name));
                found
            });
            let touched: Vec<_> = touched.map(|(name, _)| name.as_str()).collect();
            ambiguous.extend(touched);
            if ambiguous.len() == before {
                let prefixed = prefixed(&of, &ambiguous);
                return Self { of, prefixed };
            }
        }
    }

    /// Every type by its one name.
    pub(super) fn all(&self) -> Map<String, Value> {
        let each = self.of.iter().flat_map(|(plugin, definitions)| {
            definitions.iter().map(|(name, schema)| (self.name(plugin, name), self.renamed(plugin, schema)))
        });
        each.collect::<BTreeMap<_, _>>().into_iter().collect()
    }

    /// A schema of a plugin, with references to the one name of each type.
    pub(super) fn renamed(&self, plugin: &str, schema: &Value) -> Value {
        match schema {
            Value::Object(fields) => {
                let field = |(key, value): (&String, &Value)| match (key.as_str(), value.as_str()) {
                    ("$ref", Some(to)) => {
                        let name = to.strip_prefix(PREFIX).unwrap_or(to);
                        (key.clone(), Value::String(format!("{PREFIX}{}", self.name(plugin, name))))
                    }
                    _ => (key.clone(), self.renamed(plugin, value)),
                };
                Value::Object(fields.iter().map(field).collect())
            }
            Value::Array(items) => items.iter().map(|item| self.renamed(plugin, item)).collect(),
            other => other.clone(),
        }
    }

    fn name(&self, plugin: &str, name: &str) -> String {
        self.prefixed.get(&(plugin, name)).cloned().unwrap_or_else(|| plain(name))
    }
}

/// A name as the documents may have it.
fn plain(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect()
}

/// The ambiguous ones with their plugin's name in front, and with a number behind where that is another type's name already.
fn prefixed<'a>(
    of: &BTreeMap<&'static str, &'a Map<String, Value>>,
    ambiguous: &BTreeSet<&'a str>,
) -> BTreeMap<(&'static str, &'a str), String> {
    let all = || of.iter().flat_map(|(plugin, types)| types.keys().map(|name| (*plugin, name.as_str())));
    let is_ambiguous = |name: &str| ambiguous.contains(name);
    let mut taken: BTreeSet<String> = OWN_NAMES.iter().map(|name| (*name).to_owned()).collect();
    taken.extend(all().filter(|(_, name)| !is_ambiguous(name)).map(|(_, name)| plain(name)));
    let mut names = BTreeMap::new();
    for (plugin, name) in all().filter(|(_, name)| is_ambiguous(name)) {
        let words = plugin.split(|c: char| !c.is_ascii_alphanumeric());
        let capital =
            |word: &str| word.chars().take(1).map(|c| c.to_ascii_uppercase()).chain(word.chars().skip(1)).collect();
        let wanted = words.map(capital).chain([plain(name)]).collect::<Vec<String>>().concat();
        let numbered = (2..).map(|number| format!("{wanted}{number}"));
        let free = std::iter::once(wanted.clone()).chain(numbered).find(|name| !taken.contains(name));
        let chosen = free.unwrap_or(wanted);
        taken.insert(chosen.clone());
        names.insert((plugin, name), chosen);
    }
    names
}

/// Tells the names that a schema refers to.
fn references<'a>(schema: &'a Value, tell: &mut impl FnMut(&'a str)) {
    match schema {
        Value::Object(fields) => {
            for (key, value) in fields {
                match value.as_str().and_then(|to| to.strip_prefix(PREFIX)) {
                    Some(name) if key == "$ref" => tell(name),
                    _ => references(value, tell),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, tell)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A name with the plugin's in front may be the name of another type.
    #[test]
    fn no_two_types_get_one_name() {
        let types = |names: &[&str]| names.iter().map(|name| ((*name).to_owned(), Value::Null)).collect::<Map<_, _>>();
        let (bar, foo) = (types(&["Item", "FooItem2"]), types(&["Item", "FooItem"]));
        let names = prefixed(&[("bar", &bar), ("foo", &foo)].into(), &["Item"].into());
        assert_eq!(names[&("bar", "Item")], "BarItem");
        assert_eq!(names[&("foo", "Item")], "FooItem3");
    }
}

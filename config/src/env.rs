//! Reads settings from environment variables: `CARILLON_SERVER__LISTEN` is `server.listen`.
use crate::loader::Slot;
use crate::path::{Path, Step};
use crate::schema::View;
use crate::{Problem, Problems, Source, suggest};
use std::collections::BTreeMap;
use std::ffi::OsString;

/// What all variables start with.
pub(crate) const PREFIX: &str = "CARILLON_";

/// What separates the keys of a path; a single underscore belongs to a key.
const SEPARATOR: &str = "__";

/// The variable that sets the value at `path`, unless the path leads into a list.
pub(crate) fn variable(path: &Path) -> Option<String> {
    let keys = path.0.iter().map(|step| match step {
        Step::Key(key) => Some(upper(key)),
        Step::Index(_) => None,
    });
    Some(format!("{PREFIX}{}", keys.collect::<Option<Vec<_>>>()?.join(SEPARATOR)))
}

/// A key as a variable writes it: shells allow letters, digits and underscores only.
fn upper(key: &str) -> String {
    key.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' }).collect()
}

/// A variable of ours: its full name, the keys it names in lower case, and its text.
pub(crate) struct Variable {
    pub(crate) name: String,
    pub(crate) keys: Vec<String>,
    pub(crate) text: String,
}

impl Variable {
    pub(crate) fn source(&self) -> Source {
        Source::Env(self.name.clone())
    }
}

/// The keys that follow those of a section, if these start with them.
fn below<'a>(keys: &'a [String], section: &Path) -> Option<&'a [String]> {
    let matches = |(step, key): (&Step, &String)| matches!(step, Step::Key(name) if upper(name) == upper(key));
    let (first, rest) = keys.split_at_checked(section.0.len())?;
    section.0.iter().zip(first).all(matches).then_some(rest)
}

/// The setting of a section that these keys mean, and its place there.
pub(crate) fn setting<'a>(slot: &'a Slot, keys: &[String]) -> Option<(Path, View<'a>)> {
    let found = resolve(slot.schema.view(), below(keys, &slot.section.steps())?)?;
    Some(found).filter(|(below, _)| !below.0.is_empty())
}

/// The path in lower case, for messages.
pub(crate) fn path(keys: &[String]) -> Path {
    Path(keys.iter().cloned().map(Step::Key).collect())
}

/// Picks our variables, in the order of their names, so that messages and precedence never depend on the shell.
pub(crate) fn ours(variables: Vec<(OsString, OsString)>, problems: &mut Problems) -> Vec<Variable> {
    let mut found = Vec::new();
    let mut seen: BTreeMap<Vec<String>, String> = BTreeMap::new();
    let mut sorted: Vec<_> =
        variables.into_iter().filter_map(|(name, text)| Some((name.into_string().ok()?, text))).collect();
    sorted.sort();
    for (name, text) in sorted {
        let Some(rest) = name.strip_prefix(PREFIX).filter(|rest| !is_service_link(rest)) else {
            continue;
        };
        let keys: Vec<_> = rest.to_lowercase().split(SEPARATOR).map(ToOwned::to_owned).collect();
        let mut problem = |message: String, hint: String| {
            problems.push(Problem {
                path: path(&keys).to_string(),
                message,
                hint: Some(hint),
                source: Source::Env(name.clone()),
            });
        };
        let Ok(text) = text.into_string() else {
            problem("the value is not UTF-8 text".to_owned(), "set it to UTF-8 text, or unset it".to_owned());
            continue;
        };
        if let Some(other) = seen.insert(keys.clone(), name.clone()) {
            problem(format!("is also set by {other}"), "unset one of the two".to_owned());
            continue;
        }
        found.push(Variable { name, keys, text });
    }
    found
}

/// Kubernetes sets such variables in every pod of a namespace that has a service called `carillon` or `carillon-..`:
/// `CARILLON_SERVICE_HOST`, `CARILLON_PORT`, `CARILLON_PORT_8085_TCP_ADDR`. They are no settings and are left alone.
fn is_service_link(rest: &str) -> bool {
    let service = |rest: &str| rest == "HOST" || rest == "PORT" || rest.starts_with("PORT_");
    let port = |rest: &str| {
        let mut parts = rest.split('_');
        let number = parts.next().is_some_and(|part| part.parse::<u16>().is_ok());
        number && parts.next().is_some_and(|part| matches!(part, "TCP" | "UDP" | "SCTP"))
    };
    let after = |word: &str, test: &dyn Fn(&str) -> bool| {
        rest.match_indices(word).any(|(at, _)| (at == 0 || rest[..at].ends_with('_')) && test(&rest[at + word.len()..]))
    };
    !rest.contains(SEPARATOR)
        && (after("SERVICE_", &service) || after("PORT_", &port) || rest == "PORT" || rest.ends_with("_PORT"))
}

/// Finds the keys a variable means below `view`, whose own spelling may have capitals or hyphens. Where the
/// configuration chooses the keys itself, the variable's lower case is the key.
fn resolve<'a>(view: View<'a>, keys: &[String]) -> Option<(Path, View<'a>)> {
    let mut path = Path::default();
    let mut view = view;
    for key in keys {
        let named = view.properties().and_then(|mut properties| properties.find(|(name, _)| upper(name) == upper(key)));
        let (name, next) = match named {
            Some((name, next)) => (name, next),
            None => (key.as_str(), view.values()?),
        };
        path = path.key(name);
        view = next;
    }
    Some((path, view))
}

/// The plugin that a variable is meant for, where it is none of these.
fn unknown_plugin<'a>(variable: &'a Variable, plugins: &[&str]) -> Option<&'a str> {
    let [section, plugin, ..] = variable.keys.as_slice() else { return None };
    (section == "plugins" && !plugins.contains(&plugin.as_str())).then_some(plugin)
}

/// The problem of a variable that names no setting: `known` are those that do, `plugins` the names of the plugins.
pub(crate) fn unknown(variable: &Variable, known: &[String], plugins: &[&str]) -> Problem {
    // As variables spell them.
    let mut plugins: Vec<_> = plugins.iter().map(|name| upper(name).to_lowercase()).collect();
    plugins.sort();
    let plugins: Vec<_> = plugins.iter().map(String::as_str).collect();
    let known: Vec<_> = known.iter().map(String::as_str).collect();
    // A single underscore where two belong is the usual slip, and is closest to what was meant.
    let hint = match suggest::closest(&variable.name, known) {
        Some(best) => format!("did you mean `{best}`?"),
        None => match unknown_plugin(variable, &plugins) {
            Some(plugin) => suggest::hint(plugin, "plugins", &plugins),
            None => {
                format!("variables are named {PREFIX}SECTION{SEPARATOR}KEY; all others must not start with {PREFIX}")
            }
        },
    };
    Problem {
        path: path(&variable.keys).to_string(),
        message: "no such setting".to_owned(),
        hint: Some(hint),
        source: variable.source(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What Kubernetes puts into every pod does not stop the server; a forgotten underscore does.
    #[test]
    fn kubernetes_service_links_are_left_alone() {
        for name in [
            "SERVICE_HOST",
            "SERVICE_PORT",
            "SERVICE_PORT_HTTP",
            "PORT",
            "PORT_8085_TCP",
            "PORT_8085_TCP_ADDR",
            "METRICS_SERVICE_HOST",
            "METRICS_PORT_9090_UDP_PROTO",
        ] {
            assert!(is_service_link(name), "{name}");
        }
        for name in ["SERVER_LISTEN", "SERVER__LISTEN", "SERVICE", "X__PORT", "PORT_HTTP", "PLUGINS__A__SERVICE_HOST"] {
            assert!(!is_service_link(name), "{name}");
        }
    }
}

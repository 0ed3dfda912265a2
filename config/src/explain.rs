//! Turns a mistake into a line for the person who wrote it.
use crate::limits::Mistake;
use crate::node::Node;
use crate::path::{Path, Step};
use crate::schema::View;
use crate::section::OWN;
use crate::{Problem, Source, suggest, text, words};
use serde_json::Value;

/// How long a default may be to be repeated in a hint.
const DEFAULT_SHOWN: usize = 100;

/// What is known about the section a value stands in.
pub(crate) struct Context<'a> {
    /// The section's path.
    pub(crate) section: &'a Path,
    /// The section's schema.
    pub(crate) view: View<'a>,
    /// Its defaults.
    pub(crate) defaults: &'a Node,
    /// What the loader has put together for it.
    pub(crate) tree: &'a Node,
    /// Whether it is a plugin's: then the loader knows one key more than the section's type.
    pub(crate) plugin: bool,
}

impl Context<'_> {
    /// A problem with the value at `path` (in the tree as it is now), shown at the place it was written.
    pub(crate) fn problem(&self, path: &Path, message: String, hint: Option<String>) -> Problem {
        let (shown, source) = self.tree.locate(path);
        let hint = hint.or_else(|| self.default_hint(path, &source));
        Problem { path: self.section.join(&shown).to_string(), message, hint, source }
    }

    /// What is wrong with the value at `path`, for whoever wrote it.
    pub(crate) fn mistake(&self, path: &Path, mistake: &Mistake) -> Problem {
        match mistake {
            Mistake::UnknownKey => self.unknown_key(path),
            Mistake::Missing => self.missing(path),
            Mistake::Mistyped => self.mistyped(path),
            Mistake::Limit(message) => {
                let (_, source) = self.tree.locate(path);
                if source == Source::Default {
                    let message = format!("its own Default is wrong: {}", self.found(path, message));
                    return self.problem(path, message, Some("mend `impl Default` of the section's type".to_owned()));
                }
                let hint = self.default_hint(path, &source).or_else(|| self.example(path));
                self.problem(path, self.found(path, message), hint)
            }
        }
    }

    /// What the section's type says about a value that its schema allows.
    pub(crate) fn refusal(&self, path: &Path, words: &str) -> Problem {
        self.problem(path, self.found(path, words), None)
    }

    /// A message, and the single value it is about.
    fn found(&self, path: &Path, message: &str) -> String {
        match (self.tree.at(path), self.view.at(path)) {
            (Some(node), Some(view)) if node.table().is_none() => {
                format!("{message}, found {}", seen(view, Some(node)))
            }
            _ => message.to_owned(),
        }
    }

    /// A key that nothing reads.
    fn unknown_key(&self, path: &Path) -> Problem {
        let parent = Path(path.0.split_last().map(|(_, parent)| parent.to_vec()).unwrap_or_default());
        let properties = self.view.at(&parent).and_then(View::properties);
        let mut valid: Vec<_> = properties.into_iter().flatten().map(|(key, _)| key).collect();
        valid.sort_unstable();
        if self.plugin && parent.0.is_empty() {
            // The loader's own keys are every plugin's last.
            valid.retain(|key| OWN.iter().all(|own| own.key != *key));
            valid.extend(OWN.iter().map(|own| own.key));
        }
        let hint = suggest::hint(path.last_key().unwrap_or_default(), "valid keys", &valid);
        self.problem(path, "unknown key".to_owned(), Some(hint))
    }

    fn missing(&self, path: &Path) -> Problem {
        let key = path.last_key().unwrap_or_default();
        let hint = self.view.at(path).map(|view| format!("for example `{}`", assignment(key, &words::sample(view))));
        self.problem(path, "this key is missing".to_owned(), hint)
    }

    fn mistyped(&self, path: &Path) -> Problem {
        let Some(view) = self.view.at(path) else {
            return self.problem(path, "is of the wrong type".to_owned(), None);
        };
        let found = self.tree.at(path);
        let message = format!("expected {}{}, found {}", words::describe(view), beyond(view, found), seen(view, found));
        self.problem(path, message, self.type_hint(path, view, found))
    }

    /// How to write a value of the right type.
    fn type_hint(&self, path: &Path, view: View<'_>, found: Option<&Node>) -> Option<String> {
        let key = path.last_key()?;
        let found = found?.to_value();
        if let (Some(choices), Some(word)) = (view.choices(), found.as_str()) {
            let best = suggest::closest(word, choices.iter().map(|(word, _)| *word));
            if let Some(best) = best {
                return Some(format!("did you mean `{best}`?"));
            }
        }
        let alone = matches!(path.0.last(), Some(Step::Key(_))) && !view.secret();
        let quoted = found.as_str().filter(|_| alone).and_then(toml_scalar).filter(|value| fits(view, value));
        if let Some(value) = quoted {
            return Some(format!("leave the quotes out: `{}`", assignment(key, &value)));
        }
        let (_, source) = self.tree.locate(path);
        self.default_hint(path, &source).or_else(|| self.example(path))
    }

    /// A value that would be accepted; for the entry of a list a whole list.
    fn example(&self, path: &Path) -> Option<String> {
        let key = path.last_key()?;
        let keys = path.0.iter().rposition(|step| matches!(step, Step::Key(_)))?;
        let view = self.view.at(&Path(path.0[..=keys].to_vec()))?;
        Some(format!("for example `{}`", assignment(key, &words::sample(view))))
    }

    /// The default, written the way the reader would write it where the wrong value came from. The entries of a list
    /// have none of their own, and a long one does not help.
    fn default_hint(&self, path: &Path, source: &Source) -> Option<String> {
        let in_list = path.0.iter().any(|step| matches!(step, Step::Index(_)));
        let default = self.defaults.at(path).filter(|_| !in_list)?.to_value();
        let written = match source {
            Source::Env(variable) => format!("{variable}={}", text::plain(&default)),
            Source::Flag(flag) => format!("{flag} {}", text::plain(&default)),
            Source::File { .. } | Source::Default | Source::Alias(_) => assignment(path.last_key()?, &default),
        };
        (!default.is_null() && written.len() <= DEFAULT_SHOWN).then(|| format!("the default is `{written}`"))
    }
}

/// `key = value`
fn assignment(key: &str, value: &Value) -> String {
    format!("{} = {}", text::key(key), text::masked(value))
}

/// The wrong value as the message repeats it.
fn seen(view: View<'_>, found: Option<&Node>) -> String {
    match found {
        Some(_) if view.secret() => "a value that is kept secret".to_owned(),
        Some(node) => text::shown(&node.to_value()),
        None => "something else".to_owned(),
    }
}

/// The limit of an integer type, when that is what the value went over.
fn beyond(view: View<'_>, found: Option<&Node>) -> String {
    let limit = words::type_limit(view);
    let number = found.map(Node::to_value).and_then(|value| value.as_u64());
    match (limit, number) {
        (Some(limit), Some(number)) if number > limit => {
            format!(" to {}", text::grouped(&limit.to_string()))
        }
        _ => String::new(),
    }
}

/// The value a text would be without its quotes.
fn toml_scalar(text: &str) -> Option<Value> {
    text.parse::<i64>().map(Value::from).ok().or_else(|| text.parse::<bool>().map(Value::from).ok())
}

fn fits(view: View<'_>, value: &Value) -> bool {
    let name = if value.is_boolean() { "boolean" } else { "integer" };
    view.types().contains(&name)
}

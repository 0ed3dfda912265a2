//! Puts the settings together: flags over environment over file over defaults, and reports everything wrong at once.
use crate::explain::Context;
use crate::loaded::{Loaded, Ready};
use crate::node::{Kind, Node};
use crate::path::Path;
use crate::schema::{Schema, View};
use crate::section::ENABLED;
use crate::validate::Check;
use crate::{Problem, Problems, Section, Source, env, file, given, suggest};
use serde_json::Value;
use std::ffi::OsString;
use std::path::PathBuf;

/// Where the settings come from. Later sources win: defaults, file, environment, flags.
///
/// ```
/// use carillon_config::{Loader, ServerSettings, house_sections};
///
/// let loaded = Loader::new(house_sections())
///     .env([("CARILLON_SERVER__WORKERS", "4")])
///     .flag("server.listen", "0.0.0.0:9000", "--listen")
///     .load()?;
/// let server: ServerSettings = loaded.get("server");
/// assert_eq!((server.workers, server.listen.port()), (4, 9000));
/// # Ok::<(), carillon_config::Problems>(())
/// ```
#[derive(Debug, Clone)]
pub struct Loader {
    sections: Vec<Section>,
    file: Option<PathBuf>,
    env: Vec<(OsString, OsString)>,
    flags: Vec<Flag>,
}

#[derive(Debug, Clone)]
struct Flag {
    path: String,
    text: String,
    name: String,
}

impl Loader {
    /// Starts with the defaults of these sections; no others may be configured.
    pub fn new(sections: Vec<Section>) -> Self {
        Self { sections, file: None, env: Vec::new(), flags: Vec::new() }
    }

    /// Reads this TOML file, which must exist.
    #[must_use]
    pub fn file(mut self, path: impl Into<PathBuf>) -> Self {
        self.file = Some(path.into());
        self
    }

    /// Takes settings from these environment variables, normally all of `std::env::vars_os()`. Only those that start
    /// with `CARILLON_` matter, and of them not those that Kubernetes sets for a service called `carillon`.
    #[must_use]
    pub fn env<K: Into<OsString>, V: Into<OsString>>(mut self, variables: impl IntoIterator<Item = (K, V)>) -> Self {
        self.env.extend(variables.into_iter().map(|(name, text)| (name.into(), text.into())));
        self
    }

    /// Sets one setting from a flag; `name` is the flag as the user types it.
    #[must_use]
    pub fn flag(mut self, path: impl Into<String>, text: impl Into<String>, name: impl Into<String>) -> Self {
        self.flags.push(Flag { path: path.into(), text: text.into(), name: name.into() });
        self
    }

    /// Reads, merges and checks everything.
    ///
    /// # Errors
    /// All problems of all sections, in the order in which a reader meets them.
    pub fn load(self) -> Result<Loaded, Problems> {
        let mut problems = Problems::default();
        let mut slots: Vec<_> = self.sections.into_iter().filter_map(|section| Slot::new(section, &mut problems)).collect();
        if let Some(table) = self.file.and_then(|path| file::read(&path, &mut problems)) {
            merge_file(&mut slots, table, &mut problems);
        }
        merge_env(&mut slots, self.env, &mut problems);
        merge_flags(&mut slots, &self.flags, &mut problems);
        let ready = slots.into_iter().map(|slot| slot.finish(&mut problems)).collect();
        problems.sort();
        if problems.is_empty() { Ok(Loaded::new(ready)) } else { Err(problems) }
    }
}

/// One section while its settings are put together.
struct Slot {
    section: Section,
    schema: Schema,
    defaults: Node,
    tree: Node,
}

impl Slot {
    fn new(section: Section, problems: &mut Problems) -> Option<Self> {
        match section.defaults() {
            Ok(defaults) => Some(Self { schema: section.schema(), tree: defaults.clone(), defaults, section }),
            Err(message) => {
                problems.add(section.path(), message).hint("this is a mistake in the program, not in the configuration");
                None
            }
        }
    }

    /// Checks the section.
    fn finish(mut self, problems: &mut Problems) -> Ready {
        let enabled = self.take_enabled(problems);
        let rules = enabled.as_ref().is_none_or(|node| node.to_value() == Value::Bool(true));
        let check = Check { section: &self.section, schema: &self.schema, defaults: &self.defaults, rules };
        check.run(&mut self.tree, problems);
        Ready { section: self.section, schema: self.schema, tree: self.tree, enabled }
    }

    /// Takes the loader's own key out of a plugin's section, whose type does not know it.
    fn take_enabled(&mut self, problems: &mut Problems) -> Option<Node> {
        self.section.plugin()?;
        let path = Path::default().key(ENABLED);
        if !self.tree.at(&path)?.to_value().is_boolean() {
            let (section, view) = (&self.section.steps(), self.schema.view());
            let context = Context { section, view, defaults: &self.defaults, tree: &self.tree, plugin: true };
            problems.push(context.refusal(&path, "invalid type: other, expected a boolean"));
            self.tree.set_at(&path, self.defaults.at(&path)?.clone());
        }
        self.defaults.remove_at(&path);
        self.tree.remove_at(&path)
    }
}

/// Lays the file's sections over the defaults.
fn merge_file(slots: &mut [Slot], mut file: Node, problems: &mut Problems) {
    for (key, node) in file.table_mut().map(std::mem::take).unwrap_or_default() {
        if key != "plugins" {
            merge_section(slots, &key, &key, node, problems);
            continue;
        }
        let Node { kind: Kind::Table(plugins), .. } = node else {
            let hint = Some("plugins are configured under `[plugins.<name>]`".to_owned());
            problems.push(Problem { path: key, message: "expected a table".to_owned(), hint, source: node.source });
            continue;
        };
        for (name, node) in plugins {
            merge_section(slots, &format!("plugins.{name}"), &name, node, problems);
        }
    }
}

fn merge_section(slots: &mut [Slot], path: &str, name: &str, node: Node, problems: &mut Problems) {
    let Some(slot) = slots.iter_mut().find(|slot| slot.section.path() == path) else {
        problems.push(unknown_section(slots, path, name, node.source));
        return;
    };
    if node.table().is_none() {
        let hint = Some(format!("a section starts with `[{path}]`"));
        problems.push(Problem { path: path.to_owned(), message: "expected a table".to_owned(), hint, source: node.source });
        return;
    }
    overlay(&mut slot.tree, node, Some(slot.schema.view()));
}

/// Lays one value over another. The fields of a struct are laid over each other one by one; lists, and tables whose
/// keys the configuration chooses, are replaced whole: otherwise no entry of a default could be left out.
fn overlay(base: &mut Node, over: Node, view: Option<View<'_>>) {
    let is_struct = view.is_some_and(|view| view.properties().is_some());
    match (&mut base.kind, over) {
        (Kind::Table(_), Node { kind: Kind::Table(entries), source, .. }) if is_struct => {
            base.source = source;
            for (key, node) in entries {
                match base.at_mut(&Path::default().key(&key)) {
                    Some(child) => overlay(child, node, view.and_then(|view| view.entry(&key))),
                    None => base.set(&key, node),
                }
            }
        }
        (_, over) => *base = over,
    }
}

/// A section that does not exist, with where its writer probably wanted to go.
fn unknown_section(slots: &[Slot], path: &str, name: &str, source: Source) -> Problem {
    let problem = |message: String, hint: String| Problem { path: path.to_owned(), message, hint: Some(hint), source };
    let sections = || slots.iter().map(|slot| slot.section.path());
    let plugins: Vec<_> = slots.iter().filter_map(|slot| slot.section.plugin()).collect();
    if path != name {
        return problem(format!("there is no plugin `{name}`"), suggest::hint(name, "plugins", &plugins));
    }
    let hint = if plugins.contains(&name) {
        format!("plugins are configured under `[plugins.{name}]`")
    } else if let Some(slot) = slots.iter().find(|slot| slot.section.plugin().is_none() && slot.defaults.get(name).is_some()) {
        format!("did you mean `{}.{name}`?", slot.section.path())
    } else {
        let houses: Vec<_> = sections().filter(|path| !path.contains('.')).chain((!plugins.is_empty()).then_some("plugins")).collect();
        suggest::hint(name, "sections", &houses)
    };
    problem("there is no such section".to_owned(), hint)
}

/// Sets what the environment names.
fn merge_env(slots: &mut [Slot], variables: Vec<(OsString, OsString)>, problems: &mut Problems) {
    for variable in env::ours(variables, problems) {
        let target = slots.iter_mut().find_map(|slot| {
            let section = slot.section.steps();
            let (below, view) = env::resolve(slot.schema.view(), variable.below(&section)?)?;
            (!below.0.is_empty()).then(|| (&mut slot.tree, below, given::read(view, &variable.text, &variable.source())))
        });
        match target {
            Some((tree, path, node)) => tree.set_at(&path, node),
            None => {
                let settings = slots.iter().flat_map(|slot| slot.section.settings());
                let known: Vec<_> = settings.filter_map(|setting| setting.variable).collect();
                problems.push(env::unknown(&variable, &known));
            }
        }
    }
}

/// Sets what the flags name.
fn merge_flags(slots: &mut [Slot], flags: &[Flag], problems: &mut Problems) {
    for flag in flags {
        let source = Source::Flag(flag.name.clone());
        let path = Path::parse(&flag.path);
        let target = slots.iter_mut().find_map(|slot| {
            let below = Path(path.0.strip_prefix(&slot.section.steps().0[..])?.to_vec());
            let view = slot.schema.view().at(&below)?;
            (!below.0.is_empty()).then(|| (&mut slot.tree, below, given::read(view, &flag.text, &source)))
        });
        match target {
            Some((tree, below, node)) => tree.set_at(&below, node),
            None => {
                let hint = Some("this is a mistake in the program, not in the configuration".to_owned());
                problems.push(Problem { path: flag.path.clone(), message: "no such setting".to_owned(), hint, source });
            }
        }
    }
}

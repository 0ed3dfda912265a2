//! Holds settings that were read and found valid.
use crate::node::{Kind, Node};
use crate::path::{Path, Step};
use crate::schema::{Schema, View};
use crate::section::{ACCESS, ENABLED, Outcome};
use crate::{Config, Problem, Problems, Section, Source, text};
use serde_json::Value;
use std::sync::Arc;

/// The settings of all sections, valid and complete. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Loaded(Arc<[Ready]>);

/// One valid section.
#[derive(Debug)]
pub(crate) struct Ready {
    pub(crate) section: Section,
    pub(crate) schema: Schema,
    pub(crate) tree: Node,
    /// The loader's own keys of a plugin's section.
    pub(crate) own: Vec<(&'static str, Node)>,
}

impl Loaded {
    pub(crate) fn new(sections: Vec<Ready>) -> Self {
        Self(sections.into())
    }

    /// The settings of one section.
    ///
    /// # Panics
    /// When no section was described at `path`, or with another type than `T`: a mistake in the program, which no
    /// configuration can cause.
    pub fn get<T: Config>(&self, path: &str) -> T {
        let Some(ready) = self.0.iter().find(|ready| ready.section.path() == path) else {
            panic!("the section `{path}` was not given to the loader");
        };
        match serde_json::from_value(ready.tree.to_value()) {
            Ok(settings) => settings,
            Err(error) => {
                panic!("the section `{path}` was given to the loader with another type: {error}")
            }
        }
    }

    /// Whether [`get`](Self::get) finds a section at `path`. Of those that were given to the loader only one is missing that
    /// [`Loader::examine`](crate::Loader::examine) has reported because its own defaults are of no use.
    #[must_use]
    pub fn has(&self, path: &str) -> bool {
        let ready = self.0.iter().find(|ready| ready.section.path() == path);
        ready.is_some_and(|ready| matches!(ready.section.read(ready.tree.to_value()), Outcome::Checked(_)))
    }

    /// Whether a plugin runs: true unless its section says `enabled = false`.
    pub fn plugin_enabled(&self, name: &str) -> bool {
        self.own(name, ENABLED) != Some(Value::Bool(false))
    }

    /// The role that clients of a plugin must have, if it asks for one.
    pub fn plugin_access(&self, name: &str) -> Option<Box<str>> {
        let role = self.own(name, ACCESS)?;
        role.as_str().filter(|role| !role.is_empty()).map(Box::from)
    }

    /// What the loader's own key says in a plugin's section.
    fn own(&self, name: &str, key: &str) -> Option<Value> {
        let ready = self.0.iter().find(|ready| ready.section.plugin() == Some(name))?;
        ready.own.iter().find(|(own, _)| *own == key).map(|(_, node)| node.to_value())
    }

    /// Says where the settings come from that these problems are about: each is found by its whole path, as in
    /// `limits.events[2].event`. In the order a reader meets them.
    #[must_use]
    pub fn locate(&self, problems: Problems) -> Problems {
        let mut located = Problems::default();
        for problem in problems {
            let path = Path::parse(&problem.path);
            let (path, source) = self.place(&path).unwrap_or_else(|| (path.to_string(), problem.source.clone()));
            located.push(Problem { path, source, ..problem });
        }
        located.sort();
        located
    }

    /// What a reader should see for a path, and where what is there comes from.
    fn place(&self, path: &Path) -> Option<(String, Source)> {
        let ready = self.0.iter().find(|ready| path.0.starts_with(&ready.section.steps().0))?;
        let section = ready.section.steps();
        let rest = Path(path.0[section.0.len()..].to_vec());
        let own = |key: &str| ready.own.iter().find(|(own, _)| *own == key).map(|(_, node)| node);
        let (shown, source) = match rest.0.as_slice() {
            [Step::Key(key)] if own(key).is_some() => (rest.clone(), own(key)?.source.clone()),
            _ => ready.tree.locate(&rest),
        };
        Some((section.join(&shown).to_string(), source))
    }

    /// Every setting with its value, as TOML writes it, and where that comes from. Secrets are masked.
    pub fn sources(&self) -> impl Iterator<Item = (String, String, &Source)> {
        self.0.iter().flat_map(|ready| {
            let mut leaves = Vec::new();
            let (path, view) = (ready.section.steps(), ready.schema.view());
            for (key, node) in &ready.own {
                add_leaves(&path.key(key), node, None, &mut leaves);
            }
            add_leaves(&path, &ready.tree, Some(view), &mut leaves);
            leaves
        })
    }
}

fn add_leaves<'a>(path: &Path, node: &'a Node, view: Option<View<'_>>, leaves: &mut Vec<(String, String, &'a Source)>) {
    let secret = view.is_some_and(View::secret);
    match &node.kind {
        Kind::Table(table) if !table.is_empty() && !secret => {
            for (key, node) in table {
                add_leaves(&path.key(key), node, view.and_then(|view| view.entry(key)), leaves);
            }
        }
        // A section without settings has nothing to list.
        Kind::Table(_) if !secret && path.0.len() < 3 => {}
        _ => {
            let value = match node.to_value() {
                Value::Null => "none".to_owned(),
                _ if secret => "\"***\"".to_owned(),
                value => text::masked(&value),
            };
            leaves.push((path.to_string(), value, &node.source));
        }
    }
}

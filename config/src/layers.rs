//! Lays the file, the environment and the flags over the defaults, one after the other.
use crate::loader::{Flag, Slot};
use crate::node::{Kind, Node};
use crate::path::Path;
use crate::schema::View;
use crate::{Problem, Problems, Source, env, given, secret, suggest};
use std::ffi::OsString;

/// Lays the file's sections over the defaults.
pub(crate) fn merge_file(slots: &mut [Slot], mut file: Node, problems: &mut Problems) {
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
        problems.push(Problem {
            path: path.to_owned(),
            message: "expected a table".to_owned(),
            hint,
            source: node.source,
        });
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

/// The names of the plugins.
fn plugins(slots: &[Slot]) -> Vec<&str> {
    slots.iter().filter_map(|slot| slot.section.plugin()).collect()
}

/// A section that does not exist, with where its writer probably wanted to go.
fn unknown_section(slots: &[Slot], path: &str, name: &str, source: Source) -> Problem {
    let problem = |message: String, hint: String| Problem { path: path.to_owned(), message, hint: Some(hint), source };
    let sections = || slots.iter().map(|slot| slot.section.path());
    let plugins = plugins(slots);
    if path != name {
        return problem(format!("there is no plugin `{name}`"), suggest::hint(name, "plugins", &plugins));
    }
    let hint = if plugins.contains(&name) {
        format!("plugins are configured under `[plugins.{name}]`")
    } else if let Some(slot) =
        slots.iter().find(|slot| slot.section.plugin().is_none() && slot.defaults.get(name).is_some())
    {
        format!("did you mean `{}.{name}`?", slot.section.path())
    } else {
        let houses: Vec<_> =
            sections().filter(|path| !path.contains('.')).chain((!plugins.is_empty()).then_some("plugins")).collect();
        suggest::hint(name, "sections", &houses)
    };
    problem("there is no such section".to_owned(), hint)
}

/// Sets what the environment names: by a variable of the setting's own name, or by one that names a file.
pub(crate) fn merge_env(slots: &mut [Slot], variables: Vec<(OsString, OsString)>, problems: &mut Problems) {
    let variables = env::ours(variables, problems);
    for variable in &variables {
        if set_env(slots, &variable.keys, &variable.text, &variable.source()) {
            continue;
        }
        let Some(keys) = secret::setting_of(&variable.keys).filter(|keys| is_setting(slots, keys)) else {
            let settings = slots.iter().flat_map(|slot| slot.section.settings());
            let known: Vec<_> = settings.filter_map(|setting| setting.variable).collect();
            problems.push(env::unknown(variable, &known, &plugins(slots)));
            continue;
        };
        let mut problem = |message: String, hint: &str| {
            let path = env::path(keys).to_string();
            problems.push(Problem { path, message, hint: Some(hint.to_owned()), source: variable.source() });
        };
        match variables.iter().find(|other| other.keys == keys) {
            Some(other) => problem(format!("is also set by {}", other.name), "unset one of the two"),
            None => match secret::secret_in_file(&variable.text) {
                Ok(text) => drop(set_env(slots, keys, &text, &variable.source())),
                Err(message) => problem(message, "name a file that the user who runs the server can read"),
            },
        }
    }
}

/// Sets one setting; false when there is none.
fn set_env(slots: &mut [Slot], keys: &[String], text: &str, source: &Source) -> bool {
    let found = slots.iter_mut().find_map(|slot| {
        let (below, view) = env::setting(slot, keys)?;
        let node = given::read(view, text, source);
        Some((below, node, &mut slot.tree))
    });
    found.map(|(below, node, tree)| tree.set_at(&below, node)).is_some()
}

fn is_setting(slots: &[Slot], keys: &[String]) -> bool {
    slots.iter().any(|slot| env::setting(slot, keys).is_some())
}

/// Sets what the flags name.
pub(crate) fn merge_flags(slots: &mut [Slot], flags: &[Flag], problems: &mut Problems) {
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
                let hint = Some(nearest(slots, &flag.path));
                problems.push(Problem { path: flag.path.clone(), message: "no such setting".to_owned(), hint, source });
            }
        }
    }
}

/// What whoever named a setting that does not exist may have meant: one spelled alike, one of the section, a section.
fn nearest(slots: &[Slot], path: &str) -> String {
    let of = |slot: &Slot| slot.section.settings().into_iter().map(|setting| setting.key).collect::<Vec<_>>();
    let all: Vec<_> = slots.iter().flat_map(of).collect();
    if let Some(best) = suggest::closest(path, all.iter().map(String::as_str)) {
        return format!("did you mean `{best}`?");
    }
    let inside = |slot: &&Slot| path.strip_prefix(slot.section.path()).is_some_and(|rest| rest.starts_with('.'));
    let (what, known) = match slots.iter().find(inside) {
        Some(slot) => ("settings", of(slot)),
        None => ("sections", slots.iter().map(|slot| slot.section.path().to_owned()).collect()),
    };
    suggest::hint(path, what, &known.iter().map(String::as_str).collect::<Vec<_>>())
}

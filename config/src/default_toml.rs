//! Writes the configuration file that says what the defaults say: `config/default.toml`.
use crate::node::{Kind, Node};
use crate::path::Path;
use crate::prose;
use crate::schema::View;
use crate::setting::fields;
use crate::{Section, text, words};
use serde_json::Value;

/// The width comments are wrapped at.
const WIDTH: usize = 100;

const INTRODUCTION: &str = "\
# Carillon's settings with their defaults. Keep the lines you change and drop the others.
# Flags win over environment variables, those over this file, and this file over the defaults.
# `listen` in `[server]` is the environment variable CARILLON_SERVER__LISTEN, and so on.
";

/// The whole configuration with its defaults and meanings, as a TOML file that changes nothing when it is loaded.
pub fn default_toml(sections: &[Section]) -> String {
    let mut out = INTRODUCTION.to_owned();
    for section in sections {
        let schema = section.schema();
        // A section without defaults is refused by the loader, which says why.
        if let Ok(defaults) = section.defaults() {
            write_table(&mut out, &section.steps(), schema.view(), &defaults);
        }
    }
    out
}

/// A table with its header, then the tables inside it: in TOML they end the table they stand in.
fn write_table(out: &mut String, path: &Path, view: View<'_>, table: &Node) {
    out.push('\n');
    comment(out, view.doc());
    out.push_str(&format!("[{}]\n", header(path)));
    let mut inner = Vec::new();
    let mut first = true;
    for (key, view, node) in fields(view, Some(table)) {
        match node {
            Some(node) if is_table(node) => inner.push((key, view, node)),
            node => {
                if !std::mem::take(&mut first) {
                    out.push('\n');
                }
                write_key(out, key, view, node);
            }
        }
    }
    for (key, view, node) in inner {
        write_table(out, &path.key(key), view, node);
    }
}

/// Tables with entries get a header of their own; an empty one is a plain value.
fn is_table(node: &Node) -> bool {
    node.table().is_some_and(|entries| !entries.is_empty())
}

fn write_key(out: &mut String, key: &str, view: View<'_>, node: Option<&Node>) {
    comment(out, view.doc());
    comment(out, &prose::details(view));
    let key = text::key(key);
    match node.map(|node| (node.to_value(), &node.kind)) {
        // Unset by default: shown with an example, for whoever wants to set it.
        None | Some((Value::Null, _)) => out.push_str(&format!("# {key} = {}\n", text::toml(&words::sample(view)))),
        Some((_, Kind::List(entries))) if entries.iter().any(is_table) => {
            out.push_str(&format!("{key} = [\n"));
            for entry in entries {
                out.push_str(&format!("  {},\n", text::node_toml(entry)));
            }
            out.push_str("]\n");
        }
        Some((value, _)) => out.push_str(&format!("{key} = {}\n", text::toml(&value))),
    }
}

fn header(path: &Path) -> String {
    let keys = path.0.iter().map(|step| match step {
        crate::path::Step::Key(key) => text::key(key),
        crate::path::Step::Index(index) => index.to_string(),
    });
    keys.collect::<Vec<_>>().join(".")
}

/// Doc text as comment lines.
fn comment(out: &mut String, doc: &str) {
    for line in prose::wrap(doc, WIDTH - 2) {
        out.push_str(format!("# {line}").trim_end());
        out.push('\n');
    }
}

//! Compares what was configured with a section's schema: unknown and missing keys, types, choices and limits.
use crate::node::{Kind, Node};
use crate::path::{Path, Step};
use crate::schema::View;
use crate::words;
use serde_json::Value;

/// What is wrong with one value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Mistake {
    /// Nothing reads a key of this name.
    UnknownKey,
    /// The key has to be there and is not.
    Missing,
    /// It is not of the type, or none of the words to choose from.
    Mistyped,
    /// It is of the type, and must be otherwise: what it must be.
    Limit(String),
}

/// Everything wrong below `node`, parts before the whole they belong to. What the schema does not say is left to the
/// section's type.
pub(crate) fn mistakes(view: View<'_>, node: &Node) -> Vec<(Path, Mistake)> {
    let mut found = Vec::new();
    walk(view, node, &Path::default(), &mut found);
    found
}

fn walk(view: View<'_>, node: &Node, path: &Path, found: &mut Vec<(Path, Mistake)>) {
    if !fits(view, node) {
        found.push((path.clone(), Mistake::Mistyped));
        return;
    }
    let limit = match &node.kind {
        Kind::Leaf(Value::Number(number)) => outside(view, number.as_f64().unwrap_or_default()),
        Kind::Leaf(Value::String(text)) => count(view, "Length", "character", text.chars().count()),
        Kind::Leaf(_) => None,
        Kind::List(nodes) => {
            for (index, node) in nodes.iter().enumerate() {
                view.items().into_iter().for_each(|view| walk(view, node, &path.with(Step::Index(index)), found));
            }
            count(view, "Items", "entry", nodes.len())
        }
        Kind::Table(table) => {
            for (key, node) in table {
                match view.entry(key) {
                    Some(view) => walk(view, node, &path.key(key), found),
                    None if view.is_closed() => found.push((path.key(key), Mistake::UnknownKey)),
                    None => {}
                }
            }
            let missing = view.required().filter(|key| node.get(key).is_none());
            found.extend(missing.map(|key| (path.key(key), Mistake::Missing)));
            count(view, "Properties", "entry", table.len())
        }
    };
    found.extend(limit.map(|message| (path.clone(), Mistake::Limit(message))));
}

/// Whether a value is of the type the schema names, as far as it names one. Unset values are of every type: only
/// defaults have them.
fn fits(view: View<'_>, node: &Node) -> bool {
    let types = view.types();
    let is = |name: &str| types.is_empty() || types.contains(&name);
    match &node.kind {
        Kind::Leaf(Value::Null) => true,
        Kind::Leaf(Value::Bool(_)) => is("boolean"),
        Kind::Leaf(Value::String(text)) => {
            is("string") && view.choices().is_none_or(|choices| choices.iter().any(|(word, _)| word == text))
        }
        Kind::Leaf(Value::Number(number)) if number.is_f64() => is("number"),
        Kind::Leaf(number) => (is("integer") && words::holds(view, number)) || is("number"),
        Kind::List(_) => is("array"),
        Kind::Table(_) => is("object"),
    }
}

fn outside(view: View<'_>, number: f64) -> Option<String> {
    let limit = |keyword| view.get(keyword).and_then(Value::as_f64);
    if limit("minimum").is_some_and(|low| number < low) || limit("maximum").is_some_and(|high| number > high) {
        return words::range(view).map(|range| format!("must be {range}"));
    }
    let above = view.get("exclusiveMinimum").filter(|_| limit("exclusiveMinimum").is_some_and(|low| number <= low));
    let below = view.get("exclusiveMaximum").filter(|_| limit("exclusiveMaximum").is_some_and(|high| number >= high));
    let above = above.map(|low| format!("must be above {}", words::plain(low)));
    above.or_else(|| below.map(|high| format!("must be below {}", words::plain(high))))
}

fn count(view: View<'_>, what: &str, unit: &str, count: usize) -> Option<String> {
    let limit = |side: &str| view.get(&format!("{side}{what}")).and_then(Value::as_u64);
    let units = |n: u64| match (n, unit) {
        (1, unit) => format!("1 {unit}"),
        (n, "entry") => format!("{n} entries"),
        (n, unit) => format!("{n} {unit}s"),
    };
    match (limit("min"), limit("max"), count as u64) {
        (Some(1), _, 0) => Some("must not be empty".to_owned()),
        (Some(low), _, count) if count < low => Some(format!("must have at least {}", units(low))),
        (_, Some(high), count) if count > high => Some(format!("must have at most {}", units(high))),
        _ => None,
    }
}

//! Enforces the limits a section's schema states, so that each is written once: on the field.
use crate::node::{Kind, Node};
use crate::path::{Path, Step};
use crate::schema::View;
use crate::words;
use serde_json::Value;

/// Everything below `node` that is outside its limits, with what it must be.
pub(crate) fn broken(view: View<'_>, node: &Node) -> Vec<(Path, String)> {
    let mut found = Vec::new();
    walk(view, node, &Path::default(), &mut found);
    found
}

fn walk(view: View<'_>, node: &Node, path: &Path, found: &mut Vec<(Path, String)>) {
    let message = match &node.kind {
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
                view.entry(key).into_iter().for_each(|view| walk(view, node, &path.key(key), found));
            }
            count(view, "Properties", "entry", table.len())
        }
    };
    found.extend(
        message.map(|message| (path.clone(), format!("{message}, found {}", crate::explain::seen(view, Some(node))))),
    );
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

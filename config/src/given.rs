//! Gives a type to a value that arrives as plain text: from an environment variable or a flag.
use crate::file::{Origin, parse as parse_toml};
use crate::node::{Kind, Node};
use crate::schema::View;
use crate::{Problems, Source};
use serde_json::Value;

/// Reads `text` as what the setting accepts. Text stays as it is, a list may be separated by commas, everything else
/// is written as in the file. What cannot be read stays text, for the section's type to refuse.
pub(crate) fn read(view: View<'_>, text: &str, source: &Source) -> Node {
    match view.types().as_slice() {
        ["string"] => leaf(text, source),
        ["array"] if !text.trim_start().starts_with('[') => {
            let parts = text.split(',').map(str::trim);
            // No text is no entry, and a comma may also end the list.
            let parts: Vec<_> = parts.collect();
            let parts = parts.strip_suffix(&[""]).unwrap_or(&parts);
            let items = parts
                .iter()
                .map(|part| view.items().map_or_else(|| leaf(part, source), |items| read(items, part, source)));
            Node::list(items.collect(), source.clone())
        }
        _ => toml_value(text, source).unwrap_or_else(|| leaf(text, source)),
    }
}

fn leaf(text: &str, source: &Source) -> Node {
    Node::new(Kind::Leaf(Value::String(text.to_owned())), source.clone())
}

/// One TOML value and nothing after it.
fn toml_value(text: &str, source: &Source) -> Option<Node> {
    let mut unreadable = Problems::default();
    let mut table = parse_toml(&format!("value = {text}"), &Origin::Value(source.clone()), &mut unreadable)?;
    let entries = table.table_mut().filter(|entries| entries.len() == 1 && unreadable.is_empty())?;
    entries.pop().map(|(_, node)| node)
}

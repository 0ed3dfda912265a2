//! Says in plain words what a setting accepts.
use crate::schema::View;
use crate::text;
use serde_json::{Value, json};

/// What a value must be: "a whole number from 1 to 64", "one of `human`, `json`".
pub(crate) fn describe(view: View<'_>) -> String {
    if let Some(choices) = view.choices() {
        return format!("one of {}", ticked(choices.iter().map(|(word, _)| *word)));
    }
    let types = view.types();
    let words: Vec<_> = types.iter().map(|name| describe_type(view, name)).collect();
    if words.is_empty() { "a value".to_owned() } else { words.join(" or ") }
}

fn describe_type(view: View<'_>, name: &str) -> String {
    match name {
        "string" => "text".to_owned(),
        "boolean" => "true or false".to_owned(),
        "integer" => with_range("a whole number", view),
        "number" => with_range("a number", view),
        "array" => match view.items() {
            Some(items) => format!("a list of {}", plural(items)),
            None => "a list".to_owned(),
        },
        _ => "a table".to_owned(),
    }
}

/// What the entries of a list are.
fn plural(items: View<'_>) -> String {
    if let Some(choices) = items.choices() {
        return ticked(choices.iter().map(|(word, _)| *word));
    }
    match items.types().as_slice() {
        ["string"] => "texts".to_owned(),
        ["integer"] => "whole numbers".to_owned(),
        ["number"] => "numbers".to_owned(),
        ["object"] => "tables".to_owned(),
        ["array"] => "lists".to_owned(),
        ["boolean"] => "true or false".to_owned(),
        _ => "values".to_owned(),
    }
}

fn with_range(what: &str, view: View<'_>) -> String {
    match range(view) {
        Some(range) => format!("{what} {range}"),
        None => what.to_owned(),
    }
}

/// The limits of a number: "from 1 to 64", "from 1", "to 64".
pub(crate) fn range(view: View<'_>) -> Option<String> {
    match (view.get("minimum"), view.get("maximum")) {
        (Some(low), Some(high)) => Some(format!("from {} to {}", plain(low), plain(high))),
        (Some(low), None) => Some(format!("from {}", plain(low))),
        (None, Some(high)) => Some(format!("to {}", plain(high))),
        (None, None) => None,
    }
}

/// The limits worth telling beside the type: not that a count cannot be negative, which needs no words.
pub(crate) fn stated_range(view: View<'_>) -> Option<String> {
    let natural = view.get("maximum").is_none() && view.get("minimum").and_then(Value::as_u64) == Some(0);
    range(view).filter(|_| !natural).map(|range| format!("A number {range}."))
}

/// A limit as people write it: schemas may say 1.0 for 1.
pub(crate) fn plain(number: &Value) -> String {
    let text = number.to_string();
    text::grouped(text.strip_suffix(".0").unwrap_or(&text))
}

/// The largest number the field's integer type can hold, where the schema leaves it out.
pub(crate) fn type_limit(view: View<'_>) -> Option<u64> {
    let (_, high) = integers(view).filter(|_| view.get("maximum").is_none())?;
    // Nobody goes over the largest type by mistake.
    u64::try_from(high).ok().filter(|high| *high < u64::MAX)
}

/// Whether the field's integer type can hold a number.
pub(crate) fn holds(view: View<'_>, number: &Value) -> bool {
    let number = number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from));
    integers(view).zip(number).is_none_or(|((low, high), number)| (low..=high).contains(&number))
}

/// The smallest and the largest number of the field's integer type.
fn integers(view: View<'_>) -> Option<(i128, i128)> {
    let (signed, bits) = match view.get("format")?.as_str()? {
        "uint" => (false, usize::BITS),
        "int" => (true, isize::BITS),
        format => match format.strip_prefix("uint") {
            Some(bits) => (false, bits.parse().ok()?),
            None => (true, format.strip_prefix("int")?.parse().ok()?),
        },
    };
    // Wider types hold every number that can be configured.
    (bits <= 64).then(|| if signed { (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) } else { (0, (1 << bits) - 1) })
}

/// A value that would be accepted, for a hint: the author's example if there is one.
pub(crate) fn sample(view: View<'_>) -> Value {
    sample_to(view, 4)
}

fn sample_to(view: View<'_>, depth: usize) -> Value {
    if let Some(example) = view.get("examples").and_then(|examples| examples.get(0)) {
        return example.clone();
    }
    if let Some((word, _)) = view.choices().as_deref().and_then(<[_]>::first) {
        return json!(word);
    }
    match view.types().first().copied() {
        Some("string") => json!("text"),
        Some("boolean") => json!(true),
        Some("integer") => view.get("minimum").filter(|low| low.as_u64() != Some(0)).cloned().unwrap_or(json!(1)),
        Some("number") => json!(1.0),
        Some("array") => {
            view.items().filter(|_| depth > 0).map(|items| sample_to(items, depth - 1)).into_iter().collect()
        }
        Some("object") => {
            let required: Vec<_> = view.required().collect();
            let properties = view.properties().filter(|_| depth > 0).into_iter().flatten();
            let needed = properties.filter(|(key, _)| required.contains(key));
            Value::Object(needed.map(|(key, view)| (key.to_owned(), sample_to(view, depth - 1))).collect())
        }
        _ => json!("text"),
    }
}

/// `a`, `b`, `c`
pub(crate) fn ticked<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    words.into_iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
}

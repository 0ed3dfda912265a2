//! Writes values the way a configuration file would, without giving secrets away.
use crate::path::is_bare;
use serde_json::Value;

/// How much of a wrong value a message repeats.
const SHOWN: usize = 60;

/// A value as TOML on one line. "Nothing" cannot be written in TOML: such entries are left out.
pub(crate) fn toml(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::Bool(_) | Value::Number(_) => value.to_string(),
        Value::String(text) => quoted(text),
        Value::Array(items) => {
            let items: Vec<_> = items.iter().filter(|item| !item.is_null()).map(toml).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Object(entries) => {
            let entries = entries.iter().filter(|(_, value)| !value.is_null());
            let entries: Vec<_> = entries.map(|(name, value)| format!("{} = {}", key(name), toml(value))).collect();
            if entries.is_empty() { "{}".to_owned() } else { format!("{{ {} }}", entries.join(", ")) }
        }
    }
}

/// A key as TOML writes it.
pub(crate) fn key(name: &str) -> String {
    if is_bare(name) { name.to_owned() } else { quoted(name) }
}

/// Text in TOML's double quotes.
fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            c if c.is_control() => out.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// A value for the eyes of an operator: passwords in addresses are masked.
pub(crate) fn masked(value: &Value) -> String {
    toml(&mask(value))
}

/// The same, cut to a length that keeps a message readable.
pub(crate) fn shown(value: &Value) -> String {
    match value {
        Value::Null => "nothing".to_owned(),
        Value::Object(_) => "a table".to_owned(),
        value => {
            let text = masked(value);
            match text.char_indices().nth(SHOWN) {
                Some((end, _)) => format!("{}…", &text[..end]),
                None => text,
            }
        }
    }
}

fn mask(value: &Value) -> Value {
    match value {
        Value::String(text) => Value::String(mask_address(text)),
        Value::Array(items) => items.iter().map(mask).collect(),
        Value::Object(entries) => Value::Object(entries.iter().map(|(key, value)| (key.clone(), mask(value))).collect()),
        value => value.clone(),
    }
}

/// `redis://user:password@host` becomes `redis://user:***@host`. Everything up to the last `@` counts as credentials,
/// because a password may hold any character when its writer forgot to escape it.
fn mask_address(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else { return text.to_owned() };
    let Some((credentials, host)) = rest.rsplit_once('@') else { return text.to_owned() };
    match credentials.split_once(':') {
        Some((user, _)) => format!("{scheme}://{user}:***@{host}"),
        None => format!("{scheme}://***@{host}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// What we write is TOML that says the same, whatever characters a text holds.
    #[test]
    fn toml_reads_back() {
        let value = json!({ "a b": "quote \" back \\ line \n bell \u{7} é", "list": [1, 2.5, true, "x"], "in": { "x": -1 } });
        let read: toml::Table = toml::from_str(&format!("v = {}", toml(&value))).unwrap();
        assert_eq!(serde_json::to_value(&read["v"]).unwrap(), value);
    }

    /// No password of an address reaches a log.
    #[test]
    fn passwords_are_masked() {
        for (text, masked) in [
            ("redis://:s3cr3t@host:6379/1", "redis://:***@host:6379/1"),
            ("redis://me:s3@cr/3t@host", "redis://me:***@host"),
            ("redis://token@host", "redis://***@host"),
            ("redis://host:6379", "redis://host:6379"),
            ("me@example.org", "me@example.org"),
        ] {
            assert_eq!(mask_address(text), masked);
        }
        assert_eq!(shown(&json!(["redis://:s3cr3t@host"])), "[\"redis://:***@host\"]");
    }

    /// A message never repeats a page of text.
    #[test]
    fn long_values_are_cut() {
        assert_eq!(shown(&json!("é".repeat(500))).chars().count(), SHOWN + 1);
    }
}

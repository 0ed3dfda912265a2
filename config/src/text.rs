//! Writes values the way a configuration file would, without giving secrets away.
use crate::node::{Kind, Node};
use crate::path::is_bare;
use serde_json::Value;

/// How much of a wrong value a message repeats.
const SHOWN: usize = 60;

/// A value as TOML on one line. "Nothing" cannot be written in TOML: such entries are left out.
pub(crate) fn toml(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::Bool(_) => value.to_string(),
        Value::Number(number) => grouped(&number.to_string()),
        Value::String(text) => quoted(text),
        Value::Array(items) => {
            let items: Vec<_> = items.iter().filter(|item| !item.is_null()).map(toml).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Object(entries) => {
            let entries = entries.iter().filter(|(_, value)| !value.is_null());
            let mut entries: Vec<_> = entries.map(|(name, value)| format!("{} = {}", key(name), toml(value))).collect();
            // Whether an object in memory keeps an order of its own depends on how serde_json was built.
            entries.sort();
            if entries.is_empty() { "{}".to_owned() } else { format!("{{ {} }}", entries.join(", ")) }
        }
    }
}

/// The same for a node, whose tables have an order.
pub(crate) fn node_toml(node: &Node) -> String {
    let joined = |parts: Vec<String>| parts.join(", ");
    match &node.kind {
        Kind::Leaf(value) => toml(value),
        Kind::List(nodes) => format!("[{}]", joined(nodes.iter().map(node_toml).collect())),
        Kind::Table(table) => {
            let set = table.iter().filter(|(_, node)| node.kind != Kind::Leaf(Value::Null));
            let entries: Vec<_> = set.map(|(name, node)| format!("{} = {}", key(name), node_toml(node))).collect();
            if entries.is_empty() { "{}".to_owned() } else { format!("{{ {} }}", joined(entries)) }
        }
    }
}

/// A value as a variable or a flag carries it: text without quotes, lists of text separated by commas.
pub(crate) fn plain(value: &Value) -> String {
    match mask(value) {
        Value::String(text) => text,
        Value::Array(items) => {
            let words = items.iter().map(|item| item.as_str().filter(|word| !word.contains(',')));
            words.collect::<Option<Vec<_>>>().map_or_else(|| masked(value), |words| words.join(","))
        }
        value => toml(&value),
    }
}

/// A whole number with its thousands set apart, as TOML allows, once it is hard to read without.
pub(crate) fn grouped(number: &str) -> String {
    let (sign, digits) = number.strip_prefix('-').map_or(("", number), |digits| ("-", digits));
    if digits.len() < 5 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return number.to_owned();
    }
    let mut out = sign.to_owned();
    for (index, digit) in digits.char_indices() {
        if index > 0 && (digits.len() - index) % 3 == 0 {
            out.push('_');
        }
        out.push(digit);
    }
    out
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
        Value::Object(entries) => {
            Value::Object(entries.iter().map(|(key, value)| (key.clone(), mask(value))).collect())
        }
        value => value.clone(),
    }
}

/// Parameters of an address that hold a secret.
const SECRETS: [&str; 4] = ["pass", "password", "sentinel_password", "token"];

/// `redis://user:password@host` becomes `redis://user:***@host`, and `unix:///run/redis?pass=secret` loses its secret
/// too. Everything up to the last `@` counts as credentials, because a password may hold any character when its writer
/// forgot to escape it.
fn mask_address(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else {
        return text.to_owned();
    };
    // The path of a socket has no credentials before it; an `@` is part of a parameter then.
    let (credentials, host) = match rest.rsplit_once('@').filter(|_| !rest.starts_with('/')) {
        Some((credentials, host)) => (Some(credentials), host),
        None => (None, rest),
    };
    let host = mask_parameters(host);
    match credentials.map(|credentials| credentials.split_once(':')) {
        Some(Some((user, _))) => format!("{scheme}://{user}:***@{host}"),
        Some(None) => format!("{scheme}://***@{host}"),
        None => format!("{scheme}://{host}"),
    }
}

fn mask_parameters(rest: &str) -> String {
    let Some((address, query)) = rest.split_once('?') else { return rest.to_owned() };
    let secret = |name: &str| SECRETS.iter().any(|secret| name.eq_ignore_ascii_case(secret));
    let parameters = query.split('&').map(|parameter| match parameter.split_once('=') {
        Some((name, _)) if secret(name) => format!("{name}=***"),
        _ => parameter.to_owned(),
    });
    format!("{address}?{}", parameters.collect::<Vec<_>>().join("&"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// What we write is TOML that says the same, whatever characters a text holds.
    #[test]
    fn toml_reads_back() {
        let value =
            json!({ "a b": "quote \" back \\ line \n bell \u{7} é", "list": [1, 2.5, true, "x"], "in": { "x": -1 } });
        let read: toml::Table = toml::from_str(&format!("v = {}", toml(&value))).unwrap();
        assert_eq!(serde_json::to_value(&read["v"]).unwrap(), value);
    }

    /// Long numbers are readable, and still the same numbers.
    #[test]
    fn thousands_are_set_apart() {
        for (number, shown) in [
            ("0", "0"),
            ("8085", "8085"),
            ("10000", "10_000"),
            ("-1000000", "-1_000_000"),
            ("1e100", "1e100"),
            ("12345.5", "12345.5"),
        ] {
            assert_eq!(grouped(number), shown);
        }
    }

    /// No password of an address reaches a log.
    #[test]
    fn passwords_are_masked() {
        for (text, masked) in [
            ("redis://:s3cr3t@host:6379/1", "redis://:***@host:6379/1"),
            ("redis://me:s3@cr/3t@host", "redis://me:***@host"),
            ("redis://token@host", "redis://***@host"),
            ("redis://host:6379", "redis://host:6379"),
            ("unix:///run/redis.sock?db=1&pass=s3cr3t", "unix:///run/redis.sock?db=1&pass=***"),
            ("unix:///run/redis.sock?PASS=s3@cr&user=me", "unix:///run/redis.sock?PASS=***&user=me"),
            ("redis://me:s3?pass=cr3t@host", "redis://me:***@host"),
            (
                "redis+sentinel://me:s3cr3t@a,b:1/0/m?sentinel_password=s3cr3t&sentinel_user=u",
                "redis+sentinel://me:***@a,b:1/0/m?sentinel_password=***&sentinel_user=u",
            ),
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

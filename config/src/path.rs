//! Names a place in the configuration: `server.listen`, `plugins.relay.rows[2].event`.
use std::fmt;

/// One step down the tree.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Step {
    /// Into a table, by key.
    Key(String),
    /// Into a list, by index.
    Index(usize),
}

/// A place in the tree, from its root.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(crate) struct Path(pub(crate) Vec<Step>);

impl Path {
    /// Reads a path as it is written in messages: keys joined by dots, `[n]` for list entries, quotes around a key
    /// that holds other characters than letters, digits, `_` and `-`.
    pub(crate) fn parse(text: &str) -> Self {
        let mut steps = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            rest = rest.strip_prefix('.').unwrap_or(rest);
            if let Some((index, after)) = leading_index(rest) {
                steps.push(Step::Index(index));
                rest = after;
            } else if let Some((key, after)) = rest.strip_prefix('"').and_then(|quoted| quoted.split_once('"')) {
                steps.push(Step::Key(key.to_owned()));
                rest = after;
            } else {
                // The first character always belongs to the key, so that the loop moves on whatever the text is.
                let end =
                    rest.char_indices().skip(1).find(|(_, c)| matches!(c, '.' | '[')).map_or(rest.len(), |(at, _)| at);
                if end > 0 {
                    steps.push(Step::Key(rest[..end].to_owned()));
                }
                rest = &rest[end..];
            }
        }
        Self(steps)
    }

    /// The place one key further down.
    pub(crate) fn key(&self, key: &str) -> Self {
        self.with(Step::Key(key.to_owned()))
    }

    /// The place one step further down.
    pub(crate) fn with(&self, step: Step) -> Self {
        let mut steps = self.0.clone();
        steps.push(step);
        Self(steps)
    }

    /// The place `tail` further down.
    pub(crate) fn join(&self, tail: &Self) -> Self {
        Self(self.0.iter().chain(&tail.0).cloned().collect())
    }

    /// The name of the last key on the way, for messages.
    pub(crate) fn last_key(&self) -> Option<&str> {
        self.0.iter().rev().find_map(|step| match step {
            Step::Key(key) => Some(key.as_str()),
            Step::Index(_) => None,
        })
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, step) in self.0.iter().enumerate() {
            match step {
                Step::Index(at) => write!(f, "[{at}]")?,
                Step::Key(key) => {
                    if index > 0 {
                        f.write_str(".")?;
                    }
                    if is_bare(key) { f.write_str(key)? } else { write!(f, "\"{key}\"")? }
                }
            }
        }
        Ok(())
    }
}

/// True for a key that TOML, and our messages, write without quotes.
pub(crate) fn is_bare(key: &str) -> bool {
    !key.is_empty() && key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}

/// Splits `[12].rest` into 12 and `.rest`.
fn leading_index(text: &str) -> Option<(usize, &str)> {
    let (digits, rest) = text.strip_prefix('[')?.split_once(']')?;
    Some((digits.parse().ok()?, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a message shows can be read back, quoted keys and list entries included.
    #[test]
    fn paths_read_back() {
        for text in ["", "server", "server.listen", "plugins.relay.rows[2].event", "map.\"a b.c\".x", "a[0][1]"] {
            assert_eq!(Path::parse(text).to_string(), text);
        }
    }

    /// A plugin author's odd path never hangs or panics the loader.
    #[test]
    fn odd_paths_end() {
        for text in ["..", "[", "[x]", "a[", "\"", "a..b", "é.ü"] {
            Path::parse(text);
        }
    }
}

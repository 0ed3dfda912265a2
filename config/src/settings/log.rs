//! `[log]`: what the server says about itself, and in which form.
use crate::Problems;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What the server says about itself, and in which form.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LogSettings {
    /// How much is logged: `error`, `warn`, `info`, `debug`, `trace` or `off`; for single parts of the program add
    /// `target=level`, separated by commas: `info,carillon_core=debug`.
    pub level: String,
    /// The form of the log lines.
    pub format: LogFormat,
}

/// The form of the log lines.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people: a line with colours on a terminal.
    #[default]
    Human,
    /// For machines: one JSON object a line.
    Json,
}

impl Default for LogSettings {
    fn default() -> Self {
        Self { level: "info".to_owned(), format: LogFormat::Human }
    }
}

/// The levels, from quiet to loud.
const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

impl LogSettings {
    /// The filter is not empty and its levels exist. What only the logger understands (spans, fields) is left to it.
    pub fn check(&self, problems: &mut Problems) {
        let hint = "valid levels: `off`, `error`, `warn`, `info`, `debug`, `trace`, as in `info,carillon_core=debug`";
        // Braces may hold commas and equal signs of their own.
        if self.level.contains(['{', '[']) {
            return;
        }
        let directives: Vec<_> = self.level.split(',').map(str::trim).collect();
        for directive in &directives {
            let level = match directive.rsplit_once('=') {
                Some((_, level)) => level.trim(),
                // On its own, a word is the level; in a list it may also be a target, logged whole.
                None if directives.len() == 1 || directive.is_empty() => directive,
                None => continue,
            };
            if level.is_empty() {
                problems.add("level", "a log level is missing").hint(hint);
            } else if !LEVELS.contains(&level.to_ascii_lowercase().as_str()) {
                problems.add("level", format!("`{level}` is not a log level")).hint(hint);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(level: &str) -> usize {
        let mut problems = Problems::default();
        LogSettings { level: level.to_owned(), ..LogSettings::default() }.check(&mut problems);
        problems.len()
    }

    /// Filters the logger takes pass; slips in a level do not.
    #[test]
    fn levels() {
        for level in ["info", "WARN", "info,carillon_core=debug", "info, hyper", "info,[span{field=\"a,b\"}]=trace"] {
            assert_eq!(problems(level), 0, "{level}");
        }
        for (level, count) in [("", 1), ("inof", 1), ("info,", 1), ("info,hyper=", 1), ("a=loud,b=louder", 2)] {
            assert_eq!(problems(level), count, "{level}");
        }
    }
}

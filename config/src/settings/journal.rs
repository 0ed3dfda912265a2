//! `[journal]`: what is kept of what is published, for whoever was away.
use crate::Problems;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What is kept of what is published, for whoever was away. All Carillons of an installation have the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct JournalSettings {
    /// The namespaces whose publishes are numbered and kept: in this process with the bus `memory://`, else on the bus.
    pub namespaces: Vec<String>,
    /// Those of them whose clients get on where they left off when they come back: stock JavaScript clients do so by
    /// themselves, others when they ask for it (`auth.recovery`).
    pub recovery: Vec<String>,
    /// Those of them whose clients may ask what was published, by the event `history` and `GET /api/history/..`.
    pub history: Vec<String>,
    /// How many publishes of one namespace are kept.
    #[schemars(range(min = 1, max = 10_000_000))]
    pub max_events: usize,
    /// How long a publish is kept, in seconds.
    #[schemars(range(min = 1, max = 2_592_000))]
    pub max_age_s: u64,
    /// How many bytes the publishes of one namespace hold together. The last one is kept, however large it is.
    #[schemars(range(min = 1024, max = 17_179_869_184_u64))]
    pub max_bytes: usize,
    /// For how long publishes wait for a journal that others share while it is away, in milliseconds, before they go on
    /// without a place in it. What waits is delivered to nobody meanwhile. With as much as a failover takes none of them is
    /// missing in the journal; 0 waits for nothing.
    #[schemars(range(max = 60_000))]
    pub hold_ms: u64,
    /// For how long a client that is gone may come back and get on where it left off, in seconds.
    #[schemars(range(min = 1, max = 86_400))]
    pub max_disconnection_s: u64,
}

impl Default for JournalSettings {
    fn default() -> Self {
        Self {
            namespaces: Vec::new(),
            recovery: Vec::new(),
            history: Vec::new(),
            max_events: 10_000,
            max_age_s: 300,
            max_bytes: 16 * 1024 * 1024,
            hold_ms: 5_000,
            max_disconnection_s: 120,
        }
    }
}

impl JournalSettings {
    /// Only what is kept can be told. Whether anybody serves a namespace is known to the router, not here.
    pub fn check(&self, problems: &mut Problems) {
        for (key, names) in [("recovery", &self.recovery), ("history", &self.history)] {
            for (at, name) in names.iter().enumerate().filter(|(_, name)| !self.namespaces.contains(name)) {
                problems
                    .add(format!("{key}[{at}]"), format!("nothing is kept of {name:?}"))
                    .hint(format!("add it to `journal.namespaces`, or take it out of `journal.{key}`"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A namespace that is not kept cannot be told, nor recovered.
    #[test]
    fn only_what_is_kept_can_be_told() {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let settings = |recovery: &[&str], history: &[&str]| JournalSettings {
            namespaces: names(&["/a", "/b"]),
            recovery: names(recovery),
            history: names(history),
            ..JournalSettings::default()
        };
        for (settings, count) in [
            (JournalSettings::default(), 0),
            (settings(&["/a"], &["/a", "/b"]), 0),
            (settings(&["/c"], &[]), 1),
            (settings(&["/c", "/a"], &["/d"]), 2),
        ] {
            let mut problems = Problems::default();
            settings.check(&mut problems);
            assert_eq!(problems.len(), count, "{settings:?}");
        }
    }
}

//! What a SIGHUP does: the configuration is read again, and what can change while the server runs is changed.
//!
//! That is `log.level`; the file of nodes is read by the plugin that has it, and the certificate by [`crate::tls`]. Of
//! everything else a line says that it takes a restart.

use std::collections::BTreeMap;

use carillon_config::{Loaded, LogSettings, Problems};

use crate::logs::Logs;

/// The one setting that is applied here.
const LEVEL: &str = "log.level";

/// How the configuration is read again, and what it was.
pub(crate) struct Reload<'a> {
    /// Reads it from where it was read at the start.
    pub(crate) read: Box<dyn Fn() -> Result<Loaded, Problems> + 'a>,
    /// What the server runs with.
    pub(crate) running: Loaded,
    pub(crate) logs: Logs,
}

impl Reload<'_> {
    /// Reads and applies; says in the log what came of it. A configuration with mistakes changes nothing.
    pub(crate) fn run(&mut self) {
        let read = match (self.read)() {
            Ok(read) => read,
            Err(problems) => {
                for problem in &problems {
                    tracing::error!("SIGHUP: {problem}");
                }
                tracing::error!("SIGHUP: the configuration has mistakes, everything stays as it was");
                return;
            }
        };
        // What waits for a restart goes on waiting: only the level is compared with the last time.
        let (before, after) = (values(&self.running), values(&read));
        let waiting = changed(&before, &after);
        let level = read.get::<LogSettings>("log").level;
        let say = |news: String| match waiting.as_slice() {
            [] => tracing::info!("SIGHUP: read the configuration again; {news}"),
            keys => tracing::warn!(
                "SIGHUP: read the configuration again; {news}; these take a restart: {}",
                keys.join(", ")
            ),
        };
        let was = self.logs.level().to_owned();
        if level == was {
            say(format!("{LEVEL} is {level:?}, as it was"));
        } else if let Err(mistake) =
            self.logs.set_level(&level, || say(format!("{LEVEL} is {level:?} now, it was {was:?}")))
        {
            say(format!("{LEVEL} stays as it was: {mistake}"));
        }
    }
}

fn values(config: &Loaded) -> BTreeMap<String, String> {
    config.sources().map(|(key, value, _)| (key, value)).collect()
}

/// The settings that are not what they were, but for the one that was applied.
fn changed<'a>(before: &'a BTreeMap<String, String>, after: &'a BTreeMap<String, String>) -> Vec<&'a str> {
    let mut keys: Vec<_> = before.keys().chain(after.keys()).map(String::as_str).collect();
    keys.retain(|key| *key != LEVEL && before.get(*key) != after.get(*key));
    keys.sort_unstable();
    keys.dedup();
    keys
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Added, removed and changed settings are named once; the level is not among them.
    #[test]
    fn what_takes_a_restart_is_named() {
        let map = |entries: &[(&str, &str)]| {
            entries.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
        };
        let before = map(&[("server.workers", "1"), ("log.level", "info"), ("bus.url", "a"), ("gone", "1")]);
        let after = map(&[("server.workers", "2"), ("log.level", "debug"), ("bus.url", "a"), ("new", "1")]);
        assert_eq!(changed(&before, &after), ["gone", "new", "server.workers"]);
        assert_eq!(changed(&before, &before), [""; 0]);
    }
}

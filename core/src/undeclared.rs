//! Events that nobody declared, or that go to a namespace nobody serves: what the log is told of those that plugins send, and
//! clients of those that they send.

use std::collections::BTreeMap;
use std::panic::Location;
use std::sync::{Mutex, PoisonError};

use carillon_config::closest;

use crate::error::Error;
use crate::identity::Identity;

/// How many different names are told; a plugin that makes names up as it goes is told often enough by then.
const TOLD_MAX: usize = 64;

/// What was sent without a declaration, and the place each was first sent from.
#[derive(Debug, Default)]
pub(crate) struct Undeclared(Mutex<BTreeMap<String, String>>);

impl Undeclared {
    /// Tells the log about `event`, sent at `at`, the first time.
    pub(crate) fn note(&self, plugin: &str, namespace: &str, event: &str, at: &Location<'_>) {
        if self.is_news(event, at) {
            tracing::warn!(
                plugin,
                namespace,
                event,
                at = %at,
                "an event that is not declared is sent and counted as `_other`: declare it with on.emits in routes"
            );
        }
    }

    /// Tells the log about `event`, sent at `at` to a namespace that no plugin serves, the first time: the sender gets an
    /// error, and may look at it or not.
    pub(crate) fn note_unserved(&self, namespace: &str, event: &str, at: &Location<'_>) {
        if self.is_news(&format!("{namespace} {event}"), at) {
            tracing::warn!(
                namespace,
                event,
                at = %at,
                "an event is sent to a namespace that no plugin serves: declare it with on.emits_to in routes, and the boot \
                 checks it"
            );
        }
    }

    fn is_news(&self, event: &str, at: &Location<'_>) -> bool {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let news = told.len() < TOLD_MAX && !told.contains_key(event);
        if news {
            told.insert(event.to_owned(), at.to_string());
        }
        news
    }

    /// Takes the names noted so far, each with its place.
    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn take(&self) -> Vec<(String, String)> {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *told).into_iter().collect()
    }
}

/// The longest name of an event that is compared with those there are.
const SLIP_MAX: usize = 48;

/// What a client is told that sends an event which its namespace does not take, with the one of `events` that it probably
/// meant, if that is one it may send.
pub(crate) fn unknown_event<'a>(
    name: &str,
    events: impl Iterator<Item = &'a str>,
    identity: Option<&Identity>,
) -> Error {
    const MESSAGE: &str = "this namespace has no such event";
    // Comparing takes time that grows with both names, and everybody may ask.
    let near = |event: &&str| event.len() <= SLIP_MAX && event.len().abs_diff(name.len()) <= SLIP_MAX / 3;
    let may = |event: &&str| identity.is_none_or(|identity| identity.may_send(event));
    let meant = (name.len() <= SLIP_MAX).then(|| closest(name, events.filter(near).filter(may))).flatten();
    match meant {
        Some(event) => Error::unknown_event(format!("{MESSAGE}: did you mean {event:?}?")),
        None => Error::unknown_event(MESSAGE),
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::{Debug, Write};
    use std::sync::Arc;

    use tracing::field::{Field, Visit};
    use tracing::span::{Attributes, Id, Record};
    use tracing::{Event, Metadata, Subscriber};

    use super::*;

    /// Keeps the lines of a log.
    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<String>>>);

    struct Line(String);

    impl Visit for Line {
        fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
            write!(self.0, " {field}={value:?}").unwrap();
        }
    }

    impl Subscriber for Log {
        fn enabled(&self, _: &Metadata<'_>) -> bool {
            true
        }

        fn new_span(&self, _: &Attributes<'_>) -> Id {
            Id::from_u64(1)
        }

        fn record(&self, _: &Id, _: &Record<'_>) {}

        fn record_follows_from(&self, _: &Id, _: &Id) {}

        fn event(&self, event: &Event<'_>) {
            let mut line = Line(event.metadata().level().to_string());
            event.record(&mut line);
            self.0.lock().unwrap().push(line.0);
        }

        fn enter(&self, _: &Id) {}

        fn exit(&self, _: &Id) {}
    }

    /// Each name is told once, with the place it was first sent from; names without end are told a bounded number of times.
    #[test]
    fn an_undeclared_event_is_told_once_with_its_place() {
        let (log, undeclared) = (Log::default(), Undeclared::default());
        let here = Location::caller();
        tracing::subscriber::with_default(log.clone(), || {
            for _ in 0..3 {
                undeclared.note("chat", "/chat", "psst", here);
            }
            (0..2 * TOLD_MAX).for_each(|n| undeclared.note("chat", "/chat", &format!("e{n}"), here));
        });
        let lines = log.0.lock().unwrap();
        assert_eq!(lines.len(), TOLD_MAX);
        assert_eq!(lines.iter().filter(|line| line.contains(r#"event="psst""#)).count(), 1);
        assert!(lines[0].starts_with("WARN ") && lines[0].contains(r#"plugin="chat""#), "{}", lines[0]);
        assert!(lines[0].contains(&format!("at={here}")) && lines[0].contains("on.emits"), "{}", lines[0]);
        assert_eq!(undeclared.take().len(), TOLD_MAX);
    }

    /// What is sent to nobody's namespace is told likewise: whoever sends it may drop the error.
    #[test]
    fn an_event_to_nobodys_namespace_is_told_once_with_its_place() {
        let (log, unserved) = (Log::default(), Undeclared::default());
        let here = Location::caller();
        tracing::subscriber::with_default(log.clone(), || {
            (0..2).for_each(|_| unserved.note_unserved("/nowhere", "psst", here));
        });
        let lines = log.0.lock().unwrap();
        assert_eq!(lines.len(), 1);
        assert!(lines[0].starts_with("WARN ") && lines[0].contains(r#"namespace="/nowhere""#), "{}", lines[0]);
        assert!(lines[0].contains(&format!("at={here}")) && lines[0].contains("on.emits_to"), "{}", lines[0]);
        assert_eq!(unserved.take(), [("/nowhere psst".to_owned(), here.to_string())]);
    }
}

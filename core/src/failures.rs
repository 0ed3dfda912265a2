//! The last failures that were the server's own, so that the id a client was given finds its cause even when the log
//! has left the line out.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::panic::PanicHookInfo;
use std::sync::{Mutex, PoisonError};

use serde::Serialize;

use crate::time::timestamp;

/// How many failures are remembered.
pub const REMEMBERED: usize = 1024;
/// Bytes of a cause, and of an event's name, that are kept.
const CAUSE_MAX: usize = 1024;
pub(crate) const NAME_MAX: usize = 128;

/// A failed call, as the client's `error.id` names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// What the client was given, and what the log line shows.
    pub id: String,
    /// When, RFC 3339 in UTC.
    pub time: String,
    /// The plugin.
    pub plugin: &'static str,
    /// Its namespace.
    pub namespace: String,
    /// The event, hook or route that failed.
    pub event: String,
    /// Why: the error with its causes, or the panic's message and place.
    pub cause: String,
}

/// The last [`REMEMBERED`] failures.
#[derive(Debug, Default)]
pub(crate) struct Failures(Mutex<VecDeque<Failure>>);

impl Failures {
    /// Remembers a failure; the oldest one makes room.
    pub(crate) fn remember(&self, plugin: &'static str, namespace: &str, event: &str, cause: &str) -> String {
        let id = format!("{:08x}", fastrand::u32(..));
        let failure = Failure {
            id: id.clone(),
            time: timestamp(),
            plugin,
            namespace: namespace.to_owned(),
            event: cut(event, NAME_MAX),
            cause: cut(cause, CAUSE_MAX),
        };
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() == REMEMBERED {
            all.pop_front();
        }
        all.push_back(failure);
        id
    }

    /// What is remembered, the newest first.
    pub(crate) fn all(&self) -> Vec<Failure> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().rev().cloned().collect()
    }
}

/// The first `most` bytes of a text that a client or a plugin may have made as long as it liked.
pub(crate) fn cut(text: &str, most: usize) -> String {
    if text.len() <= most {
        return text.to_owned();
    }
    format!("{}..", &text[..text.floor_char_boundary(most)])
}

thread_local! {
    /// The panic that is unwinding through this thread. Set by the hook, taken by whoever catches it.
    static PANIC: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// For the process's panic hook: keeps a panic's message and place for the failure it becomes.
pub fn note_panic(panic: &PanicHookInfo<'_>) {
    let text = panic.payload_as_str().unwrap_or("no message");
    let place = panic.location().map(|place| format!(" at {place}")).unwrap_or_default();
    PANIC.set(Some(format!("panic{place}: {text}")));
}

/// The cause of a panic that has just been caught on this thread.
pub(crate) fn panic_cause(payload: &(dyn std::any::Any + Send)) -> String {
    PANIC.take().unwrap_or_else(|| {
        let text = payload.downcast_ref::<&str>().copied();
        let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
        format!("panic: {}", text.unwrap_or("no message"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// However much fails, so many are remembered and no more, and each is cut.
    #[test]
    fn the_last_failures_are_kept_the_newest_first() {
        let failures = Failures::default();
        let ids: Vec<String> = (0..REMEMBERED + 10)
            .map(|n| failures.remember("p", "/p", &format!("event {n}"), &"\u{e9}".repeat(CAUSE_MAX)))
            .collect();
        let all = failures.all();
        assert_eq!(all.len(), REMEMBERED);
        assert_eq!(all[0].event, format!("event {}", REMEMBERED + 9));
        assert!(all.iter().map(|failure| &failure.id).eq(ids[10..].iter().rev()));
        assert!(all.iter().all(|failure| failure.cause.len() <= CAUSE_MAX + 2));
    }
}

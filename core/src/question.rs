//! What a plugin is asked for outside of any client's queue (an admission, an HTTP route, a step of its life): it runs on
//! the plugin's threads, its time runs on the caller's.

use std::future::{Future, poll_fn};
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use tokio::runtime::Handle;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use crate::answer::{Failure, Outcome, timed_out};
use crate::clock::{Blocked, Timed, note_blocked};
use crate::dispatch::InFlight;
use crate::error::{Error, Result};
use crate::failures::panic_cause;
use crate::namespace::Namespace;

/// Runs `question` on `threads`, all of it, and gives up after `limit`, also when every thread is blocked. What is given
/// up, by the caller too, ends where it next waits.
pub(crate) async fn ask<T, F>(threads: &Handle, limit: Duration, question: F) -> Outcome<T>
where
    T: Send + 'static,
    F: Future<Output = Result<T>> + Send + 'static,
{
    let caught = async move {
        let outcome = AssertUnwindSafe(question).catch_unwind().await;
        outcome.map_err(|payload| Failure::Panic(panic_cause(&*payload)))
    };
    let task = AbortOnDropHandle::new(threads.spawn(caught));
    match tokio::time::timeout(limit, task).await {
        Ok(Ok(Ok(result))) => result.map_err(Failure::Error),
        Ok(Ok(Err(panic))) => Err(panic),
        Ok(Err(_)) => Err(Error::unavailable("the server is going away").into()),
        Err(_) => Err(timed_out(limit).into()),
    }
}

/// [`ask`], of a running plugin: counted while it runs, and named when it blocks a thread.
pub(crate) async fn ask_running<T, F>(namespace: &Arc<Namespace>, what: String, question: F) -> Outcome<T>
where
    T: Send + 'static,
    F: Future<Output = Result<T>> + Send + 'static,
{
    let place = Arc::new(Place { namespace: Arc::clone(namespace), what, state: Mutex::default() });
    namespace.clock.watch(Arc::clone(&place) as Arc<dyn Timed>);
    let end = End(Arc::clone(&place));
    let watched = async move {
        let _end = end;
        let _counted = InFlight::begin(&place.namespace.in_flight);
        let mut question = pin!(question);
        poll_fn(|context| {
            place.enter(Some(Instant::now()));
            let poll = question.as_mut().poll(context);
            place.enter(None);
            poll
        })
        .await
    };
    ask(&namespace.threads, namespace.limits.handler_timeout, watched).await
}

/// Where a question is.
struct Place {
    namespace: Arc<Namespace>,
    what: String,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// When a thread entered it; `None` while it waits.
    polling: Option<Instant>,
    /// It was named for blocking its thread.
    named: bool,
    over: bool,
}

impl Place {
    fn enter(&self, polling: Option<Instant>) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).polling = polling;
    }
}

impl Timed for Place {
    fn look(self: Arc<Self>, now: Instant, blocked: &mut Vec<Blocked>) -> Option<Instant> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.over {
            return None;
        }
        let State { polling, named, .. } = &mut *state;
        if let Some(polling) = *polling {
            note_blocked(&self.namespace, || self.what.clone(), (polling, named), now, blocked);
        }
        Some(now + crate::clock::BLOCKED_AFTER)
    }
}

/// Ends the watch when the question ends, or is dropped where it stands.
struct End(Arc<Place>);

impl Drop for End {
    fn drop(&mut self) {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner).over = true;
    }
}

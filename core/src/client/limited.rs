//! What becomes of the events of a client that sends too much: it is read from more slowly, refused, and closed.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::queue::Phase;
use super::{Client, Job};
use crate::answer::refuse;
use crate::limits::{Over, Sender};
use crate::packet::split_event;
use crate::sink::Reason;

impl Client {
    /// Counts an event of so many bytes.
    ///
    /// # Errors
    /// It is over a limit.
    pub(super) fn count_event(self: &Arc<Self>, sender: &Sender, json: &str, bytes: usize) -> Result<(), Over> {
        let namespace = &self.namespace;
        let own = || namespace.own_limit(&split_event(json).ok()?.name);
        let own = if namespace.limits_events() { own() } else { None };
        let identity = if sender.has_subject() { self.peer.identity() } else { None };
        let claimed = identity.and_then(|identity| identity.limits()).unwrap_or_default();
        if let Some(pause) = namespace.rates.take(sender, claimed, own, bytes)? {
            self.hold(pause);
        }
        Ok(())
    }

    /// Answers an event that is over a limit, and closes a client that goes on all the same.
    pub(super) fn over(&self, sender: &Sender, over: Over, job: &Job) {
        refuse(self, job, over.error());
        let rates = &self.namespace.rates;
        if !rates.goes_on(sender) {
            return;
        }
        if let Some(sink) = self.sink() {
            sink.close(Reason::RateLimited);
        }
        if let Some(left_out) = rates.log.allow() {
            let (client, namespace, over) = (self.peer.address(), &*self.namespace.name, over.scope.as_str());
            tracing::warn!(left_out, %client, namespace, over, "a client goes on sending more than it may and was closed");
        }
    }

    /// The client is not read from for so long.
    fn hold(self: &Arc<Self>, pause: Duration) {
        let mut queue = self.queue();
        if queue.phase == Phase::Closed {
            return;
        }
        let mut until = Instant::now() + pause;
        if let Some(held) = &mut queue.held {
            *held = until.max(*held);
            return;
        }
        queue.hold(until);
        drop(queue);
        let client = Arc::downgrade(self);
        self.namespace.rates.pauses.spawn(async move {
            loop {
                tokio::time::sleep_until(until).await;
                match client.upgrade().and_then(|client| client.queue().let_go(Instant::now())) {
                    Some(later) => until = later,
                    None => return,
                }
            }
        });
    }
}

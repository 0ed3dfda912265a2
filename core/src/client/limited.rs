//! What becomes of the events of a client that sends too much: it is read from more slowly, refused, and closed.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::queue::Phase;
use super::{Client, Job};
use crate::answer::refuse;
use crate::limits::{Counted, Over, Sender};
use crate::sink::Reason;

/// After so long the task of a pause looks whether its client is still there.
const SLICE: Duration = Duration::from_secs(1);

impl Client {
    /// Counts an event that came at `moment`, and reads no further for as long as that asks for.
    ///
    /// # Errors
    /// It is over a limit.
    pub(super) fn count_event(
        self: &Arc<Self>,
        sender: &Sender,
        event: &Counted<'_>,
        moment: Instant,
    ) -> Result<(), Over> {
        let (pause, taken) = self.namespace.rates.take(sender, event, moment);
        if let Some(pause) = pause {
            self.hold(pause);
        }
        taken
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
        let mut until = Instant::now() + pause;
        if queue.phase == Phase::Closed || !queue.hold(until) {
            return;
        }
        drop(queue);
        let client = Arc::downgrade(self);
        self.namespace.rates.pauses.spawn(async move {
            loop {
                // In slices: a long pause is not waited for longer than its client stays.
                tokio::time::sleep_until(until.min(Instant::now() + SLICE)).await;
                match client.upgrade().and_then(|client| client.queue().let_go(Instant::now())) {
                    Some(later) => until = later,
                    None => return,
                }
            }
        });
    }
}

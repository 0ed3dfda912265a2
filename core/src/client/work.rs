//! What the run of a client's events does to the queue: take, begin, wait, end, each in one short lock.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use tokio::time::Instant;

use super::Client;
use super::queue::{Job, Run, What};
use crate::sink::Sink;

/// What the run does next.
pub(crate) enum Step {
    /// This piece of work has begun. Another one waits behind it, if the flag says so.
    Begin(Job, bool),
    /// The clock is answering for this client: [`Client::poll_answered`] tells when it has.
    Wait,
    /// Nothing is left: the run is over.
    End,
}

impl Client {
    /// The plugin's threads have begun with this client.
    pub(crate) fn begin(&self) {
        self.queue().run = Run::Working;
    }

    /// The run gives way to other clients of its plugin.
    pub(crate) fn give_way(&self, now: Instant) {
        self.queue().run = Run::Handed(now);
    }

    /// The run waits until its client has read.
    pub(crate) fn wait_for_room(&self) {
        self.queue().run = Run::Room(None);
    }

    /// The next piece of work. Whatever was sent under a cork stays corked.
    pub(crate) fn next(&self, now: Instant) -> Step {
        let mut queue = self.queue();
        if queue.answering {
            return Step::Wait;
        }
        let Some(job) = queue.start(now) else {
            queue.run = Run::Idle;
            // Most clients say little: they keep no memory for what they may say.
            queue.jobs = VecDeque::new();
            queue.waker = None;
            return Step::End;
        };
        queue.drain(self.namespace.limits.queue_events);
        let more = !queue.jobs.is_empty();
        let spent = queue.spent_sink();
        drop(queue);
        drop(spent);
        Step::Begin(job, more)
    }

    /// What began has ended, and the caller answers for it; `None` when the clock has: then nobody else does.
    pub(crate) fn claim(&self) -> Option<What> {
        match std::mem::replace(&mut self.queue().run, Run::Working) {
            Run::Busy(current) if current.overdue.is_none() => Some(current.what),
            _ => None,
        }
    }

    /// What runs waits for something, and frees its thread. `false` when its time is up.
    pub(crate) fn park(&self, waker: &Waker) -> bool {
        let mut queue = self.queue();
        if let Run::Busy(current) = &mut queue.run {
            if current.overdue.is_some() {
                return false;
            }
            current.polling = None;
        }
        keep(&mut queue.waker, waker);
        true
    }

    /// What waited has a thread again. `false` when its time is up.
    pub(crate) fn unpark(&self) -> bool {
        match &mut self.queue().run {
            Run::Busy(current) if current.overdue.is_none() => {
                current.polling = Some(Instant::now());
                true
            }
            _ => false,
        }
    }

    /// Ready when the clock is not answering for this client.
    pub(crate) fn poll_answered(&self, context: &Context<'_>) -> Poll<()> {
        let mut queue = self.queue();
        if queue.answering {
            keep(&mut queue.waker, context.waker());
            return Poll::Pending;
        }
        Poll::Ready(())
    }

    /// What is sent from here on may wait.
    pub(crate) fn cork(&self, sink: &Arc<dyn Sink>) {
        let mut queue = self.queue();
        if !queue.corked {
            queue.corked = true;
            // Under the lock: whoever finds the mark may uncork.
            sink.cork();
        }
    }

    /// What waits is written. Nothing happens when the clock has done it already.
    pub(crate) fn uncork(&self) {
        let corked = std::mem::take(&mut self.queue().corked);
        if corked && let Some(sink) = self.sink() {
            sink.uncork();
        }
    }

    /// The task is gone in the middle of its work, with its threads: nobody goes on with this client.
    pub(crate) fn abandon(&self) {
        self.queue().run = Run::Idle;
    }
}

fn keep(place: &mut Option<Waker>, waker: &Waker) {
    match place {
        Some(known) => known.clone_from(waker),
        None => *place = Some(waker.clone()),
    }
}

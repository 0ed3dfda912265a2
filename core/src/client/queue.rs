//! What is to be done for one client, in order, and what is being done for it now.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use bytes::Bytes;
use bytestring::ByteString;
use tokio::time::Instant;

use crate::sink::{Reason, Sink, Transport};

/// What one waiting event is taken to cost beside its bytes: its place in the queue and its attachments' handles.
const EVENT_OVERHEAD: usize = 128;

/// What is to be done for a client. At most one task works on it, and only while there is work.
pub(super) struct Queue {
    pub(super) phase: Phase,
    pub(super) jobs: VecDeque<Waiting>,
    pub(super) bytes: usize,
    pub(super) run: Run,
    /// The clock is answering for this client: its run waits, so that answers keep their order.
    pub(super) answering: bool,
    /// The run, while it waits for the plugin's future or for the clock.
    pub(super) waker: Option<Waker>,
    /// The sink was corked by the run and nobody has uncorked it.
    pub(super) corked: bool,
    /// The clock looks at this client.
    pub(super) watched: bool,
    reading: Reading,
    /// The transport the client is counted under while it is open.
    pub(super) counted: Option<Transport>,
    /// Keeps the way to the client, until it is gone and nothing is left to answer.
    pub(super) sink: Option<Arc<dyn Sink>>,
}

/// Why the client is not read from.
#[derive(Default)]
struct Reading {
    /// The queue was full, and is not down to a quarter of that yet.
    full: bool,
    /// Until when, because the client has sent too much.
    held: Option<Instant>,
    /// Questions the client has not answered yet: it is read from meanwhile.
    asking: usize,
    /// What the sink was told.
    paused: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Admitted; the CONNECT reply is not queued yet.
    Admitted,
    Open,
    Closed,
}

/// Where the task is that works the queue off.
pub(super) enum Run {
    /// There is none.
    Idle,
    /// Handed to the plugin's threads, which have not begun with it, or have not come back to it, since.
    Handed(Instant),
    /// Waits until its client has read what it was answered. When the clock first found that it has.
    Room(Option<Instant>),
    /// Between two pieces of the plugin's code.
    Working,
    /// In the plugin's code.
    Busy(Current),
}

/// The piece of the plugin's code that is running.
pub(super) struct Current {
    pub(super) what: What,
    /// When it began.
    pub(super) since: Instant,
    /// When a thread entered it; `None` while it waits for something.
    pub(super) polling: Option<Instant>,
    /// When the clock answered for it: whatever it returns comes too late.
    pub(super) overdue: Option<Instant>,
    /// It was named for blocking its thread.
    pub(super) named: bool,
}

/// What runs.
#[derive(Clone)]
pub(crate) enum What {
    /// An event: its text, and the ack it asks for.
    Event(ByteString, Option<i64>),
    /// A hook.
    Hook(&'static str),
}

/// One piece of work, and when it came.
pub(super) struct Waiting {
    pub(super) job: Job,
    pub(super) since: Instant,
}

/// One piece of work.
pub(crate) enum Job {
    Connected,
    Event { json: ByteString, attachments: Vec<Bytes>, ack: Option<i64> },
    Disconnected(Reason),
}

impl Job {
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Event { json, attachments, .. } => event_bytes(json, attachments) + EVENT_OVERHEAD,
            Self::Connected | Self::Disconnected(_) => 0,
        }
    }

    fn what(&self) -> What {
        match self {
            Self::Event { json, ack, .. } => What::Event(json.clone(), *ack),
            Self::Connected => What::Hook("connected"),
            Self::Disconnected(_) => What::Hook("disconnected"),
        }
    }
}

/// Bytes of an event as received.
pub(crate) fn event_bytes(json: &str, attachments: &[Bytes]) -> usize {
    json.len() + attachments.iter().map(Bytes::len).sum::<usize>()
}

impl Queue {
    pub(super) fn new(sink: Arc<dyn Sink>) -> Self {
        Self {
            phase: Phase::Admitted,
            jobs: VecDeque::new(),
            bytes: 0,
            run: Run::Idle,
            answering: false,
            waker: None,
            corked: false,
            watched: false,
            reading: Reading::default(),
            counted: None,
            sink: Some(sink),
        }
    }

    pub(super) fn push(&mut self, job: Job, since: Instant) {
        self.bytes += job.bytes();
        self.jobs.push_back(Waiting { job, since });
    }

    /// The hook that runs in front of events that were faster than the CONNECT reply.
    pub(super) fn push_connected(&mut self) {
        self.jobs.push_front(Waiting { job: Job::Connected, since: Instant::now() });
    }

    /// Pauses reading or resumes it, if that has changed. Under the lock, so that what is said last stays.
    fn settle(&mut self) {
        let Reading { full, held, asking, paused } = &mut self.reading;
        let pause = self.phase != Phase::Closed && *asking == 0 && (*full || held.is_some());
        if std::mem::replace(paused, pause) != pause
            && let Some(sink) = &self.sink
        {
            sink.pause_reading(pause);
        }
    }

    /// The client is gone: a sink that is kept for answers, or by others, is left as one that is read from.
    pub(super) fn close(&mut self) -> Phase {
        let before = std::mem::replace(&mut self.phase, Phase::Closed);
        self.reading.held = None;
        self.settle();
        before
    }

    /// Reads no further once the queue is full.
    pub(super) fn fill(&mut self, full: usize) {
        if self.jobs.len() >= full {
            self.reading.full = true;
            self.settle();
        }
    }

    /// Reads on when a paused client's queue has become a quarter full.
    pub(super) fn drain(&mut self, full: usize) {
        if self.jobs.len() <= full / 4 {
            self.reading.full = false;
            self.settle();
        }
    }

    /// Reads no further until then, because the client has sent too much. Whether somebody has to [let go](Self::let_go).
    pub(super) fn hold(&mut self, until: Instant) -> bool {
        let before = self.reading.held;
        self.reading.held = before.max(Some(until));
        self.settle();
        before.is_none()
    }

    /// Reads on, unless it is too early; when it is time, if so.
    pub(super) fn let_go(&mut self, now: Instant) -> Option<Instant> {
        self.reading.held = self.reading.held.filter(|until| *until > now);
        self.settle();
        self.reading.held
    }

    /// The client is asked something.
    pub(super) fn ask(&mut self) {
        self.reading.asking += 1;
        self.settle();
    }

    /// That is over.
    pub(super) fn asked(&mut self) {
        self.reading.asking -= 1;
        self.settle();
    }

    /// Takes the next piece of work, which begins now.
    pub(super) fn start(&mut self, now: Instant) -> Option<Job> {
        let Waiting { job, .. } = self.jobs.pop_front()?;
        self.bytes -= job.bytes();
        self.run = Run::Busy(Current { what: job.what(), since: now, polling: Some(now), overdue: None, named: false });
        Some(job)
    }

    /// Takes the oldest event, if it came before `moment`: `connected` in front of it and `disconnected` behind it stay.
    pub(super) fn take_older(&mut self, moment: Instant) -> Option<Job> {
        let at = self.first_event()?;
        if self.jobs[at].since > moment {
            return None;
        }
        let Waiting { job, .. } = self.jobs.remove(at)?;
        self.bytes -= job.bytes();
        Some(job)
    }

    /// Where the oldest event is.
    fn first_event(&self) -> Option<usize> {
        // Only hooks stand in front of it, and they are two at most.
        self.jobs.iter().take(2).position(|waiting| matches!(waiting.job, Job::Event { .. }))
    }

    /// When the oldest event has waited for `limit`.
    pub(super) fn due(&self, limit: Duration) -> Option<Instant> {
        self.first_event().map(|at| self.jobs[at].since + limit)
    }

    /// The way to the client, when it is needed no more: the client is gone, and every event has its answer.
    pub(super) fn spent_sink(&mut self) -> Option<Arc<dyn Sink>> {
        let answered = match &self.run {
            Run::Busy(current) => current.overdue.is_some() || matches!(current.what, What::Hook(_)),
            Run::Working | Run::Handed(_) | Run::Room(_) | Run::Idle => true,
        };
        let done = self.phase == Phase::Closed && answered && !self.answering && self.first_event().is_none();
        if done { self.sink.take() } else { None }
    }
}

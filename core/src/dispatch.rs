//! Find, decode, run, answer: what happens to one event, and why every asked-for ack is sent exactly once.
//!
//! A run works a client's queue off on the plugin's threads. Each piece of work is answered either here, when it ends, or
//! by the server's clock, when its time is up: [`Client::claim`] decides.

use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use prometheus::IntGauge;
use tokio::time::Instant;

use crate::answer::{Failure, Outcome, fail, finish, split};
use crate::client::{Client, Job, Step, What};
use crate::ctx::Ctx;
use crate::error::Result;
use crate::failures::panic_cause;
use crate::payload::Arguments;

/// The longest that answers wait for those of later events. A handler that takes longer is run without a cork.
const CORK_MAX: Duration = Duration::from_millis(1);
/// Events of one client that are served in a row, however many wait: then other clients have the thread.
const TURN: usize = 64;

/// Works off a client's queue: one job after the other, no faster than the client reads its answers.
pub(crate) async fn work_off(client: Arc<Client>) {
    let mut run = Running { client: &client, corked: None, now: Instant::now(), over: false };
    client.begin();
    let mut served = 0;
    loop {
        let sink = client.sink();
        if let Some(mut room) = sink.as_ref().and_then(|sink| sink.ready()) {
            run.uncork();
            // Each time that there is none: what the clock has seen meanwhile is of no account.
            poll_fn(|context| {
                let poll = room.poll_unpin(context);
                if poll.is_pending() {
                    client.wait_for_room();
                }
                poll
            })
            .await;
            client.begin();
            run.now = Instant::now();
        }
        match client.next(run.now) {
            Step::Begin(job, more) => {
                if let Some(sink) = sink
                    && more
                    && run.corked.is_none()
                {
                    client.cork(&sink);
                    run.corked = Some(run.now + CORK_MAX);
                }
                run.work(job).await;
            }
            Step::Wait => {
                poll_fn(|context| client.poll_answered(context)).await;
                run.now = Instant::now();
                continue;
            }
            Step::End => {
                run.over = true;
                return;
            }
        }
        if run.corked.is_some_and(|until| run.now > until) {
            run.uncork();
        }
        served += 1;
        if served % TURN == 0 {
            run.uncork();
            client.give_way(run.now);
            tokio::task::yield_now().await;
            client.begin();
            run.now = Instant::now();
        }
    }
}

/// A run of one client's events. Dropped, it leaves nothing corked, whatever it was dropped for.
struct Running<'a> {
    client: &'a Arc<Client>,
    /// Until when, if it is.
    corked: Option<Instant>,
    /// When the last piece of work ended and the next begins.
    now: Instant,
    /// The queue has been told.
    over: bool,
}

impl Running<'_> {
    async fn work(&mut self, job: Job) {
        let client = self.client;
        let module = || client.namespace.module();
        match job {
            Job::Event { json, attachments, ack } => {
                let (route, series, args) = split(client, &json, &attachments);
                let event = match args {
                    Ok(args) => Arguments::new(json, args, attachments),
                    Err(error) => return self.end(|client, what| finish(client, what, series, Err(error.into()))),
                };
                if series.is_slow() {
                    self.uncork();
                }
                let start = self.now;
                let outcome = self.drive(|| module()?.call(route, Ctx::new(client), &event, ack)).await;
                let time = self.now.duration_since(start);
                series.note_slow(time > CORK_MAX);
                self.end(|client, what| {
                    series.seconds.observe(time.as_secs_f64());
                    finish(client, what, series, outcome);
                });
            }
            Job::Connected => {
                self.hook(|| Ok(module()?.connected(Ctx::new(client)))).await;
                client.peer.forget();
            }
            Job::Disconnected(reason) => self.hook(|| Ok(module()?.disconnected(Ctx::new(client), reason))).await,
        }
    }

    /// A hook has nobody to answer to: its failure goes to the log and, as `error` event, to the client.
    async fn hook(&mut self, start: impl FnOnce() -> Result<BoxFuture<'static, Result<()>>>) {
        let outcome = self.drive(start).await;
        self.end(|client, what| {
            if let Err(failure) = outcome {
                fail(client, what, failure.into_error());
            }
        });
    }

    /// Answers for what has ended, unless the clock has.
    fn end(&self, answer: impl FnOnce(&Client, &What)) {
        if let Some(what) = self.client.claim() {
            answer(self.client, &what);
        }
    }

    /// Runs the plugin's code to its end, or until the clock has answered for it. Its panic is caught wherever it comes:
    /// in decoding, before the first await, between two, or when what is left of it is dropped.
    async fn drive<T: Send + 'static>(
        &mut self,
        start: impl FnOnce() -> Result<BoxFuture<'static, Result<T>>>,
    ) -> Outcome<T> {
        let _counted = InFlight::begin(&self.client.namespace.in_flight);
        let mut future = match caught(start) {
            Ok(Ok(future)) => Some(future),
            Ok(Err(error)) => return self.ended(Err(error.into())),
            Err(panic) => return self.ended(Err(panic)),
        };
        let mut waited = false;
        let outcome = poll_fn(|context| {
            let Some(running) = future.as_mut() else { return Poll::Ready(Err(Failure::Late)) };
            if waited && !self.client.unpark() {
                return Poll::Ready(Err(Failure::Late));
            }
            let poll = match caught(|| running.as_mut().poll(context)) {
                Ok(Poll::Ready(result)) => match self.client.rooms_heard() {
                    None => Ok(Poll::Ready(result)),
                    // Whoever is told of a room is in it, whichever node is publishing.
                    Some(heard) => {
                        let waiting = Box::pin(async move {
                            heard.await;
                            result
                        });
                        let ended = std::mem::replace(running, waiting);
                        caught(|| drop(ended)).and_then(|()| caught(|| running.as_mut().poll(context)))
                    }
                },
                other => other,
            };
            match poll {
                Ok(Poll::Ready(result)) => Poll::Ready(result.map_err(Failure::Error)),
                Err(panic) => Poll::Ready(Err(panic)),
                Ok(Poll::Pending) => {
                    waited = true;
                    self.uncork();
                    if self.client.park(context.waker()) { Poll::Pending } else { Poll::Ready(Err(Failure::Late)) }
                }
            }
        })
        .await;
        let dropped = caught(|| drop(future.take()));
        self.ended(dropped.and(outcome))
    }

    fn ended<T>(&mut self, outcome: Outcome<T>) -> Outcome<T> {
        self.now = Instant::now();
        outcome
    }

    fn uncork(&mut self) {
        if self.corked.take().is_some() {
            self.client.uncork();
        }
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.uncork();
        if !self.over {
            self.client.abandon();
        }
    }
}

/// Calls the plugin's code.
fn caught<T>(call: impl FnOnce() -> T) -> Outcome<T> {
    catch_unwind(AssertUnwindSafe(call)).map_err(|payload| Failure::Panic(panic_cause(&*payload)))
}

/// One more in a gauge, until dropped: also when the task is dropped in the middle.
pub(crate) struct InFlight<'a>(&'a IntGauge);

impl<'a> InFlight<'a> {
    pub(crate) fn begin(gauge: &'a IntGauge) -> Self {
        gauge.inc();
        Self(gauge)
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.dec();
    }
}

//! Find, decode, run, answer: what happens to one event, and why every asked-for ack is sent exactly once.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use bytestring::ByteString;
use futures_util::FutureExt;
use prometheus::IntGauge;
use tokio::time::Instant;

use crate::client::{Client, Job, event_bytes};
use crate::ctx::Ctx;
use crate::error::{Code, Error, Result};
use crate::metrics::Inbound;
use crate::namespace::Namespace;
use crate::packet::{Item, split_event};
use crate::payload::{Arguments, encode_error};
use crate::routes::ErrorEvent;
use crate::time::timestamp;

/// How a handler ended, when it is not by its own `Result`.
const PANIC: &str = "panic";

/// Works off a client's queue: one job after the other, no faster than the client reads its answers.
pub(crate) async fn work_off(client: Arc<Client>) {
    while let Some(job) = client.next() {
        if let Some(room) = client.sink.ready() {
            room.await;
        }
        match job {
            Job::Event { json, attachments, ack } => event(&client, json, attachments, ack).await,
            Job::Connected => {
                connected(&client).await;
                client.peer.forget();
            }
            Job::Disconnected(reason) => {
                if let Ok(module) = client.namespace.module() {
                    let hook = module.disconnected(Ctx::new(&client), reason);
                    let outcome = guarded(&client.namespace, async {
                        hook.await;
                        Ok(())
                    })
                    .await;
                    report(&client, "disconnected", outcome);
                }
            }
        }
        // Leaves the thread to others from time to time, however many events wait here.
        tokio::task::coop::consume_budget().await;
    }
}

async fn connected(client: &Arc<Client>) {
    let Ok(module) = client.namespace.module() else { return };
    let hook = module.connected(Ctx::new(client));
    let outcome = guarded(&client.namespace, hook).await;
    report(client, "connected", outcome);
}

/// A hook has nobody to answer to: its failure goes to the log and, as `error` event, to the client.
fn report(client: &Client, hook: &'static str, outcome: Outcome<()>) {
    if let Err(failure) = outcome {
        let error = failure.into_error();
        let id = log(client, hook, &error);
        emit_error(client, &error, id.as_deref());
    }
}

async fn event(client: &Arc<Client>, json: ByteString, attachments: Vec<Bytes>, ack: Option<i64>) {
    let namespace = &client.namespace;
    let size = event_bytes(&json, &attachments);
    let event = match split_event(&json) {
        Ok(event) => event,
        Err(error) => {
            let (_, series) = namespace.route("");
            series.arrived(size);
            return finish(client, series, ack, Err(error.into()));
        }
    };
    let (route, series) = namespace.route(&event.name);
    series.arrived(size);
    let arguments = Arguments::new(json.clone(), event.args.clone(), attachments);
    let start = Instant::now();
    let outcome = match start_call(client, route, &arguments, ack) {
        Ok(answer) => guarded(namespace, answer).await,
        Err(error) => Err(error),
    };
    series.seconds.observe(start.elapsed().as_secs_f64());
    finish(client, series, ack, outcome);
}

/// Decoding runs the author's `Deserialize`, and a handler's first lines run before its first await: both may panic.
fn start_call(
    client: &Arc<Client>,
    route: Option<usize>,
    arguments: &Arguments,
    ack: Option<i64>,
) -> Outcome<crate::routes::Answer> {
    let call = || client.namespace.module()?.call(route, Ctx::new(client), arguments, ack);
    match std::panic::catch_unwind(AssertUnwindSafe(call)) {
        Ok(result) => result.map_err(Failure::Error),
        Err(_) => Err(Failure::Panic),
    }
}

/// Refuses an event that is not even queued.
pub(crate) fn refuse(client: &Client, json: &str, attachments: &[Bytes], ack: Option<i64>, error: Error) {
    let name = split_event(json).map(|event| event.name).unwrap_or_default();
    let (_, series) = client.namespace.route(&name);
    series.arrived(event_bytes(json, attachments));
    finish(client, series, ack, Err(error.into()));
}

/// Counts how an event ended and answers it: the one place where acks and `error` events are sent.
fn finish(client: &Client, series: &Inbound, ack: Option<i64>, outcome: Outcome<Option<Item>>) {
    let failure = match outcome {
        Ok(answer) => {
            series.ended("ok");
            if let Some(item) = answer {
                client.namespace.ack(client, item);
            }
            return;
        }
        Err(failure) => failure,
    };
    series.ended(failure.label());
    let error = failure.into_error();
    let id = log(client, "handler", &error);
    let Some(ack) = ack else { return emit_error(client, &error, id.as_deref()) };
    match encode_error(&client.namespace.name, ack, &error, id.as_deref()) {
        Ok(item) => client.namespace.ack(client, item),
        Err(error) => tracing::error!(%error, "an error could not be encoded"),
    }
}

/// The seed's event for calls without ack.
fn emit_error(client: &Client, error: &Error, id: Option<&str>) {
    let message = id.map_or_else(|| error.message().to_owned(), |id| format!("{} ({id})", error.message()));
    let event = ErrorEvent { message, code: error.code().as_str(), timestamp: timestamp() };
    if let Err(error) = client.namespace.emit(client, "error", &event) {
        tracing::error!(%error, "an error event could not be encoded");
    }
}

/// Logs failures that are the server's own, at most once a second; returns the id that links log and answer.
fn log(client: &Client, what: &'static str, error: &Error) -> Option<String> {
    if error.code() != Code::Internal {
        return None;
    }
    let id = format!("{:08x}", fastrand::u32(..));
    if let Some(left_out) = client.namespace.log.allow() {
        let namespace = &client.namespace;
        tracing::error!(
            id,
            plugin = namespace.plugin,
            namespace = &*namespace.name,
            left_out,
            "{what} failed: {error}"
        );
    }
    Some(id)
}

/// How a plugin's code failed.
pub(crate) enum Failure {
    Error(Error),
    Panic,
}

pub(crate) type Outcome<T> = Result<T, Failure>;

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

impl Failure {
    fn label(&self) -> &'static str {
        match self {
            Self::Error(error) => error.code().as_str(),
            Self::Panic => PANIC,
        }
    }

    /// What the client is told.
    pub(crate) fn into_error(self) -> Error {
        match self {
            Self::Error(error) => error,
            // The panic hook has logged the message and the place.
            Self::Panic => Error::internal("the plugin panicked"),
        }
    }
}

/// Runs a plugin's future within its time, catches its panic, and counts it while it runs.
pub(crate) async fn guarded<T>(namespace: &Namespace, future: impl Future<Output = Result<T>>) -> Outcome<T> {
    let _running = InFlight::begin(&namespace.in_flight);
    bounded(namespace.limits.handler_timeout, future).await
}

/// Runs a plugin's future within `limit` and catches its panic.
pub(crate) async fn bounded<T>(limit: Duration, future: impl Future<Output = Result<T>>) -> Outcome<T> {
    match tokio::time::timeout(limit, AssertUnwindSafe(future).catch_unwind()).await {
        Ok(Ok(result)) => result.map_err(Failure::Error),
        Ok(Err(_)) => Err(Failure::Panic),
        Err(_) => Err(Failure::Error(Error::timeout(format!("no answer within {} ms", limit.as_millis())))),
    }
}

/// One more in a gauge, until dropped: also when the task is dropped in the middle.
struct InFlight<'a>(&'a IntGauge);

impl<'a> InFlight<'a> {
    fn begin(gauge: &'a IntGauge) -> Self {
        gauge.inc();
        Self(gauge)
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.dec();
    }
}

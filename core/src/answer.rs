//! How a piece of a plugin's work has ended, and what its client, the log and the metrics are told of it.

use std::borrow::Cow;
use std::ops::Range;
use std::time::Duration;

use bytes::Bytes;
use bytestring::ByteString;

use crate::client::{Client, Job, What, event_bytes};
use crate::error::{Code, Error, Result};
use crate::failures::{NAME_MAX, cut};
use crate::metrics::Inbound;
use crate::namespace::Namespace;
use crate::packet::{Item, split_event};
use crate::payload::encode_error;
use crate::routes::ErrorEvent;
use crate::time::timestamp;

/// How a handler ended, when it is not by its own `Result`.
const PANIC: &str = "panic";

/// How a plugin's code failed.
pub(crate) enum Failure {
    Error(Error),
    /// With the message and the place.
    Panic(String),
    /// The clock has answered for it.
    Late,
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
            Self::Panic(_) => PANIC,
            Self::Late => Code::Timeout.as_str(),
        }
    }

    /// What the client is told.
    pub(crate) fn into_error(self) -> Error {
        match self {
            Self::Error(error) => error,
            Self::Panic(cause) => Error::internal(cause),
            Self::Late => Error::timeout("the answer came too late"),
        }
    }
}

/// What a handler did not finish in time is answered with.
pub(crate) fn timed_out(limit: Duration) -> Error {
    Error::timeout(format!("no answer within {} ms", limit.as_millis()))
}

/// An event's route, its series, in which it is counted here, and where its arguments stand.
pub(crate) fn split<'a>(
    client: &'a Client,
    json: &str,
    attachments: &[Bytes],
) -> (Option<usize>, &'a Inbound, Result<Range<usize>>) {
    let (name, args) = match split_event(json) {
        Ok(event) => (event.name, Ok(event.args)),
        Err(error) => (Cow::Borrowed(""), Err(error)),
    };
    let (route, series) = client.namespace.route(&name);
    series.arrived(event_bytes(json, attachments));
    (route, series, args)
}

/// Answers an event that was not even begun.
pub(crate) fn refuse(client: &Client, job: &Job, error: Error) {
    let Job::Event { json, attachments, ack } = job else { return };
    let (_, series, _) = split(client, json, attachments);
    finish(client, &What::Event(json.clone(), *ack), series, Err(error.into()));
}

/// The clock's answer for what has begun and not ended in time.
pub(crate) fn overdue(client: &Client, what: &What) {
    let limit = client.namespace.limits.handler_timeout;
    match what {
        What::Event(json, _) => {
            let (_, series) = client.namespace.route(&event_name(json));
            series.seconds.observe(limit.as_secs_f64());
            finish(client, what, series, Err(timed_out(limit).into()));
        }
        What::Hook(_) => fail(client, what, timed_out(limit)),
    }
}

/// Counts how an event ended and answers it: the one place where acks and `error` events are sent.
pub(crate) fn finish(client: &Client, what: &What, series: &Inbound, outcome: Outcome<Option<Item>>) {
    match outcome {
        Ok(answer) => {
            series.ended("ok");
            if let Some(item) = answer {
                client.namespace.ack(client, item);
            }
        }
        Err(failure) => {
            series.ended(failure.label());
            fail(client, what, failure.into_error());
        }
    }
}

/// Tells of a failure: the client in its ack, or in an `error` event where it asked for none.
pub(crate) fn fail(client: &Client, what: &What, error: Error) {
    let namespace = &client.namespace;
    let id = namespace.failed(|| name_of(namespace, what), &error);
    let sent = match what {
        What::Event(_, Some(ack)) => encode_error(&namespace.name, *ack, &error, id.as_deref()).map(|item| {
            namespace.ack(client, item);
        }),
        What::Event(_, None) | What::Hook(_) => {
            let told = error.message();
            let event = ErrorEvent {
                event: matches!(what, What::Event(..))
                    .then(|| name_of(namespace, what))
                    .filter(|name| !name.is_empty()),
                message: id.map_or_else(|| told.to_owned(), |id| format!("{told} ({id})")),
                code: error.code().as_str(),
                retry_after_ms: error.retry_after_ms(),
                timestamp: timestamp(),
            };
            namespace.emit(client, "error", &event)
        }
    };
    if let Err(error) = sent {
        tracing::error!(%error, "an error could not be encoded");
    }
}

/// Answers call `ack` of an event with an error, long after the handler's end: nobody else will.
pub(crate) fn fail_call(client: &Client, event: &ByteString, ack: i64, error: &Error) {
    let namespace = &client.namespace;
    let what = What::Event(event.clone(), Some(ack));
    let id = namespace.failed(|| name_of(namespace, &what), error);
    match encode_error(&namespace.name, ack, error, id.as_deref()) {
        Ok(item) => namespace.ack_once(client, item),
        Err(error) => tracing::error!(%error, "an error could not be encoded"),
    }
}

/// What a piece of work is called in the log: an event by its name, which is cut where it is the client's own.
pub(crate) fn name_of(namespace: &Namespace, what: &What) -> String {
    match what {
        What::Hook(name) => (*name).to_owned(),
        What::Event(json, _) => {
            let name = event_name(json);
            if namespace.route(&name).0.is_some() { name.into_owned() } else { cut(&name, NAME_MAX) }
        }
    }
}

/// The name of an event; of a text that is none, nothing.
fn event_name(json: &str) -> Cow<'_, str> {
    split_event(json).map(|event| event.name).unwrap_or_default()
}

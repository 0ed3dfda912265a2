//! A connected client of the harness: sends events, waits for what the server answers, and never for ever.

use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;

use super::RecordingSink;
use super::declared::Declared;
use crate::packet::{Item, split_event};
use crate::payload::{Arguments, Decode, Payload};
use crate::router::Session;
use crate::sink::Reason;

/// How long a client waits for an event or an ack before the test fails. Paused time passes it at once.
const WAIT: Duration = Duration::from_secs(60);

/// A connected client. What it waits for has to come within a minute, which paused time passes at once; else the test
/// fails and says what did come.
pub struct TestClient {
    session: Session,
    sink: Arc<RecordingSink>,
    calls: i64,
    namespace: String,
    declared: Arc<Declared>,
}

impl TestClient {
    pub(super) fn new(session: Session, sink: Arc<RecordingSink>, namespace: &str, declared: Arc<Declared>) -> Self {
        Self { session, sink, calls: 0, namespace: namespace.to_owned(), declared }
    }

    /// The public id.
    #[must_use]
    pub fn id(&self) -> &str {
        self.session.id()
    }

    /// What it was told at its CONNECT, to show it as `auth.pid` when it comes back.
    #[must_use]
    pub fn pid(&self) -> Option<&str> {
        self.session.pid()
    }

    /// Sends an event with one argument and waits for the ack's first argument: the envelope, or the plain answer.
    ///
    /// # Panics
    /// When no ack comes, or it is not JSON.
    #[track_caller]
    pub fn call(&mut self, event: &str, argument: Value) -> impl Future<Output = Value> {
        let at = Location::caller();
        async move {
            let answer = self.ask(event, &argument.to_string(), Vec::new(), at).await;
            answer.args_json().into_iter().next().unwrap_or(Value::Null)
        }
    }

    /// Sends an event with raw arguments `arg,arg..` and waits for the whole ack.
    ///
    /// # Panics
    /// When no ack comes, or it is not a JSON array.
    #[track_caller]
    pub fn call_raw(&mut self, event: &str, args: &str, attachments: Vec<Bytes>) -> impl Future<Output = Payload> {
        self.ask(event, args, attachments, Location::caller())
    }

    /// Sends when it is first polled, as an `async fn` would.
    async fn ask(&mut self, event: &str, args: &str, attachments: Vec<Bytes>, at: &Location<'_>) -> Payload {
        self.calls += 1;
        self.send(event, args, attachments, Some(self.calls));
        let wanted = format!("the ack of {event:?}");
        let item = self.within(&wanted, at, self.sink.ack(self.calls)).await;
        Payload::from_array(&item.json(), item.attachments().to_vec()).unwrap_or_else(|error| panic!("ack: {error}"))
    }

    /// Sends an event with one argument and asks for no ack.
    pub fn emit(&self, event: &str, argument: &Value) {
        self.send(event, &argument.to_string(), Vec::new(), None);
    }

    /// Sends an event with raw arguments; `ack` asks for an answer.
    pub fn send(&self, event: &str, args: &str, attachments: Vec<Bytes>, ack: Option<i64>) {
        let name = Value::from(event);
        let json = if args.is_empty() { format!("[{name}]") } else { format!("[{name},{args}]") };
        self.session.event(json.into(), attachments, ack);
    }

    /// The ack of an event that [`send`](Self::send) sent with this number.
    ///
    /// # Panics
    /// When none comes, or it is not a JSON array.
    #[track_caller]
    pub fn ack(&self, id: i64) -> impl Future<Output = Payload> {
        let at = Location::caller();
        async move {
            let item = self.within(&format!("ack {id}"), at, self.sink.ack(id)).await;
            Payload::from_array(&item.json(), item.attachments().to_vec())
                .unwrap_or_else(|error| panic!("ack: {error}"))
        }
    }

    /// The next event the client was sent: its name and its arguments.
    ///
    /// # Panics
    /// When none comes, or its arguments are others than were declared.
    #[track_caller]
    pub fn event(&self) -> impl Future<Output = (String, Vec<Value>)> {
        let at = Location::caller();
        async move {
            let (name, payload) = self.next("an event", at).await;
            (name, payload.args_json())
        }
    }

    /// The next event, which must be `name`; its first argument.
    ///
    /// # Panics
    /// When another event comes, or none, or its arguments are others than were declared.
    #[track_caller]
    pub fn expect(&self, name: &str) -> impl Future<Output = Value> {
        let at = Location::caller();
        async move { self.named(name, at).await.args_json().into_iter().next().unwrap_or(Value::Null) }
    }

    /// The next event, which must be `name`; all of its arguments, with the bytes of its attachments.
    ///
    /// # Panics
    /// When another event comes, or none, or its arguments are others than were declared.
    #[track_caller]
    pub fn expect_raw(&self, name: &str) -> impl Future<Output = Payload> {
        let at = Location::caller();
        async move { self.named(name, at).await }
    }

    /// Nothing may come for so long, which paused time passes at once. Acks are no events.
    ///
    /// # Panics
    /// When an event comes.
    #[track_caller]
    pub fn expect_nothing(&self, time: Duration) -> impl Future<Output = ()> {
        let at = Location::caller();
        async move {
            if let Ok(item) = tokio::time::timeout(time, self.sink.event()).await {
                panic!("{at}: nothing was to come for {time:?}, and {} came\n{:?}", item.json(), self.sink);
            }
        }
    }

    async fn named(&self, name: &str, at: &Location<'_>) -> Payload {
        let (got, payload) = self.next(&format!("the event {name:?}"), at).await;
        assert!(
            got == name,
            "{at}: waited for the event {name:?} and got {got:?} with {}\n{:?}",
            payload.json(),
            self.sink
        );
        payload
    }

    async fn next(&self, wanted: &str, at: &Location<'_>) -> (String, Payload) {
        let item = self.within(wanted, at, self.sink.event()).await;
        let json = item.json();
        let name = split_event(&json).map(|event| event.name.into_owned());
        let payload = split_event(&json)
            .and_then(|event| Payload::decode(&Arguments::new(json.clone(), event.args, item.attachments().to_vec())));
        let (name, payload) =
            name.and_then(|name| Ok((name, payload?))).unwrap_or_else(|error| panic!("event {json}: {error}"));
        if let Some(mistake) = self.declared.mistake(&self.namespace, &name, &payload.args_json()) {
            panic!("{at}: the event {name:?} was sent otherwise than it was declared: {mistake}");
        }
        (name, payload)
    }

    async fn within(&self, wanted: &str, at: &Location<'_>, item: impl Future<Output = Item>) -> Item {
        match tokio::time::timeout(WAIT, item).await {
            Ok(item) => item,
            Err(_) => panic!("{at}: waited {} s for {wanted}, which did not come\n{:?}", WAIT.as_secs(), self.sink),
        }
    }

    /// Answers the oldest of the server's questions that still waits with these arguments; one that has timed out, or whose
    /// handler is gone, waits no longer.
    ///
    /// # Panics
    /// When none waits.
    #[track_caller]
    pub fn answer(&self, payload: Payload) {
        self.sink.answer(payload);
    }

    /// The sink, to inspect what the router did to the connection.
    #[must_use]
    pub fn sink(&self) -> &RecordingSink {
        &self.sink
    }

    /// Ends the client.
    pub fn close(&self, reason: Reason) {
        self.session.closed(reason);
    }
}

impl fmt::Debug for TestClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestClient").field("id", &self.id()).field("sink", &self.sink).finish_non_exhaustive()
    }
}

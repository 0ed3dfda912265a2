//! Runs plugins without sockets, on paused time: a [`Harness`] boots them as the server would, a [`TestClient`] is one
//! connected client.
//!
//! Use it from `#[tokio::test(start_paused = true)]`: timers then fire at once when nothing else is to be done.

use std::sync::Arc;

use bytes::Bytes;
use bytestring::ByteString;
use carillon_config::Loader;
use serde_json::Value;

use crate::error::{Error, Result};
use crate::lifecycle::{App, BootError};
use crate::params::Params;
use crate::payload::Payload;
use crate::peer::Peer;
use crate::plugin::Plugin;
use crate::registry::Registry;
use crate::router::Session;
use crate::sink::{Reason, Transport};
use crate::threads::Threads;

mod sink;

pub use sink::RecordingSink;

/// An application without sockets.
pub struct Harness {
    app: App,
}

impl Harness {
    /// Just plugin `P`, with its default configuration.
    ///
    /// # Panics
    /// When it does not boot.
    pub async fn of<P: Plugin>() -> Self {
        Self::with::<P>(&[]).await
    }

    /// Just plugin `P`, with settings such as `("plugins.echo.loud", "true")`.
    ///
    /// # Panics
    /// When it does not boot.
    pub async fn with<P: Plugin>(settings: &[(&str, &str)]) -> Self {
        Self::boot(&Registry::of::<P>(), settings).await.unwrap_or_else(|error| panic!("boot: {error}"))
    }

    /// The plugins of `registry`, all on the caller's runtime.
    ///
    /// # Errors
    /// What the boot says.
    pub async fn boot(registry: &Registry, settings: &[(&str, &str)]) -> Result<Self, BootError> {
        let mut sections = carillon_config::house_sections();
        sections.extend(registry.sections());
        let loader = Loader::new(sections);
        let loaded = settings.iter().fold(loader, |loader, (path, text)| loader.flag(*path, *text, "a test")).load();
        let loaded = loaded.map_err(|problems| BootError::Config(problems.to_string()))?;
        Ok(Self { app: App::boot(registry, &loaded, Threads::Shared, 1).await? })
    }

    /// The application.
    #[must_use]
    pub fn app(&self) -> &App {
        &self.app
    }

    /// Connects a client to `namespace`, over WebSocket, without auth.
    ///
    /// # Errors
    /// The plugin's refusal.
    pub async fn connect(&self, namespace: &str) -> Result<TestClient> {
        self.connect_with(namespace, None).await
    }

    /// Connects a client with the given `auth`.
    ///
    /// # Errors
    /// The plugin's refusal.
    pub async fn connect_with(&self, namespace: &str, auth: Option<Value>) -> Result<TestClient> {
        let sink = Arc::new(RecordingSink::default());
        let auth = auth.map(|auth| ByteString::from(auth.to_string()));
        let peer = Peer::new(([127, 0, 0, 1], 40_000).into(), Transport::WebSocket, String::new(), auth);
        let session = self.app.router().admit(namespace, peer, sink.clone()).await?;
        session.opened();
        Ok(TestClient { session, sink, calls: 0 })
    }

    /// Calls an HTTP route by its pattern, such as `/api/cluster/nodes/{name}`.
    ///
    /// # Errors
    /// What the plugin answers; `not_found` when there is no such route.
    pub async fn get(&self, pattern: &str, params: &[(&str, &str)]) -> Result<Value> {
        let router = self.app.router();
        let route = router
            .http()
            .iter()
            .find(|route| route.path == pattern)
            .ok_or_else(|| Error::not_found("no such route"))?;
        let params = params.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Ok(serde_json::from_slice(&router.get(route, Params::new(params)).await?)?)
    }

    /// The value of a series in `/metrics`, such as `carillon_publishes_total{event="e",namespace="/n"}`; 0 when absent.
    ///
    /// # Panics
    /// When the metrics cannot be rendered.
    #[must_use]
    pub fn metric(&self, series: &str) -> f64 {
        let text = self.app.metrics().render().unwrap_or_else(|error| panic!("metrics: {error}"));
        let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        line.and_then(|value| value.parse().ok()).unwrap_or(0.0)
    }

    /// Drains and stops.
    pub async fn shutdown(self) {
        self.app.drain(std::time::Duration::from_secs(60)).await;
        self.app.shutdown().await;
    }
}

impl From<App> for Harness {
    fn from(app: App) -> Self {
        Self { app }
    }
}

/// A connected client.
pub struct TestClient {
    session: Session,
    sink: Arc<RecordingSink>,
    calls: i64,
}

impl TestClient {
    /// The public id.
    #[must_use]
    pub fn id(&self) -> &str {
        self.session.id()
    }

    /// Sends an event with one argument and waits for the ack's first argument: the envelope, or the plain answer.
    ///
    /// # Panics
    /// When the ack is not JSON.
    pub async fn call(&mut self, event: &str, argument: Value) -> Value {
        let args: Vec<Value> = self.call_raw(event, &argument.to_string(), Vec::new()).await.args_json();
        args.into_iter().next().unwrap_or(Value::Null)
    }

    /// Sends an event with raw arguments `arg,arg..` and waits for the whole ack.
    ///
    /// # Panics
    /// When the ack is not a JSON array.
    pub async fn call_raw(&mut self, event: &str, args: &str, attachments: Vec<Bytes>) -> Payload {
        self.calls += 1;
        self.send(event, args, attachments, Some(self.calls));
        let item = self.sink.ack(self.calls).await;
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

    /// The next event the client was sent: its name and its arguments.
    ///
    /// # Panics
    /// When it is not an array that begins with a name.
    pub async fn event(&self) -> (String, Vec<Value>) {
        let item = self.sink.event().await;
        let mut array: Vec<Value> = serde_json::from_str(&item.json()).unwrap_or_else(|error| panic!("event: {error}"));
        let name = array.remove(0);
        (name.as_str().unwrap_or_else(|| panic!("event name: {name}")).to_owned(), array)
    }

    /// The next event, which must be `name`; its first argument.
    ///
    /// # Panics
    /// When another event comes.
    pub async fn expect(&self, name: &str) -> Value {
        let (got, args) = self.event().await;
        assert_eq!(got, name, "{args:?}");
        args.into_iter().next().unwrap_or(Value::Null)
    }

    /// Answers the oldest server-to-client call with these arguments.
    ///
    /// # Panics
    /// When there is none.
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

impl Payload {
    /// Every argument as a value.
    ///
    /// # Panics
    /// When the payload is not JSON.
    #[must_use]
    pub fn args_json(&self) -> Vec<Value> {
        serde_json::from_str(&format!("[{}]", self.json())).unwrap_or_else(|error| panic!("payload: {error}"))
    }
}

//! Runs plugins without sockets, on paused time: a [`Harness`] boots them as the server would, a [`TestClient`] is one
//! connected client.
//!
//! Use it from `#[tokio::test(start_paused = true)]`: timers then fire at once when nothing else is to be done.

use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::sync::Arc;

use bytestring::ByteString;
use carillon_config::{Loader, Problem, Problems};
use serde_json::Value;

use crate::error::{Error, Result};
use crate::identity::{Identity, Shown};
use crate::lifecycle::{App, BootError, BootPlan};
use crate::params::Params;
use crate::payload::Payload;
use crate::peer::Peer;
use crate::plugin::Plugin;
use crate::refusal::Refusal;
use crate::registry::Registry;
use crate::sink::Transport;
use crate::threads::Threads;

mod client;
mod declared;
mod series;
mod sink;

pub use self::client::TestClient;
use self::declared::Declared;
pub use self::sink::RecordingSink;
pub use crate::peer::Handshake;

/// An application without sockets.
///
/// ```
/// # use carillon_core::prelude::*;
/// # use carillon_core::testing::Harness;
/// # #[derive(Clone, Deserialize, Serialize, JsonSchema)]
/// # struct Said { text: String }
/// # struct Chat { host: Host }
/// # impl Plugin for Chat {
/// #     const NAME: &'static str = "chat";
/// #     const NAMESPACE: &'static str = "/chat";
/// #     type Config = NoConfig;
/// #     async fn init(_: NoConfig, host: Host) -> Result<Self> { Ok(Self { host }) }
/// #     fn routes(on: &mut Routes<Self>, _: &NoConfig) {
/// #         on.event("say", "Tells everybody.", Self::say);
/// #         on.emits::<Said>("said", "To everybody when somebody says something.");
/// #     }
/// # }
/// # impl Chat {
/// #     async fn say(self: Arc<Self>, _: Ctx, said: Said) -> Result<()> {
/// #         self.host.to("/chat").publish("said", &said)
/// #     }
/// # }
/// #[tokio::main(flavor = "current_thread", start_paused = true)] // in a test: #[tokio::test(start_paused = true)]
/// async fn main() {
///     let harness = Harness::of::<Chat>().await;
///     let mut client = harness.connect("/chat").await.unwrap();
///     let answer = client.call("say", serde_json::json!({"text": "hi"})).await;
///     assert_eq!(answer["ok"], true);
///     assert_eq!(client.expect("said").await["text"], "hi");
///     assert_eq!(harness.metric(r#"carillon_publishes_total{event="said",namespace="/chat"}"#), 1.0);
/// }
/// ```
pub struct Harness {
    app: App,
    declared: Arc<Declared>,
    /// The line of the test that made it.
    at: &'static Location<'static>,
}

impl Harness {
    /// Just plugin `P`, with its default configuration.
    ///
    /// # Panics
    /// When it does not boot.
    #[track_caller]
    pub fn of<P: Plugin>() -> impl Future<Output = Self> {
        Self::with::<P>(&[])
    }

    /// Just plugin `P`, with settings such as `("plugins.echo.loud", "true")`.
    ///
    /// # Panics
    /// When it does not boot.
    #[track_caller]
    pub fn with<P: Plugin>(settings: &[(&str, &str)]) -> impl Future<Output = Self> {
        let (at, registry) = (Location::caller(), Registry::of::<P>());
        async move { Self::boot_at(&registry, settings, at).await.unwrap_or_else(|error| panic!("{at}: boot: {error}")) }
    }

    /// The plugins of `registry`, all on the caller's runtime: for several plugins, or a boot that is to fail.
    ///
    /// When it returns, each plugin's [`run`](Plugin::run) has had its first turn, up to where it first waits: a
    /// subscription to the embedded bus stands. What it does after a wait comes in its own time.
    ///
    /// # Errors
    /// What the boot says: a refused setting is a line `plugins.<name>.<key>: message (hint)`.
    #[track_caller]
    pub fn boot(registry: &Registry, settings: &[(&str, &str)]) -> impl Future<Output = Result<Self, BootError>> {
        Self::boot_at(registry, settings, Location::caller())
    }

    async fn boot_at(
        registry: &Registry,
        settings: &[(&str, &str)],
        at: &'static Location<'static>,
    ) -> Result<Self, BootError> {
        let sections = carillon_config::all_sections(registry.sections());
        let loader = Loader::new(sections);
        let loaded = settings.iter().fold(loader, |loader, (path, text)| loader.flag(*path, *text, "a test")).load();
        let loaded = loaded.map_err(|problems| BootError::Config(told(&problems)))?;
        let plan = BootPlan::new(registry, &loaded)?;
        let declared = Declared::of(&plan.describe());
        let app = plan.boot(&loaded, Threads::Shared, 1).await?;
        // The tasks that were spawned have their turn before this one goes on.
        tokio::task::yield_now().await;
        Ok(Self { app, declared: Arc::new(declared), at })
    }

    /// The application.
    #[must_use]
    pub fn app(&self) -> &App {
        &self.app
    }

    /// Asks the plugins that decide about handshakes.
    ///
    /// # Errors
    /// The refusal.
    pub async fn handshake(&self, handshake: Handshake) -> Result<(), Refusal> {
        self.app.router().handshake(Peer::of(&Arc::new(handshake), Transport::WebSocket, None)).await
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
        let handshake = Handshake::new(([127, 0, 0, 1], 40_000).into(), false, "");
        self.connect_from(namespace, handshake, Transport::WebSocket, auth).await
    }

    /// Connects a client of this handshake, with its address, query, headers and path, over `transport`: for plugins
    /// whose `admit` or `connected` looks at them. Those that decide about handshakes are not asked; see
    /// [`handshake`](Self::handshake).
    ///
    /// # Errors
    /// The plugin's refusal.
    pub async fn connect_from(
        &self,
        namespace: &str,
        handshake: Handshake,
        transport: Transport,
        auth: Option<Value>,
    ) -> Result<TestClient> {
        let auth = auth.map(|auth| ByteString::from(auth.to_string()));
        self.enter(namespace, Peer::of(&Arc::new(handshake), transport, auth)).await
    }

    async fn enter(&self, namespace: &str, peer: Peer) -> Result<TestClient> {
        let sink = Arc::new(RecordingSink::default());
        if peer.transport() == Transport::Polling {
            sink.poll();
        }
        let session = self.app.router().admit(namespace, peer, sink.clone()).await?;
        // What was under way before has its turn before this client is there.
        tokio::task::yield_now().await;
        session.open().await;
        Ok(TestClient::new(session, sink, namespace, Arc::clone(&self.declared)))
    }

    /// Connects a client whose token has these claims, such as `{"sub": "ann", "roles": ["operator"]}`.
    ///
    /// # Errors
    /// The plugin's refusal, or that of the claims.
    ///
    /// # Panics
    /// When no token can have these claims.
    pub async fn connect_as(&self, namespace: &str, claims: Value) -> Result<TestClient> {
        self.connect_as_with(namespace, claims, Value::Null).await
    }

    /// [`connect_as`](Self::connect_as), with the given `auth`.
    ///
    /// # Errors
    /// The plugin's refusal, or that of the claims.
    ///
    /// # Panics
    /// When no token can have these claims.
    pub async fn connect_as_with(&self, namespace: &str, claims: Value, auth: Value) -> Result<TestClient> {
        let Value::Object(claims) = claims else { panic!("claims are an object, and not {claims}") };
        let identity = Identity::new(claims).unwrap_or_else(|mistake| panic!("claims: {mistake}"));
        let auth = (!auth.is_null()).then(|| ByteString::from(auth.to_string()));
        let peer = Peer::new(([127, 0, 0, 1], 40_000).into(), Transport::WebSocket, String::new(), auth);
        peer.identify(identity);
        self.enter(namespace, peer).await
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
        Ok(serde_json::from_slice(&router.get(route, None, &Shown::default(), Params::new(params)).await?)?)
    }

    /// The value of a series in `/metrics`, such as `carillon_publishes_total{event="e",namespace="/n"}`, its labels in
    /// any order; 0 while nothing was counted in it. Series of the server, such as those of connections and HTTP requests,
    /// are not there.
    ///
    /// # Panics
    /// When there is no metric of this name, or it has other labels: then it says which there are.
    #[must_use]
    #[track_caller]
    pub fn metric(&self, series: &str) -> f64 {
        // In a closure the panic would name this line.
        match series::value(self.app.metrics(), series) {
            Ok(value) => value,
            Err(mistake) => panic!("{mistake}"),
        }
    }

    /// Takes the events that were sent and not declared, or to a namespace that no plugin serves, as `/namespace event`. A
    /// test that leaves any fails when its harness is dropped: call this where it is meant.
    #[must_use]
    pub fn undeclared(&self) -> Vec<String> {
        self.strays().into_iter().map(|(event, _)| event).collect()
    }

    /// The same, each with the place it was sent from.
    fn strays(&self) -> Vec<(String, String)> {
        let shared = self.app.shared();
        let own = shared.namespaces.values().flat_map(|namespace| {
            let events = namespace.undeclared.take().into_iter();
            events.map(|(event, at)| (format!("{} {event}", namespace.name), at))
        });
        let mut all: Vec<_> = own.chain(shared.unserved.take()).collect();
        all.sort_unstable();
        all
    }

    /// Drains and stops.
    pub async fn shutdown(self) {
        self.app.drain(std::time::Duration::from_secs(60)).await;
        self.app.shutdown().await;
    }
}

/// A mistake in a test's settings, which are no flags of a command line.
fn told(problems: &Problems) -> String {
    let lines = problems.iter().map(|Problem { path, message, hint, .. }| match hint {
        Some(hint) => format!("{path}: {message} ({hint})"),
        None => format!("{path}: {message}"),
    });
    lines.collect::<Vec<_>>().join("\n")
}

impl Drop for Harness {
    /// An event that nobody declared has no schema and no series: the test fails here. One that fails, here or before, is
    /// told what is behind each `internal` answer.
    fn drop(&mut self) {
        let failures = self.app.failures();
        let causes: String = (failures.iter())
            .map(|failure| {
                format!("error {} of {} {}: {}\n", failure.id, failure.namespace, failure.event, failure.cause)
            })
            .collect();
        if std::thread::panicking() {
            eprint!("{causes}");
            return;
        }
        let sent: Vec<String> = self.strays().iter().map(|(event, at)| format!("{event} (sent at {at})")).collect();
        if !sent.is_empty() {
            panic!(
                "{}: sent and not declared: {}. Declare them with on.emits, on.emits_to, on.calls or on.emits_any in routes; \
                 a test that means it takes them with harness.undeclared()\n{causes}",
                self.at,
                sent.join(", ")
            );
        }
    }
}

impl fmt::Debug for Harness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Harness").field("namespaces", &self.app.namespaces()).finish_non_exhaustive()
    }
}

/// What the plugins declare is not known then: the arguments of events are not compared with it.
impl From<App> for Harness {
    #[track_caller]
    fn from(app: App) -> Self {
        Self { app, declared: Arc::default(), at: Location::caller() }
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

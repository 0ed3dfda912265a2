//! One connection, and the check of tokens, with everything that is ours about them and no server around: for benchmarks.

use std::sync::Arc;
use std::time::Duration;

use carillon_config::{AuthMode, AuthSettings, Loader, ServerSettings, WireSettings, all_sections};
use carillon_core::config::NoConfig;
use carillon_core::lifecycle::App;
use carillon_core::packet::Batch;
use carillon_core::registry::Registry;
use carillon_core::routes::Routes;
use carillon_core::sink::Pushed;
use carillon_core::threads::Threads;
use carillon_core::{Error, Host, Plugin, Result};
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;

use crate::auth::{Auth, Claims, Signing, issue};
use crate::engine::{Carried, Engine, Settings};
use crate::metrics::Metrics;
use crate::wire::{Pace, Place, Stream, Wire};

/// A WebSocket whose client is connected to one namespace.
pub struct Connection {
    carried: Carried,
    _app: App,
}

impl Connection {
    /// Takes over an accepted connection as if its handshake were done.
    ///
    /// # Errors
    /// When the socket is broken, or the application around it cannot start.
    pub async fn over(stream: TcpStream, namespace: &str) -> Result<Self> {
        let registry = Registry::of::<Nothing>();
        let sections = all_sections(registry.sections());
        let config = Loader::new(sections).load().map_err(|error| Error::internal(error.to_string()))?;
        let booted = App::boot(&registry, &config, Threads::Shared, 1).await;
        let app = booted.map_err(|error| Error::internal(error.to_string()))?;
        let metrics = Arc::new(Metrics::new(app.metrics())?);
        let wire_settings = WireSettings::default();
        let settings = Settings::new(&ServerSettings::default(), &wire_settings);
        let deliveries = app.metrics().deliveries();
        let tasks = TaskTracker::new();
        let engine = Engine::new(settings, app.router(), &metrics, deliveries, &tasks, &Handle::current());
        let (peer, permit) = (stream.peer_addr()?, Arc::new(Semaphore::new(1)).try_acquire_owned()?);
        let pace = Pace::new(&wire_settings);
        let wire = Wire::new(Stream::Tcp(stream), peer, pace, Place::new(metrics, permit));
        Ok(Self { carried: engine.carried(wire, namespace)?, _app: app })
    }

    /// What the hub does for each member.
    #[must_use]
    pub fn push(&self, batch: &Batch) -> Pushed {
        let taken = self.carried.push(&batch.part());
        if taken.delivered > 0 { Pushed::Delivered } else { Pushed::Queued }
    }

    /// Waits until everything pushed is in the kernel, as the reading task does.
    pub async fn flush(&mut self) {
        self.carried.flush().await;
    }
}

/// What checks the tokens that clients show, for one secret (HS256).
pub struct Tokens {
    settings: AuthSettings,
    auth: Arc<Auth>,
}

impl Tokens {
    /// A server's that has this secret.
    ///
    /// # Errors
    /// When it is too short.
    pub fn of(secret: &str) -> Result<Self> {
        let settings = AuthSettings { mode: AuthMode::Jwt, key: Some(secret.to_owned()), ..AuthSettings::default() };
        let auth = Auth::new(&settings).map_err(|mistakes| Error::internal(mistakes.join("; ")))?;
        let auth = auth.ok_or_else(|| Error::internal("nobody is asked"))?;
        Ok(Self { settings, auth })
    }

    /// A token for `subject`, good for a day.
    ///
    /// # Errors
    /// When it cannot be signed.
    pub fn issue(&self, subject: &str) -> Result<String> {
        let claims = Claims {
            subject: subject.to_owned(),
            lifetime: Duration::from_secs(86_400),
            id: None,
            issuer: None,
            audience: None,
            more: Default::default(),
        };
        issue(&self.settings, claims, Signing { kid: None, key: None, algorithm: None }).map_err(Error::internal)
    }

    /// Whether a client that shows this is let in.
    #[must_use]
    pub fn accept(&self, token: &str) -> bool {
        self.auth.judge(token).is_ok()
    }
}

/// The namespace that an application must have.
struct Nothing;

impl Plugin for Nothing {
    const NAME: &'static str = "nothing";
    const NAMESPACE: &'static str = "/nothing";
    type Config = NoConfig;

    async fn init(_: NoConfig, _: Host) -> Result<Self> {
        Ok(Self)
    }

    fn routes(_: &mut Routes<Self>, _: &NoConfig) {}
}

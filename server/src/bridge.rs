//! The bridge to socketioxide, the second engine: the only place that names it.
//!
//! socketioxide speaks the protocol to the last byte, from the handshake to its own queue for each client. On CONNECT
//! the router is asked ([`door`]), events go to the router as they came, and what the router sends goes into that
//! queue ([`sink`], through our [`adapter`]). Nothing listens in on what passes, so what is known of a session is
//! little ([`session`]), and what cannot be done is listed in docs/protocol.md.

mod adapter;
mod door;
mod requests;
mod service;
mod session;
mod settings;
mod sink;

use std::sync::Arc;

use axum::body::Body;
use carillon_core::router::Router;
use http::{Request, Response};
use socketioxide::SocketIo;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::adapter::{Raw, Raws};
use self::door::Door;
use self::service::{Closer, Inner, NotFound, ask};
pub(crate) use self::session::Session;
use self::session::Sessions;
pub(crate) use self::settings::Settings;
use crate::metrics::Metrics;

/// What operators are told at start, in one line for each thing this engine cannot do.
const CANNOT: [&str; 5] = [
    "a client that sends too fast is not read more slowly: what is over router.queue_events is answered `overloaded`",
    "what waits for a client is limited in packets, not in bytes, and `latest` and `volatile` mean all",
    "what waits for a client when its session ends is counted as delivered",
    "pongs and refusals that a client does not read are kept until it has not read for wire.write_stall_ms",
    "no client gets on where it left off: journal.recovery does nothing",
];

/// Socket.IO as an HTTP service. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Engine {
    service: Inner,
    sessions: Arc<Sessions>,
}

impl Engine {
    /// Serves the namespaces of `router`. `tasks` own what goes on beyond a request.
    pub(crate) fn new(
        settings: &Settings,
        router: &Router,
        metrics: &Arc<Metrics>,
        tasks: &TaskTracker,
        runtime: &Handle,
    ) -> Self {
        let raws = Raws::default();
        let (service, io) = settings.builder().with_adapter::<Raw>(raws.clone()).build_with_inner_svc(NotFound::new());
        for namespace in router.namespaces() {
            // The namespaces are fixed at boot: a client cannot make one.
            io.ns(namespace.to_owned(), Door::new(namespace, router, &raws, runtime));
        }
        drop::<SocketIo<Raw>>(io);
        let path = settings.path.clone();
        let closer = Closer { service: service.clone(), path, tasks: tasks.clone(), runtime: runtime.clone() };
        Self { service, sessions: Sessions::new(metrics, settings.connect_timeout, closer) }
    }

    /// Looks after the sessions until `stop`, and says what they cannot have.
    pub(crate) async fn run(self, stop: CancellationToken) {
        tracing::warn!(
            "server.engine is \"socketioxide\", which cannot do all that Carillon's own does (docs/protocol.md, Engines)"
        );
        CANNOT.iter().for_each(|what| tracing::warn!("with socketioxide, {what}"));
        self.sessions.sweep(stop).await;
    }

    /// The sessions there are.
    pub(crate) fn sessions(&self) -> &Sessions {
        &self.sessions
    }

    /// Hands one request to socketioxide.
    async fn ask(&self, request: Request<Body>) -> Response<Body> {
        ask(self.service.clone(), request).await
    }
}

//! The bridge to socketioxide, the second engine: the only place that names it.
//!
//! socketioxide speaks the protocol to the last byte, from the handshake to its own queue for each client. On CONNECT
//! the router is asked ([`door`]), events go to the router as they came, and what the router sends goes into that
//! queue ([`sink`], through our [`adapter`]). Nothing listens in on what passes, so what is known of a session is
//! little ([`session`]), and what cannot be done is listed in docs/protocol.md.

mod adapter;
mod door;
mod requests;
mod session;
mod settings;
mod sink;

use std::sync::Arc;

use axum::body::Body;
use axum::response::IntoResponse;
use carillon_core::router::Router;
use http::{Method, Request, Response};
use socketioxide::SocketIo;
use socketioxide::service::SocketIoService;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::Service;

use self::adapter::{Raw, Raws};
use self::door::Door;
pub(crate) use self::session::Session;
use self::session::Sessions;
pub(crate) use self::settings::Settings;
use crate::metrics::Metrics;

type Inner = SocketIoService<NotFound, Raw>;
/// What socketioxide calls for paths that are not its own; ours never are.
type NotFound = axum::routing::MethodRouter;

/// What operators are told at start, in one line for each thing this engine cannot do.
const CANNOT: [&str; 4] = [
    "a client that sends too fast is not read more slowly: what is over router.queue_events is answered `overloaded`",
    "what waits for a client is limited in packets, not in bytes, and `latest` and `volatile` mean all",
    "what waits for a client when its session ends is counted as delivered",
    "pongs and refusals that a client does not read are kept until it has not read for wire.write_stall_ms",
];

/// Socket.IO as an HTTP service. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Engine {
    service: Inner,
    path: Arc<str>,
    sessions: Arc<Sessions>,
    tasks: TaskTracker,
    runtime: Handle,
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
        let path = settings.path.as_str().into();
        let sessions = Sessions::new(metrics, settings.connect_timeout);
        let engine = Self { service, path, sessions, tasks: tasks.clone(), runtime: runtime.clone() };
        let closer = engine.clone();
        engine.sessions.on_close(move |id| closer.close(id));
        engine
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
        match self.service.clone().call(request).await {
            Ok(response) => response.map(Body::new),
            Err(never) => never.into_response(),
        }
    }

    /// Ends a polling session as its client would: socketioxide offers no other way in.
    fn close(&self, id: &str) {
        let uri = format!("{}/?EIO=4&transport=polling&sid={id}", self.path);
        let Ok(request) = Request::builder().method(Method::POST).uri(uri).body(Body::from("1")) else { return };
        let engine = self.clone();
        self.tasks.spawn_on(async move { engine.ask(request).await }, &self.runtime);
    }
}

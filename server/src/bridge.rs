//! The bridge to Socket.IO: the only place that names socketioxide.
//!
//! socketioxide keeps the protocol: handshake, polling, heartbeat, namespaces, parsing what clients send. Everything
//! else stays outside. On CONNECT the router is asked ([`door`]); each event goes to the router as it came, in the
//! order of reading ([`door::Ear`]); what the router sends goes out through a [`sink`], which reaches socketioxide's
//! queue of one client through our own [`adapter`].
//!
//! What socketioxide does that we cannot change, so it is documented for users: an event name with a JSON escape, and
//! an event in the same TCP segment as CONNECT, close the connection; the first ping leaves at once.

mod adapter;
mod door;
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
use tokio_util::task::TaskTracker;
use tower::Service;

use self::adapter::{Raw, Raws};
use self::door::Door;
pub(crate) use self::settings::Settings;
use crate::links::Links;

type Inner = SocketIoService<NotFound, Raw>;
/// What socketioxide calls for paths that are not its own; ours never are.
type NotFound = axum::routing::MethodRouter;

/// Socket.IO as an HTTP service. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Engine {
    service: Inner,
    path: Arc<str>,
    tasks: TaskTracker,
    runtime: Handle,
}

impl Engine {
    /// Serves the namespaces of `router`. `tasks` own what goes on beyond a request.
    pub(crate) fn new(
        settings: &Settings,
        router: &Router,
        links: &Arc<Links>,
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
        let engine = Self { service, path, tasks: tasks.clone(), runtime: runtime.clone() };
        let closer = engine.clone();
        links.on_close(move |id| closer.close(id));
        engine
    }

    /// Answers one HTTP request of a client.
    pub(crate) async fn call(&self, request: Request<Body>) -> Response<Body> {
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
        self.tasks.spawn_on(async move { engine.call(request).await }, &self.runtime);
    }
}

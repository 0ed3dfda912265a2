//! socketioxide as a service, and who calls it beside the requests of clients.

use axum::body::Body;
use axum::response::IntoResponse;
use http::{Method, Request, Response};
use socketioxide::service::SocketIoService;
use tokio::runtime::Handle;
use tokio_util::task::TaskTracker;
use tower::Service;

use super::adapter::Raw;

pub(super) type Inner = SocketIoService<NotFound, Raw>;
/// What socketioxide calls for paths that are not its own; ours never are.
pub(super) type NotFound = axum::routing::MethodRouter;

/// Ends polling sessions as their clients would: socketioxide offers no other way in.
pub(super) struct Closer {
    pub(super) service: Inner,
    pub(super) path: String,
    pub(super) tasks: TaskTracker,
    pub(super) runtime: Handle,
}

impl Closer {
    /// Ends the session of this id.
    pub(super) fn close(&self, id: &str) {
        let uri = format!("{}/?EIO=4&transport=polling&sid={id}", self.path);
        let Ok(request) = Request::builder().method(Method::POST).uri(uri).body(Body::from("1")) else { return };
        let service = self.service.clone();
        self.tasks.spawn_on(async move { ask(service, request).await }, &self.runtime);
    }
}

/// Hands one request to socketioxide.
pub(super) async fn ask(mut service: Inner, request: Request<Body>) -> Response<Body> {
    match service.call(request).await {
        Ok(response) => response.map(Body::new),
        Err(never) => never.into_response(),
    }
}

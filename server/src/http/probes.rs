//! What monitoring asks: figures, whether the process lives, whether it can do its job.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use http::{HeaderValue, StatusCode, header};

use super::{Site, reply};

/// `/metrics`: the Prometheus text format.
pub(super) async fn metrics(State(site): State<Arc<Site>>) -> Response {
    let Some(app) = site.app.upgrade() else { return stopping() };
    match site.scrapes.text(|| app.metrics().render()).await {
        Ok(text) => {
            let mut response = reply::json(StatusCode::OK, text);
            let kind = HeaderValue::from_static(prometheus::TEXT_FORMAT);
            response.headers_mut().insert(header::CONTENT_TYPE, kind);
            response
        }
        Err(error) => {
            tracing::error!(%error, "the metrics cannot be written");
            reply::detail(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error")
        }
    }
}

/// `/livez`: the process answers, nothing more.
pub(super) async fn live() -> Response {
    reply::json(StatusCode::OK, r#"{"status":"ok"}"#)
}

/// `/readyz`: whether traffic should be sent here, component by component.
pub(super) async fn ready(State(site): State<Arc<Site>>) -> Response {
    let Some(app) = site.app.upgrade() else { return stopping() };
    let readiness = app.readiness().await;
    let status = if readiness.is_ready() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    reply::value(status, &readiness)
}

/// The answer once the application is gone.
pub(super) fn stopping() -> Response {
    reply::detail(StatusCode::SERVICE_UNAVAILABLE, "The server is stopping")
}

//! What clients may send and get, as documents: `/types.d.ts` and `/asyncapi.json`.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use http::{HeaderValue, StatusCode, header};

use super::{Site, reply};

/// `/types.d.ts`: types for TypeScript.
pub(super) async fn types(State(site): State<Arc<Site>>) -> Response {
    let mut response = reply::json(StatusCode::OK, site.documents.typescript.clone());
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/typescript; charset=utf-8"));
    fresh(response)
}

/// `/asyncapi.json`: the AsyncAPI document.
pub(super) async fn asyncapi(State(site): State<Arc<Site>>) -> Response {
    fresh(reply::json(StatusCode::OK, site.documents.asyncapi.clone()))
}

/// Another version of the server has other events.
fn fresh(mut response: Response) -> Response {
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

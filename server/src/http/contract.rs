//! What clients may send and get, as documents: `/types.d.ts` and `/asyncapi.json`.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use http::{HeaderMap, HeaderValue, StatusCode, header};

use super::Site;
use crate::contract::Document;
use crate::pages;

/// `/types.d.ts`: types for TypeScript.
pub(super) async fn types(State(site): State<Arc<Site>>, headers: HeaderMap) -> Response {
    answer(&site.documents.typescript, "application/typescript; charset=utf-8", &headers)
}

/// `/asyncapi.json`: the AsyncAPI document.
pub(super) async fn asyncapi(State(site): State<Arc<Site>>, headers: HeaderMap) -> Response {
    answer(&site.documents.asyncapi, "application/json", &headers)
}

/// A document, or word that the client has it already. Another version of the server has other events.
fn answer(document: &Document, kind: &'static str, headers: &HeaderMap) -> Response {
    let known = pages::is_known(headers, &document.tag);
    let mut response = Response::new(if known { Body::empty() } else { Body::from(document.text.clone()) });
    let out = response.headers_mut();
    out.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    if let Ok(tag) = HeaderValue::from_str(&document.tag) {
        out.insert(header::ETAG, tag);
    }
    if known {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    } else {
        out.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    }
    response
}

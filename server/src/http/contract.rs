//! What clients may send and get, as documents: `/types.d.ts` and `/asyncapi.json`.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use http::HeaderMap;

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
    pages::tagged(headers, &document.tag, kind, "no-cache", document.text.clone())
}

//! `/api/failures`: what failed lately, by the `error.id` that clients were given, also where the log was throttled.

use std::sync::Arc;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::response::Response;
use http::request::Parts;
use http::{HeaderValue, StatusCode, header};
use serde::Deserialize;

use super::probes::stopping;
use super::{Site, checks, reply};

/// What may be asked.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    /// Only the failure that a client was told of with this `error.id`.
    id: Option<String>,
}

/// The failures, the newest first. They say what the log says, which no page of another site is to read.
pub(super) async fn answer(
    State(site): State<Arc<Site>>,
    asked: Result<Query<Asked>, QueryRejection>,
    parts: Parts,
) -> Response {
    if let Err(refusal) = checks::own_page(&site, &parts) {
        return *refusal;
    }
    let Ok(Query(Asked { id })) = asked else {
        return reply::detail(StatusCode::BAD_REQUEST, "The one parameter there is, is id");
    };
    let Some(app) = site.app.upgrade() else { return stopping() };
    let mut failures = app.failures();
    if let Some(id) = id {
        failures.retain(|failure| failure.id == id);
    }
    let mut response = reply::value(StatusCode::OK, &failures);
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

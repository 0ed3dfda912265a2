//! HTTP GET routes of plugins: path and query parameters in, JSON out.

use std::sync::Arc;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, RawPathParams, State};
use axum::response::Response;
use bytestring::ByteString;
use carillon_core::Error;
use carillon_core::identity::Shown;
use carillon_core::params::Params;
use carillon_core::router::HttpRoute;
use http::StatusCode;
use http::request::Parts;
use serde::Serialize;

use super::{Site, checks, reply};

type Pairs = Vec<(String, String)>;

/// Answers `route`.
pub(super) async fn answer(
    route: HttpRoute,
    State(site): State<Arc<Site>>,
    path: Result<RawPathParams, axum::extract::rejection::RawPathParamsRejection>,
    query: Result<Query<Pairs>, QueryRejection>,
    parts: Parts,
) -> Response {
    if let Err(words) = checks::page(&site, &parts) {
        return failure(&Error::forbidden(words));
    }
    let (Ok(path), Ok(Query(mut pairs))) = (path, query) else {
        return failure(&Error::bad_payload("the URL is malformed"));
    };
    pairs.retain(|(name, _)| site.token_parameter.as_deref() != Some(name));
    // Of two with one name the last wins: the path cannot be overridden by the query.
    pairs.extend(path.iter().map(|(name, value)| (name.to_owned(), value.to_owned())));
    let header = |name| parts.headers.get(name).and_then(|value| value.to_str().ok()).map(ByteString::from);
    let shown = Shown {
        token: None,
        authorization: header("authorization"),
        api_key: header("x-api-key"),
        cookie: header("cookie"),
        query: parts.uri.query().map(ByteString::from),
    };
    match site.plugins.get(&route, &shown, Params::new(pairs)).await {
        Ok(body) => reply::json(StatusCode::OK, body),
        Err(error) => failure(&error),
    }
}

/// `{"detail", "code"}` with the status that fits the code.
fn failure(error: &Error) -> Response {
    #[derive(Serialize)]
    struct Failure<'a> {
        detail: &'a str,
        code: &'static str,
    }
    let body = Failure { detail: error.message(), code: error.code().as_str() };
    reply::value(reply::status(error.code().status()), &body)
}

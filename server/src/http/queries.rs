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
use http::request::Parts;
use http::{StatusCode, header};
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
    let header = |name: &str| parts.headers.get(name).and_then(|value| value.to_str().ok()).map(ByteString::from);
    let shown = Shown::of(parts.uri.query().map(ByteString::from), header);
    let from = checks::source(&parts).map(|source| source.address.ip());
    match site.plugins.get(&route, from, &shown, Params::new(pairs)).await {
        Ok(body) => reply::json(StatusCode::OK, body),
        Err(error) => failure(&error),
    }
}

/// `{"detail", "code"}` with the status that fits the code, and in how many seconds another try may have more luck.
fn failure(error: &Error) -> Response {
    #[derive(Serialize)]
    struct Failure<'a> {
        detail: &'a str,
        code: &'static str,
    }
    let body = Failure { detail: error.message(), code: error.code().as_str() };
    let mut response = reply::value(reply::status(error.code().status()), &body);
    if let Some(wait) = error.retry_after_ms() {
        response.headers_mut().insert(header::RETRY_AFTER, wait.div_ceil(1_000).into());
    }
    response
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// Whoever comes back when it was told to does not come too early.
    #[test]
    fn a_failure_says_when_to_come_back() {
        let told = |error: Error| {
            let response = failure(&error);
            (response.status().as_u16(), response.headers().get(header::RETRY_AFTER).cloned())
        };
        let limited = Error::rate_limited("too often").retry_after(Duration::from_millis(1_001));
        assert_eq!(told(limited), (429, Some(2.into())));
        assert_eq!(told(Error::forbidden("never")), (403, None));
    }
}

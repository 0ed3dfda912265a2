//! What a request of an Engine.IO client names, and how it is told that it is refused, whichever engine serves it.

use axum::body::Body;
use axum::response::Response;
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;

use super::websocket;

/// The first `name=` of a query. Nothing that is looked for here needs decoding.
pub(crate) fn param<'a>(query: &'a str, name: &str) -> Option<&'a str> {
    query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
}

/// `{"code": n, "message": text}`, the form of Engine.IO's own errors. With 426 goes the version of WebSocket.
pub(crate) fn refusal(status: StatusCode, code: u8, message: &str) -> Response {
    #[derive(Serialize)]
    struct Told<'a> {
        code: u8,
        message: &'a str,
    }
    let body = serde_json::to_vec(&Told { code, message }).unwrap_or_default();
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    let head = response.headers_mut();
    head.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if status == StatusCode::UPGRADE_REQUIRED {
        head.insert(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static(websocket::VERSION));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handshake_of_another_version_is_told_ours() {
        let answer = refusal(StatusCode::UPGRADE_REQUIRED, 3, "");
        assert_eq!(answer.status(), StatusCode::UPGRADE_REQUIRED);
        assert_eq!(answer.headers()[header::SEC_WEBSOCKET_VERSION], websocket::VERSION);
    }

    #[test]
    fn a_parameter_is_found_by_its_whole_name() {
        assert_eq!(param("a=1&sid=&sid=2", "sid"), Some(""));
        assert_eq!(param("sidney=1", "sid"), None);
    }
}

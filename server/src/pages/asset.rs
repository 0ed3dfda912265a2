//! A file inside the binary, in the form the client can take.

use std::borrow::Cow;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use rust_embed::RustEmbed;

/// What `make web` built. `dist` is there from the start, empty; see `build.rs`.
#[derive(RustEmbed)]
#[folder = "web/dist"]
#[allow_missing = true]
struct Built;

/// Finds a file by its path in the build: its bytes and their SHA-256.
pub(super) type Find = fn(&str) -> Option<(Cow<'static, [u8]>, [u8; 32])>;

/// Finds a file in the binary.
pub(super) fn embedded(path: &str) -> Option<(Cow<'static, [u8]>, [u8; 32])> {
    Built::get(path).map(|file| (file.data, file.metadata.sha256_hash()))
}

/// The encodings a build holds beside each file, the smaller first.
const ENCODINGS: [(&str, &str); 2] = [("br", ".br"), ("gzip", ".gz")];

/// One form of one file.
#[derive(Debug)]
pub(super) struct Asset {
    bytes: Bytes,
    encoding: Option<&'static str>,
    kind: &'static str,
    tag: String,
}

impl Asset {
    /// The smallest form of the file that the client accepts.
    pub(super) fn negotiate(find: Find, path: &str, headers: &HeaderMap) -> Option<Self> {
        let encoded = ENCODINGS.into_iter().filter(|(encoding, _)| accepts(headers, encoding));
        let compressed =
            encoded.filter_map(|(encoding, suffix)| Some((find(&format!("{path}{suffix}"))?, Some(encoding))));
        let ((data, hash), encoding) = compressed.chain(find(path).map(|file| (file, None))).next()?;
        let bytes = match data {
            Cow::Borrowed(data) => Bytes::from_static(data),
            Cow::Owned(data) => Bytes::from(data),
        };
        let hash: String = hash.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        Some(Self { bytes, encoding, kind: kind(path), tag: format!("\"{hash}\"") })
    }

    /// The file, or word that the client has it already.
    pub(super) fn respond(self, headers: &HeaderMap, cache: &'static str) -> Response {
        let mut response = tagged(headers, &self.tag, self.kind, cache, self.bytes);
        let whole = response.status() == StatusCode::OK;
        let out = response.headers_mut();
        out.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
        if !whole {
            return response;
        }
        out.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        if let Some(encoding) = self.encoding {
            out.insert(header::CONTENT_ENCODING, HeaderValue::from_static(encoding));
        }
        response
    }
}

/// The items of a header that is a list.
fn items(headers: &HeaderMap, name: header::HeaderName) -> impl Iterator<Item = &str> {
    let values = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(str::trim)
}

/// Whether the client named this encoding and did not refuse it with a weight of zero.
fn accepts(headers: &HeaderMap, encoding: &str) -> bool {
    items(headers, header::ACCEPT_ENCODING).any(|item| {
        let (name, weight) = item.split_once(';').unwrap_or((item, "q=1"));
        let weight = weight.trim().get(2..).and_then(|weight| weight.parse::<f32>().ok());
        name.trim().eq_ignore_ascii_case(encoding) && weight.is_some_and(|weight| weight > 0.0)
    })
}

/// What has this tag, or word that the client has it already.
pub(crate) fn tagged(
    headers: &HeaderMap,
    tag: &str,
    kind: &'static str,
    cache: &'static str,
    body: impl Into<Body>,
) -> Response {
    let known = is_known(headers, tag);
    let mut response = Response::new(if known { Body::empty() } else { body.into() });
    let out = response.headers_mut();
    out.insert(header::CACHE_CONTROL, HeaderValue::from_static(cache));
    if let Ok(tag) = HeaderValue::from_str(tag) {
        out.insert(header::ETAG, tag);
    }
    if known {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    } else {
        out.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    }
    response
}

/// Whether the client holds the form with this tag (RFC 9110, section 13.1.2: weakly compared).
fn is_known(headers: &HeaderMap, tag: &str) -> bool {
    items(headers, header::IF_NONE_MATCH).any(|known| known == "*" || known.strip_prefix("W/").unwrap_or(known) == tag)
}

/// The media type of a file of the build.
fn kind(path: &str) -> &'static str {
    match path.rsplit_once('.').map(|(_, ending)| ending) {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("map") => "application/json",
        Some("svg") => "image/svg+xml",
        _ => "application/octet-stream",
    }
}

//! The handshake of a WebSocket, as far as the client's part of it goes (RFC 6455, section 4.2.1).

use http::{HeaderMap, HeaderName, Version, header};

/// The only version there is.
pub(crate) const VERSION: &str = "13";

/// What is wrong with a handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wrong {
    /// It is none, for this reason.
    Malformed(&'static str),
    /// Its version is not ours.
    Version,
}

/// Whether the request, which is a GET, asks for a WebSocket as it must.
pub(crate) fn check(version: Version, headers: &HeaderMap) -> Result<(), Wrong> {
    let has = |name: HeaderName, token: &str| {
        let values = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
        values.flat_map(|value| value.split(',')).any(|part| part.trim().eq_ignore_ascii_case(token))
    };
    if version < Version::HTTP_11 {
        return Err(Wrong::Malformed("HTTP/1.1 is needed"));
    }
    if !has(header::CONNECTION, "upgrade") || !has(header::UPGRADE, "websocket") {
        return Err(Wrong::Malformed("no Upgrade"));
    }
    if only(headers, header::SEC_WEBSOCKET_VERSION) != Some(VERSION) {
        return Err(Wrong::Version);
    }
    if !only(headers, header::SEC_WEBSOCKET_KEY).is_some_and(is_key) {
        return Err(Wrong::Malformed("the key is not 16 bytes in base64"));
    }
    Ok(())
}

/// The value of a header that is there once.
fn only(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    let mut values = headers.get_all(name).into_iter();
    let first = values.next()?;
    if values.next().is_some() { None } else { first.to_str().ok().map(str::trim) }
}

/// 16 bytes in base64.
fn is_key(text: &str) -> bool {
    let digit = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'+' || byte == b'/';
    text.strip_suffix("==").is_some_and(|digits| digits.len() == 22 && digits.bytes().all(digit))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

    fn judge(version: Version, lines: &[(&'static str, &str)]) -> Result<(), Wrong> {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
        }
        check(version, &headers)
    }

    #[test]
    fn a_websocket_handshake_has_all_four_headers_and_each_as_it_must_be() {
        let whole = [
            ("connection", "keep-alive, Upgrade"),
            ("upgrade", "WebSocket"),
            ("sec-websocket-version", "13"),
            ("sec-websocket-key", KEY),
        ];
        assert_eq!(judge(Version::HTTP_11, &whole), Ok(()));
        assert!(matches!(judge(Version::HTTP_10, &whole), Err(Wrong::Malformed(_))));
        for missing in 0..whole.len() {
            let mut lines = whole.to_vec();
            lines.remove(missing);
            assert!(judge(Version::HTTP_11, &lines).is_err(), "{:?}", whole[missing]);
        }
        for (at, value, version) in [
            (2, "8", true),
            (2, "13, 8", true),
            (3, "", false),
            (3, "AAAA", false),
            (3, "dGhlIHNhbXBsZSBub25jZQ=", false),
            (3, "dGhlIHNhbXBsZSBub25j!Q==", false),
            (3, "dGhlIHNhbXBsZSBub25jZQQQ", false),
        ] {
            let mut lines = whole.to_vec();
            lines[at].1 = value;
            let wrong = judge(Version::HTTP_11, &lines).unwrap_err();
            assert_eq!(wrong == Wrong::Version, version, "{value}");
        }
        let twice: Vec<_> = whole.into_iter().chain([("sec-websocket-key", KEY)]).collect();
        assert!(judge(Version::HTTP_11, &twice).is_err());
    }
}

//! Which web pages may talk to this server: one list for polling, WebSocket and CORS.

use std::collections::HashSet;
use std::sync::Arc;

use http::HeaderValue;

/// The allowed origins. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Origins(Arc<Rule>);

#[derive(Debug)]
enum Rule {
    /// Every page.
    Any,
    /// Pages served under the name they call us by, and these.
    Listed(HashSet<String>),
}

impl Origins {
    /// `*` allows every page. Pages of the server's own host are allowed always.
    pub(crate) fn new(list: &[String]) -> Self {
        Self(Arc::new(if list.iter().any(|origin| origin == "*") {
            Rule::Any
        } else {
            Rule::Listed(list.iter().map(|origin| normal(origin)).collect())
        }))
    }

    /// Whether a request with these headers may be served. Without an origin no web page is behind it.
    pub(crate) fn allow(&self, origin: Option<&HeaderValue>, host: Option<&HeaderValue>) -> bool {
        let Some(origin) = origin else { return true };
        let Rule::Listed(list) = &*self.0 else { return true };
        let Ok(origin) = origin.to_str().map(normal) else { return false };
        if list.contains(&origin) {
            return true;
        }
        let host = host.and_then(|host| host.to_str().ok()).map(str::to_ascii_lowercase);
        match (origin.split_once("://"), host) {
            // A proxy may have taken TLS off: the scheme is not compared, the scheme's own port may be left out.
            (Some((_, site)), Some(host)) => without_port(site) == without_port(&host),
            _ => false,
        }
    }
}

fn normal(origin: &str) -> String {
    origin.trim_end_matches('/').to_ascii_lowercase()
}

/// Browsers leave the scheme's own port out; proxies may not.
fn without_port(host: &str) -> &str {
    host.strip_suffix(":80").or_else(|| host.strip_suffix(":443")).unwrap_or(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(list: &[&str], origin: Option<&str>, host: Option<&str>) -> bool {
        let header = |text: Option<&str>| text.map(|text| HeaderValue::from_str(text).unwrap());
        let list: Vec<String> = list.iter().map(|origin| (*origin).to_owned()).collect();
        Origins::new(&list).allow(header(origin).as_ref(), header(host).as_ref())
    }

    #[test]
    fn an_empty_list_allows_the_same_host_and_whoever_is_no_web_page() {
        assert!(allows(&[], None, Some("localhost:8085")));
        assert!(allows(&[], Some("http://localhost:8085"), Some("localhost:8085")));
        assert!(allows(&[], Some("https://Example.com"), Some("example.com:443")));
        for (origin, host) in [
            ("http://localhost:3000", Some("localhost:8085")),
            ("http://evil.example", Some("localhost:8085")),
            ("http://localhost:8085.evil.example", Some("localhost:8085")),
            ("http://localhost:8085", None),
            ("null", Some("null")),
        ] {
            assert!(!allows(&[], Some(origin), host), "{origin}");
        }
    }

    #[test]
    fn listed_origins_are_allowed_to_the_letter() {
        let list = ["https://app.example", "http://localhost:3000/"];
        assert!(allows(&list, Some("https://app.example"), Some("api.example")));
        assert!(allows(&list, Some("http://localhost:3000"), Some("localhost:8085")));
        assert!(allows(&list, Some("http://api.example"), Some("api.example")));
        assert!(!allows(&list, Some("http://app.example"), Some("api.example")));
        assert!(!allows(&list, Some("https://app.example.evil"), Some("api.example")));
        assert!(allows(&["*"], Some("null"), None));
    }
}

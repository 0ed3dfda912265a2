//! Which web pages may talk to this server: one rule for polling, WebSocket, plugins' routes and CORS.

use std::collections::HashSet;
use std::sync::Arc;

use carillon_core::throttle::Throttle;
use http::{HeaderMap, HeaderName, HeaderValue, header};

/// What browsers say about where a request comes from, also where they send no Origin.
const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
/// Longer origins are not repeated to anybody.
const SHOWN: usize = 200;

/// The allowed origins. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Origins(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    rule: Rule,
    log: Throttle,
}

#[derive(Debug)]
enum Rule {
    /// Every page.
    Any,
    /// Pages served under the name they call us by, and these.
    Listed { normal: HashSet<String>, written: Vec<String> },
}

/// Why a page may not talk to this server, in words for its developer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stranger(pub(crate) String);

impl Origins {
    /// `*` allows every page. Pages of the server's own host are allowed always.
    pub(crate) fn new(list: &[String]) -> Self {
        let rule = if list.iter().any(|origin| origin == "*") {
            Rule::Any
        } else {
            Rule::Listed { normal: list.iter().map(|origin| normal(origin)).collect(), written: list.to_vec() }
        };
        Self(Arc::new(Inner { rule, log: Throttle::per_second() }))
    }

    /// Whether a request may be served. Without an origin no web page is behind it, unless the browser says that it asks
    /// for a page of another site: so do images and links, which send none. `secure` is whether the client speaks TLS,
    /// where that is known.
    pub(crate) fn judge(&self, headers: &HeaderMap, secure: Option<bool>) -> Result<(), Stranger> {
        let Rule::Listed { normal: list, written } = &self.0.rule else { return Ok(()) };
        let mut origins = headers.get_all(header::ORIGIN).iter();
        let origin = match (origins.next(), origins.next()) {
            (None, _) => {
                let cross = headers.get(FETCH_SITE).is_some_and(|site| site == "cross-site");
                let words = "Forbidden: a request of another site's page that does not say which (no Origin)";
                return if cross { Err(Stranger(words.to_owned())) } else { Ok(()) };
            }
            (Some(origin), None) => origin.to_str().map(normal).map_err(|_| unreadable())?,
            _ => return Err(unreadable()),
        };
        if list.contains(&origin) || is_own(&origin, headers.get(header::HOST), secure) {
            return Ok(());
        }
        Err(explain(&origin, written))
    }

    /// Whether a page of another origin is behind a request, whatever the list says of it: as far as the browser tells, a
    /// page of a neighbouring host included.
    pub(crate) fn is_foreign(headers: &HeaderMap, secure: Option<bool>) -> bool {
        let site = headers.get(FETCH_SITE).map(HeaderValue::as_bytes);
        if site.is_some_and(|site| site != b"same-origin" && site != b"none") {
            return true;
        }
        let mut origins = headers.get_all(header::ORIGIN).iter();
        match (origins.next(), origins.next()) {
            (None, _) => false,
            (Some(origin), None) => {
                !origin.to_str().is_ok_and(|origin| is_own(&normal(origin), headers.get(header::HOST), secure))
            }
            _ => true,
        }
    }

    /// Tells the log of a refusal, now and then.
    pub(crate) fn report(&self, stranger: &Stranger) {
        if let Some(left_out) = self.0.log.allow() {
            tracing::warn!(left_out, "a web page was refused: {}", stranger.0);
        }
    }

    /// Whether pages of this origin may send cookies along: those that are named. Where every page may come, none may.
    pub(crate) fn is_listed(&self, origin: &HeaderValue) -> bool {
        let Rule::Listed { normal: list, .. } = &self.0.rule else { return false };
        origin.to_str().is_ok_and(|origin| list.contains(&normal(origin)))
    }
}

/// Whether the page was served under the name it calls us by. Where the scheme is known it has to be the same; where a
/// proxy unknown to us may have taken TLS off, either scheme is taken, and the scheme's own port may be left out.
fn is_own(origin: &str, host: Option<&HeaderValue>, secure: Option<bool>) -> bool {
    let Some(host) = host.and_then(|host| host.to_str().ok()).map(str::to_ascii_lowercase) else { return false };
    let Some((scheme, site)) = origin.split_once("://") else { return false };
    match secure {
        None => without_port(site, &[":80", ":443"]) == without_port(&host, &[":80", ":443"]),
        Some(secure) => {
            let (own, port) = if secure { ("https", ":443") } else { ("http", ":80") };
            scheme == own && without_port(site, &[port]) == without_port(&host, &[port])
        }
    }
}

/// Browsers leave the scheme's own port out; proxies may not.
fn without_port<'a>(host: &'a str, ports: &[&str]) -> &'a str {
    ports.iter().find_map(|port| host.strip_suffix(port)).unwrap_or(host)
}

fn normal(origin: &str) -> String {
    origin.trim_end_matches('/').to_ascii_lowercase()
}

fn unreadable() -> Stranger {
    Stranger("Forbidden: the Origin header is malformed".to_owned())
}

/// Names the line that would let the page in.
fn explain(origin: &str, listed: &[String]) -> Stranger {
    let sound = |byte: u8| byte.is_ascii_alphanumeric() || b"+-._:/[]".contains(&byte);
    if !origin.contains("://") || origin.len() > SHOWN || !origin.bytes().all(sound) {
        return Stranger(
            "Forbidden: pages without an origin of their own (files, sandboxes) may not connect".to_owned(),
        );
    }
    let all = listed.iter().map(String::as_str).chain([origin]);
    let list: Vec<String> = all.map(|origin| format!("\"{origin}\"")).collect();
    Stranger(format!(
        "Forbidden: this origin is not allowed; to let it in, write under [server]: origins = [{}]",
        list.join(", ")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[(HeaderName, &str)]) -> HeaderMap {
        let line = |(name, value): &(HeaderName, &str)| (name.clone(), HeaderValue::from_str(value).unwrap());
        lines.iter().map(line).collect()
    }

    fn judge(list: &[&str], origin: Option<&str>, host: Option<&str>, secure: Option<bool>) -> Result<(), Stranger> {
        let lines = [(header::ORIGIN, origin), (header::HOST, host)];
        let lines: Vec<_> = lines.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
        let list: Vec<String> = list.iter().map(|origin| (*origin).to_owned()).collect();
        Origins::new(&list).judge(&headers(&lines), secure)
    }

    fn allows(list: &[&str], origin: Option<&str>, host: Option<&str>) -> bool {
        judge(list, origin, host, None).is_ok()
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

    /// A8: where the scheme is known it belongs to the origin.
    #[test]
    fn a_known_scheme_is_compared() {
        let (http, https) = (Some("http://a.example"), Some("https://a.example"));
        for (origin, host, secure, allowed) in [
            (https, "a.example", true, true),
            (https, "a.example:443", true, true),
            (http, "a.example", true, false),
            (http, "a.example", false, true),
            (https, "a.example", false, false),
            (https, "a.example:80", true, false),
        ] {
            let verdict = judge(&[], origin, Some(host), Some(secure));
            assert_eq!(verdict.is_ok(), allowed, "{origin:?} {host} {secure}");
        }
    }

    /// A8: an image or a link of another site's page sends no Origin, and its browser tells where it comes from.
    #[test]
    fn another_sites_page_is_refused_without_an_origin_too() {
        let origins = Origins::new(&[]);
        for (site, allowed) in [("cross-site", false), ("same-origin", true), ("same-site", true), ("none", true)] {
            assert_eq!(origins.judge(&headers(&[(FETCH_SITE, site)]), None).is_ok(), allowed, "{site}");
        }
        assert!(Origins::new(&["*".to_owned()]).judge(&headers(&[(FETCH_SITE, "cross-site")]), None).is_ok());
        let mut twice = HeaderMap::new();
        twice.append(header::ORIGIN, HeaderValue::from_static("http://a"));
        twice.append(header::ORIGIN, HeaderValue::from_static("http://b"));
        twice.append(header::HOST, HeaderValue::from_static("a"));
        assert!(origins.judge(&twice, None).is_err());
    }

    /// The refusal is the line to write, and repeats nothing that could be more than an origin.
    #[test]
    fn a_refusal_says_what_to_write() {
        let words = |list: &[&str], origin| judge(list, Some(origin), Some("h"), None).unwrap_err().0;
        assert!(words(&[], "http://localhost:3000").ends_with(r#"origins = ["http://localhost:3000"]"#));
        let both = words(&["https://a.example"], "https://B.example");
        assert!(both.ends_with(r#"origins = ["https://a.example", "https://b.example"]"#), "{both}");
        for odd in ["null", "http://a\"b", &format!("http://{}", "x".repeat(300))] {
            assert!(!words(&[], odd).contains(odd), "{odd}");
        }
    }

    /// Cookies go along only for pages that are named.
    #[test]
    fn every_page_is_none_that_is_named() {
        let origin = HeaderValue::from_static("https://a.example");
        assert!(Origins::new(&["https://a.example".to_owned()]).is_listed(&origin));
        assert!(!Origins::new(&["*".to_owned()]).is_listed(&origin) && !Origins::new(&[]).is_listed(&origin));
    }

    /// What is for the server's own pages is for no other, and for whoever is no page.
    #[test]
    fn a_foreign_page_is_told_by_its_origin_or_by_its_browser() {
        let own = (header::HOST, "localhost:8085");
        for (lines, foreign) in [
            (vec![own.clone()], false),
            (vec![own.clone(), (FETCH_SITE, "none")], false),
            (vec![own.clone(), (FETCH_SITE, "same-origin")], false),
            (vec![own.clone(), (FETCH_SITE, "same-site")], true),
            (vec![own.clone(), (FETCH_SITE, "cross-site")], true),
            (vec![own.clone(), (header::ORIGIN, "http://localhost:8085")], false),
            (vec![own.clone(), (header::ORIGIN, "http://localhost:3000")], true),
            (vec![own.clone(), (header::ORIGIN, "null")], true),
            (vec![(header::ORIGIN, "http://localhost:8085")], true),
        ] {
            assert_eq!(Origins::is_foreign(&headers(&lines), None), foreign, "{lines:?}");
        }
    }
}

//! The dashboard at `/`, the namespaces at `/plugins`, the test page at `/websocket-test`, what is served at `/docs` and
//! the stock Socket.IO client at `/socket.io/socket.io.js`, from inside the binary.
//!
//! `make web` builds them into `server/web/dist`; what is there when the server is compiled is what it
//! serves. A server compiled without them says so in their place, and has a plain page at `/` and `/docs`.

mod asset;
mod home;

use axum::Router;
use axum::body::Body;
use axum::extract::Path;
use axum::response::Response;
use axum::routing::{MethodRouter, get};
use http::{HeaderMap, HeaderValue, StatusCode, header};

pub(crate) use self::asset::tagged;
use self::asset::{Asset, Find};
pub(crate) use self::home::{Served, home};

/// Where the pages are that are there as they were built, each with its file, and its title where it was not built.
const PAGES: [(&str, &str, &str); 2] =
    [("/plugins", "plugins.html", "Plugins"), ("/websocket-test", "websocket-test.html", "WebSocket test")];
/// Where the parts of the pages are, under names that change with their content.
const PARTS: &str = "/assets/{file}";
/// Browsers ask for it beside whatever they show; there is none.
const ICON: &str = "/favicon.ico";
/// The builds of the stock client, where every Socket.IO server has them, and what a debugger asks for.
const CLIENT: [&str; 6] = [
    "/socket.io/socket.io.js",
    "/socket.io/socket.io.js.map",
    "/socket.io/socket.io.min.js",
    "/socket.io/socket.io.min.js.map",
    "/socket.io/socket.io.esm.min.js",
    "/socket.io/socket.io.esm.min.js.map",
];

/// A page may load its own parts and connect to its own server, and nothing else; no other page may frame it.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
/// For names that stay when the content changes: asked again each time, answered with 304 mostly.
const CHECK: &str = "no-cache";
/// For names that change with the content.
const FOREVER: &str = "public, max-age=31536000, immutable";

/// What a server without its pages says in their place, in the log, and at `/`.
pub(crate) const UNBUILT: &str = "this server was built without the pages: run `make web`, then build again";
const NO_CLIENT: &str =
    r#"{"detail":"This server was built without the client bundle: run `make web`, then build again"}"#;
const NOT_FOUND: &str = r#"{"detail":"Not Found"}"#;

/// Whether a route is one of these.
pub(crate) fn is_own(path: &str) -> bool {
    routes::<()>(asset::embedded).iter().any(|(own, _)| own == path)
}

/// The routes.
pub(crate) fn router<S: Clone + Send + Sync + 'static>() -> Router<S> {
    collect(routes(asset::embedded))
}

fn collect<S: Clone + Send + Sync + 'static>(routes: Vec<(String, MethodRouter<S>)>) -> Router<S> {
    routes.into_iter().fold(Router::new(), |router, (path, route)| router.route(&path, route))
}

fn routes<S: Clone + Send + Sync + 'static>(find: Find) -> Vec<(String, MethodRouter<S>)> {
    let part = move |Path(file): Path<String>, headers: HeaderMap| async move {
        let found = Asset::negotiate(find, &format!("assets/{file}"), &headers);
        found.map_or_else(|| absent(NOT_FOUND), |asset| asset.respond(&headers, FOREVER))
    };
    let mut routes = vec![(PARTS.to_owned(), get(part)), (ICON.to_owned(), get(StatusCode::NO_CONTENT))];
    for (path, file, title) in PAGES {
        let page = move |headers: HeaderMap| async move {
            let found = Asset::negotiate(find, file, &headers);
            guarded(found.map_or_else(|| unbuilt(title), |asset| asset.respond(&headers, CHECK)))
        };
        routes.push((path.to_owned(), get(page)));
        // As people type it, and as some proxies make it.
        routes.push((format!("{path}/"), get(page)));
    }
    routes.extend(CLIENT.map(|path| {
        let file = path.replacen("/socket.io/", "client/", 1);
        let client = move |headers: HeaderMap| async move {
            let found = Asset::negotiate(find, &file, &headers);
            found.map_or_else(|| absent(NO_CLIENT), |asset| asset.respond(&headers, CHECK))
        };
        (path.to_owned(), get(client))
    }));
    routes
}

/// The dashboard, where it was built.
pub(crate) fn dashboard(headers: &HeaderMap) -> Option<Response> {
    Asset::negotiate(asset::embedded, "index.html", headers).map(|asset| guarded(asset.respond(headers, CHECK)))
}

/// A page with its policy.
fn guarded(mut page: Response) -> Response {
    let headers = page.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    page
}

/// Whether the pages are in this binary.
pub(crate) fn are_built() -> bool {
    asset::embedded("index.html").is_some()
}

/// Says how to get the real page.
fn unbuilt(heading: &str) -> Response {
    let content =
        format!("<p>{}</p>\n<p><a href=\"/docs\">/docs</a> lists what is served.</p>\n", home::markup(UNBUILT));
    html(StatusCode::SERVICE_UNAVAILABLE, plain("en", &format!("{heading} - Carillon"), heading, &content))
}

/// A page without the frame that all built pages have.
fn plain(language: &str, title: &str, heading: &str, content: &str) -> String {
    format!(
        "<!DOCTYPE html>\n<html lang=\"{language}\">\n<head>\n<meta charset=\"UTF-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<title>{title}</title>\n</head>\n<body>\n<main>\n\
         <h1>{heading}</h1>\n{content}</main>\n</body>\n</html>\n"
    )
}

fn html(status: StatusCode, page: String) -> Response {
    answer(status, "text/html; charset=utf-8", page)
}

fn absent(detail: &'static str) -> Response {
    answer(StatusCode::NOT_FOUND, "application/json", detail)
}

fn answer(status: StatusCode, kind: &'static str, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests {
    use http::{Method, Request};
    use http_body_util::BodyExt;
    use tower::ServiceExt;

    use super::*;

    const PAGE: &str = "/websocket-test";

    /// A build with every kind of file, each also compressed with gzip.
    fn built(path: &str) -> Option<(std::borrow::Cow<'static, [u8]>, [u8; 32])> {
        let (plain, number): (&[u8], u8) = match path {
            "websocket-test.html" => (b"<!DOCTYPE html>", 1),
            "websocket-test.html.gz" => (b"gzipped page", 2),
            "assets/index-1a.js" => (b"page()", 3),
            "client/socket.io.js" => (b"client()", 4),
            "client/socket.io.js.map" => (b"{}", 5),
            _ => return None,
        };
        Some((plain.into(), [number; 32]))
    }

    fn unbuilt(_: &str) -> Option<(std::borrow::Cow<'static, [u8]>, [u8; 32])> {
        None
    }

    async fn ask(find: Find, method: Method, path: &str, headers: &[(&str, &str)]) -> (http::response::Parts, String) {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = collect::<()>(routes(find)).oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        let (head, body) = response.into_parts();
        (head, String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap())
    }

    #[tokio::test]
    async fn the_page_comes_with_a_policy_that_lets_nothing_foreign_in() {
        let (head, body) = ask(built, Method::GET, PAGE, &[]).await;
        assert_eq!((head.status, body.as_str()), (StatusCode::OK, "<!DOCTYPE html>"));
        assert_eq!(ask(built, Method::GET, "/websocket-test/", &[]).await.1, body, "with a slash as well");
        assert_eq!(head.headers["content-type"], "text/html; charset=utf-8");
        assert_eq!(head.headers["x-content-type-options"], "nosniff");
        assert_eq!(head.headers["cache-control"], "no-cache");
        let policy = head.headers["content-security-policy"].to_str().unwrap();
        assert!(
            policy.starts_with("default-src 'none'") && !policy.contains("unsafe") && !policy.contains('*'),
            "{policy}"
        );
    }

    #[tokio::test]
    async fn each_form_of_a_file_has_a_tag_of_its_own_and_is_not_sent_twice() {
        let (plain, _) = ask(built, Method::GET, PAGE, &[]).await;
        let gzip = [("accept-encoding", "br;q=1, gzip")];
        let (zipped, body) = ask(built, Method::GET, PAGE, &gzip).await;
        assert_eq!((zipped.headers["content-encoding"].to_str().unwrap(), body.as_str()), ("gzip", "gzipped page"));
        assert_eq!(zipped.headers["vary"], "accept-encoding");
        assert_eq!(plain.headers["vary"], "accept-encoding");
        assert_ne!(plain.headers["etag"], zipped.headers["etag"]);

        let tag = zipped.headers["etag"].to_str().unwrap();
        assert!(tag.starts_with('"'), "a strong tag: {tag}");
        for known in [tag.to_owned(), format!("\"other\", {tag}"), format!("W/{tag}"), "*".to_owned()] {
            let headers = [gzip[0], ("if-none-match", known.as_str())];
            let (head, body) = ask(built, Method::GET, PAGE, &headers).await;
            assert_eq!((head.status, body.as_str()), (StatusCode::NOT_MODIFIED, ""), "{known}");
            assert_eq!(head.headers["etag"], tag);
        }
        let (head, _) = ask(built, Method::GET, PAGE, &[("if-none-match", tag)]).await;
        assert_eq!(head.status, StatusCode::OK, "the tag of the other form");
    }

    #[tokio::test]
    async fn an_encoding_that_is_refused_is_not_used() {
        for accept in ["gzip;q=0", "identity", "GZIP;Q=0.000, *;q=0", "br", ""] {
            let (head, body) = ask(built, Method::GET, PAGE, &[("accept-encoding", accept)]).await;
            assert_eq!((head.headers.get("content-encoding"), body.as_str()), (None, "<!DOCTYPE html>"), "{accept}");
        }
    }

    #[tokio::test]
    async fn head_answers_without_a_body_and_other_methods_are_refused() {
        let (head, body) = ask(built, Method::HEAD, PAGE, &[]).await;
        assert_eq!((head.status, body.as_str()), (StatusCode::OK, ""));
        assert_eq!(head.headers["content-length"], "15");
        assert_eq!(ask(built, Method::POST, PAGE, &[]).await.0.status, StatusCode::METHOD_NOT_ALLOWED);
    }

    #[tokio::test]
    async fn parts_are_kept_for_good_and_the_client_is_asked_about_again() {
        let (head, body) = ask(built, Method::GET, "/assets/index-1a.js", &[]).await;
        assert_eq!((body.as_str(), head.headers["cache-control"].to_str().unwrap()), ("page()", FOREVER));
        assert_eq!(head.headers["content-type"], "text/javascript; charset=utf-8");
        let (head, body) = ask(built, Method::GET, "/socket.io/socket.io.js", &[]).await;
        assert_eq!((body.as_str(), head.headers["cache-control"].to_str().unwrap()), ("client()", CHECK));
        let (head, _) = ask(built, Method::GET, "/socket.io/socket.io.js.map", &[]).await;
        assert_eq!(head.headers["content-type"], "application/json");
        assert_eq!(ask(built, Method::GET, ICON, &[]).await.0.status, StatusCode::NO_CONTENT);
        for path in ["/assets/none.js", "/assets/..%2Fwebsocket-test.html"] {
            let (head, body) = ask(built, Method::GET, path, &[]).await;
            assert_eq!((head.status, body.as_str()), (StatusCode::NOT_FOUND, NOT_FOUND), "{path}");
        }
    }

    #[tokio::test]
    async fn a_server_built_without_them_says_how_to_get_them() {
        let (head, body) = ask(unbuilt, Method::GET, PAGE, &[("accept-encoding", "gzip")]).await;
        assert_eq!(head.status, StatusCode::SERVICE_UNAVAILABLE);
        assert!(head.headers.contains_key("content-security-policy"));
        assert!(body.contains("<title>WebSocket test - Carillon</title>"), "{body}");
        let (head, body) = ask(unbuilt, Method::GET, "/plugins", &[]).await;
        assert_eq!(head.status, StatusCode::SERVICE_UNAVAILABLE);
        for part in
            ["<html lang=\"en\">", "<title>Plugins - Carillon</title>", "run <code>make web</code>, then build again"]
        {
            assert!(body.contains(part), "{part} is not in {body}");
        }
        for path in CLIENT {
            let (head, body) = ask(unbuilt, Method::GET, path, &[]).await;
            assert_eq!(
                (head.status, head.headers["content-type"].to_str().unwrap()),
                (StatusCode::NOT_FOUND, "application/json")
            );
            assert!(body.starts_with("{\"detail\":") && body.contains("make web"), "{body}");
        }
    }
}

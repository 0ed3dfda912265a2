//! What the server answers over HTTP, route by route.

mod origins;
mod polling;
mod probes;
mod queries;
mod reply;
mod socket_io;

use std::sync::{Arc, Weak};
use std::time::Duration;

use axum::Router;
use axum::extract::{MatchedPath, Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use axum::routing::{any, get};
use carillon_core::lifecycle::App;
use carillon_core::router::Router as Plugins;
use http::{HeaderValue, Method, StatusCode, header};
use tokio_util::task::TaskTracker;
use tower_http::cors::{AllowHeaders, AllowOrigin, CorsLayer};

pub(crate) use self::origins::Origins;
use crate::bridge::Engine;
use crate::links::Links;
use crate::metrics::Metrics;
use crate::pages;

/// The house's own routes, beside the pages.
const OWN: [&str; 3] = ["/metrics", "/livez", "/readyz"];
/// How long browsers may remember the answer to a preflight.
const PREFLIGHT_AGE: Duration = Duration::from_secs(600);

/// What the routes need.
pub(crate) struct Site {
    pub(crate) engine: Engine,
    /// `server.path`.
    pub(crate) path: String,
    pub(crate) links: Arc<Links>,
    pub(crate) origins: Origins,
    pub(crate) metrics: Arc<Metrics>,
    /// Gone once the application stops.
    pub(crate) app: Weak<App>,
    pub(crate) plugins: Plugins,
    /// Own what goes on beyond a request.
    pub(crate) tasks: TaskTracker,
    /// Whether WebSocket is offered.
    pub(crate) websocket: bool,
    pub(crate) max_message_bytes: usize,
    pub(crate) max_sessions: usize,
}

/// Whether a route is the house's own, with Socket.IO at `socket_io`: a plugin cannot have it.
pub(crate) fn is_own(path: &str, socket_io: &str) -> bool {
    both(socket_io).iter().any(|own| own == path) || is_taken(path)
}

/// Whether something else than Socket.IO is there.
pub(crate) fn is_taken(path: &str) -> bool {
    let path = path.trim_end_matches('/');
    OWN.contains(&path) || pages::is_own(path)
}

/// Socket.IO's path, without and with the slash at its end: clients ask for either.
fn both(socket_io: &str) -> [String; 2] {
    let path = socket_io.trim_end_matches('/');
    [path.to_owned(), format!("{path}/")]
}

/// All routes. Routing is all that axum does here.
pub(crate) fn router(site: Arc<Site>) -> Router {
    let mut router = Router::new()
        .route("/metrics", get(probes::metrics))
        .route("/livez", get(probes::live))
        .route("/readyz", get(probes::ready));
    for path in both(&site.path) {
        router = router.route(&path, any(socket_io::answer));
    }
    for route in site.plugins.http() {
        let path = route.path.clone();
        let route = route.clone();
        router = router.route(&path, get(move |state, path, query| queries::answer(route.clone(), state, path, query)));
    }
    router
        .merge(pages::router())
        .fallback(|| async { reply::detail(StatusCode::NOT_FOUND, "Not Found") })
        .method_not_allowed_fallback(|| async { reply::detail(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed") })
        .layer(cors(site.origins.clone()))
        .layer(from_fn_with_state(Arc::clone(&site), count))
        .with_state(site)
}

/// Lets the pages of allowed origins read answers. Other pages still get none of ours to see.
fn cors(origins: Origins) -> CorsLayer {
    let allowed = move |origin: &HeaderValue, parts: &http::request::Parts| {
        origins.allow(Some(origin), parts.headers.get(header::HOST))
    };
    CorsLayer::new()
        .allow_origin(AllowOrigin::predicate(allowed))
        .allow_methods([Method::GET, Method::POST])
        .allow_headers(AllowHeaders::mirror_request())
        .max_age(PREFLIGHT_AGE)
}

/// Counts requests by the pattern they matched.
async fn count(State(site): State<Arc<Site>>, request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>().cloned();
    let response = next.run(request).await;
    site.metrics.request(route.as_ref().map_or("other", MatchedPath::as_str), response.status().as_u16());
    response
}

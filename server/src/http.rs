//! What the server answers over HTTP, route by route.

mod checks;
mod contract;
mod failures;
mod origins;
mod probes;
mod queries;
mod reply;
mod scrapes;
mod socket_io;

use std::sync::{Arc, Weak};
use std::time::Duration;

use axum::Router;
use axum::extract::{MatchedPath, RawQuery, Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use axum::routing::{MethodRouter, any, get};
use carillon_core::lifecycle::App;
use carillon_core::router::Router as Plugins;
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use tower_http::cors::{AllowCredentials, AllowHeaders, AllowOrigin, CorsLayer};

pub(crate) use self::origins::Origins;
pub(crate) use self::scrapes::Scrapes;
use crate::admission::{Admission, Source};
use crate::contract::Documents;
use crate::metrics::Metrics;
use crate::pages;
use crate::serving::Serving;

/// How long browsers may remember the answer to a preflight.
const PREFLIGHT_AGE: Duration = Duration::from_secs(600);

/// What the routes need.
#[derive(Clone)]
pub(crate) struct Site {
    pub(crate) engine: Serving,
    /// `server.path`.
    pub(crate) path: String,
    pub(crate) origins: Origins,
    pub(crate) admission: Arc<Admission>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) scrapes: Arc<Scrapes>,
    /// Gone once the application stops.
    pub(crate) app: Weak<App>,
    pub(crate) plugins: Plugins,
    pub(crate) documents: Arc<Documents>,
    pub(crate) max_sessions: usize,
    /// The parameter of URLs that holds a token: it is not for plugins.
    pub(crate) token_parameter: Option<String>,
    /// What operators read is at the listener of `[admin]`, and only there.
    pub(crate) apart: bool,
}

/// What operators read: how the server is, and what failed.
fn operators() -> [(&'static str, MethodRouter<Arc<Site>>); 4] {
    [
        ("/metrics", get(probes::metrics)),
        ("/livez", get(probes::live)),
        ("/readyz", get(probes::ready)),
        ("/api/failures", get(failures::answer)),
    ]
}

/// Whether a path is one of these.
pub(crate) fn is_operators(path: &str) -> bool {
    operators().iter().any(|(own, _)| *own == path)
}

/// The house's own routes for everybody, beside Socket.IO and the pages.
fn own() -> [(&'static str, MethodRouter<Arc<Site>>); 4] {
    [
        ("/", get(dashboard)),
        ("/docs", get(home)),
        ("/types.d.ts", get(contract::types)),
        ("/asyncapi.json", get(contract::asyncapi)),
    ]
}

/// Whether a route is the house's own, with Socket.IO at `socket_io`: a plugin cannot have it.
pub(crate) fn is_own(path: &str, socket_io: &str) -> bool {
    both(socket_io).iter().any(|own| own == path) || is_taken(path)
}

/// Whether something else than Socket.IO is there.
pub(crate) fn is_taken(path: &str) -> bool {
    let bare = path.trim_end_matches('/');
    let is = |own: &str| own == path || own == bare;
    own().iter().chain(&operators()).any(|(own, _)| is(own)) || pages::is_own(bare)
}

/// Socket.IO's path, without and with the slash at its end: clients ask for either.
fn both(socket_io: &str) -> [String; 2] {
    let path = socket_io.trim_end_matches('/');
    [path.to_owned(), format!("{path}/")]
}

/// All routes for clients. Routing is all that axum does here.
pub(crate) fn router(site: Arc<Site>) -> Router {
    let mut router = routes(own());
    if !site.apart {
        router = router.merge(routes(operators()));
    }
    for path in both(&site.path) {
        router = router.route(&path, any(socket_io::answer));
    }
    for route in site.plugins.http() {
        let path = route.path.clone();
        let route = route.clone();
        let answer = move |state, path, query, parts| queries::answer(route.clone(), state, path, query, parts);
        router = router.route(&path, get(answer));
    }
    finished(router.merge(pages::router()).layer(cors(site.origins.clone())), site)
}

/// The routes of the listener of `[admin]`. No page of another origin reads them.
pub(crate) fn operators_router(site: Arc<Site>) -> Router {
    finished(routes(operators()), site)
}

fn routes<const N: usize>(routes: [(&'static str, MethodRouter<Arc<Site>>); N]) -> Router<Arc<Site>> {
    routes.into_iter().fold(Router::new(), |router, (path, route)| router.route(path, route))
}

/// With what holds for every request.
fn finished(router: Router<Arc<Site>>, site: Arc<Site>) -> Router {
    router
        .fallback(|| async { reply::detail(StatusCode::NOT_FOUND, "Not Found") })
        .method_not_allowed_fallback(|| async { reply::detail(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed") })
        .layer(from_fn_with_state(Arc::clone(&site), checks::check))
        .layer(from_fn_with_state(Arc::clone(&site), count))
        .with_state(site)
}

/// `/`: the dashboard, for whoever opens it in a browser; what this server is where it was built without.
async fn dashboard(site: State<Arc<Site>>, query: RawQuery, headers: HeaderMap) -> Response {
    match pages::dashboard(&headers) {
        Some(page) => page,
        None => home(site, query, headers).await,
    }
}

/// `/docs`: what this server is, and where to read on.
async fn home(State(site): State<Arc<Site>>, RawQuery(query): RawQuery, headers: HeaderMap) -> Response {
    let mut namespaces: Vec<_> = site.plugins.namespaces().collect();
    namespaces.sort_unstable();
    let routes = site.plugins.http().iter().map(|route| (route.path.as_str(), route.doc.as_str())).collect();
    let served = pages::Served { program: site.documents.program, namespaces, routes, apart: site.apart };
    pages::home(&served, &headers, query.as_deref())
}

/// Lets the pages of allowed origins read answers. Other pages still get none of ours to see.
fn cors(origins: Origins) -> CorsLayer {
    let listed = origins.clone();
    let allowed = move |_: &HeaderValue, parts: &http::request::Parts| {
        let secure = parts.extensions.get::<Source>().and_then(|source| source.secure);
        let verdict = origins.judge(&parts.headers, secure);
        // Other requests of such a page are refused, and told of, by the routes themselves.
        if let Some(stranger) = verdict.as_ref().err().filter(|_| parts.method == Method::OPTIONS) {
            origins.report(stranger);
        }
        verdict.is_ok()
    };
    CorsLayer::new()
        .allow_credentials(AllowCredentials::predicate(move |origin, _| listed.is_listed(origin)))
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

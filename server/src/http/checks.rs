//! What every request is checked for before a route gets it: whether it is for this server, and where it comes from.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::request::Parts;
use http::{HeaderValue, StatusCode, header};

use super::{Origins, Site, reply};
use crate::admission::{NoHost, Source};
use crate::metrics::Refused;
use crate::wire::Handle;

/// Refuses what is not for this server, notes where the rest comes from, and keeps browsers from guessing what answers
/// are.
pub(super) async fn check(State(site): State<Arc<Site>>, mut request: Request, next: Next) -> Response {
    let mut response = match site.admission.hosts.check(request.version(), request.headers()) {
        Ok(()) => {
            if let Some(wire) = request.extensions().get::<Handle>() {
                let mut source = site.admission.proxies.source(wire.peer(), request.headers());
                // A trusted proxy says what its client speaks, whatever it speaks itself.
                source.secure = source.secure.or(wire.is_secure().then_some(true));
                request.extensions_mut().insert(source);
            }
            next.run(request).await
        }
        Err(why) => {
            site.metrics.refused(Refused::Host);
            refuse(&why)
        }
    };
    response.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

fn refuse(why: &NoHost) -> Response {
    match why {
        NoHost::Malformed => reply::detail(StatusCode::BAD_REQUEST, "A request names its Host, once"),
        NoHost::Unknown(name) => {
            let line =
                format!("This server is not called {name}; to allow it, write under [server]: hosts = [\"{name}\"]");
            reply::detail(StatusCode::MISDIRECTED_REQUEST, &line)
        }
    }
}

/// Refuses every page that is not the server's own, also where `server.origins` lets others in, and names that such a
/// page could have given itself.
pub(super) fn own_page(site: &Site, parts: &Parts) -> Result<(), Box<Response>> {
    if let Err(why) = site.admission.hosts.check_own(parts.version, &parts.headers) {
        site.metrics.refused(Refused::Host);
        return Err(refuse(&why).into());
    }
    let secure = source(parts).and_then(|source| source.secure);
    if Origins::is_foreign(&parts.headers, secure) {
        site.metrics.refused(Refused::Origin);
        let words = "Forbidden: no page of another origin may read this";
        return Err(reply::detail(StatusCode::FORBIDDEN, words).into());
    }
    Ok(())
}

/// Where the request comes from.
pub(super) fn source(parts: &Parts) -> Option<Source> {
    parts.extensions.get::<Source>().copied()
}

/// Refuses pages of other sites, whatever route they ask for.
pub(super) fn page(site: &Site, parts: &Parts) -> Result<(), String> {
    let secure = source(parts).and_then(|source| source.secure);
    site.origins.judge(&parts.headers, secure).map_err(|stranger| {
        site.metrics.refused(Refused::Origin);
        site.origins.report(&stranger);
        stranger.0
    })
}

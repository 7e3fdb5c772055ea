use std::fmt;
use std::sync::Arc;

use axum::Router;
use axum::response::Response;
use axum::routing::{MethodRouter, any, get, post};
use http::header::{CACHE_CONTROL, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderName, HeaderValue, Method};
use two_buckets_objects::Timestamp;

use crate::problem::Problem;
use crate::routes::{content, server, signed_url, steering, uploads};
use crate::{Grants, KeyTemplate, Tracker};

/// The description of the API (OpenAPI 3.1), as `GET /api/openapi.json` gives it.
pub const OPENAPI: &str = include_str!("../openapi.json");

/// What the API works with.
#[derive(Debug)]
pub struct UploadApi<T, G> {
    /// Where each upload is, and steering it.
    pub tracker: T,
    /// Who signs.
    pub grants: G,
    /// How keys of uploads with a file name are made.
    pub key_template: KeyTemplate,
    /// Time and randomness.
    pub sources: Sources,
}

/// Where time and randomness come from: this crate has none of its own.
#[derive(Clone)]
pub struct Sources {
    /// Wall time now.
    pub now: Arc<dyn Fn() -> Timestamp + Send + Sync>,
    /// At least 80 bits that nobody can guess; lower bits are used.
    pub random: Arc<dyn Fn() -> u128 + Send + Sync>,
}

impl fmt::Debug for Sources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sources(..)")
    }
}

/// The service: every route below `/api`, ready to be merged with the page's router and put behind a
/// [`GuardLayer`](crate::GuardLayer). Without that layer anybody who reaches it may do everything.
///
/// Addresses below `/api` that do not exist, and methods an address does not take, get problem JSON too.
pub fn router<T: Tracker, G: Grants>(api: UploadApi<T, G>) -> Router {
    let mut router = Router::new();
    for route in routes::<T, G>() {
        let refuse = async |method: Method| Problem::MethodNotAllowed(method);
        router = router.route(route.path, route.handler.fallback(refuse));
    }
    let nothing_here = || any(async || Problem::NoSuchRoute);
    router
        .route("/api", nothing_here())
        .route("/api/", nothing_here())
        .route("/api/{*rest}", nothing_here())
        .layer(axum::middleware::map_response(hardened))
        .with_state(Arc::new(api))
}

/// An address of the API and what answers there.
pub(crate) struct Route<S> {
    pub(crate) path: &'static str,
    /// The method it takes; one that takes GET takes HEAD too.
    #[cfg_attr(not(test), expect(dead_code, reason = "compared with openapi.json"))]
    pub(crate) method: Method,
    handler: MethodRouter<S>,
}

type Api<T, G> = Arc<UploadApi<T, G>>;

/// Every address of the API: the router and the test of `openapi.json` both read this.
pub(crate) fn routes<T: Tracker, G: Grants>() -> Vec<Route<Api<T, G>>> {
    let reads = |path, handler| Route {
        path,
        method: Method::GET,
        handler,
    };
    let changes = |path, handler| Route {
        path,
        method: Method::POST,
        handler,
    };
    vec![
        reads("/api/openapi.json", get(server::openapi)),
        reads("/api/server", get(server::facts::<T, G>)),
        reads("/api/uploads", get(uploads::list::<T, G>)),
        reads("/api/uploads/{id}", get(uploads::one::<T, G>)),
        reads("/api/uploads/{id}/content", get(content::download::<T, G>)),
        changes("/api/uploads/{id}/retry", post(steering::retry::<T, G>)),
        changes("/api/retry", post(steering::retry_many::<T, G>)),
        changes("/api/sweep", post(steering::sweep::<T, G>)),
        changes("/api/signedurl", post(signed_url::sign::<T, G>)),
    ]
}

/// What every answer carries: other sites may not embed it, browsers may not guess its type or keep it.
async fn hardened(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(
        HeaderName::from_static("cross-origin-resource-policy"),
        HeaderValue::from_static("same-origin"),
    );
    headers
        .entry(CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
    response
}

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use axum::Router;
use axum::response::Response;
use axum::routing::{MethodRouter, any, delete, get, post, put};
use futures::future::BoxFuture;
use http::header::{CACHE_CONTROL, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderName, HeaderValue, Method};
use two_buckets_objects::Timestamp;

use crate::problem::Problem;
use crate::rate::Rates;
use crate::routes::{
    content, credentials, events, faults, form, logs, metrics, notifications, pausing, replaying,
    s3, server, signed_url, steering, uploads,
};
use crate::{Faults, Grants, KeyTemplate, Metrics, Notifications, Tracker};

/// The description of the API (`OpenAPI` 3.1), as `GET /api/openapi.json` gives it.
pub const OPENAPI: &str = include_str!("../openapi.json");

/// What the API works with.
pub struct UploadApi<T, G> {
    /// Where each upload is, and steering it.
    pub tracker: T,
    /// Who signs.
    pub grants: G,
    /// How keys of uploads with a file name are made.
    pub key_template: KeyTemplate,
    /// Time and randomness.
    pub sources: Sources,
    /// Makes a future that ends when the server is told to stop: streams end with it, so that they hold up no draining.
    pub until_stop: UntilStop,
    /// What switches faults on and off; none where that is not to be had.
    pub faults: Option<Arc<dyn Faults>>,
    /// What tells a monitoring system's figures; none where they are collected in another way.
    pub metrics: Option<Arc<dyn Metrics>>,
    /// Knows of the targets of notifications; none where there are none.
    pub notifications: Option<Arc<dyn Notifications>>,
}

/// See [`UploadApi::until_stop`].
#[derive(Clone)]
pub struct UntilStop(pub Arc<dyn Fn() -> BoxFuture<'static, ()> + Send + Sync>);

impl fmt::Debug for UntilStop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UntilStop(..)")
    }
}

/// What the routes share.
pub(crate) struct Api<T, G> {
    pub(crate) tracker: T,
    pub(crate) grants: G,
    pub(crate) key_template: KeyTemplate,
    pub(crate) sources: Sources,
    pub(crate) until_stop: UntilStop,
    pub(crate) faults: Option<Arc<dyn Faults>>,
    pub(crate) metrics: Option<Arc<dyn Metrics>>,
    pub(crate) notifications: Option<Arc<dyn Notifications>>,
    pub(crate) rates: Rates,
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

/// The service: every route below `/api`, and `/metrics`, ready to be merged with the page's router and put behind a
/// [`GuardLayer`](crate::GuardLayer). Without that layer anybody who reaches it may do everything.
///
/// Addresses below `/api` that do not exist, and methods an address does not take, get problem JSON too.
pub fn router<T: Tracker, G: Grants>(api: UploadApi<T, G>) -> Router {
    let UploadApi {
        tracker,
        grants,
        key_template,
        sources,
        until_stop,
        faults,
        metrics,
        notifications,
    } = api;
    let api = Api {
        tracker,
        grants,
        key_template,
        sources,
        until_stop,
        faults,
        metrics,
        notifications,
        rates: Rates::default(),
    };
    let mut by_path: BTreeMap<&str, Handler<T, G>> = BTreeMap::new();
    for (path, handler) in handlers::<T, G>() {
        let known = by_path.remove(path).unwrap_or_default();
        by_path.insert(path, known.merge(handler));
    }
    let mut router = Router::new();
    for (path, handler) in by_path {
        let refuse = async |method: Method| Problem::MethodNotAllowed(method);
        router = router.route(path, handler.fallback(refuse));
    }
    let nothing_here = || any(async || Problem::NoSuchRoute);
    router
        .route("/api", nothing_here())
        .route("/api/", nothing_here())
        .route("/api/{*rest}", nothing_here())
        .layer(axum::middleware::map_response(hardened))
        .with_state(Arc::new(api))
}

type Handler<T, G> = MethodRouter<Arc<Api<T, G>>>;

/// Makes the table of addresses and the table of handlers from one list, so that they cannot differ.
macro_rules! routes {
    ($($method:ident $path:literal => $handler:expr;)*) => {
        /// Every address of the API with its method: what a gateway in front of it must let through.
        /// What takes `GET` takes `HEAD` too. `openapi.json` is held to this list by a test.
        pub const ROUTES: &[(&str, &str)] = &[$((stringify!($method), $path)),*];

        fn handlers<T: Tracker, G: Grants>() -> Vec<(&'static str, Handler<T, G>)> {
            vec![$(($path, routes!(@ $method)($handler))),*]
        }
    };
    (@ GET) => { get };
    (@ POST) => { post };
    (@ PUT) => { put };
    (@ DELETE) => { delete };
}

routes! {
    GET "/api/openapi.json" => server::openapi;
    GET "/api/server" => server::facts::<T, G>;
    GET "/api/uploads" => uploads::list::<T, G>;
    GET "/api/uploads/{id}" => uploads::one::<T, G>;
    GET "/api/uploads/{id}/logs" => logs::logs::<T, G>;
    GET "/api/uploads/{id}/content" => content::download::<T, G>;
    POST "/api/uploads/{id}/retry" => steering::retry::<T, G>;
    POST "/api/uploads/{id}/cancel" => steering::cancel::<T, G>;
    POST "/api/retry" => steering::retry_many::<T, G>;
    POST "/api/replay" => replaying::replay::<T, G>;
    POST "/api/sweep" => steering::sweep::<T, G>;
    POST "/api/pause" => pausing::pause::<T, G>;
    POST "/api/resume" => pausing::resume::<T, G>;
    GET "/api/faults" => faults::show::<T, G>;
    PUT "/api/faults" => faults::set::<T, G>;
    DELETE "/api/faults" => faults::clear::<T, G>;
    GET "/metrics" => metrics::text::<T, G>;
    GET "/api/notifications" => notifications::show::<T, G>;
    GET "/api/events" => events::listen::<T, G>;
    POST "/api/signedurl" => signed_url::sign::<T, G>;
    POST "/api/credentials" => credentials::make::<T, G>;
    POST "/api/form" => form::sign::<T, G>;
    POST "/api/s3/sign" => s3::sign::sign::<T, G>;
    GET "/api/s3/params" => s3::params::form::<T, G>;
    GET "/api/s3/sts" => s3::sts::credentials::<T, G>;
    POST "/api/s3/multipart" => s3::multipart::create::<T, G>;
    GET "/api/s3/multipart/{upload_id}" => s3::multipart::list::<T, G>;
    DELETE "/api/s3/multipart/{upload_id}" => s3::multipart::abort::<T, G>;
    GET "/api/s3/multipart/{upload_id}/{part_number}" => s3::multipart::sign_part::<T, G>;
    POST "/api/s3/multipart/{upload_id}/complete" => s3::multipart::complete::<T, G>;
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

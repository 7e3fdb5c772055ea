//! Who may ask: finding out who a caller is, and the answer to foreign web pages, which can make a browser send
//! requests here.
//!
//! # Callers
//!
//! Where nobody else can reach the listener ([`Callers::ThisMachine`]) there are no accounts: whoever may open this
//! machine's loopback ports may read, and may write an `Origin` of their choice. Everywhere else ([`Callers::Known`])
//! every call of the API needs a token, reading as well; the page's own files are open to everybody. The admin token
//! is an administrator in both.
//!
//! # Foreign pages
//!
//! - **DNS rebinding** (a foreign name that resolves to us) is stopped by the `Host` check: loopback names, the
//!   address that is bound and the public name, with their port.
//! - **Cross-site requests**: a token is never sent by a browser on its own, so where one is needed no page of
//!   somebody else's can act in a caller's name. Where none is needed, a change needs our own page's `Origin`.
//! - **Reading**: no CORS header is ever sent, but to the pages of [`Access::allowed_origins`]. They too need a token,
//!   for reading as well, and credentials mode (cookies) is never allowed.

mod admin_token;
mod callers;
mod gateway;
mod hosts;
mod issuer;
mod jwt;
mod known_tokens;
mod origin;

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::Body;
use axum::response::IntoResponse;
use futures::future::{BoxFuture, FutureExt as _};
use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD,
    AUTHORIZATION, HOST, ORIGIN, VARY,
};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use tower::{Layer, Service};
use two_buckets_objects::Timestamp;

pub use admin_token::{AdminToken, InvalidToken};
pub use callers::{Callers, KnownCallers};
pub use gateway::{Gateway, GatewayAccess, GatewayLayer, Signing, Vouched};
pub use issuer::{FetchDocument, Issuer, KeysAddress};
pub use jwt::{Algorithm, ClaimName, ClaimRules, InvalidAlgorithm, InvalidClaimName, TokenRules};
pub use known_tokens::{InvalidTokenDigest, KnownTokens, TokenDigest};
pub use origin::{InvalidOrigin, WebOrigin};

use crate::problem::Problem;
use crate::rate::Rates;
use hosts::Hosts;

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
/// How long a browser may keep the answer to a preflight. Chromium keeps none for more than two hours.
const PREFLIGHT_LIFE_S: &str = "600";
/// How many calls without a good token are answered as such in a minute, for each address they come from.
const REFUSALS_PER_MINUTE: u32 = 60;

/// The client's address, put into a request's extensions by the listener. Refused calls are counted by it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ClientAddress(pub IpAddr);

/// How a web listener is reached, and by whom.
#[derive(Clone)]
pub struct Access {
    /// The address that is bound.
    pub bound: SocketAddr,
    /// Whether the listener has TLS of its own.
    pub is_tls: bool,
    /// Under which other name clients reach it, if there is one.
    pub public: Option<WebOrigin>,
    /// The pages, beside our own, whose scripts may call the API with a token.
    pub allowed_origins: Vec<WebOrigin>,
    /// The administrator's token.
    pub admin_token: AdminToken,
    /// Who else may call.
    pub callers: Callers,
    /// How many calls one known caller may make in a minute, and as many at once after a minute of quiet.
    pub requests_per_minute: u32,
    /// Wall time now.
    pub now: Arc<dyn Fn() -> Timestamp + Send + Sync>,
}

/// The listener could be reached by others, but nobody is asked who they are.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0} can be reached from other machines, and no callers are configured")]
pub struct OpenToOthers(String);

/// Puts a [`Guard`] before a service. Put it around everything the listener serves, the page as well.
#[derive(Clone)]
pub struct GuardLayer(Arc<Rules>);

struct Rules {
    hosts: Hosts,
    allowed_origins: Vec<WebOrigin>,
    admin_token: AdminToken,
    callers: Callers,
    requests_per_minute: u32,
    requests: Rates,
    refusals: Rates,
    now: Arc<dyn Fn() -> Timestamp + Send + Sync>,
}

impl GuardLayer {
    /// Guards a listener. One that others can reach and that asks nobody who they are is refused.
    pub fn new(access: Access) -> Result<Self, OpenToOthers> {
        if matches!(access.callers, Callers::ThisMachine) {
            if !access.bound.ip().is_loopback() {
                return Err(OpenToOthers(access.bound.to_string()));
            }
            if let Some(public) = access.public.filter(|public| !public.is_loopback()) {
                return Err(OpenToOthers(public.to_string()));
            }
            return Ok(Self::of(Access {
                public: None,
                ..access
            }));
        }
        Ok(Self::of(access))
    }

    fn of(access: Access) -> Self {
        Self(Arc::new(Rules {
            hosts: Hosts {
                bound: access.bound,
                is_tls: access.is_tls,
                public: access.public,
            },
            allowed_origins: access.allowed_origins,
            admin_token: access.admin_token,
            callers: access.callers,
            requests_per_minute: access.requests_per_minute,
            requests: Rates::default(),
            refusals: Rates::default(),
            now: access.now,
        }))
    }
}

/// What is to be done with a request.
enum Passage {
    /// Hand it on.
    Through,
    /// It only asked what it may ask.
    Preflight,
}

impl Rules {
    /// Finds out who asks and puts them into the request's extensions, or says why not.
    async fn admit(&self, parts: &mut Parts) -> Result<Passage, Problem> {
        let host = only(&parts.headers, &HOST)
            .filter(|host| self.hosts.are_ours(host))
            .ok_or_else(|| self.foreign_host())?;
        // A request in absolute form names the host twice and the first one counts (RFC 9112, section 3.2.2).
        if parts
            .uri
            .authority()
            .is_some_and(|named| !self.hosts.are_ours(named.as_str()))
        {
            return Err(self.foreign_host());
        }
        let is_allowed_page = allowed_origin(&self.allowed_origins, &parts.headers).is_some();
        if is_allowed_page && is_preflight(parts) {
            return Ok(Passage::Preflight);
        }
        let reads = matches!(parts.method, Method::GET | Method::HEAD);
        if reads && !is_of_api(parts.uri.path()) {
            return Ok(Passage::Through);
        }
        let caller = if parts.headers.contains_key(AUTHORIZATION) {
            // Who sends a token means it: a wrong one is not made good by the right origin.
            let token = only(&parts.headers, &AUTHORIZATION).and_then(bearer);
            let caller = self
                .caller_with(token.unwrap_or_default(), client(parts))
                .await?;
            // No browser sends a token on its own, so whatever page asks for this, it is no forgery.
            parts.headers.remove(SEC_FETCH_SITE);
            caller
        } else if let Callers::Known(_) = self.callers {
            return Err(self.refused(Problem::TokenNeeded, client(parts)));
        } else if is_allowed_page {
            return Err(Problem::NobodyKnown);
        } else if reads {
            callers::this_machine()
        } else if !parts.headers.contains_key(ORIGIN) {
            return Err(Problem::NobodyKnown);
        } else if only(&parts.headers, &ORIGIN)
            .is_some_and(|origin| self.hosts.is_our_page(origin, host))
        {
            callers::this_machine()
        } else {
            return Err(Problem::ForeignOrigin);
        };
        parts.extensions.insert(caller);
        Ok(Passage::Through)
    }

    async fn caller_with(
        &self,
        token: &str,
        client: Option<IpAddr>,
    ) -> Result<crate::Caller, Problem> {
        if self.admin_token.is(token.as_bytes()) {
            return Ok(callers::administrator(self.is_here(client)));
        }
        let Callers::Known(known) = &self.callers else {
            return Err(self.refused(Problem::WrongToken, client));
        };
        let now = (self.now)();
        let caller = match known.find(token, now).await {
            Ok(caller) => caller,
            Err(problem @ Problem::TokenRefused(_)) => return Err(self.refused(problem, client)),
            Err(problem) => return Err(problem),
        };
        self.requests
            .count(&caller.counted_as(), self.requests_per_minute, now)
            .map_err(|wait| Problem::TooOften { wait })?;
        Ok(caller)
    }

    /// Whether a client is on this machine. One of whom nothing is known is not.
    fn is_here(&self, client: Option<IpAddr>) -> bool {
        client.is_some_and(|client| client.is_loopback() || client == self.hosts.bound.ip())
    }

    /// The problem as it is, unless this client has caused many already. A good token is answered even then.
    fn refused(&self, problem: Problem, client: Option<IpAddr>) -> Problem {
        let name = client.map_or_else(String::new, |address| address.to_string());
        match self
            .refusals
            .count(&name, REFUSALS_PER_MINUTE, (self.now)())
        {
            Ok(()) => problem,
            Err(wait) => Problem::TooOften { wait },
        }
    }

    fn foreign_host(&self) -> Problem {
        Problem::ForeignHost {
            public: self.hosts.public.as_ref().map(ToString::to_string),
        }
    }
}

/// Whether a path is the API's. Routing compares a path's bytes as they are, so what this says no to is nothing of it.
fn is_of_api(path: &str) -> bool {
    ["/api", "/metrics"].iter().any(|it| path.starts_with(it))
}

/// The request's `Origin`, if it is that of a page that may call.
fn allowed_origin(allowed: &[WebOrigin], headers: &HeaderMap) -> Option<HeaderValue> {
    let sent = only(headers, &ORIGIN)?;
    allowed
        .iter()
        .any(|allowed| allowed.to_string() == sent)
        .then(|| headers.get(ORIGIN).cloned())
        .flatten()
}

/// Whether it only asks what it may ask.
fn is_preflight(parts: &Parts) -> bool {
    parts.method == Method::OPTIONS && parts.headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD)
}

fn preflight_answer() -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    for (name, value) in [
        (ACCESS_CONTROL_ALLOW_METHODS, "GET, HEAD, POST, DELETE"),
        // `*` does not cover Authorization (Fetch, "CORS-preflight fetch").
        (
            ACCESS_CONTROL_ALLOW_HEADERS,
            "Authorization, Content-Type, Last-Event-ID, Range",
        ),
        (ACCESS_CONTROL_MAX_AGE, PREFLIGHT_LIFE_S),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

/// Lets the script of the page at this origin read the answer, if it is one that may. There is no `Allow-Credentials`: a
/// token is sent by the script itself.
fn allow_reading(response: &mut Response<Body>, origin: Option<HeaderValue>) {
    let headers = response.headers_mut();
    headers.append(VARY, HeaderValue::from_static("Origin"));
    let Some(origin) = origin else { return };
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers.insert(
        ACCESS_CONTROL_EXPOSE_HEADERS,
        HeaderValue::from_static(
            "Content-Disposition, Content-Range, ETag, Retry-After, WWW-Authenticate",
        ),
    );
}

fn client(parts: &Parts) -> Option<IpAddr> {
    parts
        .extensions
        .get::<ClientAddress>()
        .map(|ClientAddress(address)| *address)
}

/// The header's value if it is there exactly once and is text.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?;
    match values.next() {
        None => value.to_str().ok(),
        Some(_) => None,
    }
}

/// The token in `Bearer token`; the scheme is in any case (RFC 9110, section 11.1).
fn bearer(authorization: &str) -> Option<&str> {
    let (scheme, token) = authorization.split_once(' ')?;
    scheme
        .eq_ignore_ascii_case("bearer")
        .then(|| token.trim_start_matches(' '))
}

impl fmt::Debug for GuardLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GuardLayer")
            .field("hosts", &self.0.hosts)
            .field("callers", &self.0.callers)
            .finish_non_exhaustive()
    }
}

impl<S> Layer<S> for GuardLayer {
    type Service = Guard<S>;

    fn layer(&self, inner: S) -> Guard<S> {
        Guard {
            layer: self.clone(),
            inner,
        }
    }
}

/// Answers requests that may not pass itself, with problem JSON, and hands the others on with their
/// [`Caller`](crate::Caller) in their extensions.
#[derive(Clone, Debug)]
pub struct Guard<S> {
    layer: GuardLayer,
    inner: S,
}

impl<S, B> Service<Request<B>> for Guard<S>
where
    S: Service<Request<B>> + Clone + Send + 'static,
    S::Response: IntoResponse,
    S::Future: Send,
    B: Send + 'static,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Self::Response, S::Error>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let rules = Arc::clone(&self.layer.0);
        // The one that was found ready is the one to call.
        let fresh = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, fresh);
        async move {
            let (mut parts, body) = request.into_parts();
            let allowed_origin = allowed_origin(&rules.allowed_origins, &parts.headers);
            let mut response = match rules.admit(&mut parts).await {
                Ok(Passage::Through) => inner
                    .call(Request::from_parts(parts, body))
                    .await?
                    .into_response(),
                Ok(Passage::Preflight) => preflight_answer(),
                Err(problem) => problem.into_response(),
            };
            if !rules.allowed_origins.is_empty() {
                allow_reading(&mut response, allowed_origin);
            }
            Ok(response)
        }
        .boxed()
    }
}

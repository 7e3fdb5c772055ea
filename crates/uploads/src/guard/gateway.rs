//! Who may ask where a gateway stands in front that has found out who they are, as API Gateway does for a Lambda
//! function.
//!
//! What it found out comes beside the request, in its extensions, and never from a header: those a client writes. A call
//! of the API without it is refused, so that a route which the gateway leaves open by mistake opens nothing. The `Host`
//! is the gateway's affair: a request that reached us was routed by it.

use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::Body;
use axum::response::IntoResponse;
use futures::future::{BoxFuture, FutureExt as _};
use http::request::Parts;
use http::{Method, Request, Response};
use serde_json::{Map, Value};
use tower::{Layer, Service};

use super::jwt::ClaimRules;
use super::{
    Passage, SEC_FETCH_SITE, WebOrigin, allow_reading, allowed_origin, is_of_api, is_preflight,
    preflight_answer,
};
use crate::problem::Problem;
use crate::{Caller, Error, KnownBy, UploadLimits};

/// What a gateway says of the caller of a request that it let through: an extension of the request.
#[derive(Clone, PartialEq)]
pub enum Vouched {
    /// These are the claims of their token, whose signature, issuer, audience and times it found good.
    Claims(Map<String, Value>),
    /// Their AWS credentials, of the principal of this name, signed the call, and IAM lets them make it.
    Iam(String),
}

/// How calls are signed, where the gateway asks for it: what a caller without is told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Signing {
    /// They carry a token of the issuer.
    Token,
    /// They are signed with AWS credentials.
    Iam,
}

/// Who may call behind a gateway, and as what.
#[derive(Clone, Debug)]
pub struct GatewayAccess {
    /// How the gateway knows callers. What it says of one that it knows in another way is not believed.
    pub signing: Signing,
    /// What follows from the claims of a token; the limits are those of callers by IAM as well. Those see and steer
    /// everything: which calls somebody may make is what IAM policies say.
    pub claims: ClaimRules,
    /// The pages, beside our own, whose scripts may call the API.
    pub allowed_origins: Vec<WebOrigin>,
    /// Whether the gateway passes an answer on while it is being made. Where it does not, the stream of changes is
    /// refused: it would never come to an end.
    pub streams: bool,
}

/// Puts a [`Gateway`] before a service. Put it around everything that is served, the page as well.
#[derive(Clone, Debug)]
pub struct GatewayLayer(Arc<GatewayAccess>);

impl GatewayLayer {
    /// With these rules.
    pub fn new(access: GatewayAccess) -> Self {
        Self(Arc::new(access))
    }
}

impl GatewayAccess {
    fn admit(&self, parts: &mut Parts) -> Result<Passage, Problem> {
        // A caller comes from here and from nowhere else.
        parts.extensions.remove::<Caller>();
        let vouched = parts.extensions.remove::<Vouched>();
        if allowed_origin(&self.allowed_origins, &parts.headers).is_some() && is_preflight(parts) {
            return Ok(Passage::Preflight);
        }
        let reads = matches!(parts.method, Method::GET | Method::HEAD);
        if reads && !is_of_api(parts.uri.path()) {
            return Ok(Passage::Through);
        }
        let caller = match (self.signing, vouched) {
            (Signing::Token, Some(Vouched::Claims(claims))) => self
                .claims
                .caller(&claims)
                .map_err(|refused| Problem::TokenRefused(refused.to_string()))?,
            (Signing::Iam, Some(Vouched::Iam(name))) => Caller {
                name,
                known_by: KnownBy::Iam,
                prefix: None,
                limits: self.limits().clone(),
                may_steer: true,
            },
            (Signing::Token, _) => return Err(Problem::TokenNeeded),
            (Signing::Iam, _) => {
                return Err(Problem::Forbidden(
                    "only calls that are signed with AWS credentials are answered here".into(),
                ));
            }
        };
        if !self.streams && parts.uri.path() == "/api/events" {
            return Err(Problem::Of(Error::Refused {
                reason: "changes are not streamed here, because what stands in front passes on whole answers only; \
                         ask for the list again instead"
                    .into(),
            }));
        }
        // No browser sends a token or signs a call on its own, so whatever page asks for this, it is no forgery.
        parts.headers.remove(SEC_FETCH_SITE);
        parts.extensions.insert(caller);
        Ok(Passage::Through)
    }

    fn limits(&self) -> &UploadLimits {
        &self.claims.limits
    }
}

/// Claims may say more of a person than a log should.
impl fmt::Debug for Vouched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Claims(_) => "Claims(..)",
            Self::Iam(_) => "Iam(..)",
        })
    }
}

impl<S> Layer<S> for GatewayLayer {
    type Service = Gateway<S>;

    fn layer(&self, inner: S) -> Gateway<S> {
        Gateway {
            layer: self.clone(),
            inner,
        }
    }
}

/// Answers requests that may not pass itself, with problem JSON, and hands the others on with their [`Caller`] in their
/// extensions.
#[derive(Clone, Debug)]
pub struct Gateway<S> {
    layer: GatewayLayer,
    inner: S,
}

impl<S, B> Service<Request<B>> for Gateway<S>
where
    S: Service<Request<B>, Error = Infallible> + Clone + Send + 'static,
    S::Response: IntoResponse,
    S::Future: Send,
    B: Send + 'static,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let access = Arc::clone(&self.layer.0);
        // The one that was found ready is the one to call.
        let fresh = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, fresh);
        async move {
            let (mut parts, body) = request.into_parts();
            let origin = allowed_origin(&access.allowed_origins, &parts.headers);
            let mut response = match access.admit(&mut parts) {
                Ok(Passage::Through) => inner
                    .call(Request::from_parts(parts, body))
                    .await?
                    .into_response(),
                Ok(Passage::Preflight) => preflight_answer(),
                Err(problem) => problem.into_response(),
            };
            if !access.allowed_origins.is_empty() {
                allow_reading(&mut response, origin);
            }
            Ok(response)
        }
        .boxed()
    }
}

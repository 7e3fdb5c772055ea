//! Who may ask: the answer to foreign web pages, which can make a browser on this machine send requests here.
//!
//! DNS rebinding (a foreign name that resolves to loopback) is stopped by the `Host` check, cross-site posting by the
//! `Origin` check, and reading by never sending a CORS header. It does not keep out other programs of this machine:
//! whoever may open its loopback ports may read, and may write an `Origin` of their choice.

use std::net::{IpAddr, SocketAddr};
use std::task::{Context, Poll};
use std::{fmt, net};

use axum::body::Body;
use axum::response::IntoResponse;
use futures::future::{Either, Ready, ready};
use http::header::{AUTHORIZATION, HOST, ORIGIN};
use http::{HeaderMap, HeaderName, Method, Request, Response, Uri};
use subtle::ConstantTimeEq;
use tower::{Layer, Service};

use crate::Caller;
use crate::problem::Problem;

/// The secret that the server leaves in its data folder for the command line. Never shown by `Debug`.
#[derive(Clone)]
pub struct AdminToken(String);

/// A text that is no good as a token.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("an admin token has 32 to 512 characters, visible ASCII without spaces")]
pub struct InvalidToken;

impl std::str::FromStr for AdminToken {
    type Err = InvalidToken;

    fn from_str(token: &str) -> Result<Self, InvalidToken> {
        let visible = token.bytes().all(|byte| byte.is_ascii_graphic());
        if visible && (32..=512).contains(&token.len()) {
            Ok(Self(token.into()))
        } else {
            Err(InvalidToken)
        }
    }
}

impl AdminToken {
    /// Compares in a time that tells nothing but the length.
    fn is(&self, sent: &[u8]) -> bool {
        self.0.as_bytes().ct_eq(sent).into()
    }
}

impl fmt::Debug for AdminToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AdminToken(..)")
    }
}

/// The address is reachable from other machines, where these guards are not enough.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0} is not a loopback address, and callers from elsewhere cannot be authenticated yet")]
pub struct NotLoopback(pub SocketAddr);

/// Puts a [`Guard`] before a service. Put it around everything the listener serves, the page as well.
#[derive(Clone, Debug)]
pub struct GuardLayer {
    port: u16,
    bound: IpAddr,
    token: AdminToken,
}

impl GuardLayer {
    /// Guards a listener that is bound to this loopback address.
    pub fn new(bound: SocketAddr, token: AdminToken) -> Result<Self, NotLoopback> {
        if bound.ip().is_loopback() {
            Ok(Self {
                port: bound.port(),
                bound: bound.ip(),
                token,
            })
        } else {
            Err(NotLoopback(bound))
        }
    }

    fn check(&self, method: &Method, uri: &Uri, headers: &HeaderMap) -> Result<(), Problem> {
        let host = only(headers, &HOST)
            .filter(|host| self.is_ours(host))
            .ok_or(Problem::ForeignHost)?;
        // A request in absolute form names the host twice and the first one counts (RFC 9112, section 3.2.2).
        if uri
            .authority()
            .is_some_and(|named| !self.is_ours(named.as_str()))
        {
            return Err(Problem::ForeignHost);
        }
        if matches!(*method, Method::GET | Method::HEAD) {
            return Ok(());
        }
        if headers.contains_key(AUTHORIZATION) {
            // Who sends a token means it: a wrong one is not made good by the right origin.
            return match only(headers, &AUTHORIZATION).and_then(bearer) {
                Some(token) if self.token.is(token.as_bytes()) => Ok(()),
                _ => Err(Problem::WrongToken),
            };
        }
        if !headers.contains_key(ORIGIN) {
            return Err(Problem::NobodyKnown);
        }
        // Loopback is served without TLS, so our own origin begins with http, and browsers write it in lower case.
        match only(headers, &ORIGIN).and_then(|origin| origin.strip_prefix("http://")) {
            Some(origin) if origin == host.to_ascii_lowercase() => Ok(()),
            _ => Err(Problem::ForeignOrigin),
        }
    }

    /// Says whether `host`, from a `Host` header, is a name of this machine that no DNS decides, with our port.
    fn is_ours(&self, host: &str) -> bool {
        let (name, port) = match host.rsplit_once(':') {
            Some((name, port)) if !port.contains(']') => (name, Some(port)),
            _ => (host, None),
        };
        let port_is_ours = match port {
            Some(port) => !port.starts_with('+') && port.parse() == Ok(self.port),
            None => self.port == 80,
        };
        let address = match name.strip_prefix('[').and_then(|v6| v6.strip_suffix(']')) {
            Some(v6) => v6.parse().ok().map(IpAddr::V6),
            None => name.parse().ok().map(IpAddr::V4),
        };
        port_is_ours
            && match address {
                Some(address) => {
                    address == self.bound
                        || address == IpAddr::V4(net::Ipv4Addr::LOCALHOST)
                        || address == IpAddr::V6(net::Ipv6Addr::LOCALHOST)
                }
                None => name.eq_ignore_ascii_case("localhost"),
            }
    }
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

impl<S> Layer<S> for GuardLayer {
    type Service = Guard<S>;

    fn layer(&self, inner: S) -> Guard<S> {
        Guard {
            layer: self.clone(),
            inner,
        }
    }
}

/// Answers requests of foreign pages itself, with problem JSON, and hands the others on.
///
/// Every request needs a `Host` that is loopback with our port; any method but GET and HEAD also needs the admin token
/// or the `Origin` of our own page.
#[derive(Clone, Debug)]
pub struct Guard<S> {
    layer: GuardLayer,
    inner: S,
}

impl<S, B> Service<Request<B>> for Guard<S>
where
    S: Service<Request<B>>,
    S::Response: IntoResponse,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Either<
        Ready<Result<Self::Response, S::Error>>,
        futures::future::MapOk<S::Future, fn(S::Response) -> Response<Body>>,
    >;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        use futures::TryFutureExt as _;
        match self
            .layer
            .check(request.method(), request.uri(), request.headers())
        {
            Ok(()) => {
                // Who reaches this machine's loopback is trusted like its owner.
                request.extensions_mut().insert(Caller::unlimited("local"));
                let answer = self.inner.call(request);
                Either::Right(
                    answer.map_ok(IntoResponse::into_response as fn(S::Response) -> Response<Body>),
                )
            }
            Err(problem) => Either::Left(ready(Ok(problem.into_response()))),
        }
    }
}

use std::error::Error as StdError;
use std::net::SocketAddr;
use std::sync::Arc;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::Watcher;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, rustls};

use super::{Peer, TrustedProxies};
use crate::Limits;

/// The most header lines of one request.
const HEADERS_MAX: usize = 200;

/// One connection that was let in.
pub(super) struct Connection {
    pub(super) name: &'static str,
    pub(super) limits: Limits,
    pub(super) address: SocketAddr,
    pub(super) tls: Option<Arc<rustls::ServerConfig>>,
    pub(super) proxies: TrustedProxies,
    pub(super) watcher: Watcher,
}

impl Connection {
    /// Shakes hands if there is TLS, and answers requests until either side has enough.
    pub(super) async fn serve<S, B>(self, stream: TcpStream, service: S)
    where
        S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
        S::Future: Send + 'static,
        S::Error: Into<Box<dyn StdError + Send + Sync>>,
        B: http_body::Body + Send + 'static,
        B::Data: Send,
        B::Error: Into<Box<dyn StdError + Send + Sync>>,
    {
        let name = self.name;
        let Some(tls) = self.tls.clone() else {
            return self.answer(stream, service).await;
        };
        let shaking = TlsAcceptor::from(tls).accept(stream);
        match tokio::time::timeout(self.limits.handshake_timeout, shaking).await {
            Ok(Ok(stream)) => self.answer(stream, service).await,
            // Scanners, browsers that do not know the certificate, and plain HTTP by mistake.
            Ok(Err(error)) => tracing::debug!(%error, "no TLS came about with a client of {name}"),
            Err(_) => tracing::debug!("a client of {name} did not finish its TLS handshake"),
        }
    }

    async fn answer<S, B>(self, stream: impl AsyncRead + AsyncWrite + Unpin + 'static, service: S)
    where
        S: Service<Request<Incoming>, Response = Response<B>> + Clone,
        S::Error: Into<Box<dyn StdError + Send + Sync>>,
        B: http_body::Body + 'static,
        B::Error: Into<Box<dyn StdError + Send + Sync>>,
    {
        let Self {
            name,
            limits,
            address,
            tls,
            proxies,
            watcher,
        } = self;
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(limits.header_read_timeout)
            .max_headers(HEADERS_MAX)
            .serve_connection(
                TokioIo::new(stream),
                service_fn(move |mut request: Request<Incoming>| {
                    let peer = Peer::of(address.ip(), tls.is_some(), &proxies, request.headers());
                    request.extensions_mut().insert(peer);
                    service.call(request)
                }),
            );
        if let Err(error) = watcher.watch(connection).await {
            // Clients go away; what that did to their request is the service's affair.
            tracing::debug!(%error, "a connection to {name} broke off");
        }
    }
}

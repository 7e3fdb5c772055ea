//! One listening socket of the program.

use std::net::SocketAddr;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::service::service_fn;
use tokio::net::TcpListener;
use two_buckets_s3_api::{Listening, Peer, S3Service};
use two_buckets_uploads::ClientAddress;

use crate::failure::Failure;

/// A socket that listens and does not accept yet.
pub(crate) struct Listener {
    tcp: TcpListener,
    address: SocketAddr,
}

impl Listener {
    /// Takes the address; port 0 takes a free port. `flag` names the setting, for the sentence when it is taken.
    pub(crate) async fn bind(
        name: &'static str,
        flag: &'static str,
        wanted: SocketAddr,
    ) -> Result<Self, Failure> {
        let refused = |error: std::io::Error| {
            let why = match error.kind() {
                std::io::ErrorKind::AddrInUse => "is in use by another program".to_owned(),
                std::io::ErrorKind::PermissionDenied => "may not be used by this user".to_owned(),
                _ => format!("cannot be used: {error}"),
            };
            Failure::usage(format!(
                "the address {wanted} for {name} {why}; give another by --{flag}"
            ))
        };
        let tcp = TcpListener::bind(wanted).await.map_err(refused)?;
        let address = tcp.local_addr().map_err(refused)?;
        Ok(Self { tcp, address })
    }

    /// The address taken.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves S3 until `stop` ends, and drains.
    pub(crate) async fn serve_s3(
        self,
        service: S3Service,
        listening: Listening,
        stop: impl Future<Output = ()> + Send,
    ) {
        service.listen(self.tcp, listening, stop).await;
    }

    /// Serves the page and its API until `stop` ends, and drains.
    pub(crate) async fn serve_web<S, B>(
        self,
        service: S,
        listening: Listening,
        stop: impl Future<Output = ()>,
    ) where
        S: hyper::service::Service<Request<Incoming>, Response = Response<B>>
            + Clone
            + Send
            + 'static,
        S::Future: Send + 'static,
        S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
        B: http_body::Body + Send + 'static,
        B::Data: Send,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let service = service_fn(move |mut request: Request<Incoming>| {
            // The API knows nothing of the S3 listener's words.
            if let Some(peer) = request.extensions().get::<Peer>().copied() {
                request.extensions_mut().insert(ClientAddress(peer.address));
            }
            service.call(request)
        });
        two_buckets_s3_api::serve(self.tcp, service, listening, stop).await;
    }
}

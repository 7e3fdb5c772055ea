//! One listening socket: accepts connections, hands their requests to a service, and drains when told.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use two_buckets_s3_api::{Limits, S3Service};

use crate::failure::Failure;

/// The most connections at once, so that a flood costs memory of a known size; the next wait to be accepted.
const CONNECTIONS_MAX: usize = 1024;
/// The longest wait for the head of a request, idle time between requests included. Clients keep connections for
/// about a minute (boto3, the Go SDK 90 s) and open another when theirs is closed.
const HEAD_TIMEOUT: Duration = Duration::from_secs(90);
/// The longest wait before accepting again, once the system refused for want of file descriptors or memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A socket that listens and does not accept yet.
pub(crate) struct Listener {
    name: &'static str,
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
        Ok(Self { name, tcp, address })
    }

    /// The address taken.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves S3 until `stop` ends, within the bounds that the service was made with.
    pub(crate) async fn serve_s3(
        self,
        service: S3Service,
        stop: impl Future<Output = ()> + Send,
        limits: Limits,
    ) {
        service.serve(self.tcp, limits, stop).await;
    }

    /// Serves until `stop` ends; then closes the socket and gives the requests under way `drain_max` to finish.
    /// Dropping this closes all connections at once.
    pub(crate) async fn serve<S, B>(
        self,
        service: S,
        stop: impl Future<Output = ()>,
        drain_max: Duration,
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
        let Self { name, tcp, .. } = self;
        let graceful = GracefulShutdown::new();
        let mut connections = JoinSet::new();
        let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        tokio::pin!(stop);
        loop {
            let accepted = async {
                let permit = Arc::clone(&room)
                    .acquire_owned()
                    .await
                    .expect("nobody closes the semaphore");
                (permit, accept(&tcp, name).await)
            };
            let (permit, stream) = tokio::select! {
                accepted = accepted => accepted,
                () = &mut stop => break,
            };
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD_TIMEOUT)
                .serve_connection(TokioIo::new(stream), service.clone());
            let connection = graceful.watch(connection);
            connections.spawn(async move {
                if let Err(error) = connection.await {
                    // Clients go away; what that did to their request is the service's affair.
                    tracing::debug!(%error, "a connection to {name} broke off");
                }
                drop(permit);
            });
            while connections.try_join_next().is_some() {}
        }
        drop(tcp);
        if tokio::time::timeout(drain_max, graceful.shutdown())
            .await
            .is_err()
        {
            tracing::warn!(
                connections = connections.len(),
                "requests to {name} did not end within {} s and are cut off",
                drain_max.as_secs()
            );
        }
        connections.shutdown().await;
    }
}

async fn accept(tcp: &TcpListener, name: &'static str) -> TcpStream {
    loop {
        match tcp.accept().await {
            Ok((stream, _)) => {
                // Answers are small and latency counts; failing to say so costs nothing else.
                if let Err(error) = stream.set_nodelay(true) {
                    tracing::debug!(%error, "a connection to {name} cannot be made prompt");
                }
                return stream;
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept connections to {name} now");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

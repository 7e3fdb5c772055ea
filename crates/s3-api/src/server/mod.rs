//! Listening: one accept loop for every listener of the program, with or without TLS, in bounds.

mod connection;
mod peer;
mod seats;

use std::error::Error as StdError;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::service::{Service, service_fn};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::rustls;

use crate::{Limits, S3Service, faults};
use connection::Connection;
pub use peer::{InvalidNetwork, Network, Peer, TrustedProxies};
use seats::Seats;

/// How long to wait before accepting again after the system had no file handle left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How to listen.
#[derive(Clone)]
pub struct Listening {
    /// What the listener is called in logs.
    pub name: &'static str,
    /// Its bounds.
    pub limits: Limits,
    /// TLS; none for plain HTTP. Certificates are renewed behind its resolver, so that no connection is dropped.
    pub tls: Option<Arc<rustls::ServerConfig>>,
    /// The proxies that stand in front. If there are any, what they say of the client is believed, and without TLS
    /// nobody else but this machine may connect.
    pub proxies: TrustedProxies,
}

impl Listening {
    /// Plain HTTP with nothing in front.
    pub fn plain(name: &'static str, limits: Limits) -> Self {
        Self {
            name,
            limits,
            tls: None,
            proxies: TrustedProxies::default(),
        }
    }

    /// Without TLS of our own, whoever goes round the proxy would send their token in the clear.
    fn admits(&self, address: SocketAddr) -> bool {
        let address = address.ip().to_canonical();
        self.tls.is_some()
            || self.proxies.is_empty()
            || address.is_loopback()
            || self.proxies.contains(address)
    }
}

/// Serves HTTP/1.1 on a listener until `shutdown` ends; then closes the socket, lets requests under way finish for
/// [`Limits::drain_timeout`] and cuts off the rest. Dropping the future cuts off everything at once.
///
/// Each request carries its [`Peer`] in its extensions.
pub async fn serve<S, B>(
    listener: TcpListener,
    service: S,
    listening: Listening,
    shutdown: impl Future<Output = ()>,
) where
    S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Into<Box<dyn StdError + Send + Sync>>,
    B: http_body::Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    let Listening { name, limits, .. } = listening;
    let mut shutdown = std::pin::pin!(shutdown);
    let graceful = GracefulShutdown::new();
    let room = Arc::new(Semaphore::new(limits.connections_max));
    let seats = Seats::new(limits.connections_per_client_max);
    let told_of_strangers = AtomicBool::new(false);
    let mut connections = tokio::task::JoinSet::new();
    loop {
        let accepted = async {
            let permit = Arc::clone(&room)
                .acquire_owned()
                .await
                .expect("the semaphore is never closed");
            (permit, accept(&listener, name).await)
        };
        let (permit, (stream, address)) = tokio::select! {
            () = &mut shutdown => break,
            accepted = accepted => accepted,
        };
        while connections.try_join_next().is_some() {}
        if !listening.admits(address) {
            // Once is enough to find a wrong setting; more would let strangers fill the log.
            if !told_of_strangers.swap(true, Ordering::Relaxed) {
                tracing::warn!(
                    "connections to {name} from {} are refused: without TLS here, only this machine and the proxies of --behind-proxy may connect",
                    address.ip()
                );
            }
            continue;
        }
        let is_proxy = listening.proxies.contains(address.ip().to_canonical());
        let seat = match seats.take(address.ip()) {
            Some(seat) => Some(seat),
            // A proxy brings everybody's connections.
            None if is_proxy => None,
            None => {
                tracing::debug!("{} has too many connections to {name}", address.ip());
                continue;
            }
        };
        let connection = Connection {
            name,
            limits,
            address,
            tls: listening.tls.clone(),
            proxies: listening.proxies.clone(),
            watcher: graceful.watcher(),
        };
        let service = service.clone();
        connections.spawn(async move {
            connection.serve(stream, service).await;
            drop((permit, seat));
        });
    }
    drop(listener);
    if tokio::time::timeout(limits.drain_timeout, graceful.shutdown())
        .await
        .is_err()
    {
        tracing::warn!(
            connections = connections.len(),
            "requests to {name} did not end within {} s and are cut off",
            limits.drain_timeout.as_secs()
        );
    }
    connections.shutdown().await;
}

async fn accept(listener: &TcpListener, name: &str) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok((stream, address)) => {
                // Answers are small and latency counts; failing to say so costs nothing else.
                if let Err(error) = stream.set_nodelay(true) {
                    tracing::debug!(%error, "a connection to {name} cannot be made prompt");
                }
                return (stream, address);
            }
            Err(error) if is_of_one_connection(&error) => {}
            Err(error) => {
                tracing::warn!(%error, "cannot accept connections to {name} now");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

impl S3Service {
    /// Serves S3 in plain HTTP, with nothing in front, as [`serve`] does.
    pub async fn serve(
        self,
        listener: TcpListener,
        limits: Limits,
        shutdown: impl Future<Output = ()> + Send,
    ) {
        self.listen(listener, Listening::plain("S3", limits), shutdown)
            .await;
    }

    /// Serves S3 as [`serve`] does.
    pub async fn listen(
        self,
        listener: TcpListener,
        listening: Listening,
        shutdown: impl Future<Output = ()> + Send,
    ) {
        let service = service_fn(move |request| {
            let service = self.clone();
            async move {
                let answer = service.call(request).await;
                if answer.extensions().get::<faults::Unsent>().is_some() {
                    // An error is how hyper is told to end the connection without a word.
                    return Err(CutOff);
                }
                Ok(answer)
            }
        });
        serve(listener, service, listening, shutdown).await;
    }
}

/// Why a connection ends without an answer.
#[derive(Debug, thiserror::Error)]
#[error("a fault cut the connection")]
struct CutOff;

/// Errors that say something of the one connection only.
fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
    )
}

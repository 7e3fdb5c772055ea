use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use crate::{Limits, Peer, S3Service};

/// How long to wait before accepting again after the system had no file handle left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// The most header lines of one request.
const HEADERS_MAX: usize = 200;

impl S3Service {
    /// Serves HTTP/1.1 on a listener until `shutdown` ends; then lets requests under way finish for
    /// [`Limits::drain_timeout`] and cuts off the rest. Dropping the future cuts off everything at once.
    pub async fn serve(
        self,
        listener: TcpListener,
        limits: Limits,
        shutdown: impl Future<Output = ()> + Send,
    ) -> io::Result<()> {
        let mut shutdown = std::pin::pin!(shutdown);
        let graceful = GracefulShutdown::new();
        let seats = Arc::new(Semaphore::new(limits.connections_max));
        let mut connections = tokio::task::JoinSet::new();
        loop {
            let seat = tokio::select! {
                () = &mut shutdown => break,
                seat = seats.clone().acquire_owned() => {
                    seat.expect("the semaphore is never closed")
                }
            };
            let (stream, from) = tokio::select! {
                () = &mut shutdown => break,
                accepted = listener.accept() => match accepted {
                    Ok(accepted) => accepted,
                    Err(error) if is_of_one_connection(&error) => continue,
                    Err(error) => {
                        tracing::warn!(%error, "a connection could not be accepted");
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                        continue;
                    }
                },
            };
            if let Err(error) = stream.set_nodelay(true) {
                tracing::debug!(%error, "TCP_NODELAY could not be set");
            }
            let service = self.clone();
            let peer = Peer {
                address: from.ip(),
                over_tls: false,
            };
            let connection = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(limits.header_read_timeout)
                .max_headers(HEADERS_MAX)
                .serve_connection(
                    TokioIo::new(stream),
                    service_fn(move |mut request| {
                        request.extensions_mut().insert(peer);
                        let service = service.clone();
                        async move { Ok::<_, Infallible>(service.call(request).await) }
                    }),
                );
            let connection = graceful.watch(connection);
            connections.spawn(async move {
                if let Err(error) = connection.await {
                    tracing::debug!(%error, "a connection ended badly");
                }
                drop(seat);
            });
            while connections.try_join_next().is_some() {}
        }
        drop(listener);
        if tokio::time::timeout(limits.drain_timeout, graceful.shutdown())
            .await
            .is_err()
        {
            tracing::warn!("some requests did not finish in time and are cut off");
        }
        connections.shutdown().await;
        Ok(())
    }
}

/// Errors that say something of the one connection only.
fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
    )
}

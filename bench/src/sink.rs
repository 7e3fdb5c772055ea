//! The measure of the machine: a server that reads each body and answers 200, and nothing more.

use std::convert::Infallible;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::net::TcpListener;
use tokio::process::{Child, Command};

use crate::process;

/// A sink in a process of its own; dropping it ends it.
pub(crate) struct Sink {
    address: String,
    process: Child,
}

impl Sink {
    /// Starts this program again as a sink, and waits for its address.
    pub(crate) async fn start() -> Result<Self> {
        let mut process = Command::new(std::env::current_exe()?)
            .arg("sink")
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let stdout = process.stdout.take().expect("stdout was piped");
        let address = BufReader::new(stdout)
            .lines()
            .next_line()
            .await?
            .context("the sink printed no address")?;
        Ok(Self { address, process })
    }

    /// The processor time it has used, its own and the kernel's for it.
    pub(crate) fn cpu(&self) -> Result<Duration> {
        process::cpu(self.process.id().context("the sink has ended")?)
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> String {
        self.address.clone()
    }
}

/// Prints its address, then answers until the process is ended.
pub(crate) async fn serve() -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?);
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        tokio::spawn(
            http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(swallow)),
        );
    }
}

async fn swallow(request: Request<Incoming>) -> Result<Response<Empty<Bytes>>, Infallible> {
    // A client that goes away in the middle ends its own connection; there is nobody to tell.
    drop(request.into_body().collect().await);
    Ok(Response::new(Empty::new()))
}

//! The client that both sides are measured with: signed PUTs over keep-alive connections.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use bytes::Bytes;
use http::{Method, Request};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use two_buckets_s3_api::{Credentials, sign};

use crate::clock;

/// The key pair the server is started with.
pub(crate) const ACCESS_KEY_ID: &str = "AKIATWOBUCKETSBENCH0";
/// Its secret half.
pub(crate) const SECRET_ACCESS_KEY: &str = "only-for-a-server-that-lives-for-one-benchmark";

const REGION: &str = "us-east-1";
const BUCKET: &str = "staging";

/// Files to be put.
pub(crate) struct Load {
    pub(crate) address: String,
    pub(crate) prefix: String,
    pub(crate) files: u32,
    pub(crate) connections: u32,
    pub(crate) size: usize,
}

/// Puts every file, each connection taking the next one that is left, and returns how long each PUT took.
pub(crate) async fn put_all(load: Load) -> Result<Vec<Duration>> {
    let load = Arc::new(load);
    let next = Arc::new(AtomicU32::new(0));
    let mut connections = JoinSet::new();
    for _ in 0..load.connections {
        let (load, next) = (Arc::clone(&load), Arc::clone(&next));
        connections.spawn(async move {
            let mut latencies = Vec::new();
            let mut connection = Connection::open(load.address.clone()).await?;
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= load.files {
                    return anyhow::Ok(latencies);
                }
                let key = format!("{}/{number}", load.prefix);
                latencies.push(connection.put(&key, load.size).await?);
            }
        });
    }
    let mut latencies = Vec::new();
    while let Some(done) = connections.join_next().await {
        latencies.extend(done??);
    }
    Ok(latencies)
}

/// One connection, used by one request at a time.
pub(crate) struct Connection {
    host: String,
    credentials: Credentials,
    sender: SendRequest<Full<Bytes>>,
}

impl Connection {
    /// Connects to an address, such as `127.0.0.1:9000`.
    pub(crate) async fn open(host: String) -> Result<Self> {
        let stream = TcpStream::connect(&host).await.context("connect")?;
        stream.set_nodelay(true)?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        let credentials = Credentials {
            access_key_id: ACCESS_KEY_ID.into(),
            secret_access_key: SECRET_ACCESS_KEY.into(),
        };
        Ok(Self {
            host,
            credentials,
            sender,
        })
    }

    /// Puts a file of bytes that no other key has, its hash signed, and returns the time from request to answer.
    pub(crate) async fn put(&mut self, key: &str, size: usize) -> Result<Duration> {
        let body: Bytes = key.bytes().chain([b'\n']).cycle().take(size).collect();
        let to_sign = sign::Request {
            method: &Method::PUT,
            host: &self.host,
            bucket: Some(BUCKET),
            key: Some(key),
            query: &[],
            headers: &[],
        };
        let hash = sign::sha256_hex(&body);
        let mut request = Request::put(to_sign.target()).header(http::header::HOST, &self.host);
        for (name, value) in sign::sign_headers(
            &self.credentials,
            None,
            REGION,
            &to_sign,
            &hash,
            clock::stamp(),
        ) {
            request = request.header(name, value);
        }
        let request = request.body(Full::new(body))?;
        let began = clock::now();
        let (status, answer) = send(&mut self.sender, request).await?;
        let took = began.elapsed();
        if !status.is_success() {
            bail!("PUT {key}: {status}: {}", String::from_utf8_lossy(&answer));
        }
        Ok(took)
    }

    /// Gets a path with a bearer token and returns the body.
    pub(crate) async fn get(&mut self, path: &str, token: &str) -> Result<Bytes> {
        self.call(Method::GET, path, token, Bytes::new()).await
    }

    /// Posts an empty JSON object to a path with a bearer token.
    pub(crate) async fn post(&mut self, path: &str, token: &str) -> Result<()> {
        self.call(Method::POST, path, token, Bytes::from_static(b"{}"))
            .await?;
        Ok(())
    }

    async fn call(
        &mut self,
        method: Method,
        path: &str,
        token: &str,
        json: Bytes,
    ) -> Result<Bytes> {
        let request = Request::builder()
            .method(&method)
            .uri(path)
            .header(http::header::HOST, &self.host)
            .header(http::header::AUTHORIZATION, format!("Bearer {token}"))
            .header(http::header::CONTENT_TYPE, "application/json")
            .body(Full::new(json))?;
        let (status, answer) = send(&mut self.sender, request).await?;
        if !status.is_success() {
            bail!(
                "{method} {path}: {status}: {}",
                String::from_utf8_lossy(&answer)
            );
        }
        Ok(answer)
    }
}

async fn send(
    sender: &mut SendRequest<Full<Bytes>>,
    request: Request<Full<Bytes>>,
) -> Result<(http::StatusCode, Bytes)> {
    sender.ready().await?;
    let answer = sender.send_request(request).await?;
    let status = answer.status();
    Ok((status, answer.into_body().collect().await?.to_bytes()))
}

//! The client that all sides are measured with: signed PUTs over keep-alive connections.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, request};
use http_body_util::{BodyExt as _, Either, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use two_buckets_s3_api::{Credentials, sign};

use crate::clock;
use crate::pieces::Pieces;

/// The key pair that every server is started with.
pub(crate) const ACCESS_KEY_ID: &str = "AKIATWOBUCKETSBENCH0";
/// Its secret half.
pub(crate) const SECRET_ACCESS_KEY: &str = "only-for-a-server-that-lives-for-one-benchmark";

const REGION: &str = "us-east-1";
/// Where files are put.
pub(crate) const STAGING: &str = "staging";
/// Where they come to.
pub(crate) const ARCHIVE: &str = "archive";

/// What a request carries: bytes that are there, or many that are made as they go.
pub(crate) type Sent = Either<Full<Bytes>, Pieces>;

/// Files to be put.
pub(crate) struct Load {
    pub(crate) address: String,
    pub(crate) bucket: &'static str,
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
                latencies.push(connection.put((load.bucket, &key), load.size).await?);
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
    sender: SendRequest<Sent>,
}

impl Connection {
    /// Connects to an address, such as `127.0.0.1:9000`.
    pub(crate) async fn open(host: String) -> Result<Self> {
        let sender = connect(&host).await?;
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
    pub(crate) async fn put(
        &mut self,
        (bucket, key): (&str, &str),
        size: usize,
    ) -> Result<Duration> {
        let body: Bytes = key.bytes().chain([b'\n']).cycle().take(size).collect();
        let hash = sign::sha256_hex(&body);
        let request = self.signed(&Method::PUT, (bucket, Some(key)), &[], &hash);
        let request = request.body(Either::Left(Full::new(body)))?;
        let began = clock::now();
        let (status, answer) = send(&mut self.sender, request).await?;
        let took = began.elapsed();
        if !status.is_success() {
            bail!("PUT {key}: {status}: {}", String::from_utf8_lossy(&answer));
        }
        Ok(took)
    }

    /// Sends a request of S3 whose payload is not signed, as SDKs do over TLS, and gives the head of the answer with its body
    /// unread.
    pub(crate) async fn s3(
        &mut self,
        method: Method,
        at: (&str, Option<&str>),
        query: &[(&str, &str)],
        body: Sent,
    ) -> Result<Response<Incoming>> {
        let request = self.signed(&method, at, query, sign::UNSIGNED_PAYLOAD);
        self.sender.ready().await?;
        let answer = self.sender.send_request(request.body(body)?).await?;
        if !answer.status().is_success() {
            let status = answer.status();
            let text = answer.into_body().collect().await?.to_bytes();
            bail!(
                "{method} {at:?}: {status}: {}",
                String::from_utf8_lossy(&text)
            );
        }
        Ok(answer)
    }

    /// The same, with the whole answer.
    pub(crate) async fn s3_whole(
        &mut self,
        method: Method,
        at: (&str, Option<&str>),
        query: &[(&str, &str)],
        body: Sent,
    ) -> Result<(HeaderMap, Bytes)> {
        let (head, body) = self.s3(method, at, query, body).await?.into_parts();
        Ok((head.headers, body.collect().await?.to_bytes()))
    }

    /// Lists a page of a bucket's keys behind one, and gives the XML.
    pub(crate) async fn list(&mut self, bucket: &str, after: &str, most: u32) -> Result<Bytes> {
        let most = most.to_string();
        let query = [
            ("list-type", "2"),
            ("max-keys", &*most),
            ("start-after", after),
        ];
        let at = (bucket, None);
        let (_, page) = self
            .s3_whole(Method::GET, at, &query, Either::Left(Full::default()))
            .await?;
        Ok(page)
    }

    /// Gets a path of any server and lets its bytes go; gives how many there were.
    pub(crate) async fn download(&mut self, path: &str) -> Result<u64> {
        let request = Request::get(path)
            .header(http::header::HOST, &self.host)
            .body(Either::Left(Full::default()))?;
        self.sender.ready().await?;
        let answer = self.sender.send_request(request).await?;
        if !answer.status().is_success() {
            bail!("GET {path}: {}", answer.status());
        }
        swallow(answer.into_body()).await
    }

    /// Listens to what happens to uploads, with a bearer token; the connection is for nothing else then.
    pub(crate) async fn listen(mut self, token: &str) -> Result<Events> {
        let request = Request::get("/api/events")
            .header(http::header::HOST, &self.host)
            .header(http::header::AUTHORIZATION, format!("Bearer {token}"))
            .body(Either::Left(Full::default()))?;
        let answer = self.sender.send_request(request).await?;
        if !answer.status().is_success() {
            bail!("GET /api/events: {}", answer.status());
        }
        let mut events = Events {
            body: answer.into_body(),
            read: Vec::new(),
            _sender: self.sender,
        };
        // A comment says that from now on everything is told.
        events.next().await?;
        Ok(events)
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

    /// A request of S3 with its signature, which covers a payload of this hash.
    fn signed(
        &self,
        method: &Method,
        (bucket, key): (&str, Option<&str>),
        query: &[(&str, &str)],
        payload_sha256: &str,
    ) -> request::Builder {
        let to_sign = sign::Request {
            method,
            host: &self.host,
            bucket: Some(bucket),
            key,
            query,
            headers: &[],
        };
        let mut request = Request::builder()
            .method(method)
            .uri(to_sign.target())
            .header(http::header::HOST, &self.host);
        for (name, value) in sign::sign_headers(
            &self.credentials,
            None,
            REGION,
            &to_sign,
            payload_sha256,
            clock::stamp(),
        ) {
            request = request.header(name, value);
        }
        request
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
            .body(Either::Left(Full::new(json)))?;
        // The server ends a connection that is idle as long as a portion of many files takes.
        if self.sender.is_closed() {
            self.sender = connect(&self.host).await?;
        }
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

/// What happens to uploads, as the page hears of it.
pub(crate) struct Events {
    body: Incoming,
    read: Vec<u8>,
    _sender: SendRequest<Sent>,
}

impl Events {
    /// Waits until this key's upload is archived.
    pub(crate) async fn until_archived(&mut self, key: &str) -> Result<()> {
        loop {
            let event = self.next().await?;
            let Some((_, data)) = event.split_once("data: ") else {
                continue;
            };
            let upload: serde_json::Value = serde_json::from_str(data)?;
            if upload["key"] != key {
                continue;
            }
            match upload["state"].as_str() {
                Some("archived") => return Ok(()),
                Some("failed") => bail!("{key} failed: {data}"),
                _ => {}
            }
        }
    }

    /// The next event, without the empty line behind it (WHATWG HTML, "Server-sent events").
    async fn next(&mut self) -> Result<String> {
        loop {
            if let Some(end) = self.read.windows(2).position(|two| two == b"\n\n") {
                let event = self.read.drain(..end + 2).take(end).collect();
                return Ok(String::from_utf8(event)?);
            }
            let frame = self.body.frame().await.context("the events ended")??;
            self.read
                .extend_from_slice(frame.data_ref().map_or(&[][..], |piece| piece));
        }
    }
}

/// Reads a body to its end and lets the bytes go; gives how many there were.
pub(crate) async fn swallow(mut body: Incoming) -> Result<u64> {
    let mut size = 0;
    while let Some(frame) = body.frame().await {
        size += frame?.data_ref().map_or(0, |piece| piece.len() as u64);
    }
    Ok(size)
}

async fn connect(host: &str) -> Result<SendRequest<Sent>> {
    let stream = TcpStream::connect(host).await.context("connect")?;
    stream.set_nodelay(true)?;
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    Ok(sender)
}

async fn send(
    sender: &mut SendRequest<Sent>,
    request: Request<Sent>,
) -> Result<(http::StatusCode, Bytes)> {
    sender.ready().await?;
    let answer = sender.send_request(request).await?;
    let status = answer.status();
    Ok((status, answer.into_body().collect().await?.to_bytes()))
}

//! A loop that speaks the Lambda Runtime API to one function, and does nothing else.

use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::process::{Child, Command};
use tokio::sync::{Mutex, mpsc};

use crate::clock;

/// The loop and its function, which ends with it.
pub(super) struct Loop {
    events: mpsc::Sender<String>,
    answers: mpsc::Receiver<Instant>,
    _function: Child,
}

/// What a connection of the function works with.
struct Shared {
    events: Mutex<mpsc::Receiver<String>>,
    answers: mpsc::Sender<Instant>,
}

impl Loop {
    /// Serves on a free port and starts the function.
    pub(super) async fn start(function: &Path) -> Result<Self> {
        let (events, to_send) = mpsc::channel(1);
        let (to_tell, answers) = mpsc::channel(1);
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            events: Mutex::new(to_send),
            answers: to_tell,
        });
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                // Without it an answer waits for its acknowledgement; with it fails what is no socket any more.
                drop(stream.set_nodelay(true));
                let shared = Arc::clone(&shared);
                let service = service_fn(move |request| answer(Arc::clone(&shared), request));
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
        });
        let function = Command::new(function)
            .env("AWS_LAMBDA_RUNTIME_API", address.to_string())
            .env("AWS_LAMBDA_FUNCTION_NAME", "function")
            .env("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST")
            .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "512")
            .env("AWS_LAMBDA_LOG_GROUP_NAME", "function")
            .env("AWS_LAMBDA_LOG_STREAM_NAME", "stream")
            .env("AWS_REGION", "us-east-1")
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("start {}", function.display()))?;
        Ok(Self {
            events,
            answers,
            _function: function,
        })
    }

    /// How long the function takes to answer.
    pub(super) async fn invoke(&mut self, event: &str) -> Result<Duration> {
        let began = clock::now();
        self.events.send(event.to_owned()).await?;
        let answered = self.answers.recv().await.context("the function is gone")?;
        Ok(answered - began)
    }
}

async fn answer(
    shared: Arc<Shared>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, http::Error> {
    if request.method() == Method::GET {
        let next = shared.events.lock().await.recv().await.unwrap_or_default();
        let deadline = clock::stamp().millis() + 60_000;
        return Response::builder()
            .header(
                "Lambda-Runtime-Aws-Request-Id",
                "00000000-0000-0000-0000-000000000000",
            )
            .header("Lambda-Runtime-Deadline-Ms", deadline)
            .header(
                "Lambda-Runtime-Invoked-Function-Arn",
                "arn:aws:lambda:us-east-1:000000000000:function:function",
            )
            .header(http::header::CONTENT_TYPE, "application/json")
            .body(Full::new(Bytes::from(next)));
    }
    // A function that goes away in the middle is missed by whoever waits for its answer.
    drop(request.into_body().collect().await);
    _ = shared.answers.send(clock::now()).await;
    Response::builder()
        .status(StatusCode::ACCEPTED)
        .body(Full::default())
}

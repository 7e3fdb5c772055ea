//! The server's own API, as the other commands speak it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, StatusCode, header};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde::Serialize;
use serde_json::Value;

use crate::config::Settings;
use crate::failure::Failure;
use crate::server::record::ServerRecord;
use crate::shell;
use crate::tls_client::{self, Connector};

/// The longest wait for an answer of the API; a sweep of many files is the slowest.
const ANSWER_TIMEOUT: Duration = Duration::from_mins(2);
/// The largest answer of the API: a page of 1,000 uploads, each with a key of 1,024 bytes and a report.
const ANSWER_SIZE_BYTES_MAX: usize = 64 << 20;

/// A body that is sent: in memory, or read from a file as it goes.
pub(crate) type SentBody = BoxBody<Bytes, std::io::Error>;
/// A client for our own server, and for wherever it sends us.
pub(crate) type HttpClient = Client<Connector, SentBody>;

/// A running server.
#[derive(Clone)]
pub(crate) struct Api {
    /// For requests that are not the API's.
    pub(crate) http: HttpClient,
    /// What the server left in the data folder.
    pub(crate) record: ServerRecord,
    data: PathBuf,
}

impl Api {
    /// Finds the server that has this data folder. Does not speak to it yet.
    pub(crate) fn find(settings: &Settings) -> Result<Self, Failure> {
        let data = &settings.data.value;
        let record = ServerRecord::read(data)?.ok_or_else(|| {
            Failure::failed(format!(
                "no server runs on {}; {}",
                data.display(),
                start(data)
            ))
        })?;
        // Asked for at every handshake: the certificate may be renewed, and the server started again.
        let folder = data.clone();
        let connector =
            tls_client::connector(Box::new(move || ServerRecord::certificate_in(&folder)))
                .map_err(Failure::failed)?;
        Ok(Self {
            http: Client::builder(TokioExecutor::new()).build(connector),
            record,
            data: data.clone(),
        })
    }

    /// Asks.
    pub(crate) async fn get(&self, path: &str) -> Result<Value, Failure> {
        self.call(Method::GET, path, None).await
    }

    /// Changes something.
    pub(crate) async fn post(&self, path: &str, body: &impl Serialize) -> Result<Value, Failure> {
        let body = serde_json::to_vec(body)
            .map_err(|error| Failure::failed(format!("a request to {path}: {error}")))?;
        self.call(Method::POST, path, Some(body)).await
    }

    async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<Vec<u8>>,
    ) -> Result<Value, Failure> {
        let request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.record.web))
            .header(
                header::AUTHORIZATION,
                format!("Bearer {}", self.record.admin_token),
            )
            .header(header::CONTENT_TYPE, "application/json")
            .body(in_memory(body.unwrap_or_default().into()))
            .map_err(|error| Failure::failed(format!("a request to {path}: {error}")))?;
        let answer = tokio::time::timeout(ANSWER_TIMEOUT, async {
            let answer = self
                .http
                .request(request)
                .await
                .map_err(|error| self.unreachable(&error))?;
            let status = answer.status();
            let body = Limited::new(answer.into_body(), ANSWER_SIZE_BYTES_MAX)
                .collect()
                .await
                .map_err(|error| {
                    Failure::failed(format!("the server's answer broke off: {error}"))
                })?;
            Ok::<_, Failure>((status, body.to_bytes()))
        });
        let (status, body) = answer.await.map_err(|_| {
            Failure::failed(format!(
                "the server did not answer within {} s",
                ANSWER_TIMEOUT.as_secs()
            ))
        })??;
        understand(status, &body)
    }

    /// Says why the server cannot be reached: mostly because it was killed and its record stayed.
    pub(crate) fn unreachable(&self, error: &hyper_util::client::legacy::Error) -> Failure {
        if error.is_connect() {
            Failure::failed(format!(
                "the server that last ran on {} (process {}) does not answer; {}",
                self.data.display(),
                self.record.pid,
                start(&self.data)
            ))
        } else {
            Failure::failed(format!("the connection to the server failed: {error}"))
        }
    }
}

fn start(data: &Path) -> String {
    format!(
        "start one with: {} serve --data {}",
        shell::program(),
        shell::quoted(&data.display().to_string())
    )
}

/// A body that is already there.
pub(crate) fn in_memory(bytes: Bytes) -> SentBody {
    Full::new(bytes).map_err(|never| match never {}).boxed()
}

fn understand(status: StatusCode, body: &[u8]) -> Result<Value, Failure> {
    let value: Result<Value, _> = serde_json::from_slice(body);
    match value {
        Ok(value) if status.is_success() => Ok(value),
        // RFC 9457: `detail` says what is wrong with this one, `title` with its kind.
        Ok(problem) => {
            let text = |name: &str| problem.get(name).and_then(Value::as_str);
            Err(Failure::failed(format!(
                "the server refuses: {}",
                text("detail")
                    .or_else(|| text("title"))
                    .unwrap_or(status.as_str())
            )))
        }
        Err(_) => Err(Failure::failed(format!(
            "the server answered {status} and no JSON; another program may have its port"
        ))),
    }
}

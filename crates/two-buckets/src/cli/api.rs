//! The server's own API, as the other commands speak it.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode, header};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde::Serialize;
use serde_json::Value;

use super::patience::Patience;
use super::trouble::Trouble;
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
pub(crate) struct Api {
    /// For requests that are not the API's.
    pub(crate) http: HttpClient,
    record: Mutex<Arc<ServerRecord>>,
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
            record: Mutex::new(Arc::new(record)),
            data: data.clone(),
        })
    }

    /// What the server left in the data folder.
    pub(crate) fn record(&self) -> Arc<ServerRecord> {
        Arc::clone(&self.record.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The data folder, which is what a server is known by: its addresses may change when it is started again.
    pub(crate) fn data(&self) -> &Path {
        &self.data
    }

    /// Reads again what the server left, and says whether it changed: it may have been started again, at other
    /// addresses and with another token.
    pub(crate) fn look_again(&self) -> bool {
        match ServerRecord::read(&self.data) {
            Ok(Some(new)) if new != *self.record() => {
                *self.record.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(new);
                true
            }
            // None is left while no server runs; what was left last is as good as any other guess.
            _ => false,
        }
    }

    /// Asks.
    pub(crate) async fn get(&self, path: &str) -> Result<Value, Failure> {
        Ok(self.ask(&Method::GET, path, &[]).await?)
    }

    /// Changes something.
    pub(crate) async fn post(&self, path: &str, body: &impl Serialize) -> Result<Value, Failure> {
        Ok(self.try_to_post(path, body).await?)
    }

    /// Puts something in the place of what is there.
    pub(crate) async fn put(&self, path: &str, body: &impl Serialize) -> Result<Value, Failure> {
        Ok(self.ask(&Method::PUT, path, &written(path, body)?).await?)
    }

    /// Takes away what is there.
    pub(crate) async fn delete(&self, path: &str) -> Result<Value, Failure> {
        Ok(self.ask(&Method::DELETE, path, &[]).await?)
    }

    /// Asks, and again while that may help.
    pub(super) async fn get_patiently(
        &self,
        path: &str,
        patience: &Patience,
    ) -> Result<Value, Trouble> {
        patience
            .keep_trying(async |_| self.try_to_get(path).await)
            .await
    }

    /// Asks, once, and says whether asking again may help.
    pub(super) async fn try_to_get(&self, path: &str) -> Result<Value, Trouble> {
        self.ask(&Method::GET, path, &[]).await
    }

    /// Changes something, once, and says whether asking again may help.
    pub(super) async fn try_to_post(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<Value, Trouble> {
        self.ask(&Method::POST, path, &written(path, body)?).await
    }

    async fn ask(&self, method: &Method, path: &str, body: &[u8]) -> Result<Value, Trouble> {
        let record = self.record();
        let request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", record.web))
            .header(
                header::AUTHORIZATION,
                format!("Bearer {}", record.admin_token),
            )
            .header(header::CONTENT_TYPE, "application/json")
            .body(in_memory(Bytes::copy_from_slice(body)))
            .map_err(|error| Failure::failed(format!("a request to {path}: {error}")))?;
        let answer = tokio::time::timeout(ANSWER_TIMEOUT, async {
            let (head, body) = self
                .http
                .request(request)
                .await
                .map_err(|error| self.unreachable(&error))?
                .into_parts();
            let body = Limited::new(body, ANSWER_SIZE_BYTES_MAX)
                .collect()
                .await
                .map_err(|error| {
                    Trouble::passing(format!("the server's answer broke off: {error}"))
                })?;
            Ok::<_, Trouble>((head, body.to_bytes()))
        });
        let (head, body) = answer.await.map_err(|_| {
            Trouble::passing(format!(
                "the server did not answer within {} s",
                ANSWER_TIMEOUT.as_secs()
            ))
        })??;
        match understand(head.status, &body) {
            Ok(value) => Ok(value),
            Err(failure) => {
                // A server that was started again has a token of its own.
                let has_new_token = head.status == StatusCode::UNAUTHORIZED && self.look_again();
                Err(if has_new_token || may_pass(head.status) {
                    Trouble::Passing {
                        failure,
                        after: retry_after(&head.headers),
                    }
                } else {
                    failure.into()
                })
            }
        }
    }

    /// Says why the server cannot be reached: mostly because it was killed and its record stayed.
    pub(super) fn unreachable(&self, error: &hyper_util::client::legacy::Error) -> Trouble {
        use std::error::Error as _;
        let pid = self.record().pid;
        self.look_again();
        if error.is_connect() {
            return Trouble::passing(format!(
                "the server that last ran on {} (process {pid}) does not answer; {}",
                self.data.display(),
                start(&self.data)
            ));
        }
        let cause = error
            .source()
            .and_then(|cause| cause.downcast_ref::<hyper::Error>());
        match cause {
            // The body is ours: its file could not be read to its end.
            Some(cause) if cause.is_user() => Trouble::last(match cause.source() {
                Some(io) => format!("it cannot be read: {io}"),
                None => format!("it cannot be sent: {cause}"),
            }),
            Some(cause) => {
                Trouble::passing(format!("the connection to the server failed: {cause}"))
            }
            None => Trouble::passing(format!("the connection to the server failed: {error}")),
        }
    }
}

/// Says whether a request that was answered so may be answered better in a while.
pub(super) fn may_pass(status: StatusCode) -> bool {
    (status.is_server_error() && status != StatusCode::NOT_IMPLEMENTED)
        || matches!(
            status,
            StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT | StatusCode::CONFLICT
        )
}

/// How long the server asks to be left alone, at most an hour.
pub(super) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds: u64 = headers
        .get(header::RETRY_AFTER)?
        .to_str()
        .ok()?
        .parse()
        .ok()?;
    Some(Duration::from_secs(seconds.min(3600)))
}

fn written(path: &str, body: &impl Serialize) -> Result<Vec<u8>, Failure> {
    serde_json::to_vec(body)
        .map_err(|error| Failure::failed(format!("a request to {path}: {error}")))
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

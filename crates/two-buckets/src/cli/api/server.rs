//! The server on this machine.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, header};
use http_body_util::{BodyExt as _, Limited};

use super::{ANSWER_SIZE_BYTES_MAX, HttpClient, Reply, in_memory, why_not};
use crate::cli::trouble::Trouble;
use crate::failure::Failure;
use crate::server::record::ServerRecord;
use crate::shell;

/// The longest wait for an answer of the API; a sweep of many files is the slowest.
const ANSWER_TIMEOUT: Duration = Duration::from_mins(2);

/// A running server.
pub(in crate::cli) struct Server {
    record: Mutex<Arc<ServerRecord>>,
    data: PathBuf,
}

impl Server {
    /// Finds the server that has this data folder. Does not speak to it yet.
    pub(super) fn find(data: &Path) -> Result<Self, Failure> {
        let record = ServerRecord::read(data)?.ok_or_else(|| {
            Failure::failed(format!(
                "no server runs on {}; {}",
                data.display(),
                start(data)
            ))
        })?;
        Ok(Self {
            record: Mutex::new(Arc::new(record)),
            data: data.to_owned(),
        })
    }

    /// What the server left in the data folder.
    pub(in crate::cli) fn record(&self) -> Arc<ServerRecord> {
        Arc::clone(&self.record.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The data folder, which is what a server is known by: its addresses may change when it is started again.
    pub(super) fn data(&self) -> &Path {
        &self.data
    }

    /// Reads again what the server left, and says whether it changed: it may have been started again, at other
    /// addresses and with another token.
    pub(super) fn look_again(&self) -> bool {
        match ServerRecord::read(&self.data) {
            Ok(Some(new)) if new != *self.record() => {
                *self.record.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(new);
                true
            }
            // None is left while no server runs; what was left last is as good as any other guess.
            _ => false,
        }
    }

    pub(super) async fn ask(
        &self,
        http: &HttpClient,
        method: &Method,
        path: &str,
        body: &[u8],
    ) -> Result<Reply, Trouble> {
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
            let (head, body) = http
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
            Ok::<_, Trouble>(Reply {
                status: head.status,
                headers: head.headers,
                body: body.to_bytes(),
            })
        });
        answer.await.map_err(|_| {
            Trouble::passing(format!(
                "the server did not answer within {} s",
                ANSWER_TIMEOUT.as_secs()
            ))
        })?
    }

    /// Says why the server cannot be reached: mostly because it was killed and its record stayed.
    pub(super) fn unreachable(&self, error: &hyper_util::client::legacy::Error) -> Trouble {
        let pid = self.record().pid;
        self.look_again();
        if error.is_connect() {
            return Trouble::passing(format!(
                "the server that last ran on {} (process {pid}) does not answer; {}",
                self.data.display(),
                start(&self.data)
            ));
        }
        why_not(error, "the server")
    }
}

fn start(data: &Path) -> String {
    format!(
        "start one with: {} serve --data {}",
        shell::program(),
        shell::quoted(&data.display().to_string())
    )
}

//! The upload API, as the commands speak it: a server's, over HTTP, or in this process that of a deployment on AWS.
//! Nothing else of a command differs between the two.

#[cfg(feature = "aws")]
mod deployed;
mod server;

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode, header};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde::Serialize;
use serde_json::Value;
use two_buckets_objects::Timestamp;

use super::patience::Patience;
use super::trouble::Trouble;
use crate::config::Settings;
#[cfg(feature = "aws")]
use crate::deployment::Deployment;
use crate::failure::{Failure, causes};
use crate::server::record::ServerRecord;
use crate::tls_client::{self, Connector};
#[cfg(feature = "aws")]
use deployed::Deployed;
use server::Server;

/// The largest answer of the API: a page of 1,000 uploads, each with a key of 1,024 bytes and a report.
const ANSWER_SIZE_BYTES_MAX: usize = 64 << 20;

/// A body that is sent: in memory, or read from a file as it goes.
pub(crate) type SentBody = BoxBody<Bytes, std::io::Error>;
/// A client for our own server, and for wherever it sends us.
pub(crate) type HttpClient = Client<Connector, SentBody>;

/// A server, or a deployment on AWS, whichever the settings mean.
pub(crate) struct Api {
    /// For requests that are not the API's.
    pub(crate) http: HttpClient,
    host: Host,
}

/// Who answers.
enum Host {
    /// The server on this machine, over HTTP.
    Server(Server),
    /// A deployment, by the same service in this process.
    #[cfg(feature = "aws")]
    Deployed(Box<Deployed>),
}

/// What came back.
struct Reply {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

/// Where staging is, for requests to S3.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct S3Place {
    /// As `http://127.0.0.1:9000`.
    pub(super) origin: String,
    /// What stands before a key's slash in the path, where the host's name does not say it.
    pub(super) path: Option<String>,
    /// What is signed for.
    pub(super) region: String,
}

impl Api {
    /// Finds the server that has the data folder, or the deployment's parts. Does not speak to it yet, and may ask where
    /// those are.
    #[cfg_attr(
        not(feature = "aws"),
        expect(clippy::unused_async, reason = "only AWS is asked")
    )]
    pub(crate) async fn find(settings: &Settings) -> Result<Self, Failure> {
        if !settings.is_on_aws() {
            return Self::of_server(settings);
        }
        #[cfg(feature = "aws")]
        return Self::of_deployment(crate::deployment::find(settings).await?).await;
        #[cfg(not(feature = "aws"))]
        return Err(Failure::usage(
            "a deployment on AWS is named, and this program was built without AWS (the feature `aws`)",
        ));
    }

    /// Finds the server that has this data folder.
    pub(super) fn of_server(settings: &Settings) -> Result<Self, Failure> {
        let data = &settings.data.value;
        let server = Server::find(data)?;
        // Asked for at every handshake: the certificate may be renewed, and the server started again.
        let folder = data.clone();
        let connector =
            tls_client::connector(Box::new(move || ServerRecord::certificate_in(&folder)))
                .map_err(Failure::failed)?;
        Ok(Self {
            http: Client::builder(TokioExecutor::new()).build(connector),
            host: Host::Server(server),
        })
    }

    /// Answers for a deployment. Looks for credentials.
    #[cfg(feature = "aws")]
    pub(super) async fn of_deployment(found: Deployment) -> Result<Self, Failure> {
        let connector = tls_client::connector(Box::new(|| None)).map_err(Failure::failed)?;
        Ok(Self {
            http: Client::builder(TokioExecutor::new()).build(connector),
            host: Host::Deployed(Box::new(Deployed::open(found).await?)),
        })
    }

    /// The server, if it is one.
    #[cfg_attr(
        not(feature = "aws"),
        expect(clippy::unnecessary_wraps, reason = "a deployment has none")
    )]
    pub(super) fn server(&self) -> Option<&Server> {
        match &self.host {
            Host::Server(server) => Some(server),
            #[cfg(feature = "aws")]
            Host::Deployed(_) => None,
        }
    }

    /// The deployment, if it is one.
    #[cfg(feature = "aws")]
    pub(super) fn deployed(&self) -> Option<&Deployed> {
        match &self.host {
            Host::Server(_) => None,
            Host::Deployed(deployed) => Some(deployed),
        }
    }

    /// What it is known by from one run to the next: a data folder, or the address of a bucket.
    pub(super) fn identity(&self) -> &Path {
        match &self.host {
            Host::Server(server) => server.data(),
            #[cfg(feature = "aws")]
            Host::Deployed(deployed) => deployed.identity(),
        }
    }

    /// Where staging is. A server may have been started again at another address.
    pub(super) fn s3(&self) -> S3Place {
        match &self.host {
            Host::Server(server) => {
                let record = server.record();
                S3Place {
                    origin: record.s3.clone(),
                    path: Some(record.staging.clone()),
                    region: record.region.clone(),
                }
            }
            #[cfg(feature = "aws")]
            Host::Deployed(deployed) => deployed.s3(),
        }
    }

    /// A moment by this machine's clock as uploads that come from then on are stamped at the earliest: S3 on AWS stamps by
    /// whole seconds.
    pub(super) fn stamped_from(&self, now: Timestamp) -> Timestamp {
        match &self.host {
            Host::Server(_) => now,
            #[cfg(feature = "aws")]
            Host::Deployed(_) => {
                Timestamp::from_millis(now.millis() - now.millis().rem_euclid(1_000))
            }
        }
    }

    /// How long it is left alone at most while something is waited for: on AWS each look is paid for.
    pub(super) fn look_every(&self, of_server: Duration) -> Duration {
        match &self.host {
            Host::Server(_) => of_server,
            #[cfg(feature = "aws")]
            Host::Deployed(_) => of_server * 4,
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
        let (reply, refuses) = match &self.host {
            Host::Server(server) => {
                let reply = server.ask(&self.http, method, path, body).await?;
                (reply, "the server refuses: ")
            }
            #[cfg(feature = "aws")]
            Host::Deployed(deployed) => (deployed.ask(method, path, body).await?, ""),
        };
        match understand(reply.status, &reply.body, refuses) {
            Ok(value) => Ok(value),
            Err(failure) => {
                // A server that was started again has a token of its own.
                let has_new_token = reply.status == StatusCode::UNAUTHORIZED
                    && self.server().is_some_and(Server::look_again);
                Err(if has_new_token || may_pass(reply.status) {
                    Trouble::Passing {
                        failure,
                        after: retry_after(&reply.headers),
                    }
                } else {
                    failure.into()
                })
            }
        }
    }

    /// Says why S3 cannot be reached.
    pub(super) fn unreachable(&self, error: &hyper_util::client::legacy::Error) -> Trouble {
        match self.server() {
            Some(server) => server.unreachable(error),
            None => why_not(error, "S3"),
        }
    }
}

/// Says why a request over HTTP brought no answer.
fn why_not(error: &hyper_util::client::legacy::Error, to: &str) -> Trouble {
    use std::error::Error as _;
    let cause = error
        .source()
        .and_then(|cause| cause.downcast_ref::<hyper::Error>());
    match cause {
        // The body is ours: its file could not be read to its end.
        Some(cause) if cause.is_user() => Trouble::last(match cause.source() {
            Some(io) => format!("it cannot be read: {io}"),
            None => format!("it cannot be sent: {cause}"),
        }),
        Some(cause) => Trouble::passing(format!("the connection to {to} failed: {cause}")),
        None => Trouble::passing(format!("the connection to {to} failed: {}", causes(error))),
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

/// A body that is already there.
pub(crate) fn in_memory(bytes: Bytes) -> SentBody {
    Full::new(bytes).map_err(|never| match never {}).boxed()
}

fn understand(status: StatusCode, body: &[u8], refuses: &str) -> Result<Value, Failure> {
    let value: Result<Value, _> = serde_json::from_slice(body);
    match value {
        Ok(value) if status.is_success() => Ok(value),
        // RFC 9457: `detail` says what is wrong with this one, `title` with its kind.
        Ok(problem) => {
            let text = |name: &str| problem.get(name).and_then(Value::as_str);
            Err(Failure::failed(format!(
                "{refuses}{}",
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

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client as Http;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde::Serialize;
use tokio::time::Instant;
use two_buckets_local::{BegunJob, RanJob};
use two_buckets_objects::{ByteRange, VersionRef};
use two_buckets_pipeline::{FencingToken, ledger};

use super::desk::range_text;
use super::ticket::Tickets;
use super::wire::{self, BASE, NONCE, Named, PROOF, TICKET};
use crate::server::record::ServerRecord;

/// The first wait before the server is asked again, and the longest.
const WAIT_FIRST: Duration = Duration::from_millis(50);
const WAIT_MAX: Duration = Duration::from_secs(2);
/// The longest wait for the head of an answer. What takes longest is the end of a job, in which a file is archived.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// The longest that an output may take: as long as any job.
const OUTPUT_TIMEOUT: Duration = Duration::from_hours(30 * 24);
/// The largest answer that is no file: what staging says of a version, its metadata included.
const ANSWER_BYTES_MAX: usize = 1 << 20;

/// A body that is sent.
pub(super) type SentBody = UnsyncBoxBody<Bytes, Box<dyn std::error::Error + Send + Sync>>;

/// What a job asks the server, which may be started anew at any moment, on another port.
///
/// Each runtime has a client of its own, for connections belong to the runtime that opened them; both share the
/// [`Hold`].
pub(super) struct Client {
    http: Http<HttpConnector, SentBody>,
    data: PathBuf,
    at: VersionRef,
    tickets: Tickets,
    hold: Hold,
    /// Where the server was last.
    address: Mutex<Option<String>>,
}

/// How long a job may believe that it has its key: its lease's life since the server last said so. Clones are one.
#[derive(Clone)]
pub(super) struct Hold(Arc<Mutex<(Instant, Duration)>>);

/// Why the server did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub(super) enum Trouble {
    /// There is nothing to do for the job, or not now.
    #[error("{0}")]
    Nothing(String),
    /// The job does not hold its key any more.
    #[error("{0}")]
    Gone(String),
    /// What was asked is wrong; asking again does not help.
    #[error("{0}")]
    Refused(String),
    /// It may work when it is asked again.
    #[error("{0}")]
    Passing(String),
}

impl Hold {
    /// From now on for this long.
    pub(super) fn new(life: Duration) -> Self {
        Self(Arc::new(Mutex::new((Instant::now(), life))))
    }

    /// The server said at this moment or later that the job holds its key, for this long unless it is said again.
    pub(super) fn renew(&self, asked_at: Instant, life: Option<Duration>) {
        let mut hold = self.lock();
        hold.0 = asked_at;
        hold.1 = life.unwrap_or(hold.1);
    }

    /// How long the lease lasts unless it is renewed.
    pub(super) fn life(&self) -> Duration {
        self.lock().1
    }

    /// Whether it has run out.
    pub(super) fn is_over(&self) -> bool {
        let (renewed_at, life) = *self.lock();
        renewed_at.elapsed() >= life
    }

    fn lock(&self) -> MutexGuard<'_, (Instant, Duration)> {
        // Two numbers that are set at once.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How long to try, with growing waits: while that may help and the hold lasts.
pub(super) struct Patience<'a> {
    hold: &'a Hold,
    wait: Duration,
}

impl Patience<'_> {
    /// Waits before the next try, or gives the trouble back.
    pub(super) async fn after(&mut self, trouble: Trouble) -> Result<(), Trouble> {
        if !matches!(trouble, Trouble::Passing(_)) || self.hold.is_over() {
            return Err(trouble);
        }
        tokio::time::sleep(self.wait).await;
        self.wait = (self.wait * 2).min(WAIT_MAX);
        Ok(())
    }
}

impl Client {
    pub(super) fn new(data: &Path, at: VersionRef, tickets: Tickets, hold: Hold) -> Self {
        Self {
            http: Http::builder(TokioExecutor::new()).build(HttpConnector::new()),
            data: data.to_owned(),
            at,
            tickets,
            hold,
            address: Mutex::default(),
        }
    }

    /// Another for another runtime.
    pub(super) fn another(&self) -> Self {
        Self::new(
            &self.data,
            self.at.clone(),
            self.tickets.clone(),
            self.hold.clone(),
        )
    }

    /// How long the job may believe that it has its key.
    pub(super) fn hold(&self) -> &Hold {
        &self.hold
    }

    pub(super) fn at(&self) -> &VersionRef {
        &self.at
    }

    /// Begins the job; from then on the hold is that of its lease.
    ///
    /// Gives where functions find S3 as well.
    pub(super) async fn claim(
        &self,
        holder: &str,
        settings: &str,
    ) -> Result<(BegunJob, Option<String>), Trouble> {
        let claim = wire::Claim {
            holder: holder.to_owned(),
            settings: settings.to_owned(),
        };
        let mut patience = self.patience();
        loop {
            match self.claim_once(&claim).await {
                Ok(begun) => return Ok(begun),
                Err(trouble) => patience.after(trouble).await?,
            }
        }
    }

    async fn claim_once(&self, claim: &wire::Claim) -> Result<(BegunJob, Option<String>), Trouble> {
        let asked_at = Instant::now();
        let body = self.tell("claim", None, claim).await?;
        let mut begun: wire::Begun = understood(&body)?;
        let functions = begun.functions.take();
        let begun = begun.understood(&self.at).map_err(Trouble::Refused)?;
        self.hold.renew(asked_at, Some(begun.lease_life));
        Ok((begun, functions))
    }

    /// Says once that the job lives, and what it has said.
    pub(super) async fn renew(
        &self,
        token: FencingToken,
        attempt: u32,
        said: &ledger::Said,
    ) -> Result<(), Trouble> {
        let asked_at = Instant::now();
        let renewal = wire::Renewal {
            attempt,
            said: said.into(),
        };
        self.tell("renew", Some(token), &renewal).await?;
        self.hold.renew(asked_at, None);
        Ok(())
    }

    /// Says what became of the job, until the server has heard it or the hold is over.
    pub(super) async fn finish(&self, token: FencingToken, ran: &RanJob) -> Result<(), Trouble> {
        let ran = wire::Ran::from(ran);
        let mut patience = self.patience();
        loop {
            match self.tell("finish", Some(token), &ran).await {
                Ok(_) => return Ok(()),
                Err(trouble) => patience.after(trouble).await?,
            }
        }
    }

    /// Opens a range of the job's version.
    pub(super) async fn bytes(
        &self,
        token: FencingToken,
        range: ByteRange,
    ) -> Result<Incoming, Trouble> {
        let mut patience = self.patience();
        loop {
            match self.bytes_once(token, range).await {
                Ok(body) => return Ok(body),
                Err(trouble) => patience.after(trouble).await?,
            }
        }
    }

    async fn bytes_once(&self, token: FencingToken, range: ByteRange) -> Result<Incoming, Trouble> {
        let request = self
            .request(Method::GET, "bytes", Some(token), None)?
            .header(header::RANGE, range_text(range));
        let answer = self
            .ask(request, full(Bytes::new()), ANSWER_TIMEOUT)
            .await?;
        Ok(answer.into_body())
    }

    /// Writes an output, once.
    pub(super) async fn output(
        &self,
        token: FencingToken,
        name: &str,
        media_type: &str,
        body: SentBody,
    ) -> Result<String, Trouble> {
        let request = self
            .request(Method::PUT, "output", Some(token), Some(name))?
            .header(header::CONTENT_TYPE, media_type);
        // It takes as long as whoever makes the body; the keeper ends it with the run.
        let answer = self.ask(request, body, OUTPUT_TIMEOUT).await?;
        let answer = collected(answer).await?;
        let written: wire::Written = understood(&answer)?;
        Ok(written.version_id)
    }

    /// For one thing that is tried until it is done.
    pub(super) fn patience(&self) -> Patience<'_> {
        Patience {
            hold: &self.hold,
            wait: WAIT_FIRST,
        }
    }

    async fn tell(
        &self,
        call: &str,
        token: Option<FencingToken>,
        message: &impl Serialize,
    ) -> Result<Bytes, Trouble> {
        let message = serde_json::to_vec(message).map_err(|it| Trouble::Refused(it.to_string()))?;
        let request = self
            .request(Method::POST, call, token, None)?
            .header(header::CONTENT_TYPE, "application/json");
        self.ask_for_bytes(request, full(message.into())).await
    }

    fn request(
        &self,
        method: Method,
        call: &str,
        token: Option<FencingToken>,
        name: Option<&str>,
    ) -> Result<http::request::Builder, Trouble> {
        let address = self.address()?;
        let mut named = Named::new(&self.at, token);
        named.name = name.map(str::to_owned);
        let query = serde_urlencoded::to_string(&named)
            .map_err(|error| Trouble::Refused(error.to_string()))?;
        Ok(Request::builder()
            .method(method)
            .uri(format!("{address}{BASE}/{call}?{query}"))
            .header(TICKET, self.tickets.of(&self.at)))
    }

    async fn ask_for_bytes(
        &self,
        request: http::request::Builder,
        body: SentBody,
    ) -> Result<Bytes, Trouble> {
        let answer = self.ask(request, body, ANSWER_TIMEOUT).await?;
        collected(answer).await
    }

    /// The answer, where it is a good one.
    async fn ask(
        &self,
        request: http::request::Builder,
        body: SentBody,
        patience: Duration,
    ) -> Result<Response<Incoming>, Trouble> {
        let nonce = nonce()?;
        let request = request
            .header(NONCE, &nonce)
            .body(body)
            .map_err(|error| Trouble::Refused(error.to_string()))?;
        let asked = tokio::time::timeout(patience, self.http.request(request)).await;
        let answer = match asked {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => {
                // The next server may be somewhere else.
                self.forget_address();
                return Err(Trouble::Passing(format!(
                    "the server does not answer: {error}"
                )));
            }
            Err(_) => {
                return Err(Trouble::Passing(
                    "the server does not answer in time".into(),
                ));
            }
        };
        let proof = answer.headers().get(PROOF).and_then(|it| it.to_str().ok());
        if !proof.is_some_and(|proof| self.tickets.is_proof(&nonce, proof)) {
            self.forget_address();
            return Err(Trouble::Passing(
                "another program answers where the server was".into(),
            ));
        }
        let status = answer.status();
        if status.is_success() {
            return Ok(answer);
        }
        let said = collected(answer).await.unwrap_or_default();
        let said = understood::<wire::Problem>(&said)
            .map_or_else(|_| status.to_string(), |problem| problem.detail);
        Err(match status {
            StatusCode::NOT_FOUND | StatusCode::CONFLICT => Trouble::Nothing(said),
            StatusCode::GONE => Trouble::Gone(said),
            status if status.is_client_error() => Trouble::Refused(said),
            _ => Trouble::Passing(said),
        })
    }

    fn address(&self) -> Result<String, Trouble> {
        let mut address = self.address_slot();
        if let Some(address) = &*address {
            return Ok(address.clone());
        }
        let record = ServerRecord::read(&self.data);
        let record = record.map_err(|failure| Trouble::Passing(failure.to_string()))?;
        let found = record.and_then(|record| record.jobs).ok_or_else(|| {
            Trouble::Passing(format!("no server runs on {}", self.data.display()))
        })?;
        *address = Some(found.clone());
        Ok(found)
    }

    fn forget_address(&self) {
        *self.address_slot() = None;
    }

    fn address_slot(&self) -> MutexGuard<'_, Option<String>> {
        self.address.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A body that is in memory.
pub(super) fn full(bytes: Bytes) -> SentBody {
    Full::new(bytes)
        .map_err(|never| match never {})
        .boxed_unsync()
}

fn nonce() -> Result<String, Trouble> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| Trouble::Passing(error.to_string()))?;
    Ok(hex::encode(bytes))
}

async fn collected(answer: Response<Incoming>) -> Result<Bytes, Trouble> {
    let body = Limited::new(answer.into_body(), ANSWER_BYTES_MAX);
    let collected = tokio::time::timeout(ANSWER_TIMEOUT, body.collect()).await;
    match collected {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) => Err(Trouble::Passing(format!("the answer broke off: {error}"))),
        Err(_) => Err(Trouble::Passing("the answer does not end".into())),
    }
}

fn understood<T: for<'a> serde::Deserialize<'a>>(answer: &[u8]) -> Result<T, Trouble> {
    serde_json::from_slice(answer)
        .map_err(|error| Trouble::Refused(format!("the answer cannot be understood: {error}")))
}

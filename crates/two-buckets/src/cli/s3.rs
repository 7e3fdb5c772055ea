//! Requests to the server's S3 endpoint.

use std::cell::Cell;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Limited};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use two_buckets_s3_api::Credentials;
use two_buckets_s3_api::sign::{self, UNSIGNED_PAYLOAD, sha256_hex, sign_headers};

use super::api::{Api, SentBody, in_memory, may_pass, retry_after};
use super::patience::Patience;
use super::trouble::Trouble;
use super::wire::{CredentialsGrant, Grant, read};
use super::xml;
use crate::clock;
use crate::failure::Failure;

/// The largest answer read: 1,000 parts with a checksum each, some 400 bytes a part.
const ANSWER_SIZE_BYTES_MAX: usize = 4 << 20;
/// The longest time without progress before a request is given up.
const STALL_TIMEOUT: Duration = Duration::from_mins(1);

/// An answer that says yes.
pub(super) struct Sent {
    headers: HeaderMap,
    /// The document behind it.
    pub(super) body: Bytes,
}

impl Sent {
    /// A header's value, if it is there and is text.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The text of the first element of this name.
    pub(super) fn element(&self, name: &str) -> Option<String> {
        xml::element(&self.body, name)
    }
}

/// Tells of the bytes handed to the connection, and never of more than the body has, however often it is sent.
pub(super) struct Heard<'a> {
    told: Cell<u64>,
    tell: &'a dyn Fn(u64),
}

impl<'a> Heard<'a> {
    pub(super) fn new(tell: &'a dyn Fn(u64)) -> Self {
        Self {
            told: Cell::new(0),
            tell,
        }
    }

    fn at(&self, sent_bytes: u64) {
        let told = self.told.get();
        if sent_bytes > told {
            (self.tell)(sent_bytes - told);
            self.told.set(sent_bytes);
        }
    }
}

/// One key of the staging bucket, for signed requests.
pub(super) struct Staging<'a> {
    api: &'a Api,
    patience: &'a Patience,
    signing: &'a Signing,
    key: String,
    signer: Mutex<Arc<Signer>>,
}

/// By whom requests are signed.
#[derive(Clone)]
pub(super) enum Signing {
    /// By the server's root key pair.
    Root(Credentials),
    /// By credentials from the API that open one key alone.
    Granted,
    /// On AWS, by whoever the environment or the profile names.
    #[cfg(feature = "aws")]
    Operator,
}

/// Who signs.
struct Signer {
    credentials: Credentials,
    /// None for a key pair that does not expire.
    session_token: Option<String>,
}

impl From<&CredentialsGrant> for Signer {
    fn from(grant: &CredentialsGrant) -> Self {
        Self {
            credentials: Credentials {
                access_key_id: grant.access_key.clone(),
                secret_access_key: grant.secret_key.clone(),
            },
            session_token: Some(grant.session_token.clone()),
        }
    }
}

#[cfg(feature = "aws")]
impl From<two_buckets_aws::operator::OwnKey> for Signer {
    fn from(key: two_buckets_aws::operator::OwnKey) -> Self {
        Self {
            credentials: Credentials {
                access_key_id: key.access_key_id,
                secret_access_key: key.secret_access_key,
            },
            session_token: key.session_token,
        }
    }
}

/// A request to the key.
pub(super) struct Ask<'a> {
    pub(super) method: Method,
    pub(super) query: &'a [(&'a str, &'a str)],
    pub(super) headers: &'a [(&'a str, &'a str)],
}

impl<'a> Staging<'a> {
    /// Opens a key; `wanted` has it, or the name to make one from. The API chooses and checks it.
    pub(super) async fn open(
        api: &'a Api,
        patience: &'a Patience,
        signing: &'a Signing,
        wanted: &Value,
    ) -> Result<Self, Trouble> {
        let path = match signing {
            Signing::Granted => "/api/credentials",
            Signing::Root(_) => "/api/signedurl",
            #[cfg(feature = "aws")]
            Signing::Operator => "/api/signedurl",
        };
        let answer = patience
            .keep_trying(async |_| api.try_to_post(path, wanted).await)
            .await?;
        let (key, signer) = match signing {
            Signing::Granted => {
                let grant: CredentialsGrant = read(answer)?;
                (grant.key.clone(), Signer::from(&grant))
            }
            Signing::Root(credentials) => {
                let signer = Signer {
                    credentials: credentials.clone(),
                    session_token: None,
                };
                (read::<Grant>(answer)?.key, signer)
            }
            #[cfg(feature = "aws")]
            Signing::Operator => (read::<Grant>(answer)?.key, operator(api).await?),
        };
        Ok(Self {
            api,
            patience,
            signing,
            key,
            signer: Mutex::new(Arc::new(signer)),
        })
    }

    /// The key.
    pub(super) fn key(&self) -> String {
        self.key.clone()
    }

    /// Sends a short request.
    pub(super) async fn call(&self, ask: &Ask<'_>, body: Bytes) -> Result<Sent, Trouble> {
        let sha256 = sha256_hex(&body);
        let heard = Heard::new(&|_| ());
        self.send(ask, &sha256, &heard, |_| in_memory(body.clone()))
            .await
    }

    /// Sends a body that its headers bind to a checksum.
    pub(super) async fn stream(
        &self,
        ask: &Ask<'_>,
        heard: &Heard<'_>,
        body: impl Fn(mpsc::UnboundedSender<u64>) -> SentBody,
    ) -> Result<Sent, Trouble> {
        // Within this machine nobody changes bytes on their way, and hashing them is most of the work of sending them.
        self.send(ask, UNSIGNED_PAYLOAD, heard, body).await
    }

    async fn send(
        &self,
        ask: &Ask<'_>,
        payload_sha256: &str,
        heard: &Heard<'_>,
        body: impl Fn(mpsc::UnboundedSender<u64>) -> SentBody,
    ) -> Result<Sent, Trouble> {
        self.patience
            .keep_trying(async |_| {
                let signer = self.signer();
                let sent = send(self.api, heard, |progress| {
                    self.signed(&signer, ask, payload_sha256, body(progress))
                })
                .await;
                match sent {
                    // A large file takes longer than credentials live.
                    Err(trouble) if trouble.is("ExpiredToken") => {
                        self.renew(&signer).await?;
                        Err(trouble.passing_after_all())
                    }
                    sent => sent,
                }
            })
            .await
    }

    fn signed(
        &self,
        signer: &Signer,
        ask: &Ask<'_>,
        payload_sha256: &str,
        body: SentBody,
    ) -> Result<Request<SentBody>, http::Error> {
        // Looked at for each attempt: the server may have been started again at another address.
        let place = self.api.s3();
        let to_sign = sign::Request {
            method: &ask.method,
            host: place
                .origin
                .split_once("://")
                .map_or(&*place.origin, |(_, host)| host),
            // A path is written as a bucket and a key. Where the host's name says the bucket, it is the key.
            bucket: Some(place.path.as_deref().unwrap_or(&self.key)),
            key: place.path.as_ref().map(|_| &*self.key),
            query: ask.query,
            headers: ask.headers,
        };
        let mut request = Request::builder().method(&ask.method).uri(format!(
            "{}{}",
            place.origin,
            to_sign.target()
        ));
        for (name, value) in ask.headers {
            request = request.header(*name, *value);
        }
        let signature = sign_headers(
            &signer.credentials,
            signer.session_token.as_deref(),
            &place.region,
            &to_sign,
            payload_sha256,
            clock::now(),
        );
        for (name, value) in signature {
            request = request.header(name, value);
        }
        request.body(body)
    }

    fn signer(&self) -> Arc<Signer> {
        Arc::clone(&self.signer.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Gets credentials for the same key again, unless another part did so already.
    async fn renew(&self, expired: &Arc<Signer>) -> Result<(), Trouble> {
        if !Arc::ptr_eq(&self.signer(), expired) {
            return Ok(());
        }
        let signer = match self.signing {
            #[cfg(feature = "aws")]
            Signing::Operator => operator(self.api).await?,
            Signing::Root(_) | Signing::Granted => {
                let wanted = json!({"key": self.key});
                let answer = self.api.try_to_post("/api/credentials", &wanted).await?;
                Signer::from(&read::<CredentialsGrant>(answer)?)
            }
        };
        *self.signer.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(signer);
        Ok(())
    }
}

/// Whoever acts on AWS, as of now.
#[cfg(feature = "aws")]
async fn operator(api: &Api) -> Result<Signer, Trouble> {
    let deployed = api.deployed();
    let deployed = deployed.ok_or_else(|| Trouble::last("a server has no operator on AWS"))?;
    Ok(deployed.own_key().await?.into())
}

/// Sends a request once, and gives its answer if that says yes.
pub(super) async fn send(
    api: &Api,
    heard: &Heard<'_>,
    request: impl FnOnce(mpsc::UnboundedSender<u64>) -> Result<Request<SentBody>, http::Error>,
) -> Result<Sent, Trouble> {
    let (progress, mut pieces) = mpsc::unbounded_channel();
    let request = request(progress)
        .map_err(|error| Failure::failed(format!("the request cannot be built: {error}")))?;
    let method = request.method().clone();
    let answer = answer(api, request);
    tokio::pin!(answer);
    let mut sent_bytes = 0;
    let (status, headers, body) = loop {
        tokio::select! {
            answer = &mut answer => break answer?,
            Some(bytes) = pieces.recv() => {
                sent_bytes += bytes;
                heard.at(sent_bytes);
            }
            () = tokio::time::sleep(STALL_TIMEOUT) => {
                return Err(Trouble::passing(format!(
                    "nothing moved for {} s",
                    STALL_TIMEOUT.as_secs()
                )));
            }
        }
    };
    // A completion may answer 200 and carry its failure in the body (S3 API, CompleteMultipartUpload).
    let code = xml::element(&body, "Code");
    if status.is_success() && code.is_none() {
        return Ok(Sent { headers, body });
    }
    Err(refusal(&method, status, &headers, code, &body))
}

async fn answer(
    api: &Api,
    request: Request<SentBody>,
) -> Result<(StatusCode, HeaderMap, Bytes), Trouble> {
    let (head, body) = api
        .http
        .request(request)
        .await
        .map_err(|error| api.unreachable(&error))?
        .into_parts();
    let body = Limited::new(body, ANSWER_SIZE_BYTES_MAX)
        .collect()
        .await
        .map_err(|error| Trouble::passing(format!("the answer of S3 broke off: {error}")))?;
    Ok((head.status, head.headers, body.to_bytes()))
}

fn refusal(
    method: &Method,
    status: StatusCode,
    headers: &HeaderMap,
    code: Option<String>,
    body: &[u8],
) -> Trouble {
    let said = xml::element(body, "Message");
    let failure = Failure::failed(match (&code, said) {
        (Some(code), Some(message)) => format!("S3 refuses: {message} ({code})"),
        _ => format!("S3 refuses: {status}"),
    });
    // The words S3 has for what may work in a while; they may also come behind a 200 or a 400.
    let passes = matches!(
        code.as_deref(),
        Some("SlowDown" | "ServiceUnavailable" | "InternalError" | "RequestTimeout")
    );
    // A completion that met another write must be begun anew with every part (S3 API, CompleteMultipartUpload), which
    // is the caller's affair.
    let needs_every_part =
        method == Method::POST && code.as_deref() == Some("ConditionalRequestConflict");
    if passes || (may_pass(status) && !needs_every_part) {
        Trouble::Passing {
            failure,
            after: retry_after(headers),
        }
    } else {
        Trouble::Final { failure, code }
    }
}

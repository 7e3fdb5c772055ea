//! The way of a request: name it, check its signature, refuse what is not there, unframe its body, hand it to s3s,
//! and complete the answer.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt as _;
use http::request::Parts;
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri, header};
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use s3s::config::{S3Config, StaticConfigProvider};
use s3s::{S3Error, S3ErrorCode, S3Result};
use two_buckets_objects::SINGLE_PUT_SIZE_BYTES_MAX;

use crate::access::{self, Access, Asked as AskedAccess};
use crate::auth::{authenticate, unique};
use crate::backend::Backend;
use crate::cause::RequestCause;
use crate::cors::Asked;
use crate::digests::Claims;
use crate::faults::{self, Before, Call, Struck, is_done};
use crate::form::upload::{Allowed, Sender};
use crate::form::{BEHIND_BYTES_MAX, FRONT_BYTES_MAX};
use crate::host::{BucketOfHost, Hosts};
use crate::payload::{BoxError, Payload, RawBody, declared_size, entity_too_large};
use crate::query::Query;
use crate::refusal::Refusal;
use crate::request_id::RequestIds;
use crate::requests::{Counted, Requests};
use crate::server::Peer;
use crate::store::Store;
use crate::sts::is_for_sts;
use crate::target::{BodyUse, Target, body_use, is_form};
use crate::{Config, Operation, RequestsAnswered, sign, unsupported};

/// The largest document in a request: 1,000 keys of 1,024 bytes, each byte escaped, fit in a `DeleteObjects`.
const DOCUMENT_BYTES_MAX: u64 = 8 << 20;
/// The largest body that is read and thrown away so that the connection can go on after an error.
const DRAINED_BYTES_MAX: u64 = 256 << 10;
/// How long that reading may take.
const DRAIN_TIME_MAX: Duration = Duration::from_secs(5);
/// Where `Expires` waits while s3s has the request, which takes it only as a date. S3 keeps what was sent.
pub(crate) const SENT_EXPIRES: HeaderName = HeaderName::from_static("two-buckets-sent-expires");

/// Marks an answer whose tag stands without quotes: `GetObjectAttributes`, unlike everything else in S3.
#[derive(Clone, Copy)]
pub(crate) struct BareETag;

/// The body of an answer.
pub type AnswerBody = s3s::Body;

/// S3 over HTTP. Cheap to clone.
///
/// Every request must be signed with the key pair of the root or of a session of [`Config::sts`], by signature version
/// 4 in its header or its query, or by version 2 in its query; nothing is open to anybody else but the CORS preflight,
/// which tells only what the bucket's own rules say. The root may do everything, a session what its policies allow.
#[derive(Clone)]
pub struct S3Service {
    inner: Arc<Inner>,
}

struct Inner {
    config: Config,
    hosts: Hosts,
    backend: Backend,
    s3s: s3s::service::S3Service,
    request_ids: RequestIds,
    requests: Requests,
}

impl S3Service {
    /// Makes the service.
    pub fn new(config: Config) -> Self {
        let backend = Backend {
            store: Store::new(config.depot.clone()),
            region: config.region.as_str().into(),
            refuse_write: config.refuse_write.clone(),
            staging_buckets: config.staging_buckets.as_slice().into(),
            notifications: config.notifications.clone(),
        };
        let hosts = Hosts {
            domain: config.domain.clone(),
        };
        let mut builder = s3s::service::S3ServiceBuilder::new(backend.clone());
        // No `set_auth`: requests come to s3s through `answer` below only, which has checked and removed the
        // signature.
        builder.set_host(hosts.clone());
        let mut limits = S3Config::default();
        limits.xml_max_body_size =
            usize::try_from(DOCUMENT_BYTES_MAX).expect("8 MiB are within every address space");
        builder.set_config(Arc::new(StaticConfigProvider::new(Arc::new(limits))));
        let request_ids = RequestIds::new((config.clock)());
        Self {
            inner: Arc::new(Inner {
                s3s: builder.build(),
                hosts,
                backend,
                config,
                request_ids,
                requests: Requests::new(),
            }),
        }
    }

    /// How many requests were answered, by whichever listener they came, by operation and status; those operations only
    /// that were asked for.
    pub fn requests_answered(&self) -> Vec<RequestsAnswered> {
        self.inner.requests.answered()
    }

    /// Answers a request. Never fails: what goes wrong is an S3 error in the answer. Dropped midway, a write may
    /// have happened or not, as when a connection breaks.
    pub async fn call<B>(&self, request: Request<B>) -> Response<AnswerBody>
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let request_id = self.inner.request_ids.next();
        let (mut parts, body) = request.into_parts();
        let raw: RawBody = body.map_err(Into::into).boxed_unsync();
        let method = parts.method.clone();
        let expects = parts.headers.contains_key(header::EXPECT);
        let has_no_body = http_body::Body::size_hint(&raw).exact() == Some(0);
        let origin = parts.headers.get(header::ORIGIN).cloned();
        let host = parts.headers.get(header::HOST).cloned();
        let bucket_of_host = host
            .as_ref()
            .and_then(|host| host.to_str().ok())
            .and_then(|host| self.inner.hosts.bucket(host));
        if let Some(bucket) = bucket_of_host {
            parts.extensions.insert(BucketOfHost(bucket.to_owned()));
        }
        let target = Target::of(bucket_of_host, parts.uri.path());
        let (mut answer, resource, counted) = match target {
            Ok(target) => {
                let resource = target.resource();
                let counted;
                let answer = if is_for_sts(&method, &target) {
                    counted = Counted::ASSUME_ROLE;
                    let now = (self.inner.config.clock)();
                    let sts = &self.inner.config.sts;
                    sts.answer(&mut parts, raw, &request_id, now).await
                } else if let Some(asked) = Asked::preflight(&method, &parts.headers) {
                    counted = Counted::PREFLIGHT;
                    self.preflight(&target, &asked).await
                } else {
                    counted = asked_for(&parts, &target);
                    let bucket = target.bucket.clone();
                    let mut answer = self.answer(&mut parts, raw, &target, &request_id).await;
                    if origin.is_some() {
                        self.add_cors(&method, &parts, origin, bucket, &mut answer)
                            .await;
                    }
                    answer
                };
                (answer, resource, counted)
            }
            Err(refusal) => {
                let path = parts.uri.path().to_owned();
                (error_answer(refusal.into()), path, Counted::OTHER)
            }
        };
        complete(&mut answer, &method, &resource, &request_id);
        faults::finish(&mut answer, &resource, &request_id);
        self.inner.requests.count(counted, answer.status());
        if expects && (has_no_body || !faults::is_done(&answer)) {
            // Without a body there is nothing to say `100 Continue` to, and the answer comes in its place. botocore
            // reads that one well and garbles the next on the same connection, so there is none. And whoever is refused
            // while waiting for leave to send may just have lost patience and send all the same (RFC 9110, 10.1.1):
            // what then comes must never be read as the next request.
            answer
                .headers_mut()
                .insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        tracing::debug!(
            %method,
            resource,
            status = answer.status().as_u16(),
            request_id,
            "answered"
        );
        answer
    }

    async fn answer(
        &self,
        parts: &mut Parts,
        mut raw: RawBody,
        target: &Target,
        request_id: &str,
    ) -> Response<AnswerBody> {
        if is_form(&parts.method, &parts.headers) {
            return match self.post_form(parts, &mut raw, target, request_id).await {
                Ok(answer) => answer,
                Err(error) => {
                    drain(&parts.headers, raw).await;
                    error_answer(error)
                }
            };
        }
        match self.prepare(parts, &mut raw, target).await {
            Ok((body, struck)) => {
                let cause = cause(parts, parts.extensions.get(), request_id);
                cause
                    .run(async {
                        match struck {
                            None => self.perform(parts, body).await,
                            Some(struck) => {
                                let told = Told::new(&struck, target, request_id);
                                self.perform_with(told, parts, body).await
                            }
                        }
                    })
                    .await
            }
            Err(refusal) => {
                drain(&parts.headers, raw).await;
                error_answer(refusal.into())
            }
        }
    }

    /// Carries a request out that everything before s3s has let through.
    async fn perform(&self, parts: &mut Parts, body: s3s::Body) -> Response<AnswerBody> {
        let hides_missing = parts
            .extensions
            .get::<Access>()
            .is_none_or(Access::hides_missing);
        let mut request = Request::new(body);
        *request.method_mut() = parts.method.clone();
        *request.uri_mut() = parts.uri.clone();
        *request.headers_mut() = parts.headers.clone();
        *request.extensions_mut() = std::mem::take(&mut parts.extensions);
        match self.inner.s3s.call(request).await {
            Ok(answer) if hides_missing && answer.status() == StatusCode::NOT_FOUND => error_answer(
                Refusal::access_denied(
                    "the object is missing or not yours, which only those may know who may list the bucket",
                )
                .into(),
            ),
            Ok(answer) => answer,
            Err(error) => {
                tracing::error!(?error, "a request could not be answered");
                error_answer(S3Error::new(S3ErrorCode::InternalError))
            }
        }
    }

    /// Carries a request out, or not, as the fault has it that strikes it.
    async fn perform_with(
        &self,
        mut told: Told<'_>,
        parts: &mut Parts,
        body: s3s::Body,
    ) -> Response<AnswerBody> {
        let fault = told.struck.fault;
        let size_bytes = parts
            .headers
            .get(header::CONTENT_LENGTH)
            .and_then(|length| length.to_str().ok()?.parse().ok());
        let body = fault.on_request(body, size_bytes);
        match fault.before().await {
            Before::Perform => {
                let answer = self.perform(parts, body).await;
                told.took_effect = is_done(&answer);
                fault.after(answer).await
            }
            Before::Answer(answer) => answer,
            Before::Refuse(error) => {
                drain(&parts.headers, body).await;
                error_answer(error)
            }
        }
    }

    fn fault(&self, call: &Call<'_>) -> Option<Struck> {
        self.inner
            .config
            .faults
            .as_ref()
            .and_then(|find| find(call))
    }

    /// Does everything that comes before s3s; what it refuses has changed nothing.
    async fn prepare(
        &self,
        parts: &mut Parts,
        raw: &mut RawBody,
        target: &Target,
    ) -> Result<(s3s::Body, Option<Struck>), Refusal> {
        let now = (self.inner.config.clock)();
        let mut query = Query::parse(parts.uri.query())?;
        let authenticated = authenticate(parts, &mut query, &self.inner.config.sts, now)?;
        let body_use = body_use(&parts.method, target, &query, &parts.headers)?;
        let access = access::authorize(
            &authenticated.who,
            &AskedAccess {
                method: &parts.method,
                target,
                query: &query,
                headers: &parts.headers,
                signed: &authenticated.signed,
                peer: parts.extensions.get::<Peer>().copied(),
                now,
            },
            self.inner.config.pins.as_ref(),
        )?;
        parts.extensions.insert(access);
        unsupported::refuse(&parts.headers)?;
        unsupported::refuse_version(&parts.method, &query)?;
        parts.uri = with_query(&parts.uri, &query)?;
        tolerate(parts);
        let declared = declared_size(&mut parts.headers, &authenticated.payload)?;
        let size_max = match body_use {
            BodyUse::Object => SINGLE_PUT_SIZE_BYTES_MAX,
            BodyUse::Document | BodyUse::Completion => DOCUMENT_BYTES_MAX,
        };
        if body_use == BodyUse::Object && declared.is_none() {
            return Err(Refusal::new(
                S3ErrorCode::MissingContentLength,
                "an object needs the header Content-Length",
            ));
        }
        let raw = std::mem::take(raw);
        let (payload, trailers) = Payload::new(
            raw,
            authenticated.payload,
            &parts.headers,
            declared,
            size_max,
        )?;
        let fault = |parts: &Parts| {
            self.fault(&Call::request(
                &parts.method,
                target,
                &query,
                &parts.headers,
            ))
        };
        match body_use {
            BodyUse::Object => {
                // Refuses digests that cannot be right before the body is read.
                let _ = Claims::of_headers(&parts.headers)?;
                parts.extensions.insert(trailers);
                let frames = payload.into_stream().map(|piece| piece.map(Frame::data));
                let body = s3s::Body::http_body_unsync(StreamBody::new(frames));
                Ok((body, fault(parts)))
            }
            BodyUse::Document | BodyUse::Completion => {
                let claims = match body_use {
                    BodyUse::Completion => Claims::md5_only(&parts.headers)?,
                    _ => Claims::of_headers(&parts.headers)?,
                };
                let document = payload.collect().await?;
                if !document.is_empty() || parts.method == Method::PUT {
                    claims.verify_bytes(&document, &trailers)?;
                }
                if !document.is_empty() {
                    parts
                        .headers
                        .insert(header::CONTENT_LENGTH, HeaderValue::from(document.len()));
                }
                Ok((s3s::Body::from(document), fault(parts)))
            }
        }
    }

    /// Answers an upload by HTML form, which s3s never sees: it would hold the whole file in memory.
    async fn post_form(
        &self,
        parts: &Parts,
        raw: &mut RawBody,
        target: &Target,
        request_id: &str,
    ) -> S3Result<Response<AnswerBody>> {
        let Target {
            bucket: Some(bucket),
            key: None,
        } = target
        else {
            return Err(S3Error::with_message(
                S3ErrorCode::MethodNotAllowed,
                "a form is sent to its bucket, and names its key in a field",
            ));
        };
        let content_type = check_form_head(parts)?;
        let sender = Sender {
            bucket,
            headers: &parts.headers,
            peer: parts.extensions.get::<Peer>().copied(),
            sts: &self.inner.config.sts,
            pins: self.inner.config.pins.as_ref(),
            now: (self.inner.config.clock)(),
        };
        let form = Allowed::read(raw, content_type, &sender).await?;
        let struck = self.fault(&Call::form(bucket, form.fields.key()?));
        let location_of = |key: &str| location(parts, bucket, key);
        let cause = RequestCause {
            is_form: true,
            ..cause(parts, Some(&form.access), request_id)
        };
        let posting = cause.run(self.inner.backend.post_object(bucket, form, location_of));
        let Some(struck) = struck else {
            return posting.await;
        };
        let mut told = Told::new(&struck, target, request_id);
        match struck.fault.before().await {
            Before::Perform => {
                let answer = posting.await.unwrap_or_else(error_answer);
                told.took_effect = is_done(&answer);
                Ok(struck.fault.after(answer).await)
            }
            Before::Answer(answer) => Ok(answer),
            Before::Refuse(error) => Err(error),
        }
    }

    async fn preflight(&self, target: &Target, asked: &Asked<'_>) -> Response<AnswerBody> {
        let forbidden = || {
            error_answer(
                Refusal::cors_forbidden(
                    "no cross-origin rule of the bucket allows this origin, method and headers",
                )
                .into(),
            )
        };
        let Some(bucket) = &target.bucket else {
            return forbidden();
        };
        match self.inner.backend.cors_rules(bucket).await {
            None => forbidden(),
            Some(rules) => match rules.find(asked) {
                None => forbidden(),
                Some(rule) => rule.preflight_answer(asked),
            },
        }
    }

    async fn add_cors(
        &self,
        method: &Method,
        parts: &Parts,
        origin: Option<HeaderValue>,
        bucket: Option<String>,
        answer: &mut Response<AnswerBody>,
    ) {
        let mut headers = parts.headers.clone();
        if let Some(origin) = origin {
            headers.insert(header::ORIGIN, origin);
        }
        let (Some(asked), Some(bucket)) = (Asked::actual(method, &headers), bucket) else {
            return;
        };
        if let Some(rules) = self.inner.backend.cors_rules(&bucket).await
            && let Some(rule) = rules.find(&asked)
        {
            rule.apply(&asked, answer.headers_mut());
        }
    }
}

/// Tells of a fault in the log when its call is over, for its answer looks like any other; also of one whose client went
/// away meanwhile.
struct Told<'a> {
    struck: &'a Struck,
    target: &'a Target,
    request_id: &'a str,
    /// Whether the operation was carried out.
    took_effect: bool,
}

impl<'a> Told<'a> {
    fn new(struck: &'a Struck, target: &'a Target, request_id: &'a str) -> Self {
        Self {
            struck,
            target,
            request_id,
            took_effect: false,
        }
    }
}

impl Drop for Told<'_> {
    fn drop(&mut self) {
        tracing::warn!(
            rule = &*self.struck.rule,
            fault = ?self.struck.fault,
            took_effect = self.took_effect,
            resource = self.target.resource(),
            request_id = self.request_id,
            "a fault struck that was asked for"
        );
    }
}

/// Which operation a request asks for, whether or not it may.
fn asked_for(parts: &Parts, target: &Target) -> Counted {
    if is_form(&parts.method, &parts.headers) {
        return Counted::of(Some(Operation::post_object()));
    }
    // A query that cannot be read is refused, and asks for nothing.
    let query = Query::parse(parts.uri.query()).ok();
    Counted::of(
        query.and_then(|query| Operation::of(&parts.method, target, &query, &parts.headers)),
    )
}

/// Refuses what a form's request cannot have beside its body, and gives its `Content-Type`.
fn check_form_head(parts: &Parts) -> Result<&str, Refusal> {
    if parts.uri.query().is_some_and(|query| !query.is_empty()) {
        return Err(Refusal::invalid_argument(
            "a form has no query parameters; its signature is in its fields",
        ));
    }
    if parts.headers.contains_key(header::AUTHORIZATION) {
        return Err(Refusal::invalid_argument(
            "only one way of signing is allowed, and a form is signed in its fields",
        ));
    }
    if let Some(name) = parts
        .headers
        .keys()
        .find(|name| name.as_str().starts_with("x-amz-"))
    {
        return Err(Refusal::access_denied(format!(
            "the header {name} was sent but not signed; a form says such things in its fields"
        )));
    }
    let size = unique(&parts.headers, "content-length")?
        .and_then(|length| length.parse::<u64>().ok())
        .ok_or_else(|| {
            Refusal::new(
                S3ErrorCode::MissingContentLength,
                "a form needs the header Content-Length",
            )
        })?;
    if size > FRONT_BYTES_MAX + SINGLE_PUT_SIZE_BYTES_MAX + BEHIND_BYTES_MAX {
        return Err(entity_too_large(SINGLE_PUT_SIZE_BYTES_MAX));
    }
    unique(&parts.headers, "content-type")?
        .ok_or_else(|| Refusal::invalid_argument("the request has no Content-Type"))
}

/// What this request is to those who hear of what it changed.
fn cause(parts: &Parts, access: Option<&Access>, request_id: &str) -> RequestCause {
    RequestCause {
        request_id: request_id.to_owned(),
        principal: access.map_or_else(String::new, Access::principal),
        address: parts.extensions.get::<Peer>().map(|peer| peer.address),
        is_form: false,
    }
}

/// An object's URL as the client would reach it: in the style and under the host it used itself.
fn location(parts: &Parts, bucket: &str, key: &str) -> String {
    let key = sign::encoded(key.as_bytes(), true);
    let host = parts
        .headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok());
    let over_tls = parts
        .extensions
        .get::<Peer>()
        .is_some_and(|peer| peer.over_tls);
    let scheme = if over_tls { "https" } else { "http" };
    let names_bucket = parts.extensions.get::<BucketOfHost>().is_some();
    match host {
        None => format!("/{bucket}/{key}"),
        Some(host) if names_bucket => format!("{scheme}://{host}/{key}"),
        Some(host) => format!("{scheme}://{host}/{bucket}/{key}"),
    }
}

/// Takes away what s3s would refuse and S3 ignores or keeps as it is.
fn tolerate(parts: &mut Parts) {
    if let Some(expires) = parts.headers.remove(header::EXPIRES) {
        parts.headers.insert(SENT_EXPIRES, expires);
    }
    // Ranges of another form, such as two at once, are ignored by S3 (RFC 9110, section 14.2).
    let range_is_known = parts
        .headers
        .get(header::RANGE)
        .and_then(|range| range.to_str().ok())
        .is_some_and(|range| s3s::dto::Range::parse(range).is_ok());
    if !range_is_known {
        parts.headers.remove(header::RANGE);
    }
    for name in [header::IF_MODIFIED_SINCE, header::IF_UNMODIFIED_SINCE] {
        // A date that cannot be read is no condition (RFC 9110, section 13.1.3).
        let is_date = parts
            .headers
            .get(&name)
            .and_then(|date| date.to_str().ok())
            .is_some_and(|date| {
                s3s::dto::Timestamp::parse(s3s::dto::TimestampFormat::HttpDate, date).is_ok()
            });
        if !is_date {
            parts.headers.remove(name);
        }
    }
}

/// The URI with the parameters that are left, encoded as our own.
fn with_query(uri: &Uri, query: &Query) -> Result<Uri, Refusal> {
    let query = query.canonical(|_| true);
    let path = uri.path();
    let text = if query.is_empty() {
        path.to_owned()
    } else {
        format!("{path}?{query}")
    };
    text.parse()
        .map_err(|_| Refusal::new(S3ErrorCode::InvalidURI, "the URI cannot be read"))
}

/// Reads a small body to its end, so that the client gets to read the answer and the connection can go on. A client
/// that waits for leave to send is not asked to.
async fn drain<B>(headers: &http::HeaderMap, mut raw: B)
where
    B: http_body::Body<Data = Bytes> + Unpin,
{
    let length = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok())
        .and_then(|length| length.parse::<u64>().ok());
    if headers.contains_key(header::EXPECT) || length.is_none_or(|l| l > DRAINED_BYTES_MAX) {
        return;
    }
    let reading = async {
        let mut left = DRAINED_BYTES_MAX;
        while let Some(Ok(frame)) = raw.frame().await {
            let size = frame.data_ref().map_or(0, |piece| piece.len() as u64);
            match left.checked_sub(size) {
                Some(rest) => left = rest,
                None => return,
            }
        }
    };
    // What it was does not matter, nor whether it came.
    let _in_time = tokio::time::timeout(DRAIN_TIME_MAX, reading).await;
}

pub(crate) fn error_answer(error: S3Error) -> Response<AnswerBody> {
    error.to_http_response().unwrap_or_else(|_| {
        let mut answer = Response::new(AnswerBody::empty());
        *answer.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
        answer
    })
}

/// Adds the request's name to the answer, and to an error also where it happened.
fn complete(answer: &mut Response<AnswerBody>, method: &Method, resource: &str, request_id: &str) {
    let id = HeaderValue::try_from(request_id).expect("a request id is hex digits");
    let headers = answer.headers_mut();
    headers.insert("x-amz-request-id", id.clone());
    headers.insert("x-amz-id-2", id);
    headers
        .entry(header::SERVER)
        .or_insert(HeaderValue::from_static("TwoBuckets"));
    // s3s sends what a HEAD says of a range with status 200.
    if answer.status() == StatusCode::OK && answer.headers().contains_key(header::CONTENT_RANGE) {
        *answer.status_mut() = StatusCode::PARTIAL_CONTENT;
    }
    if answer.extensions().get::<BareETag>().is_some() {
        unquote_etag(answer);
    }
    keep_carriage_returns(answer);
    let status = answer.status();
    if !(status.is_client_error() || status.is_server_error()) {
        return;
    }
    if *method == Method::HEAD {
        *answer.body_mut() = AnswerBody::empty();
        answer.headers_mut().remove(header::CONTENT_LENGTH);
        return;
    }
    let Some(document) = answer.body_mut().take_bytes() else {
        return;
    };
    let document = String::from_utf8_lossy(&document);
    if let Some(front) = document.strip_suffix("</Error>") {
        let whole = format!(
            "{front}<Resource>{}</Resource><RequestId>{request_id}</RequestId><HostId>{request_id}</HostId></Error>",
            xml_text(resource)
        );
        *answer.body_mut() = AnswerBody::from(whole);
        answer.headers_mut().insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/xml"),
        );
        answer.headers_mut().remove(header::CONTENT_LENGTH);
    } else {
        *answer.body_mut() = AnswerBody::from(document.into_owned());
    }
}

/// Takes the quotes off the tag, which s3s always writes.
fn unquote_etag(answer: &mut Response<AnswerBody>) {
    if let Some(document) = answer.body_mut().take_bytes() {
        let document = String::from_utf8_lossy(&document)
            .replace("<ETag>\"", "<ETag>")
            .replace("\"</ETag>", "</ETag>");
        *answer.body_mut() = AnswerBody::from(document);
        answer.headers_mut().remove(header::CONTENT_LENGTH);
    }
}

/// Writes each carriage return as `&#13;`, as S3 does: a reader of XML turns a bare one into a line feed, and the key
/// would be another (XML 1.0, section 2.11). s3s writes them bare. An answer with an `ETag` header is an object, whose
/// bytes are not touched.
fn keep_carriage_returns(answer: &mut Response<AnswerBody>) {
    let headers = answer.headers();
    let is_document = headers
        .get(header::CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes() == b"application/xml")
        && !headers.contains_key(header::ETAG);
    if !is_document {
        return;
    }
    let Some(document) = answer.body_mut().take_bytes() else {
        return;
    };
    if !document.contains(&b'\r') {
        *answer.body_mut() = AnswerBody::from(document);
        return;
    }
    let mut whole = Vec::with_capacity(document.len() + 64);
    for piece in document.split_inclusive(|byte| *byte == b'\r') {
        match piece.split_last() {
            Some((b'\r', front)) => {
                whole.extend_from_slice(front);
                whole.extend_from_slice(b"&#13;");
            }
            _ => whole.extend_from_slice(piece),
        }
    }
    *answer.body_mut() = AnswerBody::from(Bytes::from(whole));
    answer.headers_mut().remove(header::CONTENT_LENGTH);
}

/// Escapes text for XML 1.0. Characters that XML cannot carry become U+FFFD.
pub(crate) fn xml_text(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '\r' => out.push_str("&#13;"),
            '\n' | '\t' => out.push(c),
            '\u{0}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
            _ => out.push(c),
        }
    }
    out
}

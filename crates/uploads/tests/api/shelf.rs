//! A small implementation of the traits, and a way to call the service on it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use bytes::Bytes;
use futures::{FutureExt, Stream};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode};
use serde_json::Value;
use tokio::sync::{broadcast, watch};
use tower::ServiceExt as _;
use two_buckets_objects::{ByteRange, ETag, Timestamp, VersionId, VersionRef};
use two_buckets_uploads::{
    Attempt, AttemptLog, AttemptOutcome, Caller, Change, CompleteMultipart, Completed, Counts,
    CreateMultipart, CredentialScope, Cursor, Error, Expected, FaultRule, Faults, FormTarget,
    FormToSign, Grants, KeyTemplate, ListUploads, Minted, MultipartId, MultipartRef, Oldest,
    Paused, ReceivedPart, Replay, ReplayOf, ReplaySelection, Replayed, RequestToSign, Result,
    Retried, RetryMany, S3Address, ServerFacts, SignedForm, SignedRequest, Sources, Swept, Tracker,
    UntilStop, Upload, UploadApi, UploadCredentials, UploadHistory, UploadId, UploadKey,
    UploadPage, UploadState, router,
};

pub(crate) const NOW: Timestamp = Timestamp::from_millis(1_795_431_050_007);
pub(crate) const SECRET: &str = "X-Amz-Signature=5ec7e7";

/// A shelf of uploads: `a0` archived, `f1` failed, `p2` pending and a job's, `x3` archived HTML with an awkward key,
/// `e4` archived and empty. Asking for `down` or `bug` fails as a store may.
pub(crate) struct Shelf {
    pub(crate) signed: Mutex<Vec<RequestToSign>>,
    pub(crate) forms: Mutex<Vec<FormToSign>>,
    pub(crate) scopes: Mutex<Vec<(CredentialScope, Duration)>>,
    pub(crate) multiparts: Mutex<BTreeMap<String, Multipart>>,
    pub(crate) listed: Mutex<Vec<ListUploads>>,
    pub(crate) retried: Mutex<Vec<RetryMany>>,
    pub(crate) cancelled: Mutex<Vec<UploadId>>,
    pub(crate) paused: Mutex<Option<Paused>>,
    pub(crate) replays: Mutex<Vec<Replay>>,
    /// What is expected by its key, and whether it has arrived.
    pub(crate) expected: Mutex<BTreeMap<UploadKey, (Expected, bool)>>,
    /// Who tells of changes; gone when the server stops.
    pub(crate) changes: Mutex<Option<broadcast::Sender<Change>>>,
}

/// A multipart upload on the shelf.
pub(crate) struct Multipart {
    pub(crate) create: CreateMultipart,
    pub(crate) parts: Vec<ReceivedPart>,
    pub(crate) completed: Option<CompleteMultipart>,
}

/// How many changes a slow listener may be behind.
pub(crate) const CHANGES_MAX: usize = 4;

impl Default for Shelf {
    fn default() -> Self {
        Self {
            signed: Mutex::default(),
            forms: Mutex::default(),
            scopes: Mutex::default(),
            multiparts: Mutex::default(),
            listed: Mutex::default(),
            retried: Mutex::default(),
            cancelled: Mutex::default(),
            paused: Mutex::default(),
            replays: Mutex::default(),
            expected: Mutex::default(),
            changes: Mutex::new(Some(broadcast::channel(CHANGES_MAX).0)),
        }
    }
}

impl Shelf {
    /// Says that the bytes of an expected upload have come.
    pub(crate) fn arrive(&self, key: &str) {
        let key = key.parse().expect("a key");
        let mut expected = self.expected.lock().expect("unpoisoned");
        expected.get_mut(&key).expect("an expected upload").1 = true;
    }

    /// The id of the upload expected under a key: one for each key.
    pub(crate) fn id_of(key: &UploadKey) -> UploadId {
        let hex = key.as_str().bytes().fold(String::new(), |mut hex, byte| {
            write!(hex, "{byte:02x}").expect("a string takes everything");
            hex
        });
        format!("k{}", &hex[..hex.len().min(200)])
            .parse()
            .expect("an id")
    }

    /// Puts a part of a multipart upload there, as a client with a signed URL does.
    pub(crate) fn receive(&self, id: &str, number: u32, etag: &str, size_bytes: u64) {
        let mut multiparts = self.multiparts.lock().expect("unpoisoned");
        let parts = &mut multiparts.get_mut(id).expect("an upload").parts;
        parts.retain(|part| part.number != number);
        parts.push(ReceivedPart {
            number,
            etag: ETag::new(etag),
            size_bytes,
        });
        parts.sort_by_key(|part| part.number);
    }
}

pub(crate) const CONTENT: &[u8] = b"0123456789";

pub(crate) fn upload(id: &str, key: &str, state: UploadState) -> Upload {
    let done = state == UploadState::Archived;
    let bucket: two_buckets_objects::BucketName = "staging".parse().expect("a name");
    let key: two_buckets_objects::Key = key.parse().expect("a key");
    let begun = state != UploadState::Pending;
    Upload {
        id: id.parse().expect("an id"),
        bucket: bucket.clone(),
        key: key.clone(),
        version_id: begun.then(|| VersionId::new("v1")),
        state,
        is_expected: false,
        is_job: false,
        replay_of: None,
        checksum: done.then(|| two_buckets_objects::Checksum {
            algorithm: two_buckets_objects::Algorithm::Crc64Nvme,
            kind: two_buckets_objects::ChecksumKind::FullObject,
            value: Box::new(*b"\0\x01\x02\x03\x04\x05\x06\x07"),
        }),
        size_bytes: CONTENT.len() as u64,
        etag: ETag::new("abc123"),
        received_at: Timestamp::from_millis(NOW.millis() - 90_500),
        started_at: begun.then_some(NOW),
        finished_at: done.then_some(NOW),
        attempts: u32::from(begun),
        progress: None,
        next_attempt_at: (!begun).then_some(NOW),
        reason: (state == UploadState::Failed).then(|| "no such column".into()),
        archive: done.then(|| VersionRef {
            bucket: "archive".parse().expect("a name"),
            key,
            version_id: VersionId::new("v9"),
        }),
        media_type: done.then(|| "text/plain".into()),
        sha256: done.then(|| "00".repeat(32)),
        report: done.then(|| r#"{"lines":1}"#.into()),
    }
}

fn uploads() -> Vec<Upload> {
    let mut all = vec![
        upload("a0", "2026/a.txt", UploadState::Archived),
        upload("f1", "2026/b.csv", UploadState::Failed),
        upload("p2", "other/c.txt", UploadState::Pending),
        upload("x3", "x/\"é\r\n.html", UploadState::Archived),
        upload("e4", "empty", UploadState::Archived),
    ];
    all[2].is_job = true;
    all[4].replay_of = Some(ReplayOf {
        at: VersionRef {
            bucket: "archive".parse().expect("a name"),
            key: "empty".parse().expect("a key"),
            version_id: VersionId::new("v3"),
        },
        upload: Some("a0".parse().expect("an id")),
    });
    all[3].report = Some("not json".into());
    all[4].size_bytes = 0;
    all
}

fn find(id: &UploadId) -> Result<Upload> {
    match id.as_str() {
        "down" => Err(Error::Unavailable {
            reason: "the disk is full".into(),
            source: None,
        }),
        "bug" => Err(Error::Broken {
            reason: format!("row without a {SECRET}"),
            source: None,
        }),
        id => uploads()
            .into_iter()
            .find(|upload| upload.id.as_str() == id)
            .ok_or_else(|| Error::NotFound {
                what: format!("upload {id}"),
            }),
    }
}

#[derive(Clone, Default)]
pub(crate) struct Shared(pub(crate) Arc<Shelf>);

impl Shared {
    fn find(&self, id: &UploadId) -> Result<Upload> {
        let expected = self.0.expected.lock().expect("unpoisoned");
        let mut all = expected.values();
        match all.find(|(expected, _)| Shelf::id_of(&expected.key) == *id) {
            Some((expected, has_arrived)) => Ok(Upload {
                is_expected: !has_arrived,
                size_bytes: expected.size_bytes.unwrap_or(0),
                ..upload(id.as_str(), expected.key.as_str(), UploadState::Pending)
            }),
            None => find(id),
        }
    }
}

impl Tracker for Shared {
    async fn server(&self) -> Result<ServerFacts> {
        Ok(ServerFacts {
            version: "0.1.0".into(),
            page_url: Some("http://127.0.0.1:8080/".into()),
            s3: S3Address {
                endpoint: "http://127.0.0.1:9000".into(),
                region: "us-east-1".into(),
            },
            staging: "staging".parse().expect("a name"),
            archive: "archive".parse().expect("a name"),
            processor: "describe".into(),
            paused: self.0.paused.lock().expect("unpoisoned").clone(),
        })
    }

    async fn list(&self, query: ListUploads) -> Result<UploadPage> {
        self.0
            .listed
            .lock()
            .expect("unpoisoned")
            .push(query.clone());
        let from = match &query.after {
            None => 0,
            Some(Cursor(text)) => text.parse::<usize>().map_err(|_| Error::Refused {
                reason: "after must be the next of an earlier page".into(),
            })?,
        };
        let all: Vec<Upload> = uploads()
            .into_iter()
            .filter(|upload| query.state.is_none_or(|state| upload.state == state))
            .filter(|upload| {
                query
                    .prefix
                    .as_ref()
                    .is_none_or(|prefix| upload.key.as_str().starts_with(prefix))
            })
            .filter(|upload| query.key.as_ref().is_none_or(|key| upload.key == *key))
            .filter(|upload| {
                query
                    .search
                    .as_ref()
                    .is_none_or(|q| upload.key.as_str().contains(q))
            })
            .collect();
        let next = from + query.limit;
        Ok(UploadPage {
            next: (next < all.len()).then(|| Cursor(next.to_string())),
            uploads: all.into_iter().skip(from).take(query.limit).collect(),
            counts: Counts {
                pending: 1,
                archived: 3,
                failed: 1,
                ..Counts::default()
            },
            oldest_unfinished: Some(Oldest {
                key: "other/c.txt".parse().expect("a key"),
                received_at: Timestamp::from_millis(NOW.millis() - 90_500),
            }),
            paused: self.0.paused.lock().expect("unpoisoned").clone(),
            counts_are_least: false,
        })
    }

    async fn get(&self, id: &UploadId) -> Result<UploadHistory> {
        let upload = self.find(id)?;
        let attempt = Attempt {
            number: 1,
            started_at: NOW,
            ended_at: Some(NOW),
            outcome: Some(AttemptOutcome::Permanent),
            reason: Some("no such column".into()),
        };
        let failed = upload.state == UploadState::Failed;
        Ok(UploadHistory {
            attempts_log: failed.then_some(attempt).into_iter().collect(),
            upload,
        })
    }

    async fn logs(&self, id: &UploadId) -> Result<Vec<AttemptLog>> {
        let upload = self.find(id)?;
        let log = AttemptLog {
            attempt: 1,
            first: Bytes::from_static(b"reading\n"),
            dropped_bytes: 92,
            last: Bytes::from_static(b"no such column\n"),
        };
        let failed = upload.state == UploadState::Failed;
        Ok(failed.then_some(log).into_iter().collect())
    }

    async fn content(
        &self,
        id: &UploadId,
        range: Option<ByteRange>,
    ) -> Result<two_buckets_objects::Body> {
        let upload = self.find(id)?;
        let whole = &CONTENT[..usize::try_from(upload.size_bytes).expect("small")];
        let bytes = match range {
            None => whole,
            Some(range) => {
                let range = range.within(upload.size_bytes).expect("checked before");
                let (start, end) = (range.start.try_into(), range.end.try_into());
                &whole[start.expect("small")..end.expect("small")]
            }
        };
        Ok(two_buckets_objects::body_from_bytes(Bytes::from_static(
            bytes,
        )))
    }

    async fn retry(&self, id: &UploadId) -> Result<Upload> {
        let upload = self.find(id)?;
        if upload.state != UploadState::Failed {
            return Err(Error::Conflict {
                reason: format!(
                    "upload {id} is {}, only failed ones are retried",
                    upload.state
                ),
            });
        }
        Ok(Upload {
            state: UploadState::Pending,
            ..upload
        })
    }

    async fn cancel(&self, id: &UploadId) -> Result<Upload> {
        let upload = self.find(id)?;
        if !upload.is_job {
            return Err(Error::Conflict {
                reason: format!("upload {id} is no job's, only jobs are cancelled"),
            });
        }
        self.0
            .cancelled
            .lock()
            .expect("unpoisoned")
            .push(id.clone());
        Ok(Upload {
            state: UploadState::Failed,
            reason: Some("its job was cancelled".into()),
            ..upload
        })
    }

    async fn retry_many(&self, retry: RetryMany) -> Result<Retried> {
        let retried = if retry.is_dry_run { 0 } else { 2 };
        self.0.retried.lock().expect("unpoisoned").push(retry);
        Ok(Retried {
            matched: 2,
            retried,
        })
    }

    async fn replay(&self, replay: Replay) -> Result<Replayed> {
        let is_known = match &replay.selection {
            ReplaySelection::Version { version_id, .. } => version_id.as_str() == "v9",
            ReplaySelection::Prefix { .. } => true,
        };
        let replayed = if replay.is_dry_run { 0 } else { 3 };
        self.0.replays.lock().expect("unpoisoned").push(replay);
        if is_known {
            Ok(Replayed {
                matched: 3,
                replayed,
                size_bytes: 30,
                continued_since: (replayed > 0).then_some(NOW),
                has_more: false,
            })
        } else {
            Err(Error::NotFound {
                what: "this version".into(),
            })
        }
    }

    async fn pause(&self, reason: Option<String>) -> Result<Paused> {
        let paused = Paused { since: NOW, reason };
        *self.0.paused.lock().expect("unpoisoned") = Some(paused.clone());
        Ok(paused)
    }

    async fn resume(&self) -> Result<Option<Paused>> {
        Ok(self.0.paused.lock().expect("unpoisoned").take())
    }

    async fn sweep(&self) -> Result<Swept> {
        Ok(Swept {
            listed: 4,
            woken: 3,
            finished: 2,
            explained: 1,
            passed_over: 0,
        })
    }

    async fn expect(&self, expected: Expected) -> Result<UploadId> {
        let id = Shelf::id_of(&expected.key);
        let mut all = self.0.expected.lock().expect("unpoisoned");
        match all.get_mut(&expected.key) {
            None => {
                all.insert(expected.key.clone(), (expected, false));
            }
            Some((known, _))
                if expected
                    .size_bytes
                    .is_some_and(|now| known.size_bytes.is_some_and(|first| first != now))
                    || expected.checksum.as_ref().is_some_and(|now| {
                        known.checksum.as_ref().is_some_and(|first| first != now)
                    }) =>
            {
                return Err(Error::Conflict {
                    reason: "this key was made for another file".into(),
                });
            }
            Some((_, true)) => {}
            Some((known, false)) => {
                known.until = known.until.max(expected.until);
                known.size_bytes = expected.size_bytes.or(known.size_bytes);
                known.media_type = expected.media_type.or(known.media_type.take());
                known.checksum = expected.checksum.or(known.checksum.take());
            }
        }
        Ok(id)
    }

    async fn minted(&self, key: &UploadKey) -> Result<Option<Minted>> {
        let expected = self.0.expected.lock().expect("unpoisoned");
        Ok(expected.get(key).map(|(_, has_arrived)| Minted {
            id: Shelf::id_of(key),
            has_arrived: *has_arrived,
        }))
    }

    fn changes(&self) -> impl Stream<Item = Change> + Send + 'static {
        use broadcast::error::RecvError;
        let changes = self.0.changes.lock().expect("unpoisoned");
        let listener = changes.as_ref().map(broadcast::Sender::subscribe);
        futures::stream::unfold(listener, async |listener| {
            let mut listener = listener?;
            match listener.recv().await {
                Ok(change) => Some((change, Some(listener))),
                Err(RecvError::Lagged(_)) => Some((Change::Missed, Some(listener))),
                Err(RecvError::Closed) => None,
            }
        })
    }
}

impl Grants for Shared {
    async fn sign(&self, request: RequestToSign) -> Result<SignedRequest> {
        let signed = SignedRequest {
            url: format!("http://127.0.0.1:9000/staging/{}?{SECRET}", request.key),
            expires_at: NOW.after(request.life),
        };
        self.0.signed.lock().expect("unpoisoned").push(request);
        Ok(signed)
    }

    async fn form(&self, form: FormToSign) -> Result<SignedForm> {
        let key = match &form.to {
            FormTarget::Key(key) => key.to_string(),
            FormTarget::Below(prefix) => format!("{prefix}${{filename}}"),
        };
        let signed = SignedForm {
            url: "http://127.0.0.1:9000/staging".into(),
            fields: BTreeMap::from([("key".into(), key), ("policy".into(), SECRET.into())]),
            expires_at: NOW.after(form.life),
        };
        self.0.forms.lock().expect("unpoisoned").push(form);
        Ok(signed)
    }

    async fn credentials(
        &self,
        scope: CredentialScope,
        life: Duration,
    ) -> Result<UploadCredentials> {
        self.0
            .scopes
            .lock()
            .expect("unpoisoned")
            .push((scope, life));
        Ok(UploadCredentials {
            access_key_id: "ASIAEXAMPLE".into(),
            secret_access_key: SECRET.into(),
            session_token: "token".into(),
            expires_at: NOW.after(life),
        })
    }

    async fn create_multipart(&self, create: CreateMultipart) -> Result<MultipartId> {
        let mut multiparts = self.0.multiparts.lock().expect("unpoisoned");
        let id = format!("upload/{}", multiparts.len());
        let multipart = Multipart {
            create,
            parts: Vec::new(),
            completed: None,
        };
        multiparts.insert(id.clone(), multipart);
        Ok(id.parse().expect("an id"))
    }

    async fn list_parts(&self, at: &MultipartRef) -> Result<Vec<ReceivedPart>> {
        let multiparts = self.0.multiparts.lock().expect("unpoisoned");
        match multiparts.get(at.upload.as_str()) {
            Some(found) if found.create.key == at.key && found.completed.is_none() => {
                Ok(found.parts.clone())
            }
            _ => Err(no_such_multipart()),
        }
    }

    async fn complete_multipart(&self, complete: CompleteMultipart) -> Result<Completed> {
        let mut multiparts = self.0.multiparts.lock().expect("unpoisoned");
        let found = multiparts
            .get_mut(complete.at.upload.as_str())
            .filter(|found| found.create.key == complete.at.key)
            .ok_or_else(no_such_multipart)?;
        for (number, etag) in &complete.parts {
            let is_there = |part: &ReceivedPart| part.number == number.get() && part.etag == *etag;
            if !found.parts.iter().any(is_there) {
                return Err(Error::Refused {
                    reason: format!("part {number} is missing or has another tag"),
                });
            }
        }
        let etag = Some(ETag::new(&format!("whole-{}", complete.parts.len())));
        found.completed.get_or_insert(complete);
        Ok(Completed { etag })
    }

    async fn abort_multipart(&self, at: &MultipartRef) -> Result<()> {
        let mut multiparts = self.0.multiparts.lock().expect("unpoisoned");
        multiparts.retain(|id, found| {
            id != at.upload.as_str() || found.create.key != at.key || found.completed.is_some()
        });
        Ok(())
    }
}

fn no_such_multipart() -> Error {
    Error::NotFound {
        what: "a multipart upload of this key with this id".into(),
    }
}

/// Faults of which there is one or none.
#[derive(Default)]
struct OneFault(Mutex<Option<String>>);

impl Faults for OneFault {
    fn rules(&self) -> Vec<FaultRule> {
        let name = self.0.lock().expect("unpoisoned").clone();
        let rule = name.map(|name| FaultRule {
            name,
            fault: "SlowDown".into(),
            took_effect: false,
            operations: vec!["PutObject".into()],
            words: "503 SlowDown to every PutObject".into(),
            matched: 2,
            struck: 1,
        });
        rule.into_iter().collect()
    }

    fn set(&self, rules: &Value) -> std::result::Result<(), String> {
        let name = rules["fault"][0]["name"].as_str();
        let name = name.ok_or("fault 1 has no name")?;
        *self.0.lock().expect("unpoisoned") = Some(name.to_owned());
        Ok(())
    }

    fn clear(&self) {
        *self.0.lock().expect("unpoisoned") = None;
    }
}

/// The service on a new shelf, without guards, for a caller who may do everything.
pub(crate) fn service() -> (Router, Arc<Shelf>) {
    service_for(Caller::unlimited("somebody"))
}

/// The service on a new shelf for this caller.
pub(crate) fn service_for(caller: Caller) -> (Router, Arc<Shelf>) {
    let (router, shelf) = bare_service();
    (router.layer(axum::Extension(caller)), shelf)
}

/// The service on a new shelf, with nobody saying who asks.
pub(crate) fn bare_service() -> (Router, Arc<Shelf>) {
    service_until(UntilStop(Arc::new(|| futures::future::pending().boxed())))
}

/// The service on a new shelf, and how to say that its server stops.
pub(crate) fn stopping_service() -> (Router, Arc<Shelf>, watch::Sender<bool>) {
    let (stop, stopping) = watch::channel(false);
    let (router, shelf) = service_until(UntilStop(Arc::new(move || {
        let mut stopping = stopping.clone();
        async move {
            stopping.wait_for(|stops| *stops).await.expect("a sender");
        }
        .boxed()
    })));
    let caller = axum::Extension(Caller::unlimited("somebody"));
    (router.layer(caller), shelf, stop)
}

fn service_until(until_stop: UntilStop) -> (Router, Arc<Shelf>) {
    let shared = Shared::default();
    let shelf = Arc::clone(&shared.0);
    let api = UploadApi {
        tracker: shared.clone(),
        grants: shared,
        key_template: KeyTemplate::default(),
        sources: Sources {
            now: Arc::new(|| NOW),
            random: Arc::new(|| 42),
        },
        until_stop,
        faults: Some(Arc::new(OneFault::default())),
        metrics: Some(Arc::new(crate::metrics::Told)),
        notifications: Some(Arc::new(crate::notifications::OneTarget)),
    };
    (router(api), shelf)
}

pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("a JSON answer")
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// Its words, after checking that it is a problem with this status as RFC 9457 has it.
    #[track_caller]
    pub(crate) fn problem(&self, status: u16) -> String {
        let text = String::from_utf8_lossy(&self.body);
        assert_eq!(self.status.as_u16(), status, "{text}");
        assert_eq!(
            self.header("content-type"),
            Some("application/problem+json")
        );
        let json = self.json();
        assert_eq!(json["type"], "about:blank");
        assert_eq!(json["status"], status);
        assert!(
            json["title"]
                .as_str()
                .is_some_and(|title| !title.is_empty())
        );
        let detail = json["detail"].as_str().expect("words");
        assert!(!detail.is_empty());
        detail.to_owned()
    }
}

pub(crate) async fn send(app: &Router, request: Request<Body>) -> Answer {
    let response = app.clone().oneshot(request).await.expect("infallible");
    let (parts, body) = response.into_parts();
    let body = to_bytes(body, 1 << 20).await.expect("a body");
    assert!(
        !parts
            .headers
            .keys()
            .any(|name| name.as_str().starts_with("access-control-")),
        "no answer carries CORS headers"
    );
    Answer {
        status: parts.status,
        headers: parts.headers,
        body: body.to_vec(),
    }
}

pub(crate) fn request(
    method: &str,
    uri: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Request<Body> {
    let mut request = Request::new(Body::from(body.to_vec()));
    *request.method_mut() = Method::from_bytes(method.as_bytes()).expect("a method");
    *request.uri_mut() = uri.parse().expect("an address");
    for (name, value) in headers {
        request.headers_mut().append(
            http::HeaderName::from_bytes(name.as_bytes()).expect("a name"),
            HeaderValue::from_str(value).expect("a value"),
        );
    }
    request
}

pub(crate) async fn get(app: &Router, uri: &str) -> Answer {
    send(app, request("GET", uri, &[], b"")).await
}

pub(crate) async fn post(app: &Router, uri: &str, json: &str) -> Answer {
    let json_type = [("content-type", "application/json")];
    send(app, request("POST", uri, &json_type, json.as_bytes())).await
}

//! A small implementation of the traits, and a way to call the service on it.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, to_bytes};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode};
use serde_json::Value;
use tower::ServiceExt as _;
use two_buckets_objects::{ByteRange, ETag, Timestamp, VersionId, VersionRef};
use two_buckets_uploads::{
    Attempt, AttemptOutcome, Counts, Cursor, Error, Grants, KeyTemplate, ListUploads, Oldest,
    PutToSign, Result, RetrySelection, S3Address, ServerFacts, SignedPut, Sources, Swept, Tracker,
    Upload, UploadApi, UploadHistory, UploadId, UploadPage, UploadState, router,
};

pub(crate) const NOW: Timestamp = Timestamp::from_millis(1_795_431_050_007);
pub(crate) const SECRET: &str = "X-Amz-Signature=5ec7e7";

/// A shelf of uploads: `a0` archived, `f1` failed, `p2` pending, `x3` archived HTML with an awkward key,
/// `e4` archived and empty. Asking for `down` or `bug` fails as a store may.
#[derive(Default)]
pub(crate) struct Shelf {
    pub(crate) signed: Mutex<Vec<PutToSign>>,
    pub(crate) listed: Mutex<Vec<ListUploads>>,
    pub(crate) retried: Mutex<Vec<RetrySelection>>,
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
        size_bytes: CONTENT.len() as u64,
        etag: ETag::new("abc123"),
        received_at: Timestamp::from_millis(NOW.millis() - 90_500),
        started_at: begun.then_some(NOW),
        finished_at: done.then_some(NOW),
        attempts: u32::from(begun),
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
            paused: false,
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
        })
    }

    async fn get(&self, id: &UploadId) -> Result<UploadHistory> {
        let upload = find(id)?;
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

    async fn content(
        &self,
        id: &UploadId,
        range: Option<ByteRange>,
    ) -> Result<two_buckets_objects::Body> {
        let upload = find(id)?;
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
        let upload = find(id)?;
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

    async fn retry_many(&self, selection: RetrySelection) -> Result<u64> {
        self.0.retried.lock().expect("unpoisoned").push(selection);
        Ok(2)
    }

    async fn sweep(&self) -> Result<Swept> {
        Ok(Swept {
            listed: 4,
            woken: 3,
            finished: 2,
            explained: 1,
        })
    }
}

impl Grants for Shared {
    async fn sign_put(&self, put: PutToSign) -> Result<SignedPut> {
        let signed = SignedPut {
            url: format!("http://127.0.0.1:9000/staging/{}?{SECRET}", put.key),
            expires_at: NOW.after(put.life),
        };
        self.0.signed.lock().expect("unpoisoned").push(put);
        Ok(signed)
    }
}

/// The service on a new shelf, without guards.
pub(crate) fn service() -> (Router, Arc<Shelf>) {
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

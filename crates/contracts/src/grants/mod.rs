//! The clauses of [`Grants`]: each grant is used for what it is for, over HTTP, and tried for more.

mod client;
mod credentials;
mod forms;
mod multipart;
mod urls;

use std::fmt::Write as _;
use std::future::Future;
use std::time::Duration;

use http::Method;
use two_buckets_objects::{BucketName, Timestamp};
use two_buckets_uploads::{Error, Grants, UploadCredentials, UploadKey};

pub use credentials::{
    a_key_that_does_not_fit_into_a_policy_is_refused_in_words,
    credentials_do_nothing_but_upload_their_key,
    credentials_for_a_key_that_looks_like_a_pattern_open_no_other,
    credentials_for_a_key_that_must_be_new_need_the_condition,
    credentials_for_a_prefix_stay_below_it, credentials_upload_their_key_at_once_and_in_parts,
};
pub use forms::{
    a_form_below_a_prefix_takes_the_name_of_its_file, a_form_takes_what_it_was_signed_for,
};
pub use multipart::{
    a_completion_that_is_repeated_never_blames_another_file,
    a_multipart_upload_is_carried_with_all_that_was_said_of_it,
    an_upload_that_is_gone_or_of_another_key_is_not_found,
    calls_of_a_multipart_upload_are_signed_one_by_one,
    completing_over_another_file_is_a_conflict_that_keeps_the_parts,
    every_part_that_was_received_is_listed, parts_that_are_not_as_named_are_refused,
};
pub use urls::{
    a_signed_put_takes_what_it_was_signed_for, a_url_that_binds_nothing_takes_any_bytes,
    awkward_keys_are_signed_as_they_are, grants_end_when_they_say, nothing_secret_is_shown,
};

/// Where grants are used: an S3 endpoint without TLS, with two empty versioned buckets, in which whoever grants may do
/// what an uploader may.
pub trait Place: Send + Sync {
    /// What is tested.
    type Grants: Grants;

    /// What is tested. It grants for the bucket [`staging`](Self::staging).
    fn grants(&self) -> &Self::Grants;

    /// The URL of the endpoint, without a slash at its end.
    fn endpoint(&self) -> &str;

    /// The staging bucket.
    fn staging(&self) -> &BucketName;

    /// The other bucket.
    fn other(&self) -> &BucketName;

    /// Who may do everything. An empty session token is none.
    fn owner(&self) -> UploadCredentials;

    /// The path and query of a request, and the headers to be added so that it is signed by these credentials.
    fn sign(&self, by: &UploadCredentials, call: &Call) -> (String, Headers);

    /// What the endpoint believes the time to be.
    fn now(&self) -> Timestamp;

    /// Lets the endpoint believe that so much time has passed.
    fn let_pass(&self, wait: Duration);
}

/// Names and values.
pub type Headers = Vec<(String, String)>;

/// A request to be signed by temporary credentials.
#[derive(Clone, Debug)]
pub struct Call {
    /// Whether it is for STS and not for S3.
    pub for_sts: bool,
    /// The method.
    pub method: Method,
    /// The bucket; none for the service.
    pub bucket: Option<String>,
    /// The key; none for the bucket.
    pub key: Option<String>,
    /// The query, decoded.
    pub query: Vec<(String, String)>,
    /// Headers, in lower case, all to be signed.
    pub headers: Headers,
    /// The body, to be signed.
    pub body: Vec<u8>,
}

impl Call {
    fn new(method: Method, bucket: &BucketName, key: &str) -> Self {
        Self {
            for_sts: false,
            method,
            bucket: Some(bucket.to_string()),
            key: Some(key.to_owned()).filter(|key| !key.is_empty()),
            query: Vec::new(),
            headers: Vec::new(),
            body: Vec::new(),
        }
    }

    fn query(mut self, name: &str, value: &str) -> Self {
        self.query.push((name.into(), value.into()));
        self
    }

    fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    fn body(mut self, body: &[u8]) -> Self {
        self.body = body.to_vec();
        self
    }

    async fn by<P: Place>(&self, place: &P, credentials: &UploadCredentials) -> client::Answer {
        let (target, signed) = place.sign(credentials, self);
        let url = format!("{}{target}", place.endpoint());
        let headers: Headers = self.headers.iter().cloned().chain(signed).collect();
        client::send(&self.method, &url, &headers, &self.body).await
    }
}

const MINUTE: Duration = Duration::from_mins(1);

fn key(text: &str) -> UploadKey {
    text.parse().unwrap()
}

/// The current version of a key in staging, as its owner reads it.
async fn stored<P: Place>(place: &P, key: &str) -> Option<client::Answer> {
    let call = Call::new(Method::GET, place.staging(), key);
    let call = call.header("x-amz-checksum-mode", "ENABLED");
    let answer = call.by(place, &place.owner()).await;
    match answer.status {
        200 => Some(answer),
        404 => None,
        _ => panic!("{key}: {answer:?}"),
    }
}

/// Whether staging has these bytes under the key.
async fn holds<P: Place>(place: &P, key: &str, bytes: &[u8]) -> bool {
    stored(place, key).await.is_some_and(|it| it.body == bytes)
}

async fn put_as_owner<P: Place>(place: &P, bucket: &BucketName, key: &str, bytes: &[u8]) {
    let call = Call::new(Method::PUT, bucket, key).body(bytes);
    let answer = call.by(place, &place.owner()).await;
    assert_eq!(answer.status, 200, "{answer:?}");
}

async fn put_part_as_owner<P: Place>(place: &P, key: &str, upload: &str, number: u32) {
    let call = Call::new(Method::PUT, place.staging(), key)
        .query("partNumber", &number.to_string())
        .query("uploadId", upload)
        .body(b"part");
    let answer = call.by(place, &place.owner()).await;
    assert_eq!(answer.status, 200, "{answer:?}");
}

/// The lists that a change would show in: of buckets, of versions and of unfinished uploads, and what a bucket is set to.
async fn everything<P: Place>(place: &P) -> Vec<String> {
    let owner = place.owner();
    let buckets = Call {
        bucket: None,
        ..Call::new(Method::GET, place.staging(), "")
    };
    let of_bucket = [place.staging(), place.other()]
        .into_iter()
        .flat_map(|name| {
            ["versions", "uploads", "versioning"]
                .map(|list| Call::new(Method::GET, name, "").query(list, ""))
        });
    let mut lists = Vec::new();
    for call in std::iter::once(buckets).chain(of_bucket) {
        let answer = call.by(place, &owner).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        lists.push(String::from_utf8(answer.body).unwrap());
    }
    lists
}

/// Panics unless nothing has changed.
async fn assert_unchanged<P: Place>(place: &P, before: &[String], after_what: &str) {
    assert_eq!(everything(place).await, before, "{after_what}");
}

/// Collects what went wrong of many tries, so that a report has all of it.
#[derive(Default)]
struct Problems(String);

impl Problems {
    fn add(&mut self, what: impl std::fmt::Display) {
        writeln!(self.0, "{what}").unwrap();
    }

    fn assert_none(&self) {
        assert!(self.0.is_empty(), "\n{}", self.0);
    }
}

async fn refusal<T: std::fmt::Debug>(tried: impl Future<Output = Result<T, Error>>) -> Error {
    tried.await.unwrap_err()
}

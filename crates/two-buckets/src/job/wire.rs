//! What a job and its server say to each other, as JSON. Both are the same program, so nothing here is for others.

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use two_buckets_local::{BegunJob, RanJob};
use two_buckets_objects::{
    Checksum, ChecksumKind, ETag, Metadata, ObjectInfo, Timestamp, VersionRef,
};
use two_buckets_pipeline::ledger;
use two_buckets_pipeline::{FencingToken, LogExcerpt, Order, ProcessError, ProgressAt, Report};

/// The first part of each path. Another program answers 404 to it, or is not asked.
pub(super) const BASE: &str = "/job/1";
/// The header with the ticket.
pub(super) const TICKET: &str = "x-two-buckets-ticket";
/// The header with a number used once, and that of the answer, which proves by it that the server has the root key.
pub(super) const NONCE: &str = "x-two-buckets-nonce";
pub(super) const PROOF: &str = "x-two-buckets-proof";

/// Which job is meant, in each path's query.
#[derive(Serialize, Deserialize, Debug)]
pub(super) struct Named {
    pub(super) bucket: String,
    pub(super) key: String,
    pub(super) version_id: String,
    /// The fencing token; none before the job has begun.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) token: Option<u64>,
    /// The name of an output.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) name: Option<String>,
}

/// A claim.
#[derive(Serialize, Deserialize, Debug)]
pub(super) struct Claim {
    /// Which process it is, in words that are no other's.
    pub(super) holder: String,
    /// What stands for the settings it was called with.
    pub(super) settings: String,
}

/// The answer to a claim.
#[derive(Serialize, Deserialize, Debug)]
pub(super) struct Begun {
    token: u64,
    lease_life_ms: u64,
    attempt: u32,
    tries: u32,
    number: u64,
    ordered_ms: i64,
    archive: String,
    session_name: String,
    /// Where functions find S3, if there are some.
    pub(super) functions: Option<String>,
    size_bytes: u64,
    etag: String,
    last_modified_ms: i64,
    checksums: Vec<WireChecksum>,
    metadata: WireMetadata,
}

#[derive(Serialize, Deserialize, Debug)]
struct WireChecksum {
    algorithm: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    parts: Option<u32>,
    value: String,
}

#[derive(Serialize, Deserialize, Debug, Default)]
#[serde(default)]
struct WireMetadata {
    content_type: Option<String>,
    content_encoding: Option<String>,
    content_disposition: Option<String>,
    content_language: Option<String>,
    cache_control: Option<String>,
    expires: Option<String>,
    website_redirect_location: Option<String>,
    user: BTreeMap<String, String>,
}

/// What a run has said.
#[derive(Serialize, Deserialize, Debug, Default)]
pub(super) struct Said {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    log: Option<WireLog>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    progress: Option<WireProgress>,
}

#[derive(Serialize, Deserialize, Debug)]
struct WireLog {
    first: String,
    dropped_bytes: u64,
    last: String,
}

#[derive(Serialize, Deserialize, Debug)]
struct WireProgress {
    done: u64,
    total: Option<u64>,
    words: String,
}

/// A sign of life.
#[derive(Serialize, Deserialize, Debug)]
pub(super) struct Renewal {
    pub(super) attempt: u32,
    pub(super) said: Said,
}

/// The end of a run.
#[derive(Serialize, Deserialize, Debug)]
pub(super) struct Ran {
    attempt: u32,
    said: Said,
    retry_after_ms: u64,
    must_have_moved: bool,
    answer: Answer,
}

#[derive(Serialize, Deserialize, Debug)]
#[serde(rename_all = "snake_case")]
enum Answer {
    Report(String),
    Transient(String),
    Permanent(String),
    Crashed(String),
    NotRun(String),
}

/// Where an output is.
#[derive(Serialize, Deserialize, Debug)]
pub(super) struct Written {
    pub(super) version_id: String,
}

/// Why something is refused, in words.
#[derive(Serialize, Deserialize, Debug)]
pub(super) struct Problem {
    pub(super) detail: String,
}

impl Named {
    pub(super) fn new(at: &VersionRef, token: Option<FencingToken>) -> Self {
        Self {
            bucket: at.bucket.to_string(),
            key: at.key.as_str().to_owned(),
            version_id: at.version_id.as_str().to_owned(),
            token: token.map(|token| token.0),
            name: None,
        }
    }

    /// The version; in words if there can be none of this name.
    pub(super) fn at(&self) -> Result<VersionRef, String> {
        Ok(VersionRef {
            bucket: self.bucket.parse().map_err(said_of("the bucket"))?,
            key: self.key.parse().map_err(said_of("the key"))?,
            version_id: two_buckets_objects::VersionId::new(self.version_id.as_str()),
        })
    }
}

fn said_of<E: std::fmt::Display>(what: &'static str) -> impl Fn(E) -> String {
    move |error| format!("{what}: {error}")
}

impl From<&BegunJob> for Begun {
    fn from(job: &BegunJob) -> Self {
        let ObjectInfo {
            at: _,
            size_bytes,
            etag,
            last_modified,
            checksums,
            metadata,
        } = &job.source;
        Self {
            token: job.token.0,
            lease_life_ms: millis(job.lease_life),
            attempt: job.attempt,
            tries: job.tries,
            number: job.order.number,
            ordered_ms: job.order.last_modified.millis(),
            archive: job.archive.to_string(),
            session_name: job.session_name.clone(),
            functions: None,
            size_bytes: *size_bytes,
            etag: etag.as_str().to_owned(),
            last_modified_ms: last_modified.millis(),
            checksums: checksums.iter().map(WireChecksum::from).collect(),
            metadata: WireMetadata::from(metadata),
        }
    }
}

impl Begun {
    /// The job of this version; in words if a part of it is not what it should be.
    pub(super) fn understood(self, at: &VersionRef) -> Result<BegunJob, String> {
        let checksums = self.checksums.iter().map(WireChecksum::understood);
        Ok(BegunJob {
            token: FencingToken(self.token),
            lease_life: Duration::from_millis(self.lease_life_ms),
            source: ObjectInfo {
                at: at.clone(),
                size_bytes: self.size_bytes,
                etag: ETag::new(&self.etag),
                last_modified: Timestamp::from_millis(self.last_modified_ms),
                checksums: checksums.collect::<Result<_, _>>()?,
                metadata: self.metadata.into(),
            },
            order: Order {
                last_modified: Timestamp::from_millis(self.ordered_ms),
                number: self.number,
            },
            attempt: self.attempt,
            tries: self.tries,
            archive: self.archive.parse().map_err(said_of("the archive"))?,
            session_name: self.session_name,
        })
    }
}

impl From<&Checksum> for WireChecksum {
    fn from(checksum: &Checksum) -> Self {
        Self {
            algorithm: checksum.algorithm.to_string(),
            parts: match checksum.kind {
                ChecksumKind::FullObject => None,
                ChecksumKind::Composite { parts } => Some(parts),
            },
            value: hex::encode(&checksum.value),
        }
    }
}

impl WireChecksum {
    fn understood(&self) -> Result<Checksum, String> {
        let value = hex::decode(&self.value).map_err(said_of("a checksum"))?;
        Ok(Checksum {
            algorithm: self.algorithm.parse().map_err(said_of("a checksum"))?,
            kind: match self.parts {
                None => ChecksumKind::FullObject,
                Some(parts) => ChecksumKind::Composite { parts },
            },
            value: value.into(),
        })
    }
}

impl From<&Metadata> for WireMetadata {
    fn from(metadata: &Metadata) -> Self {
        let Metadata {
            content_type,
            content_encoding,
            content_disposition,
            content_language,
            cache_control,
            expires,
            website_redirect_location,
            user,
        } = metadata.clone();
        Self {
            content_type,
            content_encoding,
            content_disposition,
            content_language,
            cache_control,
            expires,
            website_redirect_location,
            user,
        }
    }
}

impl From<WireMetadata> for Metadata {
    fn from(metadata: WireMetadata) -> Self {
        let WireMetadata {
            content_type,
            content_encoding,
            content_disposition,
            content_language,
            cache_control,
            expires,
            website_redirect_location,
            user,
        } = metadata;
        Self {
            content_type,
            content_encoding,
            content_disposition,
            content_language,
            cache_control,
            expires,
            website_redirect_location,
            user,
        }
    }
}

impl From<&ledger::Said> for Said {
    fn from(said: &ledger::Said) -> Self {
        Self {
            log: said.log.as_ref().map(|log| WireLog {
                first: STANDARD.encode(&log.first),
                dropped_bytes: log.dropped_bytes,
                last: STANDARD.encode(&log.last),
            }),
            progress: said.progress.as_ref().map(|at| WireProgress {
                done: at.done,
                total: at.total,
                words: at.words.clone(),
            }),
        }
    }
}

impl Said {
    pub(super) fn understood(self) -> Result<ledger::Said, String> {
        let bytes = |text: &str| STANDARD.decode(text).map_err(said_of("a log"));
        Ok(ledger::Said {
            log: match self.log {
                None => None,
                Some(log) => Some(LogExcerpt {
                    first: bytes(&log.first)?.into(),
                    dropped_bytes: log.dropped_bytes,
                    last: bytes(&log.last)?.into(),
                }),
            },
            progress: self.progress.map(|at| ProgressAt {
                done: at.done,
                total: at.total,
                words: at.words,
            }),
        })
    }
}

impl From<&RanJob> for Ran {
    fn from(ran: &RanJob) -> Self {
        Self {
            attempt: ran.attempt,
            said: (&ran.said).into(),
            retry_after_ms: millis(ran.retry_after),
            must_have_moved: ran.must_have_moved,
            answer: match &ran.result {
                Ok(report) => Answer::Report(report.as_str().to_owned()),
                Err(ProcessError::Transient(reason)) => Answer::Transient(reason.clone()),
                Err(ProcessError::Permanent(reason)) => Answer::Permanent(reason.clone()),
                Err(ProcessError::Crashed(reason)) => Answer::Crashed(reason.clone()),
                Err(ProcessError::NotRun(reason)) => Answer::NotRun(reason.clone()),
            },
        }
    }
}

impl Ran {
    pub(super) fn understood(self) -> Result<RanJob, String> {
        Ok(RanJob {
            attempt: self.attempt,
            said: self.said.understood()?,
            retry_after: Duration::from_millis(self.retry_after_ms),
            must_have_moved: self.must_have_moved,
            result: match self.answer {
                Answer::Report(json) => Report::from_json(json),
                Answer::Transient(reason) => Err(ProcessError::Transient(reason)),
                Answer::Permanent(reason) => Err(ProcessError::Permanent(reason)),
                Answer::Crashed(reason) => Err(ProcessError::Crashed(reason)),
                Answer::NotRun(reason) => Err(ProcessError::NotRun(reason)),
            },
        })
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use two_buckets_objects::{Algorithm, VersionId};

    fn there_and_back<T: Serialize + for<'a> Deserialize<'a>>(value: &T) -> T {
        serde_json::from_slice(&serde_json::to_vec(value).unwrap()).unwrap()
    }

    #[test]
    fn a_job_arrives_as_it_was_sent() {
        let at = VersionRef {
            bucket: "staging".parse().unwrap(),
            key: "a b/\u{e4}?&=\r\n#".parse().unwrap(),
            version_id: VersionId::new("v+1"),
        };
        let mut hasher = Algorithm::Sha256.hasher();
        hasher.update(b"x");
        let full = hasher.finish();
        let job = BegunJob {
            token: FencingToken(u64::MAX),
            lease_life: Duration::from_millis(1_500),
            source: ObjectInfo {
                at: at.clone(),
                size_bytes: u64::MAX,
                etag: ETag::new("\"e-2\""),
                last_modified: Timestamp::from_millis(-7),
                checksums: vec![
                    full.clone(),
                    Checksum {
                        kind: ChecksumKind::Composite { parts: 3 },
                        ..full
                    },
                ],
                metadata: Metadata {
                    content_type: Some("text/csv".into()),
                    content_encoding: Some("gzip".into()),
                    content_disposition: Some("inline".into()),
                    content_language: Some("de".into()),
                    cache_control: Some("no-store".into()),
                    expires: Some("never".into()),
                    website_redirect_location: Some("/x".into()),
                    user: [("a".into(), "\u{fc}".into())].into(),
                },
            },
            order: Order {
                last_modified: Timestamp::from_millis(-8),
                number: 9,
            },
            attempt: 3,
            tries: 2,
            archive: "archive".parse().unwrap(),
            session_name: "job-v1-5".into(),
        };
        let sent = there_and_back(&Begun::from(&job));
        assert_eq!(sent.understood(&at), Ok(job));
        let named = there_and_back(&Named::new(&at, Some(FencingToken(5))));
        assert_eq!((named.at(), named.token), (Ok(at), Some(5)));
    }

    #[test]
    fn what_a_run_came_to_arrives_as_it_was_sent() {
        for result in [
            Report::from_json("{\"a\": \"\\u0000\"}"),
            Err(ProcessError::Transient("t".into())),
            Err(ProcessError::Permanent("p\u{0}".into())),
            Err(ProcessError::Crashed("c".into())),
            Err(ProcessError::NotRun("n".into())),
        ] {
            let ran = RanJob {
                attempt: 4,
                said: ledger::Said {
                    log: Some(LogExcerpt {
                        first: vec![0, 255, 10].into(),
                        dropped_bytes: 7,
                        last: vec![128].into(),
                    }),
                    progress: Some(ProgressAt {
                        done: 1,
                        total: None,
                        words: "w".into(),
                    }),
                },
                result,
                retry_after: Duration::from_secs(30),
                must_have_moved: true,
            };
            let sent = there_and_back(&Ran::from(&ran));
            assert_eq!(sent.understood(), Ok(ran));
        }
    }
}

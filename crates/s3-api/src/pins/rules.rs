//! What a session with pins may not do whatever its policies say, and which objects are its own.

use two_buckets_objects::ObjectRef;

use super::{Invocation, Pin};
use crate::access::Need;
use crate::refusal::Refusal;

/// What may be done to a pinned version.
const ON_STAGED: &[&str] = &[
    "s3:DeleteObject",
    "s3:DeleteObjectVersion",
    "s3:GetObject",
    "s3:GetObjectAttributes",
    "s3:GetObjectTagging",
    "s3:GetObjectVersion",
    "s3:GetObjectVersionAttributes",
    "s3:GetObjectVersionTagging",
];
/// What may be done to its archive key. Versions there, which other uploads made, are not in it.
const ON_ARCHIVE: &[&str] = &[
    "s3:AbortMultipartUpload",
    "s3:GetObject",
    "s3:GetObjectAttributes",
    "s3:GetObjectTagging",
    "s3:ListMultipartUploadParts",
    "s3:PutObject",
    "s3:PutObjectTagging",
];

impl Invocation {
    /// Refuses what is outside the pins, and says of an object whether it is one of the session's own; none of what is
    /// no object. `version` is the version that the action names, if it names one.
    pub(crate) fn check(
        &self,
        need: &Need,
        version: Option<&str>,
    ) -> Result<Option<bool>, Refusal> {
        let Some((bucket, key)) = need.object_names() else {
            return Ok(None);
        };
        let names_version = need.action.contains("ObjectVersion");
        let pins = self.pins();
        if pins.iter().any(|pin| pin.staged.bucket.as_str() == bucket) {
            let is_pinned = pins.iter().any(|pin| {
                pin.staged.bucket.as_str() == bucket
                    && pin.staged.key.as_str() == key
                    && (!names_version || version == Some(pin.staged.version_id.as_str()))
            });
            return if !is_pinned {
                Err(self.refuse(need, "this version is not the one it works on"))
            } else if ON_STAGED.contains(&need.action) {
                Ok(Some(true))
            } else {
                Err(self.refuse(need, "what is uploaded may only be read and deleted"))
            };
        }
        if pins.iter().any(|pin| is_archive_key(pin, bucket, key)) {
            return if ON_ARCHIVE.contains(&need.action) {
                Ok(Some(true))
            } else {
                Err(self.refuse(need, "its own key there may only be read and written"))
            };
        }
        Ok(Some(pins.iter().any(|pin| is_result(pin, bucket, key))))
    }

    /// Whether the session may write here though others may not.
    pub(crate) fn is_result(&self, to: &ObjectRef) -> bool {
        let (bucket, key) = (to.bucket.as_str(), to.key.as_str());
        self.pins().iter().any(|pin| is_result(pin, bucket, key))
    }

    /// What the session works on, for people.
    pub(crate) fn words(&self) -> String {
        let versions: Vec<String> = self
            .pins()
            .iter()
            .map(|pin| {
                let at = &pin.staged;
                format!("{}/{} (version {})", at.bucket, at.key, at.version_id)
            })
            .collect();
        if versions.is_empty() {
            "no file".to_owned()
        } else {
            versions.join(", ")
        }
    }

    fn refuse(&self, need: &Need, why: &str) -> Refusal {
        Refusal::access_denied(format!(
            "{} on {}: {why}; the session works on {}",
            need.action,
            need.resource,
            self.words()
        ))
    }
}

fn is_archive_key(pin: &Pin, bucket: &str, key: &str) -> bool {
    pin.archive.bucket.as_str() == bucket && pin.archive.key.as_str() == key
}

/// The prefix is a folder: `_results/a` is no prefix of `_results/ab/c`.
fn is_result(pin: &Pin, bucket: &str, key: &str) -> bool {
    let prefix = pin.results_prefix.trim_end_matches('/');
    !prefix.is_empty()
        && pin.archive.bucket.as_str() == bucket
        && key
            .strip_prefix(prefix)
            .and_then(|rest| rest.strip_prefix('/'))
            .is_some_and(|name| !name.is_empty())
}

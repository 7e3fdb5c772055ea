use std::ffi::{OsStr, OsString};
use std::path::Path;

use two_buckets_pipeline::Incoming;

use super::arguments::PATH_VARIABLE;

/// What our own variables begin with. None of the server's are passed on, for they may hold its keys.
const OURS: &str = "TWO_BUCKETS_";

/// The variable with the folder of the command's files: what marks every process that a command starts.
pub(crate) const SCRATCH_VARIABLE: &str = "TWO_BUCKETS_SCRATCH";

/// The environment of a run: what is configured, and the facts of the upload, which win.
pub(super) fn of(
    configured: &[(OsString, OsString)],
    scratch: &Path,
    upload: &Incoming,
    path: Option<&Path>,
) -> Vec<(OsString, OsString)> {
    let source = &upload.source;
    let facts: [(&str, OsString); 8] = [
        ("BUCKET", source.at.bucket.as_str().into()),
        ("KEY", source.at.key.as_str().into()),
        ("VERSION_ID", source.at.version_id.as_str().into()),
        ("SIZE", source.size_bytes.to_string().into()),
        ("ETAG", source.etag.to_string().into()),
        (
            "MEDIA_TYPE",
            source
                .metadata
                .content_type
                .clone()
                .unwrap_or_default()
                .into(),
        ),
        ("ATTEMPT", upload.attempt.to_string().into()),
        ("IDEMPOTENCY_KEY", upload.idempotency_key().into()),
    ];
    let passed_on = |name: &OsStr| !name.as_encoded_bytes().starts_with(OURS.as_bytes());
    configured
        .iter()
        .filter(|(name, _)| passed_on(name))
        .cloned()
        .chain(
            facts
                .into_iter()
                .map(|(name, value)| (format!("{OURS}{name}").into(), value)),
        )
        .chain([(SCRATCH_VARIABLE.into(), scratch.into())])
        .chain(path.map(|path| (PATH_VARIABLE.into(), path.into())))
        .collect()
}

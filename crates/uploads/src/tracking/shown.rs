//! Rows of the ledger and versions in staging as the upload API shows them.

use two_buckets_objects::VersionRef;
use two_buckets_pipeline::archive::Replay;
use two_buckets_pipeline::{AttemptOutcome, State, Upload};

use super::ids;
use crate::{self as uploads, Result, UploadState};

pub(super) fn ledger_state(state: UploadState) -> State {
    match state {
        UploadState::Pending => State::Pending,
        UploadState::Processing => State::Processing,
        UploadState::Archived => State::Archived,
        UploadState::Failed => State::Failed,
        UploadState::Late => State::Late,
        UploadState::Duplicate => State::Duplicate,
    }
}

fn shown_state(state: State) -> UploadState {
    match state {
        State::Pending => UploadState::Pending,
        State::Processing => UploadState::Processing,
        State::Archived => UploadState::Archived,
        State::Failed => UploadState::Failed,
        State::Late => UploadState::Late,
        State::Duplicate => UploadState::Duplicate,
    }
}

fn replay_of(upload: &Upload, replay: &Replay) -> Result<uploads::ReplayOf> {
    Ok(uploads::ReplayOf {
        at: VersionRef {
            bucket: replay.bucket.clone(),
            key: upload.key.key.clone(),
            version_id: replay.version_id.clone(),
        },
        upload: replay.upload.as_ref().map(ids::of_named).transpose()?,
    })
}

/// A row as the API shows it.
pub fn shown(upload: &Upload) -> Result<uploads::Upload> {
    let staged = upload.staged.as_ref();
    let expectation = upload.expectation.as_ref();
    let report = upload
        .report
        .as_ref()
        .map(two_buckets_pipeline::Report::as_str)
        .filter(|text| !text.is_empty());
    let found: Findings = report
        .and_then(|text| serde_json::from_str(text).ok())
        .unwrap_or_default();
    Ok(uploads::Upload {
        id: ids::of_row(upload)?,
        bucket: upload.key.bucket.clone(),
        key: upload.key.key.clone(),
        version_id: staged.map(|staged| staged.version_id.clone()),
        state: shown_state(upload.state),
        is_expected: upload.is_expected(),
        is_job: upload.is_job,
        replay_of: upload
            .replay
            .as_ref()
            .map(|replay| replay_of(upload, replay))
            .transpose()?,
        size_bytes: staged.map_or_else(
            || expectation.and_then(|said| said.size_bytes).unwrap_or(0),
            |staged| staged.size_bytes,
        ),
        etag: staged.map_or_else(
            || two_buckets_objects::ETag::new(""),
            |staged| staged.etag.clone(),
        ),
        checksum: upload
            .archive
            .as_ref()
            .and_then(|archive| archive.checksum.clone())
            .or_else(|| upload.checksum.clone())
            // What came may be other than what was declared.
            .or_else(|| {
                let said = expectation.filter(|_| staged.is_none())?;
                said.checksum.clone()
            }),
        received_at: upload.received_at,
        started_at: upload.started_at,
        finished_at: upload.finished_at,
        attempts: upload.attempts_ever,
        progress: upload.progress.as_ref().map(|progress| uploads::Progress {
            done: progress.done,
            total: progress.total,
            words: progress.words.clone(),
        }),
        next_attempt_at: upload.next_attempt_at,
        reason: upload.reason.clone(),
        archive: upload.archive.as_ref().map(|archive| archive.at.clone()),
        media_type: found.media_type.or_else(|| upload.media_type.clone()),
        sha256: found.sha256,
        report: report.map(str::to_owned),
    })
}

/// What reports say under these names is shown with the upload; the rest of a report is its function's own.
#[derive(serde::Deserialize, Default)]
struct Findings {
    media_type: Option<String>,
    sha256: Option<String>,
}

pub(super) fn shown_log(kept: two_buckets_pipeline::ledger::KeptLog) -> uploads::AttemptLog {
    uploads::AttemptLog {
        attempt: kept.attempt,
        first: kept.log.first,
        dropped_bytes: kept.log.dropped_bytes,
        last: kept.log.last,
    }
}

pub(super) fn shown_attempt(attempt: &two_buckets_pipeline::Attempt) -> uploads::Attempt {
    uploads::Attempt {
        number: attempt.number,
        started_at: attempt.started_at,
        ended_at: attempt.ended.map(|(at, _)| at),
        outcome: attempt.ended.map(|(_, outcome)| match outcome {
            AttemptOutcome::Succeeded => uploads::AttemptOutcome::Succeeded,
            AttemptOutcome::Transient => uploads::AttemptOutcome::Transient,
            AttemptOutcome::Permanent => uploads::AttemptOutcome::Permanent,
            AttemptOutcome::Crashed => uploads::AttemptOutcome::Crashed,
        }),
        reason: attempt.reason.clone(),
    }
}

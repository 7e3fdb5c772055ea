//! What each action does: one call of a trait, and what it came to.

use std::time::Duration;

use tracing::{info, warn};
use two_buckets_objects::{ObjectRef, ObjectStore, VersionId, VersionRef};

use super::turned::Effect;
use super::{Driver, Tally};
use crate::backoff::{
    ATTEMPT_WAIT_FIRST, ATTEMPT_WAIT_MAX, STORE_WAIT_FIRST, STORE_WAIT_MAX, full_jitter,
};
use crate::ledger::{MoveUpload, MovedInOne, Release};
use crate::step::{Action, Input};
use crate::verify::{Verdict, verify};
use crate::{
    Clock, End, Lease, Ledger, Processor, State, Upload, WakeUp, WakeUps, Why, ledger, staging,
};
pub(super) async fn list<S: ObjectStore, L, P, C, W>(
    driver: &Driver<S, L, P, C, W>,
    key: &ObjectRef,
) -> Input {
    match staging::versions_of(&*driver.store, key).await {
        Ok((versions, is_complete)) => Input::Listed {
            versions,
            is_complete,
        },
        Err(error) => Input::StoreFailed(error.to_string()),
    }
}

pub(super) async fn pause<S, L, P, C: Clock, W>(
    driver: &Driver<S, L, P, C, W>,
    troubles: u32,
) -> Input {
    let wait = full_jitter(
        troubles,
        STORE_WAIT_FIRST,
        STORE_WAIT_MAX,
        (driver.random)(),
    );
    driver.clock.sleep(wait).await;
    Input::Done
}

pub(super) fn refused(error: &ledger::Error) -> Input {
    match error {
        ledger::Error::FencedOff => Input::FencedOff,
        error => Input::LedgerFailed(error.to_string()),
    }
}

/// One effect under a lease.
pub(super) async fn effect<S, L, P, C, W>(
    driver: &Driver<S, L, P, C, W>,
    key: &ObjectRef,
    lease: Lease,
    effect: Effect,
    wait_least: Duration,
    tally: &mut Tally,
) -> Input
where
    S: ObjectStore,
    L: Ledger,
    P: Processor,
    C: Clock,
    W: WakeUps,
{
    let action = match effect {
        Effect::Process(incoming, _guard) => {
            return Input::Processed(driver.processor.process(*incoming).await);
        }
        Effect::Of(action) => action,
    };
    let store = &*driver.store;
    let ledger = &*driver.ledger;
    let now = driver.clock.now();
    let version = |version_id: VersionId| VersionRef {
        bucket: key.bucket.clone(),
        key: key.key.clone(),
        version_id,
    };
    match action {
        Action::List => list(driver, key).await,
        Action::Pause { troubles } => pause(driver, troubles).await,
        Action::FindUnfinished => match ledger.unfinished_of(key).await {
            Ok(rows) => Input::Unfinished(rows),
            Err(error) => refused(&error),
        },
        Action::Note { versions } => match ledger.note(&lease, &versions).await {
            Ok(noted) => Input::Noted { noted, now },
            Err(error) => refused(&error),
        },
        Action::HeadSource { version_id } => {
            staging::head_source(store, &version(version_id)).await
        }
        Action::FindArchived { mark, size_bytes } => {
            staging::find_archived(store, &driver.settings.archive, &key.key, &mark, size_bytes)
                .await
        }
        Action::BeginAttempt { id, facts } => {
            let max = driver.settings.attempts_max;
            match ledger.begin_attempt(&lease, &id, &facts, max, now).await {
                Ok(begin) => Input::Begun(Box::new(begin)),
                Err(error) => refused(&error),
            }
        }
        Action::QueueJob { id } => match ledger.queue_job(&lease, &id, now).await {
            Ok(upload) => {
                info!(bucket = %upload.key.bucket, key = %upload.key.key, version_id = version_id(&upload),
                    "left to a job");
                tally.queued += 1;
                Input::Done
            }
            Err(error) => refused(&error),
        },
        Action::HeadArchive => {
            staging::head_archive(store, &driver.settings.archive, &key.key).await
        }
        Action::Copy {
            version_id,
            to,
            condition,
            metadata,
        } => staging::copy(store, &version(version_id), &to, condition, metadata).await,
        Action::Verify {
            archived,
            source,
            expected,
        } => {
            let source = source.map(version);
            match verify(store, &expected, source.as_ref(), &archived).await {
                Ok(Verdict::Same(checksum)) => Input::Verified(checksum),
                Ok(Verdict::Different | Verdict::Incomparable) => {
                    warn!(bucket = %archived.bucket, key = %archived.key, version_id = %archived.version_id,
                        "an archived version is not as its source");
                    Input::VerifyFailed
                }
                Err(error) => Input::StoreFailed(error.to_string()),
            }
        }
        Action::RemoveCopy { archived } => done(store.delete_version(&archived).await),
        Action::Record {
            id,
            record,
            is_late,
            report,
            was_gone,
        } => {
            let recorded = ledger
                .record_archived(&lease, &id, &record, is_late, report.as_ref(), now)
                .await;
            match recorded {
                Ok(upload) => {
                    if !was_gone {
                        archived(&upload, tally);
                    }
                    Input::Done
                }
                Err(error) => refused(&error),
            }
        }
        Action::Move { id, report } => {
            let upload = MoveUpload {
                id,
                archive: driver.settings.archive.clone(),
                report,
                now,
            };
            match ledger.move_in_one(&lease, &upload).await {
                Ok(moved) => {
                    if let MovedInOne::Moved { upload, .. } = &moved {
                        archived(upload, tally);
                    }
                    Input::Moved(moved)
                }
                Err(error) => refused(&error),
            }
        }
        Action::DeleteVersion { version_id } => {
            done(store.delete_version(&version(version_id)).await)
        }
        Action::Close { id, was_gone } => match ledger.close(&lease, &id).await {
            Ok(()) => {
                tally.finished += u64::from(was_gone);
                Input::Done
            }
            Err(error) => refused(&error),
        },
        Action::End {
            id,
            turn,
            look_in_archive,
            failures,
            was_gone,
        } => {
            let end = turn.into_end(look_in_archive, || {
                let wait = full_jitter(
                    failures,
                    ATTEMPT_WAIT_FIRST,
                    ATTEMPT_WAIT_MAX,
                    (driver.random)(),
                );
                driver.clock.now().after(wait.max(wait_least))
            });
            match ledger.end(&lease, &id, &end, now).await {
                Ok(upload) => {
                    ended(driver, &upload, &end, was_gone, tally).await;
                    Input::Done
                }
                Err(error) => refused(&error),
            }
        }
        Action::Release => match ledger.release(&lease).await {
            Ok(Release::Released) => Input::Released,
            Ok(Release::LookAgain) => Input::LookAgain,
            Err(error) => refused(&error),
        },
        other @ (Action::Claim
        | Action::ClaimForJob { .. }
        | Action::Start { .. }
        | Action::Process { .. }
        | Action::Stop(_)) => {
            unreachable!("{other:?} does not come here under a lease")
        }
    }
}

fn done(result: two_buckets_objects::Result<()>) -> Input {
    match result {
        Ok(()) => Input::Done,
        Err(error) => Input::StoreFailed(error.to_string()),
    }
}

fn archived(upload: &Upload, tally: &mut Tally) {
    tally.archived += 1;
    let duration_ms = upload
        .started_at
        .zip(upload.finished_at)
        .map(|(began, ended)| u64::try_from(ended.since(began).as_millis()).unwrap_or(u64::MAX));
    let how = match upload.state {
        State::Late => "archived beside a newer upload of its key",
        _ => "archived",
    };
    info!(bucket = %upload.key.bucket, key = %upload.key.key, version_id = version_id(upload),
        attempt = upload.attempts_ever, duration_ms, "{how}");
}

/// The version in staging, for logs.
fn version_id(upload: &Upload) -> &str {
    upload
        .staged
        .as_ref()
        .map_or("none", |staged| staged.version_id.as_str())
}

async fn ended<S, L, P, C, W: WakeUps>(
    driver: &Driver<S, L, P, C, W>,
    upload: &Upload,
    end: &End,
    was_gone: bool,
    tally: &mut Tally,
) {
    let reason = upload.reason.as_deref().unwrap_or_default();
    match end {
        End::Deferred {
            next_attempt_at, ..
        } => {
            tally.deferred += 1;
            info!(bucket = %upload.key.bucket, key = %upload.key.key, version_id = version_id(upload),
                attempt = upload.attempts_ever, reason, "an attempt failed and is repeated later");
            let wake_up = WakeUp {
                key: upload.key.clone(),
                why: Why::Event,
            };
            driver.wake_ups.wake(wake_up, Some(*next_attempt_at)).await;
        }
        End::Crashed { reason } => {
            warn!(bucket = %upload.key.bucket, key = %upload.key.key, version_id = version_id(upload),
                attempt = upload.attempts_ever, reason, "the function crashed");
        }
        End::Failed { .. } if upload.state == State::Failed => {
            tally.explained += u64::from(was_gone);
            tally.failed += u64::from(!was_gone);
            warn!(bucket = %upload.key.bucket, key = %upload.key.key, version_id = version_id(upload),
                attempt = upload.attempts_ever, reason, "set aside as failed");
        }
        End::Failed { .. } | End::StaysFailed => {}
        End::Duplicate { of } => {
            tally.duplicate += 1;
            info!(bucket = %upload.key.bucket, key = %upload.key.key, version_id = version_id(upload), %of,
                "a repeat of an archived upload, removed");
        }
    }
}

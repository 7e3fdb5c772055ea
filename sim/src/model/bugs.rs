//! The known mistakes, one at a time: each stands between the real steps and the world and changes what is done or what is
//! answered. Nothing of them is in the product.

use std::sync::Arc;

use two_buckets_objects::{
    ETag, Key, ListedVersion, Timestamp, VersionId, WriteCondition, Written,
};
use two_buckets_pipeline::step::{Action, CopyFailure, Input};
use two_buckets_pipeline::{Begin, State, Upload};

use super::configuration::Configuration;
use super::moves::Fate;
use super::store::{checksum, content};
use super::world::{Worker, World};

/// A mistake that somebody made once.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Bug {
    /// What is archived is deleted from staging by its key's name, as where versions are not looked at.
    DeleteByName,
    /// Nobody looks whether the archive has it already.
    NoArchiveCheck,
    /// The copy does not say what must be current in the archive.
    UnconditionalCopy,
    /// Staging is cleared first and the record made then.
    DeleteBeforeRecord,
    /// After a crash only the archive's current version is looked at.
    LooksOnlyAtCurrent,
    /// An upload is set aside without a look whether an earlier run archived it.
    SetsAsideWhatIsArchived,
    /// Leases of a dead process are honoured after a restart.
    HonoursDeadLeases,
    /// Whoever releases a lease does not see that somebody was turned away.
    NoDirtyFlag,
    /// A wake-up that finds the key taken is acknowledged and forgotten.
    AcknowledgesOnConflict,
    /// 409 is read as "it exists already", and nothing more is asked.
    ConflictIsExists,
    /// A copy is believed.
    SkipsVerify,
    /// An attempt is recorded after its run.
    RecordsAttemptAfterRun,
    /// The sweep lists only what is newer than what it saw before.
    WatermarkSweep,
    /// A delete marker on top is taken for a key with nothing in it.
    MarkerHidesAll,
    /// A list by prefix is taken for a list of the key.
    PrefixTrap,
    /// A record is made though the fencing token is old.
    IgnoresFenceAtRecord,
    /// What was set aside while a copy may have been on its way is never looked for again.
    NeverLooksAgain,
    /// The function is said to have accepted what it was never asked about.
    SkipsFunction,
    /// A job that found nothing to do is started again at once.
    StartsFruitlessJobs,
}

impl Bug {
    /// Every one that breaks a promise. What goes round without an end breaks none on its way.
    pub const ALL: [Self; 18] = [
        Self::DeleteByName,
        Self::NoArchiveCheck,
        Self::UnconditionalCopy,
        Self::DeleteBeforeRecord,
        Self::LooksOnlyAtCurrent,
        Self::SetsAsideWhatIsArchived,
        Self::HonoursDeadLeases,
        Self::NoDirtyFlag,
        Self::AcknowledgesOnConflict,
        Self::ConflictIsExists,
        Self::SkipsVerify,
        Self::RecordsAttemptAfterRun,
        Self::WatermarkSweep,
        Self::MarkerHidesAll,
        Self::PrefixTrap,
        Self::IgnoresFenceAtRecord,
        Self::NeverLooksAgain,
        Self::SkipsFunction,
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::DeleteByName => "delete by name",
            Self::NoArchiveCheck => "no archive check",
            Self::UnconditionalCopy => "unconditional copy",
            Self::DeleteBeforeRecord => "delete before record",
            Self::LooksOnlyAtCurrent => "look only at the archive's current version after a crash",
            Self::SetsAsideWhatIsArchived => "set aside an upload that was already archived",
            Self::HonoursDeadLeases => "leases of a dead process honoured after a restart",
            Self::NoDirtyFlag => "no dirty flag",
            Self::AcknowledgesOnConflict => "ack on conflict",
            Self::ConflictIsExists => "409 read as exists",
            Self::SkipsVerify => "verify skipped",
            Self::RecordsAttemptAfterRun => "attempt recorded after the run",
            Self::WatermarkSweep => "watermark sweep",
            Self::MarkerHidesAll => "delete-marker confusion",
            Self::PrefixTrap => "prefix trap",
            Self::IgnoresFenceAtRecord => "fencing token ignored at record",
            Self::NeverLooksAgain => "what lands late is not looked for",
            Self::SkipsFunction => "archived without a run",
            Self::StartsFruitlessJobs => "a job is started again at once",
        }
    }
}

/// The version that a 409 is taken to tell of.
const EXISTS: &str = "exists";

/// What is done where a worker's step asks for its action.
pub(super) fn done_instead(config: &Configuration, world: &mut World, worker: &Worker) -> Action {
    let action = worker.action.clone();
    match (config.bug, action) {
        (Some(Bug::DeleteByName), Action::DeleteVersion { version_id }) => {
            let of_key = |entry: &&Arc<ListedVersion>| super::store::is_of(entry, worker.key);
            let newest = world.staging.iter().find(of_key);
            Action::DeleteVersion {
                version_id: newest.map_or(version_id, |entry| entry.version_id.clone()),
            }
        }
        (
            Some(Bug::UnconditionalCopy),
            Action::Copy {
                version_id,
                to,
                metadata,
                condition: _,
            },
        ) => Action::Copy {
            version_id,
            to,
            metadata,
            condition: WriteCondition::None,
        },
        (
            Some(Bug::DeleteBeforeRecord),
            Action::Record {
                id,
                record,
                is_late,
                report,
                was_gone,
            },
        ) => {
            if let Some(version) = world.row(&id).version() {
                world.delete_version(config, &version.version_id);
            }
            Action::Record {
                id,
                record,
                is_late,
                report,
                was_gone,
            }
        }
        (_, action) => action,
    }
}

/// What the steps are told of an effect. `before` is the world as it was.
pub(super) fn answered(
    config: &Configuration,
    before: &World,
    world: &mut World,
    worker: &mut Worker,
    action: &Action,
    fate: Fate,
    input: Input,
) -> Input {
    let key = worker.key;
    match (config.bug, input) {
        (Some(Bug::NoArchiveCheck), Input::FoundArchived(_)) => Input::FoundArchived(None),
        (Some(Bug::NoArchiveCheck), Input::ArchiveHead(Some(mut current))) => {
            current.metadata.user.clear();
            Input::ArchiveHead(Some(current))
        }
        (Some(Bug::LooksOnlyAtCurrent), Input::FoundArchived(Some(at))) => {
            let is_current = world
                .current(&super::world::object(key).key)
                .is_some_and(|now| now.at == at);
            Input::FoundArchived(is_current.then_some(at))
        }
        (Some(Bug::SetsAsideWhatIsArchived), Input::FoundArchived(_)) if worker.has_failed => {
            Input::FoundArchived(None)
        }
        (Some(Bug::NoDirtyFlag), Input::LookAgain) => {
            world.leases[key] = None;
            Input::Released
        }
        (Some(Bug::AcknowledgesOnConflict), Input::Busy) => {
            world.leases[key].clone_from(&before.leases[key]);
            Input::Busy
        }
        (Some(Bug::ConflictIsExists), Input::CopyFailed(CopyFailure::NotWritten(_)))
            if fate == Fate::NotWritten =>
        {
            Input::Copied(Written {
                version_id: VersionId::new(EXISTS),
                etag: ETag::new(EXISTS),
                last_modified: Timestamp::default(),
            })
        }
        (Some(Bug::ConflictIsExists), Input::VerifyFailed) => match action {
            Action::Verify {
                archived,
                source: Some(source),
                ..
            } if archived.version_id.as_str() == EXISTS => {
                Input::Verified(checksum(content(config, source.as_str())))
            }
            _ => Input::VerifyFailed,
        },
        (Some(Bug::SkipsVerify), Input::VerifyFailed) => Input::Verified(checksum(0)),
        (Some(Bug::NeverLooksAgain), Input::Noted { mut noted, now }) => {
            let failed = |row: &&mut Upload| row.state == State::Failed;
            for row in noted.uploads.iter_mut().filter(failed) {
                row.look_in_archive = false;
            }
            Input::Noted { noted, now }
        }
        (Some(Bug::RecordsAttemptAfterRun), Input::Begun(begin)) => {
            if let Begin::Begun(upload) = &*begin {
                worker.unrecorded = Some(Arc::new(upload.clone()));
                world.rows.clone_from(&before.rows);
            }
            Input::Begun(begin)
        }
        (Some(Bug::RecordsAttemptAfterRun), Input::Processed(result)) => {
            if let Some(begun) = worker.unrecorded.take()
                && before.is_holder(worker)
                && let Some(row) = world.rows.iter_mut().find(|row| row.id == begun.id)
            {
                *row = begun;
            }
            Input::Processed(result)
        }
        (_, input) => input,
    }
}

/// Whether a change is made though its lease is gone.
pub(super) fn ignores_fence(bug: Option<Bug>, action: &Action) -> bool {
    bug == Some(Bug::IgnoresFenceAtRecord) && matches!(action, Action::Record { .. })
}

/// What a list by prefix is taken to say.
pub(super) fn listed(
    bug: Option<Bug>,
    key: &Key,
    mut entries: Vec<ListedVersion>,
) -> Vec<ListedVersion> {
    match bug {
        Some(Bug::MarkerHidesAll) => {
            let is_hidden = entries
                .iter()
                .find(|entry| entry.key == *key)
                .is_some_and(|entry| entry.is_delete_marker);
            entries.retain(|entry| entry.key != *key || entry.is_delete_marker || !is_hidden);
        }
        Some(Bug::PrefixTrap) => {
            for entry in &mut entries {
                entry.key = key.clone();
            }
        }
        _ => {}
    }
    entries
}

/// Whether a job that did nothing is waited with.
pub(super) fn waits_with_jobs(bug: Option<Bug>) -> bool {
    bug != Some(Bug::StartsFruitlessJobs)
}

/// Whether the function is not asked.
pub(super) fn skips_function(bug: Option<Bug>) -> bool {
    bug == Some(Bug::SkipsFunction)
}

/// Whether the sweep does not see an entry.
pub(super) fn passes_over(bug: Option<Bug>, watermark: i64, entry: &ListedVersion) -> bool {
    bug == Some(Bug::WatermarkSweep) && entry.last_modified.millis() <= watermark
}

/// Whether the sweep looks for what was set aside in doubt.
pub(super) fn looks(config: &Configuration) -> bool {
    !config.is_embedded && config.bug != Some(Bug::NeverLooksAgain)
}

/// What the sweep remembers of what it saw.
pub(super) fn watermark(bug: Option<Bug>, newest: i64) -> i64 {
    if bug == Some(Bug::WatermarkSweep) {
        newest
    } else {
        0
    }
}

/// What a restart leaves.
pub(super) fn restarted(bug: Option<Bug>, before: &World, after: &mut World) {
    if bug == Some(Bug::HonoursDeadLeases) {
        after.leases.clone_from(&before.leases);
    }
}

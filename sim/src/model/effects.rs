//! What each of a worker's actions does to the world: the model's counterpart of `pipeline`'s `driver/effect.rs`.

use two_buckets_objects::VersionId;
use two_buckets_pipeline::step::{Action, Input, Rules, Turn};
use two_buckets_pipeline::{ProcessError, Report, State, Upload, UploadId};

use super::bugs;
use super::configuration::Configuration;
use super::moves::Fate;
use super::promises::Promise;
use super::store::content;
use super::world::{ATTEMPTS_MAX, Worker, World};

/// Performs what a worker's step asks for, as a planted mistake has it; none where this fate cannot be its.
pub(super) fn perform(
    config: &Configuration,
    rules: &Rules,
    world: &mut World,
    worker: &mut Worker,
    fate: Fate,
) -> Option<Input> {
    let before = config.bug.map(|_| world.clone());
    let action = bugs::done_instead(config, world, worker);
    let input =
        if is_fenced_off(world, worker, &action) && !bugs::ignores_fence(config.bug, &action) {
            Input::FencedOff
        } else {
            world.check_jobs(worker, &action);
            answer(config, rules, world, worker, &action, fate)?
        };
    Some(match before {
        Some(before) => bugs::answered(config, &before, world, worker, &action, fate, input),
        None => input,
    })
}

/// Whether an action is a ledger's change under a lease that is gone.
fn is_fenced_off(world: &World, worker: &Worker, action: &Action) -> bool {
    let needs_lease = match action {
        Action::Note { .. }
        | Action::QueueJob { .. }
        | Action::BeginAttempt { .. }
        | Action::Record { .. }
        | Action::Move { .. }
        | Action::Close { .. }
        | Action::End { .. }
        | Action::Release => true,
        Action::Claim
        | Action::ClaimForJob { .. }
        | Action::Start { .. }
        | Action::List
        | Action::FindUnfinished
        | Action::HeadSource { .. }
        | Action::FindArchived { .. }
        | Action::Process { .. }
        | Action::HeadArchive
        | Action::Copy { .. }
        | Action::Verify { .. }
        | Action::RemoveCopy { .. }
        | Action::DeleteVersion { .. }
        | Action::Pause { .. }
        | Action::Stop(_) => false,
    };
    needs_lease && !world.is_holder(worker)
}

fn answer(
    config: &Configuration,
    rules: &Rules,
    world: &mut World,
    worker: &Worker,
    action: &Action,
    fate: Fate,
) -> Option<Input> {
    let key = worker.key;
    let failed = || Input::StoreFailed("trouble".into());
    let is_copy = matches!(action, Action::Copy { .. });
    if fate == Fate::Unanswered && !is_copy {
        return Some(failed());
    }
    Some(match action {
        Action::Claim => world.claim(key, None, fate == Fate::LeaseRanOut)?,
        Action::ClaimForJob { id } => world.claim(key, Some(id), fate == Fate::LeaseRanOut)?,
        Action::Start { versions } => {
            let has_run_out = fate == Fate::LeaseRanOut;
            Input::Started(world.start(config, &rules.routes, key, versions, has_run_out)?)
        }
        Action::List => world.versions_of(config, key),
        Action::FindUnfinished => Input::Unfinished(
            world
                .rows
                .iter()
                .filter(|row| super::world::key_of(&row.key) == key && row.is_unfinished())
                .map(|row| (**row).clone())
                .collect(),
        ),
        Action::Note { versions } => Input::Noted {
            noted: world.note(key, versions),
            now: world.time(),
        },
        Action::HeadSource { version_id } => Input::Source(world.source(config, key, version_id)),
        Action::QueueJob { id } => {
            let now = world.time();
            world.change(id, |row| row.queue_job(now));
            Input::Done
        }
        Action::FindArchived { mark, .. } => Input::FoundArchived(world.find_archived(key, mark)),
        Action::BeginAttempt { id, facts } => {
            Input::Begun(Box::new(world.begin_attempt(id, facts)))
        }
        Action::Process { .. } if bugs::skips_function(config.bug) => {
            Input::Processed(Ok(Report::default()))
        }
        Action::Process { upload, source, .. } => {
            let result = process(world, upload, fate)?;
            if result.is_ok() {
                world.accept(config, source.at.version_id.as_str());
            }
            Input::Processed(result)
        }
        Action::HeadArchive => {
            Input::ArchiveHead(world.archive_head(&super::world::object(key).key))
        }
        Action::Copy {
            version_id,
            to,
            condition,
            metadata,
        } => world.copy(config, version_id, to, condition, metadata, fate)?,
        Action::Verify {
            archived,
            source,
            expected,
        } => world.verify(config, archived, source.as_ref(), expected),
        Action::RemoveCopy { archived } => {
            world.remove_copy(archived);
            deleted(fate)
        }
        Action::Record {
            id,
            record,
            is_late,
            report,
            was_gone: _,
        } => {
            world.record_archived(config, id, record, *is_late, report.as_ref());
            Input::Done
        }
        Action::Move { id, report } => {
            Input::Moved(world.move_in_one(config, &rules.archive, id, report))
        }
        Action::DeleteVersion { version_id } => {
            world.delete_version(config, version_id);
            deleted(fate)
        }
        Action::Close { id, was_gone: _ } => {
            world.change(id, Upload::close);
            Input::Done
        }
        Action::End {
            id,
            turn,
            look_in_archive,
            failures: _,
            was_gone: _,
        } => {
            world.check_turn(config, worker, id, turn);
            world.end(id, turn.clone(), *look_in_archive);
            world.uncount_run(config, id, turn);
            Input::Done
        }
        Action::Pause { troubles: _ } => Input::Done,
        Action::Release => world.release(key),
        Action::Stop(_) => return None,
    })
}

fn deleted(fate: Fate) -> Input {
    match fate {
        Fate::UnansweredButDone => Input::StoreFailed("trouble".into()),
        Fate::Done
        | Fate::LeaseRanOut
        | Fate::NotWritten
        | Fate::ErrorInside200
        | Fate::Unanswered
        | Fate::Wrong
        | Fate::Transient
        | Fate::Permanent
        | Fate::Crashed => Input::Done,
    }
}

fn process(world: &mut World, upload: &Upload, fate: Fate) -> Option<Result<Report, ProcessError>> {
    if upload.attempts > ATTEMPTS_MAX {
        let how = format!("{} is in attempt {}", upload.id, upload.attempts);
        world.fail(Promise::AttemptsAreBounded, how);
    }
    Some(match fate {
        Fate::Done => Ok(Report::default()),
        Fate::Transient => Err(ProcessError::Transient("later".into())),
        Fate::Permanent => Err(ProcessError::Permanent("poison".into())),
        Fate::Crashed => Err(ProcessError::Crashed("gone".into())),
        Fate::LeaseRanOut
        | Fate::NotWritten
        | Fate::ErrorInside200
        | Fate::Unanswered
        | Fate::UnansweredButDone
        | Fate::Wrong => return None,
    })
}

impl World {
    /// The function begins to run on a version.
    pub(super) fn count_run(&mut self, config: &Configuration, version_id: &str) {
        let Some(n) = place_of(config, version_id) else {
            return;
        };
        self.runs[n] += 1;
        if u32::from(self.runs[n]) > ATTEMPTS_MAX {
            let how = format!(
                "the function runs on {version_id} for the {}rd time, {ATTEMPTS_MAX} are allowed",
                self.runs[n]
            );
            self.fail(Promise::AttemptsAreBounded, how);
        }
    }

    /// The function has accepted a version.
    fn accept(&mut self, config: &Configuration, version_id: &str) {
        if let Some(n) = place_of(config, version_id) {
            self.accepted |= 1 << n;
        }
    }

    /// An attempt that the store and not the function ended does not count.
    fn uncount_run(&mut self, config: &Configuration, id: &UploadId, turn: &Turn) {
        let Turn::Deferred {
            is_counted: false, ..
        } = turn
        else {
            return;
        };
        if let Some(n) = self
            .row(id)
            .version()
            .and_then(|version| place_of(config, version.version_id.as_str()))
        {
            self.runs[n] = self.runs[n].saturating_sub(1);
        }
    }

    /// What is set aside must be in no archive that its worker could have seen, and a duplicate must be one.
    fn check_turn(&mut self, config: &Configuration, worker: &Worker, id: &UploadId, turn: &Turn) {
        let Some(version) = self.row(id).version() else {
            return;
        };
        match turn {
            Turn::Failed { .. } => {
                let seen = worker.copies_then.min(self.archive.len());
                let is_it = |copy: &std::sync::Arc<super::world::Archived>| {
                    copy.mark.source_version == version.version_id && copy.content != 0
                };
                if self.archive[..seen].iter().any(is_it) {
                    let how = format!("{id} is set aside and was archived");
                    self.fail(Promise::ArchivedIsNotSetAside, how);
                }
            }
            // Only a worker without its lease can archive between the look and the record.
            Turn::Duplicate { .. } if config.faults.expiries == 0 => {
                let bytes = |version: &VersionId| content(config, version.as_str());
                let current = self
                    .current(&version.key)
                    .map(|now| bytes(&now.mark.source_version));
                if current != Some(bytes(&version.version_id)) {
                    let how = format!("{id} is a duplicate and others' bytes are current");
                    self.fail(Promise::DuplicatesAreArchived, how);
                }
            }
            Turn::Duplicate { .. }
            | Turn::Deferred { .. }
            | Turn::Crashed { .. }
            | Turn::StaysFailed => {}
        }
    }

    /// Whether an effect is one that a worker or a job must not have.
    fn check_jobs(&mut self, worker: &Worker, action: &Action) {
        let id = match action {
            Action::BeginAttempt { id, .. }
            | Action::Record { id, .. }
            | Action::Move { id, .. } => id.clone(),
            Action::Copy { version_id, .. } | Action::DeleteVersion { version_id } => {
                match self.row_of(version_id.as_str()) {
                    Some(row) => row.id.clone(),
                    None => return,
                }
            }
            Action::Claim
            | Action::ClaimForJob { .. }
            | Action::List
            | Action::Start { .. }
            | Action::FindUnfinished
            | Action::Note { .. }
            | Action::HeadSource { .. }
            | Action::FindArchived { .. }
            | Action::QueueJob { .. }
            | Action::Process { .. }
            | Action::HeadArchive
            | Action::Verify { .. }
            | Action::RemoveCopy { .. }
            | Action::Close { .. }
            | Action::End { .. }
            | Action::Pause { .. }
            | Action::Release
            | Action::Stop(_) => return,
        };
        if let Some(how) = self.breach_of_jobs(worker, action, &id) {
            self.fail(Promise::JobsAreAlone, how);
        }
    }

    fn breach_of_jobs(&self, worker: &Worker, action: &Action, id: &UploadId) -> Option<String> {
        let row = self.row(id);
        let is_own = worker.job.as_ref() == Some(id);
        let is_begun = matches!(action, Action::BeginAttempt { .. });
        // What is gone from staging, or archived and not deleted there, is finished by whoever comes.
        let is_left_over = matches!(action, Action::Record { was_gone: true, .. });
        let is_unfinished = matches!(row.state, State::Pending | State::Processing);
        let is_for_job = row
            .version()
            .is_some_and(|at| at.version_id.as_str().starts_with('j'));
        if !is_own && ((is_begun && is_for_job) || (row.is_job && is_unfinished && !is_left_over)) {
            return Some(format!("a worker has {id}, which is a job's"));
        }
        if worker.job.is_some() && !is_own {
            return Some(format!("the job of another upload has {id}"));
        }
        let order = |row: &Upload| row.staged.as_ref().map(|staged| staged.order);
        let is_passed = |older: &&std::sync::Arc<Upload>| {
            older.is_job
                && older.is_due(self.time())
                && older.key == row.key
                && older.id != row.id
                && order(older) < order(row)
                && older
                    .version()
                    .is_some_and(|at| self.staged(at.version_id.as_str()).is_some())
        };
        let older = self.rows.iter().find(is_passed).filter(|_| is_begun)?;
        Some(format!("{id} does not wait for the job of {}", older.id))
    }
}

fn place_of(config: &Configuration, version_id: &str) -> Option<usize> {
    config.sent.iter().position(|sent| sent.name == version_id)
}

//! The ledger: leases with fencing tokens, and rows that change only as [`Upload`]'s own methods change them.

use std::sync::Arc;

use two_buckets_objects::Timestamp;
use two_buckets_objects::{ListedVersion, ObjectRef};
use two_buckets_pipeline::archive::{Mark, Placement, late_key, place};
use two_buckets_pipeline::ledger::{MovedInOne, Noted, SourceFacts, Started};
use two_buckets_pipeline::step::{Choice, Input, Offers, Turn, choose};
use two_buckets_pipeline::{ArchiveRecord, Begin, Report, Route, Routes, State, Upload, UploadId};

use super::configuration::Configuration;
use super::promises::Promise;
use super::store::content;
use super::world::{ATTEMPTS_MAX, Held, World, key_of, lease, object};

impl World {
    /// Claims a key, or has its holder look again. A live lease may have run out: then `has_run_out`.
    /// None where there is no lease that could.
    pub(super) fn claim(
        &mut self,
        key: usize,
        job: Option<&UploadId>,
        has_run_out: bool,
    ) -> Option<Input> {
        match &mut self.leases[key] {
            Some(held) if !has_run_out => {
                held.is_dirty = true;
                return Some(Input::Busy);
            }
            None if has_run_out => return None,
            _ => {}
        }
        self.last_token += 1;
        self.leases[key] = Some(Held {
            token: self.last_token,
            is_dirty: false,
            job: job.cloned(),
        });
        Some(Input::Claimed)
    }

    /// Ends a clean lease; a dirty one is cleaned and goes on.
    pub(super) fn release(&mut self, key: usize) -> Input {
        match &mut self.leases[key] {
            Some(held) if held.is_dirty => {
                held.is_dirty = false;
                Input::LookAgain
            }
            lease => {
                *lease = None;
                Input::Released
            }
        }
    }

    /// Finds or makes the rows of these versions.
    pub(super) fn note(&mut self, key: usize, versions: &[ListedVersion]) -> Noted {
        for version in versions {
            let is_known = |row: &Arc<Upload>| {
                row.version().is_some_and(|at| {
                    at.version_id == version.version_id && at.key == object(key).key
                })
            };
            if self.rows.iter().any(is_known) {
                continue;
            }
            if self.is_of_another(key, version) {
                let how = format!(
                    "{} is noted as an upload of {}",
                    version.version_id,
                    object(key).key
                );
                self.fail(Promise::NothingIsMixedUp, how);
            }
            // Numbers need to grow within a key only.
            let is_numbered = |row: &&Arc<Upload>| !row.is_expected() && key_of(&row.key) == key;
            let number = self.rows.iter().filter(is_numbered).count() as u64 + 1;
            let is_waiting = |row: &&mut Arc<Upload>| row.is_expected() && key_of(&row.key) == key;
            if let Some(expected) = self.rows.iter_mut().find(is_waiting) {
                Arc::make_mut(expected).arrive(number, version);
            } else {
                let id = UploadId::new(version.version_id.as_str()).expect("a legal id");
                let row = Upload::listed(id, object(key), number, version);
                self.rows.push(Arc::new(row));
            }
        }
        let find = |version: &ListedVersion| self.row_of(version.version_id.as_str()).cloned();
        let mints = self.rows.iter().filter(|row| key_of(&row.key) == key);
        let archived_mint = mints
            .into_iter()
            .find(|row| row.minted && row.state == State::Archived)
            .map(|row| Box::new((**row).clone()));
        Noted {
            uploads: versions.iter().filter_map(find).collect(),
            archived_mint,
        }
    }

    fn is_of_another(&self, key: usize, version: &ListedVersion) -> bool {
        let entry = self.staged(version.version_id.as_str());
        entry.is_some_and(|entry| !super::store::is_of(entry, key))
    }

    /// Records an attempt before it runs.
    pub(super) fn begin_attempt(&mut self, id: &UploadId, facts: &SourceFacts) -> Begin {
        let mut begin = self
            .row(id)
            .clone()
            .begin_attempt(ATTEMPTS_MAX, self.time());
        if let Begin::Begun(upload) = &mut begin {
            upload.checksum.clone_from(&facts.checksum);
            upload.media_type.clone_from(&facts.media_type);
            let begun = upload.clone();
            self.change(id, |row| *row = begun);
        }
        begin
    }

    /// Ends an upload's turn other than in the archive.
    pub(super) fn end(&mut self, id: &UploadId, turn: Turn, look_in_archive: bool) {
        let now = self.time();
        let end = turn.into_end(look_in_archive, || Timestamp::from_millis(self.now + 1));
        self.change(id, |row| row.end(end, now));
    }

    /// Records that an upload is in the archive; that must be true.
    pub(super) fn record_archived(
        &mut self,
        config: &Configuration,
        id: &UploadId,
        record: &ArchiveRecord,
        is_late: bool,
        report: Option<&Report>,
    ) {
        let version = self.row(id).version();
        let is_it = |copy: &&Arc<super::world::Archived>| {
            copy.at == record.at
                && version
                    .as_ref()
                    .is_some_and(|version| copy.mark.source_version == version.version_id)
        };
        match self.archive.iter().find(is_it) {
            Some(copy) if copy.content == content(config, copy.mark.source_version.as_str()) => {}
            Some(_) => {
                let how = format!("{id} is recorded as archived with other bytes");
                self.fail(Promise::RecordsAreTrue, how);
            }
            None => {
                let how = format!("{id} is recorded as archived and is not");
                self.fail(Promise::RecordsAreTrue, how);
            }
        }
        let now = self.time();
        let (record, report) = (record.clone(), report.cloned());
        self.change(id, |row| row.record_archived(record, is_late, report, now));
    }

    /// Claims, notes and begins in one change. Versions were listed before.
    pub(super) fn start(
        &mut self,
        config: &Configuration,
        routes: &Routes,
        key: usize,
        versions: &[ListedVersion],
        has_run_out: bool,
    ) -> Option<Started> {
        if let Some(held) = &mut self.leases[key] {
            if !has_run_out {
                held.is_dirty = true;
                return Some(Started::Busy);
            }
        } else if has_run_out {
            return None;
        }
        let noted = self.note(key, versions);
        let offers = Offers {
            leftovers: true,
            looks: false,
        };
        let (choice, has_more) = choose(&noted.uploads, self.time(), offers);
        let plain = match choice {
            Choice::Nothing | Choice::Wait(_) => return Some(Started::Nothing),
            Choice::Try(upload) if noted.archived_mint.is_none() => Some(upload),
            Choice::Try(_) | Choice::Leftover(_) | Choice::Refuse(..) | Choice::Look(_) => None,
        };
        self.claim(key, None, has_run_out)?;
        let held = lease(object(key), self.leases[key].as_ref()?);
        let version = plain.and_then(Upload::version);
        let source = version.and_then(|version| self.source(config, key, &version.version_id));
        let (Some(upload), Some(source)) = (plain, source) else {
            return Some(Started::Claimed(held));
        };
        if routes.of(&source) == Route::Job {
            return Some(Started::Claimed(held));
        }
        let facts = SourceFacts::of(&source, upload);
        Some(match self.begin_attempt(&upload.id, &facts) {
            Begin::Begun(upload) => Started::Begun {
                lease: held,
                upload: Box::new(upload),
                source,
                has_more,
            },
            Begin::Exhausted(_) | Begin::NotDue(_) => Started::Claimed(held),
        })
    }

    /// Archives, records, deletes and closes in one change.
    pub(super) fn move_in_one(
        &mut self,
        config: &Configuration,
        archive: &two_buckets_objects::BucketName,
        id: &UploadId,
        report: &Report,
    ) -> MovedInOne {
        let row = self.row(id).clone();
        let key = key_of(&row.key);
        let source = row
            .version()
            .and_then(|version| self.source(config, key, &version.version_id));
        let (Some(source), Some(staged)) = (source, row.staged.clone()) else {
            return MovedInOne::SourceGone;
        };
        let mark = Mark {
            source_version: staged.version_id.clone(),
            order: staged.order,
        };
        let under = |key| ObjectRef {
            bucket: archive.clone(),
            key,
        };
        let bytes = content(config, staged.version_id.as_str());
        let current = self.archive_head(&row.key.key);
        let (at, is_late) = match place(&mark, current.as_deref()) {
            Placement::AlreadyCurrent => (
                current.map_or_else(|| source.at.clone(), |current| current.at),
                false,
            ),
            Placement::Current(_) => {
                let to = under(row.key.key.clone());
                (self.archive(config, &to, mark, bytes), false)
            }
            Placement::Late => {
                let to = under(late_key(&row.key.key, &mark));
                match self.archive_head(&to.key) {
                    Some(there) => (there.at, true),
                    None => (self.archive(config, &to, mark, bytes), true),
                }
            }
        };
        let record = ArchiveRecord {
            at,
            checksum: SourceFacts::of(&source, &row).checksum,
        };
        self.record_archived(config, id, &record, is_late, Some(report));
        self.delete_version(config, &staged.version_id);
        self.change(id, Upload::close);
        let was_released = !self
            .staging
            .iter()
            .any(|entry| super::store::is_of(entry, key));
        if was_released {
            self.leases[key] = None;
        }
        MovedInOne::Moved {
            upload: Box::new(self.row(id).clone()),
            was_released,
        }
    }

    /// Gives up an upload of a job and ends the lease that its job holds.
    pub(super) fn cancel_job(&mut self, id: &UploadId) {
        let now = self.time();
        self.change(id, |row| {
            row.cancel_job(now)
                .expect("only unfinished jobs are asked for");
        });
        let key = key_of(&self.row(id).key);
        let is_its = |held: &Held| held.job.as_ref() == Some(id);
        if self.leases[key].as_ref().is_some_and(is_its) {
            self.leases[key] = None;
        }
        self.wake(key, 1);
    }
}

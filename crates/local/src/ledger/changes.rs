//! What the ledger's calls change, each within one transaction.

use two_buckets_depot::MoveVersion;
use two_buckets_objects::{ListedVersion, ObjectInfo, ObjectRef, Timestamp, VersionRef};
use two_buckets_pipeline::archive::{Mark, Placement, late_key, place};
use two_buckets_pipeline::ledger::{
    Claim, ClaimKey, Error, MoveUpload, MovedInOne, Noted, Result, Said, SourceFacts, StartUpload,
    Started,
};
use two_buckets_pipeline::step::{Choice, Offers, choose};
use two_buckets_pipeline::verify::{Expected, Verdict, compare};
use two_buckets_pipeline::{
    ArchiveRecord, Begin, BootId, Expectation, FencingToken, Lease, Route, State, Upload, UploadId,
};

use super::tables::{LOGS, NUMBER, Rows, TOKEN, id_of, log_key, number_of};
use super::{expires_at, log_encoding, unavailable};

/// A change that ended without effect.
pub(super) struct Failed(pub(super) Error);

impl From<two_buckets_depot::Error> for Failed {
    fn from(error: two_buckets_depot::Error) -> Self {
        Self(unavailable(error))
    }
}

impl Rows<'_, '_> {
    pub(super) fn claim(&mut self, claim: &ClaimKey, boot: BootId) -> Result<Claim> {
        if self.turn_away(claim, boot)? {
            return Ok(Claim::Busy);
        }
        let lease = Lease {
            key: claim.key.clone(),
            holder: claim.holder.clone(),
            // One counter for all keys, so that a lease's row can go with the lease.
            token: FencingToken(self.next(TOKEN)?),
            expires_at: expires_at(claim.now, claim.life),
            boot,
            dirty: false,
            job: claim.job.clone(),
        };
        self.set_lease(&lease);
        Ok(Claim::Held(lease))
    }

    /// Says whether somebody else holds the key, and has them look again.
    fn turn_away(&mut self, claim: &ClaimKey, boot: BootId) -> Result<bool> {
        let Some(mut held) = self
            .lease(&claim.key)?
            .filter(|held| held.is_live(claim.now, boot))
        else {
            return Ok(false);
        };
        if !held.dirty {
            held.dirty = true;
            self.set_lease(&held);
        }
        Ok(true)
    }

    pub(super) fn note(&mut self, key: &ObjectRef, versions: &[ListedVersion]) -> Result<Noted> {
        let mut minted = self.upload_of(key, None)?;
        let mut uploads = Vec::with_capacity(versions.len());
        for version in versions {
            if let Some(known) = self.upload_of(key, Some(&version.version_id))? {
                uploads.push(known);
                continue;
            }
            let number = self.next(NUMBER)?;
            let upload = match &mut minted {
                Some(expected) if expected.staged.is_none() => {
                    let before = expected.clone();
                    expected.arrive(number, version);
                    self.set_upload(Some(&before), expected)?;
                    expected.clone()
                }
                _ => {
                    let upload = Upload::listed(id_of(number), key.clone(), number, version);
                    self.set_upload(None, &upload)?;
                    upload
                }
            };
            uploads.push(upload);
        }
        Ok(Noted {
            uploads,
            archived_mint: minted
                .filter(|mint| mint.state == State::Archived)
                .map(Box::new),
        })
    }

    pub(super) fn begin_attempt(
        &mut self,
        upload: Upload,
        facts: SourceFacts,
        attempts_max: u32,
        now: Timestamp,
    ) -> Result<Begin> {
        let before = upload.clone();
        let mut begin = upload.begin_attempt(attempts_max, now);
        if let Begin::Begun(upload) = &mut begin {
            upload.checksum = facts.checksum;
            upload.media_type = facts.media_type;
            upload.replay = facts.replay;
            self.set_upload(Some(&before), upload)?;
            // The log of an attempt goes with the attempt.
            if let (Some(oldest), Some(kept)) = (before.log.first(), upload.log.first())
                && oldest.number < kept.number
                && let Some(number) = number_of(&upload.id)
            {
                self.tx.delete_row(LOGS, &log_key(number, oldest.number));
            }
        }
        Ok(begin)
    }

    pub(super) fn keep_said(&mut self, id: &UploadId, attempt: u32, said: Said) -> Result<()> {
        let before = self.upload(id)?;
        let number = number_of(id)
            .filter(|_| before.log.iter().any(|known| known.number == attempt))
            .ok_or_else(|| Error::NotFound(format!("{id}, attempt {attempt},")))?;
        if let Some(log) = said.log {
            let row = log_encoding::log_to(&log);
            self.tx.set_row(LOGS, &log_key(number, attempt), &row);
        }
        if let Some(progress) = said.progress {
            let mut after = before.clone();
            after.say_progress(attempt, progress);
            if after != before {
                self.set_upload(Some(&before), &after)?;
            }
        }
        Ok(())
    }

    pub(super) fn start(&mut self, start: &StartUpload, boot: BootId) -> Result<Started> {
        if self.turn_away(&start.claim, boot)? {
            return Ok(Started::Busy);
        }
        let claim = &start.claim;
        let noted = self.note(&claim.key, &start.versions)?;
        // Nothing lands behind anybody's back where a move is one change.
        let offers = Offers {
            leftovers: true,
            looks: false,
        };
        let (choice, has_more) = choose(&noted.uploads, claim.now, offers);
        let plain = match choice {
            Choice::Nothing | Choice::Wait(_) => return Ok(Started::Nothing),
            Choice::Try(upload) if noted.archived_mint.is_none() => upload.version(),
            Choice::Try(_) | Choice::Leftover(_) | Choice::Refuse(..) | Choice::Look(_) => None,
        };
        let lease = match self.claim(claim, boot)? {
            Claim::Held(lease) => lease,
            Claim::Busy => return Ok(Started::Busy),
        };
        let (Choice::Try(upload), Some(version)) = (choice, plain) else {
            return Ok(Started::Claimed(lease));
        };
        // The list was made before the claim: only the version itself says whether it is still there.
        let source = match self.tx.head_version(&version) {
            Ok(found) => found.info,
            Err(error) if is_gone(&error) => return Ok(Started::Claimed(lease)),
            Err(error) => return Err(unavailable(error)),
        };
        if start.routes.of(&source) == Route::Job {
            return Ok(Started::Claimed(lease));
        }
        let begin = self.begin_attempt(
            upload.clone(),
            SourceFacts::of(&source, upload),
            start.attempts_max,
            claim.now,
        )?;
        Ok(match begin {
            Begin::Begun(upload) => Started::Begun {
                lease,
                upload: Box::new(upload),
                source: Box::new(source),
                has_more,
            },
            Begin::Exhausted(_) | Begin::NotDue(_) => Started::Claimed(lease),
        })
    }

    pub(super) fn move_in_one(&mut self, lease: &Lease, options: MoveUpload) -> Result<MovedInOne> {
        let before = self.upload(&options.id)?;
        let (Some(version), Some(mark)) = (before.version(), before.mark()) else {
            return Err(Error::NotFound(options.id.to_string()));
        };
        let source = match self.tx.head_version(&version) {
            Ok(found) => found.info,
            Err(error) if is_gone(&error) => return Ok(MovedInOne::SourceGone),
            Err(error) => return Err(unavailable(error)),
        };
        let under_key = ObjectRef {
            bucket: options.archive.clone(),
            key: before.key.key.clone(),
        };
        let beside = ObjectRef {
            bucket: options.archive,
            key: late_key(&before.key.key, &mark),
        };
        let current = self.current(&under_key)?;
        let (at, is_late) = match place(&mark, current.as_ref()) {
            Placement::Late => match self.current(&beside)? {
                Some(there) if is_copy(&mark, &source, &there) => {
                    self.delete(&version)?;
                    (there.at, true)
                }
                _ => {
                    let pairs = mark.pairs_of_late(&before.key.key, &source.metadata);
                    (self.move_version(version, beside, pairs)?, true)
                }
            },
            Placement::AlreadyCurrent
                if current.as_ref().is_some_and(|c| is_copy(&mark, &source, c)) =>
            {
                self.delete(&version)?;
                let current =
                    current.ok_or_else(|| super::corrupt("the archive's current version"))?;
                (current.at, false)
            }
            // What the archive has was looked at in this transaction, so it needs no condition.
            Placement::AlreadyCurrent | Placement::Current(_) => {
                let pairs = mark.pairs();
                (self.move_version(version, under_key, pairs)?, false)
            }
        };
        let record = ArchiveRecord {
            at,
            checksum: SourceFacts::of(&source, &before).checksum,
        };
        let mut after = before.clone();
        after.record_archived(record, is_late, Some(options.report), options.now);
        after.close();
        self.set_upload(Some(&before), &after)?;
        let was_released = self.is_drained(&lease.key)?;
        if was_released {
            self.remove_lease(&lease.key);
        }
        Ok(MovedInOne::Moved {
            upload: Box::new(after),
            was_released,
        })
    }

    pub(super) fn mint(
        &mut self,
        key: ObjectRef,
        expectation: Expectation,
        now: Timestamp,
    ) -> Result<Upload> {
        if let Some(before) = self.upload_of(&key, None)? {
            let mut after = before.clone();
            after.expect_again(expectation)?;
            self.set_upload(Some(&before), &after)?;
            return Ok(after);
        }
        // Refused on a full disk: whoever asks again and again there must not fill what is left with rows.
        self.tx.takes_room();
        let upload = Upload::minted(id_of(self.next(NUMBER)?), key, expectation, now);
        self.set_upload(None, &upload)?;
        Ok(upload)
    }

    pub(super) fn retry(&mut self, id: &UploadId) -> Result<Upload> {
        let before = self.upload(id)?;
        let mut after = before.clone();
        after.retry()?;
        self.set_upload(Some(&before), &after)?;
        Ok(after)
    }

    pub(super) fn cancel_job(&mut self, id: &UploadId, now: Timestamp) -> Result<Upload> {
        let before = self.upload(id)?;
        let mut after = before.clone();
        after.cancel_job(now)?;
        self.set_upload(Some(&before), &after)?;
        let lease = self.lease(&after.key)?;
        if lease.is_some_and(|lease| lease.job.as_ref() == Some(id)) {
            self.remove_lease(&after.key);
        }
        Ok(after)
    }

    fn current(&self, at: &ObjectRef) -> Result<Option<ObjectInfo>> {
        match self.tx.head(at) {
            Ok(found) => Ok(Some(found.info)),
            Err(error) if is_gone(&error) => Ok(None),
            Err(error) => Err(unavailable(error)),
        }
    }

    /// Whether staging has nothing at all under a key, not even a delete marker.
    fn is_drained(&self, key: &ObjectRef) -> Result<bool> {
        match self.tx.head(key) {
            Err(two_buckets_depot::Error::NoSuchKey {
                delete_marker: None,
            }) => Ok(true),
            Ok(_) => Ok(false),
            Err(error) if is_gone(&error) => Ok(false),
            Err(error) => Err(unavailable(error)),
        }
    }

    fn move_version(
        &mut self,
        from: VersionRef,
        to: ObjectRef,
        add_user_metadata: Vec<(String, String)>,
    ) -> Result<VersionRef> {
        let moved = self
            .tx
            .move_version(MoveVersion {
                from,
                to: to.clone(),
                add_user_metadata,
            })
            .map_err(unavailable)?;
        Ok(VersionRef {
            bucket: to.bucket,
            key: to.key,
            version_id: moved.written.version_id,
        })
    }

    fn delete(&mut self, version: &VersionRef) -> Result<()> {
        self.tx.delete_version(version).map_err(unavailable)
    }
}

/// Whether an archived version is this upload already, copied there by steps that did not end.
fn is_copy(mark: &Mark, source: &ObjectInfo, archived: &ObjectInfo) -> bool {
    let expected = Expected {
        size_bytes: source.size_bytes,
        checksums: source.checksums.clone(),
    };
    Mark::of(&archived.metadata).as_ref() == Some(mark)
        && matches!(compare(&expected, archived), Verdict::Same(_))
}

pub(super) fn is_gone(error: &two_buckets_depot::Error) -> bool {
    use two_buckets_depot::Error;
    matches!(
        error,
        Error::NoSuchKey { .. } | Error::NoSuchVersion | Error::IsDeleteMarker { .. }
    )
}

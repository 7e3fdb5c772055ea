use two_buckets_objects::{
    Checksum, ListedVersion, ObjectInfo, ObjectRef, VersionRef, WriteCondition,
};

use super::{Action, Input, Rules, Stopped, Turn};
use crate::archive::{Mark, late_key};
use crate::ledger::SourceFacts;
use crate::verify::Expected;
use crate::{
    ArchiveRecord, Attempt, AttemptOutcome, ProcessError, Report, Staged, Upload, UploadId, Why,
};

/// A worker's turn on one key: where in the protocol it is.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Work {
    pub(super) key: ObjectRef,
    pub(super) why: Why,
    /// The upload whose job this turn is; none for a worker's turn.
    pub(super) job: Option<UploadId>,
    /// Unfinished rows whose version is gone, still to be finished or explained.
    pub(super) gone: Vec<Upload>,
    /// Troubles since an upload's turn last came to an end.
    pub(super) troubles: u32,
    /// Why a version that has ended could not be deleted from staging.
    pub(super) undeletable: Option<String>,
    /// Whether this turn looks no more for what was set aside: a store failed at it.
    pub(super) looks_no_more: bool,
    pub(super) phase: Phase,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) enum Phase {
    ListingFirst,
    Starting {
        versions: Vec<ListedVersion>,
    },
    Claiming,
    Listing,
    FindingUnfinished {
        versions: Vec<ListedVersion>,
    },
    Noting {
        versions: Vec<ListedVersion>,
        rest: Vec<ListedVersion>,
    },
    HeadingSource {
        upload: Box<Upload>,
        has_more: bool,
        archived_mint: Option<Box<Upload>>,
    },
    Searching {
        item: Box<Item>,
        then: AfterSearch,
    },
    /// Is it a client's repeat of the upload its key was minted for?
    Comparing {
        item: Box<Item>,
        first: Box<Upload>,
        archived: VersionRef,
    },
    /// It has the bytes of that upload. Does the archive still show them under the key?
    Confirming {
        item: Box<Item>,
        first: Box<Upload>,
        archived: VersionRef,
    },
    Queueing {
        item: Box<Item>,
    },
    Beginning {
        item: Box<Item>,
    },
    Processing {
        item: Box<Item>,
    },
    Moving {
        item: Box<Item>,
    },
    HeadingArchive {
        item: Box<Item>,
    },
    Copying {
        item: Box<Item>,
        is_late: bool,
        condition: WriteCondition,
    },
    Verifying {
        item: Box<Item>,
        archived: VersionRef,
        origin: Origin,
    },
    RemovingCopy {
        item: Box<Item>,
        archived: VersionRef,
        then: AfterSearch,
    },
    Recording {
        item: Box<Item>,
        archived: VersionRef,
        checksum: Checksum,
    },
    Deleting {
        upload: Box<Upload>,
        has_more: bool,
    },
    Closing {
        upload: Box<Upload>,
        has_more: bool,
        was_gone: bool,
    },
    Ending {
        item: Box<Item>,
        turn: Turn,
    },
    Releasing {
        stalled: Option<Stopped>,
    },
    Pausing {
        then: Box<Phase>,
    },
    Stopped(Stopped),
}

/// The upload in work.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "four facts that vary independently; each is read by name"
)]
pub(super) struct Item {
    pub(super) upload: Upload,
    /// Its version in staging; none if that is gone.
    pub(super) source: Option<ObjectInfo>,
    /// Whether it is worked on only to finish or explain it.
    pub(super) is_gone: bool,
    /// Whether other versions wait behind it.
    pub(super) has_more: bool,
    /// Whether this turn began an attempt.
    pub(super) has_begun: bool,
    /// Whether this turn may have archived something, or saw it archived, that is not recorded.
    pub(super) is_unsure: bool,
    pub(super) report: Option<Report>,
    /// The upload its key was minted for, which is archived and which this one may be a repeat of.
    pub(super) archived_mint: Option<Box<Upload>>,
}

/// Where to go on when the archive does not have the upload.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) enum AfterSearch {
    Begin,
    Archive,
    Late,
    End(Turn),
    StayFailed,
    ExplainGone,
    SourceGone,
}

/// Where an archived version under verification comes from.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) enum Origin {
    /// This turn copied it.
    Copied,
    /// It was there; if it is not as its source, go on without it.
    Found(AfterSearch),
}

impl Item {
    pub(super) fn new(upload: Upload, source: Option<ObjectInfo>, has_more: bool) -> Self {
        Self {
            upload,
            source,
            is_gone: false,
            has_more,
            has_begun: false,
            is_unsure: false,
            report: None,
            archived_mint: None,
        }
    }

    pub(super) fn mark(&self) -> Mark {
        self.upload
            .mark()
            .expect("only versions that were listed are worked on")
    }

    /// Whether an earlier run, or this one, may have archived it without saying so.
    pub(super) fn may_be_archived(&self) -> bool {
        self.is_unsure
            || self.upload.look_in_archive
            || (self.upload.is_interrupted() && !self.has_begun)
    }

    /// Gives way to others and comes back: a store failed, not the function, so an attempt begun now does not count.
    pub(super) fn deferred(&self, reason: String) -> Turn {
        Turn::Deferred {
            reason,
            is_counted: !self.has_begun,
        }
    }
}

fn staged(upload: &Upload) -> &Staged {
    upload
        .staged
        .as_ref()
        .expect("only versions that were listed are worked on")
}

/// How many of the latest attempts in a row failed and may work later.
fn failures_in_a_row(upload: &Upload) -> u32 {
    let failed =
        |attempt: &&Attempt| matches!(attempt.ended, None | Some((_, AttemptOutcome::Transient)));
    let ended = upload
        .log
        .iter()
        .rev()
        .skip_while(|attempt| attempt.ended.is_none());
    u32::try_from(ended.take_while(failed).count()).unwrap_or(u32::MAX)
}

impl Work {
    /// Begins a turn on a key.
    pub fn begin(rules: &Rules, key: ObjectRef, why: Why) -> (Self, Action) {
        let phase = if rules.ledger.starts_in_one && why == Why::Event {
            Phase::ListingFirst
        } else {
            Phase::Claiming
        };
        Self::new(rules, key, why, None, phase)
    }

    /// Begins the turn of a job: for its upload and no other. What would run the function is the end of its first half.
    pub fn begin_job(rules: &Rules, key: ObjectRef, id: UploadId) -> (Self, Action) {
        Self::new(rules, key, Why::Event, Some(id), Phase::Claiming)
    }

    /// Goes on with the turn of a job whose function has answered: with the row of its upload as it is, in an attempt that
    /// has begun, what staging knows of its version, if that is still there, and under the lease of the first half.
    pub fn finish_job(
        rules: &Rules,
        upload: Upload,
        source: Option<ObjectInfo>,
        result: Result<Report, ProcessError>,
    ) -> (Self, Action) {
        let (key, id) = (upload.key.clone(), upload.id.clone());
        let mut item = Item::new(upload, source, false);
        item.has_begun = true;
        let phase = super::transition::processed(rules, Box::new(item), result);
        Self::new(rules, key, Why::Event, Some(id), phase)
    }

    /// Lets the key of a job go that has begun nothing under its lease.
    pub fn release_job(rules: &Rules, key: ObjectRef, id: UploadId) -> (Self, Action) {
        let phase = Phase::Releasing { stalled: None };
        Self::new(rules, key, Why::Event, Some(id), phase)
    }

    fn new(
        rules: &Rules,
        key: ObjectRef,
        why: Why,
        job: Option<UploadId>,
        phase: Phase,
    ) -> (Self, Action) {
        let work = Self {
            key,
            why,
            job,
            gone: Vec::new(),
            troubles: 0,
            undeletable: None,
            looks_no_more: false,
            phase,
        };
        let action = work.action(rules);
        (work, action)
    }

    /// Takes what happened and says what to do next.
    ///
    /// # Panics
    ///
    /// If the input is no answer to the last action: a driver that mixes them up has lost track of what it did.
    #[must_use]
    pub fn step(mut self, rules: &Rules, input: Input) -> (Self, Action) {
        let phase = std::mem::replace(&mut self.phase, Phase::Claiming);
        self.phase = self.next(rules, phase, input);
        let action = self.action(rules);
        (self, action)
    }

    /// Whether [`Input::Drain`] may be given now: nothing is begun that the host should wait for.
    pub fn can_drain(&self) -> bool {
        matches!(
            self.phase,
            Phase::ListingFirst
                | Phase::Starting { .. }
                | Phase::Claiming
                | Phase::Listing
                | Phase::FindingUnfinished { .. }
                | Phase::Noting { .. }
                | Phase::HeadingSource { .. }
                | Phase::Comparing { .. }
                | Phase::Confirming { .. }
                | Phase::Queueing { .. }
                | Phase::Beginning { .. }
        )
    }

    fn action(&self, rules: &Rules) -> Action {
        match &self.phase {
            Phase::ListingFirst | Phase::Listing => Action::List,
            Phase::Starting { versions } => Action::Start {
                versions: versions.clone(),
            },
            Phase::Claiming => match &self.job {
                Some(id) => Action::ClaimForJob { id: id.clone() },
                None => Action::Claim,
            },
            Phase::FindingUnfinished { .. } => Action::FindUnfinished,
            Phase::Noting { versions, .. } => Action::Note {
                versions: versions.clone(),
            },
            Phase::HeadingSource { upload, .. } => Action::HeadSource {
                version_id: staged(upload).version_id.clone(),
            },
            Phase::Searching { item, .. } => Action::FindArchived {
                mark: item.mark(),
                size_bytes: staged(&item.upload).size_bytes,
            },
            Phase::Queueing { item } => Action::QueueJob {
                id: item.upload.id.clone(),
            },
            Phase::Beginning { item } => Action::BeginAttempt {
                id: item.upload.id.clone(),
                facts: item
                    .source
                    .as_ref()
                    .map(|source| SourceFacts::of(source, &item.upload))
                    .unwrap_or_default(),
            },
            Phase::Processing { item } => Action::Process {
                upload: Box::new(item.upload.clone()),
                source: Box::new(
                    item.source
                        .clone()
                        .expect("the function runs on versions that were seen in staging"),
                ),
            },
            Phase::Moving { item } => Action::Move {
                id: item.upload.id.clone(),
                report: item.report.clone().unwrap_or_default(),
            },
            Phase::HeadingArchive { .. } | Phase::Confirming { .. } => Action::HeadArchive,
            Phase::Copying {
                item,
                is_late,
                condition,
            } => {
                let mark = item.mark();
                let (key, metadata) = match &item.source {
                    Some(source) if *is_late => (
                        late_key(&self.key.key, &mark),
                        mark.pairs_of_late(&self.key.key, &source.metadata),
                    ),
                    _ => (self.key.key.clone(), mark.pairs()),
                };
                Action::Copy {
                    version_id: mark.source_version,
                    to: ObjectRef {
                        bucket: rules.archive.clone(),
                        key,
                    },
                    condition: condition.clone(),
                    metadata,
                }
            }
            Phase::Verifying { item, archived, .. } | Phase::Comparing { item, archived, .. } => {
                Action::Verify {
                    archived: archived.clone(),
                    source: item.source.as_ref().map(|_| item.mark().source_version),
                    expected: Expected {
                        size_bytes: staged(&item.upload).size_bytes,
                        checksums: match &item.source {
                            Some(source) => source.checksums.clone(),
                            None => item.upload.checksum.iter().cloned().collect(),
                        },
                    },
                }
            }
            Phase::RemovingCopy { archived, .. } => Action::RemoveCopy {
                archived: archived.clone(),
            },
            Phase::Recording {
                item,
                archived,
                checksum,
            } => Action::Record {
                id: item.upload.id.clone(),
                is_late: archived.key != self.key.key,
                record: ArchiveRecord {
                    at: archived.clone(),
                    checksum: Some(checksum.clone()),
                },
                report: item.report.clone(),
                was_gone: item.is_gone,
            },
            Phase::Deleting { upload, .. } => Action::DeleteVersion {
                version_id: staged(upload).version_id.clone(),
            },
            Phase::Closing {
                upload, was_gone, ..
            } => Action::Close {
                id: upload.id.clone(),
                was_gone: *was_gone,
            },
            Phase::Ending { item, turn } => Action::End {
                id: item.upload.id.clone(),
                turn: turn.clone(),
                look_in_archive: item.may_be_archived(),
                failures: failures_in_a_row(&item.upload) + item.upload.deferrals + 1,
                was_gone: item.is_gone,
            },
            Phase::Releasing { .. } => Action::Release,
            Phase::Pausing { .. } => Action::Pause {
                troubles: self.troubles,
            },
            Phase::Stopped(stopped) => Action::Stop(stopped.clone()),
        }
    }
}

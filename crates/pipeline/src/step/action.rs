use two_buckets_objects::{
    Checksum, ListedVersion, ObjectInfo, ObjectRef, Timestamp, VersionId, VersionRef,
    WriteCondition, Written,
};

use crate::archive::Mark;
use crate::ledger::{MovedInOne, Noted, SourceFacts, Started};
use crate::verify::Expected;
use crate::{ArchiveRecord, AttemptOutcome, Begin, End, ProcessError, Report, Upload, UploadId};

/// One effect. Each is answered by one [`Input`], named behind it; any ledger call may be answered by
/// [`Input::FencedOff`] or [`Input::LedgerFailed`] and any store call by [`Input::StoreFailed`].
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Action {
    /// Claim the key's lease: `Claimed` or `Busy`.
    Claim,
    /// Claim the key's lease for the job of this upload: `Claimed` or `Busy`.
    ClaimForJob {
        /// The upload.
        id: UploadId,
    },
    /// List the key's versions in staging: `Listed`.
    List,
    /// Claim, note and begin in one: `Started`.
    Start {
        /// The versions, oldest first.
        versions: Vec<ListedVersion>,
    },
    /// Find the key's unfinished rows: `Unfinished`.
    FindUnfinished,
    /// Find or make the rows of these versions: `Noted`.
    Note {
        /// The versions, oldest first.
        versions: Vec<ListedVersion>,
    },
    /// Ask staging for all it knows of a version: `Source`.
    HeadSource {
        /// The version.
        version_id: VersionId,
    },
    /// Look for a version with this mark among the key's archive versions and under its late key: `FoundArchived`.
    FindArchived {
        /// The mark.
        mark: Mark,
        /// The size it must have.
        size_bytes: u64,
    },
    /// Route an upload to a job: `Done`.
    QueueJob {
        /// The upload.
        id: UploadId,
    },
    /// Record an attempt: `Begun`.
    BeginAttempt {
        /// The upload.
        id: UploadId,
        /// What staging says of it.
        facts: SourceFacts,
    },
    /// Run the function: `Processed`.
    Process {
        /// The row with the attempt that was recorded.
        upload: Box<Upload>,
        /// The version to read.
        source: Box<ObjectInfo>,
    },
    /// Ask the archive for the key's current version: `ArchiveHead`.
    HeadArchive,
    /// Copy exactly this version to the archive: `Copied` or `CopyFailed`.
    Copy {
        /// The version in staging.
        version_id: VersionId,
        /// Where to.
        to: ObjectRef,
        /// What must hold there.
        condition: WriteCondition,
        /// The metadata to set.
        metadata: Vec<(String, String)>,
    },
    /// Compare an archived version with its source, or with what may be its repeat: `Verified` or `VerifyFailed`.
    Verify {
        /// The archive's version.
        archived: VersionRef,
        /// The version in staging; none if it is gone.
        source: Option<VersionId>,
        /// What the source is known to be.
        expected: Expected,
    },
    /// Delete an archived version that bears the upload's mark and is not as its source: `Done`.
    RemoveCopy {
        /// The archive's version.
        archived: VersionRef,
    },
    /// Record the upload as archived: `Done`.
    Record {
        /// The upload.
        id: UploadId,
        /// Where it is.
        record: ArchiveRecord,
        /// Whether it is beside, not current.
        is_late: bool,
        /// What the function said, if it ran in this turn.
        report: Option<Report>,
        /// Whether its version was gone from staging before it was recorded.
        was_gone: bool,
    },
    /// Archive, record, delete and close in one: `Moved`.
    Move {
        /// The upload.
        id: UploadId,
        /// What the function said.
        report: Report,
    },
    /// Delete exactly this version from staging: `Done`.
    DeleteVersion {
        /// The version.
        version_id: VersionId,
    },
    /// Close the upload's row: `Done`.
    Close {
        /// The upload.
        id: UploadId,
        /// Whether its version was gone from staging before this turn.
        was_gone: bool,
    },
    /// End the upload's turn other than in the archive: `Done`.
    End {
        /// The upload.
        id: UploadId,
        /// How.
        turn: Turn,
        /// Whether something of it may have been archived, or be on its way there.
        look_in_archive: bool,
        /// How many attempts in a row failed and may work later, with this one; the wait grows with it.
        failures: u32,
        /// Whether its version was gone from staging.
        was_gone: bool,
    },
    /// Wait a little before a store is asked again: `Done`.
    Pause {
        /// How many troubles there were in this turn.
        troubles: u32,
    },
    /// Release the lease: `Released` or `LookAgain`.
    Release,
    /// Nothing more.
    Stop(Stopped),
}

/// What happened.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Input {
    /// The key is ours.
    Claimed,
    /// Somebody else holds the key and will look again.
    Busy,
    /// What is in staging under exactly this key.
    Listed {
        /// Its versions, oldest first, without delete markers.
        versions: Vec<ListedVersion>,
        /// Whether these are all; the newest are left out where there are too many.
        is_complete: bool,
    },
    /// What a start in one found.
    Started(Started),
    /// The key's unfinished rows.
    Unfinished(Vec<Upload>),
    /// The rows of the versions asked about.
    Noted {
        /// The rows.
        noted: Noted,
        /// Now.
        now: Timestamp,
    },
    /// What staging knows of the version; none if it is gone.
    Source(Option<Box<ObjectInfo>>),
    /// The archived version with the mark, if there is one.
    FoundArchived(Option<VersionRef>),
    /// Whether the attempt may run.
    Begun(Box<Begin>),
    /// What the function said.
    Processed(Result<Report, ProcessError>),
    /// The archive's current version of the key.
    ArchiveHead(Option<Box<ObjectInfo>>),
    /// The copy is durable.
    Copied(Written),
    /// There is no copy, or nobody knows.
    CopyFailed(CopyFailure),
    /// The archived version is as its source; both have this checksum.
    Verified(Checksum),
    /// It is not.
    VerifyFailed,
    /// What a move in one did.
    Moved(MovedInOne),
    /// It is done.
    Done,
    /// The lease has ended.
    Released,
    /// The lease was dirty and goes on.
    LookAgain,
    /// The store did not do it and may do it later.
    StoreFailed(String),
    /// The lease is gone.
    FencedOff,
    /// The ledger did not answer.
    LedgerFailed(String),
    /// The host wants to stop. May come instead of an answer while [`Work::can_drain`](super::Work::can_drain).
    Drain,
}

/// Why there is no copy.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum CopyFailure {
    /// The archive is not as it was seen: look again (412).
    ConditionFailed,
    /// Nothing landed: again (409, 5xx, an error inside a 200).
    NotWritten(String),
    /// It may have landed: look (time-out).
    Unknown(String),
    /// The version is gone from staging.
    SourceGone,
    /// The archive refuses it for good.
    Refused(String),
}

/// How an upload's turn ends other than in the archive.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Turn {
    /// Try again after a wait.
    Deferred {
        /// Why.
        reason: String,
        /// Whether the attempt counts.
        is_counted: bool,
    },
    /// Try again at once.
    Crashed {
        /// What is known.
        reason: String,
    },
    /// Set aside.
    Failed {
        /// Why.
        reason: String,
        /// How the attempt ended.
        outcome: AttemptOutcome,
    },
    /// It was set aside before, and the last look for it in the archive found nothing.
    StaysFailed,
    /// Its bytes were archived before under its minted key.
    Duplicate {
        /// As this upload.
        of: UploadId,
    },
}

impl Turn {
    /// As the ledger takes it, with whether something may have been archived; one that is tried again after a wait is so at
    /// this moment.
    pub fn into_end(
        self,
        look_in_archive: bool,
        next_attempt_at: impl FnOnce() -> Timestamp,
    ) -> End {
        match self {
            Self::Deferred { reason, is_counted } => End::Deferred {
                reason,
                next_attempt_at: next_attempt_at(),
                is_counted,
                look_in_archive,
            },
            Self::Crashed { reason } => End::Crashed { reason },
            Self::Failed { reason, outcome } => End::Failed {
                reason,
                outcome,
                look_in_archive,
            },
            Self::StaysFailed => End::StaysFailed,
            Self::Duplicate { of } => End::Duplicate { of },
        }
    }
}

/// How a turn on a key ended.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Stopped {
    /// Nothing is left to do now.
    Idle,
    /// Somebody else holds the key.
    Busy,
    /// The lease is gone; somebody else has the key or will.
    FencedOff,
    /// Something is left to do and cannot be done now: wake the key again after a wait.
    Stalled {
        /// Why.
        reason: String,
    },
    /// The ledger did not answer; the lease runs out. Wake the key again when it has.
    LedgerFailed {
        /// What is known.
        reason: String,
    },
    /// The host wanted to stop.
    Drained,
}

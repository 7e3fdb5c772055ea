//! The record of work, attempts and outcomes, and the leases on keys.

use std::error::Error as StdError;
use std::future::Future;
use std::time::Duration;

use two_buckets_objects::{
    BucketName, Checksum, ChecksumKind, ListedVersion, ObjectInfo, ObjectRef, Timestamp, VersionRef,
};

use crate::archive::Replay;
use crate::{
    ArchiveRecord, Begin, DeclaredOtherwise, End, Expectation, Holder, Lease, LogExcerpt,
    NotCancelled, NotRetried, ProgressAt, Report, Routes, State, Upload, UploadId,
};

/// The result of a call on a ledger.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a call failed, by what the caller does next. Nothing was changed unless the variant says otherwise.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The key was claimed by somebody else or released meanwhile: stop quietly and write nothing more.
    #[error("fenced off: the lease is gone")]
    FencedOff,
    /// There is no such row.
    #[error("upload {0} not found")]
    NotFound(String),
    /// It cannot be retried.
    #[error(transparent)]
    NotRetried(#[from] NotRetried),
    /// It cannot be cancelled.
    #[error(transparent)]
    NotCancelled(#[from] NotCancelled),
    /// The key was minted for another file.
    #[error(transparent)]
    DeclaredOtherwise(#[from] DeclaredOtherwise),
    /// The ledger cannot do this by one call; its capabilities say so.
    #[error("the ledger cannot do this in one call")]
    Unsupported,
    /// It answers, and what it keeps there is not as this program writes it: of a newer one, or damaged. Only what this is
    /// about has to wait.
    #[error("the ledger cannot be read there: {reason}")]
    Unreadable {
        /// What is wrong.
        reason: String,
    },
    /// It does not answer, or refused; the change may have been made. Stop: the lease runs out and somebody looks again.
    #[error("the ledger is unavailable: {reason}")]
    Unavailable {
        /// What is known.
        reason: String,
        /// The cause below, if any.
        source: Option<Box<dyn StdError + Send + Sync>>,
    },
}

/// What a ledger can do in one call beyond the least.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Capabilities {
    /// Whether [`Ledger::start`] works: claim, note and begin as one change.
    pub starts_in_one: bool,
    /// Whether [`Ledger::move_in_one`] works: archive, record, delete and close as one change, because the ledger and
    /// both buckets are one store.
    pub moves_in_one: bool,
}

/// A claim on a key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ClaimKey {
    /// The key in staging.
    pub key: ObjectRef,
    /// Who claims.
    pub holder: Holder,
    /// Now.
    pub now: Timestamp,
    /// How long the claim lasts unless renewed.
    pub life: Duration,
    /// The upload whose job claims; none for a worker.
    pub job: Option<UploadId>,
}

/// What a claim found.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Claim {
    /// The key is the caller's.
    Held(Lease),
    /// Somebody else holds it; its lease is dirty now, so its holder will look again.
    Busy,
}

/// What a release found.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Release {
    /// The lease has ended.
    Released,
    /// Somebody was turned away meanwhile. The lease goes on and is clean again: list again.
    LookAgain,
}

/// The rows of listed versions.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Noted {
    /// A row for each version, in the order given.
    pub uploads: Vec<Upload>,
    /// The upload the key was minted for, if that one is archived.
    pub archived_mint: Option<Box<Upload>>,
}

/// What staging says of a version whose attempt begins.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct SourceFacts {
    /// A checksum over the full object, if the store keeps one.
    pub checksum: Option<Checksum>,
    /// The media type as the uploader named it.
    pub media_type: Option<String>,
    /// Where it was copied from, if it is a replay.
    pub replay: Option<Replay>,
}

impl SourceFacts {
    /// What is worth keeping of this. Of several checksums it is the one by the algorithm that was declared, so that
    /// the two can be compared.
    pub fn of(source: &ObjectInfo, upload: &Upload) -> Self {
        let declared = upload
            .expectation
            .as_ref()
            .and_then(|expectation| expectation.checksum.as_ref())
            .and_then(|declared| source.full_checksum(declared.algorithm));
        Self {
            checksum: declared
                .or_else(|| {
                    source
                        .checksums
                        .iter()
                        .find(|checksum| checksum.kind == ChecksumKind::FullObject)
                })
                .cloned(),
            media_type: source.metadata.content_type.clone(),
            replay: Replay::of(&source.metadata),
        }
    }
}

/// A claim, a note and the beginning of an attempt in one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StartUpload {
    /// The claim.
    pub claim: ClaimKey,
    /// The key's versions in staging, oldest first, without delete markers, as listed before the call.
    pub versions: Vec<ListedVersion>,
    /// The most attempts.
    pub attempts_max: u32,
    /// Where uploads are processed; what goes to a job is no plain attempt.
    pub routes: Routes,
}

/// What a start found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Started {
    /// Somebody else holds the key; its lease is dirty now.
    Busy,
    /// Nothing is due. The versions are noted and the key is not claimed.
    Nothing,
    /// The key is the caller's, and what is to be done is no plain attempt: go on step by step.
    Claimed(Lease),
    /// The key is the caller's and an attempt has begun.
    Begun {
        /// The lease.
        lease: Lease,
        /// The upload's row.
        upload: Box<Upload>,
        /// Its version in staging.
        source: Box<ObjectInfo>,
        /// Whether other versions of the key wait.
        has_more: bool,
    },
}

/// A move of an upload's version to the archive with everything that belongs to it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MoveUpload {
    /// The upload.
    pub id: UploadId,
    /// The archive bucket.
    pub archive: BucketName,
    /// What the function said.
    pub report: Report,
    /// Now.
    pub now: Timestamp,
}

/// What a move in one did.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum MovedInOne {
    /// The upload is archived or late, recorded, gone from staging and closed.
    Moved {
        /// Its row.
        upload: Box<Upload>,
        /// Whether the key has no version left in staging; then its lease was released in the same change, dirty or
        /// not, because the change itself saw that nothing waits.
        was_released: bool,
    },
    /// The version is not in staging any more. Nothing was changed.
    SourceGone,
}

/// What an attempt says of itself while it runs and when it ends.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Said {
    /// What is kept of its log, if something was written to it; takes the place of what was kept before.
    pub log: Option<LogExcerpt>,
    /// How far it is, if it said so.
    pub progress: Option<ProgressAt>,
}

/// What is kept of one attempt's log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KeptLog {
    /// The attempt's number.
    pub attempt: u32,
    /// What it wrote.
    pub log: LogExcerpt,
}

/// Which uploads to list.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ListUploads {
    /// Only this state.
    pub state: Option<State>,
    /// Only exactly this key, in any bucket.
    pub key: Option<String>,
    /// Only keys that have this in them, letter for letter.
    pub key_contains: Option<String>,
    /// Only keys that begin so and are longer.
    pub prefix: Option<String>,
    /// Begin behind this upload, as an earlier page said.
    pub after: Option<UploadId>,
    /// The most entries; at most [`PAGE_MAX`], and that if 0.
    pub limit: usize,
}

impl ListUploads {
    /// Whether all that is asked of an upload itself holds; the key is asked of whoever looks rows up by it.
    pub fn means(&self, upload: &Upload) -> bool {
        let key = upload.key.key.as_str();
        self.state.is_none_or(|state| state == upload.state)
            && self
                .key_contains
                .as_ref()
                .is_none_or(|text| key.contains(text.as_str()))
            && self
                .prefix
                .as_ref()
                .is_none_or(|prefix| is_below(key, prefix))
    }
}

/// Whether a key begins with a prefix and is longer.
pub fn is_below(key: &str, prefix: &str) -> bool {
    key.strip_prefix(prefix)
        .is_some_and(|rest| !rest.is_empty())
}

/// A page of uploads, the latest first: by when they were noted or, in a ledger that many machines write, by when they
/// were received or their key was minted, and by when they were noted where that is the same moment.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct UploadPage {
    /// The uploads.
    pub uploads: Vec<Upload>,
    /// Where the next page begins. A page may hold fewer than asked, even none, and still have a next.
    pub next: Option<UploadId>,
}

/// How many uploads are in each state. One that has ended well and was forgotten since may still count.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counts {
    /// Pending.
    pub pending: u64,
    /// Processing.
    pub processing: u64,
    /// Archived.
    pub archived: u64,
    /// Failed.
    pub failed: u64,
    /// Late.
    pub late: u64,
    /// Duplicate.
    pub duplicate: u64,
}

impl Counts {
    /// The count of a state.
    pub fn of(&mut self, state: State) -> &mut u64 {
        match state {
            State::Pending => &mut self.pending,
            State::Processing => &mut self.processing,
            State::Archived => &mut self.archived,
            State::Failed => &mut self.failed,
            State::Late => &mut self.late,
            State::Duplicate => &mut self.duplicate,
        }
    }
}

/// The most uploads of one page.
pub const PAGE_MAX: usize = 1_000;
/// The most versions of one [`Ledger::note`]. A `DynamoDB` transaction takes 100 items: one is the lease, a version that
/// is new has a row and what finds the row, and the one that was expected leaves its place among the expected too.
pub const NOTE_MAX: usize = 49;
const _: () = assert!(1 + 2 * NOTE_MAX < 100);

/// The record of work, attempts and outcomes, and the leases on keys.
///
/// # Promises
///
/// * Each call is one atomic change, durable when it returns `Ok`, and seen by every later call.
/// * A call that takes a [`Lease`] changes something only while the key's lease has that lease's fencing token;
///   otherwise it is [`Error::FencedOff`]. Time plays no part in this.
/// * Rows change only as [`Upload`]'s own methods change them.
/// * Dropping a returned future leaves the change made or not made, never half made.
pub trait Ledger: Send + Sync + 'static {
    /// What it can do in one call.
    fn capabilities(&self) -> Capabilities {
        Capabilities::default()
    }

    /// Claims a key: with a token higher than all before for this key, or sets the live lease's dirty flag.
    fn claim(&self, claim: &ClaimKey) -> impl Future<Output = Result<Claim>> + Send;

    /// Moves the lease's end; gives the lease as it is now.
    fn renew(
        &self,
        lease: &Lease,
        expires_at: Timestamp,
    ) -> impl Future<Output = Result<Lease>> + Send;

    /// Ends a clean lease; a dirty one is cleaned and goes on.
    fn release(&self, lease: &Lease) -> impl Future<Output = Result<Release>> + Send;

    /// The key's lease, if it is live.
    fn live_lease(
        &self,
        key: &ObjectRef,
        now: Timestamp,
    ) -> impl Future<Output = Result<Option<Lease>>> + Send;

    /// The rows of these versions of the lease's key, oldest first and at most [`NOTE_MAX`]; those not seen before get
    /// one, numbered in this order. The first version of a minted key becomes the version of its expected upload, given up
    /// or not.
    fn note(
        &self,
        lease: &Lease,
        versions: &[ListedVersion],
    ) -> impl Future<Output = Result<Noted>> + Send;

    /// Records an attempt before it runs, see [`Upload::begin_attempt`].
    fn begin_attempt(
        &self,
        lease: &Lease,
        id: &UploadId,
        facts: &SourceFacts,
        attempts_max: u32,
        now: Timestamp,
    ) -> impl Future<Output = Result<Begin>> + Send;

    /// Ends an upload's turn other than in the archive, see [`Upload::end`].
    fn end(
        &self,
        lease: &Lease,
        id: &UploadId,
        end: &End,
        now: Timestamp,
    ) -> impl Future<Output = Result<Upload>> + Send;

    /// Records that an upload is in the archive and verified, see [`Upload::record_archived`].
    fn record_archived(
        &self,
        lease: &Lease,
        id: &UploadId,
        record: &ArchiveRecord,
        is_late: bool,
        report: Option<&Report>,
        now: Timestamp,
    ) -> impl Future<Output = Result<Upload>> + Send;

    /// Keeps what an attempt says of itself. Its log is kept with the attempt, also when it has ended; its progress is
    /// in the row while the attempt is the one that runs, and changes nothing else there.
    ///
    /// No lease is needed, because an attempt's number is of one run only: what a worker that was fenced off kept is
    /// the log of its own attempt. An attempt that is not among the upload's latest
    /// [`LOG_MAX`](Upload::LOG_MAX) is [`Error::NotFound`]; logs of attempts that were pushed out are gone.
    fn keep_said(
        &self,
        id: &UploadId,
        attempt: u32,
        said: &Said,
    ) -> impl Future<Output = Result<()>> + Send;

    /// The logs of an upload's attempts, oldest first; of attempts that wrote nothing there is none. An upload that is
    /// not there has none.
    fn logs(&self, id: &UploadId) -> impl Future<Output = Result<Vec<KeptLog>>> + Send;

    /// Closes a row whose version is gone from staging, see [`Upload::close`].
    fn close(&self, lease: &Lease, id: &UploadId) -> impl Future<Output = Result<()>> + Send;

    /// Routes an upload to a job, see [`Upload::queue_job`].
    fn queue_job(
        &self,
        lease: &Lease,
        id: &UploadId,
        now: Timestamp,
    ) -> impl Future<Output = Result<Upload>> + Send;

    /// Unfinished uploads of jobs, pending or processing, those received first first, or of minted keys those minted
    /// first, and behind the given one; at most `limit`.
    fn jobs(
        &self,
        after: Option<&UploadId>,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<Upload>>> + Send;

    /// The lease that this upload's job holds, past its end or not.
    fn job_lease(&self, id: &UploadId) -> impl Future<Output = Result<Option<Lease>>> + Send;

    /// Gives up an upload of a job, see [`Upload::cancel_job`], and ends the lease that its job holds: the job is fenced
    /// off. No lease is needed. The caller wakes the key.
    fn cancel_job(
        &self,
        id: &UploadId,
        now: Timestamp,
    ) -> impl Future<Output = Result<Upload>> + Send;

    /// Claims, notes and begins in one change, where [`Capabilities::starts_in_one`] says so.
    fn start(&self, start: &StartUpload) -> impl Future<Output = Result<Started>> + Send {
        let _ = start;
        async { Err(Error::Unsupported) }
    }

    /// Archives, records, deletes and closes in one change, where [`Capabilities::moves_in_one`] says so.
    fn move_in_one(
        &self,
        lease: &Lease,
        upload: &MoveUpload,
    ) -> impl Future<Output = Result<MovedInOne>> + Send {
        let _ = (lease, upload);
        async { Err(Error::Unsupported) }
    }

    /// Makes the row of an upload that is expected under a key minted for it alone. If the key has such a row, it is
    /// that one, see [`Upload::expect_again`], or [`Error::DeclaredOtherwise`].
    fn mint(
        &self,
        key: &ObjectRef,
        expectation: &Expectation,
        now: Timestamp,
    ) -> impl Future<Output = Result<Upload>> + Send;

    /// The upload this key was minted for, if it was.
    fn minted_for(&self, key: &ObjectRef) -> impl Future<Output = Result<Option<Upload>>> + Send;

    /// Pending uploads that are expected until a moment before this one, in an order that stays and behind the given
    /// one; at most `limit`.
    fn overdue(
        &self,
        now: Timestamp,
        after: Option<&UploadId>,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<Upload>>> + Send;

    /// Gives up an upload that did not come, see [`Upload::expire`]; gives the row as it is then.
    /// No lease is needed: what has come meanwhile is left alone, and what comes later is noted as ever.
    fn expire(&self, id: &UploadId, now: Timestamp) -> impl Future<Output = Result<Upload>> + Send;

    /// The row of this name.
    fn get(&self, id: &UploadId) -> impl Future<Output = Result<Option<Upload>>> + Send;

    /// The row of this version.
    fn find(&self, version: &VersionRef) -> impl Future<Output = Result<Option<Upload>>> + Send;

    /// The rows of these versions, in their order; each as [`Self::find`] has it, though not all of one moment.
    fn find_each(
        &self,
        versions: &[VersionRef],
    ) -> impl Future<Output = Result<Vec<Option<Upload>>>> + Send {
        async move {
            let mut found = Vec::with_capacity(versions.len());
            for version in versions {
                found.push(self.find(version).await?);
            }
            Ok(found)
        }
    }

    /// The uploads these keys were minted for, in their order; each as [`Self::minted_for`] has it.
    fn minted_for_each(
        &self,
        keys: &[ObjectRef],
    ) -> impl Future<Output = Result<Vec<Option<Upload>>>> + Send {
        async move {
            let mut found = Vec::with_capacity(keys.len());
            for key in keys {
                found.push(self.minted_for(key).await?);
            }
            Ok(found)
        }
    }

    /// The unfinished rows of a key, oldest noted first, at most [`PAGE_MAX`].
    fn unfinished_of(&self, key: &ObjectRef) -> impl Future<Output = Result<Vec<Upload>>> + Send;

    /// Unfinished rows behind this one, in an order that stays, at most `limit`.
    fn unfinished(
        &self,
        after: Option<&UploadId>,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<Upload>>> + Send;

    /// The unfinished row that was received first; what is only expected does not count.
    fn oldest_unfinished(&self) -> impl Future<Output = Result<Option<Upload>>> + Send;

    /// Rows whose wait after a transient failure has ended, at most `limit`.
    fn due(&self, now: Timestamp, limit: usize)
    -> impl Future<Output = Result<Vec<Upload>>> + Send;

    /// Lists rows, the latest first, see [`UploadPage`].
    fn list(&self, options: &ListUploads) -> impl Future<Output = Result<UploadPage>> + Send;

    /// How many rows are in each state.
    fn counts(&self) -> impl Future<Output = Result<Counts>> + Send;

    /// Makes a failed upload pending again, see [`Upload::retry`]. The caller wakes its key.
    fn retry(&self, id: &UploadId) -> impl Future<Output = Result<Upload>> + Send;

    /// Makes those of these uploads pending again that have failed, and gives them as they are then. One change, or one
    /// for each: a failure may leave some of them made. The caller wakes their keys, and asks for a bounded number.
    fn retry_each(&self, ids: &[UploadId]) -> impl Future<Output = Result<Vec<Upload>>> + Send {
        async move {
            let mut retried = Vec::new();
            for id in ids {
                match self.retry(id).await {
                    Ok(upload) => retried.push(upload),
                    // Somebody else retried it, or it is gone: nothing is left to do for it.
                    Err(Error::NotRetried(_) | Error::NotFound(_)) => {}
                    Err(error) => return Err(error),
                }
            }
            Ok(retried)
        }
    }
}

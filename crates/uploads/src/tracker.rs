use std::future::Future;

use futures::Stream;
use two_buckets_objects::{Body, BucketName, ByteRange, Checksum, Key, Timestamp, VersionId};

use crate::{
    AttemptLog, ReasonPattern, Result, Upload, UploadHistory, UploadId, UploadKey, UploadState,
};

/// Where each upload is, and steering it.
///
/// Answers are from the ledger as of the last durable change. Dropping a returned future leaves reads without a
/// trace; a retry, cancellation or sweep that was begun may or may not have taken effect, and calling it again is
/// harmless.
pub trait Tracker: Send + Sync + 'static {
    /// What this server is: shown on the page and by the command line.
    fn server(&self) -> impl Future<Output = Result<ServerFacts>> + Send;

    /// A page of uploads, newest first, with the counts of all uploads whatever the query selects; but with a prefix,
    /// the counts and the oldest unfinished are those below it: one tenant learns nothing of another.
    /// Of versions in staging that no worker has looked at yet, a tracker may know only some: there are at least so many
    /// pending ones, and the oldest unfinished is the oldest of those it knows.
    /// A cursor it did not hand out is [`Error::Refused`](crate::Error::Refused).
    fn list(&self, query: ListUploads) -> impl Future<Output = Result<UploadPage>> + Send;

    /// One upload and its attempts, or [`Error::NotFound`](crate::Error::NotFound).
    fn get(&self, id: &UploadId) -> impl Future<Output = Result<UploadHistory>> + Send;

    /// What is kept of the logs of an upload's attempts, oldest first; of attempts that wrote nothing there is none.
    /// What an attempt wrote is there at the latest when [`Self::get`] shows that it ended.
    fn logs(&self, id: &UploadId) -> impl Future<Output = Result<Vec<AttemptLog>>> + Send;

    /// The bytes of an upload from the archive, or from staging while they are there; none left is
    /// [`Error::NotFound`](crate::Error::NotFound). The range lies within [`Upload::size_bytes`].
    fn content(
        &self,
        id: &UploadId,
        range: Option<ByteRange>,
    ) -> impl Future<Output = Result<Body>> + Send;

    /// Makes a failed upload pending again and wakes its key; gives the upload as it is then.
    /// One that is not failed is [`Error::Conflict`](crate::Error::Conflict).
    fn retry(&self, id: &UploadId) -> impl Future<Output = Result<Upload>> + Send;

    /// Makes every selected failed upload pending again and wakes its key, a bounded number at a time; says how many.
    /// None selected is no error. One that fails again meanwhile is not retried a second time.
    fn retry_many(&self, retry: RetryMany) -> impl Future<Output = Result<Retried>> + Send;

    /// Gives up an unfinished upload of a job: it fails with that reason, the job is fenced off wherever it is, and the
    /// key goes on. Gives the upload as it is then. One that is no job's or has ended is
    /// [`Error::Conflict`](crate::Error::Conflict), whose words say what to do instead.
    fn cancel(&self, id: &UploadId) -> impl Future<Output = Result<Upload>> + Send;

    /// Copies what is archived to staging under the same keys, each a new upload that is processed again. The archive
    /// keeps what it has; reserved prefixes are left out. No version of that id is
    /// [`Error::NotFound`](crate::Error::NotFound).
    ///
    /// A replay of a prefix that was interrupted goes on behind the last key it copied when it is asked for again. One
    /// call copies a bounded number of files, and says whether there are more: then it is to be asked for again, and
    /// not anew. Where the ledger and the buckets are not one store, a portion of some hundred files that was cut off in
    /// its middle may be copied twice, and is processed twice then.
    fn replay(&self, replay: Replay) -> impl Future<Output = Result<Replayed>> + Send;

    /// Has nothing new processed from now on, jobs included; durable when this returns, so that the server that is
    /// started next is paused too. What is in work ends. Paused again it stays so since it was, for the new reason if one
    /// is given.
    fn pause(&self, reason: Option<String>) -> impl Future<Output = Result<Paused>> + Send;

    /// Has processing go on, as many files at once as ever; durable when this returns. Says since when it was paused, if
    /// it was.
    fn resume(&self) -> impl Future<Output = Result<Option<Paused>>> + Send;

    /// Sweeps now and returns when the sweep is done.
    fn sweep(&self) -> impl Future<Output = Result<Swept>> + Send;

    /// Makes the row of an upload that is expected under a key minted for it alone; durable when this returns.
    ///
    /// Expecting a key again that has not arrived gives the same id and moves the end of waiting, never to an earlier
    /// time; what was known of the file stays where the new expectation does not say. Once it has arrived, this gives
    /// its id and changes nothing. Another size or checksum than was declared first, or arrived, is
    /// [`Error::Conflict`](crate::Error::Conflict) and changes nothing: the key was made for another file.
    fn expect(&self, expected: Expected) -> impl Future<Output = Result<UploadId>> + Send;

    /// The upload this key was minted for, if it was minted here.
    fn minted(&self, key: &UploadKey) -> impl Future<Output = Result<Option<Minted>>> + Send;

    /// What changes from now on, in order for each upload. Ends when the server stops. What it holds for a slow
    /// listener is bounded: it loses the oldest and says so by [`Change::Missed`]. Where nothing tells of changes they are
    /// looked for every few seconds, and what an upload passed in between is not told of.
    fn changes(&self) -> impl Stream<Item = Change> + Send + 'static;
}

/// An upload that is expected: its key was minted and somebody was given a grant for it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Expected {
    /// The key, minted for this upload alone.
    pub key: UploadKey,
    /// After this it will not come any more; should it arrive all the same, it is an upload like any other.
    pub until: Timestamp,
    /// Its size, where the client said it.
    pub size_bytes: Option<u64>,
    /// Its media type, where the client said it.
    pub media_type: Option<String>,
    /// A checksum of its bytes, where the client said it.
    pub checksum: Option<Checksum>,
}

/// An upload whose key was minted here.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Minted {
    /// The upload.
    pub id: UploadId,
    /// Whether its bytes have come.
    pub has_arrived: bool,
}

/// Something that changed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Change {
    /// An upload that is new or changed, as it is now.
    Upload(Box<Upload>),
    /// The listener was too slow and some changes are lost to it: list again.
    Missed,
}

/// What a server is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ServerFacts {
    /// The program's version.
    pub version: String,
    /// Where the page is; none where no page is served.
    pub page_url: Option<String>,
    /// Where S3 clients reach the buckets.
    pub s3: S3Address,
    /// The staging bucket.
    pub staging: BucketName,
    /// The archive bucket.
    pub archive: BucketName,
    /// What runs on each file.
    pub processor: String,
    /// Whether processing is paused.
    pub paused: Option<Paused>,
}

/// That nothing new is processed. Uploads go on, and what was in work ends.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Paused {
    /// Since when.
    pub since: Timestamp,
    /// Why, as whoever paused it said; at most [`Paused::REASON_BYTES_MAX`] bytes and not empty.
    pub reason: Option<String>,
}

impl Paused {
    /// The longest reason: some sentences.
    pub const REASON_BYTES_MAX: usize = 1_000;
}

/// Where S3 clients reach the buckets.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct S3Address {
    /// The endpoint's URL.
    pub endpoint: String,
    /// The region to sign for.
    pub region: String,
}

/// Which uploads to list. All that is named must hold.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ListUploads {
    /// Only those in this state.
    pub state: Option<UploadState>,
    /// Only those of exactly this key.
    pub key: Option<Key>,
    /// Only those whose key begins with this and is longer; it ends with a slash. Bounds the counts too.
    pub prefix: Option<String>,
    /// Only those whose key contains this; at most [`SEARCH_BYTES_MAX`](crate::SEARCH_BYTES_MAX) bytes, not empty.
    pub search: Option<String>,
    /// The most uploads to give, 1 to [`PAGE_MAX`](crate::PAGE_MAX).
    pub limit: usize,
    /// Begin behind this, as an earlier page said.
    pub after: Option<Cursor>,
}

/// Where a page of uploads ended. Opaque: only the [`Tracker`] that made it reads it.
/// Text that came from a caller, at most [`Cursor::LENGTH_BYTES_MAX`] bytes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Cursor(pub String);

impl Cursor {
    /// The longest cursor: longer than any [`UploadId`].
    pub const LENGTH_BYTES_MAX: usize = 4_096;
}

/// A page of uploads.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UploadPage {
    /// The uploads, newest first.
    pub uploads: Vec<Upload>,
    /// Where the next page begins; none on the last. A page may be shorter than its limit and have a next one.
    /// It stays good whatever becomes of the uploads: none behind it is left out because those before it changed.
    pub next: Option<Cursor>,
    /// How many uploads there are in each state.
    pub counts: Counts,
    /// The oldest upload that is neither finished nor set aside: its age is the one number to alarm on.
    pub oldest_unfinished: Option<Oldest>,
    /// Whether processing is paused.
    pub paused: Option<Paused>,
    /// Whether, below a prefix, more uploads have ended than were looked at: then there are at least so many archived,
    /// late and duplicate ones. Never without a prefix.
    pub counts_are_least: bool,
}

/// How many uploads there are in each state.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counts {
    /// See [`UploadState::Pending`].
    pub pending: u64,
    /// See [`UploadState::Processing`].
    pub processing: u64,
    /// See [`UploadState::Archived`].
    pub archived: u64,
    /// See [`UploadState::Failed`].
    pub failed: u64,
    /// See [`UploadState::Late`].
    pub late: u64,
    /// See [`UploadState::Duplicate`].
    pub duplicate: u64,
}

/// The oldest unfinished upload.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Oldest {
    /// Its key.
    pub key: Key,
    /// When it arrived.
    pub received_at: Timestamp,
}

/// Which failed uploads to retry.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum RetrySelection {
    /// All of them.
    All,
    /// Those of exactly this key.
    Key(Key),
    /// Those whose reason is meant by this.
    Reason(ReasonPattern),
}

impl RetrySelection {
    /// Whether a failed upload of this key is meant that has this reason.
    pub fn means(&self, key: &Key, reason: Option<&str>) -> bool {
        match self {
            Self::All => true,
            Self::Key(meant) => meant == key,
            Self::Reason(pattern) => reason.is_some_and(|reason| pattern.matches(reason)),
        }
    }
}

/// A replay.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Replay {
    /// Of what.
    pub selection: ReplaySelection,
    /// Whether only to say how much is selected, and to change nothing.
    pub is_dry_run: bool,
    /// Whether to begin anew where an earlier replay of the prefix was interrupted.
    pub is_anew: bool,
}

/// What of the archive to replay.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ReplaySelection {
    /// The current version of every key that begins with this, or is this.
    Prefix {
        /// The prefix; empty for everything.
        prefix: String,
        /// Only what was archived at this moment or later.
        since: Option<Timestamp>,
    },
    /// One version, current or not.
    Version {
        /// Its key.
        key: Key,
        /// Its id in the archive.
        version_id: VersionId,
    },
}

/// What a replay did.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Replayed {
    /// How many archived versions were selected.
    pub matched: u64,
    /// How many uploads that made.
    pub replayed: u64,
    /// How many bytes these have together.
    pub size_bytes: u64,
    /// When the replay began that this one went on with, if it did; what that one had done is not counted here.
    pub continued_since: Option<Timestamp>,
    /// Whether there is more to replay: ask for the same again, and not anew.
    pub has_more: bool,
}

/// A retry of many.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RetryMany {
    /// Which.
    pub selection: RetrySelection,
    /// Whether only to say how many are selected, and to change nothing.
    pub is_dry_run: bool,
}

/// What a retry of many did.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Retried {
    /// How many failed uploads were selected.
    pub matched: u64,
    /// How many of them are pending now: none of a dry run, and not those that somebody else retried meanwhile.
    pub retried: u64,
}

/// What a sweep did.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Swept {
    /// How many versions it listed in staging.
    pub listed: u64,
    /// How many keys it woke.
    pub woken: u64,
    /// How many uploads gone from staging it recorded as archived.
    pub finished: u64,
    /// How many uploads gone from staging it could only explain.
    pub explained: u64,
    /// How many keys it could not look at, for store or ledger failed at them.
    pub passed_over: u64,
}

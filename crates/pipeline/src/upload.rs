//! An upload's row in the ledger and how it changes. Ledgers keep rows; what a change does to one is decided here,
//! once for all of them.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use two_buckets_objects::{
    Algorithm, Checksum, ETag, ListedVersion, ObjectRef, Timestamp, VersionId, VersionRef,
};

use crate::archive::{Mark, Replay};
use crate::{ProgressAt, Report};

/// The ledger's opaque name of an upload: letters, digits, `-` and `_`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UploadId(Box<str>);

impl UploadId {
    /// The longest id, in bytes.
    pub const BYTES_MAX: usize = 128;

    /// Takes an id as a ledger made it; none if it cannot be one.
    pub fn new(id: &str) -> Option<Self> {
        let legal = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        ((1..=Self::BYTES_MAX).contains(&id.len()) && id.chars().all(legal))
            .then(|| Self(id.into()))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for UploadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for UploadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// The states of an upload, the same words everywhere.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum State {
    /// Expected, or in staging and not in work.
    Pending,
    /// An attempt has begun.
    Processing,
    /// In the archive under its key, verified and recorded.
    Archived,
    /// Set aside with a reason; its version stays in staging, out of everybody's way.
    Failed,
    /// In the archive beside newer uploads of its key, never current.
    Late,
    /// A client's repeat of an upload that was archived already and is the archive's current version; removed.
    Duplicate,
}

impl State {
    /// Every state.
    pub const ALL: [Self; 6] = [
        Self::Pending,
        Self::Processing,
        Self::Archived,
        Self::Failed,
        Self::Late,
        Self::Duplicate,
    ];

    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Processing => "processing",
            Self::Archived => "archived",
            Self::Failed => "failed",
            Self::Late => "late",
            Self::Duplicate => "duplicate",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A text that names no state.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the state must be one of pending, processing, archived, failed, late, duplicate")]
pub struct UnknownState;

impl FromStr for State {
    type Err = UnknownState;

    fn from_str(name: &str) -> Result<Self, UnknownState> {
        Self::ALL
            .into_iter()
            .find(|state| state.name() == name)
            .ok_or(UnknownState)
    }
}

/// An upload's place among those of its key: as the store tells the time, then as the ledger first listed them.
///
/// A multipart upload's Last-Modified is the moment it was initiated, so one that ends late is older than uploads
/// that were archived before it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Order {
    /// Last-Modified in staging.
    pub last_modified: Timestamp,
    /// The number the ledger gave it at its first listing; grows.
    pub number: u64,
}

/// What staging says of an upload's version.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Staged {
    /// The version.
    pub version_id: VersionId,
    /// Its place.
    pub order: Order,
    /// The size.
    pub size_bytes: u64,
    /// The tag.
    pub etag: ETag,
}

/// What was said of an upload when its key was minted.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Expectation {
    /// After this it will not come any more: every permission to send it has ended, and some time for it to end in.
    pub until: Timestamp,
    /// The size it shall have.
    pub size_bytes: Option<u64>,
    /// The media type it shall have.
    pub media_type: Option<String>,
    /// A checksum it shall have.
    pub checksum: Option<Checksum>,
}

impl Expectation {
    /// One that says nothing but until when.
    pub fn until(until: Timestamp) -> Self {
        Self {
            until,
            size_bytes: None,
            media_type: None,
            checksum: None,
        }
    }
}

/// Where an upload was archived.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct ArchiveRecord {
    /// The archive's version.
    pub at: VersionRef,
    /// A checksum over the full object that source and copy both have; none only where both are known to share one
    /// immutable body and no checksum of it is kept.
    pub checksum: Option<Checksum>,
}

/// How an attempt ended.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum AttemptOutcome {
    /// The function accepted the upload and it was archived.
    Succeeded,
    /// Something failed that may work later.
    Transient,
    /// The function or the store refused the upload.
    Permanent,
    /// It ended without an answer.
    Crashed,
}

impl AttemptOutcome {
    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Transient => "transient",
            Self::Permanent => "permanent",
            Self::Crashed => "crashed",
        }
    }
}

/// One run of the function on an upload.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Attempt {
    /// From 1, never reset.
    pub number: u32,
    /// When it was recorded, before it ran.
    pub started_at: Timestamp,
    /// When and how it ended; none while it runs or if its worker died.
    pub ended: Option<(Timestamp, AttemptOutcome)>,
    /// Why it ended so.
    pub reason: Option<String>,
}

/// A row of the ledger: one upload.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "four facts that vary independently; each is read by name"
)]
pub struct Upload {
    /// Its name in the ledger.
    pub id: UploadId,
    /// The key in staging.
    pub key: ObjectRef,
    /// Its version there, once it was listed; none for an upload that is expected.
    pub staged: Option<Staged>,
    /// Whether its key was minted for it alone by the upload API.
    pub minted: bool,
    /// What was said of it when its key was minted.
    pub expectation: Option<Expectation>,
    /// Its state.
    pub state: State,
    /// Whether the pipeline is done with it: archived, late or duplicate, and gone from staging.
    pub closed: bool,
    /// Whether an attempt ended so that nobody knows if it archived: look in the archive before anything else. One that was
    /// set aside so is looked for once more, see [`Self::last_look_at`].
    pub look_in_archive: bool,
    /// Whether it was routed to a job: only a job begins attempts of it, and while it is due later versions of its key wait.
    pub is_job: bool,
    /// Where it was copied from, if it is in staging to be processed again; known once an attempt has begun.
    pub replay: Option<Replay>,
    /// A checksum over the full object in staging, if the store keeps one.
    pub checksum: Option<Checksum>,
    /// The media type, as the uploader named it.
    pub media_type: Option<String>,
    /// Attempts counted against the most allowed; `retry` begins anew.
    pub attempts: u32,
    /// All attempts that ever began.
    pub attempts_ever: u32,
    /// How often in a row it was put off before an attempt began, because a store failed; the waits grow with it.
    /// At most [`Self::DEFERRALS_MAX`].
    pub deferrals: u32,
    /// The latest attempts, oldest first, at most [`Self::LOG_MAX`].
    pub log: Vec<Attempt>,
    /// How far the attempt that runs said it is.
    pub progress: Option<ProgressAt>,
    /// Not before this moment, after a transient failure.
    pub next_attempt_at: Option<Timestamp>,
    /// Why it failed, waits, or is what it is.
    pub reason: Option<String>,
    /// Where it was archived.
    pub archive: Option<ArchiveRecord>,
    /// What the function said of it.
    pub report: Option<Report>,
    /// Last-Modified in staging, or when it was minted until it is there.
    pub received_at: Timestamp,
    /// When its latest attempt began.
    pub started_at: Option<Timestamp>,
    /// When it reached the state it ended in.
    pub finished_at: Option<Timestamp>,
}

/// What beginning an attempt found.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Begin {
    /// The attempt is recorded; it may run.
    Begun(Upload),
    /// The most attempts were begun already; nothing was recorded.
    Exhausted(Upload),
    /// The row is in no state to be tried: ended, or not yet due. Nothing was recorded.
    NotDue(Upload),
}

/// How an upload's turn ends other than in the archive.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum End {
    /// Try again, not before a moment.
    Deferred {
        /// Why.
        reason: String,
        /// Not before.
        next_attempt_at: Timestamp,
        /// Whether the attempt counts; it does not when a store failed and the function did not.
        is_counted: bool,
        /// Whether it is unknown if something was archived.
        look_in_archive: bool,
    },
    /// The attempt ended without an answer; try again at once.
    Crashed {
        /// What is known.
        reason: String,
    },
    /// Set aside.
    Failed {
        /// Why.
        reason: String,
        /// How the attempt that is open, if any, ended.
        outcome: AttemptOutcome,
        /// Whether a copy of it may be on its way that a worker sent whose lease is gone.
        look_in_archive: bool,
    },
    /// It was set aside, and the last look for it found no copy in the archive: nothing is on its way any more.
    StaysFailed,
    /// The same bytes were archived for this minted key already.
    Duplicate {
        /// The upload that was archived.
        of: UploadId,
    },
}

/// Why an upload cannot be retried.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NotRetried {
    /// Only failed ones can.
    #[error("only failed uploads can be retried, this one is {0}")]
    NotFailed(State),
    /// There is nothing to try.
    #[error("it never arrived, so there is nothing to retry; upload it again")]
    NeverArrived,
}

/// Why a job is not cancelled.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NotCancelled {
    /// It is not a job's.
    #[error(
        "only jobs can be cancelled, and this upload is none: wait, what a worker does ends by itself"
    )]
    NotAJob,
    /// It has ended, as a job's or not.
    #[error("it has ended and is {0}, so there is nothing to cancel; {advice}", advice = after_its_end(*.0))]
    Ended(State),
}

/// A key that was minted for one file is asked for again for another.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum DeclaredOtherwise {
    /// The size is another one.
    #[error(
        "this key was made for a file of {first_bytes} bytes, not of {now_bytes}; ask for another one with \"filename\""
    )]
    Size {
        /// As it was declared first, or came.
        first_bytes: u64,
        /// As it is declared now.
        now_bytes: u64,
    },
    /// A checksum by the same algorithm is another one.
    #[error("this key was made for a file with another {0}; ask for another one with \"filename\"")]
    Checksum(Algorithm),
}

impl Upload {
    /// The most attempts kept in the log.
    pub const LOG_MAX: usize = 20;
    /// How far deferrals are counted: by then waits have long reached their bound.
    pub const DEFERRALS_MAX: u32 = 16;
    /// The longest reason kept, in bytes; longer ones are cut.
    pub const REASON_BYTES_MAX: usize = 2_048;
    /// Within how long after an upload was set aside a copy lands that was on its way then.
    ///
    /// Whoever sent it has lost its lease and is told so at its next heartbeat, in seconds; what it sent goes on. A store
    /// takes a signed request for 15 minutes after it was signed (S3 API, "Authenticating requests"), and then works on it
    /// for some minutes, most of all on a multipart upload that it puts together. The rest is for clocks that differ: the
    /// signer's, that of who set the upload aside and that of who looks.
    pub const LANDS_WITHIN: Duration = Duration::from_hours(1);

    /// The row of a version that was listed for the first time.
    pub fn listed(id: UploadId, key: ObjectRef, number: u64, version: &ListedVersion) -> Self {
        let mut upload = Self::empty(id, key, version.last_modified);
        upload.arrive(number, version);
        upload
    }

    /// The row of an upload that is expected under a key minted for it.
    pub fn minted(id: UploadId, key: ObjectRef, expectation: Expectation, now: Timestamp) -> Self {
        Self {
            minted: true,
            media_type: expectation.media_type.clone(),
            expectation: Some(expectation),
            ..Self::empty(id, key, now)
        }
    }

    fn empty(id: UploadId, key: ObjectRef, received_at: Timestamp) -> Self {
        Self {
            id,
            key,
            staged: None,
            minted: false,
            expectation: None,
            state: State::Pending,
            closed: false,
            look_in_archive: false,
            is_job: false,
            replay: None,
            checksum: None,
            media_type: None,
            attempts: 0,
            attempts_ever: 0,
            deferrals: 0,
            log: Vec::new(),
            progress: None,
            next_attempt_at: None,
            reason: None,
            archive: None,
            report: None,
            received_at,
            started_at: None,
            finished_at: None,
        }
    }

    /// The expected upload's version was listed for the first time. It may have been given up before: a PUT that was
    /// begun in time may end late.
    pub fn arrive(&mut self, number: u64, version: &ListedVersion) {
        self.state = State::Pending;
        self.finished_at = None;
        self.received_at = version.last_modified;
        self.staged = Some(Staged {
            version_id: version.version_id.clone(),
            order: Order {
                last_modified: version.last_modified,
                number,
            },
            size_bytes: version.size_bytes,
            etag: version.etag.clone().unwrap_or_else(|| ETag::new("")),
        });
        self.reason = self.difference();
    }

    /// Says whether nothing of it was listed yet: its key was minted, and it has not come or was not looked at.
    pub fn is_expected(&self) -> bool {
        self.staged.is_none()
    }

    /// Until when it may come; none once something was listed.
    pub fn expected_until(&self) -> Option<Timestamp> {
        // A row without an expectation was minted by a program that kept none.
        self.is_expected().then(|| {
            self.expectation
                .as_ref()
                .map_or(self.received_at, |expectation| expectation.until)
        })
    }

    /// Its key is granted anew: it may come until the later moment. What was not said of it before is taken from now,
    /// and a media type that is said now counts; another size or checksum than was said first is refused, for whoever
    /// was granted the key before is told of the file by it. Once it has come, what came is compared, and nothing changes
    /// but until when the key is granted.
    pub fn expect_again(&mut self, expectation: Expectation) -> Result<(), DeclaredOtherwise> {
        self.hold_to_first(&expectation)?;
        if !self.is_expected() {
            if let Some(kept) = &mut self.expectation {
                kept.until = kept.until.max(expectation.until);
            }
            return Ok(());
        }
        let before = self
            .expectation
            .take()
            .unwrap_or_else(|| Expectation::until(self.received_at));
        let after = Expectation {
            until: before.until.max(expectation.until),
            size_bytes: before.size_bytes.or(expectation.size_bytes),
            media_type: expectation.media_type.or(before.media_type),
            checksum: before.checksum.or(expectation.checksum),
        };
        self.media_type.clone_from(&after.media_type);
        self.expectation = Some(after);
        self.state = State::Pending;
        self.reason = None;
        self.finished_at = None;
        Ok(())
    }

    fn hold_to_first(&self, again: &Expectation) -> Result<(), DeclaredOtherwise> {
        let declared = self.expectation.as_ref();
        let came = self.staged.as_ref().map(|staged| staged.size_bytes);
        if let (Some(first_bytes), Some(now_bytes)) = (
            came.or_else(|| declared.and_then(|first| first.size_bytes)),
            again.size_bytes,
        ) && first_bytes != now_bytes
        {
            return Err(DeclaredOtherwise::Size {
                first_bytes,
                now_bytes,
            });
        }
        let first = [
            declared.and_then(|first| first.checksum.as_ref()),
            self.checksum.as_ref(),
        ];
        match &again.checksum {
            Some(now) if first.into_iter().flatten().any(|first| differ(first, now)) => {
                Err(DeclaredOtherwise::Checksum(now.algorithm))
            }
            _ => Ok(()),
        }
    }

    /// Gives up an upload that was not listed by the moment it was expected until. Whoever calls this has seen that
    /// staging has nothing of its key; should it come even so, [`Self::arrive`] makes it pending again.
    /// Changes nothing about any other upload.
    pub fn expire(&mut self, now: Timestamp) {
        if self.state == State::Pending && self.expected_until().is_some_and(|until| until < now) {
            self.state = State::Failed;
            self.reason = Some(
                "it never arrived: its key was granted and nothing was uploaded in time; \
                 ask for a new grant and upload it again"
                    .into(),
            );
            self.finished_at = Some(now);
        }
    }

    /// What arrived other than it was said to be when its key was minted, in words. Size and checksum are signed, so
    /// this is seen only where somebody granted the key without them; the file is kept as it is.
    pub fn difference(&self) -> Option<String> {
        let (expectation, staged) = (self.expectation.as_ref()?, self.staged.as_ref()?);
        if let Some(size_bytes) = expectation.size_bytes
            && size_bytes != staged.size_bytes
        {
            return Some(format!(
                "it was declared with {size_bytes} bytes and arrived with {}",
                staged.size_bytes
            ));
        }
        let (declared, found) = (expectation.checksum.as_ref()?, self.checksum.as_ref()?);
        differ(declared, found).then(|| {
            format!(
                "its {} is not the one that was declared",
                declared.algorithm
            )
        })
    }

    /// The version in staging, once it was listed.
    pub fn version(&self) -> Option<VersionRef> {
        self.staged.as_ref().map(|staged| VersionRef {
            bucket: self.key.bucket.clone(),
            key: self.key.key.clone(),
            version_id: staged.version_id.clone(),
        })
    }

    /// What its archived version is marked with, once it was listed.
    ///
    /// A replay keeps the place of the bytes it is a copy of: processed again they are no newer than they were, so that
    /// they never become current over an upload that was sent after them.
    pub fn mark(&self) -> Option<Mark> {
        self.staged.as_ref().map(|staged| Mark {
            source_version: staged.version_id.clone(),
            order: match &self.replay {
                Some(replay) => replay.order.min(staged.order),
                None => staged.order,
            },
        })
    }

    /// Says whether the pipeline still owes it something: it has arrived and is neither closed nor set aside.
    pub fn is_unfinished(&self) -> bool {
        !self.is_expected() && !self.closed && self.state != State::Failed
    }

    /// Says whether it may be tried now.
    pub fn is_due(&self, now: Timestamp) -> bool {
        matches!(self.state, State::Pending | State::Processing)
            && self.staged.is_some()
            && self.next_attempt_at.is_none_or(|at| at <= now)
    }

    /// When to look for it in the archive once more, if it was set aside while a copy may have been on its way. By then
    /// such a copy has landed, or never will.
    pub fn last_look_at(&self) -> Option<Timestamp> {
        let is_in_doubt =
            self.state == State::Failed && self.look_in_archive && !self.is_expected();
        self.finished_at
            .filter(|_| is_in_doubt)
            .map(|at| at.after(Self::LANDS_WITHIN))
    }

    /// Says whether it is time for that look.
    pub fn is_look_due(&self, now: Timestamp) -> bool {
        self.last_look_at().is_some_and(|at| at <= now)
    }

    /// Says whether an attempt began and nothing is known of its end: its worker died or lost its lease.
    pub fn is_interrupted(&self) -> bool {
        self.state == State::Processing
    }

    /// Records an attempt, before it runs. One that never ended is first closed as crashed; it was counted when it began.
    pub fn begin_attempt(mut self, attempts_max: u32, now: Timestamp) -> Begin {
        if !self.is_due(now) {
            return Begin::NotDue(self);
        }
        if self.attempts >= attempts_max {
            return Begin::Exhausted(self);
        }
        if self.is_interrupted() {
            self.interrupt_attempt(now);
        }
        self.attempts += 1;
        self.attempts_ever += 1;
        self.deferrals = 0;
        if self.log.len() == Self::LOG_MAX {
            self.log.remove(0);
        }
        self.log.push(Attempt {
            number: self.attempts_ever,
            started_at: now,
            ended: None,
            reason: None,
        });
        self.state = State::Processing;
        self.next_attempt_at = None;
        self.reason = self.difference();
        self.started_at = Some(now);
        Begin::Begun(self)
    }

    /// Routes it to a job. An attempt that never ended is closed as crashed, as when another begins.
    /// Changes nothing about an upload that is not due.
    pub fn queue_job(&mut self, now: Timestamp) {
        if !self.is_due(now) {
            return;
        }
        if self.is_interrupted() {
            self.interrupt_attempt(now);
            self.state = State::Pending;
        }
        self.is_job = true;
    }

    /// Gives up an upload of a job, in whatever part of it the job is. Whoever keeps the row also ends the job's lease
    /// in the same change, so that the job is fenced off.
    pub fn cancel_job(&mut self, now: Timestamp) -> Result<(), NotCancelled> {
        if !matches!(self.state, State::Pending | State::Processing) {
            return Err(NotCancelled::Ended(self.state));
        }
        if !self.is_job {
            return Err(NotCancelled::NotAJob);
        }
        self.end(
            End::Failed {
                reason: "its job was cancelled".into(),
                outcome: AttemptOutcome::Permanent,
                // It may be archiving at this moment.
                look_in_archive: self.is_interrupted(),
            },
            now,
        );
        Ok(())
    }

    /// Ends its turn other than in the archive. An upload that is archived or late stays so, whatever is said later.
    pub fn end(&mut self, end: End, now: Timestamp) {
        if end == End::StaysFailed {
            self.look_in_archive &= !self.is_look_due(now);
            return;
        }
        if !matches!(self.state, State::Pending | State::Processing) {
            return;
        }
        match end {
            End::Deferred {
                reason,
                next_attempt_at,
                is_counted,
                look_in_archive,
            } => {
                let reason = cut(reason);
                if self.log.last().is_none_or(|last| last.ended.is_some()) {
                    self.deferrals = (self.deferrals + 1).min(Self::DEFERRALS_MAX);
                }
                self.end_attempt(now, AttemptOutcome::Transient, Some(reason.clone()));
                if !is_counted {
                    self.attempts = self.attempts.saturating_sub(1);
                }
                self.look_in_archive |= look_in_archive;
                self.state = State::Pending;
                self.next_attempt_at = Some(next_attempt_at);
                self.reason = Some(reason);
            }
            End::Crashed { reason } => {
                self.end_attempt(now, AttemptOutcome::Crashed, Some(cut(reason)));
                self.state = State::Pending;
            }
            End::Failed {
                reason,
                outcome,
                look_in_archive,
            } => {
                let reason = cut(reason);
                self.end_attempt(now, outcome, Some(reason.clone()));
                // A job's turn is in two halves, and the second may have been cut off before it was begun anew.
                let is_job_lost = self.is_job && outcome == AttemptOutcome::Crashed;
                self.look_in_archive |= look_in_archive || is_job_lost;
                self.state = State::Failed;
                self.reason = Some(reason);
                self.next_attempt_at = None;
                self.finished_at = Some(now);
            }
            End::StaysFailed => {}
            End::Duplicate { of } => {
                self.state = State::Duplicate;
                self.reason = Some(format!("the same bytes were archived as upload {of}"));
                self.next_attempt_at = None;
                self.finished_at = Some(now);
            }
        }
    }

    /// Records that it is in the archive and verified. Repeating it changes nothing: the first record stands.
    pub fn record_archived(
        &mut self,
        record: ArchiveRecord,
        is_late: bool,
        report: Option<Report>,
        now: Timestamp,
    ) {
        if self.archive.is_some() {
            return;
        }
        self.end_attempt(now, AttemptOutcome::Succeeded, None);
        self.state = if is_late {
            State::Late
        } else {
            State::Archived
        };
        self.archive = Some(record);
        self.report = report.or(self.report.take());
        self.look_in_archive = false;
        self.next_attempt_at = None;
        let late = is_late.then(|| "a newer upload of its key was archived before it".to_owned());
        self.reason = match (late, self.difference()) {
            (Some(late), Some(difference)) => Some(format!("{late}; {difference}")),
            (one, other) => one.or(other),
        };
        self.finished_at = Some(now);
    }

    /// Its version is gone from staging: the pipeline is done with it.
    pub fn close(&mut self) {
        if matches!(self.state, State::Archived | State::Late | State::Duplicate) {
            self.closed = true;
        }
    }

    /// Makes a failed upload pending again with all its attempts; the log stays. It is routed anew.
    pub fn retry(&mut self) -> Result<(), NotRetried> {
        if self.state != State::Failed {
            return Err(NotRetried::NotFailed(self.state));
        }
        if self.is_expected() {
            return Err(NotRetried::NeverArrived);
        }
        self.state = State::Pending;
        self.is_job = false;
        self.attempts = 0;
        self.deferrals = 0;
        self.next_attempt_at = None;
        self.finished_at = None;
        self.reason = self.difference();
        Ok(())
    }

    /// Closes an attempt that never ended: it was counted when it began, and may have archived.
    fn interrupt_attempt(&mut self, now: Timestamp) {
        let who = if self.is_job { "job" } else { "worker" };
        self.end_attempt(
            now,
            AttemptOutcome::Crashed,
            Some(format!("the {who} died or lost its lease")),
        );
        self.look_in_archive = true;
    }

    /// The attempt of this number says how far it is. Changes nothing unless it is the one that runs.
    pub fn say_progress(&mut self, attempt: u32, progress: ProgressAt) {
        if self
            .log
            .last()
            .is_some_and(|last| last.number == attempt && last.ended.is_none())
        {
            self.progress = Some(progress);
        }
    }

    fn end_attempt(&mut self, now: Timestamp, outcome: AttemptOutcome, reason: Option<String>) {
        self.progress = None;
        if let Some(attempt) = self.log.last_mut().filter(|last| last.ended.is_none()) {
            attempt.ended = Some((now, outcome));
            attempt.reason = reason;
        }
    }
}

/// What somebody may want who would have cancelled an upload that is in this state.
fn after_its_end(state: State) -> &'static str {
    match state {
        State::Failed => "retry it to have it processed after all",
        State::Archived | State::Late => "to be rid of it, delete it from the archive bucket",
        State::Duplicate => "it was removed as a repeat of one that is archived",
        // They have not ended.
        State::Pending | State::Processing => "ask again",
    }
}

/// Whether two checksums tell of different bytes; two that cannot be compared tell nothing.
fn differ(one: &Checksum, other: &Checksum) -> bool {
    one.algorithm == other.algorithm && one.kind == other.kind && one != other
}

fn cut(mut reason: String) -> String {
    if reason.len() > Upload::REASON_BYTES_MAX {
        let mut end = Upload::REASON_BYTES_MAX;
        while !reason.is_char_boundary(end) {
            end -= 1;
        }
        reason.truncate(end);
    }
    reason
}

#[cfg(test)]
mod tests;

//! A store or a ledger all of whose effects pass the gate.

use std::sync::Arc;

use two_buckets_objects::{
    Body, BucketName, ByteRange, Capabilities as StoreCapabilities, CopyOptions,
    Error as StoreError, ListVersions, ListedVersion, ObjectInfo, ObjectRef, ObjectStore,
    PutOptions, Result as StoreResult, Timestamp, VersionPage, VersionRef, Written,
};
use two_buckets_pipeline::ledger::{
    Capabilities, Claim, ClaimKey, Counts, Error, KeptLog, Ledger, ListUploads, MoveUpload,
    MovedInOne, Noted, Release, Result, Said, SourceFacts, StartUpload, Started, UploadPage,
};
use two_buckets_pipeline::{
    ArchiveRecord, Begin, End, Expectation, Lease, Report, Upload, UploadId,
};

use super::gate::{Failures, Gate};

/// What wraps a store or a ledger.
pub(super) struct Shaken<T> {
    inner: Arc<T>,
    gate: Arc<Gate>,
}

impl<T> Shaken<T> {
    pub(super) fn new(inner: T, gate: &Arc<Gate>) -> Self {
        Self {
            inner: Arc::new(inner),
            gate: Arc::clone(gate),
        }
    }
}

fn unavailable() -> StoreError {
    StoreError::Unavailable {
        reason: "the simulator says so".into(),
        source: None,
    }
}

fn not_written() -> StoreError {
    StoreError::NotWritten {
        reason: "the simulator says so".into(),
        source: None,
    }
}

fn unknown() -> StoreError {
    StoreError::Unknown {
        reason: "the simulator lost the answer".into(),
        source: None,
    }
}

fn ledger_is_away() -> Error {
    Error::Unavailable {
        reason: "the simulator says so".into(),
        source: None,
    }
}

/// How a call that only reads fails.
const READS: Failures<StoreError> = Failures {
    before: unavailable,
    after: unavailable,
};
/// How a call that writes fails.
const WRITES: Failures<StoreError> = Failures {
    before: not_written,
    after: unknown,
};
/// How a call on the ledger fails: whether it was done stays open.
const LEDGER: Failures<Error> = Failures {
    before: ledger_is_away,
    after: ledger_is_away,
};

/// Methods that pass the gate: what is named in the history stands behind the colon, then how they fail.
macro_rules! shaken {
    ($(async fn $name:ident(&self $(, $arg:ident: $type:ty)*) -> $out:ty: $of:expr, $failures:expr;)*) => {
        $(async fn $name(&self $(, $arg: $type)*) -> $out {
            let what = format!(concat!(stringify!($name), " {}"), $of);
            self.gate.pass(what, self.inner.$name($($arg),*), $failures).await
        })*
    };
}

/// Methods whose effect may still be on its way when nobody waits for it any more.
macro_rules! in_flight {
    ($(async fn $name:ident(&self $(, $arg:ident: &$type:ty)*; $($moved:ident: $moved_type:ty),*) -> $out:ty: $of:expr, $failures:expr;)*) => {
        $(async fn $name(&self $(, $arg: &$type)* $(, $moved: $moved_type)*) -> $out {
            let what = format!(concat!(stringify!($name), " {}"), $of);
            let inner = Arc::clone(&self.inner);
            $(let $arg = $arg.clone();)*
            let effect = async move { inner.$name($(&$arg),* $(, $moved)*).await };
            self.gate.pass_in_flight(what, effect, $failures).await
        })*
    };
}

impl<S: ObjectStore> ObjectStore for Shaken<S> {
    fn capabilities(&self) -> StoreCapabilities {
        self.inner.capabilities()
    }

    shaken! {
        async fn head(&self, at: &ObjectRef) -> StoreResult<ObjectInfo>: at.key, READS;
        async fn head_version(&self, at: &VersionRef) -> StoreResult<ObjectInfo>: named(at), READS;
        async fn read_version(&self, at: &VersionRef, range: Option<ByteRange>) -> StoreResult<Body>: named(at), READS;
        async fn put(&self, to: &ObjectRef, body: Body, options: PutOptions) -> StoreResult<Written>: to.key, WRITES;
        async fn has_open_multipart(&self, at: &ObjectRef) -> StoreResult<bool>: at.key, READS;
        async fn list_versions(&self, bucket: &BucketName, options: ListVersions) -> StoreResult<VersionPage>: options.prefix, READS;
    }

    in_flight! {
        async fn copy_version(&self, from: &VersionRef, to: &ObjectRef; options: CopyOptions) -> StoreResult<Written>: named(from), WRITES;
        async fn delete_version(&self, at: &VersionRef;) -> StoreResult<()>: named(at), WRITES;
    }
}

fn named(at: &VersionRef) -> String {
    format!("{}/{}#{}", at.bucket, at.key, at.version_id)
}

impl<L: Ledger> Ledger for Shaken<L> {
    fn capabilities(&self) -> Capabilities {
        if self.gate.is_in_one() {
            self.inner.capabilities()
        } else {
            Capabilities::default()
        }
    }

    shaken! {
        async fn claim(&self, claim: &ClaimKey) -> Result<Claim>: claim.key.key, LEDGER;
        async fn renew(&self, lease: &Lease, expires_at: Timestamp) -> Result<Lease>: lease.key.key, LEDGER;
        async fn release(&self, lease: &Lease) -> Result<Release>: lease.key.key, LEDGER;
        async fn live_lease(&self, key: &ObjectRef, now: Timestamp) -> Result<Option<Lease>>: key.key, LEDGER;
        async fn note(&self, lease: &Lease, versions: &[ListedVersion]) -> Result<Noted>: lease.key.key, LEDGER;
        async fn begin_attempt(&self, lease: &Lease, id: &UploadId, facts: &SourceFacts, attempts_max: u32, now: Timestamp) -> Result<Begin>: id, LEDGER;
        async fn record_archived(&self, lease: &Lease, id: &UploadId, record: &ArchiveRecord, is_late: bool, report: Option<&Report>, now: Timestamp) -> Result<Upload>: id, LEDGER;
        async fn keep_said(&self, id: &UploadId, attempt: u32, said: &Said) -> Result<()>: id, LEDGER;
        async fn logs(&self, id: &UploadId) -> Result<Vec<KeptLog>>: id, LEDGER;
        async fn queue_job(&self, lease: &Lease, id: &UploadId, now: Timestamp) -> Result<Upload>: id, LEDGER;
        async fn jobs(&self, after: Option<&UploadId>, limit: usize) -> Result<Vec<Upload>>: limit, LEDGER;
        async fn job_lease(&self, id: &UploadId) -> Result<Option<Lease>>: id, LEDGER;
        async fn cancel_job(&self, id: &UploadId, now: Timestamp) -> Result<Upload>: id, LEDGER;
        async fn start(&self, start: &StartUpload) -> Result<Started>: start.claim.key.key, LEDGER;
        async fn mint(&self, key: &ObjectRef, expectation: &Expectation, now: Timestamp) -> Result<Upload>: key.key, LEDGER;
        async fn minted_for(&self, key: &ObjectRef) -> Result<Option<Upload>>: key.key, LEDGER;
        async fn overdue(&self, now: Timestamp, after: Option<&UploadId>, limit: usize) -> Result<Vec<Upload>>: now, LEDGER;
        async fn expire(&self, id: &UploadId, now: Timestamp) -> Result<Upload>: id, LEDGER;
        async fn get(&self, id: &UploadId) -> Result<Option<Upload>>: id, LEDGER;
        async fn find(&self, version: &VersionRef) -> Result<Option<Upload>>: named(version), LEDGER;
        async fn unfinished_of(&self, key: &ObjectRef) -> Result<Vec<Upload>>: key.key, LEDGER;
        async fn unfinished(&self, after: Option<&UploadId>, limit: usize) -> Result<Vec<Upload>>: limit, LEDGER;
        async fn oldest_unfinished(&self) -> Result<Option<Upload>>: "", LEDGER;
        async fn due(&self, now: Timestamp, limit: usize) -> Result<Vec<Upload>>: now, LEDGER;
        async fn list(&self, options: &ListUploads) -> Result<UploadPage>: options.limit, LEDGER;
        async fn counts(&self) -> Result<Counts>: "", LEDGER;
        async fn retry(&self, id: &UploadId) -> Result<Upload>: id, LEDGER;
    }

    in_flight! {
        async fn end(&self, lease: &Lease, id: &UploadId, end: &End; now: Timestamp) -> Result<Upload>: id, LEDGER;
        async fn move_in_one(&self, lease: &Lease, upload: &MoveUpload;) -> Result<MovedInOne>: upload.id, LEDGER;
        async fn close(&self, lease: &Lease, id: &UploadId;) -> Result<()>: id, LEDGER;
    }
}

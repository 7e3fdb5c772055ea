//! A store or a ledger that makes one of the known mistakes, or none, and tells the oracle of leases.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use two_buckets_objects::{
    Body, BucketName, ByteRange, Capabilities as StoreCapabilities, CopyOptions, ListVersions,
    ListedVersion, ObjectInfo, ObjectRef, ObjectStore, PutOptions, Result as StoreResult,
    Timestamp, VersionPage, VersionRef, WriteCondition, Written, body_from_bytes, read_to_bytes,
};
use two_buckets_pipeline::ledger::{
    Capabilities, Claim, ClaimKey, Counts, KeptLog, Ledger, ListUploads, MoveUpload, MovedInOne,
    Noted, Release, Result, Said, SourceFacts, StartUpload, Started, UploadPage,
};
use two_buckets_pipeline::{
    ArchiveRecord, Begin, End, Expectation, Lease, Report, State, Upload, UploadId,
};

use super::bug::Bug;
use super::chance::Chance;
use super::world::{World, staging};

/// How large a body the mistakes that need its bytes take.
const BODY_BYTES_MAX: usize = 64 << 20;

/// What wraps a store or a ledger.
pub(super) struct Planted<T> {
    inner: T,
    world: Arc<World>,
    /// Whether it is the sweep that asks.
    is_sweep: bool,
    chance: Mutex<Chance>,
    watermark: Mutex<Timestamp>,
}

impl<T> Planted<T> {
    pub(super) fn new(inner: T, world: &Arc<World>, is_sweep: bool, chance: Chance) -> Self {
        Self {
            inner,
            world: Arc::clone(world),
            is_sweep,
            chance: Mutex::new(chance),
            watermark: Mutex::default(),
        }
    }

    fn makes(&self, bug: Bug) -> bool {
        self.world.plan.bug == Some(bug)
    }
}

macro_rules! as_it_is {
    ($(async fn $name:ident(&self $(, $arg:ident: $type:ty)*) -> $out:ty;)*) => {
        $(async fn $name(&self $(, $arg: $type)*) -> $out {
            self.inner.$name($($arg),*).await
        })*
    };
}

impl<S: ObjectStore> ObjectStore for Planted<S> {
    fn capabilities(&self) -> StoreCapabilities {
        self.inner.capabilities()
    }

    async fn head_version(&self, at: &VersionRef) -> StoreResult<ObjectInfo> {
        let mut info = self.inner.head_version(at).await?;
        if self.makes(Bug::ReadUnchecked) {
            info.checksums.clear();
        }
        Ok(info)
    }

    async fn read_version(&self, at: &VersionRef, range: Option<ByteRange>) -> StoreResult<Body> {
        let body = self.inner.read_version(at, range).await?;
        if !self.makes(Bug::ReadUnchecked) {
            return Ok(body);
        }
        let mut bytes = read_to_bytes(body, BODY_BYTES_MAX).await?.to_vec();
        let mut chance = self.chance.lock().unwrap_or_else(PoisonError::into_inner);
        if chance.per_mille(50) {
            let at = usize::try_from(chance.below(bytes.len() as u64)).unwrap_or(0);
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= 1;
            }
        }
        Ok(body_from_bytes(bytes.into()))
    }

    async fn copy_version(
        &self,
        from: &VersionRef,
        to: &ObjectRef,
        mut options: CopyOptions,
    ) -> StoreResult<Written> {
        if self.makes(Bug::UnconditionalCopy) {
            options.condition = WriteCondition::None;
        }
        if !self.makes(Bug::DeletedBeforeCopy) {
            return self.inner.copy_version(from, to, options).await;
        }
        let mut metadata = self.inner.head_version(from).await?.metadata;
        metadata.user.extend(options.add_user_metadata);
        let body = self.inner.read_version(from, None).await?;
        let bytes: Bytes = read_to_bytes(body, BODY_BYTES_MAX).await?;
        self.inner.delete_version(from).await?;
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        let options = PutOptions {
            condition: options.condition,
            metadata,
            ..PutOptions::default()
        };
        self.inner.put(to, body_from_bytes(bytes), options).await
    }

    async fn delete_version(&self, at: &VersionRef) -> StoreResult<()> {
        if self.makes(Bug::DeletedByName) && at.bucket == staging() {
            return match self.inner.head(&at.object()).await {
                Ok(current) => self.inner.delete_version(&current.at).await,
                Err(_) => Ok(()),
            };
        }
        self.inner.delete_version(at).await
    }

    async fn list_versions(
        &self,
        bucket: &BucketName,
        options: ListVersions,
    ) -> StoreResult<VersionPage> {
        let mut page = self.inner.list_versions(bucket, options).await?;
        if self.is_sweep && self.makes(Bug::WatermarkSweep) {
            let mut watermark = self
                .watermark
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            let newest = page.versions.iter().map(|version| version.last_modified);
            let newest = newest.max().unwrap_or_default();
            page.versions
                .retain(|version| version.last_modified > *watermark);
            *watermark = newest.max(*watermark);
        }
        Ok(page)
    }

    as_it_is! {
        async fn head(&self, at: &ObjectRef) -> StoreResult<ObjectInfo>;
        async fn put(&self, to: &ObjectRef, body: Body, options: PutOptions) -> StoreResult<Written>;
        async fn has_open_multipart(&self, at: &ObjectRef) -> StoreResult<bool>;
    }
}

impl<L: Ledger> Planted<L> {
    /// The lease as the holder believes it to be, or with the bug as whoever holds the key has it.
    async fn lease(&self, lease: &Lease) -> Lease {
        if self.makes(Bug::FencingIgnored) {
            let now = Timestamp::from_millis(0);
            if let Ok(Some(live)) = self.inner.live_lease(&lease.key, now).await {
                return live;
            }
        }
        lease.clone()
    }
}

macro_rules! under_a_lease {
    ($(async fn $name:ident(&self $(, $arg:ident: $type:ty)*) -> $out:ty;)*) => {
        $(async fn $name(&self, lease: &Lease $(, $arg: $type)*) -> $out {
            let held = self.lease(lease).await;
            let answer = self.inner.$name(&held $(, $arg)*).await?;
            self.world.oracle.changed(lease);
            Ok(answer)
        })*
    };
}

impl<L: Ledger> Ledger for Planted<L> {
    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    async fn claim(&self, claim: &ClaimKey) -> Result<Claim> {
        let claimed = self.inner.claim(claim).await?;
        if let Claim::Held(lease) = &claimed {
            self.world.oracle.claimed(lease);
        }
        Ok(claimed)
    }

    async fn start(&self, start: &StartUpload) -> Result<Started> {
        let started = self.inner.start(start).await?;
        if let Started::Claimed(lease) | Started::Begun { lease, .. } = &started {
            self.world.oracle.claimed(lease);
        }
        Ok(started)
    }

    async fn begin_attempt(
        &self,
        lease: &Lease,
        id: &UploadId,
        facts: &SourceFacts,
        attempts_max: u32,
        now: Timestamp,
    ) -> Result<Begin> {
        if self.makes(Bug::AttemptNotRecorded)
            && let Some(mut upload) = self.inner.get(id).await?
        {
            upload.state = State::Processing;
            upload.attempts_ever += 1;
            return Ok(Begin::Begun(upload));
        }
        let lease = self.lease(lease).await;
        self.inner
            .begin_attempt(&lease, id, facts, attempts_max, now)
            .await
    }

    async fn end(&self, lease: &Lease, id: &UploadId, end: &End, now: Timestamp) -> Result<Upload> {
        let held = self.lease(lease).await;
        let mut ended = self.inner.end(&held, id, end, now).await?;
        if self.makes(Bug::NeverLooksAgain) && matches!(end, End::Failed { .. }) {
            let then = now.after(Upload::LANDS_WITHIN);
            ended = self.inner.end(&held, id, &End::StaysFailed, then).await?;
        }
        self.world.oracle.changed(lease);
        Ok(ended)
    }

    async fn record_archived(
        &self,
        lease: &Lease,
        id: &UploadId,
        record: &ArchiveRecord,
        is_late: bool,
        report: Option<&Report>,
        now: Timestamp,
    ) -> Result<Upload> {
        let held = self.lease(lease).await;
        let before = self.inner.get(id).await?;
        let recorded = self
            .inner
            .record_archived(&held, id, record, is_late, report, now)
            .await?;
        self.world.oracle.changed(lease);
        let was_set_aside = before.is_some_and(|row| row.state == State::Failed);
        self.world.figures().found += u64::from(was_set_aside);
        Ok(recorded)
    }

    under_a_lease! {
        async fn renew(&self, expires_at: Timestamp) -> Result<Lease>;
        async fn release(&self) -> Result<Release>;
        async fn note(&self, versions: &[ListedVersion]) -> Result<Noted>;
        async fn close(&self, id: &UploadId) -> Result<()>;
        async fn queue_job(&self, id: &UploadId, now: Timestamp) -> Result<Upload>;
        async fn move_in_one(&self, upload: &MoveUpload) -> Result<MovedInOne>;
    }

    as_it_is! {
        async fn live_lease(&self, key: &ObjectRef, now: Timestamp) -> Result<Option<Lease>>;
        async fn keep_said(&self, id: &UploadId, attempt: u32, said: &Said) -> Result<()>;
        async fn logs(&self, id: &UploadId) -> Result<Vec<KeptLog>>;
        async fn jobs(&self, after: Option<&UploadId>, limit: usize) -> Result<Vec<Upload>>;
        async fn job_lease(&self, id: &UploadId) -> Result<Option<Lease>>;
        async fn cancel_job(&self, id: &UploadId, now: Timestamp) -> Result<Upload>;
        async fn mint(&self, key: &ObjectRef, expectation: &Expectation, now: Timestamp) -> Result<Upload>;
        async fn minted_for(&self, key: &ObjectRef) -> Result<Option<Upload>>;
        async fn overdue(&self, now: Timestamp, after: Option<&UploadId>, limit: usize) -> Result<Vec<Upload>>;
        async fn expire(&self, id: &UploadId, now: Timestamp) -> Result<Upload>;
        async fn get(&self, id: &UploadId) -> Result<Option<Upload>>;
        async fn find(&self, version: &VersionRef) -> Result<Option<Upload>>;
        async fn unfinished_of(&self, key: &ObjectRef) -> Result<Vec<Upload>>;
        async fn unfinished(&self, after: Option<&UploadId>, limit: usize) -> Result<Vec<Upload>>;
        async fn oldest_unfinished(&self) -> Result<Option<Upload>>;
        async fn due(&self, now: Timestamp, limit: usize) -> Result<Vec<Upload>>;
        async fn list(&self, options: &ListUploads) -> Result<UploadPage>;
        async fn counts(&self) -> Result<Counts>;
        async fn retry(&self, id: &UploadId) -> Result<Upload>;
    }
}

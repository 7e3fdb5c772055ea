//! What no wake-up told of. The sweep lists all of staging, with no watermark: a multipart upload that ends late looks
//! old from its first moment, so "newer than the last sweep" would miss it.

use std::collections::HashSet;

use two_buckets_objects::{
    Error, Key, LIST_PAGE_MAX, ListVersions, ListedVersion, ObjectRef, ObjectStore, Timestamp,
    VersionId, VersionRef,
};

use tracing::{debug, error, info, warn};

use crate::{
    Clock, Driver, Ledger, Processor, State, Upload, UploadId, WakeUp, WakeUps, Why, ledger,
    staging,
};

/// How many unfinished rows are walked at a time.
const WALK_PAGE: usize = 200;
/// How many keys and rows in a row may be passed over, because store or ledger failed at them, before a sweep ends: by
/// then it is not they that are the trouble.
const PASSED_OVER_IN_A_ROW_MAX: u32 = 10;

/// What a sweep did.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Swept {
    /// Versions and delete markers seen in staging.
    pub listed: u64,
    /// Keys woken.
    pub woken: u64,
    /// Uploads that were archived without saying so, finished now.
    pub finished: u64,
    /// Uploads whose version is gone for good, set aside with that reason.
    pub explained: u64,
    /// Delete markers with no version left under them, removed.
    pub markers_removed: u64,
    /// Uploads that were expected and did not come, given up.
    pub expired: u64,
    /// Keys and rows passed over because store or ledger failed at them: others do not wait for what cannot be read.
    pub passed_over: u64,
    /// When the first of the versions came that the ledger knows nothing of yet, or whose row cannot be read, as the store
    /// says; of those under one key only the newest may have been looked at. With the ledger's own oldest it tells for how
    /// long work has waited.
    pub oldest_unnoted: Option<Timestamp>,
}

impl Swept {
    /// Sees a version that no row tells of.
    fn see_waiting(&mut self, last_modified: Timestamp) {
        let before = self.oldest_unnoted.unwrap_or(last_modified);
        self.oldest_unnoted = Some(before.min(last_modified));
    }
}

/// What a sweep that is under way has done.
#[derive(Default)]
struct Sweeping {
    swept: Swept,
    passed_over_in_a_row: u32,
    /// Unfinished uploads whose versions were listed in staging: they are not asked for one by one.
    staged: HashSet<UploadId>,
}

impl Sweeping {
    /// Passes over what failed, unless everything does.
    fn pass_over(
        &mut self,
        key: &ObjectRef,
        looked: Result<(), SweepError>,
    ) -> Result<(), SweepError> {
        let Err(error) = looked else {
            self.passed_over_in_a_row = 0;
            return Ok(());
        };
        // What cannot be read stays so, and says nothing of the others.
        if matches!(error, SweepError::Ledger(ledger::Error::Unreadable { .. })) {
            self.swept.passed_over += 1;
            error!(bucket = %key.bucket, key = %key.key, %error, "a sweep passes over a key");
            return Ok(());
        }
        self.passed_over_in_a_row += 1;
        if self.passed_over_in_a_row >= PASSED_OVER_IN_A_ROW_MAX {
            return Err(error);
        }
        self.swept.passed_over += 1;
        warn!(bucket = %key.bucket, key = %key.key, %error, "a sweep passes over a key");
        Ok(())
    }
}

/// The row of a version, if there is one.
enum Row {
    /// As it was read with others.
    Read(Option<Box<Upload>>),
    /// To be read alone.
    Unread,
}

/// A key that a sweep lists.
struct Looked {
    seen: KeySeen,
    /// Why a row of it could not be read.
    failed: Option<ledger::Error>,
}

/// Why a sweep ended early. What it did stays done.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SweepError {
    /// The store failed.
    #[error("the store fails: {0}")]
    Store(#[from] Error),
    /// The ledger failed.
    #[error("the ledger fails: {0}")]
    Ledger(#[from] ledger::Error),
}

/// Looks through staging and ledger for everything that is owed something.
pub struct Sweeper<'a, S, L, P, C, W> {
    /// The driver whose store, ledger and wake-ups it uses.
    pub driver: &'a Driver<S, L, P, C, W>,
}

/// What becomes of a key with an unfinished upload whose version is gone from staging.
#[derive(Clone, Copy)]
enum Gone<'a> {
    /// The sweep takes a turn on it, unless processing is paused.
    TakeTurn {
        is_paused: &'a (dyn Fn() -> bool + Sync),
    },
    /// A worker is woken for it.
    Wake,
}

impl Gone<'_> {
    fn is_paused(self) -> bool {
        match self {
            Self::TakeTurn { is_paused } => is_paused(),
            Self::Wake => false,
        }
    }
}

/// What a sweep decides of one key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Decision {
    /// Nothing is due.
    Nothing,
    /// Something is due now.
    Wake,
    /// Something will be due.
    WakeAt(Timestamp),
    /// There are delete markers and nothing under them.
    RemoveMarkers(Vec<VersionId>),
}

/// What a sweep decides of an upload that is expected and overdue, by what the store has of its key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Overdue {
    /// Something has come and nobody noted it yet: wake the key.
    Wake,
    /// Parts of it may still be completed: leave it.
    Leave,
    /// Nothing came: give it up.
    Expire,
}

impl Overdue {
    /// Decides.
    pub fn of(has_come: bool, has_open_multipart: bool) -> Self {
        match (has_come, has_open_multipart) {
            (true, _) => Self::Wake,
            (false, true) => Self::Leave,
            (false, false) => Self::Expire,
        }
    }
}

/// What a sweep has seen of one key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KeySeen {
    /// The key.
    pub key: Key,
    looks: bool,
    has_version: bool,
    is_due: bool,
    due_at: Option<Timestamp>,
    markers: Vec<VersionId>,
}

impl KeySeen {
    /// Nothing is seen yet. Whether uploads that were set aside in doubt are looked for is as with
    /// [`Offers::looks`](crate::step::Offers).
    pub fn new(key: Key, looks: bool) -> Self {
        Self {
            key,
            looks,
            has_version: false,
            is_due: false,
            due_at: None,
            markers: Vec::new(),
        }
    }

    /// Whether nothing seen from here on changes the decision.
    pub fn is_decided(&self) -> bool {
        self.is_due
    }

    /// Sees a delete marker.
    pub fn see_marker(&mut self, version_id: VersionId) {
        // What is left over is removed by the next sweep.
        if self.markers.len() < LIST_PAGE_MAX {
            self.markers.push(version_id);
        }
    }

    /// Sees a version with its row, if it has one.
    pub fn see_version(&mut self, row: Option<&Upload>, now: Timestamp) {
        self.has_version = true;
        match row {
            // One turn looks for it, by then and not before: no copy lands behind that.
            Some(row) if row.state == State::Failed => {
                self.is_due |= self.looks && row.is_look_due(now);
            }
            // Versions are seen the newest first: all that were seen wait for this one, and whoever starts jobs has it.
            Some(row) if row.is_job && row.is_due(now) => {
                self.is_due = false;
                self.due_at = None;
            }
            Some(row) if row.next_attempt_at.is_some_and(|at| at > now) => {
                self.due_at = match (self.due_at, row.next_attempt_at) {
                    (Some(one), Some(other)) => Some(one.min(other)),
                    (one, other) => one.or(other),
                };
            }
            _ => self.is_due = true,
        }
    }

    /// Decides, once everything staging has under the key was seen.
    pub fn decide(self) -> Decision {
        if self.is_due {
            Decision::Wake
        } else if let Some(at) = self.due_at {
            Decision::WakeAt(at)
        } else if self.has_version || self.markers.is_empty() {
            Decision::Nothing
        } else {
            Decision::RemoveMarkers(self.markers)
        }
    }
}

impl<S, L, P, C, W> Sweeper<'_, S, L, P, C, W>
where
    S: ObjectStore,
    L: Ledger,
    P: Processor,
    C: Clock,
    W: WakeUps,
{
    /// Sweeps once. Ends early, with what it has done, when `stopping` says so.
    /// Dropping it midway leaves some keys unwoken; the next sweep begins anew.
    pub async fn sweep(&self, stopping: &(dyn Fn() -> bool + Sync)) -> Result<Swept, SweepError> {
        self.sweep_while(stopping, &|| false).await
    }

    /// Sweeps as [`Self::sweep`] does, and takes no turn on a key itself while processing is paused: what is gone from
    /// staging is finished or explained by a sweep after that.
    pub async fn sweep_while(
        &self,
        stopping: &(dyn Fn() -> bool + Sync),
        is_paused: &(dyn Fn() -> bool + Sync),
    ) -> Result<Swept, SweepError> {
        self.sweep_with(stopping, Gone::TakeTurn { is_paused })
            .await
    }

    /// Sweeps as [`Self::sweep`] does, and never takes a turn: a worker is woken for what is gone from staging as well.
    /// For hosts whose sweep is no worker, has no function to run and no right to move files.
    pub async fn sweep_by_waking(
        &self,
        stopping: &(dyn Fn() -> bool + Sync),
    ) -> Result<Swept, SweepError> {
        self.sweep_with(stopping, Gone::Wake).await
    }

    async fn sweep_with(
        &self,
        stopping: &(dyn Fn() -> bool + Sync),
        gone: Gone<'_>,
    ) -> Result<Swept, SweepError> {
        let mut sweeping = Sweeping::default();
        self.list_staging(&mut sweeping, stopping).await?;
        if !gone.is_paused() {
            self.walk_unfinished(&mut sweeping, stopping, gone).await?;
        }
        self.walk_overdue(&mut sweeping, stopping).await?;
        Ok(sweeping.swept)
    }

    /// Gives up what was expected and did not come. The store is asked after the list of overdue rows was made, and a
    /// version that comes after the question is noted whatever the row says.
    async fn walk_overdue(
        &self,
        sweeping: &mut Sweeping,
        stopping: &(dyn Fn() -> bool + Sync),
    ) -> Result<(), SweepError> {
        let driver = self.driver;
        let mut after: Option<UploadId> = None;
        loop {
            let now = driver.clock.now();
            let rows = driver
                .ledger
                .overdue(now, after.as_ref(), WALK_PAGE)
                .await?;
            let Some(last) = rows.last() else {
                return Ok(());
            };
            after = Some(last.id.clone());
            for row in rows {
                if stopping() {
                    return Ok(());
                }
                let looked = self.give_up(&row, now, &mut sweeping.swept).await;
                sweeping.pass_over(&row.key, looked)?;
            }
        }
    }

    /// Gives up one that did not come, if it did not.
    async fn give_up(
        &self,
        row: &Upload,
        now: Timestamp,
        swept: &mut Swept,
    ) -> Result<(), SweepError> {
        let driver = self.driver;
        // Before the versions: a multipart that is completed in between is seen as one or the other.
        let has_open_multipart = driver.store.has_open_multipart(&row.key).await?;
        let has_come = self.has_unnoted_version(row).await?;
        match Overdue::of(has_come, has_open_multipart) {
            Overdue::Leave => {}
            Overdue::Wake => {
                let wake_up = WakeUp {
                    key: row.key.clone(),
                    why: Why::Event,
                };
                driver.wake_ups.wake(wake_up, None).await;
            }
            Overdue::Expire => {
                let row = driver.ledger.expire(&row.id, now).await?;
                if row.state == State::Failed {
                    swept.expired += 1;
                    info!(bucket = %row.key.bucket, key = %row.key.key, "an expected upload never arrived");
                }
            }
        }
        Ok(())
    }

    /// Whether staging has a version of the key that has no row, so that it will become this upload's.
    async fn has_unnoted_version(&self, row: &Upload) -> Result<bool, SweepError> {
        let driver = self.driver;
        let (versions, _) = staging::versions_of(&*driver.store, &row.key).await?;
        let versions: Vec<VersionRef> = versions
            .into_iter()
            .map(|version| VersionRef {
                bucket: row.key.bucket.clone(),
                key: row.key.key.clone(),
                version_id: version.version_id,
            })
            .collect();
        let rows = driver.ledger.find_each(&versions).await?;
        Ok(rows.iter().any(Option::is_none))
    }

    async fn list_staging(
        &self,
        sweeping: &mut Sweeping,
        stopping: &(dyn Fn() -> bool + Sync),
    ) -> Result<(), SweepError> {
        let driver = self.driver;
        let bucket = &driver.settings.staging;
        let looks = !driver.ledger.capabilities().moves_in_one;
        let mut options = ListVersions::default();
        let mut seen: Option<Looked> = None;
        while !stopping() {
            let page = driver.store.list_versions(bucket, options.clone()).await?;
            let mut rows = self.rows_of(&page.versions).await;
            for (index, entry) in page.versions.into_iter().enumerate() {
                sweeping.swept.listed += 1;
                let mut key = match seen.take() {
                    Some(key) if key.seen.key == entry.key => key,
                    before => {
                        if let Some(before) = before {
                            self.apply(before, sweeping).await?;
                        }
                        Looked {
                            seen: KeySeen::new(entry.key.clone(), looks),
                            failed: None,
                        }
                    }
                };
                let row = match &mut rows {
                    Some(rows) => Row::Read(rows[index].take().map(Box::new)),
                    None => Row::Unread,
                };
                if let Row::Read(Some(row)) = &row
                    && row.is_unfinished()
                {
                    sweeping.staged.insert(row.id.clone());
                }
                self.look(&mut key, entry, row, &mut sweeping.swept).await;
                seen = Some(key);
            }
            match page.next {
                Some(next) => options.after = Some(next),
                None => {
                    return match seen {
                        Some(last) => self.apply(last, sweeping).await,
                        None => Ok(()),
                    };
                }
            }
        }
        Ok(())
    }

    /// The rows of the versions on a page, in their order; a delete marker has none. None of them where one cannot be read:
    /// they are read one by one then, so that it holds up its own key only.
    async fn rows_of(&self, entries: &[ListedVersion]) -> Option<Vec<Option<Upload>>> {
        let driver = self.driver;
        let versions: Vec<VersionRef> = entries
            .iter()
            .filter(|entry| !entry.is_delete_marker)
            .map(|entry| VersionRef {
                bucket: driver.settings.staging.clone(),
                key: entry.key.clone(),
                version_id: entry.version_id.clone(),
            })
            .collect();
        let found = match driver.ledger.find_each(&versions).await {
            Ok(found) => found,
            Err(error) => {
                debug!(%error, "the rows of a page are read one by one");
                return None;
            }
        };
        let mut found = found.into_iter();
        let of_entry = |entry: &ListedVersion| {
            if entry.is_delete_marker {
                None
            } else {
                found.next().flatten()
            }
        };
        Some(entries.iter().map(of_entry).collect())
    }

    /// Looks at one version or delete marker of a key; with a row that cannot be read nothing is decided of the key.
    async fn look(&self, key: &mut Looked, entry: ListedVersion, row: Row, swept: &mut Swept) {
        if entry.is_delete_marker {
            key.seen.see_marker(entry.version_id);
        } else if !key.seen.is_decided() && key.failed.is_none() {
            let driver = self.driver;
            let at = VersionRef {
                bucket: driver.settings.staging.clone(),
                key: entry.key,
                version_id: entry.version_id,
            };
            let row = match row {
                Row::Read(row) => row.map(|row| *row),
                Row::Unread => match driver.ledger.find(&at).await {
                    Ok(row) => row,
                    Err(error) => {
                        // It waits, whatever its row says.
                        swept.see_waiting(entry.last_modified);
                        key.failed = Some(error);
                        return;
                    }
                },
            };
            if row.is_none() {
                swept.see_waiting(entry.last_modified);
            }
            key.seen.see_version(row.as_ref(), driver.clock.now());
        }
    }

    /// Does what is to be done about one key, whose versions were all seen.
    async fn apply(&self, looked: Looked, sweeping: &mut Sweeping) -> Result<(), SweepError> {
        let key = ObjectRef {
            bucket: self.driver.settings.staging.clone(),
            key: looked.seen.key.clone(),
        };
        let applied = match looked.failed {
            Some(error) => Err(error.into()),
            None => self.decided(&key, looked.seen, &mut sweeping.swept).await,
        };
        sweeping.pass_over(&key, applied)
    }

    async fn decided(
        &self,
        key: &ObjectRef,
        seen: KeySeen,
        swept: &mut Swept,
    ) -> Result<(), SweepError> {
        let driver = self.driver;
        let not_before = match seen.decide() {
            Decision::Nothing => return Ok(()),
            Decision::Wake => None,
            Decision::WakeAt(at) => Some(at),
            Decision::RemoveMarkers(markers) => {
                for version_id in markers {
                    let at = VersionRef {
                        bucket: key.bucket.clone(),
                        key: key.key.clone(),
                        version_id,
                    };
                    driver.store.delete_version(&at).await?;
                    swept.markers_removed += 1;
                }
                return Ok(());
            }
        };
        // Its holder looks again by itself.
        if driver
            .ledger
            .live_lease(key, driver.clock.now())
            .await?
            .is_some()
        {
            return Ok(());
        }
        driver.wake_ups.room().await;
        let wake_up = WakeUp {
            key: key.clone(),
            why: Why::Event,
        };
        driver.wake_ups.wake(wake_up, not_before).await;
        swept.woken += u64::from(not_before.is_none());
        Ok(())
    }

    /// Finishes or explains uploads whose version is gone from staging, or has that done.
    async fn walk_unfinished(
        &self,
        sweeping: &mut Sweeping,
        stopping: &(dyn Fn() -> bool + Sync),
        gone: Gone<'_>,
    ) -> Result<(), SweepError> {
        let driver = self.driver;
        let mut after: Option<UploadId> = None;
        loop {
            let rows = driver.ledger.unfinished(after.as_ref(), WALK_PAGE).await?;
            let Some(last) = rows.last() else {
                return Ok(());
            };
            after = Some(last.id.clone());
            for row in rows {
                if stopping() || gone.is_paused() {
                    return Ok(());
                }
                if sweeping.staged.contains(&row.id) {
                    continue;
                }
                let Some(version) = row.version() else {
                    continue;
                };
                match driver.store.head_version(&version).await {
                    Ok(_) => {
                        sweeping.pass_over(&row.key, Ok(()))?;
                        continue;
                    }
                    Err(Error::NotFound { .. }) => {}
                    Err(error) => {
                        sweeping.pass_over(&row.key, Err(error.into()))?;
                        continue;
                    }
                }
                // Whose turn it is looks again under the key's lease: the version may have been archived this moment.
                match gone {
                    Gone::TakeTurn { is_paused } => {
                        let draining = || stopping() || is_paused();
                        let outcome = driver.run(&row.key, Why::Gone, &draining).await;
                        sweeping.swept.finished += outcome.tally.finished;
                        sweeping.swept.explained += outcome.tally.explained;
                    }
                    Gone::Wake => {
                        driver.wake_ups.room().await;
                        let wake_up = WakeUp {
                            key: row.key.clone(),
                            why: Why::Gone,
                        };
                        driver.wake_ups.wake(wake_up, None).await;
                        sweeping.swept.woken += 1;
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{AttemptOutcome, End};
    use two_buckets_objects::ETag;

    fn now() -> Timestamp {
        Timestamp::from_millis(1_000)
    }

    fn row(end: Option<End>) -> Upload {
        let key: Key = "a".parse().unwrap();
        let mut row = Upload::listed(
            UploadId::new("1").unwrap(),
            ObjectRef {
                bucket: "staging".parse().unwrap(),
                key: key.clone(),
            },
            1,
            &ListedVersion {
                key,
                version_id: VersionId::new("v"),
                is_latest: true,
                is_delete_marker: false,
                last_modified: Timestamp::from_millis(1),
                size_bytes: 1,
                etag: Some(ETag::new("e")),
            },
        );
        if let Some(end) = end {
            row.end(end, Timestamp::from_millis(2));
        }
        row
    }

    fn failed() -> Upload {
        row(Some(End::Failed {
            reason: "bad".into(),
            outcome: AttemptOutcome::Permanent,
            look_in_archive: false,
        }))
    }

    fn failed_in_doubt() -> Upload {
        row(Some(End::Failed {
            reason: "no attempt is left".into(),
            outcome: AttemptOutcome::Crashed,
            look_in_archive: true,
        }))
    }

    fn deferred(millis: i64) -> Upload {
        row(Some(End::Deferred {
            reason: "later".into(),
            next_attempt_at: Timestamp::from_millis(millis),
            is_counted: true,
            look_in_archive: false,
        }))
    }

    fn decide(rows: &[Option<Upload>], markers: usize) -> Decision {
        let mut seen = KeySeen::new("a".parse().unwrap(), true);
        for n in 0..markers {
            seen.see_marker(VersionId::new(format!("m{n}")));
        }
        for row in rows {
            seen.see_version(row.as_ref(), now());
        }
        seen.decide()
    }

    #[test]
    fn a_version_the_ledger_never_saw_is_due_however_old_it_looks() {
        assert_eq!(decide(&[Some(failed()), None], 1), Decision::Wake);
    }

    #[test]
    fn failed_uploads_are_left_alone_and_do_not_hide_others() {
        assert_eq!(decide(&[Some(failed())], 0), Decision::Nothing);
        assert_eq!(
            decide(&[Some(failed()), Some(row(None))], 0),
            Decision::Wake
        );
    }

    #[test]
    fn what_was_set_aside_in_doubt_wakes_its_key_once_a_copy_on_its_way_has_landed() {
        let decide = |row: &Upload, looks, now| {
            let mut seen = KeySeen::new("a".parse().unwrap(), looks);
            seen.see_version(Some(row), now);
            seen.decide()
        };
        let mut row = failed_in_doubt();
        let due = row.last_look_at().unwrap();
        let before = Timestamp::from_millis(due.millis() - 1);
        assert_eq!(decide(&row, true, before), Decision::Nothing);
        assert_eq!(decide(&row, true, due), Decision::Wake);
        // Where ledger and buckets are one store nothing lands behind anybody's back.
        assert_eq!(decide(&row, false, due), Decision::Nothing);
        // Each sweep sees it as long as it is there, and only the first after that time has it looked for.
        row.end(End::StaysFailed, due);
        assert_eq!(decide(&row, true, due), Decision::Nothing);
        assert_eq!(decide(&failed(), true, due), Decision::Nothing);
    }

    #[test]
    fn a_wait_is_kept_and_the_shortest_counts() {
        assert_eq!(
            decide(&[Some(deferred(3_000)), Some(deferred(2_000))], 0),
            Decision::WakeAt(Timestamp::from_millis(2_000))
        );
        assert_eq!(decide(&[Some(deferred(1_000))], 0), Decision::Wake);
    }

    #[test]
    fn only_delete_markers_that_hide_nothing_are_removed() {
        assert!(matches!(decide(&[], 2), Decision::RemoveMarkers(m) if m.len() == 2));
        assert_eq!(decide(&[Some(failed())], 2), Decision::Nothing);
    }

    #[test]
    fn what_is_a_jobs_is_nobody_elses_and_newer_versions_wait_for_it() {
        let mut job = row(None);
        job.queue_job(now());
        assert_eq!(decide(&[Some(job.clone())], 0), Decision::Nothing);
        // The newest first.
        let waits = [Some(deferred(2_000)), Some(job.clone())];
        assert_eq!(decide(&waits, 0), Decision::Nothing);
        assert_eq!(decide(&[Some(job), Some(row(None))], 0), Decision::Wake);
    }
}

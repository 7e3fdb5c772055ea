//! The clauses of [`Ledger`].

use std::time::Duration;

use two_buckets_objects::{
    Algorithm, Checksum, ChecksumKind, ETag, ListedVersion, ObjectRef, Timestamp, VersionId,
    VersionRef,
};
use two_buckets_pipeline::ledger::{
    Claim, ClaimKey, Counts, Error, KeptLog, ListUploads, Release, Result, Said, SourceFacts,
};
use two_buckets_pipeline::{
    ArchiveRecord, AttemptOutcome, Begin, End, Expectation, Holder, Lease, Ledger, LogExcerpt,
    NotCancelled, NotRetried, ProgressAt, Report, State, Upload, UploadId,
};

const LIFE: Duration = Duration::from_secs(10);

fn ms(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

fn key(name: &str) -> ObjectRef {
    ObjectRef {
        bucket: "staging".parse().unwrap(),
        key: name.parse().unwrap(),
    }
}

async fn claim<L: Ledger>(ledger: &L, name: &str, now: i64) -> Claim {
    ledger
        .claim(&ClaimKey {
            key: key(name),
            holder: Holder("a worker".into()),
            now: ms(now),
            life: LIFE,
            job: None,
        })
        .await
        .unwrap()
}

async fn hold<L: Ledger>(ledger: &L, name: &str, now: i64) -> Lease {
    match claim(ledger, name, now).await {
        Claim::Held(lease) => lease,
        Claim::Busy => panic!("nobody else holds {name}"),
    }
}

fn listed(name: &str, version: &str, last_modified: i64) -> ListedVersion {
    ListedVersion {
        key: name.parse().unwrap(),
        version_id: VersionId::new(version),
        is_latest: true,
        is_delete_marker: false,
        last_modified: ms(last_modified),
        size_bytes: 3,
        etag: Some(ETag::new("tag")),
    }
}

async fn note<L: Ledger>(ledger: &L, lease: &Lease, version: &str, last_modified: i64) -> Upload {
    let version = listed(lease.key.key.as_str(), version, last_modified);
    let noted = ledger.note(lease, &[version]).await.unwrap();
    noted.uploads.into_iter().next().unwrap()
}

async fn begin<L: Ledger>(ledger: &L, lease: &Lease, id: &UploadId, now: i64) -> Result<Begin> {
    let facts = SourceFacts {
        checksum: Some(checksum()),
        media_type: Some("text/plain".into()),
    };
    ledger.begin_attempt(lease, id, &facts, 3, ms(now)).await
}

async fn begun<L: Ledger>(ledger: &L, lease: &Lease, id: &UploadId, now: i64) -> Upload {
    match begin(ledger, lease, id, now).await.unwrap() {
        Begin::Begun(upload) => upload,
        other => panic!("{other:?}"),
    }
}

fn checksum() -> Checksum {
    Checksum {
        algorithm: Algorithm::Crc64Nvme,
        kind: ChecksumKind::FullObject,
        value: [1, 2, 3, 4, 5, 6, 7, 8].into(),
    }
}

fn record(version: &str) -> ArchiveRecord {
    ArchiveRecord {
        at: VersionRef {
            bucket: "archive".parse().unwrap(),
            key: "a".parse().unwrap(),
            version_id: VersionId::new(version),
        },
        checksum: Some(checksum()),
    }
}

fn failed(reason: &str) -> End {
    End::Failed {
        reason: reason.into(),
        outcome: AttemptOutcome::Permanent,
    }
}

fn deferred(next_attempt_at: i64) -> End {
    End::Deferred {
        reason: "later".into(),
        next_attempt_at: ms(next_attempt_at),
        is_counted: true,
        look_in_archive: false,
    }
}

async fn archive<L: Ledger>(ledger: &L, lease: &Lease, id: &UploadId) -> Result<Upload> {
    let report = Report::new("{\"lines\":1}".into()).unwrap();
    ledger
        .record_archived(lease, id, &record("x"), false, Some(&report), ms(50))
        .await
}

async fn row<L: Ledger>(ledger: &L, id: &UploadId) -> Upload {
    ledger.get(id).await.unwrap().unwrap()
}

fn is_fenced_off<T>(result: Result<T>) -> bool {
    result.is_err_and(|error| matches!(error, Error::FencedOff))
}

/// Fencing tokens grow.
pub async fn a_claim_gives_a_higher_token_each_time<L: Ledger>(ledger: &L) {
    let first = hold(ledger, "a", 0).await;
    ledger.release(&first).await.unwrap();
    let second = hold(ledger, "a", 1).await;
    assert!(second.token > first.token);
    let third = hold(ledger, "a", 100_000).await;
    assert!(third.token > second.token);
}

/// A conflict is remembered where the holder will see it.
pub async fn a_live_lease_turns_others_away_and_is_dirty_then<L: Ledger>(ledger: &L) {
    let lease = hold(ledger, "a", 0).await;
    assert!(!lease.dirty);
    assert_eq!(claim(ledger, "a", 9_999).await, Claim::Busy);
    let live = ledger
        .live_lease(&key("a"), ms(9_999))
        .await
        .unwrap()
        .unwrap();
    assert!(live.dirty);
    assert_eq!(live.token, lease.token);
    assert!(matches!(claim(ledger, "b", 0).await, Claim::Held(_)));
}

/// A dead holder holds up nobody for longer than its lease.
pub async fn a_lease_past_its_end_can_be_taken_over<L: Ledger>(ledger: &L) {
    hold(ledger, "a", 0).await;
    assert_eq!(
        ledger.live_lease(&key("a"), ms(10_000)).await.unwrap(),
        None
    );
    let second = hold(ledger, "a", 10_000).await;
    assert!(!second.dirty);
}

/// The token decides, not a clock.
pub async fn a_lease_past_its_end_still_writes_while_nobody_took_it_over<L: Ledger>(ledger: &L) {
    let lease = hold(ledger, "a", 0).await;
    let upload = note(ledger, &lease, "v", 5).await;
    begun(ledger, &lease, &upload.id, 1_000_000).await;
    archive(ledger, &lease, &upload.id).await.unwrap();
    assert_eq!(row(ledger, &upload.id).await.state, State::Archived);
}

/// Renewing moves the end, and keeps what happened to the lease.
pub async fn a_renewed_lease_lives_on<L: Ledger>(ledger: &L) {
    let lease = hold(ledger, "a", 0).await;
    assert_eq!(claim(ledger, "a", 1).await, Claim::Busy);
    let renewed = ledger.renew(&lease, ms(30_000)).await.unwrap();
    assert_eq!(
        (renewed.token, renewed.expires_at),
        (lease.token, ms(30_000))
    );
    assert!(
        renewed.dirty,
        "renewing must not forget who was turned away"
    );
    assert_eq!(claim(ledger, "a", 29_999).await, Claim::Busy);
}

/// No wake-up is lost between the holder's last look and its release.
pub async fn a_dirty_lease_is_cleaned_and_goes_on_instead_of_ending<L: Ledger>(ledger: &L) {
    let lease = hold(ledger, "a", 0).await;
    assert_eq!(claim(ledger, "a", 1).await, Claim::Busy);
    assert_eq!(ledger.release(&lease).await.unwrap(), Release::LookAgain);
    assert_eq!(claim(ledger, "a", 2).await, Claim::Busy);
    assert_eq!(ledger.release(&lease).await.unwrap(), Release::LookAgain);
    assert_eq!(ledger.release(&lease).await.unwrap(), Release::Released);
}

/// A release needs no waiting.
pub async fn a_released_key_can_be_claimed_at_once<L: Ledger>(ledger: &L) {
    let lease = hold(ledger, "a", 0).await;
    assert_eq!(ledger.release(&lease).await.unwrap(), Release::Released);
    assert_eq!(ledger.live_lease(&key("a"), ms(0)).await.unwrap(), None);
    hold(ledger, "a", 0).await;
}

/// Every write is fenced.
pub async fn a_stale_lease_can_change_nothing<L: Ledger>(ledger: &L) {
    let stale = hold(ledger, "a", 0).await;
    let upload = note(ledger, &stale, "v", 5).await;
    let lease = hold(ledger, "a", 10_000).await;
    nothing_can_be_changed(ledger, &stale, &upload.id).await;
    // Whoever has it now is not disturbed.
    begun(ledger, &lease, &upload.id, 10_001).await;
    nothing_can_be_changed(ledger, &stale, &upload.id).await;
    archive(ledger, &lease, &upload.id).await.unwrap();
    assert!(is_fenced_off(ledger.close(&stale, &upload.id).await));
    assert_eq!(ledger.release(&lease).await.unwrap(), Release::Released);
}

/// A lease ends with its release.
pub async fn a_released_lease_can_change_nothing<L: Ledger>(ledger: &L) {
    let lease = hold(ledger, "a", 0).await;
    let upload = note(ledger, &lease, "v", 5).await;
    ledger.release(&lease).await.unwrap();
    nothing_can_be_changed(ledger, &lease, &upload.id).await;
}

async fn nothing_can_be_changed<L: Ledger>(ledger: &L, stale: &Lease, id: &UploadId) {
    let before = row(ledger, id).await;
    let new = listed("a", "new", 6);
    assert!(is_fenced_off(ledger.renew(stale, ms(99_999)).await));
    assert!(is_fenced_off(ledger.release(stale).await));
    assert!(is_fenced_off(ledger.note(stale, &[new]).await));
    assert!(is_fenced_off(begin(ledger, stale, id, 20_000).await));
    assert!(is_fenced_off(
        ledger.end(stale, id, &failed("no"), ms(20_000)).await
    ));
    assert!(is_fenced_off(archive(ledger, stale, id).await));
    assert!(is_fenced_off(ledger.close(stale, id).await));
    assert_eq!(row(ledger, id).await, before);
    let new = VersionRef {
        bucket: "staging".parse().unwrap(),
        key: "a".parse().unwrap(),
        version_id: VersionId::new("new"),
    };
    assert_eq!(ledger.find(&new).await.unwrap(), None);
}

/// The order among versions of one moment is the order of their first listing.
pub async fn versions_get_one_row_each_numbered_as_given<L: Ledger>(ledger: &L) {
    let lease = hold(ledger, "a", 0).await;
    let versions = [
        listed("a", "v1", 5),
        listed("a", "v2", 5),
        listed("a", "v3", 4),
    ];
    let uploads = ledger.note(&lease, &versions).await.unwrap().uploads;
    let orders: Vec<_> = uploads
        .iter()
        .map(|row| row.staged.clone().unwrap().order)
        .collect();
    assert!(orders[0] < orders[1]);
    assert!(orders[2] < orders[0], "time comes before the number");
    for (upload, version) in uploads.iter().zip(&versions) {
        assert_eq!(upload.version().unwrap().version_id, version.version_id);
        assert_eq!(upload.state, State::Pending);
        assert_eq!(upload.received_at, version.last_modified);
        assert_eq!(
            ledger
                .find(&upload.version().unwrap())
                .await
                .unwrap()
                .as_ref(),
            Some(upload)
        );
        assert_eq!(row(ledger, &upload.id).await, *upload);
    }
}

/// A version's row is its own for good.
pub async fn noting_again_changes_nothing<L: Ledger>(ledger: &L) {
    let lease = hold(ledger, "a", 0).await;
    let first = note(ledger, &lease, "v1", 5).await;
    let begun = begun(ledger, &lease, &first.id, 6).await;
    let both = [listed("a", "v0", 5), listed("a", "v1", 5)];
    let again = ledger.note(&lease, &both).await.unwrap();
    assert_eq!(again.uploads[1], begun);
    assert!(again.uploads[0].staged.clone().unwrap().order > begun.staged.unwrap().order);
}

/// Leases and rows are of exactly one key.
pub async fn keys_that_begin_alike_are_strangers<L: Ledger>(ledger: &L) {
    let mut ids = Vec::new();
    for name in ["a", "ab", "a/b", "a\0", "a/"] {
        let lease = hold(ledger, name, 0).await;
        ids.push(note(ledger, &lease, "v", 5).await.id);
    }
    for (n, name) in ["a", "ab", "a/b", "a\0", "a/"].into_iter().enumerate() {
        let own = ledger.unfinished_of(&key(name)).await.unwrap();
        assert_eq!(own.len(), 1, "{name:?}");
        assert_eq!(own[0].id, ids[n]);
    }
}

/// A crash uses an attempt up.
pub async fn an_attempt_is_counted_before_it_runs<L: Ledger>(ledger: &L) {
    let lease = hold(ledger, "a", 0).await;
    let id = note(ledger, &lease, "v", 5).await.id;
    begun(ledger, &lease, &id, 6).await;
    let kept = row(ledger, &id).await;
    assert_eq!((kept.state, kept.attempts), (State::Processing, 1));
    assert_eq!(kept.started_at, Some(ms(6)));
    assert_eq!(kept.checksum, Some(checksum()));
    assert_eq!(kept.media_type.as_deref(), Some("text/plain"));
    let later = hold(ledger, "a", 20_000).await;
    let second = begun(ledger, &later, &id, 20_000).await;
    assert_eq!(second.attempts, 2);
    assert_eq!(second.log[0].ended.unwrap().1, AttemptOutcome::Crashed);
    assert!(second.look_in_archive);
}

/// However each one ends.
pub async fn the_most_attempts_are_never_passed<L: Ledger>(ledger: &L) {
    let lease = hold(ledger, "a", 0).await;
    let id = note(ledger, &lease, "v", 5).await.id;
    for n in 1..=3 {
        begun(ledger, &lease, &id, 10 * n).await;
    }
    let before = row(ledger, &id).await;
    assert!(matches!(
        begin(ledger, &lease, &id, 99).await.unwrap(),
        Begin::Exhausted(_)
    ));
    assert_eq!(row(ledger, &id).await, before);
}

/// Backoff is kept by the ledger.
pub async fn a_waiting_upload_does_not_begin_before_its_moment<L: Ledger>(ledger: &L) {
    let lease = hold(ledger, "a", 0).await;
    let id = note(ledger, &lease, "v", 5).await.id;
    begun(ledger, &lease, &id, 6).await;
    let ended = ledger
        .end(&lease, &id, &deferred(100), ms(7))
        .await
        .unwrap();
    assert_eq!(
        (ended.state, ended.next_attempt_at),
        (State::Pending, Some(ms(100)))
    );
    assert_eq!(row(ledger, &id).await, ended);
    assert!(matches!(
        begin(ledger, &lease, &id, 99).await.unwrap(),
        Begin::NotDue(_)
    ));
    begun(ledger, &lease, &id, 100).await;
}

/// One archive record for each upload.
pub async fn the_first_archive_record_stands<L: Ledger>(ledger: &L) {
    let lease = hold(ledger, "a", 0).await;
    let id = note(ledger, &lease, "v", 5).await.id;
    begun(ledger, &lease, &id, 6).await;
    let first = archive(ledger, &lease, &id).await.unwrap();
    assert_eq!(first.archive, Some(record("x")));
    assert_eq!(first.report.as_ref().unwrap().as_str(), "{\"lines\":1}");
    ledger
        .record_archived(&lease, &id, &record("y"), true, None, ms(60))
        .await
        .unwrap();
    assert_eq!(row(ledger, &id).await, first);
}

/// What is kept is kept.
pub async fn an_archived_upload_is_not_set_aside<L: Ledger>(ledger: &L) {
    let lease = hold(ledger, "a", 0).await;
    let id = note(ledger, &lease, "v", 5).await.id;
    begun(ledger, &lease, &id, 6).await;
    let archived = archive(ledger, &lease, &id).await.unwrap();
    ledger
        .end(&lease, &id, &failed("no"), ms(70))
        .await
        .unwrap();
    assert_eq!(row(ledger, &id).await, archived);
    assert!(matches!(
        begin(ledger, &lease, &id, 80).await.unwrap(),
        Begin::NotDue(_)
    ));
}

/// The pipeline owes an upload the delete from staging as well.
pub async fn an_archived_upload_is_unfinished_until_it_is_closed<L: Ledger>(ledger: &L) {
    let lease = hold(ledger, "a", 0).await;
    let id = note(ledger, &lease, "v", 5).await.id;
    begun(ledger, &lease, &id, 6).await;
    archive(ledger, &lease, &id).await.unwrap();
    assert_eq!(ledger.unfinished_of(&key("a")).await.unwrap().len(), 1);
    assert!(ledger.oldest_unfinished().await.unwrap().is_some());
    ledger.close(&lease, &id).await.unwrap();
    ledger.close(&lease, &id).await.unwrap();
    assert_eq!(ledger.unfinished_of(&key("a")).await.unwrap(), []);
    assert_eq!(ledger.oldest_unfinished().await.unwrap(), None);
    assert!(row(ledger, &id).await.closed);
}

/// Closing ends nothing that has not ended.
pub async fn a_pending_upload_is_not_closed<L: Ledger>(ledger: &L) {
    let lease = hold(ledger, "a", 0).await;
    let id = note(ledger, &lease, "v", 5).await.id;
    ledger.close(&lease, &id).await.unwrap();
    assert_eq!(ledger.unfinished_of(&key("a")).await.unwrap().len(), 1);
}

/// Retrying is for what was set aside.
pub async fn retry_gives_attempts_back_to_failed_uploads_only<L: Ledger>(ledger: &L) {
    let lease = hold(ledger, "a", 0).await;
    let id = note(ledger, &lease, "v", 5).await.id;
    assert!(matches!(ledger.retry(&id).await, Err(Error::NotRetried(_))));
    begun(ledger, &lease, &id, 6).await;
    let set_aside = ledger
        .end(&lease, &id, &failed("a bad row"), ms(7))
        .await
        .unwrap();
    assert_eq!(
        (set_aside.state, set_aside.finished_at),
        (State::Failed, Some(ms(7)))
    );
    assert_eq!(set_aside.reason.as_deref(), Some("a bad row"));
    assert_eq!(ledger.oldest_unfinished().await.unwrap(), None);
    let again = ledger.retry(&id).await.unwrap();
    assert_eq!(
        (again.state, again.attempts, again.log.len()),
        (State::Pending, 0, 1)
    );
    assert_eq!(row(ledger, &id).await, again);
    begun(ledger, &lease, &id, 8).await;
}

async fn mint<L: Ledger>(ledger: &L, name: &str, until: i64) -> Upload {
    let expectation = Expectation {
        until: ms(until),
        size_bytes: Some(3),
        media_type: Some("text/plain".into()),
        checksum: Some(checksum()),
    };
    ledger.mint(&key(name), &expectation, ms(1)).await.unwrap()
}

async fn overdue<L: Ledger>(ledger: &L, now: i64) -> Vec<UploadId> {
    let mut ids: Vec<UploadId> = Vec::new();
    loop {
        let page = ledger.overdue(ms(now), ids.last(), 2).await.unwrap();
        if page.is_empty() {
            return ids;
        }
        assert!(page.len() <= 2);
        ids.extend(page.into_iter().map(|row| row.id));
    }
}

/// An expected upload is one row from the moment its key is minted.
pub async fn the_first_version_of_a_minted_key_is_its_expected_upload<L: Ledger>(ledger: &L) {
    let minted = mint(ledger, "a", 100).await;
    assert_eq!(
        (minted.state, minted.staged.clone()),
        (State::Pending, None)
    );
    let lease = hold(ledger, "a", 2).await;
    let arrived = note(ledger, &lease, "v", 5).await;
    assert_eq!(arrived.id, minted.id);
    assert_eq!(arrived.received_at, ms(5));
    assert_eq!(arrived.expectation, minted.expectation);
    assert_eq!(
        ledger.find(&arrived.version().unwrap()).await.unwrap(),
        Some(arrived.clone())
    );
    assert_ne!(note(ledger, &lease, "v2", 6).await.id, minted.id);
    let unfinished = ledger.unfinished_of(&key("a")).await.unwrap();
    assert_eq!(unfinished.len(), 2, "each once");
}

/// What is only expected is pending, keeps what was said of it, and nothing is owed to it.
pub async fn an_expected_upload_is_pending_and_not_unfinished<L: Ledger>(ledger: &L) {
    assert_eq!(ledger.minted_for(&key("a")).await.unwrap(), None);
    let minted = mint(ledger, "a", 100).await;
    assert_eq!(row(ledger, &minted.id).await, minted);
    assert_eq!(minted.expected_until(), Some(ms(100)));
    let said = minted.expectation.as_ref().unwrap();
    assert_eq!(
        (said.size_bytes, &said.checksum),
        (Some(3), &Some(checksum()))
    );
    assert_eq!(
        ledger.minted_for(&key("a")).await.unwrap(),
        Some(minted.clone())
    );
    assert_eq!(ledger.oldest_unfinished().await.unwrap(), None);
    assert_eq!(ledger.unfinished(None, 9).await.unwrap(), []);
    assert_eq!(ledger.unfinished_of(&key("a")).await.unwrap(), []);
    assert_eq!(ledger.due(ms(999), 9).await.unwrap(), []);
    assert_eq!(ledger.counts().await.unwrap().pending, 1);
    let list = ledger.list(&ListUploads::default()).await.unwrap();
    assert_eq!(list.uploads, std::slice::from_ref(&minted));
    assert!(matches!(
        ledger.retry(&minted.id).await,
        Err(Error::NotRetried(NotRetried::NotFailed(State::Pending)))
    ));
    // Other uploads count as ever.
    let lease = hold(ledger, "b", 2).await;
    let other = note(ledger, &lease, "v", 50).await;
    assert_eq!(ledger.oldest_unfinished().await.unwrap(), Some(other));
    assert_eq!(ledger.minted_for(&key("b")).await.unwrap(), None);
}

/// What does not come ends, and not before its moment.
pub async fn what_is_overdue_is_walked_and_given_up_only_after_its_moment<L: Ledger>(ledger: &L) {
    let mut ids = Vec::new();
    for (name, until) in [("c", 300), ("a", 100), ("e", 500), ("b", 200), ("d", 300)] {
        ids.push((until, mint(ledger, name, until).await.id));
    }
    ids.sort();
    let sorted: Vec<UploadId> = ids.into_iter().map(|(_, id)| id).collect();
    assert_eq!(overdue(ledger, 100).await, []);
    assert_eq!(overdue(ledger, 101).await, sorted[..1]);
    let mut walked = overdue(ledger, 500).await;
    walked.sort();
    let mut expected = sorted[..4].to_vec();
    expected.sort();
    assert_eq!(walked, expected);
    let early = ledger.expire(&sorted[4], ms(500)).await.unwrap();
    assert_eq!(early.state, State::Pending);
    let gone = ledger.expire(&sorted[0], ms(500)).await.unwrap();
    assert_eq!(
        (gone.state, gone.finished_at),
        (State::Failed, Some(ms(500)))
    );
    assert!(
        gone.reason
            .as_ref()
            .unwrap()
            .starts_with("it never arrived")
    );
    assert_eq!(row(ledger, &gone.id).await, gone);
    assert!(!overdue(ledger, 500).await.contains(&gone.id));
    // A walk goes on behind a row that was given up meanwhile.
    let next = ledger.overdue(ms(500), Some(&gone.id), 1).await.unwrap();
    assert_eq!(next[0].id, sorted[1]);
    assert!(matches!(
        ledger.retry(&gone.id).await,
        Err(Error::NotRetried(NotRetried::NeverArrived))
    ));
    let counts = ledger.counts().await.unwrap();
    assert_eq!((counts.pending, counts.failed), (4, 1));
}

/// A long PUT that was begun in time, or a multipart, may end after its grant.
pub async fn what_comes_after_it_was_given_up_is_an_upload_like_any_other<L: Ledger>(ledger: &L) {
    let minted = mint(ledger, "a", 100).await;
    ledger.expire(&minted.id, ms(101)).await.unwrap();
    let lease = hold(ledger, "a", 200).await;
    let arrived = note(ledger, &lease, "v", 90).await;
    assert_eq!(
        (&arrived.id, arrived.state, &arrived.reason),
        (&minted.id, State::Pending, &None)
    );
    assert_eq!(
        ledger.oldest_unfinished().await.unwrap(),
        Some(arrived.clone())
    );
    // Whoever looked before it came gives up nothing.
    let same = ledger.expire(&minted.id, ms(999)).await.unwrap();
    assert_eq!(same, arrived);
    assert_eq!(overdue(ledger, 999).await, []);
    begun(ledger, &lease, &arrived.id, 201).await;
    archive(ledger, &lease, &arrived.id).await.unwrap();
    ledger.close(&lease, &arrived.id).await.unwrap();
    assert_eq!(ledger.counts().await.unwrap().archived, 1);
    assert_eq!(ledger.counts().await.unwrap().failed, 0);
}

/// A grant can be renewed.
pub async fn minting_a_key_again_moves_the_moment_and_never_back<L: Ledger>(ledger: &L) {
    let minted = mint(ledger, "a", 100).await;
    ledger.expire(&minted.id, ms(150)).await.unwrap();
    let again = mint(ledger, "a", 300).await;
    assert_eq!((&again.id, again.state), (&minted.id, State::Pending));
    let bare = Expectation::until(ms(200));
    let again = ledger.mint(&key("a"), &bare, ms(9)).await.unwrap();
    assert_eq!(again.expected_until(), Some(ms(300)));
    assert_eq!(again.expectation.as_ref().unwrap().size_bytes, Some(3));
    assert_eq!(overdue(ledger, 300).await, []);
    assert_eq!(overdue(ledger, 301).await, std::slice::from_ref(&minted.id));
    let lease = hold(ledger, "a", 2).await;
    let arrived = note(ledger, &lease, "v", 5).await;
    assert_eq!(mint(ledger, "a", 900).await, arrived);
    assert_eq!(ledger.counts().await.unwrap().pending, 1);
}

/// Nobody can say that the file is another one than the grant before was for.
pub async fn minting_a_key_again_for_another_file_is_refused_and_changes_nothing<L: Ledger>(
    ledger: &L,
) {
    let minted = mint(ledger, "a", 100).await;
    let first = minted.expectation.clone().unwrap();
    let other_size = Expectation {
        size_bytes: Some(4),
        ..Expectation::until(ms(300))
    };
    let other_bytes = Expectation {
        checksum: Some(Checksum {
            value: [0; 8].into(),
            ..checksum()
        }),
        ..Expectation::until(ms(300))
    };
    assert!(first.checksum.is_some() && first.size_bytes == Some(3));
    let refused = async |other| {
        let again = ledger.mint(&key("a"), &other, ms(9)).await;
        assert!(
            matches!(again, Err(Error::DeclaredOtherwise(_))),
            "{again:?}"
        );
    };
    refused(other_size.clone()).await;
    refused(other_bytes.clone()).await;
    assert_eq!(ledger.minted_for(&key("a")).await.unwrap(), Some(minted));
    let lease = hold(ledger, "a", 2).await;
    let arrived = note(ledger, &lease, "v", 5).await;
    refused(other_size).await;
    refused(other_bytes).await;
    assert_eq!(ledger.get(&arrived.id).await.unwrap(), Some(arrived));
}

/// Nobody rejects a file for what was said of it, but it is told.
pub async fn what_arrives_other_than_declared_says_so<L: Ledger>(ledger: &L) {
    let minted = mint(ledger, "a", 100).await;
    let lease = hold(ledger, "a", 2).await;
    let mut other = listed("a", "v", 5);
    other.size_bytes = 4;
    let noted = ledger.note(&lease, &[other]).await.unwrap();
    assert_eq!(noted.uploads[0].id, minted.id);
    let said = "it was declared with 3 bytes and arrived with 4";
    assert_eq!(noted.uploads[0].reason.as_deref(), Some(said));
    begun(ledger, &lease, &minted.id, 6).await;
    let archived = archive(ledger, &lease, &minted.id).await.unwrap();
    assert_eq!(
        (archived.state, archived.reason.as_deref()),
        (State::Archived, Some(said))
    );

    mint(ledger, "b", 100).await;
    let lease = hold(ledger, "b", 2).await;
    let arrived = note(ledger, &lease, "v", 5).await;
    assert_eq!(arrived.reason, None);
    let facts = SourceFacts {
        checksum: Some(Checksum {
            value: [0; 8].into(),
            ..checksum()
        }),
        media_type: None,
    };
    let begin = ledger
        .begin_attempt(&lease, &arrived.id, &facts, 3, ms(6))
        .await;
    assert!(matches!(begin, Ok(Begin::Begun(_))));
    let archived = archive(ledger, &lease, &arrived.id).await.unwrap();
    assert_eq!(
        archived.reason.as_deref(),
        Some("its CRC64NVME is not the one that was declared")
    );
}

/// A client's repeat can be recognised.
pub async fn a_later_version_of_a_minted_key_is_told_of_the_archived_one<L: Ledger>(ledger: &L) {
    let minted = mint(ledger, "a", 100).await;
    let lease = hold(ledger, "a", 2).await;
    let versions = [listed("a", "v", 5)];
    let noted = ledger.note(&lease, &versions).await.unwrap();
    assert_eq!(noted.archived_mint, None);
    begun(ledger, &lease, &minted.id, 6).await;
    archive(ledger, &lease, &minted.id).await.unwrap();
    ledger.close(&lease, &minted.id).await.unwrap();
    let noted = ledger
        .note(&lease, &[listed("a", "repeat", 9)])
        .await
        .unwrap();
    assert_eq!(noted.archived_mint.unwrap().id, minted.id);
    let id = noted.uploads[0].id.clone();
    let end = End::Duplicate {
        of: minted.id.clone(),
    };
    let repeat = ledger.end(&lease, &id, &end, ms(10)).await.unwrap();
    assert_eq!(repeat.state, State::Duplicate);
    ledger.close(&lease, &id).await.unwrap();
    assert_eq!(ledger.oldest_unfinished().await.unwrap(), None);
}

async fn pages<L: Ledger>(ledger: &L, options: ListUploads) -> Vec<UploadId> {
    let mut options = options;
    let mut ids = Vec::new();
    loop {
        let page = ledger.list(&options).await.unwrap();
        assert!(options.limit == 0 || page.uploads.len() <= options.limit);
        ids.extend(page.uploads.into_iter().map(|upload| upload.id));
        match page.next {
            Some(next) => options.after = Some(next),
            None => return ids,
        }
    }
}

/// Pages neither repeat nor leave out.
pub async fn pages_of_a_list_hold_each_upload_once_the_latest_first<L: Ledger>(ledger: &L) {
    let mut ids = Vec::new();
    for n in 0..7 {
        let name = format!("k{n}");
        let lease = hold(ledger, &name, 0).await;
        ids.push(note(ledger, &lease, "v", 5).await.id);
    }
    ids.reverse();
    for limit in [0, 1, 2, 6, 7, 8] {
        let options = ListUploads {
            limit,
            ..ListUploads::default()
        };
        assert_eq!(pages(ledger, options).await, ids, "{limit} a page");
    }
}

/// Each cut gives what the whole list would.
pub async fn a_list_can_be_cut_to_a_state_a_key_or_a_text<L: Ledger>(ledger: &L) {
    let mut all = Vec::new();
    for name in ["photos/one.jpg", "photos/two.jpg", "notes.txt"] {
        let lease = hold(ledger, name, 0).await;
        for version in ["v1", "v2"] {
            all.push(note(ledger, &lease, version, 5).await);
        }
        let first = &all[all.len() - 2];
        ledger
            .end(&lease, &first.id, &failed("no"), ms(9))
            .await
            .unwrap();
    }
    all.reverse();
    let expected = |wanted: &dyn Fn(&Upload) -> bool| -> Vec<UploadId> {
        all.iter()
            .filter(|row| wanted(row))
            .map(|row| row.id.clone())
            .collect()
    };
    for limit in [0, 1, 2] {
        let cut = |state, key: Option<&str>, text: Option<&str>| ListUploads {
            state,
            key: key.map(Into::into),
            key_contains: text.map(Into::into),
            prefix: None,
            limit,
            after: None,
        };
        let is_failed = |row: &Upload| row.version().unwrap().version_id.as_str() == "v1";
        assert_eq!(
            pages(ledger, cut(Some(State::Failed), None, None)).await,
            expected(&is_failed)
        );
        assert_eq!(
            pages(ledger, cut(None, Some("photos/one.jpg"), None)).await,
            expected(&|row| row.key.key.as_str() == "photos/one.jpg")
        );
        assert_eq!(
            pages(ledger, cut(Some(State::Pending), None, Some("photos"))).await,
            expected(&|row| row.key.key.as_str().contains("photos") && !is_failed(row))
        );
        assert_eq!(pages(ledger, cut(None, Some("photos"), None)).await, []);
        for prefix in ["photos/", "notes.txt", "notes", "o"] {
            let below = ListUploads {
                prefix: Some(prefix.into()),
                ..cut(None, None, None)
            };
            assert_eq!(
                pages(ledger, below).await,
                expected(&|row| {
                    let rest = row.key.key.as_str().strip_prefix(prefix);
                    rest.is_some_and(|rest| !rest.is_empty())
                }),
                "{prefix}"
            );
        }
        assert_eq!(
            pages(ledger, cut(Some(State::Archived), None, None)).await,
            []
        );
    }
}

/// Counts and rows change together.
pub async fn counts_are_those_of_the_rows<L: Ledger>(ledger: &L) {
    assert_eq!(ledger.counts().await.unwrap(), Counts::default());
    let lease = hold(ledger, "a", 0).await;
    let mut ids = Vec::new();
    for version in ["v1", "v2", "v3", "v4"] {
        ids.push(note(ledger, &lease, version, 5).await.id);
    }
    begun(ledger, &lease, &ids[0], 6).await;
    begun(ledger, &lease, &ids[1], 6).await;
    archive(ledger, &lease, &ids[1]).await.unwrap();
    ledger
        .end(&lease, &ids[2], &failed("no"), ms(7))
        .await
        .unwrap();
    let expected = Counts {
        pending: 1,
        processing: 1,
        archived: 1,
        failed: 1,
        ..Counts::default()
    };
    assert_eq!(ledger.counts().await.unwrap(), expected);
    ledger.retry(&ids[2]).await.unwrap();
    let expected = Counts {
        pending: 2,
        failed: 0,
        ..expected
    };
    assert_eq!(ledger.counts().await.unwrap(), expected);
}

/// The number to alarm on, and the sweep's walk.
pub async fn unfinished_uploads_are_walked_from_the_oldest<L: Ledger>(ledger: &L) {
    let mut by_age = Vec::new();
    for (name, received) in [("a", 30), ("b", 10), ("c", 20), ("d", -5)] {
        let lease = hold(ledger, name, 0).await;
        by_age.push((received, note(ledger, &lease, "v", received).await.id));
    }
    by_age.sort();
    let oldest = ledger.oldest_unfinished().await.unwrap().unwrap();
    assert_eq!(oldest.id, by_age[0].1);
    let mut walked: Vec<UploadId> = Vec::new();
    loop {
        let page = ledger.unfinished(walked.last(), 3).await.unwrap();
        if page.is_empty() {
            break;
        }
        walked.extend(page.into_iter().map(|upload| upload.id));
    }
    walked.sort();
    let mut expected: Vec<UploadId> = by_age.into_iter().map(|(_, id)| id).collect();
    expected.sort();
    assert_eq!(walked, expected);
}

/// A wait ends by itself.
pub async fn waits_that_are_over_are_due<L: Ledger>(ledger: &L) {
    let lease = hold(ledger, "a", 0).await;
    let mut ids = Vec::new();
    for (version, until) in [("v1", 100), ("v2", 200)] {
        let id = note(ledger, &lease, version, 5).await.id;
        begun(ledger, &lease, &id, 6).await;
        ledger
            .end(&lease, &id, &deferred(until), ms(7))
            .await
            .unwrap();
        ids.push(id);
    }
    let due = async |now| {
        let rows = ledger.due(ms(now), 10).await.unwrap();
        rows.into_iter().map(|row| row.id).collect::<Vec<_>>()
    };
    assert_eq!(due(99).await, []);
    assert_eq!(due(100).await, ids[..1]);
    assert_eq!(due(200).await, ids);
    begun(ledger, &lease, &ids[0], 300).await;
    assert_eq!(due(300).await, ids[1..]);
}

/// Absence is not a failure of the ledger.
pub async fn an_unknown_id_is_none_and_cannot_be_changed<L: Ledger>(ledger: &L) {
    let lease = hold(ledger, "a", 0).await;
    for text in ["no-such-upload", "00000000000000ff", "1"] {
        let id = UploadId::new(text).unwrap();
        assert_eq!(ledger.get(&id).await.unwrap(), None);
        assert!(matches!(ledger.retry(&id).await, Err(Error::NotFound(_))));
        assert!(matches!(
            begin(ledger, &lease, &id, 1).await,
            Err(Error::NotFound(_))
        ));
    }
}

async fn claim_for_job<L: Ledger>(ledger: &L, name: &str, id: &UploadId, now: i64) -> Claim {
    ledger
        .claim(&ClaimKey {
            key: key(name),
            holder: Holder("a job".into()),
            now: ms(now),
            life: LIFE,
            job: Some(id.clone()),
        })
        .await
        .unwrap()
}

/// An upload of this key that a worker left to a job, and the key let go.
async fn queued<L: Ledger>(ledger: &L, name: &str, last_modified: i64) -> Upload {
    let lease = hold(ledger, name, 0).await;
    let upload = note(ledger, &lease, "v1", last_modified).await;
    let queued = ledger.queue_job(&lease, &upload.id, ms(1)).await.unwrap();
    assert_eq!(ledger.release(&lease).await.unwrap(), Release::Released);
    queued
}

async fn held_by_job<L: Ledger>(ledger: &L, name: &str, id: &UploadId, now: i64) -> Lease {
    match claim_for_job(ledger, name, id, now).await {
        Claim::Held(lease) => lease,
        Claim::Busy => panic!("nobody else holds {name}"),
    }
}

/// What is left to a job is marked, and in the list of jobs from then until it ends, those received first first.
pub async fn jobs_are_listed_until_they_end<L: Ledger>(ledger: &L) {
    let (late, early) = (queued(ledger, "b", 20).await, queued(ledger, "a", 10).await);
    assert!(late.is_job && row(ledger, &late.id).await.is_job);
    let listed = async || -> Vec<UploadId> {
        let jobs = ledger.jobs(None, 100).await.unwrap();
        jobs.into_iter().map(|upload| upload.id).collect()
    };
    assert_eq!(listed().await, [early.id.clone(), late.id.clone()]);
    let first = ledger.jobs(None, 1).await.unwrap();
    assert_eq!(first.len(), 1);
    let behind = ledger.jobs(Some(&early.id), 100).await.unwrap();
    assert_eq!(behind, [row(ledger, &late.id).await]);
    assert!(ledger.jobs(Some(&late.id), 100).await.unwrap().is_empty());
    let lease = held_by_job(ledger, "a", &early.id, 2).await;
    begun(ledger, &lease, &early.id, 3).await;
    assert_eq!(listed().await, [early.id.clone(), late.id.clone()]);
    archive(ledger, &lease, &early.id).await.unwrap();
    assert_eq!(listed().await, [late.id]);
}

/// A job's lease says whose it is, past its end as well, and is nobody else's.
pub async fn the_lease_of_a_job_is_found_by_its_upload<L: Ledger>(ledger: &L) {
    let upload = queued(ledger, "a", 1).await;
    assert_eq!(ledger.job_lease(&upload.id).await.unwrap(), None);
    let lease = hold(ledger, "a", 2).await;
    assert_eq!(ledger.job_lease(&upload.id).await.unwrap(), None);
    ledger.release(&lease).await.unwrap();
    let lease = held_by_job(ledger, "a", &upload.id, 3).await;
    let found = ledger.job_lease(&upload.id).await.unwrap().unwrap();
    assert_eq!(found, lease);
    assert_eq!(found.job.as_ref(), Some(&upload.id));
    assert!(matches!(claim(ledger, "a", 4).await, Claim::Busy));
    let taken = hold(ledger, "a", 100_000).await;
    assert_eq!(taken.job, None);
    assert_eq!(ledger.job_lease(&upload.id).await.unwrap(), None);
    assert!(is_fenced_off(
        begin(ledger, &lease, &upload.id, 100_001).await
    ));
}

/// Nothing is left to a job under a lease that is gone.
pub async fn a_stale_lease_leaves_nothing_to_a_job<L: Ledger>(ledger: &L) {
    let lease = hold(ledger, "a", 0).await;
    let upload = note(ledger, &lease, "v1", 1).await;
    ledger.release(&lease).await.unwrap();
    assert!(is_fenced_off(
        ledger.queue_job(&lease, &upload.id, ms(1)).await
    ));
    assert!(!row(ledger, &upload.id).await.is_job);
}

/// Cancelling ends upload and lease in one: the job can do nothing more, and the key is free.
pub async fn a_cancelled_job_is_fenced_off_and_its_key_is_free<L: Ledger>(ledger: &L) {
    let upload = queued(ledger, "a", 1).await;
    let lease = held_by_job(ledger, "a", &upload.id, 2).await;
    begun(ledger, &lease, &upload.id, 3).await;
    let cancelled = ledger.cancel_job(&upload.id, ms(4)).await.unwrap();
    assert_eq!(cancelled.state, State::Failed);
    assert!(cancelled.reason.is_some());
    assert_eq!(row(ledger, &upload.id).await, cancelled);
    assert!(is_fenced_off(ledger.renew(&lease, ms(9_000)).await));
    assert!(is_fenced_off(archive(ledger, &lease, &upload.id).await));
    assert!(ledger.jobs(None, 100).await.unwrap().is_empty());
    hold(ledger, "a", 5).await;
}

/// Cancelling a job that waits leaves the lease of whoever has its key alone.
pub async fn cancelling_takes_no_lease_but_the_jobs_own<L: Ledger>(ledger: &L) {
    let upload = queued(ledger, "a", 1).await;
    let lease = hold(ledger, "a", 2).await;
    ledger.cancel_job(&upload.id, ms(3)).await.unwrap();
    ledger.renew(&lease, ms(9_000)).await.unwrap();
}

/// Only jobs that have not ended can be cancelled.
pub async fn only_an_unfinished_job_can_be_cancelled<L: Ledger>(ledger: &L) {
    let lease = hold(ledger, "a", 0).await;
    let inline = note(ledger, &lease, "v1", 1).await;
    let refused = ledger.cancel_job(&inline.id, ms(2)).await;
    assert!(matches!(
        refused,
        Err(Error::NotCancelled(NotCancelled::NotAJob))
    ));
    let ended = queued(ledger, "b", 1).await;
    ledger.cancel_job(&ended.id, ms(2)).await.unwrap();
    let refused = ledger.cancel_job(&ended.id, ms(3)).await;
    assert!(matches!(
        refused,
        Err(Error::NotCancelled(NotCancelled::Ended(State::Failed)))
    ));
    let unknown = UploadId::new("unknown").unwrap();
    assert!(matches!(
        ledger.cancel_job(&unknown, ms(3)).await,
        Err(Error::NotFound(_))
    ));
}

fn wrote(text: &'static str) -> Said {
    Said {
        log: Some(excerpt(text)),
        progress: None,
    }
}

fn excerpt(text: &'static str) -> LogExcerpt {
    LogExcerpt {
        first: text.as_bytes().into(),
        dropped_bytes: 7,
        last: b"\xff the end".as_slice().into(),
    }
}

fn kept(attempt: u32, text: &'static str) -> KeptLog {
    KeptLog {
        attempt,
        log: excerpt(text),
    }
}

/// A log is kept whole each time, by attempt, whatever becomes of the upload; what wrote nothing has none.
pub async fn the_log_of_an_attempt_is_what_it_kept_last<L: Ledger>(ledger: &L) {
    let lease = hold(ledger, "a", 0).await;
    let id = note(ledger, &lease, "v1", 5).await.id;
    assert_eq!(ledger.logs(&id).await.unwrap(), []);
    begun(ledger, &lease, &id, 6).await;
    for text in ["one", "one, two"] {
        ledger.keep_said(&id, 1, &wrote(text)).await.unwrap();
        assert_eq!(ledger.logs(&id).await.unwrap(), [kept(1, text)]);
    }
    ledger.end(&lease, &id, &deferred(7), ms(7)).await.unwrap();
    begun(ledger, &lease, &id, 8).await;
    ledger.end(&lease, &id, &deferred(9), ms(9)).await.unwrap();
    begun(ledger, &lease, &id, 10).await;
    ledger.keep_said(&id, 3, &wrote("again")).await.unwrap();
    archive(ledger, &lease, &id).await.unwrap();
    let both = [kept(1, "one, two"), kept(3, "again")];
    assert_eq!(ledger.logs(&id).await.unwrap(), both);
    let other = note(ledger, &lease, "v2", 6).await.id;
    assert_eq!(ledger.logs(&other).await.unwrap(), []);
    for (id, attempt) in [(&id, 4), (&other, 1)] {
        let refused = ledger.keep_said(id, attempt, &wrote("x")).await;
        assert!(matches!(refused, Err(Error::NotFound(_))), "{refused:?}");
    }
    assert_eq!(ledger.logs(&id).await.unwrap(), both);
}

/// What a worker that lost its lease has to say is worth reading, and is its own attempt's.
pub async fn an_attempt_that_was_fenced_off_keeps_its_log<L: Ledger>(ledger: &L) {
    let lease = hold(ledger, "a", 0).await;
    let id = note(ledger, &lease, "v1", 5).await.id;
    begun(ledger, &lease, &id, 6).await;
    let other = hold(ledger, "a", 60_000).await;
    begun(ledger, &other, &id, 60_001).await;
    let progress = ProgressAt {
        done: 1,
        total: None,
        words: "stale".into(),
    };
    let said = Said {
        progress: Some(progress),
        ..wrote("stale")
    };
    ledger.keep_said(&id, 1, &said).await.unwrap();
    ledger.keep_said(&id, 2, &wrote("new")).await.unwrap();
    let both = [kept(1, "stale"), kept(2, "new")];
    assert_eq!(ledger.logs(&id).await.unwrap(), both);
    assert_eq!(row(ledger, &id).await.progress, None);
}

/// Space is bounded however often an upload is tried.
pub async fn logs_are_kept_for_the_latest_attempts_only<L: Ledger>(ledger: &L) {
    let lease = hold(ledger, "a", 0).await;
    let id = note(ledger, &lease, "v1", 5).await.id;
    let most = u32::try_from(Upload::LOG_MAX).unwrap();
    for attempt in 1..=most + 2 {
        let max = u32::MAX;
        let now = ms(i64::from(attempt) * 10);
        let facts = SourceFacts::default();
        let begin = ledger.begin_attempt(&lease, &id, &facts, max, now).await;
        assert!(matches!(begin, Ok(Begin::Begun(_))), "{begin:?}");
        ledger.keep_said(&id, attempt, &wrote("x")).await.unwrap();
        let end = deferred(i64::from(attempt) * 10 + 5);
        ledger.end(&lease, &id, &end, now).await.unwrap();
    }
    let logs = ledger.logs(&id).await.unwrap();
    let attempts: Vec<u32> = logs.into_iter().map(|log| log.attempt).collect();
    assert_eq!(attempts, (3..=most + 2).collect::<Vec<_>>());
    let pushed_out = ledger.keep_said(&id, 2, &wrote("x")).await;
    assert!(matches!(pushed_out, Err(Error::NotFound(_))));
}

/// Progress is of the run that runs, and changes nothing else.
pub async fn progress_is_shown_while_its_attempt_runs<L: Ledger>(ledger: &L) {
    let lease = hold(ledger, "a", 0).await;
    let id = note(ledger, &lease, "v1", 5).await.id;
    let before = begun(ledger, &lease, &id, 6).await;
    let progress = ProgressAt {
        done: 3,
        total: Some(12),
        words: "pages".into(),
    };
    let said = Said {
        log: None,
        progress: Some(progress.clone()),
    };
    ledger.keep_said(&id, 1, &said).await.unwrap();
    let mut expected = before;
    expected.progress = Some(progress);
    assert_eq!(row(ledger, &id).await, expected);
    assert_eq!(ledger.logs(&id).await.unwrap(), []);
    let ended = ledger.end(&lease, &id, &deferred(9), ms(9)).await.unwrap();
    assert_eq!(ended.progress, None);
    ledger.keep_said(&id, 1, &said).await.unwrap();
    assert_eq!(row(ledger, &id).await, ended);
}

//! What changes do to a row, and what they refuse.

use super::*;

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

fn upload() -> Upload {
    Upload::listed(
        UploadId::new("1").unwrap(),
        ObjectRef {
            bucket: "staging".parse().unwrap(),
            key: "a".parse().unwrap(),
        },
        1,
        &ListedVersion {
            key: "a".parse().unwrap(),
            version_id: VersionId::new("v1"),
            is_latest: true,
            is_delete_marker: false,
            last_modified: at(10),
            size_bytes: 3,
            etag: Some(ETag::new("e")),
        },
    )
}

fn begun(upload: Upload, max: u32, now: i64) -> Upload {
    match upload.begin_attempt(max, at(now)) {
        Begin::Begun(upload) => upload,
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_attempt_counts_from_the_moment_it_begins_so_crashes_use_attempts_up() {
    let mut row = upload();
    for n in 1..=3 {
        row = begun(row, 3, 20 + n);
    }
    assert_eq!(row.attempts, 3);
    assert!(matches!(row.clone().begin_attempt(3, at(99)), Begin::Exhausted(r) if r == row));
    assert_eq!(
        row.log
            .iter()
            .map(|a| a.ended.map(|e| e.1))
            .collect::<Vec<_>>(),
        [
            Some(AttemptOutcome::Crashed),
            Some(AttemptOutcome::Crashed),
            None
        ]
    );
    assert!(row.look_in_archive);
}

#[test]
fn what_a_store_puts_off_before_an_attempt_is_counted_until_one_begins() {
    let put_off = |row: &mut Upload, now| {
        let end = End::Deferred {
            reason: "staging does not answer".into(),
            next_attempt_at: at(now + 5),
            is_counted: true,
            look_in_archive: false,
        };
        row.end(end, at(now));
    };
    let mut row = upload();
    for n in 1..=3 {
        put_off(&mut row, n * 10);
    }
    assert_eq!((row.deferrals, row.attempts, row.log.len()), (3, 0, 0));
    let mut row = begun(row, 1, 50);
    assert_eq!(row.deferrals, 0);
    // An attempt that is put off is in the log and counted there.
    put_off(&mut row, 60);
    assert_eq!((row.deferrals, row.log.len()), (0, 1));
    for _ in 0..100 {
        put_off(&mut row, 70);
    }
    assert_eq!(row.deferrals, Upload::DEFERRALS_MAX);
}

#[test]
fn a_store_failure_does_not_use_up_the_attempts_of_the_function() {
    let mut row = begun(upload(), 1, 20);
    row.end(
        End::Deferred {
            reason: "the archive does not answer".into(),
            next_attempt_at: at(50),
            is_counted: false,
            look_in_archive: true,
        },
        at(30),
    );
    assert!(!row.is_due(at(49)));
    assert!(matches!(
        row.clone().begin_attempt(1, at(49)),
        Begin::NotDue(_)
    ));
    let row = begun(row, 1, 50);
    assert_eq!((row.attempts, row.attempts_ever), (1, 2));
    assert!(row.look_in_archive);
}

#[test]
fn an_archived_upload_cannot_be_set_aside_deferred_or_recorded_twice() {
    let mut row = begun(upload(), 1, 20);
    let record = |version: &str| ArchiveRecord {
        at: VersionRef {
            bucket: "archive".parse().unwrap(),
            key: "a".parse().unwrap(),
            version_id: VersionId::new(version),
        },
        checksum: None,
    };
    row.record_archived(record("x1"), false, None, at(30));
    let archived = row.clone();
    row.end(
        End::Failed {
            reason: "too late".into(),
            outcome: AttemptOutcome::Permanent,
            look_in_archive: false,
        },
        at(31),
    );
    row.record_archived(record("x2"), true, None, at(32));
    assert_eq!(row, archived);
    assert!(matches!(
        row.clone().begin_attempt(9, at(40)),
        Begin::NotDue(_)
    ));
    assert_eq!(row.retry(), Err(NotRetried::NotFailed(State::Archived)));
    assert!(row.is_unfinished(), "its version is still in staging");
    row.close();
    assert!(!row.is_unfinished());
}

#[test]
fn a_pending_upload_cannot_be_closed() {
    let mut row = upload();
    row.close();
    assert!(row.is_unfinished());
}

#[test]
fn retry_gives_all_attempts_back_and_keeps_the_log() {
    let mut row = begun(upload(), 1, 20);
    assert_eq!(row.retry(), Err(NotRetried::NotFailed(State::Processing)));
    row.end(
        End::Failed {
            reason: "no such thing".into(),
            outcome: AttemptOutcome::Permanent,
            look_in_archive: false,
        },
        at(21),
    );
    assert!(!row.is_unfinished());
    row.retry().unwrap();
    let row = begun(row, 1, 22);
    assert_eq!((row.attempts, row.attempts_ever, row.log.len()), (1, 2, 2));
}

fn version(size_bytes: u64) -> ListedVersion {
    ListedVersion {
        key: "a".parse().unwrap(),
        version_id: VersionId::new("v1"),
        is_latest: true,
        is_delete_marker: false,
        last_modified: at(10),
        size_bytes,
        etag: Some(ETag::new("e")),
    }
}

fn expected(until: i64) -> Upload {
    let expectation = Expectation {
        size_bytes: Some(3),
        ..Expectation::until(at(until))
    };
    Upload::minted(
        UploadId::new("1").unwrap(),
        upload().key,
        expectation,
        at(5),
    )
}

#[test]
fn what_is_expected_owes_nothing_and_is_given_up_only_after_its_moment() {
    let mut row = expected(100);
    assert!(row.is_expected() && !row.is_unfinished() && !row.is_due(at(200)));
    row.expire(at(100));
    assert_eq!(row.state, State::Pending);
    row.expire(at(101));
    assert_eq!((row.state, row.finished_at), (State::Failed, Some(at(101))));
    assert!(
        row.reason
            .as_ref()
            .unwrap()
            .starts_with("it never arrived: ")
    );
    assert_eq!(row.retry(), Err(NotRetried::NeverArrived));
}

#[test]
fn what_comes_after_it_was_given_up_is_as_if_it_had_come_in_time() {
    let mut late = expected(100);
    late.expire(at(101));
    late.arrive(1, &version(3));
    let mut early = expected(100);
    early.arrive(1, &version(3));
    assert_eq!(late, early);
    assert!(late.is_unfinished() && late.is_due(at(102)));
    late.expire(at(102));
    assert_eq!(late, early, "what has come does not expire");
}

#[test]
fn a_key_granted_again_may_come_until_the_later_moment() {
    let mut row = expected(100);
    row.expire(at(101));
    row.expect_again(Expectation::until(at(200))).unwrap();
    assert_eq!((row.state, row.reason.clone()), (State::Pending, None));
    row.expect_again(Expectation::until(at(150))).unwrap();
    assert_eq!(row.expected_until(), Some(at(200)));
    let said = row.expectation.clone().unwrap();
    assert_eq!(said.size_bytes, Some(3), "what was known stays");
    row.arrive(1, &version(3));
    let arrived = row.clone();
    row.expect_again(Expectation::until(at(999))).unwrap();
    let kept = row.expectation.replace(said).unwrap();
    assert_eq!(row, arrived, "what has come is as it is");
    assert_eq!(kept.until, at(999), "but a repeat may come until then");
}

#[test]
fn a_key_granted_again_is_for_the_file_that_was_declared_first_and_for_no_other() {
    let crc = |value: u8| Checksum {
        algorithm: Algorithm::Crc64Nvme,
        kind: two_buckets_objects::ChecksumKind::FullObject,
        value: [value; 8].into(),
    };
    let said = |size_bytes, checksum| Expectation {
        size_bytes,
        checksum,
        ..Expectation::until(at(100))
    };
    let mut row = expected(100);
    let other_size = DeclaredOtherwise::Size {
        first_bytes: 3,
        now_bytes: 7,
    };
    let other_bytes = DeclaredOtherwise::Checksum(Algorithm::Crc64Nvme);
    let before = row.clone();
    assert_eq!(row.expect_again(said(Some(7), None)), Err(other_size));
    assert_eq!(row, before);
    row.expect_again(said(Some(3), Some(crc(1)))).unwrap();
    let full = row.clone();
    assert_eq!(row.expect_again(said(None, Some(crc(2)))), Err(other_bytes));
    // Another algorithm's cannot be compared, and does not take the first one's place.
    let sha = Checksum {
        algorithm: Algorithm::Sha256,
        value: [9; 32].into(),
        ..crc(0)
    };
    row.expect_again(said(Some(3), Some(sha))).unwrap();
    assert_eq!(row, full);
    // What has come is what counts: the size was not signed by every grant.
    row.arrive(1, &version(7));
    let came = row.clone();
    row.expect_again(said(Some(7), Some(crc(1)))).unwrap();
    assert_eq!(row, came);
    row.expect_again(said(Some(3), None)).unwrap_err();
    assert_eq!(row.expect_again(said(None, Some(crc(2)))), Err(other_bytes));
}

#[test]
fn what_arrives_other_than_declared_is_kept_and_says_so() {
    let mut row = expected(100);
    row.arrive(1, &version(7));
    assert_eq!(row.state, State::Pending);
    let said = "it was declared with 3 bytes and arrived with 7";
    assert_eq!(row.reason.as_deref(), Some(said));
    let row = begun(row, 1, 20);
    assert_eq!(row.reason.as_deref(), Some(said));
}

#[test]
fn one_set_aside_in_doubt_is_looked_for_once_when_a_copy_on_its_way_has_landed() {
    let set_aside = |outcome, look_in_archive| {
        let mut row = begun(upload(), 1, 20);
        let end = End::Failed {
            reason: "set aside".into(),
            outcome,
            look_in_archive,
        };
        row.end(end, at(30));
        row
    };
    // A function that crashed, and that its worker saw crash, archived nothing.
    for outcome in [AttemptOutcome::Permanent, AttemptOutcome::Crashed] {
        assert_eq!(set_aside(outcome, false).last_look_at(), None);
    }
    let mut row = set_aside(AttemptOutcome::Crashed, true);
    let due = at(30).after(Upload::LANDS_WITHIN);
    assert_eq!(row.last_look_at(), Some(due));
    assert!(!row.is_look_due(Timestamp::from_millis(due.millis() - 1)));
    let failed = row.clone();
    // By a clock that was set back meanwhile it is not over yet.
    row.end(End::StaysFailed, at(40));
    assert_eq!(row, failed);
    let mut found = row.clone();
    row.end(End::StaysFailed, due);
    assert_eq!((row.state, row.last_look_at()), (State::Failed, None));
    assert_eq!(
        (row.reason.clone(), row.finished_at),
        (failed.reason.clone(), failed.finished_at)
    );

    let record = ArchiveRecord {
        at: VersionRef {
            bucket: "archive".parse().unwrap(),
            key: "a".parse().unwrap(),
            version_id: VersionId::new("x"),
        },
        checksum: None,
    };
    found.record_archived(record, false, None, due);
    assert_eq!((found.state, found.last_look_at()), (State::Archived, None));
    assert_eq!((found.reason.clone(), found.is_unfinished()), (None, true));

    // What somebody retries is theirs: it is in doubt as before, and looked for by its next turn.
    let mut pending = retried(&failed);
    pending.end(End::StaysFailed, due);
    assert!(pending.look_in_archive && pending.is_due(due));
}

/// A failed row, retried.
fn retried(row: &Upload) -> Upload {
    let mut row = row.clone();
    row.retry().unwrap();
    row
}

#[test]
fn log_and_reason_are_bounded() {
    let mut row = upload();
    for n in 0..50 {
        row = begun(row, 99, 20 + n);
    }
    assert_eq!(row.log.len(), Upload::LOG_MAX);
    assert_eq!(row.log.last().unwrap().number, 50);
    row.end(
        End::Failed {
            reason: "ä".repeat(5_000),
            outcome: AttemptOutcome::Permanent,
            look_in_archive: false,
        },
        at(99),
    );
    assert!(row.reason.unwrap().len() <= Upload::REASON_BYTES_MAX);
}

#[test]
fn ids_are_safe_in_urls() {
    assert!(UploadId::new("aZ09-_").is_some());
    for bad in ["", "a/b", "ä", "a b", "%", &"a".repeat(129)] {
        assert!(UploadId::new(bad).is_none(), "{bad}");
    }
}

#[test]
fn a_job_is_given_up_whether_it_began_or_not_and_a_retry_routes_it_anew() {
    let mut queued = upload();
    queued.queue_job(at(2));
    assert!(queued.is_job);
    let Begin::Begun(mut running) = queued.clone().begin_attempt(3, at(3)) else {
        panic!("a queued upload is due");
    };
    for job in [&mut queued, &mut running] {
        let began = job.state == State::Processing;
        job.cancel_job(at(4)).unwrap();
        assert_eq!(job.state, State::Failed);
        assert_eq!(job.reason.as_deref(), Some("its job was cancelled"));
        assert_eq!(job.look_in_archive, began);
        assert!(job.log.iter().all(|attempt| attempt.ended.is_some()));
        assert_eq!(
            job.cancel_job(at(5)),
            Err(NotCancelled::Ended(State::Failed))
        );
        job.retry().unwrap();
        assert!(!job.is_job);
    }
    assert_eq!(upload().cancel_job(at(5)), Err(NotCancelled::NotAJob));
}

#[test]
fn an_interrupted_attempt_is_closed_when_its_upload_goes_to_a_job() {
    let Begin::Begun(mut interrupted) = upload().begin_attempt(3, at(2)) else {
        panic!("a listed upload is due");
    };
    interrupted.queue_job(at(3));
    assert_eq!(interrupted.state, State::Pending);
    assert_eq!(interrupted.attempts, 1);
    assert!(interrupted.look_in_archive);
    assert_eq!(
        interrupted.log[0].ended,
        Some((at(3), AttemptOutcome::Crashed))
    );
}

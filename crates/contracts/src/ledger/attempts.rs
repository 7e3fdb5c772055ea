//! Rows, attempts, and how uploads end.

use two_buckets_objects::VersionId;
use two_buckets_pipeline::archive::Replay;
use two_buckets_pipeline::ledger::{Error, ListUploads, SourceFacts};
use two_buckets_pipeline::{AttemptOutcome, Begin, End, Ledger, State, Upload};

use super::{
    archive, begin, begun, checksum, deferred, failed, hold, key, listed, ms, note, record, row,
};

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

/// Where it was copied from says its place in the archive, so it must outlive the version and the worker.
pub async fn what_an_upload_is_a_replay_of_is_kept_from_its_attempt_on<L: Ledger>(ledger: &L) {
    let lease = hold(ledger, "a", 0).await;
    let source = note(ledger, &lease, "v1", 5).await;
    let id = note(ledger, &lease, "v2", 9).await.id;
    let order = source.staged.as_ref().map(|staged| staged.order).unwrap();
    let replay = Replay {
        bucket: "archive".parse().unwrap(),
        version_id: VersionId::new("x"),
        upload: Some(source.id),
        order,
    };
    let facts = SourceFacts {
        replay: Some(replay.clone()),
        ..SourceFacts::default()
    };
    let begin = ledger.begin_attempt(&lease, &id, &facts, 3, ms(10)).await;
    assert!(matches!(begin, Ok(Begin::Begun(_))));
    let archived = archive(ledger, &lease, &id).await.unwrap();
    assert_eq!(archived.replay, Some(replay));
    assert_eq!(row(ledger, &id).await, archived);
    assert_eq!(archived.mark().map(|mark| mark.order), Some(order));
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

/// A copy may be on its way when its upload is set aside: the row says so wherever a sweep or a turn finds it, until the last
/// look has found nothing, and then not any more.
pub async fn what_is_set_aside_in_doubt_says_so_until_it_was_looked_for<L: Ledger>(ledger: &L) {
    let lease = hold(ledger, "a", 0).await;
    let id = note(ledger, &lease, "v", 5).await.id;
    begun(ledger, &lease, &id, 6).await;
    let end = End::Failed {
        reason: "no attempt is left".into(),
        outcome: AttemptOutcome::Crashed,
        look_in_archive: true,
    };
    let set_aside = ledger.end(&lease, &id, &end, ms(7)).await.unwrap();
    let due = ms(7).after(Upload::LANDS_WITHIN);
    assert_eq!(set_aside.last_look_at(), Some(due));
    let version = set_aside.version().unwrap();
    assert_eq!(
        ledger.find(&version).await.unwrap(),
        Some(set_aside.clone())
    );

    let later = hold(ledger, "a", due.millis()).await;
    assert_eq!(note(ledger, &later, "v", 5).await, set_aside);
    let before = ms(due.millis() - 1);
    let end = End::StaysFailed;
    ledger.end(&later, &id, &end, before).await.unwrap();
    assert_eq!(row(ledger, &id).await, set_aside, "it was too early");
    let stale = ledger.end(&lease, &id, &end, due).await;
    assert!(matches!(stale, Err(Error::FencedOff)));
    let looked_for = ledger.end(&later, &id, &end, due).await.unwrap();
    assert_eq!(
        (looked_for.state, looked_for.last_look_at()),
        (State::Failed, None)
    );
    assert_eq!(row(ledger, &id).await, looked_for);
    assert_eq!(
        ledger.find(&version).await.unwrap(),
        Some(looked_for.clone())
    );
    assert_eq!(note(ledger, &later, "v", 5).await, looked_for);
}

/// What landed late is archived as if nobody had set it aside.
pub async fn what_was_set_aside_can_be_recorded_as_archived<L: Ledger>(ledger: &L) {
    let lease = hold(ledger, "a", 0).await;
    let id = note(ledger, &lease, "v", 5).await.id;
    begun(ledger, &lease, &id, 6).await;
    ledger.end(&lease, &id, &failed("no"), ms(7)).await.unwrap();
    let archived = archive(ledger, &lease, &id).await.unwrap();
    assert_eq!(
        (archived.state, archived.reason.as_deref()),
        (State::Archived, None)
    );
    assert_eq!(row(ledger, &id).await, archived);
    let counts = ledger.counts().await.unwrap();
    assert_eq!((counts.failed, counts.archived), (0, 1));
    let options = ListUploads {
        state: Some(State::Failed),
        ..ListUploads::default()
    };
    assert_eq!(ledger.list(&options).await.unwrap().uploads, []);
    // Its version is still to be deleted, and the pipeline owes that from here on.
    assert_eq!(ledger.unfinished_of(&key("a")).await.unwrap(), [archived]);
    ledger.close(&lease, &id).await.unwrap();
    assert_eq!(ledger.oldest_unfinished().await.unwrap(), None);
    assert!(row(ledger, &id).await.closed);
}

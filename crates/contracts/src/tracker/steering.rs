use two_buckets_uploads::{Error, Retried, RetryMany, RetrySelection, Tracker as _, UploadState};

use super::{TrackedHost, all, content, of_key, only, states};

fn many(selection: RetrySelection) -> RetryMany {
    RetryMany {
        selection,
        is_dry_run: false,
    }
}

/// One command has a file processed whose cause was mended.
pub async fn a_failed_upload_is_retried_and_no_other<H: TrackedHost>(host: &H) {
    host.put("bad", b"bytes").await;
    host.put("good", b"bytes").await;
    host.settle().await;
    let failed = only(host, "bad").await;
    assert_eq!(failed.state, UploadState::Failed);
    let reason = failed.reason.as_deref().unwrap_or_default();
    assert!(reason.contains("no such column"), "{reason}");
    assert_eq!(content(host, &failed.id).await, b"bytes");
    host.function().mend();
    let retried = host.tracker().retry(&failed.id).await.unwrap();
    assert_eq!(retried.id, failed.id);
    assert_ne!(retried.state, UploadState::Failed);
    host.settle().await;
    let archived = only(host, "bad").await;
    assert_eq!(
        (archived.state, archived.attempts),
        (UploadState::Archived, 2)
    );
    for id in [archived.id, only(host, "good").await.id] {
        let again = host.tracker().retry(&id).await;
        assert!(matches!(again, Err(Error::Conflict { .. })), "{again:?}");
    }
}

/// All, those of a key, and those that failed for a reason.
pub async fn many_are_retried_as_they_are_selected<H: TrackedHost>(host: &H) {
    for key in ["bad 1", "bad 2", "bad 3", "good"] {
        host.put(key, b"x").await;
    }
    host.settle().await;
    assert_eq!(all(host).await.counts.failed, 3);
    let column = "such column*total".parse().unwrap();
    let dry = RetryMany {
        is_dry_run: true,
        ..many(RetrySelection::Reason(column))
    };
    let selects = |matched, retried| Retried { matched, retried };
    assert_eq!(host.tracker().retry_many(dry).await.unwrap(), selects(3, 0));
    let other = many(RetrySelection::Reason("disk full".parse().unwrap()));
    assert_eq!(
        host.tracker().retry_many(other).await.unwrap(),
        selects(0, 0)
    );
    host.function().mend();
    let one = many(RetrySelection::Key("bad 2".parse().unwrap()));
    assert_eq!(host.tracker().retry_many(one).await.unwrap(), selects(1, 1));
    host.settle().await;
    assert_eq!(all(host).await.counts.failed, 2);
    let rest = many(RetrySelection::All);
    assert_eq!(
        host.tracker().retry_many(rest).await.unwrap(),
        selects(2, 2)
    );
    host.settle().await;
    let counts = all(host).await.counts;
    assert_eq!((counts.archived, counts.failed), (4, 0));
}

/// Only jobs can be given up; what a worker does ends by itself.
pub async fn what_is_no_job_is_not_cancelled<H: TrackedHost>(host: &H) {
    host.put("a", b"x").await;
    host.settle().await;
    host.tracker().pause(None).await.unwrap();
    host.put("waits", b"x").await;
    for key in ["a", "waits"] {
        let id = only(host, key).await.id;
        let refused = host.tracker().cancel(&id).await;
        assert!(
            matches!(refused, Err(Error::Conflict { .. })),
            "{refused:?}"
        );
    }
}

/// A pause is since it began, whoever asks for it again, and ends once.
pub async fn a_pause_is_since_it_began_and_ends_once<H: TrackedHost>(host: &H) {
    let tracker = host.tracker();
    assert_eq!(tracker.server().await.unwrap().paused, None);
    assert_eq!(tracker.resume().await.unwrap(), None);
    let first = tracker.pause(Some("why".into())).await.unwrap();
    assert_eq!(first.reason.as_deref(), Some("why"));
    assert_eq!(tracker.pause(None).await.unwrap(), first);
    let again = tracker.pause(Some("another".into())).await.unwrap();
    assert_eq!(again.since, first.since);
    assert_eq!(again.reason.as_deref(), Some("another"));
    assert_eq!(tracker.server().await.unwrap().paused, Some(again.clone()));
    assert_eq!(all(host).await.paused, Some(again.clone()));
    assert_eq!(tracker.resume().await.unwrap(), Some(again));
    assert_eq!(tracker.resume().await.unwrap(), None);
    assert_eq!(all(host).await.paused, None);
}

/// What comes meanwhile waits, and its turn comes when processing goes on, though nobody wakes it again.
pub async fn what_came_during_a_pause_is_processed_after_it<H: TrackedHost>(host: &H) {
    host.put("bad", b"x").await;
    host.settle().await;
    host.tracker().pause(None).await.unwrap();
    host.function().mend();
    host.put("a", b"x").await;
    let failed = only(host, "bad").await.id;
    host.tracker().retry(&failed).await.unwrap();
    host.settle().await;
    let counts = all(host).await.counts;
    assert_eq!((counts.pending, counts.archived), (2, 0));
    host.tracker().resume().await.unwrap();
    host.settle().await;
    let mut uploads = of_key(host, "a").await;
    uploads.extend(of_key(host, "bad").await);
    assert_eq!(states(&uploads), [UploadState::Archived; 2]);
}

/// A sweep looks at all of staging and is over when it says so.
pub async fn a_sweep_says_what_it_looked_at<H: TrackedHost>(host: &H) {
    host.put("bad", b"x").await;
    host.settle().await;
    host.tracker().pause(None).await.unwrap();
    host.put("a", b"x").await;
    host.put("b", b"x").await;
    let swept = host.tracker().sweep().await.unwrap();
    assert_eq!(swept.listed, 3, "{swept:?}");
}

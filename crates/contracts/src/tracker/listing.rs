use std::pin::pin;

use futures::StreamExt as _;
use two_buckets_objects::ByteRange;
use two_buckets_uploads::{
    AttemptOutcome, Change, Counts, Cursor, Error, ListUploads, Tracker as _, UploadState,
};

use super::{TrackedHost, all, content, of_key, only, page};

/// Whoever sent a file sees it at once, whether or not a worker has time.
pub async fn what_waits_is_an_upload_before_anybody_looked_at_it<H: TrackedHost>(host: &H) {
    host.tracker().pause(None).await.unwrap();
    let version = host.put("a/first", b"one").await;
    host.put("a/second", b"two").await;
    let seen = all(host).await;
    let mut keys: Vec<_> = seen.uploads.iter().map(|it| it.key.as_str()).collect();
    keys.sort_unstable();
    assert_eq!(keys, ["a/first", "a/second"]);
    assert_eq!(seen.counts.pending, 2);
    assert_eq!(seen.oldest_unfinished.unwrap().key.as_str(), "a/first");
    let upload = only(host, "a/first").await;
    assert_eq!(upload.version_id, Some(version));
    assert_eq!((upload.state, upload.attempts), (UploadState::Pending, 0));
    assert_eq!(content(host, &upload.id).await, b"one");
    let history = host.tracker().get(&upload.id).await.unwrap();
    assert_eq!(history.upload, upload);
    assert_eq!(host.tracker().logs(&upload.id).await.unwrap(), []);
    let waits = Counts {
        pending: 2,
        ..Counts::default()
    };
    let failed = ListUploads {
        state: Some(UploadState::Failed),
        ..ListUploads::default()
    };
    let failed = page(host, failed).await;
    assert!(failed.uploads.is_empty(), "{failed:?}");
    assert_eq!(failed.counts, waits);
}

/// An id is good from when the file is in staging to when it is in the archive.
pub async fn an_upload_keeps_its_id_and_its_bytes_on_its_way<H: TrackedHost>(host: &H) {
    host.tracker().pause(None).await.unwrap();
    host.put("a", b"0123456789").await;
    let waits = only(host, "a").await;
    host.tracker().resume().await.unwrap();
    host.settle().await;
    let archived = only(host, "a").await;
    assert_eq!(archived.id, waits.id);
    assert_eq!(archived.state, UploadState::Archived);
    assert_eq!(archived.media_type.as_deref(), Some("text/plain"));
    assert_eq!(content(host, &waits.id).await, b"0123456789");
    let range = ByteRange::FromTo { first: 2, last: 4 };
    let part = host.tracker().content(&waits.id, Some(range)).await;
    let part = two_buckets_objects::read_to_bytes(part.unwrap(), 100).await;
    assert_eq!(part.unwrap(), &b"234"[..]);
    let history = host.tracker().get(&waits.id).await.unwrap();
    let outcomes: Vec<_> = history.attempts_log.iter().map(|it| it.outcome).collect();
    assert_eq!(outcomes, [Some(AttemptOutcome::Succeeded)]);
    let logs = host.tracker().logs(&waits.id).await.unwrap();
    assert_eq!(logs.len(), 1);
    assert_eq!(logs[0].first, &b"looked at it\n"[..]);
    let seen = all(host).await;
    assert_eq!((seen.counts.archived, seen.counts.pending), (1, 0));
    assert_eq!(seen.oldest_unfinished, None);
}

/// Ids that nothing stands for, of every form.
pub async fn what_is_not_there_is_not_found_by_the_tracker<H: TrackedHost>(host: &H) {
    host.put("a", b"1").await;
    host.settle().await;
    let known = only(host, "a").await.id;
    // That version of another key, "aa", and what is no id of ours.
    let (_, version) = known.as_str().split_once('.').unwrap();
    let other = format!("YWE.{version}");
    for id in [other.as_str(), "nothing", "0000000000000009"] {
        let id = id.parse().unwrap();
        let tracker = host.tracker();
        for failed in [
            tracker.get(&id).await.err(),
            tracker.logs(&id).await.err(),
            tracker.content(&id, None).await.err(),
            tracker.retry(&id).await.err(),
            tracker.cancel(&id).await.err(),
        ] {
            assert!(matches!(failed, Some(Error::NotFound { .. })), "{failed:?}");
        }
    }
}

/// Pages, behind cursors that only the tracker makes.
pub async fn pages_of_uploads_hold_each_once<H: TrackedHost>(host: &H) {
    for key in ["a", "b", "c", "d", "bad"] {
        host.put(key, b"x").await;
    }
    host.settle().await;
    let mut keys = Vec::new();
    let mut after = None;
    loop {
        let query = ListUploads {
            limit: 2,
            after,
            ..ListUploads::default()
        };
        let seen = page(host, query).await;
        assert!(seen.uploads.len() <= 2);
        assert_eq!((seen.counts.archived, seen.counts.failed), (4, 1));
        keys.extend(seen.uploads.into_iter().map(|it| it.key.to_string()));
        match seen.next {
            Some(next) => after = Some(next),
            None => break,
        }
    }
    keys.sort();
    assert_eq!(keys, ["a", "b", "bad", "c", "d"]);
    let odd = ListUploads {
        limit: 2,
        after: Some(Cursor("somewhere".into())),
        ..ListUploads::default()
    };
    let refused = host.tracker().list(odd).await;
    assert!(matches!(refused, Err(Error::Refused { .. })), "{refused:?}");
}

/// A tenant sees its own uploads, how many they are, and how old.
pub async fn whoever_sees_a_prefix_learns_nothing_of_others<H: TrackedHost>(host: &H) {
    host.put("theirs/1", b"x").await;
    host.put("theirs/bad", b"x").await;
    host.put("ours/1", b"x").await;
    host.put("ours/bad", b"x").await;
    host.settle().await;
    host.tracker().pause(None).await.unwrap();
    host.put("theirs/2", b"x").await;
    host.put("ours/2", b"x").await;
    host.put("ours/3", b"x").await;
    let ours = ListUploads {
        prefix: Some("ours/".into()),
        ..ListUploads::default()
    };
    let seen = page(host, ours).await;
    let mut keys: Vec<_> = seen.uploads.iter().map(|it| it.key.as_str()).collect();
    keys.sort_unstable();
    assert_eq!(keys, ["ours/1", "ours/2", "ours/3", "ours/bad"]);
    let counts = Counts {
        pending: 2,
        archived: 1,
        failed: 1,
        ..Counts::default()
    };
    assert_eq!(seen.counts, counts);
    assert!(!seen.counts_are_least);
    assert_eq!(seen.oldest_unfinished.unwrap().key.as_str(), "ours/2");
    let nobodys = ListUploads {
        prefix: Some("nobodys/".into()),
        ..ListUploads::default()
    };
    let seen = page(host, nobodys).await;
    assert_eq!((seen.uploads.len(), seen.counts), (0, Counts::default()));
    assert_eq!(seen.oldest_unfinished, None);
    assert_eq!(of_key(host, "theirs/1").await.len(), 1);
}

/// A listener hears of an upload, or that it missed something and is to list again.
pub async fn a_listener_hears_of_what_changes<H: TrackedHost>(host: &H) {
    let mut changes = pin!(host.tracker().changes());
    // It listens from when it first asks.
    let mut heard = Box::pin(async {
        loop {
            match changes.next().await.expect("the server runs") {
                Change::Upload(upload) if upload.state == UploadState::Archived => break,
                Change::Upload(_) => {}
                Change::Missed => {
                    if all(host).await.counts.archived == 1 {
                        break;
                    }
                }
            }
        }
    });
    assert!(futures::poll!(&mut heard).is_pending());
    host.put("a", b"x").await;
    host.settle().await;
    heard.await;
}

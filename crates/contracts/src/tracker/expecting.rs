use std::time::Duration;

use two_buckets_uploads::{Error, Expected, Tracker as _, UploadKey, UploadState};

use super::{TrackedHost, all, only};

/// A file of three bytes under a key that was made for it.
fn expected<H: TrackedHost>(host: &H, key: &str) -> Expected {
    Expected {
        key: upload_key(key),
        until: host.now().after(Duration::from_mins(10)),
        size_bytes: Some(3),
        media_type: Some("text/csv".into()),
        checksum: None,
    }
}

fn upload_key(key: &str) -> UploadKey {
    key.parse().unwrap()
}

/// The id that whoever asked for a key was told is the upload's for good.
pub async fn an_expected_upload_keeps_its_id_when_it_comes<H: TrackedHost>(host: &H) {
    let tracker = host.tracker();
    assert_eq!(tracker.minted(&upload_key("made/a")).await.unwrap(), None);
    let id = tracker.expect(expected(host, "made/a")).await.unwrap();
    let waits = only(host, "made/a").await;
    assert_eq!((&waits.id, waits.is_expected), (&id, true));
    assert_eq!((waits.size_bytes, waits.version_id), (3, None));
    let minted = tracker
        .minted(&upload_key("made/a"))
        .await
        .unwrap()
        .unwrap();
    assert_eq!((&minted.id, minted.has_arrived), (&id, false));
    assert_eq!(tracker.expect(expected(host, "made/a")).await.unwrap(), id);
    // It has come, and no worker has looked at it.
    tracker.pause(None).await.unwrap();
    let version = host.put("made/a", b"abc").await;
    let minted = tracker
        .minted(&upload_key("made/a"))
        .await
        .unwrap()
        .unwrap();
    assert_eq!((&minted.id, minted.has_arrived), (&id, true));
    let came = only(host, "made/a").await;
    assert_eq!((&came.id, came.version_id), (&id, Some(version)));
    assert!(!tracker.get(&id).await.unwrap().upload.is_expected);
    assert_eq!(all(host).await.counts.pending, 1);
    tracker.resume().await.unwrap();
    host.settle().await;
    let archived = only(host, "made/a").await;
    assert_eq!((&archived.id, archived.state), (&id, UploadState::Archived));
    assert_eq!(tracker.expect(expected(host, "made/a")).await.unwrap(), id);
}

/// A key that was made for one file is not granted for another, before it has come and after.
pub async fn a_key_made_for_one_file_is_refused_to_another<H: TrackedHost>(host: &H) {
    let tracker = host.tracker();
    let other = || Expected {
        size_bytes: Some(4),
        ..expected(host, "made/a")
    };
    tracker.expect(expected(host, "made/a")).await.unwrap();
    for moment in 0..3 {
        let refused = tracker.expect(other()).await;
        assert!(
            matches!(refused, Err(Error::Conflict { .. })),
            "{moment}: {refused:?}"
        );
        if moment == 0 {
            tracker.pause(None).await.unwrap();
            host.put("made/a", b"abc").await;
        } else {
            tracker.resume().await.unwrap();
            host.settle().await;
        }
    }
    assert_eq!(only(host, "made/a").await.state, UploadState::Archived);
}

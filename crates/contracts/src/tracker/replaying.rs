use two_buckets_objects::VersionId;
use two_buckets_uploads::{
    Error, Replay, ReplaySelection, Replayed, Tracker as _, Upload, UploadState,
};

use super::{TrackedHost, all, content, of_key, only, states};

fn of_prefix(prefix: &str) -> Replay {
    Replay {
        selection: ReplaySelection::Prefix {
            prefix: prefix.into(),
            since: None,
        },
        is_dry_run: false,
        is_anew: false,
    }
}

fn of_version(key: &str, version_id: VersionId) -> Replay {
    Replay {
        selection: ReplaySelection::Version {
            key: key.parse().unwrap(),
            version_id,
        },
        ..of_prefix("")
    }
}

fn archived_as(upload: &Upload) -> VersionId {
    upload.archive.as_ref().unwrap().version_id.clone()
}

/// A replay is a new upload of the same bytes, and says whose they were.
pub async fn a_replay_is_processed_again_and_says_where_it_came_from<H: TrackedHost>(host: &H) {
    host.put("in/a", b"one").await;
    host.put("in/b", b"other").await;
    host.put("out", b"x").await;
    host.settle().await;
    let first = only(host, "in/a").await;
    let dry = Replay {
        is_dry_run: true,
        ..of_prefix("in/")
    };
    let said = host.tracker().replay(dry).await.unwrap();
    assert_eq!((said.matched, said.replayed, said.size_bytes), (2, 0, 8));
    host.settle().await;
    assert_eq!(of_key(host, "in/a").await.len(), 1);
    let said = host.tracker().replay(of_prefix("in/")).await.unwrap();
    let whole = Replayed {
        matched: 2,
        replayed: 2,
        size_bytes: 8,
        ..Replayed::default()
    };
    assert_eq!(said, whole);
    host.settle().await;
    let [again, _] = of_key(host, "in/a").await.try_into().unwrap();
    assert_eq!((again.state, again.attempts), (UploadState::Archived, 1));
    assert_ne!(archived_as(&again), archived_as(&first));
    let of = again.replay_of.as_ref().unwrap();
    assert_eq!(of.at, *first.archive.as_ref().unwrap());
    let came_by = host.tracker().get(of.upload.as_ref().unwrap()).await;
    assert_eq!(came_by.unwrap().upload.id, first.id);
    assert_eq!(content(host, &again.id).await, b"one");
    assert_eq!(of_key(host, "out").await.len(), 1);
    // It came to its end, so this is another; what was replayed may be replayed like any other.
    assert_eq!(
        host.tracker().replay(of_prefix("in/")).await.unwrap(),
        whole
    );
    host.settle().await;
    assert_eq!(
        states(&of_key(host, "in/b").await),
        [UploadState::Archived; 3]
    );
}

/// Old bytes, processed again, are no newer than they were.
pub async fn an_old_version_is_replayed_and_kept_beside<H: TrackedHost>(host: &H) {
    host.put("a", b"old").await;
    host.settle().await;
    let old = archived_as(&only(host, "a").await);
    host.put("a", b"new").await;
    host.settle().await;
    let replayed = host.tracker().replay(of_version("a", old)).await.unwrap();
    assert_eq!((replayed.matched, replayed.replayed), (1, 1));
    host.settle().await;
    let mut seen = states(&of_key(host, "a").await);
    seen.sort();
    let ends = [
        UploadState::Archived,
        UploadState::Archived,
        UploadState::Late,
    ];
    assert_eq!(seen, ends);
    // What is replayed by the prefix is what is current: the new bytes, and nothing that the pipeline keeps for itself.
    let said = host.tracker().replay(of_prefix("")).await.unwrap();
    assert_eq!((said.matched, said.replayed, said.size_bytes), (1, 1, 3));
    host.settle().await;
    let newest = of_key(host, "a").await.remove(0);
    assert_eq!(content(host, &newest.id).await, b"new");
}

/// What is the pipeline's own, and what is not there.
pub async fn what_is_reserved_or_gone_is_not_replayed<H: TrackedHost>(host: &H) {
    host.put("a", b"x").await;
    host.settle().await;
    let gone = of_version("a", VersionId::new("f".repeat(32)));
    let gone = host.tracker().replay(gone).await;
    assert!(matches!(gone, Err(Error::NotFound { .. })), "{gone:?}");
    let reserved = of_version("_late/a", VersionId::new("f".repeat(32)));
    let reserved = host.tracker().replay(reserved).await;
    assert!(
        matches!(reserved, Err(Error::Refused { .. })),
        "{reserved:?}"
    );
    let nothing = host.tracker().replay(of_prefix("nothing/")).await.unwrap();
    assert_eq!(nothing, Replayed::default());
    assert_eq!(all(host).await.counts.pending, 0);
}

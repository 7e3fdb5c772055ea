//! Replays: what is archived is processed again, and never becomes newer than it is.

use std::sync::Arc;

use two_buckets_depot::storage::MemoryStorage;
use two_buckets_depot::{CompletePart, CreateUpload};
use two_buckets_objects::{VersionId, WriteCondition};
use two_buckets_pipeline::archive::Mark;
use two_buckets_pipeline::ledger::{Ledger as _, ListUploads};
use two_buckets_pipeline::{Expectation, State, Upload};
use two_buckets_uploads::{Error, Replay, ReplaySelection, Replayed, Tracker as _};

use crate::bench::{self, archive, bucket, staging};
use crate::crashes::driver;
use crate::pausing::{Gated, Server, start};

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

/// A server that processes nothing by itself: what is in staging is worked off by hand.
async fn paused() -> Server {
    let server = start(
        bench::open(Arc::new(MemoryStorage::new())),
        &Gated::new(0),
        1,
    );
    server.tracker.pause(None).await.unwrap();
    server
}

async fn worked_off(server: &Server, is_in_one: bool) {
    let driver = driver(&server.bench, &Arc::default(), is_in_one);
    for key in ["a", "b", "b/c", "minted"] {
        driver
            .run(&staging(key), two_buckets_pipeline::Why::Event, &|| false)
            .await;
    }
    assert_eq!(server.bench.versions("staging"), []);
}

async fn rows_of(server: &Server, key: &str) -> Vec<Upload> {
    let of_key = ListUploads {
        key: Some(key.into()),
        ..ListUploads::default()
    };
    server.ledger.list(&of_key).await.unwrap().uploads
}

fn current(server: &Server, key: &str) -> (VersionId, Option<Mark>) {
    let found = server
        .bench
        .depot
        .head(&archive(key), &two_buckets_depot::Selector::Current)
        .unwrap()
        .info;
    (found.at.version_id.clone(), Mark::of(&found.metadata))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_is_processed_again_and_says_where_it_came_from() {
    for is_in_one in [true, false] {
        let server = paused().await;
        server.bench.put("a", b"one");
        server.bench.put("b/c", b"other");
        worked_off(&server, is_in_one).await;
        let (archived, first_mark) = current(&server, "a");
        let dry = Replay {
            is_dry_run: true,
            ..of_prefix("a")
        };
        let said = server.tracker.replay(dry).await.unwrap();
        assert_eq!((said.matched, said.replayed, said.size_bytes), (1, 0, 3));
        assert_eq!(server.bench.versions("staging"), []);
        let said = server.tracker.replay(of_prefix("a")).await.unwrap();
        let expected = Replayed {
            matched: 1,
            replayed: 1,
            size_bytes: 3,
            continued_since: None,
            has_more: false,
        };
        assert_eq!(said, expected);
        worked_off(&server, is_in_one).await;
        assert_eq!(server.bench.contents(&archive("a")), [b"one", b"one"]);
        let [again, first] = rows_of(&server, "a").await.try_into().unwrap();
        assert_eq!((again.state, again.attempts), (State::Archived, 1));
        let replay = again.replay.unwrap();
        assert_eq!(
            (&replay.version_id, &replay.bucket, replay.upload.as_ref()),
            (&archived, &bucket("archive"), Some(&first.id))
        );
        assert_eq!(first.replay, None);
        // It is current, and no newer than the bytes were.
        let (now, mark) = current(&server, "a");
        assert_ne!(now, archived);
        assert_eq!(
            mark.map(|mark| mark.order),
            first_mark.map(|mark| mark.order)
        );
        // And may be replayed like any other.
        server.tracker.replay(of_prefix("a")).await.unwrap();
        worked_off(&server, is_in_one).await;
        assert_eq!(server.bench.contents(&archive("a")).len(), 3);
        server.stop().await;
    }
}

/// A copy of old bytes is the newest version in staging, and must not be current over bytes that were sent after them.
#[tokio::test(flavor = "multi_thread")]
async fn a_replay_never_becomes_current_over_an_upload_that_was_sent_after_its_bytes() {
    for is_in_one in [true, false] {
        let server = paused().await;
        server.bench.put("a", b"old");
        server.bench.put("b", b"old");
        worked_off(&server, is_in_one).await;
        let depot = &server.bench.depot;
        // One waits in staging, of the other one the parts are still being sent.
        server.bench.put("a", b"new");
        let multipart = depot
            .create_upload(&staging("b"), CreateUpload::default())
            .unwrap()
            .id;
        server.tracker.replay(of_prefix("")).await.unwrap();
        worked_off(&server, is_in_one).await;
        let mut writer = depot.body_writer(&[two_buckets_objects::Algorithm::Crc64Nvme], 10);
        writer.write(&bytes::Bytes::from_static(b"new")).unwrap();
        let part = depot.put_part(&staging("b"), &multipart, 1, writer.finish().unwrap());
        let parts = [CompletePart {
            number: 1,
            etag: part.unwrap().etag,
            checksum: None,
        }];
        depot
            .complete_upload(
                &staging("b"),
                &multipart,
                &parts,
                &WriteCondition::None,
                None,
            )
            .unwrap();
        worked_off(&server, is_in_one).await;
        assert_eq!(server.bench.contents(&archive("a")), [b"old", b"new"]);
        assert_eq!(
            server.bench.contents(&archive("b")),
            [b"old", b"old", b"new"]
        );
        let states: Vec<_> = rows_of(&server, "a")
            .await
            .iter()
            .map(|row| row.state)
            .collect();
        // The latest noted first: the replay, the new one, the old one.
        assert_eq!(states, [State::Late, State::Archived, State::Archived]);
        let states: Vec<_> = rows_of(&server, "b")
            .await
            .iter()
            .map(|row| row.state)
            .collect();
        assert_eq!(states, [State::Archived; 3]);
        server.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_under_a_minted_key_is_no_duplicate() {
    for is_in_one in [true, false] {
        let server = paused().await;
        let until = server
            .bench
            .depot
            .now()
            .after(std::time::Duration::from_mins(1));
        server
            .ledger
            .mint(
                &staging("minted"),
                &Expectation::until(until),
                server.bench.depot.now(),
            )
            .await
            .unwrap();
        server.bench.put("minted", b"same");
        worked_off(&server, is_in_one).await;
        server.tracker.replay(of_prefix("minted")).await.unwrap();
        worked_off(&server, is_in_one).await;
        let states: Vec<_> = rows_of(&server, "minted")
            .await
            .iter()
            .map(|row| (row.state, row.attempts))
            .collect();
        assert_eq!(states, [(State::Archived, 1); 2]);
        assert_eq!(
            server.bench.contents(&archive("minted")),
            [b"same", b"same"]
        );
        server.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_version_is_replayed_by_its_id_and_kept_beside() {
    let server = paused().await;
    server.bench.put("a", b"old");
    worked_off(&server, true).await;
    let (old, _) = current(&server, "a");
    server.bench.put("a", b"new");
    worked_off(&server, true).await;
    let (new, _) = current(&server, "a");
    server.tracker.replay(of_version("a", old)).await.unwrap();
    worked_off(&server, true).await;
    assert_eq!(current(&server, "a").0, new);
    assert_eq!(rows_of(&server, "a").await[0].state, State::Late);
    let gone = server
        .tracker
        .replay(of_version("a", VersionId::new("f".repeat(32))))
        .await;
    assert!(matches!(gone, Err(Error::NotFound { .. })), "{gone:?}");
    // What the pipeline keeps for itself is left out.
    let late = server
        .bench
        .versions("archive")
        .into_iter()
        .filter(|it| it.key.as_str().starts_with("_late/"))
        .count();
    assert_eq!(late, 1);
    let said = server.tracker.replay(of_prefix("")).await.unwrap();
    assert_eq!(said.replayed, 1);
    assert_eq!(
        server
            .tracker
            .replay(of_prefix("_late/"))
            .await
            .unwrap()
            .matched,
        0
    );
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_can_be_cut_to_what_was_archived_since() {
    let server = paused().await;
    server.bench.put("a", b"1");
    worked_off(&server, true).await;
    let then = server.bench.depot.now();
    server.bench.put("b", b"2");
    worked_off(&server, true).await;
    let replay = Replay {
        selection: ReplaySelection::Prefix {
            prefix: String::new(),
            since: Some(then),
        },
        ..of_prefix("")
    };
    server.tracker.replay(replay).await.unwrap();
    let keys: Vec<_> = server
        .bench
        .versions("staging")
        .into_iter()
        .map(|it| it.key.to_string())
        .collect();
    assert_eq!(keys, ["b"]);
    server.stop().await;
}

//! What is asked of the services for a look, and who may not look into the buckets.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::{AttributeValue, PutRequest, WriteRequest};
use two_buckets_aws::tracker::{AwsTracker, Parts};
use two_buckets_contracts::tracker::TrackedHost as _;
use two_buckets_uploads::{Error, ListUploads, Replay, ReplaySelection, Tracker as _, UploadState};

use super::host::{Host, at};

fn all() -> ListUploads {
    ListUploads {
        limit: 100,
        ..ListUploads::default()
    }
}

/// A hundred versions that wait are two batches of reads and not a read for each.
#[tokio::test(flavor = "multi_thread")]
async fn a_page_costs_the_same_however_many_versions_wait() {
    let Some(host) = Host::start().await else {
        return;
    };
    host.tracker.list(all()).await.unwrap();
    host.wire.take_calls();
    host.tracker.list(all()).await.unwrap();
    let of_none = host.wire.take_calls();
    for n in 0..90 {
        host.put(&format!("k/{n}"), b"x").await;
    }
    host.server.calls();
    let page = host.tracker.list(all()).await.unwrap();
    assert_eq!(page.uploads.len(), 90);
    assert_eq!(host.server.calls(), ["ListObjectVersions"]);
    let of_many = host.wire.take_calls();
    assert_eq!(of_many.total(), of_none.total() + 2, "{of_many:?}");
    // With two shards: two for each home of the page and of the counts, two for each that has unfinished ones, and two
    // for what has ended.
    assert_eq!(of_none.by_operation["Query"], 2 * 6 + 2 * 5 + 2 + 2 * 3);
}

/// As `put` asks that waits for many files at once: counting once for each of them would be some hundred calls each.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_the_same_for_all_who_ask_is_looked_at_once() {
    let Some(host) = Host::start().await else {
        return;
    };
    host.put("a", b"x").await;
    host.settle().await;
    host.wire.take_calls();
    let of_key = || ListUploads {
        key: Some("a".parse().unwrap()),
        ..all()
    };
    let pages = futures::future::join_all((0..20).map(|_| host.tracker.list(of_key()))).await;
    for page in pages {
        assert_eq!(page.unwrap().counts.archived, 1);
    }
    let calls = host.wire.take_calls();
    // Two looks of 18 queries, and one for each page.
    assert!(calls.by_operation["Query"] <= 2 * 18 + 20, "{calls:?}");
}

/// The upload function's role may only put into staging.
#[tokio::test(flavor = "multi_thread")]
async fn a_service_without_the_buckets_never_asks_them_and_says_who_may() {
    let Some(host) = Host::start().await else {
        return;
    };
    host.put("bad", b"x").await;
    host.put("a", b"x").await;
    host.settle().await;
    let service = AwsTracker::new(Parts {
        buckets: None,
        ..host.parts.clone()
    });
    host.server.calls();
    let page = service.list(all()).await.unwrap();
    assert_eq!((page.counts.archived, page.counts.failed), (1, 1));
    let failed = page
        .uploads
        .iter()
        .find(|it| it.state == UploadState::Failed);
    let id = failed.unwrap().id.clone();
    assert_eq!(service.get(&id).await.unwrap().upload.key.as_str(), "bad");
    host.function().mend();
    service.retry(&id).await.unwrap();
    service.pause(None).await.unwrap();
    assert!(service.resume().await.unwrap().is_some());
    let replay = Replay {
        selection: ReplaySelection::Prefix {
            prefix: String::new(),
            since: None,
        },
        is_dry_run: false,
        is_anew: false,
    };
    let refused = [
        service.content(&id, None).await.err(),
        service.replay(replay).await.err(),
        service.sweep().await.err(),
    ];
    for refused in refused {
        let Some(Error::Refused { reason }) = refused else {
            panic!("{refused:?}");
        };
        assert!(reason.contains("--stack"), "{reason}");
    }
    assert_eq!(host.server.calls(), [""; 0]);
    // What it asked for is done by those who may.
    host.settle().await;
    assert_eq!(service.list(all()).await.unwrap().counts.archived, 2);
}

/// History grows for ever, and whoever sees part of it is told how much of it was counted.
#[tokio::test(flavor = "multi_thread")]
async fn counts_below_a_prefix_say_where_they_are_of_the_latest_only() {
    // Of each shard the hundredth part of 20,000 rows is looked at.
    let Some(host) = Host::with_shards(100).await else {
        return;
    };
    host.put("ours/a", b"x").await;
    host.settle().await;
    let scanned = host.client.scan().table_name(&host.table).send().await;
    let items = scanned.unwrap().items.unwrap();
    let is_row =
        |item: &&HashMap<String, AttributeValue>| item["pk"].as_s().unwrap().starts_with("done#");
    let [row] = items.iter().filter(is_row).collect::<Vec<_>>()[..] else {
        panic!("{items:?}");
    };
    for chunk in 0..10 {
        let writes = (0..25).map(|n| {
            let mut copy = row.clone();
            let sort_key = format!("{chunk:02}-{n:02}");
            copy.insert("sk".into(), AttributeValue::S(sort_key));
            let put = PutRequest::builder().set_item(Some(copy)).build().unwrap();
            WriteRequest::builder().put_request(put).build()
        });
        let call = host.client.batch_write_item();
        let call = call.request_items(&host.table, writes.collect());
        call.send().await.unwrap();
    }
    for (prefix, archived, are_least) in [("ours/", 200, true), ("others/", 0, true)] {
        let below = ListUploads {
            prefix: Some(prefix.into()),
            state: Some(UploadState::Failed),
            ..all()
        };
        let page = host.tracker.list(below).await.unwrap();
        assert_eq!(page.counts.archived, archived, "{prefix}");
        assert_eq!(page.counts_are_least, are_least, "{prefix}");
    }
}

/// A look at all of staging is at the first thousand versions.
#[tokio::test(flavor = "multi_thread")]
async fn what_waits_behind_a_thousand_others_is_found_by_its_key() {
    let Some(host) = Host::start().await else {
        return;
    };
    for n in 0..=1_000 {
        host.put_into(&at("staging", &format!("k/{n:04}")), b"x");
    }
    let of_key = |key: &str| ListUploads {
        key: Some(key.parse().unwrap()),
        ..all()
    };
    for key in ["k/0000", "k/1000"] {
        let page = host.tracker.list(of_key(key)).await.unwrap();
        let keys: Vec<_> = page.uploads.iter().map(|it| it.key.as_str()).collect();
        assert_eq!(keys, [key]);
    }
}

/// As a page of the tracker shows it that somebody searches.
#[tokio::test(flavor = "multi_thread")]
async fn a_search_finds_of_what_waits_only_what_it_is_for() {
    let Some(host) = Host::start().await else {
        return;
    };
    for key in ["ours/report", "ours/photo"] {
        host.put(key, b"x").await;
    }
    let search = ListUploads {
        search: Some("port".into()),
        ..all()
    };
    let page = host.tracker.list(search).await.unwrap();
    let keys: Vec<_> = page.uploads.iter().map(|it| it.key.as_str()).collect();
    assert_eq!(keys, ["ours/report"]);
    assert_eq!(page.counts.pending, 2, "counts are of all");
}

/// An answer of `DynamoDB` is of 1 MB at most, and a thousand failed files are more.
#[tokio::test(flavor = "multi_thread")]
async fn rows_that_fill_several_answers_are_all_counted() {
    let Some(host) = Host::with_shards(1).await else {
        return;
    };
    host.put("bad", b"x").await;
    host.settle().await;
    let scanned = host.client.scan().table_name(&host.table).send().await;
    let items = scanned.unwrap().items.unwrap();
    let is_row =
        |item: &&HashMap<String, AttributeValue>| item["pk"].as_s().unwrap().starts_with("failed#");
    let [row] = items.iter().filter(is_row).collect::<Vec<_>>()[..] else {
        panic!("{items:?}");
    };
    for n in 0..5 {
        let mut copy = row.clone();
        copy.insert("sk".into(), AttributeValue::S(format!("{n}")));
        let reason = AttributeValue::S("x".repeat(300_000));
        copy.insert("reason".into(), reason);
        let call = host.client.put_item().table_name(&host.table);
        call.set_item(Some(copy)).send().await.unwrap();
    }
    let page = host.tracker.list(ListUploads {
        state: Some(UploadState::Archived),
        ..all()
    });
    assert_eq!(page.await.unwrap().counts.failed, 6);
}

//! Replays that are cut off, are two at once, or are large.

use std::collections::BTreeMap;

use two_buckets_depot::PutObject;
use two_buckets_pipeline::archive::REPLAY_OF;
use two_buckets_s3_api::Fault;
use two_buckets_s3_api::faults::Code;
use two_buckets_uploads::{Error, Replay, ReplaySelection, Replayed, Result, Tracker as _};

use super::host::{Host, at};

fn of_all(is_anew: bool) -> Replay {
    Replay {
        selection: ReplaySelection::Prefix {
            prefix: "k/".into(),
            since: None,
        },
        is_dry_run: false,
        is_anew,
    }
}

/// With so many files in the archive, none of them ours.
async fn with_archived(count: usize) -> Option<Host> {
    let host = Host::start().await?;
    for n in 0..count {
        host.put_into(&at("archive", &format!("k/{n:04}")), b"x");
    }
    Some(host)
}

/// How often each key is in staging.
fn copies(host: &Host) -> Vec<usize> {
    let mut copies = BTreeMap::new();
    for version in host.versions("staging") {
        *copies.entry(version.key).or_insert(0) += 1;
    }
    copies.into_values().collect()
}

async fn replay(host: &Host, is_anew: bool) -> Result<Replayed> {
    host.tracker.replay(of_all(is_anew)).await
}

/// The machine that ran it may be gone in the middle of a portion.
#[tokio::test(flavor = "multi_thread")]
async fn a_replay_that_was_cut_off_goes_on_behind_its_last_portion_and_copies_none_twice() {
    let Some(host) = with_archived(250).await else {
        return;
    };
    host.server
        .strike(|operation, before| (operation == "CopyObject" && before >= 150).then_some(FAILS));
    let cut_off = replay(&host, false).await;
    assert!(
        matches!(cut_off, Err(Error::Unavailable { .. })),
        "{cut_off:?}"
    );
    let done = copies(&host).len();
    assert!((150..200).contains(&done), "{done}");
    host.server.strike(|_, _| None);
    let said = replay(&host, false).await.unwrap();
    assert!(said.continued_since.is_some(), "{said:?}");
    assert_eq!((said.matched, said.replayed), (150, 250 - done as u64));
    assert_eq!(copies(&host), vec![1; 250]);
    // That one has come to its end, so this is another.
    let said = replay(&host, false).await.unwrap();
    assert_eq!((said.replayed, said.continued_since), (250, None));
    assert_eq!(copies(&host), vec![2; 250]);
}

/// What is archived by now because of this replay is not copied again, but what an earlier one brought there is.
#[tokio::test(flavor = "multi_thread")]
async fn a_replay_that_goes_on_takes_what_an_earlier_replay_brought() {
    let Some(host) = Host::start().await else {
        return;
    };
    for n in 0..120 {
        let mut options = PutObject::default();
        let of_before = "an earlier replay".to_owned();
        options
            .metadata
            .user
            .insert(REPLAY_OF.to_owned(), of_before);
        host.put_as(&at("archive", &format!("k/{n:04}")), b"x", options);
    }
    host.server
        .strike(|operation, before| (operation == "CopyObject" && before >= 50).then_some(FAILS));
    replay(&host, false).await.unwrap_err();
    assert!(
        copies(&host).len() < 100,
        "it was cut off in its first portion"
    );
    host.server.strike(|_, _| None);
    replay(&host, false).await.unwrap();
    assert_eq!(copies(&host), vec![1; 120]);
}

/// Nothing was copied, and asking again does not help.
const FAILS: Fault = Fault::Refused(Code::InternalError);

#[tokio::test(flavor = "multi_thread")]
async fn of_two_replays_of_a_prefix_the_first_stops_when_the_second_goes_on_with_it() {
    let Some(host) = with_archived(250).await else {
        return;
    };
    let cut = |operation: &str, before: usize| {
        (operation == "CopyObject" && before >= 100).then_some(FAILS)
    };
    host.server.strike(cut);
    replay(&host, false).await.unwrap_err();
    host.server.strike(|_, _| None);
    let (one, other) = futures::join!(replay(&host, false), replay(&host, false));
    let ended = [one.is_ok(), other.is_ok()];
    assert!(ended.contains(&true), "{one:?} {other:?}");
    for said in [one, other].into_iter().filter_map(Result::err) {
        assert!(
            matches!(&said, Error::Conflict { reason } if reason.contains("another replay")),
            "{said:?}"
        );
    }
    // Each key was copied, at most a portion of them by both.
    let copies = copies(&host);
    assert_eq!(copies.len(), 250);
    assert!(copies.iter().sum::<usize>() <= 350, "{copies:?}");
    // Nothing of it is left.
    assert_eq!(replay(&host, false).await.unwrap().continued_since, None);
}

/// No call takes minutes.
#[tokio::test(flavor = "multi_thread")]
async fn a_large_replay_is_done_in_portions() {
    let Some(host) = with_archived(1_150).await else {
        return;
    };
    let first = replay(&host, false).await.unwrap();
    assert_eq!((first.replayed, first.has_more), (1_000, true));
    let rest = replay(&host, false).await.unwrap();
    assert_eq!((rest.replayed, rest.has_more), (150, false));
    assert!(rest.continued_since.is_some());
    assert_eq!(copies(&host), vec![1; 1_150]);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_begins_anew_begins_at_the_first_key() {
    let Some(host) = with_archived(120).await else {
        return;
    };
    host.server
        .strike(|operation, before| (operation == "CopyObject" && before >= 100).then_some(FAILS));
    replay(&host, false).await.unwrap_err();
    host.server.strike(|_, _| None);
    let said = replay(&host, true).await.unwrap();
    assert_eq!((said.replayed, said.continued_since), (120, None));
}

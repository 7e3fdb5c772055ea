//! The pause is an item of the table.

use two_buckets_contracts::tracker::TrackedHost as _;
use two_buckets_uploads::{Paused, Tracker as _};

use super::host::Host;
use crate::wire::Trouble;

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_whose_answer_was_lost_is_the_same_pause() {
    let Some(host) = Host::start().await else {
        return;
    };
    host.wire.plan("UpdateItem", Trouble::Lost);
    let before = host.now();
    let paused = host.tracker.pause(Some("why".into())).await.unwrap();
    assert_eq!(host.wire.met(), 1);
    assert!(paused.since >= before && paused.since <= host.now());
    let kept = host.ledger.paused().await.unwrap();
    assert_eq!(kept.map(Paused::from), Some(paused.clone()));
    let again = host.tracker.pause(None).await.unwrap();
    assert_eq!(again, paused);
}

#[tokio::test(flavor = "multi_thread")]
async fn whether_it_is_paused_is_one_read() {
    let Some(host) = Host::start().await else {
        return;
    };
    host.ledger.paused().await.unwrap();
    host.wire.take_calls();
    host.ledger.paused().await.unwrap();
    let calls = host.wire.take_calls();
    assert_eq!(calls.by_operation["GetItem"], calls.total());
    assert_eq!(calls.total(), 1);
}

//! Who may change a key, and until when.

use two_buckets_objects::{VersionId, VersionRef};
use two_buckets_pipeline::ledger::{Claim, Release};
use two_buckets_pipeline::{Lease, Ledger, State, UploadId};

use super::{
    archive, begin, begun, claim, failed, hold, is_fenced_off, key, listed, ms, note, row,
};

/// Fencing tokens grow.
pub async fn a_claim_gives_a_higher_token_each_time<L: Ledger>(ledger: &L) {
    let first = hold(ledger, "a", 0).await;
    ledger.release(&first).await.unwrap();
    let second = hold(ledger, "a", 1).await;
    assert!(second.token > first.token);
    let third = hold(ledger, "a", 100_000).await;
    assert!(third.token > second.token);
}

/// A conflict is remembered where the holder will see it.
pub async fn a_live_lease_turns_others_away_and_is_dirty_then<L: Ledger>(ledger: &L) {
    let lease = hold(ledger, "a", 0).await;
    assert!(!lease.dirty);
    assert_eq!(claim(ledger, "a", 9_999).await, Claim::Busy);
    let live = ledger
        .live_lease(&key("a"), ms(9_999))
        .await
        .unwrap()
        .unwrap();
    assert!(live.dirty);
    assert_eq!(live.token, lease.token);
    assert!(matches!(claim(ledger, "b", 0).await, Claim::Held(_)));
}

/// A dead holder holds up nobody for longer than its lease.
pub async fn a_lease_past_its_end_can_be_taken_over<L: Ledger>(ledger: &L) {
    hold(ledger, "a", 0).await;
    assert_eq!(
        ledger.live_lease(&key("a"), ms(10_000)).await.unwrap(),
        None
    );
    let second = hold(ledger, "a", 10_000).await;
    assert!(!second.dirty);
}

/// The token decides, not a clock.
pub async fn a_lease_past_its_end_still_writes_while_nobody_took_it_over<L: Ledger>(ledger: &L) {
    let lease = hold(ledger, "a", 0).await;
    let upload = note(ledger, &lease, "v", 5).await;
    begun(ledger, &lease, &upload.id, 1_000_000).await;
    archive(ledger, &lease, &upload.id).await.unwrap();
    assert_eq!(row(ledger, &upload.id).await.state, State::Archived);
}

/// Renewing moves the end, and keeps what happened to the lease.
pub async fn a_renewed_lease_lives_on<L: Ledger>(ledger: &L) {
    let lease = hold(ledger, "a", 0).await;
    assert_eq!(claim(ledger, "a", 1).await, Claim::Busy);
    let renewed = ledger.renew(&lease, ms(30_000)).await.unwrap();
    assert_eq!(
        (renewed.token, renewed.expires_at),
        (lease.token, ms(30_000))
    );
    assert!(
        renewed.dirty,
        "renewing must not forget who was turned away"
    );
    assert_eq!(claim(ledger, "a", 29_999).await, Claim::Busy);
}

/// No wake-up is lost between the holder's last look and its release.
pub async fn a_dirty_lease_is_cleaned_and_goes_on_instead_of_ending<L: Ledger>(ledger: &L) {
    let lease = hold(ledger, "a", 0).await;
    assert_eq!(claim(ledger, "a", 1).await, Claim::Busy);
    assert_eq!(ledger.release(&lease).await.unwrap(), Release::LookAgain);
    assert_eq!(claim(ledger, "a", 2).await, Claim::Busy);
    assert_eq!(ledger.release(&lease).await.unwrap(), Release::LookAgain);
    assert_eq!(ledger.release(&lease).await.unwrap(), Release::Released);
}

/// A release needs no waiting.
pub async fn a_released_key_can_be_claimed_at_once<L: Ledger>(ledger: &L) {
    let lease = hold(ledger, "a", 0).await;
    assert_eq!(ledger.release(&lease).await.unwrap(), Release::Released);
    assert_eq!(ledger.live_lease(&key("a"), ms(0)).await.unwrap(), None);
    hold(ledger, "a", 0).await;
}

/// Every write is fenced.
pub async fn a_stale_lease_can_change_nothing<L: Ledger>(ledger: &L) {
    let stale = hold(ledger, "a", 0).await;
    let upload = note(ledger, &stale, "v", 5).await;
    let lease = hold(ledger, "a", 10_000).await;
    nothing_can_be_changed(ledger, &stale, &upload.id).await;
    // Whoever has it now is not disturbed.
    begun(ledger, &lease, &upload.id, 10_001).await;
    nothing_can_be_changed(ledger, &stale, &upload.id).await;
    archive(ledger, &lease, &upload.id).await.unwrap();
    assert!(is_fenced_off(ledger.close(&stale, &upload.id).await));
    assert_eq!(ledger.release(&lease).await.unwrap(), Release::Released);
}

/// A lease ends with its release.
pub async fn a_released_lease_can_change_nothing<L: Ledger>(ledger: &L) {
    let lease = hold(ledger, "a", 0).await;
    let upload = note(ledger, &lease, "v", 5).await;
    ledger.release(&lease).await.unwrap();
    nothing_can_be_changed(ledger, &lease, &upload.id).await;
}

async fn nothing_can_be_changed<L: Ledger>(ledger: &L, stale: &Lease, id: &UploadId) {
    let before = row(ledger, id).await;
    let new = listed("a", "new", 6);
    assert!(is_fenced_off(ledger.renew(stale, ms(99_999)).await));
    assert!(is_fenced_off(ledger.release(stale).await));
    assert!(is_fenced_off(ledger.note(stale, &[new]).await));
    assert!(is_fenced_off(begin(ledger, stale, id, 20_000).await));
    assert!(is_fenced_off(
        ledger.end(stale, id, &failed("no"), ms(20_000)).await
    ));
    assert!(is_fenced_off(archive(ledger, stale, id).await));
    assert!(is_fenced_off(ledger.close(stale, id).await));
    assert_eq!(row(ledger, id).await, before);
    let new = VersionRef {
        bucket: "staging".parse().unwrap(),
        key: "a".parse().unwrap(),
        version_id: VersionId::new("new"),
    };
    assert_eq!(ledger.find(&new).await.unwrap(), None);
}

//! Uploads of jobs, and their leases.

use two_buckets_pipeline::ledger::{Claim, ClaimKey, Error, Release};
use two_buckets_pipeline::{Holder, Lease, Ledger, NotCancelled, State, Upload, UploadId};

use super::{LIFE, archive, begin, begun, claim, hold, is_fenced_off, key, ms, note, row};

async fn claim_for_job<L: Ledger>(ledger: &L, name: &str, id: &UploadId, now: i64) -> Claim {
    ledger
        .claim(&ClaimKey {
            key: key(name),
            holder: Holder("a job".into()),
            now: ms(now),
            life: LIFE,
            job: Some(id.clone()),
        })
        .await
        .unwrap()
}

/// An upload of this key that a worker left to a job, and the key let go.
async fn queued<L: Ledger>(ledger: &L, name: &str, last_modified: i64) -> Upload {
    let lease = hold(ledger, name, 0).await;
    let upload = note(ledger, &lease, "v1", last_modified).await;
    let queued = ledger.queue_job(&lease, &upload.id, ms(1)).await.unwrap();
    assert_eq!(ledger.release(&lease).await.unwrap(), Release::Released);
    queued
}

async fn held_by_job<L: Ledger>(ledger: &L, name: &str, id: &UploadId, now: i64) -> Lease {
    match claim_for_job(ledger, name, id, now).await {
        Claim::Held(lease) => lease,
        Claim::Busy => panic!("nobody else holds {name}"),
    }
}

/// What is left to a job is marked, and in the list of jobs from then until it ends, those received first first.
pub async fn jobs_are_listed_until_they_end<L: Ledger>(ledger: &L) {
    let (late, early) = (queued(ledger, "b", 20).await, queued(ledger, "a", 10).await);
    assert!(late.is_job && row(ledger, &late.id).await.is_job);
    let listed = async || -> Vec<UploadId> {
        let jobs = ledger.jobs(None, 100).await.unwrap();
        jobs.into_iter().map(|upload| upload.id).collect()
    };
    assert_eq!(listed().await, [early.id.clone(), late.id.clone()]);
    let first = ledger.jobs(None, 1).await.unwrap();
    assert_eq!(first.len(), 1);
    let behind = ledger.jobs(Some(&early.id), 100).await.unwrap();
    assert_eq!(behind, [row(ledger, &late.id).await]);
    assert!(ledger.jobs(Some(&late.id), 100).await.unwrap().is_empty());
    let lease = held_by_job(ledger, "a", &early.id, 2).await;
    begun(ledger, &lease, &early.id, 3).await;
    assert_eq!(listed().await, [early.id.clone(), late.id.clone()]);
    archive(ledger, &lease, &early.id).await.unwrap();
    assert_eq!(listed().await, [late.id]);
}

/// A job's lease says whose it is, past its end as well, and is nobody else's.
pub async fn the_lease_of_a_job_is_found_by_its_upload<L: Ledger>(ledger: &L) {
    let upload = queued(ledger, "a", 1).await;
    assert_eq!(ledger.job_lease(&upload.id).await.unwrap(), None);
    let lease = hold(ledger, "a", 2).await;
    assert_eq!(ledger.job_lease(&upload.id).await.unwrap(), None);
    ledger.release(&lease).await.unwrap();
    let lease = held_by_job(ledger, "a", &upload.id, 3).await;
    let found = ledger.job_lease(&upload.id).await.unwrap().unwrap();
    assert_eq!(found, lease);
    assert_eq!(found.job.as_ref(), Some(&upload.id));
    assert!(matches!(claim(ledger, "a", 4).await, Claim::Busy));
    let taken = hold(ledger, "a", 100_000).await;
    assert_eq!(taken.job, None);
    assert_eq!(ledger.job_lease(&upload.id).await.unwrap(), None);
    assert!(is_fenced_off(
        begin(ledger, &lease, &upload.id, 100_001).await
    ));
}

/// Nothing is left to a job under a lease that is gone.
pub async fn a_stale_lease_leaves_nothing_to_a_job<L: Ledger>(ledger: &L) {
    let lease = hold(ledger, "a", 0).await;
    let upload = note(ledger, &lease, "v1", 1).await;
    ledger.release(&lease).await.unwrap();
    assert!(is_fenced_off(
        ledger.queue_job(&lease, &upload.id, ms(1)).await
    ));
    assert!(!row(ledger, &upload.id).await.is_job);
}

/// Cancelling ends upload and lease in one: the job can do nothing more, and the key is free.
pub async fn a_cancelled_job_is_fenced_off_and_its_key_is_free<L: Ledger>(ledger: &L) {
    let upload = queued(ledger, "a", 1).await;
    let lease = held_by_job(ledger, "a", &upload.id, 2).await;
    begun(ledger, &lease, &upload.id, 3).await;
    let cancelled = ledger.cancel_job(&upload.id, ms(4)).await.unwrap();
    assert_eq!(cancelled.state, State::Failed);
    assert!(cancelled.reason.is_some());
    assert_eq!(row(ledger, &upload.id).await, cancelled);
    assert!(is_fenced_off(ledger.renew(&lease, ms(9_000)).await));
    assert!(is_fenced_off(archive(ledger, &lease, &upload.id).await));
    assert!(ledger.jobs(None, 100).await.unwrap().is_empty());
    hold(ledger, "a", 5).await;
}

/// Cancelling a job that waits leaves the lease of whoever has its key alone.
pub async fn cancelling_takes_no_lease_but_the_jobs_own<L: Ledger>(ledger: &L) {
    let upload = queued(ledger, "a", 1).await;
    let lease = hold(ledger, "a", 2).await;
    ledger.cancel_job(&upload.id, ms(3)).await.unwrap();
    ledger.renew(&lease, ms(9_000)).await.unwrap();
}

/// Only jobs that have not ended can be cancelled.
pub async fn only_an_unfinished_job_can_be_cancelled<L: Ledger>(ledger: &L) {
    let lease = hold(ledger, "a", 0).await;
    let inline = note(ledger, &lease, "v1", 1).await;
    let refused = ledger.cancel_job(&inline.id, ms(2)).await;
    assert!(matches!(
        refused,
        Err(Error::NotCancelled(NotCancelled::NotAJob))
    ));
    let ended = queued(ledger, "b", 1).await;
    ledger.cancel_job(&ended.id, ms(2)).await.unwrap();
    let refused = ledger.cancel_job(&ended.id, ms(3)).await;
    assert!(matches!(
        refused,
        Err(Error::NotCancelled(NotCancelled::Ended(State::Failed)))
    ));
    let unknown = UploadId::new("unknown").unwrap();
    assert!(matches!(
        ledger.cancel_job(&unknown, ms(3)).await,
        Err(Error::NotFound(_))
    ));
}

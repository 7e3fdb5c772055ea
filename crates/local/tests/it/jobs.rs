//! Jobs on the embedded store: what happens to their keys, over restarts of the server too.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use two_buckets_depot::storage::MemoryStorage;
use two_buckets_local::DepotStore;
use two_buckets_objects::{ObjectStore as _, Timestamp};
use two_buckets_pipeline::ledger::{Claim, ClaimKey, SourceFacts};
use two_buckets_pipeline::step::Stopped;
use two_buckets_pipeline::{
    AttemptOutcome, Begin, Holder, JobClaim, Lease, Ledger, ProcessError, Report, Routes, State,
    Sweeper, Upload, Why,
};

use two_buckets_uploads as uploads;
use uploads::{Change, Tracker as _, UploadState};

use crate::bench::{self, Bench, archive, staging};
use crate::crashes::{TestDriver, driver, work_off};
use crate::minted::{self, Host};

/// Files of at least this size are jobs.
const JOB_BYTES: u64 = 1_000;

/// How long a test waits for something that must come.
const PATIENCE: Duration = Duration::from_secs(30);

/// A server on this store, as it is when it has just been started: workers' leases of the one before are void.
fn server(bench: &Bench, is_in_one: bool) -> TestDriver {
    let mut driver = driver(bench, &Arc::default(), is_in_one);
    driver.settings.routes = Routes::jobs_from(JOB_BYTES);
    driver
}

fn holder() -> Holder {
    Holder("a job".into())
}

async fn only_job(server: &TestDriver) -> Upload {
    let mut jobs = server.ledger.jobs(None, 10).await.unwrap();
    assert_eq!(jobs.len(), 1, "{jobs:?}");
    jobs.remove(0)
}

async fn begun(server: &TestDriver, job: &Upload) -> (Lease, Upload) {
    match server.claim_job(&job.key, &job.id, &holder()).await {
        JobClaim::Begun {
            lease,
            upload,
            source,
        } => {
            assert_eq!(source.at, job.version().unwrap());
            (lease, *upload)
        }
        JobClaim::Nothing(stopped) => panic!("the job does not begin: {stopped:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_later_version_waits_for_its_job_over_a_restart_and_both_are_archived_in_order() {
    for is_in_one in [true, false] {
        let bench = bench::open(Arc::new(MemoryStorage::new()));
        let first = server(&bench, is_in_one);
        let large = vec![7; 5_000];
        bench.put("a", &large);
        bench.put("a", b"later");
        bench.put("b", b"beside");
        work_off(&first, &bench.queue).await;
        assert_eq!(bench.contents(&archive("b")), [b"beside"]);
        let job = only_job(&first).await;
        assert_eq!((job.state, job.attempts), (State::Pending, 0));
        let (lease, upload) = begun(&first, &job).await;
        assert_eq!((upload.state, upload.attempts), (State::Processing, 1));
        drop(first);

        let second = server(&bench, is_in_one);
        let swept = Sweeper { driver: &second }.sweep(&|| false).await.unwrap();
        assert_eq!(swept.woken, 0, "its holder looks again by itself");
        second.run(&staging("a"), Why::Event, &|| false).await;
        assert_eq!(bench.versions("staging").len(), 2, "the job has the key");
        assert_eq!(
            second.claim_job(&job.key, &job.id, &holder()).await,
            JobClaim::Nothing(Stopped::Busy)
        );
        let done = second
            .finish_job(&lease, &job.id, Ok(Report::default()), Duration::ZERO)
            .await;
        assert_eq!(done.tally.archived, 1);
        work_off(&second, &bench.queue).await;
        assert_eq!(
            bench.contents(&archive("a")),
            [large.as_slice(), b"later".as_slice()]
        );
        assert_eq!(bench.versions("staging"), []);
        assert!(second.ledger.jobs(None, 10).await.unwrap().is_empty());
        let again = second
            .finish_job(&lease, &job.id, Ok(Report::default()), Duration::ZERO)
            .await;
        assert_eq!(again.tally.archived, 0, "a repeat changes nothing");
        assert_eq!(again.stopped, Stopped::FencedOff);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_job_is_a_counted_attempt_and_begins_again() {
    let bench = bench::open(Arc::new(MemoryStorage::new()));
    let server = server(&bench, true);
    bench.put("a", &[7; 5_000]);
    work_off(&server, &bench.queue).await;
    let job = only_job(&server).await;
    let (lease, _) = begun(&server, &job).await;
    let dead = Err(ProcessError::Crashed("its process was killed".into()));
    server
        .finish_job(&lease, &job.id, dead, Duration::ZERO)
        .await;
    let (_, upload) = begun(&server, &job).await;
    assert_eq!((upload.attempts, upload.attempts_ever), (2, 2));
    let (_, outcome) = upload.log[0].ended.unwrap();
    assert_eq!(outcome, AttemptOutcome::Crashed);
    assert_eq!(
        upload.log[0].reason.as_deref(),
        Some("its process was killed")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_failed_for_now_lets_later_versions_go_on() {
    let bench = bench::open(Arc::new(MemoryStorage::new()));
    let mut server = server(&bench, true);
    // The longest first wait, so that it is not over at once.
    server.random = Arc::new(|| 999);
    bench.put("a", &[7; 5_000]);
    bench.put("a", b"later");
    work_off(&server, &bench.queue).await;
    let job = only_job(&server).await;
    let (lease, _) = begun(&server, &job).await;
    let later = Err(ProcessError::Transient("not now".into()));
    server
        .finish_job(&lease, &job.id, later, Duration::ZERO)
        .await;
    work_off(&server, &bench.queue).await;
    assert_eq!(bench.contents(&archive("a")), [b"later"]);
    let waits = only_job(&server).await;
    assert_eq!(waits.state, State::Pending);
    assert!(waits.next_attempt_at.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_job_moves_nothing_and_a_later_version_goes_on() {
    let bench = bench::open(Arc::new(MemoryStorage::new()));
    let server = server(&bench, true);
    bench.put("a", &[7; 5_000]);
    bench.put("a", b"later");
    work_off(&server, &bench.queue).await;
    let job = only_job(&server).await;
    let (lease, _) = begun(&server, &job).await;
    let now = Timestamp::from_millis(1);
    server.ledger.cancel_job(&job.id, now).await.unwrap();
    let done = server
        .finish_job(&lease, &job.id, Ok(Report::default()), Duration::ZERO)
        .await;
    assert_eq!(done.stopped, Stopped::FencedOff);
    server.run(&staging("a"), Why::Event, &|| false).await;
    assert_eq!(bench.contents(&archive("a")), [b"later"]);
    assert_eq!(bench.versions("staging").len(), 1, "it stays in staging");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_is_cancelled_through_the_api_fails_with_that_reason_and_its_key_is_woken() {
    let mut host = minted::host_with(Routes::jobs_from(JOB_BYTES));
    let mut changes = host.tracker.changes().boxed();
    let large = vec![7; 5_000];
    host.bench.put("a", &large);
    let job = loop {
        match tokio::time::timeout(PATIENCE, changes.next()).await {
            Ok(Some(Change::Upload(upload))) if upload.is_job => break upload,
            Ok(Some(_)) => {}
            nothing => panic!("the worker routes it to a job: {nothing:?}"),
        }
    };
    assert_eq!(job.state, UploadState::Pending);
    let lease = begin_at(&host, "a").await;
    let running = host.tracker.get(&job.id).await.unwrap().upload;
    assert_eq!(running.state, UploadState::Processing);
    // It waits for the job, and no wake-up but the cancellation's comes after its own.
    host.bench.put("a", b"later");
    host.bench.put("beside", b"1");
    assert_eq!(host.next_archived().await, "beside");

    let cancelled = host.tracker.cancel(&job.id).await.unwrap();
    assert_eq!(cancelled.state, UploadState::Failed);
    assert_eq!(cancelled.reason.as_deref(), Some("its job was cancelled"));
    assert!(cancelled.is_job && cancelled.finished_at.is_some());
    let renewed = host.ledger.renew(&lease, Timestamp::from_millis(1)).await;
    assert!(renewed.is_err(), "the job is fenced off");
    assert_eq!(host.next_archived().await, "a");
    assert_eq!(host.bench.contents(&archive("a")), [b"later"]);
    let shown = host.tracker.get(&job.id).await.unwrap();
    assert_eq!(shown.upload, cancelled);
    assert_eq!(
        shown.attempts_log[0].reason.as_deref(),
        Some("its job was cancelled")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_cancelled_is_refused_with_what_to_do_instead() {
    let mut host = minted::host_with(Routes::jobs_from(JOB_BYTES));
    let idle = bench::open(Arc::new(MemoryStorage::new()));
    host.bench.put("plain", b"small");
    assert_eq!(host.next_archived().await, "plain");
    let archived = host.only_upload().await;
    let refused = host.tracker.cancel(&archived).await;
    let said = in_words(refused);
    assert!(said.contains("is archived"), "{said}");
    assert!(said.contains("archive bucket"), "{said}");

    // A version that no worker has looked at: nobody knows that it is for a job.
    host.tracker.store = DepotStore::new(idle.depot.clone());
    host.tracker.ledger = two_buckets_local::DepotLedger::open(idle.depot.clone()).unwrap();
    host.tracker.queue = idle.queue.clone();
    idle.put("a", &[7; 5_000]);
    let waits = host.only_upload().await;
    let said = in_words(host.tracker.cancel(&waits).await);
    assert!(said.contains("only jobs"), "{said}");
    assert!(said.contains("wait"), "{said}");

    let nobody = "nobody".parse().unwrap();
    assert!(matches!(
        host.tracker.cancel(&nobody).await,
        Err(uploads::Error::NotFound { .. })
    ));
}

fn in_words(refused: uploads::Result<uploads::Upload>) -> String {
    match refused {
        Err(uploads::Error::Conflict { reason }) => reason,
        other => panic!("it is no job's that goes on: {other:?}"),
    }
}

/// Claims the key for the job that waits there, as a job does, and begins its attempt.
async fn begin_at(host: &Host, key: &str) -> Lease {
    let jobs = host.ledger.jobs(None, 1).await.unwrap();
    let claim = ClaimKey {
        key: staging(key),
        holder: Holder("a job".into()),
        now: host.bench.depot.now(),
        life: PATIENCE,
        job: Some(jobs[0].id.clone()),
    };
    let lease = loop {
        // The worker may not have let go yet.
        match host.ledger.claim(&claim).await.unwrap() {
            Claim::Held(lease) => break lease,
            Claim::Busy => tokio::task::yield_now().await,
        }
    };
    let begun = host
        .ledger
        .begin_attempt(
            &lease,
            &jobs[0].id,
            &SourceFacts::default(),
            3,
            host.bench.depot.now(),
        )
        .await;
    assert!(matches!(begun, Ok(Begin::Begun(_))), "{begun:?}");
    lease
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_whose_version_went_away_is_explained() {
    for is_in_one in [true, false] {
        let bench = bench::open(Arc::new(MemoryStorage::new()));
        let server = server(&bench, is_in_one);
        bench.put("a", &[7; 5_000]);
        work_off(&server, &bench.queue).await;
        let job = only_job(&server).await;
        let (lease, _) = begun(&server, &job).await;
        let gone = job.version().unwrap();
        let store = DepotStore::new(bench.depot.clone());
        store.delete_version(&gone).await.unwrap();
        server
            .finish_job(&lease, &job.id, Ok(Report::default()), Duration::ZERO)
            .await;
        work_off(&server, &bench.queue).await;
        let row = server.ledger.get(&job.id).await.unwrap().unwrap();
        assert_eq!(row.state, State::Failed);
        assert!(row.reason.unwrap().contains("deleted from staging"));
    }
}

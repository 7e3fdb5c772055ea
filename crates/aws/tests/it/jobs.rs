//! Jobs on Batch: what is submitted, what a job's end means, and that only the ledger says what is to be done.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};
use two_buckets_aws::jobs::{Error, Jobs, JobsOptions, holder};
use two_buckets_aws::ledger::{DynamoLedger, create_table};
use two_buckets_aws::{S3Store, S3StoreOptions};
use two_buckets_depot::Versioning;
use two_buckets_objects::{
    ListVersions, ObjectRef, ObjectStore as _, PutOptions, Timestamp, body_from_bytes,
};
use two_buckets_pipeline::step::Stopped;
use two_buckets_pipeline::{
    AttemptOutcome, Clock, Driver, Holder, Incoming, JobClaim, Lease, Ledger as _, ProcessError,
    Processor, Report, Routes, Settings, State, Upload, WakeUp, WakeUps, Why,
};

use crate::canned::{Asked, Canned, Reply};
use crate::moto::moto;
use crate::s3::server::{Server, bucket, now};
use crate::wire::Wire;

const ARCHIVE: &str = "archive";
/// Files of at least this size are jobs.
const JOB_BYTES: u64 = 1_000;

/// The machine's time, which may be set forward.
#[derive(Default)]
struct TestClock(AtomicI64);

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        now().after(Duration::from_millis(
            self.0.load(Ordering::Relaxed).unsigned_abs(),
        ))
    }

    async fn sleep(&self, wait: Duration) {
        tokio::time::sleep(wait).await;
    }
}

/// Where hints go that nobody follows.
#[derive(Default)]
struct Hints(Mutex<Vec<WakeUp>>);

impl WakeUps for Hints {
    async fn wake(&self, wake_up: WakeUp, _not_before: Option<Timestamp>) {
        self.0.lock().unwrap().push(wake_up);
    }

    async fn room(&self) {}
}

/// Answers what it was given, and then that all is well. Without an answer it runs for good.
#[derive(Default)]
struct Answers(Mutex<VecDeque<Option<Result<Report, ProcessError>>>>);

impl Processor for Answers {
    async fn process(&self, upload: Incoming) -> Result<Report, ProcessError> {
        upload.log.append(b"it runs\n");
        let next = self.0.lock().unwrap().pop_front();
        match next {
            Some(None) => std::future::pending().await,
            Some(Some(answer)) => answer,
            None => Ok(Report::default()),
        }
    }
}

type TestDriver = Driver<S3Store, DynamoLedger, Answers, TestClock, Hints>;

/// What Batch has, as far as it matters here.
#[derive(Default)]
struct Batch {
    jobs: Vec<Job>,
    /// What becomes of the answers to the next submissions.
    answers: VecDeque<Reply>,
}

struct Job {
    name: String,
    status: &'static str,
    stopped_at: Option<i64>,
    reason: &'static str,
}

impl Batch {
    fn answer(&mut self, asked: &Asked) -> Reply {
        let body = asked.json();
        match &*asked.what {
            "POST /v1/submitjob" => {
                let id = format!("job-{}", self.jobs.len());
                let name = body["jobName"].as_str().unwrap().to_owned();
                self.jobs.push(Job {
                    name: name.clone(),
                    status: "RUNNABLE",
                    stopped_at: None,
                    reason: "",
                });
                let answer = Reply::json(&json!({ "jobId": id, "jobName": name }));
                self.answers.pop_front().unwrap_or(answer)
            }
            "POST /v1/listjobs" => {
                let is_listed = |job: &Job| match body["filters"][0]["values"][0].as_str() {
                    Some(name) => match name.strip_suffix('*') {
                        Some(prefix) => job.name.starts_with(prefix),
                        None => job.name == name,
                    },
                    None => job.status == body["jobStatus"],
                };
                let jobs = self
                    .jobs
                    .iter()
                    .enumerate()
                    .filter(|(_, job)| is_listed(job));
                // One a page.
                let from = body["nextToken"]
                    .as_str()
                    .map_or(0, |it| it.parse().unwrap());
                let mut jobs = jobs.skip(from);
                let page: Vec<Value> = jobs.next().map(summary).into_iter().collect();
                let next = jobs.next().map(|_| (from + 1).to_string());
                Reply::json(&json!({ "jobSummaryList": page, "nextToken": next }))
            }
            "POST /v1/describejobs" => {
                let ids = body["jobs"].as_array().unwrap();
                let jobs = self.jobs.iter().enumerate();
                let asked = |(n, _): &(usize, &Job)| ids.contains(&format!("job-{n}").into());
                let described: Vec<Value> = jobs
                    .filter(asked)
                    .map(|(n, job)| {
                        json!({ "jobId": format!("job-{n}"), "jobName": job.name, "status": job.status,
                                "jobQueue": "queue", "jobDefinition": "definition:3", "startedAt": 1,
                                "statusReason": job.reason, "container": { "exitCode": 137 } })
                    })
                    .collect();
                Reply::json(&json!({ "jobs": described }))
            }
            "POST /v1/terminatejob" => {
                let id = body["jobId"].as_str().unwrap();
                let n: usize = id.strip_prefix("job-").unwrap().parse().unwrap();
                self.jobs[n].status = "FAILED";
                Reply::json(&json!({}))
            }
            other => panic!("nobody calls {other}"),
        }
    }
}

fn summary((n, job): (usize, &Job)) -> Value {
    json!({ "jobId": format!("job-{n}"), "jobName": job.name, "status": job.status, "stoppedAt": job.stopped_at })
}

struct Bed {
    server: Server,
    driver: Arc<TestDriver>,
    batch: Arc<Mutex<Batch>>,
    canned: Canned,
    jobs: Jobs<S3Store, DynamoLedger, Answers, TestClock, Hints>,
}

impl Bed {
    /// None where there is no ledger to be had.
    async fn new(name: &str) -> Option<Self> {
        let wire = Wire::new();
        let dynamodb = wire.dynamodb(&moto()?.endpoint);
        let table = format!("jobs-{name}");
        create_table(&dynamodb, &table).await.unwrap();
        let ledger = DynamoLedger::new(dynamodb, &table).with_shards_if_new(1);
        let server = Server::start().await;
        let archive = ARCHIVE.parse().unwrap();
        server.depot.create_bucket(&archive).unwrap();
        server
            .depot
            .set_versioning(&archive, Versioning::Enabled)
            .unwrap();
        let mut settings = Settings::new(bucket(), archive, Holder("a worker".into()));
        settings.routes = Routes::jobs_from(JOB_BYTES);
        let driver = Arc::new(Driver {
            store: Arc::new(server.store(S3StoreOptions::default())),
            ledger: Arc::new(ledger),
            processor: Arc::default(),
            clock: Arc::default(),
            wake_ups: Arc::default(),
            random: Arc::new(|| 7),
            settings,
        });
        let batch: Arc<Mutex<Batch>> = Arc::default();
        let answering = batch.clone();
        let canned = Canned::start(move |asked| answering.lock().unwrap().answer(asked)).await;
        let options = JobsOptions {
            queue: "queue".into(),
            definition: "definition:3".into(),
            at_once: 2,
        };
        let jobs = Jobs::new(&canned.clients().await, driver.clone(), options);
        Some(Self {
            server,
            driver,
            batch,
            canned,
            jobs,
        })
    }

    /// Puts a file that is a job's, and has a worker leave it to one.
    async fn queued(&self, key: &str) -> Upload {
        let at = at(key);
        let body = body_from_bytes(Bytes::from(vec![7; 5_000]));
        let store = &self.driver.store;
        store.put(&at, body, PutOptions::default()).await.unwrap();
        let outcome = self.driver.run(&at, Why::Event, &|| false).await;
        assert_eq!(outcome.stopped, Stopped::Idle);
        assert_eq!(outcome.tally.queued, 1, "who starts jobs is told");
        let mut rows = self.driver.ledger.unfinished_of(&at).await.unwrap();
        assert_eq!(rows.len(), 1);
        rows.remove(0)
    }

    async fn row(&self, upload: &Upload) -> Upload {
        self.driver.ledger.get(&upload.id).await.unwrap().unwrap()
    }

    async fn begun(&self, upload: &Upload, batch_job_id: &str) -> Lease {
        let holder = holder(batch_job_id);
        match self
            .driver
            .claim_job(&upload.key, &upload.id, &holder)
            .await
        {
            JobClaim::Begun { lease, .. } => lease,
            JobClaim::Nothing(stopped) => panic!("{stopped:?}"),
        }
    }

    /// Runs the job as its container does.
    async fn run(&self, upload: &Upload, batch_job_id: &str) -> Stopped {
        let stopping = std::future::pending();
        let holder = holder(batch_job_id);
        let run = self
            .driver
            .run_job(&upload.key, &upload.id, &holder, stopping);
        run.await.stopped
    }

    fn set(&self, n: usize, status: &'static str, stopped_at: Option<i64>, reason: &'static str) {
        let job = &mut self.batch.lock().unwrap().jobs[n];
        (job.status, job.stopped_at, job.reason) = (status, stopped_at, reason);
    }

    fn names(&self) -> Vec<String> {
        let batch = self.batch.lock().unwrap();
        batch.jobs.iter().map(|job| job.name.clone()).collect()
    }

    fn pass(&self, time: Duration) {
        let millis = i64::try_from(time.as_millis()).unwrap();
        self.driver.clock.0.fetch_add(millis, Ordering::Relaxed);
    }
}

fn at(key: &str) -> ObjectRef {
    ObjectRef {
        bucket: bucket(),
        key: key.parse().unwrap(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_left_to_a_job_is_submitted_once_whoever_asks_and_archived_by_it() {
    let Some(bed) = Bed::new("once").await else {
        return;
    };
    let upload = bed.queued("in/a\u{1} ä").await;
    assert_eq!(bed.jobs.start_of(&upload.key).await.unwrap(), 1);
    let asked = bed.canned.take();
    let submitted = asked
        .iter()
        .find(|asked| asked.what == "POST /v1/submitjob");
    let submitted = submitted.unwrap().json();
    assert_eq!(submitted["jobQueue"], "queue");
    assert_eq!(submitted["jobDefinition"], "definition:3");
    assert_eq!(submitted["retryStrategy"], json!({ "attempts": 1 }));
    let version_id = upload.version().unwrap().version_id;
    assert_eq!(
        submitted["containerOverrides"],
        json!({ "environment": [
            { "name": "TWO_BUCKETS_JOB_KEY_HEX", "value": hex::encode("in/a\u{1} ä") },
            { "name": "TWO_BUCKETS_JOB_VERSION", "value": version_id.as_str() },
        ] })
    );
    for _ in 0..2 {
        assert_eq!(bed.jobs.start_of(&upload.key).await.unwrap(), 0);
        assert_eq!(bed.jobs.start_due().await.unwrap(), 0);
    }
    assert_eq!(bed.run(&upload, "job-0").await, Stopped::Idle);
    let row = bed.row(&upload).await;
    assert_eq!((row.state, row.attempts), (State::Archived, 1));
    let logs = bed.driver.ledger.logs(&upload.id).await.unwrap();
    assert_eq!(&logs[0].log.first[..], b"it runs\n");
    let options = ListVersions::default();
    let left = bed.driver.store.list_versions(&bucket(), options).await;
    assert_eq!(left.unwrap().versions, []);
    // A second container of the same upload finds nothing to do.
    assert_eq!(bed.run(&upload, "job-9").await, Stopped::Idle);
    assert_eq!(bed.jobs.start_due().await.unwrap(), 0);
    assert_eq!(bed.jobs.end_dead().await.unwrap().attempts, 0);
    assert_eq!(bed.names().len(), 1);
    drop(bed.server);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_submission_whose_answer_was_lost_is_found_and_not_repeated() {
    let Some(bed) = Bed::new("lost").await else {
        return;
    };
    bed.batch.lock().unwrap().answers = [Reply::Cut, Reply::refused(500, "ServerException")].into();
    for key in ["a", "b"] {
        let upload = bed.queued(key).await;
        let error = bed.jobs.start_of(&upload.key).await.unwrap_err();
        assert!(matches!(error, Error::Batch(_)), "{error}");
        assert_eq!(bed.jobs.start_of(&upload.key).await.unwrap(), 0);
    }
    assert_eq!(bed.jobs.start_due().await.unwrap(), 0);
    assert_eq!(bed.names().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sweep_submits_what_batch_does_not_have_and_no_more_than_may_lie_there() {
    let Some(bed) = Bed::new("sweep").await else {
        return;
    };
    let first = bed.queued("a").await;
    for key in ["b", "c"] {
        bed.queued(key).await;
    }
    assert_eq!(bed.jobs.start_due().await.unwrap(), 2);
    assert_eq!(bed.jobs.start_due().await.unwrap(), 0);
    assert_eq!(bed.run(&first, "job-0").await, Stopped::Idle);
    bed.set(0, "SUCCEEDED", Some(1), "");
    assert_eq!(bed.jobs.start_due().await.unwrap(), 1);
    let mut names = bed.names();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), 3, "each upload has a name of its own");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_whose_job_ended_at_batch_has_crashed_and_the_next_run_is_submitted() {
    let Some(bed) = Bed::new("dead").await else {
        return;
    };
    let upload = bed.queued("a").await;
    assert_eq!(bed.jobs.start_due().await.unwrap(), 1);
    bed.begun(&upload, "job-0").await;
    bed.set(0, "RUNNING", None, "");
    assert_eq!(bed.jobs.end_dead().await.unwrap().attempts, 0, "it lives");
    assert_eq!(bed.jobs.start_due().await.unwrap(), 0);
    let reason = "OutOfMemoryError: Container killed due to memory usage";
    bed.set(0, "FAILED", Some(1), reason);
    assert_eq!(bed.jobs.end_dead().await.unwrap().attempts, 1);
    let row = bed.row(&upload).await;
    assert_eq!((row.state, row.attempts), (State::Pending, 1));
    let attempt = row.log.last().unwrap();
    assert_eq!(attempt.ended.unwrap().1, AttemptOutcome::Crashed);
    let said = attempt.reason.as_deref().unwrap();
    assert!(said.contains(reason) && said.contains("137"), "{said}");
    assert_eq!(bed.jobs.end_dead().await.unwrap().attempts, 0);
    assert_eq!(bed.jobs.start_due().await.unwrap(), 1);
    let names = bed.names();
    assert_ne!(names[0], names[1]);
    assert_eq!(bed.run(&upload, "job-1").await, Stopped::Idle);
    assert_eq!(bed.row(&upload).await.state, State::Archived);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_batch_has_forgotten_is_dead_once_its_lease_has_run_out() {
    let Some(bed) = Bed::new("forgotten").await else {
        return;
    };
    let upload = bed.queued("a").await;
    bed.begun(&upload, "job-of-before").await;
    assert_eq!(
        bed.jobs.end_dead().await.unwrap().attempts,
        0,
        "it may be alive"
    );
    bed.pass(Duration::from_mins(2));
    assert_eq!(bed.jobs.end_dead().await.unwrap().attempts, 1);
    assert_eq!(bed.row(&upload).await.state, State::Pending);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_ended_before_it_had_begun_is_submitted_again_but_not_at_once() {
    let Some(bed) = Bed::new("fruitless").await else {
        return;
    };
    let upload = bed.queued("a").await;
    assert_eq!(bed.jobs.start_due().await.unwrap(), 1);
    let stopped_at = bed.driver.clock.now().millis();
    bed.set(0, "FAILED", Some(stopped_at), "CannotPullContainerError");
    assert_eq!(bed.jobs.start_due().await.unwrap(), 0);
    bed.pass(Duration::from_secs(61));
    assert_eq!(bed.jobs.start_due().await.unwrap(), 1);
    let row = bed.row(&upload).await;
    assert_eq!((row.state, row.attempts), (State::Pending, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_job_is_fenced_off_and_its_containers_are_ended() {
    let Some(bed) = Bed::new("cancelled").await else {
        return;
    };
    let (running, queued) = (bed.queued("a").await, bed.queued("b").await);
    assert_eq!(bed.jobs.start_due().await.unwrap(), 2);
    let lease = bed.begun(&running, "job-0").await;
    for upload in [&running, &queued] {
        let now = bed.driver.clock.now();
        let cancelled = bed.driver.ledger.cancel_job(&upload.id, now).await;
        bed.jobs.terminate(&cancelled.unwrap()).await;
    }
    let terminated: Vec<String> = bed
        .canned
        .take()
        .iter()
        .filter(|asked| asked.what == "POST /v1/terminatejob")
        .map(|asked| asked.json()["jobId"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(terminated, ["job-0", "job-1"]);
    // What it comes to is too late.
    let late = bed
        .driver
        .finish_job(&lease, &running.id, Ok(Report::default()), Duration::ZERO);
    assert_eq!(late.await.stopped, Stopped::FencedOff);
    assert_eq!(bed.row(&running).await.state, State::Failed);
    assert_eq!(bed.run(&queued, "job-1").await, Stopped::Idle);
    assert_eq!(bed.row(&queued).await.state, State::Failed);
    assert_eq!(bed.jobs.start_due().await.unwrap(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_is_told_to_stop_ends_its_attempt_and_one_that_lost_its_key_says_nothing() {
    let Some(bed) = Bed::new("stopped").await else {
        return;
    };
    bed.driver.processor.0.lock().unwrap().extend([None, None]);
    let upload = bed.queued("a").await;
    let stopping = async {};
    let holder_of = holder("job-0");
    let run = bed
        .driver
        .run_job(&upload.key, &upload.id, &holder_of, stopping);
    assert_eq!(run.await.tally.deferred, 1);
    let row = bed.row(&upload).await;
    assert_eq!((row.state, row.attempts), (State::Pending, 1));
    let reason = row.reason.unwrap();
    assert!(reason.contains("told to stop"), "{reason}");

    // Another takes the key from one that does not renew in time.
    let upload = bed.queued("b").await;
    let mut settings = bed.driver.settings.clone();
    settings.job_lease_life = Duration::from_millis(600);
    let stalled = Driver {
        store: bed.driver.store.clone(),
        ledger: bed.driver.ledger.clone(),
        processor: bed.driver.processor.clone(),
        clock: Arc::new(TestClock::default()),
        wake_ups: bed.driver.wake_ups.clone(),
        random: bed.driver.random.clone(),
        settings,
    };
    let running = {
        let (key, id) = (upload.key.clone(), upload.id.clone());
        tokio::spawn(async move {
            let stopping = std::future::pending();
            stalled.run_job(&key, &id, &holder("job-1"), stopping).await
        })
    };
    // It has begun once its key cannot be claimed.
    let mut row = bed.row(&upload).await;
    while row.state != State::Processing {
        row = bed.row(&upload).await;
    }
    bed.pass(Duration::from_mins(2));
    assert_eq!(bed.run(&upload, "job-2").await, Stopped::Idle);
    let outcome = running.await.unwrap();
    assert_eq!(outcome.stopped, Stopped::FencedOff);
    let row = bed.row(&upload).await;
    assert_eq!((row.state, row.attempts), (State::Archived, 2));
}

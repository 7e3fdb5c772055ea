//! A deployment on this machine, and a function whose files say what becomes of them.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use tokio::sync::{Semaphore, mpsc};
use two_buckets_aws::S3StoreOptions;
use two_buckets_aws::ledger::{DynamoLedger, create_table};
use two_buckets_aws::wake::{Receiver, ReceiverOptions, SqsWakeUps};
use two_buckets_aws::worker::{
    DeploymentJobs, Metrics, Pauses, Sweep, SystemClock, Turns, TurnsOptions, Worker,
    WorkerOptions, holder,
};
use two_buckets_depot::Versioning;
use two_buckets_objects::{ListVersions, ListedVersion, ObjectRef, ObjectStore as _};
use two_buckets_pipeline::{
    Incoming, Ledger as _, ProcessError, Processor, Report, Settings, Upload, WakeUp, Why,
};

use crate::moto::moto;
use crate::queue::Queue;
use crate::s3::server::Server;
use crate::wire::Wire;

/// So long a key is held whose worker died.
pub(crate) const LEASE_LIFE: Duration = Duration::from_secs(3);
/// No test waits longer for anything.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

pub(crate) struct World {
    pub(crate) s3: Server,
    pub(crate) queue: Queue,
    pub(crate) ledger: DynamoLedger,
    pub(crate) is_paused: Arc<AtomicBool>,
    pub(crate) function: Function,
    figures: Mutex<mpsc::UnboundedReceiver<Value>>,
    metrics: Metrics,
}

impl World {
    /// None where moto cannot be.
    pub(crate) async fn new(name: &str) -> Option<Self> {
        let queue = Queue::new(name).await?;
        let dynamodb = Wire::new().dynamodb(&moto()?.endpoint);
        create_table(&dynamodb, name).await.unwrap();
        let s3 = Server::start().await;
        for bucket in ["staging", "archive"] {
            let bucket = s3.make_bucket(bucket);
            s3.depot
                .set_versioning(&bucket, Versioning::Enabled)
                .unwrap();
        }
        let (tell, figures) = mpsc::unbounded_channel();
        let metrics = Metrics::new(Some("files"), move |line| {
            // A worker may outlive its test by a moment.
            _ = tell.send(serde_json::from_str(line).unwrap());
        });
        Some(Self {
            s3,
            queue,
            ledger: DynamoLedger::new(dynamodb, name).with_shards_if_new(2),
            is_paused: Arc::default(),
            function: Function::default(),
            figures: Mutex::new(figures),
            metrics,
        })
    }

    pub(crate) fn turns(&self) -> Arc<Turns<Function>> {
        self.turns_to(&self.queue.url)
    }

    /// With keys woken by another queue, such as one that is not there.
    pub(crate) fn turns_to(&self, queue_url: &str) -> Arc<Turns<Function>> {
        self.turns_with(TurnsOptions {
            wake_ups: self.wake_ups(queue_url),
            ..self.options()
        })
    }

    pub(crate) fn turns_with(&self, options: TurnsOptions) -> Arc<Turns<Function>> {
        Arc::new(Turns::new(self.function.clone(), options))
    }

    /// What turns are taken with here.
    pub(crate) fn options(&self) -> TurnsOptions {
        TurnsOptions {
            store: self.s3.store(S3StoreOptions::default()),
            ledger: self.ledger.clone(),
            wake_ups: self.wake_ups(&self.queue.url),
            settings: settings(),
            processing_time_max: None,
            pauses: self.pauses(),
            jobs: DeploymentJobs::default(),
            metrics: self.metrics.clone(),
        }
    }

    pub(crate) fn sweep(&self) -> Sweep {
        Sweep {
            store: self.s3.store(S3StoreOptions::default()),
            ledger: self.ledger.clone(),
            wake_ups: self.wake_ups(&self.queue.url),
            settings: settings(),
            pauses: self.pauses(),
            jobs: DeploymentJobs::default(),
            metrics: self.metrics.clone(),
        }
    }

    pub(crate) fn worker(&self) -> Worker<Function> {
        let receiver = Receiver::new(
            self.queue.client.clone(),
            self.queue.url.clone(),
            Arc::new(SystemClock),
            ReceiverOptions {
                keys_at_once: 4,
                visibility_timeout: Duration::from_secs(30),
            },
        );
        Worker {
            turns: self.turns(),
            receiver: Arc::new(receiver),
            sweep: self.sweep(),
            options: WorkerOptions {
                sweep_every: Duration::from_secs(1),
                drain_wait_max: Duration::from_secs(20),
            },
        }
    }

    fn wake_ups(&self, queue_url: &str) -> SqsWakeUps<SystemClock> {
        let client = self.queue.client.clone();
        SqsWakeUps::new(client, queue_url.to_owned(), Arc::new(SystemClock))
    }

    fn pauses(&self) -> Pauses {
        let is_paused = Arc::clone(&self.is_paused);
        Pauses::new(move || {
            let is_paused = is_paused.load(Ordering::Relaxed);
            async move { Ok(is_paused) }
        })
    }

    /// Puts a file whose bytes are its key's, and gives the version's id.
    pub(crate) async fn put(&self, key: &str) -> String {
        let put = self.s3.client.put_object().bucket("staging").key(key);
        let body = key.as_bytes().to_vec().into();
        let put = put.body(body).send().await.unwrap();
        put.version_id.unwrap()
    }

    /// What a bucket has, versions of each key.
    pub(crate) async fn versions(&self, bucket: &str) -> BTreeMap<String, Vec<ListedVersion>> {
        let store = self.s3.store(S3StoreOptions::default());
        let page = store
            .list_versions(&bucket.parse().unwrap(), ListVersions::default())
            .await
            .unwrap();
        let mut found: BTreeMap<String, Vec<ListedVersion>> = BTreeMap::new();
        for version in page.versions {
            let key = version.key.to_string();
            found.entry(key).or_default().push(version);
        }
        found
    }

    /// The row of the key's only upload.
    pub(crate) async fn row(&self, key: &str) -> Upload {
        let staged = self.versions("staging").await;
        let version = &staged[key][0];
        let at = two_buckets_objects::VersionRef {
            bucket: "staging".parse().unwrap(),
            key: version.key.clone(),
            version_id: version.version_id.clone(),
        };
        self.ledger.find(&at).await.unwrap().unwrap()
    }

    /// Waits until figures of this name add up to this; gives all that were said meanwhile.
    pub(crate) async fn figures(&self, name: &str, sum: u64) -> BTreeMap<String, u64> {
        let mut sums: BTreeMap<String, u64> = BTreeMap::new();
        let mut figures = std::mem::replace(
            &mut *self.figures.lock().unwrap(),
            mpsc::unbounded_channel().1,
        );
        while sums.get(name).copied().unwrap_or_default() < sum {
            let line = tokio::time::timeout(PATIENCE, figures.recv()).await;
            let line = line.unwrap_or_else(|_| panic!("{name} did not become {sum}: {sums:?}"));
            for (name, value) in line.unwrap().as_object().unwrap() {
                if let Some(value) = value.as_u64() {
                    *sums.entry(name.clone()).or_default() += value;
                }
            }
        }
        *self.figures.lock().unwrap() = figures;
        sums
    }

    /// What has been said by now.
    pub(crate) fn said(&self) -> Vec<Value> {
        let mut figures = self.figures.lock().unwrap();
        std::iter::from_fn(|| figures.try_recv().ok()).collect()
    }
}

fn settings() -> Settings {
    Settings {
        lease_life: LEASE_LIFE,
        ..Settings::new(
            "staging".parse().unwrap(),
            "archive".parse().unwrap(),
            holder("a test"),
        )
    }
}

pub(crate) fn wake_up(key: &str) -> WakeUp {
    WakeUp {
        key: ObjectRef {
            bucket: "staging".parse().unwrap(),
            key: key.parse().unwrap(),
        },
        why: Why::Event,
    }
}

/// Does with each file what its key begins with.
#[derive(Clone, Debug)]
pub(crate) struct Function {
    /// Key, version and attempt of each run.
    runs: Arc<Mutex<Vec<(String, String, u32)>>>,
    /// A permit for each run that has begun to hang.
    pub(crate) hangs: Arc<Semaphore>,
}

impl Default for Function {
    fn default() -> Self {
        Self {
            runs: Arc::default(),
            hangs: Arc::new(Semaphore::new(0)),
        }
    }
}

impl Function {
    /// The attempts at files of this key, in their order.
    pub(crate) fn attempts(&self, key: &str) -> Vec<u32> {
        let runs = self.runs.lock().unwrap();
        let of_key = runs.iter().filter(|(one, ..)| one == key);
        of_key.map(|(.., attempt)| *attempt).collect()
    }
}

impl Processor for Function {
    async fn process(&self, upload: Incoming) -> Result<Report, ProcessError> {
        let key = upload.source.at.key.to_string();
        let version = upload.source.at.version_id.to_string();
        let run = (key.clone(), version, upload.attempt);
        self.runs.lock().unwrap().push(run);
        let bytes = upload.content.bytes(1 << 20).await?;
        assert_eq!(&bytes[..], key.as_bytes(), "a run reads its own file");
        match (key.split('-').next().unwrap(), upload.attempt) {
            ("bad", _) => Err(ProcessError::permanent("it is bad")),
            ("flaky", 1) => Err(ProcessError::transient("not now")),
            ("panic", 1) => panic!("a run went wrong"),
            ("hang", 1) => {
                self.hangs.add_permits(1);
                std::future::pending().await
            }
            _ => Report::from_json("{}"),
        }
    }
}

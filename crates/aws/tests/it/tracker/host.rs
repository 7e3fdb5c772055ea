//! A deployment in this process: its buckets, ledger and queue, and a worker that does what it was woken for when it is
//! told to.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use two_buckets_aws::ledger::{DynamoLedger, create_table};
use two_buckets_aws::tracker::{AwsTracker, Buckets, Parts, Sweeping};
use two_buckets_aws::wake::{Message, SqsWakeUps, read};
use two_buckets_aws::worker::DeploymentJobs;
use two_buckets_aws::{S3Store, S3StoreOptions};
use two_buckets_contracts::tracker::{Picky, TrackedHost};
use two_buckets_depot::{PutObject, Versioning};
use two_buckets_objects::{BucketName, ListedVersion, ObjectRef, Timestamp, VersionId};
use two_buckets_pipeline::{Clock, Driver, Holder, Routes, Settings, Sweeper, WakeUp, Why};
use two_buckets_uploads::{S3Address, ServerFacts};

use crate::moto::moto;
use crate::queue::{MachineClock, Queue};
use crate::s3::server::Server;
use crate::wire::Wire;

/// The machine's time, and no waits: what looks now and then looks at once.
#[derive(Clone, Debug)]
pub(crate) struct Swift;

impl Clock for Swift {
    fn now(&self) -> Timestamp {
        MachineClock.now()
    }

    async fn sleep(&self, _: Duration) {
        tokio::task::yield_now().await;
    }
}

type HostDriver = Driver<S3Store, DynamoLedger, Picky, MachineClock, SqsWakeUps<MachineClock>>;

pub(crate) struct Host {
    pub(crate) server: Server,
    pub(crate) wire: Wire,
    pub(crate) client: aws_sdk_dynamodb::Client,
    pub(crate) table: String,
    pub(crate) ledger: DynamoLedger,
    pub(crate) tracker: AwsTracker<Swift>,
    /// What it is made of.
    pub(crate) parts: Parts<Swift>,
    function: Picky,
    pub(crate) queue: Queue,
    driver: Arc<HostDriver>,
    /// Keys of which S3 has told.
    told: Mutex<BTreeSet<String>>,
}

pub(crate) fn bucket(name: &str) -> BucketName {
    name.parse().unwrap()
}

pub(crate) fn at(name: &str, key: &str) -> ObjectRef {
    ObjectRef {
        bucket: bucket(name),
        key: key.parse().unwrap(),
    }
}

/// Files of at least this size are jobs.
pub(crate) const JOB_BYTES: usize = 1_000;

pub(crate) fn settings() -> Settings {
    Settings {
        routes: Routes::jobs_from(JOB_BYTES as u64),
        ..Settings::new(bucket("staging"), bucket("archive"), Holder("test".into()))
    }
}

impl Host {
    /// None, after saying so, where there is no moto.
    pub(crate) async fn start() -> Option<Self> {
        Self::with_shards(2).await
    }

    /// With a ledger of so many shards.
    pub(crate) async fn with_shards(shards: u8) -> Option<Self> {
        static HOSTS: AtomicU32 = AtomicU32::new(0);
        let name = format!("tracker-{}", HOSTS.fetch_add(1, Ordering::Relaxed));
        let queue = Queue::new(&name).await?;
        let wire = Wire::new();
        let client = wire.dynamodb(&moto()?.endpoint);
        create_table(&client, &name).await.unwrap();
        let ledger = DynamoLedger::new(client.clone(), &name).with_shards_if_new(shards);
        let server = Server::start().await;
        for bucket in ["staging", "archive"].map(bucket) {
            server.depot.create_bucket(&bucket).unwrap();
            let versioned = server.depot.set_versioning(&bucket, Versioning::Enabled);
            versioned.unwrap();
        }
        let store = server.store(S3StoreOptions::default());
        let function = Picky::default();
        let clock = Arc::new(MachineClock);
        let driver = Arc::new(Driver {
            store: Arc::new(store.clone()),
            ledger: Arc::new(ledger.clone()),
            processor: Arc::new(function.clone()),
            clock: Arc::clone(&clock),
            wake_ups: Arc::new(SqsWakeUps::new(
                queue.client.clone(),
                queue.url.clone(),
                clock,
            )),
            random: Arc::new(|| 0),
            settings: settings(),
        });
        let sweeper = Arc::clone(&driver);
        let sweep = move || -> Sweeping {
            let driver = Arc::clone(&sweeper);
            Box::pin(async move {
                let swept = Sweeper { driver: &*driver }.sweep(&|| false).await;
                Ok(swept?)
            })
        };
        let swift = Arc::new(Swift);
        let parts = Parts {
            facts: facts(),
            ledger: ledger.clone(),
            wake_ups: SqsWakeUps::new(queue.client.clone(), queue.url.clone(), Arc::clone(&swift)),
            clock: swift,
            jobs: DeploymentJobs::default(),
            buckets: Some(Buckets {
                store,
                sweep: Arc::new(sweep),
            }),
        };
        Some(Self {
            server,
            wire,
            client,
            table: name,
            ledger,
            tracker: AwsTracker::new(parts.clone()),
            parts,
            function,
            queue,
            driver,
            told: Mutex::default(),
        })
    }

    /// Puts a file, of which nobody is told.
    pub(crate) fn put_into(&self, at: &ObjectRef, bytes: &'static [u8]) -> VersionId {
        self.put_as(at, bytes, PutObject::default())
    }

    /// The same, with all that is said of it.
    pub(crate) fn put_as(
        &self,
        at: &ObjectRef,
        bytes: &'static [u8],
        options: PutObject,
    ) -> VersionId {
        let mut writer = self.server.depot.body_writer(&[], u64::MAX);
        writer.write(&Bytes::from_static(bytes)).unwrap();
        let body = writer.finish().unwrap();
        self.server.depot.put(at, body, options).unwrap().version_id
    }

    pub(crate) fn versions(&self, name: &str) -> Vec<ListedVersion> {
        let mut all = two_buckets_depot::ListObjects::default();
        let mut entries = Vec::new();
        loop {
            let page = self.server.depot.list_versions(&bucket(name), &all);
            let page = page.unwrap();
            entries.extend(page.entries);
            match page.next {
                Some((key, version)) => (all.after, all.after_version) = (Some(key), version),
                None => return entries,
            }
        }
    }

    /// What is in the queue, which is empty then.
    async fn hints(&self) -> Vec<WakeUp> {
        let mut hints = Vec::new();
        loop {
            let call = self.queue.client.receive_message();
            let call = call.queue_url(&self.queue.url).max_number_of_messages(10);
            let messages = call.send().await.unwrap().messages.unwrap_or_default();
            if messages.is_empty() {
                return hints;
            }
            for message in messages {
                match read(message.body().unwrap()).unwrap() {
                    Message::WakeUps(wake_ups) => hints.extend(wake_ups),
                    Message::Later { wake_up, .. } => hints.push(wake_up),
                }
                let call = self.queue.client.delete_message();
                let call = call.queue_url(&self.queue.url);
                let handle = message.receipt_handle().unwrap();
                call.receipt_handle(handle).send().await.unwrap();
            }
        }
    }
}

impl TrackedHost for Host {
    type Tracker = AwsTracker<Swift>;

    fn tracker(&self) -> &Self::Tracker {
        &self.tracker
    }

    fn function(&self) -> &Picky {
        &self.function
    }

    fn now(&self) -> Timestamp {
        MachineClock.now()
    }

    async fn put(&self, key: &str, bytes: &'static [u8]) -> VersionId {
        self.told.lock().unwrap().insert(key.to_owned());
        self.put_into(&at("staging", key), bytes)
    }

    /// As workers do: each wake-up is acknowledged, and while processing is paused nothing is done about it.
    async fn settle(&self) {
        loop {
            let told = std::mem::take(&mut *self.told.lock().unwrap());
            let mut woken: Vec<_> = told
                .iter()
                .map(|key| WakeUp {
                    key: at("staging", key),
                    why: Why::Event,
                })
                .collect();
            woken.extend(self.hints().await);
            // S3 tells of copies as of every other file.
            woken.extend(self.copies());
            if woken.is_empty() || self.ledger.paused().await.unwrap().is_some() {
                return;
            }
            for wake_up in woken {
                self.driver.run(&wake_up.key, wake_up.why, &|| false).await;
            }
        }
    }
}

impl Host {
    /// The keys of replays that wait.
    fn copies(&self) -> Vec<WakeUp> {
        let staged = self.versions("staging").into_iter();
        let copies = staged.filter(|version| {
            let version_id = version.version_id.clone();
            let found = self.server.depot.head(
                &at("staging", version.key.as_str()),
                &two_buckets_depot::Selector::Version(version_id),
            );
            let replay_of = two_buckets_pipeline::archive::REPLAY_OF;
            found.is_ok_and(|found| found.info.metadata.user.contains_key(replay_of))
        });
        copies
            .map(|version| WakeUp {
                key: at("staging", version.key.as_str()),
                why: Why::Event,
            })
            .collect()
    }
}

fn facts() -> ServerFacts {
    ServerFacts {
        version: "1".into(),
        page_url: None,
        s3: S3Address {
            endpoint: "https://s3.eu-central-1.amazonaws.com".into(),
            region: "eu-central-1".into(),
        },
        staging: bucket("staging"),
        archive: bucket("archive"),
        processor: "picky".into(),
        paused: None,
    }
}

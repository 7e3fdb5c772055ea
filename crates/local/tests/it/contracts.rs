//! Depot's ledger and store under the contracts of their traits.

mod ledger_in_memory {
    use std::future::{Ready, ready};
    use std::sync::Arc;

    use two_buckets_depot::storage::MemoryStorage;
    use two_buckets_local::DepotLedger;

    use crate::bench;

    fn make() -> Ready<DepotLedger> {
        let bench = bench::open(Arc::new(MemoryStorage::new()));
        ready(DepotLedger::open(bench.depot).unwrap())
    }

    two_buckets_contracts::ledger_contract!(make);
}

mod object_store_in_memory {
    use std::future::{Ready, ready};
    use std::sync::Arc;

    use two_buckets_depot::storage::MemoryStorage;
    use two_buckets_local::DepotStore;
    use two_buckets_objects::BucketName;

    use crate::bench;

    fn make() -> Ready<(DepotStore, BucketName)> {
        let bench = bench::open(Arc::new(MemoryStorage::new()));
        ready((DepotStore::new(bench.depot), bench::bucket("staging")))
    }

    two_buckets_contracts::object_store_contract!(make);
}

mod tracker_in_memory {
    use std::future::{Ready, ready};
    use std::sync::Arc;
    use std::time::Duration;

    use two_buckets_contracts::tracker::{Picky, TrackedHost};
    use two_buckets_depot::storage::MemoryStorage;
    use two_buckets_local::{DepotLedger, DepotStore, LedgerTracker, WorkerOptions, Workers};
    use two_buckets_objects::{Timestamp, VersionId};
    use two_buckets_pipeline::{Holder, Settings};
    use two_buckets_uploads::{ListUploads, Tracker as _, UploadState};

    use crate::bench::{self, Bench, bucket};
    use crate::minted::facts;

    /// How long a test waits for something that must come.
    const PATIENCE: Duration = Duration::from_secs(30);

    struct Host {
        bench: Bench,
        function: Picky,
        tracker: LedgerTracker<Picky>,
        _workers: Workers<Picky>,
    }

    impl TrackedHost for Host {
        type Tracker = LedgerTracker<Picky>;

        fn tracker(&self) -> &Self::Tracker {
            &self.tracker
        }

        fn function(&self) -> &Picky {
            &self.function
        }

        fn now(&self) -> Timestamp {
            self.bench.depot.now()
        }

        async fn put(&self, key: &str, bytes: &'static [u8]) -> VersionId {
            self.bench.put(key, bytes)
        }

        async fn settle(&self) {
            let settled = async {
                while !self.bench.queue.is_paused() {
                    let all = ListUploads {
                        limit: 100,
                        ..ListUploads::default()
                    };
                    let waits =
                        |state| matches!(state, UploadState::Pending | UploadState::Processing);
                    let uploads = self.tracker.list(all).await.unwrap().uploads;
                    if uploads.iter().all(|it| it.is_expected || !waits(it.state)) {
                        return;
                    }
                    tokio::task::yield_now().await;
                }
            };
            tokio::time::timeout(PATIENCE, settled)
                .await
                .expect("workers must come to an end");
        }
    }

    fn make() -> Ready<Option<Host>> {
        let bench = bench::open(Arc::new(MemoryStorage::new()));
        let ledger = DepotLedger::open(bench.depot.clone()).unwrap();
        let function = Picky::default();
        let workers = Workers::start(
            bench.depot.clone(),
            ledger.clone(),
            bench.queue.clone(),
            function.clone(),
            Settings::new(bucket("staging"), bucket("archive"), Holder("test".into())),
            &WorkerOptions::default(),
        )
        .unwrap();
        let tracker = LedgerTracker {
            facts: facts(bucket("staging"), bucket("archive")),
            ledger,
            store: DepotStore::new(bench.depot.clone()),
            queue: bench.queue.clone(),
            sweeper: workers.sweep_handle(),
        };
        ready(Some(Host {
            bench,
            function,
            tracker,
            _workers: workers,
        }))
    }

    two_buckets_contracts::tracker_contract_where_possible!(make);
}

//! Depot's ledger and store under the contracts of their traits.

mod ledger_in_memory {
    use crate::bench;
    use std::sync::Arc;
    use two_buckets_depot::storage::MemoryStorage;
    use two_buckets_local::DepotLedger;

    async fn make() -> DepotLedger {
        let bench = bench::open(Arc::new(MemoryStorage::new()));
        DepotLedger::open(bench.depot).unwrap()
    }

    two_buckets_contracts::ledger_contract!(make);
}

mod object_store_in_memory {
    use crate::bench;
    use std::sync::Arc;
    use two_buckets_depot::storage::MemoryStorage;
    use two_buckets_local::DepotStore;
    use two_buckets_objects::BucketName;

    async fn make() -> (DepotStore, BucketName) {
        let bench = bench::open(Arc::new(MemoryStorage::new()));
        (DepotStore::new(bench.depot), bench::bucket("staging"))
    }

    two_buckets_contracts::object_store_contract!(make);
}

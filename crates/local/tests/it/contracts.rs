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

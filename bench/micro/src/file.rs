use std::hint::black_box;
use std::sync::Arc;

use http::StatusCode;
use two_buckets::describe::Describe;
use two_buckets_local::{DepotClock, DepotStore, InTask, StoreCalls, WakeQueue};
use two_buckets_pipeline::step::Stopped;
use two_buckets_pipeline::{Driver, Holder, Settings, Why};

use crate::signature::{runtime, service, signed_put};
use crate::store::{archive, depot, ledger, place, small_file, staging};
use crate::{Case, Run};

/// All that is done for a small file but HTTP, TCP and the disk: the signed PUT, and the worker's turn with the built-in
/// description, until it is archived.
pub(crate) const WHOLE: Case = Case::new("file-whole", whole);

fn whole(runs: usize) -> Run {
    let (depot, bytes) = (depot(), small_file());
    let service = service(&depot);
    let driver = Driver {
        store: Arc::new(DepotStore::new(depot.clone()).with_calls(StoreCalls::Here)),
        ledger: Arc::new(ledger(&depot)),
        processor: Arc::new(InTask::new(Describe)),
        clock: Arc::new(DepotClock(depot)),
        wake_ups: Arc::new(WakeQueue::default()),
        // For waits only, and there are none.
        random: Arc::new(|| 0),
        settings: Settings::new(staging(), archive(), Holder("worker".into())),
    };
    let runtime = runtime();
    let mut requests: Vec<_> = (0..runs)
        .map(|number| (place(number), signed_put(number, &bytes)))
        .collect();
    Box::new(move || {
        let (key, request) = requests.pop().expect("one for each run");
        let outcome = runtime.block_on(async {
            let answer = service.call(request).await;
            assert_eq!(answer.status(), StatusCode::OK);
            driver.run(&key, Why::Event, &|| false).await
        });
        assert_eq!(outcome.stopped, Stopped::Idle);
        assert_eq!(outcome.tally.archived, 1);
        black_box(outcome);
    })
}

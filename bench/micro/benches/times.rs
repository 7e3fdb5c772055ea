//! The time of each case: `cargo bench --package two-buckets-micro`, or with a part of a name behind `--` some of them.
#![expect(
    clippy::disallowed_methods,
    reason = "what is measured is the real time"
)]

use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use two_buckets_micro::CASES;

/// That of the program whose parts these are.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn times(criterion: &mut Criterion) {
    for case in CASES {
        criterion.bench_function(case.name, |bencher| {
            bencher.iter_custom(|runs| {
                let mut run = (case.prepare)(usize::try_from(runs).expect("far below a billion"));
                let started = Instant::now();
                for _ in 0..runs {
                    run();
                }
                started.elapsed()
            });
        });
    }
}

criterion_group! {
    name = all;
    // Some prepare all that they use up, which must fit in memory.
    config = Criterion::default()
        .warm_up_time(Duration::from_secs(1))
        .measurement_time(Duration::from_secs(2))
        .sample_size(20);
    targets = times
}
criterion_main!(all);

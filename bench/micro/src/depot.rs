use std::hint::black_box;

use two_buckets_depot::{ListObjects, Selector};

use crate::store::{depot, place, put, small_file, staging};
use crate::{Case, Run};

/// A small file is put: hashes, records, the log, the index.
pub(crate) const PUT: Case = Case::new("depot-put", |_| put_each());

/// The current versions of ten keys are found among those of two hundred, and decoded. Of one it is so little that what the
/// threads of the preparation do now so, now so would be seen beside it.
pub(crate) const HEADS: Case = Case::new("depot-head-of-10", |_| heads());

/// A page of a hundred versions.
pub(crate) const PAGE: Case = Case::new("depot-page-of-100", |_| page());

fn put_each() -> Run {
    let (depot, bytes) = (depot(), small_file());
    let mut number = 0;
    Box::new(move || {
        number += 1;
        black_box(put(&depot, &place(number), &bytes));
    })
}

/// How many files there are before.
const FILES: usize = 200;

fn heads() -> Run {
    let (depot, bytes) = (depot(), small_file());
    for number in 0..FILES {
        put(&depot, &place(number), &bytes);
    }
    let wanted: Vec<_> = (0..10).map(|tenth| place(tenth * FILES / 10)).collect();
    Box::new(move || {
        for wanted in &wanted {
            let found = depot.head(black_box(wanted), &Selector::Current);
            black_box(found.expect("it was put"));
        }
    })
}

fn page() -> Run {
    let (depot, bytes) = (depot(), small_file());
    for number in 0..FILES {
        put(&depot, &place(number), &bytes);
    }
    let wanted = ListObjects {
        limit: Some(100),
        ..ListObjects::default()
    };
    Box::new(move || {
        let page = depot.list_versions(&staging(), black_box(&wanted));
        let page = page.expect("memory can be read");
        assert_eq!(page.entries.len(), 100);
        black_box(page);
    })
}

use std::hint::black_box;

use bytes::Bytes;
use two_buckets::describe::{Examination, Structure};

use crate::store::small_file;
use crate::{Case, Run, SMALL_BYTES};

/// The description of a small text, and the text of its report.
pub(crate) const TEXT: Case = Case::new("describe-text-4k", |_| {
    described("invoice.txt", small_file(), |it| {
        matches!(it, Structure::Text { .. })
    })
});

/// The same of a small table.
pub(crate) const CSV: Case = Case::new("describe-csv-4k", |_| {
    described("invoice.csv", table(), |it| {
        matches!(it, Structure::Csv { .. })
    })
});

/// The same of a small JSON text.
pub(crate) const JSON: Case = Case::new("describe-json-4k", |_| {
    described("invoice.json", json(), |it| {
        matches!(it, Structure::Json { .. })
    })
});

fn described(name: &'static str, bytes: Bytes, is_right: fn(&Structure) -> bool) -> Run {
    Box::new(move || {
        let mut examination = Examination::new(name, bytes.len() as u64);
        examination.update(black_box(&bytes));
        let finishing = examination.finish().expect("that was all of it");
        let description = finishing.description();
        assert!(description.structure.as_ref().is_some_and(is_right));
        black_box(description.to_json());
    })
}

fn table() -> Bytes {
    let row = "17,2026-11-23,\"Miller, Ann\",17.50\n";
    let rows = row.repeat(SMALL_BYTES / row.len());
    format!("number,date,customer,amount\n{rows}").into()
}

fn json() -> Bytes {
    let entry = r#"{"number": 17, "customer": "Miller", "amount": 17.5, "paid": null}"#;
    let entries = vec![entry; SMALL_BYTES / (entry.len() + 2)];
    format!("[{}]", entries.join(", ")).into()
}

//! The program as its README starts it.

#[expect(dead_code, reason = "each program uses some of it")]
#[path = "../../../crates/two-buckets/tests/it/harness.rs"]
mod harness;

use std::fmt::Write as _;
use std::path::Path;

use arrow_array::cast::AsArray as _;
use arrow_array::types::Int64Type;
use arrow_array::{Array as _, RecordBatch};
use bytes::Bytes;
use harness::Server;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::Value;

fn serve(data: &Path) -> Server {
    Server::start_with(
        Path::new(env!("CARGO_BIN_EXE_csv-to-parquet")),
        data,
        |_| {},
    )
}

fn send(server: &Server, key: &str, csv: &[u8], state: &str) -> Value {
    let sent = server.s3("PUT", "staging", Some(key), &[], csv);
    assert_eq!(sent.status, 200, "{}", sent.text());
    server.wait_for(key, &[state]).remove(0)
}

/// The Parquet file that the report names.
fn table(server: &Server, upload: &Value) -> Vec<RecordBatch> {
    let key = upload["report"]["parquet"].as_str().expect("a key");
    let version_id = upload["version_id"].as_str().expect("a version id");
    assert_eq!(
        key,
        format!(
            "_results/{}/{version_id}/table.parquet",
            upload["key"].as_str().expect("a key")
        )
    );
    let file = server.s3("GET", "archive", Some(key), &[], b"");
    assert_eq!(file.status, 200, "{}", file.text());
    assert_eq!(
        file.header("content-type"),
        Some("application/vnd.apache.parquet")
    );
    ParquetRecordBatchReaderBuilder::try_new(Bytes::from(file.body))
        .expect("a Parquet file")
        .build()
        .expect("its batches")
        .map(|batch| batch.expect("a whole batch"))
        .collect()
}

#[test]
fn a_table_has_the_records_of_its_csv_with_types_and_the_csv_stays_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let server = serve(folder.path());
    let csv =
        b"city,people,since\n\"Ulm, \"\"D\"\"\",126000,1027-01-01\nG\xc3\xb6ppingen,,1154-05-06\n";
    let upload = send(&server, "cities.csv", csv, "archived");
    assert_eq!(upload["report"]["rows"], 2);
    assert_eq!(upload["report"]["columns"], 3);
    let [batch] = &table(&server, &upload)[..] else {
        panic!("one batch")
    };
    assert_eq!(batch.column(0).as_string::<i32>().value(0), "Ulm, \"D\"");
    assert_eq!(batch.column(0).as_string::<i32>().value(1), "Göppingen");
    let people = batch.column(1).as_primitive::<Int64Type>();
    assert_eq!((people.value(0), people.is_null(1)), (126_000, true));
    assert_eq!(batch.column(2).data_type().to_string(), "Date32");
    let archived = server.s3("GET", "archive", Some("cities.csv"), &[], b"");
    assert_eq!(archived.body, csv);
}

#[test]
fn a_table_longer_than_the_sample_and_a_batch_is_whole() {
    let folder = tempfile::tempdir().unwrap();
    let server = serve(folder.path());
    let mut csv = String::from("n,words,late\n");
    for n in 0..60_000 {
        // The third column is empty as far as the sample reaches, and the sample most likely ends inside the second.
        let late = if n == 59_999 { "here" } else { "" };
        writeln!(
            csv,
            "{n},\"some words,\n{}\",{late}",
            "and a line\n".repeat(9)
        )
        .unwrap();
    }
    assert!(csv.len() > 2 << 20);
    let upload = send(&server, "long.csv", csv.as_bytes(), "archived");
    assert_eq!(upload["report"]["rows"], 60_000);
    let batches = table(&server, &upload);
    let numbers = batches.iter().flat_map(|batch| {
        batch
            .column(0)
            .as_primitive::<Int64Type>()
            .values()
            .to_vec()
    });
    assert!(numbers.eq(0..60_000));
    let last = batches.last().unwrap();
    assert_eq!(
        last.column(2).as_string::<i32>().value(last.num_rows() - 1),
        "here"
    );
}

#[test]
fn what_is_no_table_is_set_aside_with_its_line_and_leaves_no_parquet_file() {
    let folder = tempfile::tempdir().unwrap();
    let server = serve(folder.path());
    let late = format!("a,b\n{}x\n", "1,2\n".repeat(400_000));
    let other_kind = format!("a,b\n{}1,two\n", "1,2\n".repeat(400_000));
    let unclosed = format!("a,b\n1,\"{}", "2\n".repeat(33 << 20));
    for (key, csv, said) in [
        ("ragged.csv", &b"a,b\n1,2\n1,2,3\n"[..], "line 3"),
        ("late.csv", late.as_bytes(), "line 400002"),
        ("kind.csv", other_kind.as_bytes(), "line 400002"),
        ("unclosed.csv", unclosed.as_bytes(), "line 1 have more than"),
        ("empty.csv", b"", "no columns"),
        ("binary.csv", b"a,b\n\xff\xfe,1\n", "line 2"),
    ] {
        let upload = send(&server, key, csv, "failed");
        let reason = upload["reason"].as_str().expect("a reason");
        assert!(reason.contains(said), "{key}: {reason}");
        assert!(reason.len() < 1_000, "{key}: {reason}");
        assert_eq!(upload["attempts"].as_u64().unwrap_or(1), 1, "{upload:#}");
    }
    let archive = server.s3("GET", "archive", None, &[("list-type", "2")], b"");
    assert!(!archive.text().contains("<Key>"), "{}", archive.text());
}

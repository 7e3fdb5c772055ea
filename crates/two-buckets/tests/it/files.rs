//! What becomes of files.

use std::fs;

use crate::harness::{Asked, Server, complaint};

#[test]
fn a_file_put_by_the_command_line_is_archived_byte_for_byte_with_its_report() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&folder.path().join("data"));
    let file = folder.path().join("people.csv");
    fs::write(&file, "name,age\nAda,36\nAlan,41\n").unwrap();
    let put = server.json(&["put", file.to_str().unwrap(), "--wait", "--json"]);
    assert_eq!(put["state"], "archived", "{put:#}");
    let key = put["key"].as_str().unwrap();
    assert!(key.ends_with("/people.csv"), "{key}");

    let status = server.json(&["status", key, "--json"]);
    let upload = &status["uploads"][0];
    assert_eq!(upload["state"], "archived");
    assert_eq!(upload["attempts"], 1);
    assert_eq!(
        upload["sha256"],
        "a4fac2e579204448e08a5df10834e09dbdf474f92acb5109734ff8ea3ca84ff2"
    );
    let archived = server.s3("GET", "archive", Some(key), &[], b"");
    assert_eq!(archived.status, 200);
    assert_eq!(archived.body, fs::read(&file).unwrap());
    let staging = server.s3("GET", "staging", None, &[("versions", "")], b"");
    assert!(!staging.text().contains("<Version>"), "{}", staging.text());

    let shown = server.run(&["status"]);
    let shown = String::from_utf8(shown.stdout).unwrap();
    assert!(
        shown.contains(key) && shown.contains("1 archived"),
        "{shown}"
    );
}

#[test]
fn many_files_of_every_size_are_put_in_parallel_and_keep_their_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&folder.path().join("data"));
    // The last one goes in parts; its size is no multiple of a part's.
    let sizes = [0, 1, 4096, 131_072, 131_073, 1 << 20, (40 << 20) + 12_345];
    let mut files = Vec::new();
    for (n, size) in sizes.into_iter().enumerate() {
        let path = folder.path().join(format!("file {n}.bin"));
        let mut state = 0x9e37_79b9_u32 ^ u32::try_from(n).unwrap();
        let bytes: Vec<u8> = std::iter::repeat_with(|| {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            state.to_le_bytes()[0]
        })
        .take(size)
        .collect();
        fs::write(&path, &bytes).unwrap();
        files.push((path, bytes));
    }
    let mut arguments = vec!["put", "--wait", "--json", "--prefix", "in/"];
    arguments.extend(files.iter().map(|(path, _)| path.to_str().unwrap()));
    assert_eq!(server.json_lines(&arguments).len(), files.len());
    for (path, bytes) in files {
        let key = format!("in/{}", path.file_name().unwrap().to_str().unwrap());
        let archived = server.s3("GET", "archive", Some(&key), &[], b"");
        assert_eq!(archived.status, 200, "{key}");
        assert!(archived.body == bytes, "{key} has other bytes");
    }
}

#[test]
fn a_file_put_over_s3_is_archived() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let key = "odd/ a+b%2Fc ü🙂\"'<>&.txt";
    let put = server.s3("PUT", "staging", Some(key), &[], b"over S3");
    assert_eq!(put.status, 200, "{}", put.text());
    let uploads = server.wait_for(key, &["archived"]);
    assert_eq!(
        uploads[0]["version_id"].as_str(),
        put.header("x-amz-version-id")
    );
    let archived = server.s3("GET", "archive", Some(key), &[], b"");
    assert_eq!(archived.body, b"over S3");
}

#[test]
fn a_file_overwritten_while_its_first_version_is_in_work_is_archived_twice_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let asked = Asked::new();
    let server = asked.start(folder.path());
    assert_eq!(
        server.s3("PUT", "staging", Some("k"), &[], b"first").status,
        200
    );
    let first = asked.next();
    assert_eq!(
        server
            .s3("PUT", "staging", Some("k"), &[], b"second")
            .status,
        200
    );
    first.answer("accept");
    let second = asked.next();
    assert_eq!((second.key.as_str(), second.attempt), ("k", 1));
    // The first is in the archive before the second was answered.
    let archived = server.s3("GET", "archive", Some("k"), &[], b"");
    assert_eq!(archived.body, b"first");
    second.answer("accept");
    server.wait_for("k", &["archived", "archived"]);
    let archived = server.s3("GET", "archive", Some("k"), &[], b"");
    assert_eq!(archived.body, b"second");
    let versions = server.s3("GET", "archive", None, &[("versions", "")], b"");
    assert_eq!(versions.text().matches("<Version>").count(), 2);
}

#[test]
fn files_that_wait_for_a_worker_are_seen_as_pending() {
    let folder = tempfile::tempdir().unwrap();
    let asked = Asked::new();
    let server = asked.start_with(folder.path(), |command| {
        command.args(["--workers", "1"]);
    });
    server.s3("PUT", "staging", Some("first"), &[], b"1");
    let in_work = asked.next();
    for key in ["second", "third"] {
        server.s3("PUT", "staging", Some(key), &[], b"22");
    }
    let all = server.json(&["status", "--json"]);
    let found: Vec<_> = all["uploads"]
        .as_array()
        .unwrap()
        .iter()
        .map(|upload| {
            (
                upload["key"].as_str().unwrap(),
                upload["state"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        found,
        [
            ("third", "pending"),
            ("second", "pending"),
            ("first", "processing")
        ]
    );
    assert_eq!(all["counts"]["pending"], 2);
    assert_eq!(all["oldest_unfinished"]["key"], "first");
    let detail = String::from_utf8(server.run(&["status", "third"]).stdout).unwrap();
    assert!(
        detail.contains("pending") && detail.contains("2 bytes"),
        "{detail}"
    );
    // The id that it has while it waits is the one it keeps.
    let id = all["uploads"][0]["id"].clone();
    in_work.answer("accept");
    for _ in ["second", "third"] {
        asked.next().answer("accept");
    }
    assert_eq!(server.wait_for("third", &["archived"])[0]["id"], id);
}

#[test]
fn a_file_moved_back_by_hand_is_processed_again() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    server.s3("PUT", "staging", Some("again"), &[], b"bytes");
    server.wait_for("again", &["archived"]);
    let archived = server.s3("GET", "archive", Some("again"), &[], b"");
    let put = server.s3("PUT", "staging", Some("again"), &[], &archived.body);
    assert_eq!(put.status, 200);
    server.wait_for("again", &["archived", "archived"]);
}

#[test]
fn a_refused_file_is_set_aside_with_its_reason_until_it_is_retried_and_holds_up_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let asked = Asked::new();
    let server = asked.start(folder.path());
    server.s3("PUT", "staging", Some("bad"), &[], b"poison");
    asked.next().answer("refuse it has no header");
    let failed = server.wait_for("bad", &["failed"]);
    assert_eq!(failed[0]["reason"], "it has no header");
    server.s3("PUT", "staging", Some("good"), &[], b"fine");
    asked.next().answer("accept");
    server.wait_for("good", &["archived"]);

    let none = server.run(&["retry", "good"]);
    assert_eq!(none.status.code(), Some(1));
    assert!(complaint(&none).contains("good"), "{}", complaint(&none));

    let retried = server.json(&["retry", "--all", "--json"]);
    assert_eq!(retried["retried"], 1);
    let again = asked.next();
    assert_eq!((again.key.as_str(), again.attempt), ("bad", 2));
    again.answer("accept");
    server.wait_for("bad", &["archived"]);
}

#[test]
fn put_says_which_files_it_cannot_read_before_it_uploads_any() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&folder.path().join("data"));
    let file = folder.path().join("there.txt");
    fs::write(&file, "x").unwrap();
    let output = server.run(&[
        "put",
        file.to_str().unwrap(),
        "/nowhere/absent.txt",
        "/dev/null",
    ]);
    assert_eq!(output.status.code(), Some(2));
    let said = complaint(&output);
    assert!(
        said.contains("absent.txt") && said.contains("/dev/null: it is a device"),
        "{said}"
    );
    assert_eq!(
        server.json(&["status", "--json"])["uploads"],
        serde_json::json!([])
    );
}

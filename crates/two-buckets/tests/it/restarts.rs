//! What a stop, asked for or not, leaves behind.

use crate::harness::{Asked, Server, ask};

#[test]
fn a_file_in_work_when_the_server_is_killed_is_processed_after_the_restart() {
    let folder = tempfile::tempdir().unwrap();
    let asked = Asked::new();
    let server = asked.start(folder.path());
    server.s3("PUT", "staging", Some("k"), &[], b"kept");
    let in_work = asked.next();
    assert_eq!(in_work.attempt, 1);
    server.kill();
    assert!(folder.path().join("server.json").exists());

    let server = asked.start(folder.path());
    let again = asked.next();
    assert_eq!((again.key.as_str(), again.attempt), ("k", 2));
    assert_eq!(again.version_id, in_work.version_id);
    again.answer("accept");
    server.wait_for("k", &["archived"]);
    let archived = server.s3("GET", "archive", Some("k"), &[], b"");
    assert_eq!(archived.body, b"kept");
}

#[test]
fn a_stop_removes_the_record_and_ends_with_success() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server::start(folder.path());
    assert_eq!(server.terminate(), Some(0), "{}", server.rest_of_log());
    assert!(!folder.path().join("server.json").exists());
    let output = server.run(&["status"]);
    assert_eq!(output.status.code(), Some(1));
    let mut server = Server::start(folder.path());
    server.signal("INT");
    assert_eq!(server.wait(), Some(0));
}

#[test]
fn a_stop_waits_for_the_file_in_work() {
    let folder = tempfile::tempdir().unwrap();
    let asked = Asked::new();
    let mut server = asked.start(folder.path());
    server.s3("PUT", "staging", Some("k"), &[], b"kept");
    let in_work = asked.next();
    server.signal("TERM");
    in_work.answer("accept");
    assert_eq!(server.wait(), Some(0));
    let server = asked.start(folder.path());
    let uploads = server.wait_for("k", &["archived"]);
    assert_eq!(uploads[0]["attempts"], 1);
}

#[test]
fn the_second_signal_ends_it_at_once_and_nothing_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let asked = Asked::new();
    let mut server = asked.start(folder.path());
    server.s3("PUT", "staging", Some("k"), &[], b"kept");
    let in_work = asked.next();
    server.signal("TERM");
    // It says that it stops before it takes the second signal as such.
    server.wait_for_log("stopping");
    server.signal("TERM");
    assert_eq!(server.wait(), Some(130));
    drop(in_work);
    let server = asked.start(folder.path());
    asked.next().answer("accept");
    server.wait_for("k", &["archived"]);
}

#[test]
fn a_dead_server_is_noticed_by_commands() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let pid = server.record["pid"].to_string();
    server.kill();
    let output = crate::harness::bare(&crate::harness::program(), folder.path())
        .arg("status")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = crate::harness::complaint(&output);
    assert!(
        said.contains(&pid) && said.contains("serve --data"),
        "{said}"
    );
    assert_eq!(said.lines().count(), 1, "{said}");
}

#[test]
fn the_logs_hold_no_secret_and_no_signed_url() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server::start_with(&crate::harness::program(), folder.path(), |command| {
        command.args(["--log", "trace", "--log-format", "json"]);
    });
    let token = server.record["admin_token"].as_str().unwrap().to_owned();
    let file = folder.path().join("f.txt");
    std::fs::write(&file, "x").unwrap();
    server.json(&["put", file.to_str().unwrap(), "--wait", "--json"]);
    let host = server.address("web").to_owned();
    let bearer = format!("Bearer {token}");
    let signed = ask(
        &host,
        "POST",
        "/api/signedurl",
        &[
            ("host", &host),
            ("authorization", &bearer),
            ("content-type", "application/json"),
        ],
        br#"{"filename":"a.txt"}"#,
    );
    assert_eq!(signed.status, 200, "{}", signed.text());
    let key: serde_json::Value =
        serde_json::from_slice(&std::fs::read(folder.path().join("root-key.json")).unwrap())
            .unwrap();
    assert_eq!(server.terminate(), Some(0));
    let log = server.rest_of_log();
    assert!(log.lines().count() > 3, "{log}");
    for secret in [
        key["secret_access_key"].as_str().unwrap(),
        &token,
        "X-Amz-Signature",
        "Signature=",
    ] {
        assert!(!log.contains(secret), "{secret} is in the log");
    }
    for line in log.lines().filter(|line| line.starts_with('{')) {
        serde_json::from_str::<serde_json::Value>(line).unwrap();
    }
}

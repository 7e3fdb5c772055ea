//! Jobs as the command line shows and cancels them.

use serde_json::Value;

use crate::harness::{Asked, Server, TRIES_MAX, complaint};

/// A server whose files of ten bytes or more are jobs.
fn start(asked: &Asked, data: &std::path::Path) -> Server {
    asked.start_with(data, |command| {
        command.args(["--job-from-bytes", "10"]);
    })
}

fn put(server: &Server, key: &str, body: &[u8]) {
    let put = server.s3("PUT", "staging", Some(key), &[], body);
    assert_eq!(put.status, 200, "{}", put.text());
}

fn shown(server: &Server, arguments: &[&str]) -> String {
    let output = server.run(arguments);
    assert!(output.status.success(), "{}", complaint(&output));
    String::from_utf8(output.stdout).expect("it prints text")
}

#[test]
fn a_job_is_shown_with_its_progress_and_cancelled_and_its_key_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let asked = Asked::new();
    let server = start(&asked, folder.path());
    put(&server, "k", b"a large file");
    let mut job = asked.next();
    job.progress(3, 12, "pages read");
    let mut lists = (0..TRIES_MAX).map(|_| shown(&server, &["status"]));
    let listed = lists.find(|listed| listed.contains("3 of 12 pages read (25 %)"));
    let listed = listed.expect("it says how far it is");
    assert!(listed.contains("processing (job)"), "{listed}");
    assert!(listed.contains("PROGRESS  "), "{listed}");
    put(&server, "k", b"small");
    put(&server, "beside", b"small");
    asked.next().answer("accept");
    server.wait_for("beside", &["archived"]);

    let cancelled = shown(&server, &["cancel", "k"]);
    assert_eq!(cancelled, "1 job cancelled\n");
    job.ended();
    // The later version waited for the job.
    let later = asked.next();
    assert_eq!((later.key.as_str(), later.attempt), ("k", 1));
    later.answer("accept");
    let uploads = server.wait_for("k", &["archived", "failed"]);
    assert_eq!(uploads[1]["reason"], "its job was cancelled");
    assert_eq!(uploads[1]["job"], true);
    assert_eq!(uploads[0]["job"], false);
    let listed = shown(&server, &["status"]);
    assert!(listed.contains("failed (job)"), "{listed}");
    assert!(!listed.contains("PROGRESS"), "{listed}");

    // It is tried again as a job, and this time let through.
    shown(&server, &["retry", "k"]);
    asked.next().answer("accept");
    server.wait_for("k", &["archived", "late"]);
}

#[test]
fn every_job_of_a_key_is_cancelled_or_one_by_its_id() {
    let folder = tempfile::tempdir().unwrap();
    let asked = Asked::new();
    let server = start(&asked, folder.path());
    let id = |upload: &Value| upload["id"].as_str().unwrap().to_owned();
    // Answered or not, each holds its job until the end of the test.
    let mut in_work = Vec::new();
    for key in ["a", "b"] {
        put(&server, key, b"a large file");
        let first = asked.next();
        put(&server, key, b"another large file");
        // It waits for its next attempt, and meanwhile the other one is for a job as well.
        first.answer("later it is not ready");
        in_work.push(asked.next());
        let both = both_jobs(&server, key);
        if key == "a" {
            assert_eq!(server.json(&["cancel", key, "--json"])["cancelled"], 2);
        } else {
            let by_id = server.json(&["cancel", &id(&both[0]), "--json"]);
            assert_eq!(by_id["cancelled"], 1);
            assert_eq!(both_of(&server, key)[0]["state"], "failed");
            assert_ne!(both_of(&server, key)[1]["state"], "failed");
            server.json(&["cancel", "--id", &id(&both[1]), "--json"]);
        }
        server.wait_for(key, &["failed", "failed"]);
    }
}

fn both_of(server: &Server, key: &str) -> Vec<Value> {
    let shown = server.json(&["status", key, "--json"]);
    shown["uploads"].as_array().expect("a list").clone()
}

/// Waits until both uploads of a key are unfinished jobs.
fn both_jobs(server: &Server, key: &str) -> Vec<Value> {
    let is_job = |upload: &Value| {
        upload["job"] == true && (upload["state"] == "pending" || upload["state"] == "processing")
    };
    (0..TRIES_MAX)
        .map(|_| both_of(server, key))
        .find(|uploads| uploads.len() == 2 && uploads.iter().all(is_job))
        .expect("both are for jobs")
}

#[test]
fn what_cannot_be_cancelled_says_why_and_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let asked = Asked::new();
    let server = start(&asked, folder.path());
    put(&server, "plain", b"small");
    let plain = asked.next();
    let refused = |arguments: &[&str]| {
        let output = server.run(arguments);
        let said = complaint(&output);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {said}");
        assert!(output.stdout.is_empty());
        said
    };
    let said = refused(&["cancel", "plain"]);
    assert!(said.contains("only jobs can be cancelled"), "{said}");
    plain.answer("accept");
    server.wait_for("plain", &["archived"]);
    for arguments in [&["cancel", "plain"][..], &["cancel", "plain", "--json"]] {
        let said = refused(arguments);
        assert!(said.contains("it has ended and is archived"), "{said}");
        assert!(said.contains("archive bucket"), "{said}");
    }
    let said = refused(&["cancel", "nowhere"]);
    assert!(said.contains("there is no upload of nowhere"), "{said}");
    refused(&["cancel", "--id", "nowhere"]);
}

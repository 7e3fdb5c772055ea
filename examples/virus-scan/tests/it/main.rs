//! The program as its README starts it, beside a clamd that does what we say, and beside the real one.

mod fake;
#[expect(dead_code, reason = "each program uses some of it")]
#[path = "../../../../crates/two-buckets/tests/it/harness.rs"]
mod harness;
mod real;

use std::path::Path;

use fake::{Fake, Says};
use harness::Server;
use serde_json::Value;

/// A server whose scanner listens here.
fn serve(data: &Path, clamd: &str, flags: &[&str]) -> Server {
    Server::start_with(
        Path::new(env!("CARGO_BIN_EXE_virus-scan")),
        data,
        |command| {
            command
                .env("CLAMD", clamd)
                .env("CLAMD_SILENCE_MAX_S", "1")
                .args(flags);
        },
    )
}

fn send(server: &Server, key: &str, file: &[u8]) {
    let sent = server.s3("PUT", "staging", Some(key), &[], file);
    assert_eq!(sent.status, 200, "{}", sent.text());
}

fn reason(upload: &Value) -> &str {
    upload["reason"].as_str().expect("a reason")
}

/// Whether a bucket has this key.
fn has(server: &Server, bucket: &str, key: &str) -> bool {
    server.s3("GET", bucket, Some(key), &[], b"").status == 200
}

#[test]
fn a_clean_file_is_archived_and_clamd_saw_all_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let fake = Fake::start(Says::Answer(b"stream: OK\0"));
    let server = serve(folder.path(), &fake.address, &[]);
    let file: Vec<u8> = (0..300_000_u32).flat_map(u32::to_le_bytes).collect();
    send(&server, "clean.bin", &file);
    let upload = server.wait_for("clean.bin", &["archived"]).remove(0);
    assert_eq!(upload["report"]["virus_scan"], "clean");
    assert!(fake.last_file() == file);
    send(&server, "empty", b"");
    server.wait_for("empty", &["archived"]);
    assert!(fake.last_file().is_empty());
}

#[test]
fn an_infected_file_stays_in_staging_with_its_signature_and_is_never_archived() {
    let folder = tempfile::tempdir().unwrap();
    let fake = Fake::start(Says::Answer(b"stream: Win.Test.EICAR_HDB-1 FOUND\0"));
    let server = serve(folder.path(), &fake.address, &[]);
    send(&server, "infected", b"pretend");
    let upload = server.wait_for("infected", &["failed"]).remove(0);
    assert_eq!(reason(&upload), "infected: Win.Test.EICAR_HDB-1");
    assert_eq!(fake.scans(), 1, "it will be as infected the next time");
    assert!(has(&server, "staging", "infected"));
    assert!(!has(&server, "archive", "infected"));
}

#[test]
fn any_doubt_is_no_verdict_and_nothing_is_archived() {
    let file = vec![b'x'; 8 << 20];
    for (says, words) in [
        (Says::Answer(b""), "clamd said \"\""),
        (Says::Answer(b"stream: OK"), "clamd said"),
        (Says::Answer(b"stream: OKAY\0"), "clamd said"),
        (Says::Answer(b"UNKNOWN COMMAND\0"), "clamd said"),
        (Says::Nothing, "silent"),
        (
            Says::AnswerAfter(1 << 20, b"INSTREAM size limit exceeded. ERROR\0"),
            "did not take all of it",
        ),
        // It says OK before it has seen the file, and goes away.
        (
            Says::AnswerAfter(0, b"stream: OK\0"),
            "did not take all of it",
        ),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let fake = Fake::start(says);
        // One attempt, so that the reason of the doubt is what remains.
        let server = serve(folder.path(), &fake.address, &["--max-attempts", "1"]);
        send(&server, "doubtful", &file);
        let upload = server.wait_for("doubtful", &["failed"]).remove(0);
        let reason = reason(&upload);
        assert!(
            reason.contains("not scanned") && reason.contains(words),
            "{says:?}: {reason}"
        );
        assert!(has(&server, "staging", "doubtful"));
        assert!(!has(&server, "archive", "doubtful"));
    }
}

#[test]
fn a_file_waits_for_a_scanner_that_is_away_and_is_archived_once_it_is_back() {
    let folder = tempfile::tempdir().unwrap();
    let address = fake::free_address();
    let server = serve(folder.path(), &address, &[]);
    send(&server, "early", b"early");
    // The first attempt found nobody.
    let upload = loop {
        let upload = server.json(&["status", "early", "--json"])["uploads"][0].clone();
        assert_ne!(upload["state"], "archived", "{upload:#}");
        if upload["reason"].is_string() {
            break upload;
        }
    };
    assert_ne!(upload["state"], "failed", "{upload:#}");
    assert!(reason(&upload).contains("not scanned"), "{upload:#}");
    assert!(!has(&server, "archive", "early"));
    let fake = Fake::start_at(&address, Says::Answer(b"stream: OK\0"));
    server.wait_for("early", &["archived"]);
    assert_eq!(fake.last_file(), b"early");
}

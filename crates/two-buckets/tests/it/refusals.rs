//! What the server refuses, in words.

use std::net::TcpListener;
use std::process::{Command, Stdio};

use crate::harness::{Server, ask, bare, complaint, program};

fn refused(arguments: &[&str]) -> String {
    let folder = tempfile::tempdir().expect("a folder");
    said_no(bare(&program(), folder.path()).args(arguments))
}

fn said_no(command: &mut Command) -> String {
    let output = command
        .stdout(Stdio::piped())
        .output()
        .expect("the program starts");
    let said = complaint(&output);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(said.starts_with("two-buckets: "), "{said}");
    said
}

#[test]
fn a_bad_flag_is_refused() {
    assert!(refused(&["--colour"]).contains("--colour"));
    let said = refused(&["serve", "--workers", "many"]);
    assert!(said.contains("--workers"), "{said}");
}

#[test]
fn what_is_misspelt_is_refused_with_what_was_probably_meant() {
    let said = refused(&["--comand", "cat"]);
    assert!(
        said.contains("'--comand' found; a similar argument exists: '--command'"),
        "{said}"
    );
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config.toml");
    for (text, words) in [
        ("max_atempts = 3", "did you mean max_attempts?"),
        (
            "[procesor.a]\ncommand = 'cat'",
            "did you mean [processor.NAME]?",
        ),
        ("zzz = 1", "there are data, s3, "),
        ("zzz = 1", ", [[route]], "),
    ] {
        std::fs::write(&file, text).unwrap();
        let said = refused(&["--config", file.to_str().unwrap()]);
        assert!(said.contains(words), "{text}: {said}");
    }
}

#[test]
fn an_address_that_others_can_reach_is_refused() {
    let said = refused(&["--s3", "0.0.0.0:0"]);
    assert!(
        said.contains("0.0.0.0:0") && said.contains("127.0.0.1"),
        "{said}"
    );
}

#[test]
fn a_taken_port_is_refused() {
    let holder = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = holder.local_addr().unwrap().to_string();
    for (flag, other) in [("--s3", "--web"), ("--web", "--s3")] {
        let said = refused(&[flag, &address, other, "127.0.0.1:0"]);
        assert!(said.contains(&address) && said.contains(flag), "{said}");
    }
}

#[test]
fn a_second_server_on_the_same_folder_is_refused_and_harms_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let said = said_no(bare(&program(), folder.path()).args([
        "--s3",
        "127.0.0.1:0",
        "--web",
        "127.0.0.1:0",
    ]));
    let pid = server.record["pid"].to_string();
    assert!(said.contains("in use") && said.contains(&pid), "{said}");
    assert!(folder.path().join("server.json").exists());
    server.json(&["status", "--json"]);
}

#[test]
fn a_folder_that_cannot_be_one_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let said = said_no(
        bare(&program(), folder.path())
            .arg("--data")
            .arg(file.join("below")),
    );
    assert!(said.contains("data folder"), "{said}");
    let said = said_no(
        bare(&program(), folder.path())
            .arg("--data")
            .arg("/proc/two-buckets"),
    );
    assert!(said.contains("data folder"), "{said}");
}

#[test]
fn reserved_keys_are_refused_on_both_ways_in() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    for key in ["_results/x", "_late/x"] {
        let put = server.s3("PUT", "staging", Some(key), &[], b"x");
        assert_eq!(put.status, 403, "{}", put.text());
        let begun = server.s3("POST", "staging", Some(key), &[("uploads", "")], b"");
        assert_eq!(begun.status, 403, "{}", begun.text());
        let file = folder.path().join("x");
        std::fs::write(&file, "x").unwrap();
        let output = server.run(&["put", file.to_str().unwrap(), "--key", key]);
        assert_eq!(output.status.code(), Some(1));
        assert!(
            complaint(&output).contains("reserved"),
            "{}",
            complaint(&output)
        );
    }
}

/// Method, headers, expected status.
type Case<'a> = (&'a str, &'a [(&'a str, &'a str)], u16);

#[test]
fn foreign_hosts_and_origins_and_callers_without_the_token_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let web = server.address("web").to_owned();
    let port = web.rsplit_once(':').unwrap().1;
    let local = format!("localhost:{port}");
    let rebound = format!("evil.example:{port}");
    let foreign = ("origin", "http://evil.example");
    let own_origin = format!("http://{web}");
    let token = format!("Bearer {}", server.record["admin_token"].as_str().unwrap());
    let json = ("content-type", "application/json");
    let cases: &[Case<'_>] = &[
        ("GET", &[("host", &web)], 200),
        ("GET", &[("host", &local)], 200),
        ("GET", &[("host", &rebound)], 403),
        ("GET", &[("host", "evil.example")], 403),
        ("POST", &[("host", &web), json], 401),
        ("POST", &[("host", &web), json, foreign], 403),
        ("POST", &[("host", &web), json, ("origin", "null")], 403),
        (
            "POST",
            &[("host", &web), json, ("origin", &own_origin)],
            200,
        ),
        (
            "POST",
            &[("host", &web), json, ("authorization", &token)],
            200,
        ),
        (
            "POST",
            &[("host", &web), json, ("authorization", "Bearer wrong")],
            401,
        ),
        (
            "POST",
            &[("host", &rebound), json, ("authorization", &token)],
            403,
        ),
    ];
    for (method, headers, status) in cases {
        let (target, body): (_, &[u8]) = match *method {
            "GET" => ("/api/server", b""),
            _ => ("/api/sweep", b"{}"),
        };
        let answer = ask(&web, method, target, headers, body);
        assert_eq!(
            answer.status,
            *status,
            "{method} {headers:?}: {}",
            answer.text()
        );
        assert_eq!(answer.header("access-control-allow-origin"), None);
    }
}

#[test]
fn a_bucket_without_versioning_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    {
        let mut server = Server::start(folder.path());
        assert_eq!(server.s3("PUT", "plain", None, &[], b"").status, 200);
        server.terminate();
    }
    let said = said_no(bare(&program(), folder.path()).args([
        "--s3",
        "127.0.0.1:0",
        "--web",
        "127.0.0.1:0",
        "--staging",
        "plain",
    ]));
    assert!(
        said.contains("plain") && said.contains("versioning"),
        "{said}"
    );
}

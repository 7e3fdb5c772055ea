//! Of what a server runs on files nothing is left when the server is gone, however it went.

#![cfg(target_os = "linux")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use crate::harness::{Server, program};

/// How often it is looked at all processes before a test gives up: about a minute.
const LOOKS_MAX: u32 = 3_000;

/// Leaves a child in its group and one outside of it, and never ends.
const LINGERS: &str = "sleep 1000 & setsid sleep 1000 & echo begun >&2; wait";

/// The processes that have a folder of a server on this data folder, by what they were started as.
fn started_by_servers_of(data: &Path) -> Vec<String> {
    let mark = data.canonicalize().expect("it is there").join("scratch");
    let mark = format!("={}/", mark.display());
    let of = |process: PathBuf| {
        // Gone meanwhile, or somebody else's.
        let variables = fs::read(process.join("environ")).ok()?;
        let has_mark = String::from_utf8_lossy(&variables)
            .split('\0')
            .any(|variable| variable.contains(&mark));
        let words = fs::read(process.join("cmdline")).ok()?;
        has_mark.then(|| String::from_utf8_lossy(&words).replace('\0', " "))
    };
    fs::read_dir("/proc")
        .expect("Linux has it")
        .flatten()
        .filter_map(|entry| of(entry.path()))
        .collect()
}

fn until(what: &str, data: &Path, is_so: impl Fn(&[String]) -> bool) {
    let mut last = Vec::new();
    for _ in 0..LOOKS_MAX {
        last = started_by_servers_of(data);
        if is_so(&last) {
            return;
        }
    }
    panic!("{what} did not come about: {last:#?}");
}

/// A server with something at work on a file: a command or a function.
fn at_work(data: &Path, flags: &[&str]) -> Server {
    let server = Server::start_with(&program(), data, |command| {
        command.args(flags);
    });
    server.s3("PUT", "staging", Some("k"), &[], b"kept");
    // More where one was started before the file came.
    let sleeps = |all: &[String]| all.iter().filter(|it| it.starts_with("sleep 1000")).count() >= 2;
    until("a program at work", data, sleeps);
    server
}

fn command_at_work(data: &Path) -> Server {
    at_work(data, &["--shell", "--command", LINGERS])
}

fn function_at_work(data: &Path, code: &Path) -> Server {
    let bootstrap = code.join("bootstrap");
    fs::write(&bootstrap, format!("#!/bin/sh\n{LINGERS}\n")).expect("it is written");
    fs::set_permissions(&bootstrap, fs::Permissions::from_mode(0o755)).expect("it is written");
    at_work(data, &["--function", code.to_str().expect("UTF-8")])
}

fn ended_at_once(mut server: Server) {
    server.signal("INT");
    server.wait_for_log("stopping");
    server.signal("INT");
    assert_eq!(server.wait(), Some(130));
    assert_eq!(started_by_servers_of(&server.data), Vec::<String>::new());
}

fn ended_with_the_killed(server: Server) {
    let data = server.data.clone();
    server.kill();
    until("the end of all", &data, <[String]>::is_empty);
}

#[test]
fn a_second_signal_leaves_nothing_of_a_command() {
    let folder = tempfile::tempdir().unwrap();
    ended_at_once(command_at_work(folder.path()));
}

#[test]
fn a_second_signal_leaves_nothing_of_a_function() {
    let (folder, code) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    ended_at_once(function_at_work(folder.path(), code.path()));
}

#[test]
fn what_a_command_runs_ends_with_a_server_that_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    ended_with_the_killed(command_at_work(folder.path()));
}

#[test]
fn what_a_function_runs_ends_with_a_server_that_is_killed() {
    let (folder, code) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    ended_with_the_killed(function_at_work(folder.path(), code.path()));
}

#[test]
fn a_server_that_is_stopped_leaves_no_process_and_no_folder() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server::start_with(&program(), folder.path(), |command| {
        command.args(["--command", "cat"]);
    });
    let children = children_of(&server);
    assert_eq!(children.len(), 1, "{children:?}");
    assert_eq!(server.terminate(), Some(0), "{}", server.rest_of_log());
    assert!(!Path::new("/proc").join(&children[0]).exists());
    assert_eq!(
        fs::read_dir(folder.path().join("scratch")).unwrap().count(),
        0
    );
}

#[test]
fn a_server_that_runs_nothing_of_others_has_no_process_beside_it() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    assert_eq!(children_of(&server), Vec::<String>::new());
}

/// The numbers of a server's children.
fn children_of(server: &Server) -> Vec<String> {
    let pid = server.record["pid"].as_u64().expect("a number");
    let threads = fs::read_dir(format!("/proc/{pid}/task"))
        .expect("it runs")
        .flatten();
    let children = |thread: fs::DirEntry| fs::read_to_string(thread.path().join("children")).ok();
    let all: String = threads.filter_map(children).collect();
    all.split_ascii_whitespace().map(str::to_owned).collect()
}

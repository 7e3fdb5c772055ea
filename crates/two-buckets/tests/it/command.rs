//! A program of the user's own on each file, and what it wrote.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::harness::{Server, bare, complaint, program};

fn serve(data: &Path, flags: &[&str]) -> Server {
    Server::start_with(&program(), data, |command| {
        command.args(flags);
    })
}

fn script(data: &Path, script: &str) -> Server {
    serve(data, &["--shell", "--command", script])
}

/// One upload with its attempts, once it is in this state.
fn settled(server: &Server, key: &str, state: &str) -> Value {
    server.wait_for(key, &[state]).remove(0)
}

fn log(server: &Server, arguments: &[&str]) -> String {
    let output = server.run(&[&["logs"], arguments].concat());
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).expect("logs are text")
}

/// The files that the runs of each server have by path.
fn files_for_paths(data: &Path) -> Vec<PathBuf> {
    let below = |folder: PathBuf| std::fs::read_dir(folder).into_iter().flatten().flatten();
    below(data.join("scratch"))
        .flat_map(|run| below(run.path().join("command")))
        .map(|file| file.path())
        .collect()
}

fn scratch_is_empty(data: &Path) -> bool {
    files_for_paths(data).is_empty()
}

#[test]
fn a_program_gets_the_file_on_standard_input_and_its_output_is_the_report() {
    let folder = tempfile::tempdir().unwrap();
    let server = serve(folder.path(), &["--command", "wc -c"]);
    server.s3("PUT", "staging", Some("a"), &[], b"hello");
    let upload = settled(&server, "a", "archived");
    assert_eq!(upload["report"], json!({"stdout": "5\n"}));
    assert_eq!(
        server.s3("GET", "archive", Some("a"), &[], b"").body,
        b"hello"
    );
    let large = vec![b'x'; 3 << 20];
    server.s3("PUT", "staging", Some("b"), &[], &large);
    let upload = settled(&server, "b", "archived");
    assert_eq!(upload["report"], json!({"stdout": "3145728\n"}));
}

#[test]
fn the_file_is_at_a_harmless_path_with_its_extension_and_gone_afterwards() {
    let folder = tempfile::tempdir().unwrap();
    let told = folder.path().join("told");
    let flags = ["--command", &format!("cp {{path}} '{}'", told.display())];
    let server = serve(folder.path(), &flags);
    server.s3("PUT", "staging", Some("x/-rf $(reboot).csv"), &[], b"a,b");
    settled(&server, "x/-rf $(reboot).csv", "archived");
    assert_eq!(std::fs::read(&told).unwrap(), b"a,b");
    assert!(scratch_is_empty(folder.path()));
    drop(server);
    let script = "echo \"{\\\"path\\\": \\\"$TWO_BUCKETS_PATH\\\"}\"";
    let server = self::script(folder.path(), script);
    server.s3("PUT", "staging", Some("--help.JPG"), &[], b"");
    let upload = settled(&server, "--help.JPG", "archived");
    let path = upload["report"]["path"].as_str().unwrap();
    assert!(
        path.starts_with('/') && path.ends_with("/file.JPG"),
        "{path}"
    );
}

#[test]
fn a_hostile_key_is_one_word_in_the_environment_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let key = "-n \"; touch owned; `touch owned` $(touch owned)\n'";
    let server = Server::start_with(&program(), folder.path(), |command| {
        command
            .current_dir(folder.path())
            .args(["--shell", "--command"])
            .arg("printf %s \"$TWO_BUCKETS_KEY\"; printf '|%s' \"$TWO_BUCKETS_SIZE\" \"$TWO_BUCKETS_ATTEMPT\" \"$TWO_BUCKETS_BUCKET\" >&2");
    });
    server.s3("PUT", "staging", Some(key), &[], b"abc");
    let upload = settled(&server, key, "archived");
    assert_eq!(upload["report"], json!({"stdout": key}));
    assert_eq!(
        log(&server, &["--attempt", "1", "--", key]),
        "|3|1|staging\n"
    );
    assert!(!folder.path().join("owned").exists());
}

#[test]
fn the_server_keeps_its_own_variables_from_the_program() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start_with(&program(), folder.path(), |command| {
        command
            .env("TWO_BUCKETS_ROOT_SECRET_ACCESS_KEY_OLD", "hunter2")
            .env("SOMETHING_ELSE", "hunter2")
            .env("PASSED", "passed")
            .args(["--command", "env", "--command-env", "PASSED"])
            .args(["--command-env", "GIVEN=a,b=c"]);
    });
    server.s3("PUT", "staging", Some("a"), &[], b"");
    let upload = settled(&server, "a", "archived");
    let env = upload["report"]["stdout"].as_str().unwrap();
    assert!(!env.contains("hunter2"), "{env}");
    assert!(!env.contains("TWO_BUCKETS_DATA"), "{env}");
    for there in [
        "PASSED=passed\n",
        "GIVEN=a,b=c\n",
        "TWO_BUCKETS_KEY=a\n",
        "PATH=",
    ] {
        assert!(env.contains(there), "{there:?} in {env}");
    }
}

#[test]
fn exit_codes_say_what_happens_next() {
    let folder = tempfile::tempdir().unwrap();
    let flags = ["--max-attempts", "2", "--command-permanent-exit", "3"];
    let server = serve(
        folder.path(),
        &[
            &flags[..],
            &[
                "--shell",
                "--command",
                "echo trying; echo \"sorry $TWO_BUCKETS_ATTEMPT\" >&2; eval \"$(cat)\"",
            ],
        ]
        .concat(),
    );
    for (key, does, attempts, reason) in [
        ("permanent", "exit 3", 1, "exit code 3: sorry 1"),
        ("transient", "exit 65", 2, "exit code 65: sorry 2"),
        ("killed", "kill -9 $$", 2, "signal 9"),
    ] {
        server.s3("PUT", "staging", Some(key), &[], does.as_bytes());
        let upload = settled(&server, key, "failed");
        assert_eq!(upload["attempts"], attempts, "{upload:#}");
        let said = upload["reason"].as_str().unwrap();
        assert!(said.contains(reason), "{said}");
        let log = log(&server, &[key]);
        assert!(log.contains("sorry 1\n"), "{log}");
        assert_eq!(log.contains("sorry 2\n"), attempts == 2, "{log}");
        assert_eq!(log.matches("--- attempt ").count(), attempts, "{log}");
    }
}

#[test]
fn a_program_that_does_not_read_its_input_is_content_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let server = serve(folder.path(), &["--command", "true"]);
    let large = vec![b'x'; 5 << 20];
    server.s3("PUT", "staging", Some("a"), &[], &large);
    let upload = settled(&server, "a", "archived");
    assert_eq!(upload["report"], Value::Null);
    assert_eq!(log(&server, &["a"]).lines().count(), 2);
}

#[test]
fn large_output_is_kept_in_the_archive_and_that_of_a_failure_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let server = script(
        folder.path(),
        "cat; cat \"$TWO_BUCKETS_PATH\"; case $TWO_BUCKETS_KEY in bad) exit 65;; esac",
    );
    let large: Vec<u8> = (0..300_000_u32).flat_map(u32::to_le_bytes).collect();
    server.s3("PUT", "staging", Some("a"), &[], &large);
    let upload = settled(&server, "a", "archived");
    let at = &upload["report"]["stdout"];
    assert_eq!(at["size_bytes"], large.len());
    let key = at["key"].as_str().unwrap();
    let version = upload["version_id"].as_str().unwrap();
    assert_eq!(key, format!("_results/a/{version}/stdout"));
    assert_eq!(server.s3("GET", "archive", Some(key), &[], b"").body, large);
    server.s3("PUT", "staging", Some("bad"), &[], &large);
    settled(&server, "bad", "failed");
    let list = server.s3("GET", "archive", None, &[("prefix", "_results/bad/")], b"");
    assert!(!list.text().contains("<Key>"), "{}", list.text());
}

#[test]
fn output_that_has_a_name_and_a_type_is_a_file_of_both_however_short_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let script = "cat; case $TWO_BUCKETS_KEY in bad) exit 65;; esac";
    let output = ["--command-output", "thumbs/small one.jpg:image/jpeg"];
    let server = serve(
        folder.path(),
        &[&["--shell", "--command", script][..], &output].concat(),
    );
    let report = b"{\"looks\": \"like a report\"}";
    let large: Vec<u8> = (0..300_000_u32).flat_map(u32::to_le_bytes).collect();
    for (key, body) in [("short", &report[..]), ("long", &large), ("bad", report)] {
        server.s3("PUT", "staging", Some(key), &[], body);
        let state = if key == "bad" { "failed" } else { "archived" };
        let upload = settled(&server, key, state);
        let version = upload["version_id"].as_str().unwrap();
        let at = format!("_results/{key}/{version}/thumbs/small one.jpg");
        let kept = server.s3("GET", "archive", Some(&at), &[], b"");
        if key == "bad" {
            assert_eq!(kept.status, 404, "what failed leaves no output");
            continue;
        }
        let said = &upload["report"]["output"];
        assert_eq!(said["key"], at);
        assert_eq!(said["name"], "thumbs/small one.jpg");
        assert_eq!(said["media_type"], "image/jpeg");
        assert_eq!(said["size_bytes"], body.len());
        assert_eq!(kept.body, body);
        assert_eq!(kept.header("content-type"), Some("image/jpeg"));
    }
    server.s3("PUT", "staging", Some("none"), &[], b"");
    let upload = settled(&server, "none", "archived");
    assert_eq!(upload["report"], Value::Null);
    let list = server.s3("GET", "archive", None, &[("prefix", "_results/none/")], b"");
    assert!(!list.text().contains("<Key>"), "{}", list.text());
}

#[test]
fn each_processor_of_the_configuration_names_its_own_output() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("config.toml");
    std::fs::write(
        &config,
        "[processor.sorted]\ncommand = 'sort'\ncommand_output = 'sorted.txt:text/plain'\n\
         [[route]]\nname = 'texts'\nkey = '*.txt'\nprocessor = 'sorted'\n",
    )
    .unwrap();
    let data = folder.path().join("data");
    let server = serve(&data, &["--config", config.to_str().unwrap()]);
    server.s3("PUT", "staging", Some("a.txt"), &[], b"b\na\n");
    let upload = settled(&server, "a.txt", "archived");
    let key = upload["report"]["output"]["key"].as_str().unwrap();
    let kept = server.s3("GET", "archive", Some(key), &[], b"");
    assert_eq!(kept.body, b"a\nb\n");
    assert_eq!(kept.header("content-type"), Some("text/plain"));
}

#[test]
fn at_its_time_out_the_whole_group_is_ended_and_what_it_said_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let pid = folder.path().join("pid");
    let server = serve(
        folder.path(),
        &[
            "--max-attempts",
            "1",
            "--command-timeout-s",
            "1",
            "--shell",
            "--command",
            &format!(
                "trap 'echo ending >&2; exit 0' TERM; echo begun >&2; sleep 1000 & echo $! > '{}'; wait",
                pid.display()
            ),
        ],
    );
    server.s3("PUT", "staging", Some("a"), &[], b"x");
    let upload = settled(&server, "a", "failed");
    let reason = upload["reason"].as_str().unwrap();
    assert!(reason.contains("time-out"), "{reason}");
    assert_eq!(log(&server, &["a", "--attempt", "1"]), "begun\nending\n");
    assert!(has_ended(&pid));
}

/// Says whether the process whose id is in this file is gone, or a zombie that nobody has waited for yet.
fn has_ended(pid: &Path) -> bool {
    let pid = std::fs::read_to_string(pid).expect("the program wrote its id");
    std::fs::read_to_string(format!("/proc/{}/stat", pid.trim()))
        .map_or(true, |stat| stat.contains(") Z "))
}

#[test]
fn a_program_that_will_not_end_at_its_time_out_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let pid = folder.path().join("pid");
    let script = format!(
        "trap '' TERM; echo $$ > '{}'; while :; do sleep 1; done",
        pid.display()
    );
    let flags = ["--max-attempts", "1", "--command-timeout-s", "1"];
    let server = serve(
        folder.path(),
        &[&flags[..], &["--shell", "--command", &script]].concat(),
    );
    server.s3("PUT", "staging", Some("a"), &[], b"x");
    let upload = settled(&server, "a", "failed");
    let reason = upload["reason"].as_str().unwrap();
    assert!(reason.contains("time-out"), "{reason}");
    assert!(has_ended(&pid));
}

#[test]
fn what_a_program_leaves_running_ends_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let pid = folder.path().join("pid");
    let script = format!("sleep 1000 >/dev/null 2>&1 & echo $! > '{}'", pid.display());
    let server = self::script(folder.path(), &script);
    server.s3("PUT", "staging", Some("a"), &[], b"x");
    settled(&server, "a", "archived");
    assert!(has_ended(&pid));
}

#[test]
fn more_output_and_larger_files_than_there_is_room_for_are_refused_for_good() {
    let folder = tempfile::tempdir().unwrap();
    let server = serve(
        folder.path(),
        &[
            "--command-stdout-mib",
            "1",
            "--command-scratch-mib",
            "1",
            "--command",
            "sh -c 'head -c 2000000 /dev/zero' sh {path}",
        ],
    );
    let large = vec![b'x'; 2 << 20];
    for (key, body, words) in [
        ("a", &b"x"[..], "more than 1048576 bytes on standard output"),
        ("b", &large, "more than the 1048576 of the scratch folder"),
    ] {
        server.s3("PUT", "staging", Some(key), &[], body);
        let upload = settled(&server, key, "failed");
        assert_eq!(upload["attempts"], 1, "{upload:#}");
        let reason = upload["reason"].as_str().unwrap();
        assert!(reason.contains(words), "{reason}");
    }
    let list = server.s3("GET", "archive", None, &[], b"");
    assert!(!list.text().contains("<Key>"), "{}", list.text());
}

#[test]
fn a_flood_on_standard_error_leaves_its_beginning_and_its_end() {
    let folder = tempfile::tempdir().unwrap();
    let server = script(folder.path(), "seq 1 200000 >&2");
    server.s3("PUT", "staging", Some("a"), &[], b"x");
    settled(&server, "a", "archived");
    let log = log(&server, &["a", "--attempt", "1"]);
    assert!(log.starts_with("1\n2\n") && log.ends_with("199999\n200000\n"));
    assert!(log.contains(" bytes were not kept]\n"));
    assert!(log.len() < 70_000);
}

#[test]
fn a_log_is_followed_while_its_attempt_runs_and_survives_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let gate = folder.path().join("gate");
    // It waits until the gate is opened for writing.
    let made = Command::new("mkfifo").arg(&gate).status().unwrap();
    assert!(made.success());
    let says = format!(
        "echo one >&2; read -r _ < '{}'; echo two >&2; cat \"$TWO_BUCKETS_PATH\" >/dev/null",
        gate.display()
    );
    let server = script(folder.path(), &says);
    server.s3("PUT", "staging", Some("a.txt"), &[], b"kept");
    let mut tries = 0;
    while !log(&server, &["a.txt"]).contains("one\n") {
        tries += 1;
        assert!(tries < 1_000, "what a run writes is not kept while it runs");
    }
    assert_eq!(files_for_paths(folder.path()).len(), 1);
    server.kill();

    let server = script(folder.path(), &says);
    let follower = bare(&program(), folder.path())
        .args(["logs", "a.txt", "--follow"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    while server.wait_for("a.txt", &["processing"])[0]["attempts"] != 2 {}
    std::fs::write(&gate, b"go on\n").unwrap();
    let followed = follower.wait_with_output().unwrap();
    assert!(followed.status.success());
    let followed = String::from_utf8(followed.stdout).unwrap();
    server.wait_for("a.txt", &["archived"]);
    let (first, second) = followed.split_once("--- attempt 2").unwrap();
    assert!(
        first.ends_with("one\n") && first.contains("crashed"),
        "{first}"
    );
    assert!(second.ends_with("one\ntwo\n"), "{second}");
    assert!(
        scratch_is_empty(folder.path()),
        "the file of the killed run is removed"
    );
}

#[test]
fn what_cannot_be_run_as_meant_is_refused_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    for (flags, words) in [
        (&["--command", "mv {path} {key}"][..], "TWO_BUCKETS_KEY"),
        (&["--command", "a 'b"], "quote"),
        (&["--shell", "--command", "cat {path}"], "TWO_BUCKETS_PATH"),
        (&["--shell"], "--command"),
        (
            &["--command", "no-such-program -x"],
            "no-such-program in the folders of PATH",
        ),
        (
            &["--command", "/nowhere/program"],
            "/nowhere/program cannot be found",
        ),
        (
            &["--command", "a", "--command-permanent-exit", "0"],
            "permanent-exit",
        ),
        (
            &["--command", "a", "--command-output", "still.jpg:jpeg"],
            "--command-output: \"jpeg\" is no media type",
        ),
        (
            &["--command", "a", "--command-output", "../a.jpg"],
            "--command-output: its name",
        ),
        (
            &["--command-output", "a.jpg"],
            "--command-output says how a program runs, but --command names none",
        ),
        (
            &["--command", "a", "--command-env", "TWO_BUCKETS_X"],
            "TWO_BUCKETS_",
        ),
    ] {
        let output = bare(&program(), folder.path())
            .arg("serve")
            .args(flags)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(2), "{flags:?}");
        let said = complaint(&output);
        assert!(said.contains(words), "{flags:?}: {said}");
    }
}

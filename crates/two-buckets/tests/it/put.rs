//! What `put` takes and what it prints.

#![expect(
    clippy::unwrap_used,
    reason = "what fails while a test is prepared is a failed test"
)]

use std::fs;
use std::io::Write as _;
use std::process::{Output, Stdio};

use serde_json::{Value, json};

use crate::harness::{Server, bare, complaint, lines_of, program};

fn piped(server: &Server, flags: &[&str], bytes: &[u8]) -> Output {
    let mut child = bare(&program(), &server.data)
        .args(["put", "-"])
        .args(flags)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // Pieces that never end where a part does.
    for piece in bytes.chunks(60_001) {
        stdin.write_all(piece).unwrap();
    }
    drop(stdin);
    child.wait_with_output().unwrap()
}

fn archived(server: &Server, key: &str) -> Vec<u8> {
    server.wait_for(key, &["archived"]);
    let archived = server.s3("GET", "archive", Some(key), &[], b"");
    assert_eq!(archived.status, 200, "{key}");
    archived.body
}

fn failed_lines(lines: &[Value]) -> Vec<(&str, &str)> {
    let mut failed: Vec<_> = lines
        .iter()
        .filter_map(|line| Some((line["file"].as_str()?, line["error"].as_str()?)))
        .collect();
    failed.sort_unstable();
    failed
}

#[test]
fn standard_input_of_any_length_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    // Nothing, less than a part, a part exactly, and several of which the last is short.
    for (n, size) in [0, 5, 8 << 20, 40_000_000_usize].into_iter().enumerate() {
        let bytes: Vec<u8> = (0_u8..251).cycle().take(size).collect();
        let key = format!("in/{n}");
        let output = piped(&server, &["--key", &key, "--json"], &bytes);
        assert!(output.status.success(), "{}", complaint(&output));
        let lines = lines_of(&output);
        assert_eq!(lines[0]["file"], "-");
        assert_eq!(lines[0]["size"], size);
        assert_eq!(lines[0]["key"], *key);
        assert!(lines[0]["checksum"]["value"].is_string());
        assert!(archived(&server, &key) == bytes, "{size}");
    }
    let output = piped(&server, &["--name", "my name.txt", "--json"], b"x");
    let lines = lines_of(&output);
    let key = lines[0]["key"].as_str().unwrap();
    assert!(key.ends_with("/my name.txt"), "{key}");
    let output = piped(&server, &["--name", "n", "--prefix", "p/"], b"y");
    assert!(output.status.success(), "{}", complaint(&output));
    assert_eq!(archived(&server, "p/n"), b"y");
}

#[cfg(unix)]
#[test]
fn a_folder_is_sent_with_all_that_can_be_and_what_cannot_is_listed() {
    use std::os::unix::ffi::OsStrExt as _;

    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&folder.path().join("data"));
    let tree = folder.path().join("tree");
    let names = [
        "plain.txt",
        ".hidden",
        "sub/.also hidden/deep.txt",
        "sub/ü 🙂.txt",
        "sub/a+b%2Fc&d=e?.txt",
        "sub/\"quoted\" 'name' <&>.txt",
        "sub/empty",
        "-",
        "--key",
        "back\\slash",
        "{brace}",
        "e\u{301}.txt",
        " leading and trailing ",
    ];
    for name in names {
        let path = tree.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let bytes = if name.ends_with("empty") { "" } else { name };
        fs::write(path, bytes).unwrap();
    }
    // What cannot be sent: a pipe, which would hang who opens it; a name that is no text; a name no key may have.
    let pipe = tree.join("sub/pipe");
    let made = std::process::Command::new("mkfifo")
        .arg(&pipe)
        .status()
        .unwrap();
    assert!(made.success());
    fs::write(tree.join(std::ffi::OsStr::from_bytes(b"not\xfftext")), "x").unwrap();
    fs::write(tree.join("line\nbreak"), "x").unwrap();
    // A way back up, and one to a file elsewhere.
    std::os::unix::fs::symlink("..", tree.join("sub/up")).unwrap();
    std::os::unix::fs::symlink("/etc/hostname", tree.join("sub/elsewhere")).unwrap();

    let output = server.run(&["put", tree.to_str().unwrap(), "--wait", "--json"]);
    let said = complaint(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    let lines = lines_of(&output);
    let mut keys: Vec<_> = lines
        .iter()
        .filter(|line| line["state"] == "archived")
        .map(|line| line["key"].as_str().unwrap().to_owned())
        .collect();
    keys.sort();
    let mut expected = names.map(|name| format!("tree/{name}"));
    expected.sort();
    assert_eq!(keys, expected, "{said}");
    for name in names {
        let bytes = if name.ends_with("empty") { "" } else { name };
        assert_eq!(archived(&server, &format!("tree/{name}")), bytes.as_bytes());
    }
    let failed = failed_lines(&lines);
    assert_eq!(failed.len(), 3, "{failed:#?}");
    for words in [
        "3 of 16",
        "it is a pipe",
        "its name is not UTF-8",
        "line\\nbreak",
        "2 symbolic links were in folders",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }

    // With a prefix, and only what is in it; a link that is named is followed.
    let link = folder.path().join("link");
    std::os::unix::fs::symlink(tree.join("sub/.also hidden"), &link).unwrap();
    let inside = format!("{}/.", link.display());
    for (path, key) in [
        (link.to_str().unwrap(), "p/link/deep.txt"),
        (&*inside, "p/deep.txt"),
    ] {
        let output = server.run(&["put", path, "--prefix", "p/"]);
        assert!(output.status.success(), "{}", complaint(&output));
        archived(&server, key);
    }
}

#[test]
fn two_files_that_would_become_one_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&folder.path().join("data"));
    for name in ["a", "b"] {
        fs::create_dir(folder.path().join(name)).unwrap();
        fs::write(folder.path().join(name).join("same.txt"), name).unwrap();
    }
    let paths = ["a", "b"].map(|name| folder.path().join(name).join("same.txt"));
    let [a, b] = paths.each_ref().map(|path| path.to_str().unwrap());
    let output = server.run(&["put", a, b, "--prefix", "p/"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(complaint(&output).contains("p/same.txt"));
    let output = server.run(&["put", a, b, "--json"]);
    assert!(output.status.success(), "{}", complaint(&output));
    let lines = lines_of(&output);
    assert_ne!(lines[0]["key"], lines[1]["key"]);
}

#[test]
fn a_line_of_json_has_what_a_program_needs() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&folder.path().join("data"));
    let file = folder.path().join("f.txt");
    fs::write(&file, "name,age\n").unwrap();
    let output = server.run(&[
        "put",
        file.to_str().unwrap(),
        "--key",
        "k",
        "--type",
        "text/csv",
        "--json",
        "--wait",
    ]);
    assert!(output.status.success(), "{}", complaint(&output));
    assert_eq!(complaint(&output), "");
    let upload = server.json(&["status", "k", "--json"])["uploads"][0].clone();
    assert_eq!(
        lines_of(&output),
        [json!({
            "file": file.to_str().unwrap(),
            "key": "k",
            "version_id": upload["version_id"],
            "etag": "595ff752abff4fbc41c61bfb9b65ebc5",
            "size": 9,
            "checksum": {
                "algorithm": "SHA256",
                "kind": "FULL_OBJECT",
                "value": "NXEBiSNRpr+9fXLdU4do83524aG7BSubdq4H/J6jnOU=",
            },
            "state": "archived",
        })]
    );
    let head = server.s3("GET", "archive", Some("k"), &[], b"");
    assert_eq!(head.header("content-type"), Some("text/csv"));
}

#[test]
fn one_that_fails_stops_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&folder.path().join("data"));
    let tree = folder.path().join("_results");
    fs::create_dir(&tree).unwrap();
    fs::write(tree.join("x"), "x").unwrap();
    let good = folder.path().join("good.txt");
    fs::write(&good, "good").unwrap();
    let output = server.run(&[
        "put",
        tree.to_str().unwrap(),
        good.to_str().unwrap(),
        "--json",
    ]);
    assert_eq!(output.status.code(), Some(1));
    assert!(complaint(&output).contains("reserved"));
    let lines = lines_of(&output);
    assert_eq!(lines.len(), 2, "{lines:#?}");
    assert_eq!(failed_lines(&lines).len(), 1);
    assert!(lines.iter().any(|line| line["state"] == "accepted"));
}

#[test]
fn a_pipe_gets_data_and_no_bars() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&folder.path().join("data"));
    let files = ["a", "b"].map(|name| folder.path().join(name));
    for file in &files {
        fs::write(file, vec![7; 20 << 20]).unwrap();
    }
    let [a, b] = files.each_ref().map(|path| path.to_str().unwrap());
    let output = server.run(&["put", a, b, "--prefix", "p/"]);
    assert!(output.status.success());
    assert_eq!(complaint(&output), "");
    let table = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<Vec<_>> = table
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    assert_eq!(
        lines,
        [
            vec!["FILE", "SIZE", "STATE", "KEY"],
            vec![a, "20.0", "MiB", "accepted", "p/a"],
            vec![b, "20.0", "MiB", "accepted", "p/b"],
        ]
    );
}

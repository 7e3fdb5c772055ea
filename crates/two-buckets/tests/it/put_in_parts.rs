//! Large files, which are sent in parts, and what breaks off on the way.

#![expect(
    clippy::unwrap_used,
    reason = "what fails while a test is prepared is a failed test"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Output, Stdio};

use serde_json::Value;

use crate::harness::{Asked, Server, bare, complaint, lines_of, program};
use crate::proxy::{Fate, Proxy, Seen};

/// Five parts of 8 MiB and a small one.
const SIZE: usize = (40 << 20) + 12_345;
const PARTS: [u32; 6] = [1, 2, 3, 4, 5, 6];
const PART_SIZE: usize = 8 << 20;

/// A server, a large file, and what both are in.
struct Scene {
    folder: tempfile::TempDir,
    server: Server,
    file: PathBuf,
    bytes: Vec<u8>,
}

impl Scene {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let server = Server::start(&folder.path().join("data"));
        let file = folder.path().join("large.bin");
        let bytes = noise(SIZE, 1);
        fs::write(&file, &bytes).unwrap();
        Self {
            folder,
            server,
            file,
            bytes,
        }
    }

    /// Spoils the way to S3 from now on.
    fn proxy(&self, decide: impl Fn(&Seen, &[Seen]) -> Fate + Send + Sync + 'static) -> Proxy {
        let proxy = Proxy::start(self.server.address("s3"), decide);
        self.server.move_s3(&proxy.address);
        proxy
    }

    fn begin(&self, flags: &[&str]) -> Child {
        bare(&program(), &self.server.data)
            .arg("put")
            .arg(&self.file)
            .args(flags)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }

    fn put(&self, flags: &[&str]) -> Output {
        self.begin(flags).wait_with_output().unwrap()
    }

    /// Sends with three parts answered, and kills it there. Gives the parts that the server has.
    fn killed_after_three_parts(&self, flags: &[&str]) -> Vec<u32> {
        let proxy = self.proxy(|seen, before| {
            let parts = before.iter().filter(|seen| seen.part().is_some()).count();
            match seen.part() {
                Some(_) if parts >= 3 => Fate::Hold,
                _ => Fate::Pass,
            }
        });
        let mut child = self.begin(flags);
        proxy.wait_until(|seen| answered(seen).len() == 3 && seen.iter().any(is_held));
        child.kill().unwrap();
        child.wait().unwrap();
        answered(&proxy.seen())
    }

    /// What is remembered of uploads under way.
    fn remembered(&self) -> Vec<PathBuf> {
        match fs::read_dir(self.server.data.join("state/two-buckets/uploads")) {
            Ok(entries) => entries.map(|entry| entry.unwrap().path()).collect(),
            Err(_) => Vec::new(),
        }
    }

    /// The uploads in parts that the server has.
    fn under_way(&self) -> usize {
        let listed = self
            .server
            .s3("GET", "staging", None, &[("uploads", "")], b"");
        listed.text().matches("<Upload>").count()
    }

    /// Aborts the only upload in parts that the server has.
    fn abort(&self, key: &str) {
        let listed = self
            .server
            .s3("GET", "staging", None, &[("uploads", "")], b"");
        let text = listed.text();
        let (_, id) = text.split_once("<UploadId>").unwrap();
        let (id, _) = id.split_once("</UploadId>").unwrap();
        let aborted = self
            .server
            .s3("DELETE", "staging", Some(key), &[("uploadId", id)], b"");
        assert_eq!(aborted.status, 204);
    }

    fn uploads(&self) -> usize {
        let all = self.server.json(&["status", "--json"]);
        all["uploads"].as_array().unwrap().len()
    }

    fn assert_archived(&self, key: &str, bytes: &[u8]) {
        self.server.wait_for(key, &["archived"]);
        let archived = self.server.s3("GET", "archive", Some(key), &[], b"");
        assert_eq!(archived.status, 200);
        assert!(archived.body == bytes, "{key} has other bytes");
    }
}

fn noise(size: usize, seed: u32) -> Vec<u8> {
    let mut state = 0x9e37_79b9_u32 ^ seed;
    let words = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state.to_le_bytes()
    });
    words.flatten().take(size).collect()
}

fn answered(seen: &[Seen]) -> Vec<u32> {
    let mut parts: Vec<_> = seen
        .iter()
        .filter(|seen| seen.fate == Some(Fate::Pass))
        .filter_map(Seen::part)
        .collect();
    parts.sort_unstable();
    parts
}

fn is_held(seen: &Seen) -> bool {
    seen.fate == Some(Fate::Hold)
}

fn missing(there: &[u32]) -> Vec<u32> {
    PARTS.into_iter().filter(|n| !there.contains(n)).collect()
}

fn only_line(output: &Output) -> Value {
    assert!(output.status.success(), "{}", complaint(output));
    let mut lines = lines_of(output);
    assert_eq!(lines.len(), 1, "{lines:#?}");
    lines.remove(0)
}

fn rewrite(path: &Path, bytes: &[u8], keep_time: bool) {
    let before = fs::metadata(path).unwrap().modified().unwrap();
    fs::write(path, bytes).unwrap();
    let later = before + std::time::Duration::from_secs(if keep_time { 0 } else { 2 });
    let file = fs::File::options().write(true).open(path).unwrap();
    file.set_modified(later).unwrap();
}

#[test]
fn each_part_carries_its_checksum_and_the_answer_has_that_of_the_whole() {
    let scene = Scene::new();
    let proxy = scene.proxy(|_, _| Fate::Pass);
    let line = only_line(&scene.put(&["--key", "k", "--json", "--type", "video/mp4"]));
    let mut hasher = two_buckets_objects::Algorithm::Crc64Nvme.hasher();
    hasher.update(&scene.bytes);
    assert_eq!(
        line["checksum"],
        serde_json::json!({
            "algorithm": "CRC64NVME",
            "kind": "FULL_OBJECT",
            "value": base64(&hasher.finish().value),
        })
    );
    assert_eq!(line["size"], SIZE);
    assert_eq!(line["state"], "accepted");
    assert_eq!(proxy.parts(), PARTS);
    for seen in proxy.seen().iter().filter(|seen| seen.part().is_some()) {
        assert!(seen.head.contains("x-amz-checksum-crc64nvme"), "{seen:?}");
    }
    scene.assert_archived("k", &scene.bytes);
    let head = scene.server.s3("GET", "archive", Some("k"), &[], b"");
    assert_eq!(head.header("content-type"), Some("video/mp4"));
    assert_eq!(scene.remembered(), [""; 0].map(PathBuf::from));
}

fn base64(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

#[test]
fn a_killed_upload_is_gone_on_with_and_only_the_missing_parts_are_sent() {
    for flags in [&["--json", "--key", "k"][..], &["--json"]] {
        let scene = Scene::new();
        let there = scene.killed_after_three_parts(flags);
        let kept = scene.remembered();
        assert_eq!(kept.len(), 1);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = fs::metadata(&kept[0]).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
        let proxy = scene.proxy(|_, _| Fate::Pass);
        let output = scene.put(flags);
        let line = only_line(&output);
        assert_eq!(proxy.parts(), missing(&there));
        assert!(
            complaint(&output).contains("3 of 6 parts are there"),
            "{}",
            complaint(&output)
        );
        scene.assert_archived(line["key"].as_str().unwrap(), &scene.bytes);
        assert_eq!(scene.remembered(), [""; 0].map(PathBuf::from));
        assert_eq!(scene.under_way(), 0);
    }
}

#[test]
fn a_part_that_is_there_with_other_bytes_is_sent_again() {
    let mut scene = Scene::new();
    let there = scene.killed_after_three_parts(&["--key", "k", "--json"]);
    // Its size and time stay, so that only the bytes tell.
    let other = there[1];
    let inside = (usize::try_from(other).unwrap() - 1) * PART_SIZE + 5;
    scene.bytes[inside] ^= 1;
    rewrite(&scene.file, &scene.bytes, true);
    let proxy = scene.proxy(|_, _| Fate::Pass);
    only_line(&scene.put(&["--key", "k", "--json"]));
    let mut expected = missing(&there);
    expected.push(other);
    expected.sort_unstable();
    assert_eq!(proxy.parts(), expected);
    scene.assert_archived("k", &scene.bytes);
}

#[test]
fn a_file_that_changed_since_begins_anew_and_says_so() {
    let mut scene = Scene::new();
    scene.killed_after_three_parts(&["--key", "k"]);
    // As long as before, and different in a part that was not sent yet: only the time tells.
    scene.bytes = noise(SIZE, 2);
    rewrite(&scene.file, &scene.bytes, false);
    let proxy = scene.proxy(|_, _| Fate::Pass);
    let output = scene.put(&["--key", "k"]);
    assert!(output.status.success(), "{}", complaint(&output));
    assert!(
        complaint(&output).contains("changed since the last run"),
        "{}",
        complaint(&output)
    );
    assert_eq!(proxy.parts(), PARTS);
    scene.assert_archived("k", &scene.bytes);
    assert_eq!(scene.under_way(), 0);
}

#[test]
fn an_upload_that_is_gone_on_the_server_begins_anew() {
    let scene = Scene::new();
    scene.killed_after_three_parts(&["--key", "k"]);
    scene.abort("k");
    let proxy = scene.proxy(|_, _| Fate::Pass);
    let output = scene.put(&["--key", "k"]);
    assert!(output.status.success(), "{}", complaint(&output));
    assert!(complaint(&output).contains("begins anew"));
    assert_eq!(proxy.parts(), PARTS);
    scene.assert_archived("k", &scene.bytes);
}

#[test]
fn the_same_bytes_that_were_sent_before_are_not_taken_for_an_upload_that_is_gone() {
    let scene = Scene::new();
    let flags = &["--key", "k", "--json"];
    only_line(&scene.put(flags));
    scene.assert_archived("k", &scene.bytes);
    // Somebody wants the file there once more, and what they sent of it is thrown away by the server.
    scene.killed_after_three_parts(flags);
    scene.abort("k");
    let proxy = scene.proxy(|_, _| Fate::Pass);
    only_line(&scene.put(flags));
    assert_eq!(proxy.parts(), PARTS);
    assert_eq!(scene.uploads(), 2);
    scene.server.wait_for("k", &["archived", "archived"]);
    assert_eq!(scene.remembered(), [""; 0].map(PathBuf::from));
}

#[test]
fn a_completion_that_meets_another_upload_is_aborted_and_begun_anew() {
    for (flags, refusal) in [
        (
            &["--key", "k"][..],
            Fate::Refuse(409, "ConditionalRequestConflict"),
        ),
        (&[], Fate::Refuse(412, "PreconditionFailed")),
    ] {
        let scene = Scene::new();
        let proxy = scene.proxy(move |seen, before| {
            if seen.is_completion() && !before.iter().any(Seen::is_completion) {
                refusal
            } else {
                Fate::Pass
            }
        });
        let mut all = vec!["--json", "--wait"];
        all.extend(flags);
        let line = only_line(&scene.put(&all));
        assert_eq!(line["state"], "archived");
        assert_eq!(proxy.parts().len(), 2 * PARTS.len());
        assert_eq!(scene.under_way(), 0, "the first one's parts are left");
        scene.assert_archived(line["key"].as_str().unwrap(), &scene.bytes);
        assert_eq!(scene.remembered(), [""; 0].map(PathBuf::from));
    }
}

#[test]
fn what_came_is_waited_for_until_its_checksum_is_known() {
    let folder = tempfile::tempdir().unwrap();
    let asked = Asked::new();
    let data = folder.path().join("data");
    let file = folder.path().join("large.bin");
    let bytes = noise(SIZE, 1);
    fs::write(&file, &bytes).unwrap();
    let scene = Scene {
        server: asked.start_with(&data, |command| {
            command.args(["--workers", "1"]);
        }),
        folder,
        file,
        bytes,
    };
    // Its only worker is busy, so nobody has looked at what comes then.
    let other = scene.folder.path().join("other");
    fs::write(&other, "x").unwrap();
    only_line(
        &scene
            .server
            .run(&["put", other.to_str().unwrap(), "--json"]),
    );
    let busy = asked.next();
    let proxy = scene.proxy(|seen, _| {
        if seen.is_completion() {
            Fate::HoldAnswer
        } else {
            Fate::Pass
        }
    });
    let mut child = scene.begin(&[]);
    proxy.wait_until(|seen| seen.iter().any(|seen| seen.fate == Some(Fate::HoldAnswer)));
    child.kill().unwrap();
    child.wait().unwrap();
    let proxy = scene.proxy(|_, _| Fate::Pass);
    let output = scene.put(&["--retry-for", "1"]);
    assert_eq!(output.status.code(), Some(1));
    let said = complaint(&output);
    assert!(said.contains("does not tell its checksum yet"), "{said}");
    busy.answer("accept");
    asked.next().answer("accept");
    let line = only_line(&scene.put(&["--json", "--wait"]));
    assert_eq!(proxy.parts(), [0; 0]);
    assert_eq!(line["state"], "archived");
    scene.assert_archived(line["key"].as_str().unwrap(), &scene.bytes);
}

#[test]
fn no_resume_begins_anew_and_leaves_nothing_behind() {
    let scene = Scene::new();
    scene.killed_after_three_parts(&["--key", "k", "--no-resume"]);
    assert_eq!(scene.remembered(), [""; 0].map(PathBuf::from));
    scene.killed_after_three_parts(&["--key", "k"]);
    let proxy = scene.proxy(|_, _| Fate::Pass);
    let output = scene.put(&["--key", "k", "--no-resume"]);
    assert!(output.status.success(), "{}", complaint(&output));
    assert_eq!(proxy.parts(), PARTS);
}

#[test]
fn a_completion_whose_answer_is_lost_makes_one_version() {
    let scene = Scene::new();
    scene.proxy(|seen, before| {
        let is_first = !before.iter().any(Seen::is_completion);
        if seen.is_completion() && is_first {
            Fate::Lose
        } else {
            Fate::Pass
        }
    });
    let line = only_line(&scene.put(&["--json", "--wait"]));
    assert_eq!(line["state"], "archived");
    scene.assert_archived(line["key"].as_str().unwrap(), &scene.bytes);
}

#[test]
fn what_was_completed_when_it_was_killed_is_not_sent_again() {
    let scene = Scene::new();
    let proxy = scene.proxy(|seen, _| {
        if seen.is_completion() {
            Fate::HoldAnswer
        } else {
            Fate::Pass
        }
    });
    let mut child = scene.begin(&[]);
    proxy.wait_until(|seen| {
        let is_held = |seen: &Seen| seen.fate == Some(Fate::HoldAnswer);
        seen.iter().any(is_held)
    });
    child.kill().unwrap();
    child.wait().unwrap();
    let proxy = scene.proxy(|_, _| Fate::Pass);
    let line = only_line(&scene.put(&["--json", "--wait"]));
    assert_eq!(proxy.parts(), [0; 0]);
    assert_eq!(line["state"], "archived");
    scene.assert_archived(line["key"].as_str().unwrap(), &scene.bytes);
    assert_eq!(scene.uploads(), 1);
    assert_eq!(scene.remembered(), [""; 0].map(PathBuf::from));
}

#[test]
fn cut_connections_and_busy_answers_are_survived() {
    let scene = Scene::new();
    let proxy = scene.proxy(|seen, before| {
        let tried = before
            .iter()
            .filter(|other| other.target == seen.target && other.method == seen.method)
            .count();
        match (seen.part(), tried) {
            (Some(1) | None, 0) => Fate::Cut,
            (Some(2), 0) => Fate::Lose,
            (Some(3), 0) => Fate::Answer(503),
            (Some(4), 0) => Fate::Answer(429),
            (Some(5), 0) => Fate::Answer(409),
            (Some(6), 0 | 1) => Fate::Answer(500),
            _ => Fate::Pass,
        }
    });
    let output = scene.put(&["--key", "k"]);
    assert!(output.status.success(), "{}", complaint(&output));
    assert_eq!(proxy.parts(), [1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 6]);
    scene.assert_archived("k", &scene.bytes);
}

#[test]
fn a_part_that_changes_on_its_way_is_refused() {
    let scene = Scene::new();
    scene.proxy(|seen, _| match seen.part() {
        Some(3) => Fate::Spoil,
        _ => Fate::Pass,
    });
    let output = scene.put(&["--key", "k"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        complaint(&output).contains("BadDigest"),
        "{}",
        complaint(&output)
    );
    assert_eq!(scene.under_way(), 0);
    assert_eq!(
        scene.server.json(&["status", "--json"])["uploads"],
        serde_json::json!([])
    );
}

#[test]
fn a_file_that_changes_while_it_is_sent_is_not_accepted() {
    let scene = Scene::new();
    let file = scene.file.clone();
    let changed = noise(SIZE, 3);
    // When all parts have left: no checksum can tell.
    scene.proxy(move |seen, before| {
        let parts = before.iter().filter(|seen| seen.part().is_some()).count();
        if seen.part().is_some() && parts == PARTS.len() - 1 {
            rewrite(&file, &changed, false);
        }
        Fate::Pass
    });
    let output = scene.put(&["--key", "k"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        complaint(&output).contains("changed while it was sent"),
        "{}",
        complaint(&output)
    );
    assert_eq!(scene.under_way(), 0);
    assert_eq!(scene.remembered(), [""; 0].map(PathBuf::from));
}

#[test]
fn a_server_that_dies_for_good_is_given_up_and_the_next_run_goes_on() {
    let scene = Scene::new();
    let proxy = scene.proxy(|seen, before| {
        let parts = before.iter().filter(|seen| seen.part().is_some()).count();
        match seen.part() {
            Some(_) if parts >= 3 => Fate::Cut,
            _ => Fate::Pass,
        }
    });
    let output = scene.put(&["--key", "k", "--retry-for", "1"]);
    assert_eq!(output.status.code(), Some(1));
    let said = complaint(&output);
    assert!(
        said.contains("tried again for 1 s") && said.contains("goes on from there"),
        "{said}"
    );
    assert_eq!(said.lines().count(), 1, "{said}");
    // It may have given up while the server still wrote one of them.
    proxy.wait_until(|seen| answered(seen).len() == 3);
    let there = answered(&proxy.seen());
    let proxy = scene.proxy(|_, _| Fate::Pass);
    let output = scene.put(&["--key", "k"]);
    assert!(output.status.success(), "{}", complaint(&output));
    assert_eq!(proxy.parts(), missing(&there));
    scene.assert_archived("k", &scene.bytes);
}

#[test]
fn a_server_that_is_killed_and_started_again_elsewhere_is_found_again() {
    let scene = Scene::new();
    let proxy = scene.proxy(|seen, before| {
        let parts = before.iter().filter(|seen| seen.part().is_some()).count();
        match seen.part() {
            Some(_) if parts >= 2 => Fate::Cut,
            _ => Fate::Pass,
        }
    });
    let child = scene.begin(&["--json", "--wait"]);
    proxy.wait_until(|seen| seen.iter().any(|seen| seen.fate == Some(Fate::Cut)));
    let Scene {
        folder,
        server,
        file,
        bytes,
    } = scene;
    let data = server.data.clone();
    server.kill();
    let scene = Scene {
        server: Server::start(&data),
        folder,
        file,
        bytes,
    };
    let line = only_line(&child.wait_with_output().unwrap());
    assert_eq!(line["state"], "archived");
    scene.assert_archived(line["key"].as_str().unwrap(), &scene.bytes);
    drop(scene.folder);
}

#[cfg(unix)]
#[test]
fn an_interrupt_says_how_to_go_on() {
    let scene = Scene::new();
    let proxy = scene.proxy(|seen, _| match seen.part() {
        Some(n) if n > 1 => Fate::Hold,
        _ => Fate::Pass,
    });
    let child = scene.begin(&["--key", "k"]);
    proxy.wait_until(|seen| answered(seen).len() == 1 && seen.iter().any(is_held));
    let killed = std::process::Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status()
        .unwrap();
    assert!(killed.success());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130));
    assert!(
        complaint(&output).contains("go on from there"),
        "{}",
        complaint(&output)
    );
    let proxy = scene.proxy(|_, _| Fate::Pass);
    assert!(scene.put(&["--key", "k"]).status.success());
    assert_eq!(proxy.parts(), [2, 3, 4, 5, 6]);
}

#[test]
fn a_large_file_needs_no_key_pair_where_the_server_keeps_its_own_to_itself() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start_with(&program(), &folder.path().join("data"), |command| {
        command
            .env("TWO_BUCKETS_ACCESS_KEY_ID", "root.key")
            .env("TWO_BUCKETS_SECRET_ACCESS_KEY", "0123456789");
    });
    let file = folder.path().join("large.bin");
    fs::write(&file, noise(SIZE, 4)).unwrap();
    for flags in [&[][..], &["--key", "k"]] {
        let mut arguments = vec!["put", file.to_str().unwrap(), "--json", "--wait"];
        arguments.extend(flags);
        let line = only_line(&server.run(&arguments));
        assert_eq!(line["state"], "archived");
        assert_eq!(line["size"], SIZE);
    }
}

//! What the commands print.

use std::process::Command;

use crate::harness::{Server, bare, complaint, program};

#[test]
fn without_a_server_every_command_says_how_to_start_one() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("f");
    std::fs::write(&file, "x").unwrap();
    for arguments in [
        &["status"][..],
        &["put", file.to_str().unwrap()],
        &["retry", "--all"],
        &["cancel", "k"],
        &["sweep"],
        &["pause"],
        &["replay", "a/"],
        &["resume"],
        &["env"],
    ] {
        let output = bare(&program(), folder.path())
            .args(arguments)
            .output()
            .unwrap();
        let said = complaint(&output);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {said}");
        assert!(said.contains("two-buckets serve"), "{said}");
        assert_eq!(said.lines().count(), 1, "{said}");
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn a_files_own_name_is_answered_with_the_key_that_put_made_for_it() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let file = folder.path().join("photo.jpg");
    std::fs::write(&file, "x").unwrap();
    let put = server.json(&["put", file.to_str().unwrap(), "--wait", "--json"]);
    let key = put["key"].as_str().unwrap();
    for command in ["status", "logs", "cancel"] {
        let output = server.run(&[command, "photo.jpg"]);
        let said = crate::harness::complaint(&output);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(
            said.contains("no upload of photo.jpg") && said.contains(key),
            "{said}"
        );
        let output = server.run(&[command, "oto.jpg"]);
        assert!(!crate::harness::complaint(&output).contains(key));
    }
}

#[test]
fn a_shell_can_evaluate_env() {
    let folder = tempfile::tempdir().unwrap();
    // A quote in the secret is what breaks a careless export.
    let server = Server::start_with(&program(), folder.path(), |command| {
        command
            .env("TWO_BUCKETS_ACCESS_KEY_ID", "root.key")
            .env("TWO_BUCKETS_SECRET_ACCESS_KEY", "it's$(a)`secret`\"\\");
    });
    let exports = bare(&program(), folder.path())
        .env("TWO_BUCKETS_ACCESS_KEY_ID", "root.key")
        .env("TWO_BUCKETS_SECRET_ACCESS_KEY", "it's$(a)`secret`\"\\")
        .arg("env")
        .output()
        .unwrap();
    assert!(exports.status.success(), "{}", complaint(&exports));
    let script = format!(
        "{}\nprintf '%s|%s|%s|%s' \"$AWS_ENDPOINT_URL_S3\" \"$AWS_ACCESS_KEY_ID\" \"$AWS_SECRET_ACCESS_KEY\" \"$AWS_REGION\"",
        String::from_utf8(exports.stdout).unwrap()
    );
    let evaluated = Command::new("sh")
        .args(["-eu", "-c", &script])
        .output()
        .unwrap();
    assert_eq!(
        String::from_utf8(evaluated.stdout).unwrap(),
        format!(
            "{}|root.key|it's$(a)`secret`\"\\|us-east-1",
            server.record["s3"].as_str().unwrap()
        )
    );
    // Given by the environment, so it is kept nowhere; without it the command says what is missing.
    assert!(!folder.path().join("root-key.json").exists());
    let without = server.run(&["env"]);
    assert_eq!(without.status.code(), Some(1));
    assert!(complaint(&without).contains("TWO_BUCKETS_ACCESS_KEY_ID"));
}

#[test]
fn config_prints_each_value_and_its_origin() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("my.toml");
    std::fs::write(&file, "archive = 'kept'\n").unwrap();
    let output = bare(&program(), folder.path())
        .env("TWO_BUCKETS_STAGING", "incoming")
        .args(["config", "--json", "--workers", "3", "--config"])
        .arg(&file)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", complaint(&output));
    let settings: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    for (name, value, origin) in [
        ("workers", "3", "flag --workers".to_owned()),
        (
            "staging",
            "incoming",
            "environment TWO_BUCKETS_STAGING".to_owned(),
        ),
        ("archive", "kept", format!("file {}", file.display())),
        ("web", "127.0.0.1:8080", "default".to_owned()),
    ] {
        assert_eq!(settings[name]["value"], value);
        assert_eq!(settings[name]["origin"], origin);
    }
}

#[test]
fn the_built_in_description_has_more_files_at_once_than_a_function_where_nobody_says_how_many() {
    let folder = tempfile::tempdir().unwrap();
    let workers = |flags: &[&str]| {
        let output = bare(&program(), folder.path())
            .args(["config", "--json"])
            .args(flags)
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", complaint(&output));
        let settings: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let text = settings["workers"]["value"].as_str().unwrap();
        text.parse::<usize>().unwrap()
    };
    assert_eq!(workers(&[]), 32);
    assert_eq!(workers(&["--workers", "3"]), 3);
    let of_a_function = std::thread::available_parallelism().map_or(4, |n| n.get() * 2);
    assert_eq!(workers(&["--command", "true"]), of_a_function);
}

#[cfg(unix)]
#[test]
fn what_the_server_leaves_is_for_its_owner_only() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let _server = Server::start(&data);
    for (path, mode) in [
        (data.clone(), 0o700),
        (data.join("server.json"), 0o600),
        (data.join("root-key.json"), 0o600),
    ] {
        let found = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(found & 0o777, mode, "{}", path.display());
    }
}

#[test]
fn sweep_says_what_it_found() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let swept = server.json(&["sweep", "--json"]);
    assert_eq!(swept["listed"], 0);
    let said = server.run(&["sweep"]);
    assert!(
        String::from_utf8(said.stdout)
            .unwrap()
            .contains("0 versions in staging")
    );
}

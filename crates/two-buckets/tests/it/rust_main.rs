//! A program of the user's own around a function in Rust, as the README shows it.

use std::path::Path;

use crate::harness::{Server, example};

#[test]
fn the_readmes_program_is_a_server_with_its_function_in_it() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let source = std::fs::read_to_string(root.join("examples/count_lines.rs")).unwrap();
    let readme = std::fs::read_to_string(root.join("../../README.md")).unwrap();
    assert!(
        readme.contains(&format!("cat > src/main.rs <<'END'\n{source}END\n")),
        "README.md shows another program than examples/count_lines.rs"
    );
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start_with(&example("count_lines"), folder.path(), |_| {});
    server.s3("PUT", "staging", Some("notes.txt"), &[], b"a\nb\nc");
    let upload = server.wait_for("notes.txt", &["archived"]).remove(0);
    assert_eq!(upload["report"], serde_json::json!({"lines": 3}));
    server.s3("PUT", "staging", Some("photo.jpg"), &[], b"\xff\xd8\n");
    let upload = server.wait_for("photo.jpg", &["failed"]).remove(0);
    assert_eq!(upload["attempts"], 1, "{upload:#}");
    let reason = upload["reason"].as_str().unwrap();
    assert!(reason.contains("UTF-8"), "{reason}");
}

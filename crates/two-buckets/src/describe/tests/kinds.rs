use serde_json::json;

use super::super::{PREFIX_BYTES_MAX, Structure};
use super::{describe, image, png};

const EMPTY_SHA256: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

fn text(encoding: &'static str, lines: u64) -> Structure {
    let lines = Some(lines);
    Structure::Text { encoding, lines }
}

#[test]
fn the_report_has_the_documented_fields() {
    fn report(name: &str, file: &[u8]) -> serde_json::Value {
        serde_json::from_str(&describe(name, file).to_json()).expect("JSON")
    }
    assert_eq!(
        report("people.csv", b"name,age\nAda,36\n"),
        json!({
            "media_type": "text/csv", "size": 16,
            "sha256": "0202b2c0fe3bc45c94aef9a4db21e270b6c8aec4813fa313525006a3e356fdfa",
            "structure": {
                "format": "csv", "encoding": "utf-8", "delimiter": ",", "columns": 2, "rows": 1,
                "header": ["name", "age"], "complete": true,
            },
        })
    );
    assert_eq!(
        report("note.txt", b"a\nb"),
        json!({
            "media_type": "text/plain", "size": 3,
            "sha256": "7e18f737311b2dc3b2f269dd78396b0351f14fb66efa879f768cb23181883c78",
            "structure": {"format": "text", "encoding": "utf-8", "lines": 2},
        })
    );
    assert_eq!(
        report("a.png", &png(3, 4))["structure"],
        json!({"format": "image", "width": 3, "height": 4})
    );
    assert_eq!(
        report("a.json", br#"{"a":[1,2],"b":null}"#)["structure"],
        json!({"format": "json", "encoding": "utf-8", "lines": 1, "top_level": "object", "entries": 2})
    );
}

#[test]
fn an_empty_file_is_what_its_name_says() {
    for (name, media_type) in [
        ("", "application/octet-stream"),
        ("empty", "application/octet-stream"),
        ("empty.bin", "application/octet-stream"),
        ("empty.csv", "text/csv"),
        ("empty.rs", "text/plain"),
        ("folder.csv/empty", "application/octet-stream"),
        (".csv", "application/octet-stream"),
    ] {
        let empty = describe(name, b"");
        assert_eq!(
            (empty.media_type, empty.size, &*empty.sha256),
            (media_type, 0, EMPTY_SHA256),
            "{name}"
        );
        assert_eq!(
            (empty.structure, empty.structure_problem),
            (None, None),
            "{name}"
        );
    }
}

#[test]
fn content_decides_and_the_name_only_between_texts() {
    for (name, content, media_type) in [
        ("a.csv", &png(1, 1)[..], "image/png"),
        (
            "a.txt",
            b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj\n",
            "application/pdf",
        ),
        ("a.txt", b"%PDF-1.7\n1 0 obj\n", "application/pdf"),
        ("a.png", b"just a note\n", "text/plain"),
        ("a.exe", b"<!DOCTYPE html><p>hi", "text/html"),
        ("a.txt", b"<!DOCTYPE html><p>hi", "text/html"),
        ("a.html", b"no tag at all\n", "text/html"),
        ("a", b"<?xml version=\"1.0\"?><a/>", "text/xml"),
        ("a", b"<?xml version=\"1.0\"?><svg/>", "image/svg+xml"),
        ("a.md", b"# Title\n", "text/markdown"),
        ("a", b"#!/bin/sh\necho\n", "text/x-shellscript"),
        // Short signatures that a text may begin with by chance.
        (
            "a",
            b"BM is how a bitmap begins, and this letter\n",
            "text/plain",
        ),
        ("a", b"MZ, dear\n", "text/plain"),
        ("a", b"\x1f\x8b\x08\0\0\0\0\0\0\x03", "application/gzip"),
        (
            "a.csv",
            b"\0\x01\x02\x03 not text",
            "application/octet-stream",
        ),
        ("a.txt", b"a\0b", "application/octet-stream"),
        ("a.csv", br#"{"a": 1}"#, "application/json"),
        ("a.txt", b"[1, 2]", "application/json"),
        ("a", b"[section]\nkey = 1\n", "text/plain"),
        ("a.json", b"{\"a\": 1}\n", "application/json"),
        (
            "a.jsonl",
            b"{\"a\": 1}\n{\"a\": 2}\n",
            "application/x-ndjson",
        ),
        ("a.toml", b"[a]\nb = [1]\n", "application/toml"),
        ("a.rs", b"a, b\nc, d\ne, f\n", "text/plain"),
    ] {
        let described = describe(name, content);
        assert_eq!(
            described.media_type,
            media_type,
            "{name}: {}",
            String::from_utf8_lossy(content)
        );
    }
}

#[test]
fn lines_are_counted_with_and_without_a_last_line_break() {
    for (content, lines) in [
        (&b"a"[..], 1),
        (b"a\n", 1),
        (b"a\nb", 2),
        (b"\n", 1),
        (b"\n\n", 2),
        (b"a\r\nb\r\n", 2),
    ] {
        assert_eq!(
            describe("a.txt", content).structure,
            Some(text("utf-8", lines)),
            "{content:?}"
        );
    }
    let long = "one line of prose without a comma\n".repeat(20_000);
    assert!(long.len() > 2 * PREFIX_BYTES_MAX);
    assert_eq!(
        describe("a", long.as_bytes()).structure,
        Some(text("utf-8", 20_000))
    );
}

#[test]
fn encodings_are_told_apart_and_noise_is_no_text() {
    assert_eq!(
        describe("a", "grüße 🙂".as_bytes()).structure,
        Some(text("utf-8", 1))
    );
    assert_eq!(
        describe("a", b"gr\xfc\xdfe aus dem letzten Jahrhundert").structure,
        Some(text("unknown-8bit", 1))
    );
    let utf16: Vec<u8> = "\u{feff}a grüße\n"
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    let wide = describe("a", &utf16);
    assert_eq!(wide.media_type, "text/plain");
    assert_eq!(
        wide.structure,
        Some(Structure::Text {
            encoding: "utf-16",
            lines: None
        })
    );
    let noise: Vec<u8> = (0..200_u8).map(|i| i.wrapping_mul(73) | 0x80).collect();
    assert_eq!(
        describe("a.txt", &noise).media_type,
        "application/octet-stream"
    );
    // A character that is cut by the end of what is kept is no fault; one that is cut by the end of the file is.
    let mut cut = "x".repeat(PREFIX_BYTES_MAX - 1);
    cut.push_str("é and more");
    assert_eq!(
        describe("a", cut.as_bytes()).structure,
        Some(text("utf-8", 1))
    );
    assert_eq!(
        describe("a", b"caf\xc3").structure,
        Some(text("unknown-8bit", 1))
    );
}

#[test]
fn pictures_have_their_dimensions() {
    let gif = b"GIF89a\x40\x01\xf0\x00\0\0\0".to_vec();
    // A JPEG with 200 KB of profile before its dimensions.
    let mut jpeg = b"\xff\xd8".to_vec();
    for _ in 0..3 {
        jpeg.extend(b"\xff\xe2\xff\xff");
        jpeg.extend(vec![0; 65_533]);
    }
    jpeg.extend(b"\xff\xc0\x00\x11\x08\x01\x00\x02\x00\x03");
    let mut bmp = b"BM\x46\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0".to_vec();
    bmp.extend(640_u32.to_le_bytes());
    bmp.extend((-480_i32).to_le_bytes());
    bmp.extend([1, 0, 24, 0]);
    for (media_type, file, dimensions) in [
        ("image/png", png(640, 480), Some(image(640, 480))),
        (
            "image/png",
            png(u32::MAX, u32::MAX),
            Some(image(4_294_967_295, 4_294_967_295)),
        ),
        ("image/gif", gif, Some(image(320, 240))),
        ("image/jpeg", jpeg, Some(image(512, 256))),
        ("image/bmp", bmp, Some(image(640, 480))),
    ] {
        let described = describe("a", &file);
        assert_eq!(described.media_type, media_type);
        assert_eq!(described.structure, dimensions, "{media_type}");
        assert_eq!(described.structure_problem, None, "{media_type}");
    }
}

#[test]
fn a_picture_that_is_cut_off_is_reported_and_no_failure() {
    let cut = describe("a.png", &png(640, 480)[..18]);
    assert_eq!(cut.media_type, "image/png");
    assert_eq!(cut.structure, None);
    assert!(
        cut.structure_problem
            .expect("a problem")
            .contains("dimensions")
    );
}

#[test]
fn a_file_of_exactly_what_is_kept_is_looked_at_as_a_whole() {
    let text = format!("[\"{}\"]", "x".repeat(PREFIX_BYTES_MAX - 4));
    assert_eq!(text.len(), PREFIX_BYTES_MAX);
    let described = describe("a", text.as_bytes());
    assert!(matches!(
        described.structure,
        Some(Structure::Json {
            entries: Some(1),
            ..
        })
    ));
}

#[test]
fn json_is_looked_through_without_being_kept() {
    let array = format!("[{}]", vec!["{\"a\":[1,2,3]}"; 5_000].join(","));
    let Some(Structure::Json {
        top_level, entries, ..
    }) = describe("a", array.as_bytes()).structure
    else {
        panic!("no JSON");
    };
    assert_eq!((top_level, entries), (Some("array"), Some(5_000)));
    for (content, kind) in [
        ("\u{feff}\"a\"", "string"),
        ("-1.5", "number"),
        ("7", "number"),
        ("true", "boolean"),
        (" null ", "null"),
    ] {
        let described = describe("a.json", content.as_bytes());
        let Some(Structure::Json {
            top_level, entries, ..
        }) = described.structure
        else {
            panic!("no JSON: {content}");
        };
        assert_eq!(
            (top_level, entries, described.structure_problem),
            (Some(kind), None, None),
            "{content}"
        );
    }
    let broken = describe("a.json", b"{\"a\": 1,}");
    assert_eq!(broken.media_type, "application/json");
    assert!(
        broken
            .structure_problem
            .expect("a problem")
            .contains("line 1")
    );
    let deep = "[".repeat(200_000);
    assert!(
        describe("a.json", deep.as_bytes())
            .structure_problem
            .is_some()
    );
    // Too long to look through: taken for JSON and its lines counted.
    let long = format!("{{\"a\":\n\"{}\"}}", "x".repeat(PREFIX_BYTES_MAX));
    let described = describe("a", long.as_bytes());
    assert_eq!(described.media_type, "application/json");
    assert_eq!(
        described.structure,
        Some(Structure::Json {
            encoding: "utf-8",
            lines: 2,
            top_level: None,
            entries: None
        })
    );
}

//! The key type against texts that were kept because they are awkward, and against any text at all.

use proptest::prelude::*;
use two_buckets_uploads::{KeyPrefix, UploadKey};

/// One text a line, as a JSON string: what is refused after `-`, what is taken after `+`.
const CORPUS: &str = include_str!("../corpus/keys.txt");

/// What must hold for any text: as a plain function, so that a fuzzer may call it.
fn check(text: &str) -> bool {
    let key: UploadKey = match text.parse() {
        Ok(key) => key,
        Err(error) => {
            let words = format!("{error}");
            assert!(!words.is_empty() && words.is_ascii());
            return false;
        }
    };
    assert_eq!(key.as_str(), text, "kept as it was sent");
    assert!((1..=1_024).contains(&text.len()));
    assert!(!text.starts_with('/') && !text.chars().any(char::is_control));
    assert!(!text.starts_with("_results/") && !text.starts_with("_late/"));
    assert!(
        !text
            .split('/')
            .any(|segment| segment == "." || segment == "..")
    );
    // A URL with it comes out of a parser as it went in.
    let encoded: String = text
        .bytes()
        .map(|byte| match byte {
            b'/' => "/".to_owned(),
            byte => format!("%{byte:02X}"),
        })
        .collect();
    let url: http::Uri = format!("http://h/b/{encoded}").parse().expect("an address");
    assert_eq!(url.path(), format!("/b/{encoded}"));
    true
}

#[test]
fn kept_texts_are_taken_or_refused_as_they_were() {
    let mut seen = [0, 0];
    for line in CORPUS.lines().filter(|line| !line.starts_with('#')) {
        let (verdict, text) = line.split_at(1);
        let text: String = serde_json::from_str(text.trim()).expect("a JSON string");
        let taken = check(&text);
        assert_eq!(taken, verdict == "+", "{line}");
        seen[usize::from(taken)] += 1;
    }
    assert!(seen[0] >= 20 && seen[1] >= 20, "{seen:?}");
}

proptest! {
    #[test]
    fn any_text_is_kept_exactly_or_refused(text in any::<String>()) {
        check(&text);
    }

    #[test]
    fn texts_of_awkward_pieces_are_kept_exactly_or_refused(
        pieces in prop::collection::vec(prop::sample::select(vec![
            "/", ".", "..", "_late", "_results", "a", "%2e", "%2F", "\\", "\u{0}", "\u{7f}", "\u{85}", "ü", "*", "$",
            "{", "}", "?", "#", " ", "\n", "\u{202e}", "🙂",
        ]), 0..12)
    ) {
        check(&pieces.concat());
    }

    #[test]
    fn a_prefix_covers_only_keys_that_begin_with_it(prefix in "[a-c./_]{0,6}/", key in "[a-c./_]{0,10}") {
        if let Ok(prefix) = prefix.parse::<KeyPrefix>() {
            prop_assert_eq!(prefix.covers(&key), key.len() > prefix.as_str().len() && key.starts_with(prefix.as_str()));
            prop_assert!(prefix.as_str().ends_with('/'));
        }
    }
}

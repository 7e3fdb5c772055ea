//! The kept corpus of forms, as it is and changed at random: the same whatever the pieces it comes in, and no panic.

use std::path::Path;

use proptest::prelude::*;
use two_buckets_objects::Timestamp;
use two_buckets_s3_api::{ExaminedForm, examine_form};

use crate::harness::START_MILLIS;

fn corpus() -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/post-form");
    let mut forms: Vec<(String, Vec<u8>)> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|kind| kind == "form"))
        .map(|path| {
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            (name, std::fs::read(path).unwrap())
        })
        .collect();
    forms.sort();
    assert!(forms.len() >= 30, "the corpus is there");
    forms
}

fn examine(body: &[u8], piece_bytes: usize) -> Result<ExaminedForm, String> {
    let now = Timestamp::from_millis(START_MILLIS);
    examine_form(
        "multipart/form-data; boundary=b",
        body,
        piece_bytes,
        "staging",
        now,
    )
}

#[test]
fn each_form_of_the_corpus_comes_to_what_its_name_says() {
    for (name, body) in corpus() {
        let (expected, _) = name.split_once("--").unwrap();
        for piece_bytes in [1, 2, 7, 64, usize::MAX] {
            let code = match examine(&body, piece_bytes) {
                Ok(form) => {
                    assert!(form.key.starts_with("up/"), "{name}: {form:?}");
                    assert!((1..=10).contains(&form.file.len()), "{name}: {form:?}");
                    "ok".to_owned()
                }
                Err(code) => code,
            };
            assert_eq!(code, expected, "{name} in pieces of {piece_bytes}");
        }
    }
}

/// A change to a form: bytes put in place of others.
fn changes() -> impl Strategy<Value = Vec<(prop::sample::Index, usize, Vec<u8>)>> {
    let bytes = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..8),
        Just(b"\r\n--b".to_vec()),
        Just(b"--b--".to_vec()),
        Just(b"\r\n\r\n".to_vec()),
        Just(b"\"; filename=\"".to_vec()),
    ];
    prop::collection::vec((any::<prop::sample::Index>(), 0..40_usize, bytes), 0..4)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn a_form_changed_at_random_is_the_same_in_all_pieces(
        which in any::<prop::sample::Index>(), changes in changes(), piece_bytes in 1..100_usize,
    ) {
        let corpus = corpus();
        let (_, mut body) = corpus[which.index(corpus.len())].clone();
        for (at, removed, added) in changes {
            let at = at.index(body.len() + 1);
            let end = (at + removed).min(body.len());
            body.splice(at..end, added);
        }
        prop_assert_eq!(examine(&body, piece_bytes), examine(&body, usize::MAX));
    }

    #[test]
    fn noise_is_no_form_and_no_policy_and_nothing_panics(
        content_type in ".{0,40}", body in prop::collection::vec(any::<u8>(), 0..400), policy in ".{0,200}",
    ) {
        let now = Timestamp::from_millis(START_MILLIS);
        prop_assert!(examine_form(&content_type, &body, 3, "staging", now).is_err());
        let policy = base64::Engine::encode(&base64::prelude::BASE64_STANDARD, policy);
        let form = format!(
            "--b\r\nContent-Disposition: form-data; name=policy\r\n\r\n{policy}\r\n\
             --b\r\nContent-Disposition: form-data; name=file\r\n\r\n\r\n--b--"
        );
        prop_assert!(examine(form.as_bytes(), 50).is_err());
    }
}

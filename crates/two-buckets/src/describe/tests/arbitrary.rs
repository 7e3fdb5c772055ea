use proptest::collection::vec;
use proptest::prelude::*;
use two_buckets_pipeline::Report;

use super::super::PREFIX_BYTES_MAX;
use super::{describe, describe_in_pieces, png, zip_of};

/// Beginnings that lead into every branch, and endings that do.
fn beginnings() -> Vec<Vec<u8>> {
    let mut all: Vec<Vec<u8>> = [
        &b""[..],
        b"PK\x03\x04",
        b"PK\x05\x06",
        b"\xff\xd8\xff\xe0",
        b"\xff\xd8\xff\xc0\0",
        b"GIF89a",
        b"BM",
        b"II*\0",
        b"MM\0*",
        b"II+\0\x08\0\0\0",
        b"RIFF\0\0\0\0WEBPVP8 ",
        b"RIFF\0\0\0\0WEBPVP8X",
        b"RIFF\0\0\0\0WEBPVP8L",
        b"\0\0\0\x18ftypheic",
        b"\0\0\0\x18ftypavif",
        b"\0\0\0\x18ftypmif1\0\0\0\0heic",
        b"8BPS\0\x01",
        b"\xff\x0a",
        b"\0\0\0\x0cJXL \r\n\x87\n",
        b"\0\0\x01\0\xff\xff",
        b"%PDF-1.7",
        b"{\"a\":",
        b"[1,",
        b"a,b\n1,\"2",
        b"\xef\xbb\xbfa;b\n",
        b"\xff\xfea\0",
        b"\xfe\xff\0a",
        b"<html>",
        b"<?xml",
        b"#!/",
        b"\x1f\x8b\x08",
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
        b"MZ",
        b"\x7fELF",
        b"ID3",
    ]
    .iter()
    .map(|beginning| beginning.to_vec())
    .collect();
    all.push(png(7, 9));
    all.push(zip_of(&[("a", b"b"), ("c/", b"")]));
    all
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        "[a-z/]{0,5}\\.(csv|tsv|json|jsonl|txt|rs|png|zip|CSV)",
    ]
}

fn file() -> impl Strategy<Value = Vec<u8>> {
    let noise = prop_oneof![
        vec(any::<u8>(), 0..600),
        "[a-c,;\"\\n\\t 0-9{}:\\[\\]]{0,600}".prop_map(String::into_bytes),
        // Lengths and offsets in headers are the hostile part: mostly zeros and ones.
        vec(
            prop_oneof![4 => Just(0_u8), 2 => Just(0xff), 1 => Just(1), 1 => any::<u8>()],
            0..600
        ),
    ];
    let zip_end = zip_of(&[("a", b"b"), ("c/", b"")]).split_off(30);
    let ending = prop_oneof![3 => Just(Vec::new()), 1 => Just(zip_end)];
    (prop::sample::select(beginnings()), noise, ending)
        .prop_map(|(beginning, noise, ending)| [beginning, noise, ending].concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn any_file_in_any_pieces_is_described_as_in_one(name in name(), file in file(), pieces in vec(1_usize..50, 1..20)) {
        let whole = describe(&name, &file);
        let cut = describe_in_pieces(&name, &file, &pieces);
        prop_assert_eq!(&whole, &cut);
        prop_assert_eq!(whole.size, file.len() as u64);
        prop_assert!(whole.to_json().len() <= Report::BYTES_MAX);
    }

    #[test]
    fn a_zip_with_any_bytes_changed_is_described(changes in vec((any::<prop::sample::Index>(), any::<u8>()), 1..6), keep in any::<prop::sample::Index>()) {
        let mut file = zip_of(&[("a.txt", &[1; 50]), ("folder/", b""), ("folder/b", b"xyz")]);
        for (at, byte) in changes {
            let at = at.index(file.len());
            file[at] = byte;
        }
        let whole = describe("a.zip", &file);
        prop_assert_eq!(whole.size, file.len() as u64);
        file.truncate(keep.index(file.len()) + 1);
        describe("a.zip", &file);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// Around the limit of what is kept, where the decision falls while bytes still come.
    #[test]
    fn pieces_make_no_difference_at_the_limit(name in name(), pattern in file(), over in -3_i32..2_000, pieces in vec(1_usize..100_000, 1..6)) {
        prop_assume!(!pattern.is_empty());
        let length = PREFIX_BYTES_MAX.saturating_add_signed(over as isize);
        let file: Vec<u8> = pattern.iter().copied().cycle().take(length).collect();
        prop_assert_eq!(describe(&name, &file), describe_in_pieces(&name, &file, &pieces));
    }
}

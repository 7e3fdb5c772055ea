use super::super::{NAME_CHARS_MAX, NAMES_MAX, PREFIX_BYTES_MAX, Structure};
use super::{Description, describe, zip_of};

#[derive(Debug, PartialEq)]
struct Found {
    entries: u64,
    directories: u64,
    encrypted: u64,
    uncompressed_size: Option<u64>,
    names: Vec<String>,
    complete: bool,
}

#[track_caller]
fn zip(described: &Description) -> Found {
    match described.structure.clone() {
        Some(Structure::Zip {
            entries,
            directories,
            encrypted,
            uncompressed_size,
            names,
            complete,
        }) => Found {
            entries,
            directories,
            encrypted,
            uncompressed_size,
            names,
            complete,
        },
        other => panic!("no zip: {other:?} {described:?}"),
    }
}

/// A directory entry that claims a size; only the directory is ever looked at.
fn entry(name: &[u8], size: u32, extra: &[u8]) -> Vec<u8> {
    let length = |bytes: &[u8]| u16::try_from(bytes.len()).expect("short").to_le_bytes();
    let mut entry = b"PK\x01\x02".to_vec();
    entry.extend([0; 20]);
    entry.extend(size.to_le_bytes());
    entry.extend(length(name));
    entry.extend(length(extra));
    entry.extend([0; 14]);
    entry.extend(name);
    entry.extend(extra);
    entry
}

/// An end record with nothing before it but these.
fn zip_with(before: &[u8], directory: &[u8], entries: u16, comment: &[u8]) -> Vec<u8> {
    let mut file = before.to_vec();
    file.extend(directory);
    file.extend(b"PK\x05\x06\0\0\0\0");
    file.extend(entries.to_le_bytes());
    file.extend(entries.to_le_bytes());
    file.extend(u32::try_from(directory.len()).expect("small").to_le_bytes());
    file.extend(u32::try_from(before.len()).expect("small").to_le_bytes());
    file.extend(u16::try_from(comment.len()).expect("short").to_le_bytes());
    file.extend(comment);
    file
}

const LOCAL: &[u8] = b"PK\x03\x04\x14\0\0\0\0\0";

#[test]
fn entries_and_their_sizes_are_added_up() {
    let file = zip_of(&[
        ("a.txt", b"hello"),
        ("folder/", b""),
        ("folder/ü.bin", &[7; 1000]),
    ]);
    let described = describe("a.zip", &file);
    assert_eq!(described.media_type, "application/zip");
    assert_eq!(
        zip(&described),
        Found {
            entries: 3,
            directories: 1,
            encrypted: 0,
            uncompressed_size: Some(1005),
            names: vec!["a.txt".into(), "folder/".into(), "folder/ü.bin".into()],
            complete: true,
        }
    );
    assert_eq!(described.structure_problem, None);
    let empty = describe("a", &zip_of(&[]));
    assert_eq!(
        (empty.media_type, zip(&empty).entries),
        ("application/zip", 0)
    );
    assert_eq!(empty.structure_problem, None);
}

#[test]
fn a_large_zip_is_read_from_its_end_in_bounded_ranges() {
    let names: Vec<String> = (0..20_000)
        .map(|i| format!("folder/file-{i:08}.txt"))
        .collect();
    let entries: Vec<(&str, &[u8])> = names.iter().map(|name| (&**name, &b"x"[..])).collect();
    let file = zip_of(&entries);
    assert!(file.len() > 4 * PREFIX_BYTES_MAX);
    let described = describe("a", &file);
    let found = zip(&described);
    assert_eq!(
        (found.entries, found.uncompressed_size, found.complete),
        (20_000, Some(20_000), true)
    );
    assert_eq!(found.names.len(), NAMES_MAX);
    assert_eq!(described.structure_problem, None);
}

#[test]
fn a_bomb_is_weighed_and_not_unpacked() {
    let directory = entry(b"bomb", u32::MAX - 1, b"").repeat(60_000);
    let described = describe("a", &zip_with(LOCAL, &directory, 60_000, b""));
    let found = zip(&described);
    assert_eq!(
        found.uncompressed_size,
        Some(60_000 * (u64::from(u32::MAX) - 1))
    );
    assert_eq!((found.entries, described.structure_problem), (60_000, None));
}

#[test]
fn sizes_that_overflow_are_a_problem_and_no_number() {
    let mut zip64 = vec![1, 0, 8, 0];
    zip64.extend(u64::MAX.to_le_bytes());
    let directory = entry(b"huge", u32::MAX, &zip64).repeat(2);
    let described = describe("a", &zip_with(LOCAL, &directory, 2, b""));
    assert_eq!(zip(&described).uncompressed_size, None);
    assert!(
        described
            .structure_problem
            .expect("a problem")
            .contains("add up")
    );
    let one = describe(
        "a",
        &zip_with(LOCAL, &entry(b"huge", u32::MAX, &zip64), 1, b""),
    );
    assert_eq!(zip(&one).uncompressed_size, Some(u64::MAX));
}

#[test]
fn a_zip64_end_record_counts() {
    let directory = entry(b"a", 5, b"");
    let mut file = LOCAL.to_vec();
    let start = file.len() as u64;
    file.extend(&directory);
    let record = file.len() as u64;
    file.extend(b"PK\x06\x06");
    file.extend([0; 28]);
    for field in [1_u64, directory.len() as u64, start] {
        file.extend(field.to_le_bytes());
    }
    file.extend(b"PK\x06\x07\0\0\0\0");
    file.extend(record.to_le_bytes());
    file.extend([1, 0, 0, 0]);
    file.extend(b"PK\x05\x06\0\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\0\0");
    let described = describe("a", &file);
    let found = zip(&described);
    assert_eq!(
        (found.entries, found.uncompressed_size, found.complete),
        (1, Some(5), true)
    );
    assert_eq!(described.structure_problem, None);
}

#[test]
fn what_stands_around_a_zip_does_not_hide_it() {
    // Comments may hold what looks like an end record.
    let comment = b"see PK\x05\x06\0\0\0\0\x09\0\x09\0 for much more of it";
    let described = describe("a", &zip_with(LOCAL, &entry(b"a", 5, b""), 1, comment));
    assert_eq!(
        (zip(&described).entries, described.structure_problem),
        (1, None)
    );
    // Something before an archive moves all its offsets.
    let mut file = LOCAL.to_vec();
    file.extend([9; 1000]);
    file.extend(zip_with(LOCAL, &entry(b"a", 5, b""), 1, b""));
    assert_eq!(zip(&describe("a", &file)).entries, 1);
    // Something between directory and end record, as some signers write.
    let mut file = zip_with(LOCAL, &entry(b"a", 5, b""), 1, b"");
    let end = file.len() - 22;
    file.splice(end..end, [9; 100]);
    assert_eq!(zip(&describe("a", &file)).entries, 1);
}

#[test]
fn a_broken_zip_says_what_is_wrong() {
    let whole = zip_of(&[("a.txt", b"hello"), ("b.txt", b"hello")]);
    let no_end = describe("a", &whole[..whole.len() - 10]);
    assert_eq!(
        (no_end.media_type, no_end.structure.clone()),
        ("application/zip", None)
    );
    assert!(
        no_end
            .structure_problem
            .expect("a problem")
            .contains("missing")
    );

    let two = entry(b"a", 1, b"").repeat(2);
    for (file, word) in [
        (zip_with(LOCAL, &two, 3, b""), "said to have 3"),
        (zip_with(LOCAL, &[7; 200], 1, b""), "no entry"),
        (zip_with(LOCAL, &two[..two.len() - 1], 2, b""), "cut off"),
    ] {
        let described = describe("a", &file);
        let problem = described.structure_problem.expect("a problem");
        assert!(problem.contains(word), "{problem}");
    }
    let mut larger = zip_with(LOCAL, &two, 2, b"");
    let at = larger.len() - 10;
    larger[at..at + 4].copy_from_slice(&0x7fff_ffff_u32.to_le_bytes());
    assert!(
        describe("a", &larger)
            .structure_problem
            .expect("a problem")
            .contains("larger")
    );
}

#[test]
fn names_of_entries_are_bounded_and_their_bytes_are_anything() {
    let mut directory = entry(&vec![b'n'; 65_000], 0, b"");
    directory.extend(entry(b"\xff\xfe\0../..", 0, b""));
    let described = describe("a", &zip_with(LOCAL, &directory, 2, b""));
    let found = zip(&described);
    assert_eq!(found.names[0].len(), NAME_CHARS_MAX);
    assert_eq!(found.names[1], "\u{fffd}\u{fffd}\0../..");
    let mut encrypted = entry(b"a", 0, b"");
    encrypted[8] = 1;
    assert_eq!(
        zip(&describe("a", &zip_with(LOCAL, &encrypted, 1, b""))).encrypted,
        1
    );
}

#[test]
fn an_endless_directory_is_cut_and_said_to_be() {
    let directory = entry(&vec![b'n'; 60_000], 1, b"").repeat(300);
    assert!(directory.len() as u64 > super::super::DIRECTORY_BYTES_MAX);
    let described = describe("a", &zip_with(LOCAL, &directory, 300, b""));
    let found = zip(&described);
    assert!(
        !found.complete && found.entries > 250 && found.entries < 300,
        "{}",
        found.entries
    );
    assert_eq!(described.structure_problem, None);
}

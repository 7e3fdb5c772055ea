use super::super::{NAME_CHARS_MAX, NAMES_MAX, PREFIX_BYTES_MAX, Structure};
use super::{Description, describe};

struct Found {
    delimiter: char,
    columns: u64,
    rows: u64,
    header: Option<Vec<String>>,
}

#[track_caller]
fn table(described: &Description) -> Found {
    match described.structure.clone() {
        Some(Structure::Csv {
            delimiter,
            columns,
            rows,
            header,
            complete: true,
            ..
        }) => Found {
            delimiter,
            columns,
            rows,
            header,
        },
        other => panic!("no whole table: {other:?} {}", described.media_type),
    }
}

#[test]
fn a_table_is_the_same_whatever_was_read_before() {
    // Where its beginning ends, every reader that was tried is in the middle of a quoted field.
    let quoted = format!("a,b\n\"{}\",2\n", "x".repeat(PREFIX_BYTES_MAX));
    let texts = [
        quoted.as_str(),
        "a,b\n1,2\n",
        "a;b\n1;2\n",
        "\u{feff}a,b\n1,2\n",
        "\"a\",b\n1,\"2",
        "\"a\"\"",
        "a,b\r",
        "a;b,c\n1;2,3\n4,5",
        "word",
        "\n\n",
    ];
    for text in texts {
        let alone = describe("a.csv", text.as_bytes());
        for before in texts {
            describe("before.csv", before.as_bytes());
            assert_eq!(
                describe("a.csv", text.as_bytes()),
                alone,
                "{text:?} after {before:?}"
            );
        }
    }
}

#[test]
fn delimiters_are_found() {
    for (name, content, delimiter, columns, rows) in [
        ("a.csv", "a,b\n1,2\n", ',', 2, 1),
        ("a.csv", "a;b;c\n1,5;2,5;3,5\n", ';', 3, 1),
        ("a.csv", "a\tb\n1\t2\n", '\t', 2, 1),
        ("a.tsv", "a\tb, c\n1\t2\n", '\t', 2, 1),
        ("a.csv", "a|b\n1|2\n", '|', 2, 1),
        ("a.csv", "word\nother\n", ',', 1, 1),
        ("a", "a;b\n1;2\n3;4\n", ';', 2, 2),
        ("a.txt", "a,b\n1,2\n3,4", ',', 2, 2),
        ("a.csv", "a,b\r\n1,2\r\n", ',', 2, 1),
        ("a.csv", "\u{feff}a,b\n1,2\n", ',', 2, 1),
        ("a.csv", "a,b\n\n\n1,2\n", ',', 2, 1),
    ] {
        let described = describe(name, content.as_bytes());
        let found = table(&described);
        assert_eq!(
            (found.delimiter, found.columns, found.rows),
            (delimiter, columns, rows),
            "{content:?}"
        );
        assert_eq!(described.structure_problem, None, "{content:?}");
        let tabbed = delimiter == '\t';
        assert_eq!(
            described.media_type == "text/tab-separated-values",
            tabbed,
            "{content:?}"
        );
    }
}

#[test]
fn prose_is_no_table() {
    for (name, content) in [
        ("a", "Dear Ada,\nthank you, and\n"),
        ("a", "One, two.\nThree.\nFour, five, six.\nSeven.\n"),
        ("a.txt", "no comma\nat all\nhere\n"),
        ("a.md", "a,b\nc,d\ne,f\n"),
    ] {
        assert!(
            matches!(
                describe(name, content.as_bytes()).structure,
                Some(Structure::Text { .. })
            ),
            "{content:?}"
        );
    }
}

#[test]
fn quotes_hold_delimiters_line_breaks_and_quotes() {
    let content = "name,note\n\"Ada, Countess\",\"first\nsecond \"\"line\"\"\"\nBob,\n";
    let found = table(&describe("a.csv", content.as_bytes()));
    assert_eq!((found.columns, found.rows), (2, 2));
    let quoted_head = "\"a\nb\",\"c,d\"\n1,2\n";
    let found = table(&describe("a.csv", quoted_head.as_bytes()));
    assert_eq!(found.header, Some(vec!["a\nb".into(), "c,d".into()]));
}

#[test]
fn a_first_record_that_is_data_is_no_header() {
    for (content, rows) in [
        ("1,2\n3,4\n", 2),
        ("a,a\nb,c\n", 2),
        ("a,\nb,c\n", 2),
        ("a,-1e5\nb,2\n", 2),
    ] {
        let found = table(&describe("a.csv", content.as_bytes()));
        assert_eq!((found.header, found.rows), (None, rows), "{content:?}");
    }
}

#[test]
fn what_is_wrong_with_a_table_is_said() {
    let ragged = describe("a.csv", b"a,b\n1,2\n3\n4,5,6\n");
    assert_eq!(table(&ragged).rows, 3);
    let problem = ragged.structure_problem.expect("a problem");
    assert!(
        problem.contains("2 of 4 records") && problem.contains("record 3"),
        "{problem}"
    );
    let open = describe("a.csv", b"a,b\n1,\"2\n3,4\n");
    assert_eq!(table(&open).rows, 1);
    assert!(
        open.structure_problem
            .expect("a problem")
            .contains("not closed")
    );
    for closed in ["a,b\n1,\"2\"", "a,b\n1,2\n", "a,b\n1,\"\"", "a,b\r\n1,2\r"] {
        assert_eq!(
            describe("a.csv", closed.as_bytes()).structure_problem,
            None,
            "{closed:?}"
        );
    }
}

#[test]
fn names_of_columns_are_bounded() {
    let wide: Vec<String> = (0..5_000)
        .map(|i| format!("{i}{}", "ü".repeat(300)))
        .collect();
    let content = format!("{}\n{}\n", wide.join(","), vec!["1"; 5_000].join(","));
    assert!(
        content.len() > PREFIX_BYTES_MAX,
        "the header alone is longer than what is kept"
    );
    let found = table(&describe("a.csv", content.as_bytes()));
    assert_eq!((found.columns, found.header), (5_000, None));

    let wide: Vec<String> = (0..400)
        .map(|i| format!("{i}{}", "ü".repeat(200)))
        .collect();
    let content = format!("{}\n{}\n", wide.join(","), vec!["1"; 400].join(","));
    let found = table(&describe("a.csv", content.as_bytes()));
    assert_eq!((found.columns, found.rows), (400, 1));
    let header = found.header.expect("names");
    assert_eq!(header.len(), NAMES_MAX);
    assert!(
        header
            .iter()
            .all(|name| name.chars().count() == NAME_CHARS_MAX)
    );
}

#[test]
fn rows_behind_what_is_kept_are_counted() {
    let content = format!("id,note\n{}", "1,\"two\nlines\"\n".repeat(50_000));
    assert!(content.len() > 2 * PREFIX_BYTES_MAX);
    let described = describe("a.csv", content.as_bytes());
    assert_eq!(
        (table(&described).rows, described.structure_problem),
        (50_000, None)
    );
}

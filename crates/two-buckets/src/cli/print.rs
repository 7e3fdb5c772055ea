//! What commands print on standard output: tables for people, JSON for programs.

use std::io::{self, Write as _};

use serde_json::Value;

use crate::failure::Failure;

/// Prints text as it is. A reader that went away (`two-buckets status | head`) is no failure.
pub(crate) fn text(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::failed(format!("cannot print: {error}")))
        }
        _ => Ok(()),
    }
}

/// Prints JSON, indented, with a line end.
pub(crate) fn json(value: &Value) -> Result<(), Failure> {
    text(&format!("{value:#}\n"))
}

/// Prints a table: a line of headings, then the rows, each column as wide as it needs.
pub(crate) fn table(headings: &[&str], rows: &[Vec<String>]) -> Result<(), Failure> {
    text(&layout(headings, rows))
}

fn layout(headings: &[&str], rows: &[Vec<String>]) -> String {
    let mut widths: Vec<usize> = headings.iter().map(|text| text.chars().count()).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let line = |cells: &mut dyn Iterator<Item = &str>| {
        let mut line = String::new();
        for (cell, width) in cells.zip(&widths) {
            line.push_str(cell);
            let padding = width - cell.chars().count() + 2;
            line.extend(std::iter::repeat_n(' ', padding));
        }
        line.truncate(line.trim_end().len());
        line.push('\n');
        line
    };
    let mut text = line(&mut headings.iter().copied());
    for row in rows {
        text.push_str(&line(&mut row.iter().map(String::as_str)));
    }
    text
}

/// A text that others chose, such as a key, made safe for a terminal: control characters are shown, not obeyed.
pub(crate) fn harmless(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        // Bidirectional overrides can make a name read as another one.
        let reorders = matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        if c.is_control() || reorders {
            safe.extend(c.escape_default());
        } else {
            safe.push(c);
        }
    }
    safe
}

/// Lines that others wrote, made safe for a terminal: each as [`harmless`] makes it, tabs kept.
pub(crate) fn harmless_lines(text: &str) -> String {
    text.split('\n')
        .map(|line| {
            let line = line.strip_suffix('\r').unwrap_or(line);
            let pieces: Vec<String> = line.split('\t').map(harmless).collect();
            pieces.join("\t")
        })
        .collect::<Vec<_>>()
        .join("\n")
}

/// A size for people, in binary units: `1.5 MiB`.
pub(crate) fn size(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
    let mut unit = 0;
    let mut whole = bytes;
    let mut rest = 0;
    while whole >= 1024 && unit + 1 < UNITS.len() {
        rest = whole % 1024;
        whole /= 1024;
        unit += 1;
    }
    if unit == 0 {
        format!("{bytes} B")
    } else {
        format!("{whole}.{} {}", rest * 10 / 1024, UNITS[unit])
    }
}

/// A count with its noun: `1 upload`, `2 uploads`.
pub(crate) fn count(n: u64, noun: &str) -> String {
    format!("{n} {noun}{}", if n == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::{harmless, layout, size};

    #[test]
    fn columns_are_as_wide_as_they_need() {
        assert_eq!(
            layout(
                &["KEY", "STATE"],
                &[
                    vec!["äöü-long".to_owned(), "archived".to_owned()],
                    vec!["b".to_owned(), "failed".to_owned()],
                ],
            ),
            "KEY       STATE\näöü-long  archived\nb         failed\n"
        );
    }

    #[test]
    fn a_key_cannot_steer_the_terminal() {
        assert_eq!(
            harmless("a\u{1b}[2J\n\u{202e}b ä"),
            "a\\u{1b}[2J\\n\\u{202e}b ä"
        );
    }

    #[test]
    fn sizes_read_well() {
        for (bytes, shown) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (1536, "1.5 KiB"),
            (5 << 30, "5.0 GiB"),
            (u64::MAX, "16383.9 PiB"),
        ] {
            assert_eq!(size(bytes), shown);
        }
    }
}

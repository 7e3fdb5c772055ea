use csv_core::{ReadFieldResult, ReadRecordResult, Reader};

use super::encoding::Encoding;
use super::readers::TableReader;
use super::{NAME_CHARS_MAX, NAMES_MAX, Structure, TABLE_BYTES_MAX};

/// What may stand between fields, in the order they are preferred.
const DELIMITERS: [u8; 4] = [b',', b';', b'\t', b'|'];
/// How many records are compared to find the delimiter.
const COMPARED_RECORDS: usize = 100;
/// How many records of equal width make a table of a text whose name does not say so: two lines of prose with a comma
/// each are no table.
const RECORDS_MIN: usize = 3;

/// Fields are looked at in pieces of this size; what they hold is not kept.
const FIELD_BYTES: usize = 4 << 10;
const FIELD_ENDS: usize = 128;

/// What the name says of a text.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Hint {
    /// It is a table, usually with this delimiter.
    Table(u8),
    /// Nothing.
    Unknown,
}

/// A table that is being counted.
pub(super) struct Table {
    reader: TableReader,
    header: Option<Vec<String>>,
    encoding: Encoding,
    bytes: u64,
    complete: bool,
    columns: u64,
    records: u64,
    /// Fields of the record that is being read.
    fields: u64,
    ragged: u64,
    first_ragged: u64,
    output: [u8; FIELD_BYTES],
    ends: [usize; FIELD_ENDS],
}

impl Table {
    /// Finds out whether a text that begins so is a table. `whole` says that nothing follows.
    pub(super) fn sniff(
        prefix: &[u8],
        whole: bool,
        encoding: Encoding,
        hint: Hint,
    ) -> Option<Box<Self>> {
        let first_line = prefix.split(|byte| *byte == b'\n').next().unwrap_or(prefix);
        let mut best: Option<(TableReader, usize, u64)> = None;
        for delimiter in DELIMITERS {
            // Quoted fields may go over lines, but the first record has its first delimiter in the first line,
            // unless its first field does; then the name must say that this is a table.
            if hint == Hint::Unknown && !first_line.contains(&delimiter) {
                continue;
            }
            let mut reader = TableReader::new(delimiter);
            let widths = widths(&mut reader.csv, prefix, whole);
            let columns = widths.first().copied().unwrap_or_default();
            let equal = widths.iter().filter(|width| **width == columns).count();
            let fits = match hint {
                Hint::Unknown => equal == widths.len() && equal >= RECORDS_MIN,
                Hint::Table(_) => true,
            };
            let better = best
                .as_ref()
                .is_none_or(|(.., most, widest)| (equal, columns) > (*most, *widest));
            let worse = if columns >= 2 && fits && better {
                best.replace((reader, equal, columns))
                    .map(|(reader, ..)| reader)
            } else {
                Some(reader)
            };
            if let Some(worse) = worse {
                worse.keep();
            }
        }
        let mut reader = match (best, hint) {
            (Some((reader, ..)), _) => reader,
            // A table of one column has no delimiter to find.
            (None, Hint::Table(usual)) => TableReader::new(usual),
            (None, Hint::Unknown) => return None,
        };
        let header = header(&mut reader.csv, prefix, whole);
        reader.csv.reset();
        Some(Box::new(Self {
            reader,
            header,
            encoding,
            bytes: 0,
            complete: true,
            columns: 0,
            records: 0,
            fields: 0,
            ragged: 0,
            first_ragged: 0,
            output: [0; FIELD_BYTES],
            ends: [0; FIELD_ENDS],
        }))
    }

    pub(super) fn is_tab_separated(&self) -> bool {
        self.reader.delimiter == b'\t'
    }

    pub(super) fn update(&mut self, bytes: &[u8]) {
        let room = usize::try_from(TABLE_BYTES_MAX - self.bytes).unwrap_or(usize::MAX);
        let counted = bytes.get(..room).unwrap_or(bytes);
        self.complete &= counted.len() == bytes.len();
        self.bytes += counted.len() as u64;
        let mut rest = counted;
        while !rest.is_empty() {
            rest = self.step(rest).0;
        }
    }

    /// Reads some of the input; gives what is left, how it ended and how much it wrote.
    fn step<'a>(&mut self, input: &'a [u8]) -> (&'a [u8], ReadRecordResult, usize) {
        let (result, read, written, ended) =
            self.reader
                .csv
                .read_record(input, &mut self.output, &mut self.ends);
        self.fields += ended as u64;
        if result == ReadRecordResult::Record {
            self.end_record();
        }
        (input.get(read..).unwrap_or_default(), result, written)
    }

    fn end_record(&mut self) {
        let fields = std::mem::take(&mut self.fields);
        self.records += 1;
        if self.records == 1 {
            self.columns = fields;
        } else if fields != self.columns {
            self.ragged += 1;
            if self.ragged == 1 {
                self.first_ragged = self.records;
            }
        }
    }

    /// Ends the count; gives what was found and what is wrong with it.
    pub(super) fn finish(mut self) -> (Structure, Option<String>) {
        let mut problems = Vec::new();
        if self.complete {
            // A line break ends every record but one that is in the middle of a quoted field.
            let (_, result, written) = self.step(b"\n");
            if result == ReadRecordResult::InputEmpty && written > 0 {
                problems.push("a quoted field is not closed before the end".to_owned());
            }
            // No more input: this ends a record that is still open, and only that.
            self.step(b"");
        }
        if self.ragged > 0 {
            problems.push(format!(
                "{} of {} records do not have {} fields, the first of them is record {}",
                self.ragged, self.records, self.columns, self.first_ragged
            ));
        }
        let header_records = u64::from(self.header.is_some());
        let structure = Structure::Csv {
            encoding: self.encoding.name(),
            delimiter: char::from(self.reader.delimiter),
            columns: self.columns,
            rows: self.records.saturating_sub(header_records),
            header: self.header,
            complete: self.complete,
        };
        let problem = (!problems.is_empty()).then(|| problems.join("; "));
        self.reader.keep();
        (structure, problem)
    }
}

/// How many fields each of the first records has. A record that may go on behind the prefix is left out.
fn widths(reader: &mut Reader, prefix: &[u8], whole: bool) -> Vec<u64> {
    let mut output = [0; FIELD_BYTES];
    let mut ends = [0; FIELD_ENDS];
    let mut widths = Vec::new();
    let mut fields = 0;
    let mut rest = prefix;
    while widths.len() < COMPARED_RECORDS {
        if rest.is_empty() && !whole {
            break;
        }
        let (result, read, _, ended) = reader.read_record(rest, &mut output, &mut ends);
        rest = rest.get(read..).unwrap_or_default();
        fields += ended as u64;
        match result {
            ReadRecordResult::Record => widths.push(std::mem::take(&mut fields)),
            ReadRecordResult::End => break,
            ReadRecordResult::InputEmpty
            | ReadRecordResult::OutputFull
            | ReadRecordResult::OutputEndsFull => {}
        }
    }
    widths
}

/// The first record, if it is whole and looks like names: none empty, none a number, none twice.
fn header(reader: &mut Reader, prefix: &[u8], whole: bool) -> Option<Vec<String>> {
    reader.reset();
    let mut names: Vec<String> = Vec::new();
    let mut name: Vec<u8> = Vec::new();
    let mut output = [0; FIELD_BYTES];
    let mut rest = prefix;
    loop {
        if rest.is_empty() && !whole {
            return None;
        }
        let (result, read, written) = reader.read_field(rest, &mut output);
        rest = rest.get(read..).unwrap_or_default();
        // Four bytes hold any character.
        let room = (NAME_CHARS_MAX * 4).saturating_sub(name.len());
        let piece = output.get(..written.min(room)).unwrap_or_default();
        name.extend_from_slice(piece);
        match result {
            ReadFieldResult::Field { record_end } => {
                let text = String::from_utf8_lossy(&name);
                let text = text.trim();
                if text.is_empty() || text.parse::<f64>().is_ok() {
                    return None;
                }
                if names.len() < NAMES_MAX {
                    let shown: String = text.chars().take(NAME_CHARS_MAX).collect();
                    if names.contains(&shown) {
                        return None;
                    }
                    names.push(shown);
                }
                name.clear();
                if record_end {
                    return Some(names);
                }
            }
            ReadFieldResult::End => return None,
            ReadFieldResult::InputEmpty | ReadFieldResult::OutputFull => {}
        }
    }
}

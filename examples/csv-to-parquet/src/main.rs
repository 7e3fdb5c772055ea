//! Files come in as CSV, are kept as they are, and each gets a Parquet file beside it.
//!
//! Its beginning decides the types of its columns; all of it is read once, in batches of records. Memory is bounded by
//! the constants below whatever is sent.

use std::fmt;
use std::io::{BufRead, Read as _, Write};
use std::process::ExitCode;
use std::sync::Arc;

use arrow_csv::ReaderBuilder;
use arrow_csv::reader::Format;
use arrow_schema::{ArrowError, DataType, Field, Schema, SchemaRef};
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use two_buckets::{Blocking, Incoming, ProcessError, Processor, Report};

/// How much of the beginning decides the types of the columns.
const SAMPLE_BYTES_MAX: usize = 1 << 20;
/// The most columns: the writer holds some kilobytes for each.
const COLUMNS_MAX: usize = 2_000;
/// How many records become columns at once.
const BATCH_RECORDS: usize = 1_024;
/// How many bytes these records may have together; a quote that is never closed makes one record of a whole file.
const BATCH_BYTES_MAX: usize = 64 << 20;
/// How much is collected before it becomes a row group.
const ROW_GROUP_BYTES: usize = 32 << 20;
/// How much of a reason is kept: it may quote the file.
const REASON_CHARS_MAX: usize = 500;
/// How arrow says where a value is that does not fit.
const AT_LINE: &str = " at line ";

struct CsvToParquet;

impl Processor for CsvToParquet {
    async fn process(&self, upload: Incoming) -> Result<Report, ProcessError> {
        // Reading CSV and writing Parquet block.
        upload.blocking(|upload| to_parquet(&upload)).await
    }
}

fn to_parquet(upload: &Blocking) -> Result<Report, ProcessError> {
    let mut file = upload.reader();
    let mut sample = Vec::new();
    (&mut file)
        .take(SAMPLE_BYTES_MAX as u64)
        .read_to_end(&mut sample)?;
    let is_whole = file.fill_buf()?.is_empty();
    let schema = Arc::new(schema_of(&sample, is_whole)?);
    let columns = schema.fields().len();

    let mut parquet = upload.output("table.parquet", "application/vnd.apache.parquet")?;
    let rows = convert(sample.chain(file), &mut parquet, schema)?;
    let parquet = parquet.finish()?;
    Report::from_json(
        serde_json::json!({
            "media_type": "text/csv",
            "columns": columns,
            "rows": rows,
            "parquet": parquet.key.as_str(),
        })
        .to_string(),
    )
}

/// Names and types of the columns, as the first records have them.
fn schema_of(sample: &[u8], is_whole: bool) -> Result<Schema, ProcessError> {
    let records = if is_whole {
        sample
    } else {
        let end = end_of_last_record(sample).ok_or_else(|| {
            malformed(format!(
                "line 1: the first record has more than {SAMPLE_BYTES_MAX} bytes; is a quote never closed?"
            ))
        })?;
        &sample[..end]
    };
    let format = Format::default().with_header(true);
    let (schema, _) = format.infer_schema(records, None).map_err(malformed)?;
    match schema.fields().len() {
        0 => return Err(malformed("line 1: there are no columns")),
        columns if columns > COLUMNS_MAX => {
            return Err(malformed(format!(
                "line 1: {columns} columns are more than {COLUMNS_MAX}"
            )));
        }
        _ => {}
    }
    let fields = schema.fields().iter().map(|field| match field.data_type() {
        // A column that is empty as far as we looked. As `Null` what comes later would be dropped without a word.
        DataType::Null => Field::new(field.name(), DataType::Utf8, true),
        kind => Field::new(field.name(), kind.clone(), true),
    });
    Ok(Schema::new(fields.collect::<Vec<_>>()))
}

/// Behind the last line break that is not inside quotes.
fn end_of_last_record(csv: &[u8]) -> Option<usize> {
    let mut end = None;
    let mut is_quoted = false;
    let mut before = b'\n';
    for (at, &byte) in csv.iter().enumerate() {
        match byte {
            b'"' if is_quoted => is_quoted = false,
            // At the beginning of a field, or the second one of a doubled quote.
            b'"' => is_quoted = matches!(before, b',' | b'\n' | b'\r' | b'"'),
            b'\n' if !is_quoted => end = Some(at + 1),
            _ => {}
        }
        before = byte;
    }
    end
}

/// Writes all records as Parquet and says how many there were.
fn convert(
    mut csv: impl BufRead,
    parquet: impl Write + Send,
    schema: SchemaRef,
) -> Result<u64, ProcessError> {
    let mut decoder = ReaderBuilder::new(Arc::clone(&schema))
        .with_header(true)
        .with_batch_size(BATCH_RECORDS)
        .build_decoder();
    let properties = WriterProperties::builder()
        .set_compression(Compression::SNAPPY)
        .build();
    let mut writer =
        ArrowWriter::try_new(parquet, schema, Some(properties)).map_err(not_written)?;
    let mut rows = 0;
    let mut batch_bytes = 0;
    loop {
        let input = csv.fill_buf()?;
        // It consumes nothing where a batch is full or the input has ended.
        let consumed = decoder.decode(input).map_err(malformed)?;
        csv.consume(consumed);
        batch_bytes += consumed;
        if batch_bytes > BATCH_BYTES_MAX {
            return Err(malformed(format!(
                "the {BATCH_RECORDS} records behind line {} have more than {BATCH_BYTES_MAX} bytes; is a quote never closed?",
                rows + 1
            )));
        }
        if consumed > 0 && decoder.capacity() > 0 {
            continue;
        }
        batch_bytes = 0;
        let Some(batch) = decoder.flush().map_err(misfit)? else {
            break;
        };
        rows += batch.num_rows() as u64;
        writer.write(&batch).map_err(not_written)?;
        if writer.in_progress_size() > ROW_GROUP_BYTES {
            writer.flush().map_err(not_written)?;
        }
    }
    writer.close().map_err(not_written)?;
    Ok(rows)
}

/// Parquet takes every table that arrow gives, so something else went wrong.
fn not_written(error: ParquetError) -> ProcessError {
    ProcessError::transient(error).context("the Parquet file was not written")
}

/// A CSV file that will be as wrong the next time. The reason names the line; it may quote the file, so it is bounded.
fn malformed(why: impl fmt::Display) -> ProcessError {
    let why: String = why.to_string().chars().take(REASON_CHARS_MAX).collect();
    ProcessError::permanent(why).context("not a table")
}

/// As [`malformed`], for a value that is not of its column's type. Of these arrow counts lines from behind the header,
/// of all others from the beginning of the file.
fn misfit(error: ArrowError) -> ProcessError {
    let ArrowError::ParseError(why) = error else {
        return malformed(error);
    };
    let counted = why.find(AT_LINE).and_then(|at| {
        let (before, rest) = why.split_at(at + AT_LINE.len());
        let (line, rest) = rest.split_once('.')?;
        Some(format!("{before}{}.{rest}", line.parse::<u64>().ok()? + 1))
    });
    malformed(counted.unwrap_or(why))
}

fn main() -> ExitCode {
    two_buckets::run(CsvToParquet)
}

//! Files come in as CSV, are kept as they are, and each gets a Parquet file beside it.
//!
//! The file is read twice: its beginning, for the types of its columns, and then all of it, in batches of records.
//! Memory is bounded by the constants below whatever is sent.

use std::fmt;
use std::io::{self, BufRead as _, BufReader, Read, Write};
use std::process::ExitCode;
use std::sync::Arc;

use arrow_csv::ReaderBuilder;
use arrow_csv::reader::Format;
use arrow_schema::{ArrowError, DataType, Field, Schema, SchemaRef};
use bytes::Bytes;
use futures::{TryStreamExt as _, stream};
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;
use tokio::sync::mpsc;
use tokio_util::io::{StreamReader, SyncIoBridge};
use two_buckets::objects::Error;
use two_buckets::{Cancellation, Incoming, ProcessError, Processor, Report};

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
/// How many pieces of the Parquet file wait to be stored.
const PIECES_WAITING_MAX: usize = 8;

struct CsvToParquet;

impl Processor for CsvToParquet {
    async fn process(&self, upload: Incoming) -> Result<Report, ProcessError> {
        let (sample, is_whole) = beginning(&upload).await?;
        let schema = Arc::new(schema_of(&sample, is_whole)?);
        let columns = schema.fields().len();

        // Reading CSV and writing Parquet block, so they have a thread; what it writes is stored as it comes.
        let (pieces, mut written) = mpsc::channel(PIECES_WAITING_MAX);
        let body = stream::poll_fn(move |cx| written.poll_recv(cx));
        let csv = StreamReader::new(upload.content.stream().await?.map_err(io::Error::other));
        let csv = SyncIoBridge::new(csv);
        let cancellation = upload.cancellation.clone();
        let converting = tokio::task::spawn_blocking(move || {
            let output = Pieces(pieces.clone());
            let converted = convert(csv, output, schema, &cancellation);
            if let Err(failure) = &converted {
                // The output must not look whole. Nobody listens if it was storing it that failed.
                let reason = failure.to_string();
                _ = pieces.blocking_send(Err(Error::Refused { reason }));
            }
            converted
        });
        let stored = upload.outputs.put(
            "table.parquet",
            "application/vnd.apache.parquet",
            Box::pin(body),
        );
        let (converted, stored) = tokio::join!(converting, stored);
        let rows = match converted.map_err(|panic| ProcessError::Crashed(panic.to_string()))? {
            Ok(rows) => rows,
            Err(Failure::Process(failure)) => return Err(failure),
            // Why is in what became of storing it.
            Err(Failure::NotStored) => 0,
        };
        let parquet = stored.map_err(ProcessError::from)?;
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
}

/// The first bytes of the file, and whether they are all of it.
async fn beginning(upload: &Incoming) -> Result<(Vec<u8>, bool), ProcessError> {
    let mut body = upload.content.stream().await?;
    let mut sample = Vec::new();
    while let Some(piece) = body.try_next().await? {
        let room = SAMPLE_BYTES_MAX - sample.len();
        if piece.len() > room {
            sample.extend_from_slice(&piece[..room]);
            return Ok((sample, false));
        }
        sample.extend_from_slice(&piece);
    }
    Ok((sample, true))
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
    csv: impl Read,
    parquet: impl Write + Send,
    schema: SchemaRef,
    cancellation: &Cancellation,
) -> Result<u64, Failure> {
    let mut csv = BufReader::new(csv);
    let mut decoder = ReaderBuilder::new(Arc::clone(&schema))
        .with_header(true)
        .with_batch_size(BATCH_RECORDS)
        .build_decoder();
    let properties = WriterProperties::builder()
        .set_compression(Compression::SNAPPY)
        .build();
    let mut writer =
        ArrowWriter::try_new(parquet, schema, Some(properties)).map_err(|_| Failure::NotStored)?;
    let mut rows = 0;
    let mut batch_bytes = 0;
    loop {
        if cancellation.is_cancelled() {
            return Err(Failure::Process(ProcessError::transient("cancelled")));
        }
        let input = csv.fill_buf().map_err(unreadable)?;
        // It consumes nothing where a batch is full or the input has ended.
        let consumed = decoder.decode(input).map_err(malformed)?;
        csv.consume(consumed);
        batch_bytes += consumed;
        if batch_bytes > BATCH_BYTES_MAX {
            return Err(Failure::Process(malformed(format!(
                "the {BATCH_RECORDS} records behind line {} have more than {BATCH_BYTES_MAX} bytes; is a quote never closed?",
                rows + 1
            ))));
        }
        if consumed > 0 && decoder.capacity() > 0 {
            continue;
        }
        batch_bytes = 0;
        let Some(batch) = decoder.flush().map_err(misfit)? else {
            break;
        };
        rows += batch.num_rows() as u64;
        writer.write(&batch).map_err(|_| Failure::NotStored)?;
        if writer.in_progress_size() > ROW_GROUP_BYTES {
            writer.flush().map_err(|_| Failure::NotStored)?;
        }
    }
    writer.close().map_err(|_| Failure::NotStored)?;
    Ok(rows)
}

/// Why there is no Parquet file.
enum Failure {
    Process(ProcessError),
    /// It could not be written.
    NotStored,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Process(failure) => failure.fmt(f),
            Self::NotStored => f.write_str("the Parquet file was not stored"),
        }
    }
}

impl From<ProcessError> for Failure {
    fn from(failure: ProcessError) -> Self {
        Self::Process(failure)
    }
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

/// What the store said, which came through [`io::Error`].
fn unreadable(error: io::Error) -> Failure {
    Failure::Process(match error.downcast::<Error>() {
        Ok(error) => error.into(),
        Err(error) => ProcessError::transient(error),
    })
}

/// Hands what is written to whoever stores it.
struct Pieces(mpsc::Sender<Result<Bytes, Error>>);

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0
            .blocking_send(Ok(Bytes::copy_from_slice(bytes)))
            .map_err(|_| io::ErrorKind::BrokenPipe)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn main() -> ExitCode {
    two_buckets::run(CsvToParquet)
}

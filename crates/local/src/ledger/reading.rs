//! The ledger's questions: what the last durable transaction says.

use std::ops::Bound;

use two_buckets_depot::{Depot, RowTable};
use two_buckets_objects::{ObjectRef, Timestamp, VersionRef};
use two_buckets_pipeline::ledger::{
    Counts, KeptLog, ListUploads, PAGE_MAX, Result, UploadPage, is_below,
};
use two_buckets_pipeline::{Lease, State, Upload, UploadId};

use super::head::Head;
use super::tables::{
    COUNTS, DUE, EXPECTED, JOBS, LEASES, LOGS, STATES, UNFINISHED, UPLOADS, VERSIONS, id_of,
    key_bytes, log_attempt, log_key, moment_key, name_bytes, number_of, state_byte, tail_number,
    version_bytes,
};
use super::{corrupt, encoding, log_encoding, unavailable};

/// How many rows one search for a text looks at before it gives an unfinished page back.
const SCAN_MAX: usize = 5_000;
/// How many rows are read at a time.
const READ_PAGE: usize = 500;

type Row = (Vec<u8>, Vec<u8>);

pub(super) fn lease(depot: &Depot, key: &ObjectRef) -> Result<Option<Lease>> {
    match depot.row(LEASES, &key_bytes(key)).map_err(unavailable)? {
        Some(value) => encoding::lease_from(key, &value).map(Some),
        None => Ok(None),
    }
}

pub(super) fn get(depot: &Depot, id: &UploadId) -> Result<Option<Upload>> {
    match number_of(id) {
        Some(number) => upload(depot, number),
        None => Ok(None),
    }
}

pub(super) fn find(depot: &Depot, version: &VersionRef) -> Result<Option<Upload>> {
    let key = version_bytes(&version.object(), Some(&version.version_id));
    match depot.row(VERSIONS, &key).map_err(unavailable)? {
        Some(number) => upload(depot, tail_number(&number)?),
        None => Ok(None),
    }
}

pub(super) fn logs(depot: &Depot, id: &UploadId) -> Result<Vec<KeptLog>> {
    let Some(number) = number_of(id) else {
        return Ok(Vec::new());
    };
    let (first, last) = (log_key(number, 0), log_key(number, u32::MAX));
    let range = (
        Bound::Included(first.as_slice()),
        Bound::Included(last.as_slice()),
    );
    depot
        .rows(LOGS, range, false, Upload::LOG_MAX)
        .map_err(unavailable)?
        .iter()
        .map(|(key, value)| {
            Ok(KeptLog {
                attempt: log_attempt(key)?,
                log: log_encoding::log_from(value)?,
            })
        })
        .collect()
}

fn upload(depot: &Depot, number: u64) -> Result<Option<Upload>> {
    match depot
        .row(UPLOADS, &number.to_be_bytes())
        .map_err(unavailable)?
    {
        Some(value) => encoding::upload_from(id_of(number), &value).map(Some),
        None => Ok(None),
    }
}

/// The uploads an index names, in its order. A row and its index change together, but two reads are not one: an
/// upload that has left the index meanwhile may be among them.
fn indexed(depot: &Depot, rows: &[Row]) -> Result<Vec<Upload>> {
    // One that was in the index may have ended and been forgotten since.
    rows.iter()
        .filter_map(|(key, _)| {
            tail_number(key)
                .and_then(|number| upload(depot, number))
                .transpose()
        })
        .collect()
}

pub(super) fn unfinished_of(depot: &Depot, key: &ObjectRef) -> Result<Vec<Upload>> {
    let mut uploads = Vec::new();
    for number in numbers_below(depot, &key_bytes(key))? {
        if uploads.len() == PAGE_MAX {
            break;
        }
        uploads.extend(upload(depot, number)?.filter(Upload::is_unfinished));
    }
    Ok(uploads)
}

/// The numbers of uploads in [`VERSIONS`] whose key begins so, each once, ascending.
fn numbers_below(depot: &Depot, prefix: &[u8]) -> Result<Vec<u64>> {
    let mut numbers = Vec::new();
    let mut from = Bound::Included(prefix.to_vec());
    loop {
        let range = (from.as_ref().map(Vec::as_slice), Bound::Unbounded);
        let rows = depot
            .rows(VERSIONS, range, false, READ_PAGE)
            .map_err(unavailable)?;
        let is_last_page = rows.len() < READ_PAGE;
        let mut is_past = false;
        for (key, number) in rows {
            if !key.starts_with(prefix) {
                is_past = true;
                break;
            }
            numbers.push(tail_number(&number)?);
            from = Bound::Excluded(key);
        }
        if is_past || is_last_page {
            numbers.sort_unstable();
            // A minted upload that has arrived is found by its version and by its key.
            numbers.dedup();
            return Ok(numbers);
        }
    }
}

pub(super) fn unfinished(
    depot: &Depot,
    head: &Head,
    after: Option<&UploadId>,
    limit: usize,
) -> Result<Vec<Upload>> {
    let after = match after {
        Some(id) => match (number_of(id), get(depot, id)?) {
            (Some(number), Some(upload)) => Some(moment_key(upload.received_at, number)),
            _ => None,
        },
        None => None,
    };
    let from_there = |from: Bound<&[u8]>| {
        let range = (from, Bound::Unbounded);
        depot
            .rows(UNFINISHED, range, false, limit.min(PAGE_MAX))
            .map_err(unavailable)
    };
    if let Some(after) = &after {
        return indexed(depot, &from_there(Bound::Excluded(after))?);
    }
    let look = head.look();
    let Some(from) = look.from() else {
        return Ok(Vec::new());
    };
    let rows = from_there(Bound::Included(from))?;
    look.found(rows.first().map(|(key, _)| key.as_slice()));
    indexed(depot, &rows)
}

pub(super) fn minted_for(depot: &Depot, key: &ObjectRef) -> Result<Option<Upload>> {
    let row = version_bytes(key, None);
    match depot.row(VERSIONS, &row).map_err(unavailable)? {
        Some(number) => upload(depot, tail_number(&number)?),
        None => Ok(None),
    }
}

pub(super) fn overdue(
    depot: &Depot,
    now: Timestamp,
    after: Option<&UploadId>,
    limit: usize,
) -> Result<Vec<Upload>> {
    // It may have come or been granted again since, and then the index has it elsewhere or not at all: what is behind
    // is then found by the next walk.
    let after = match after.and_then(number_of) {
        Some(number) => upload(depot, number)?
            .and_then(|row| row.expectation)
            .map(|expectation| moment_key(expectation.until, number)),
        None => None,
    };
    let from = after.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
    let until = moment_key(now, 0);
    let range = (from, Bound::Excluded(until.as_slice()));
    let rows = depot
        .rows(EXPECTED, range, false, limit.min(PAGE_MAX))
        .map_err(unavailable)?;
    indexed(depot, &rows)
}

pub(super) fn due(depot: &Depot, now: Timestamp, limit: usize) -> Result<Vec<Upload>> {
    let until = moment_key(now, u64::MAX);
    let range = (Bound::Unbounded, Bound::Included(until.as_slice()));
    let rows = depot
        .rows(DUE, range, false, limit.min(PAGE_MAX))
        .map_err(unavailable)?;
    indexed(depot, &rows)
}

pub(super) fn jobs(depot: &Depot, after: Option<&UploadId>, limit: usize) -> Result<Vec<Upload>> {
    // Where it was in the index it still would be, whatever became of it since.
    let after = match after.and_then(number_of) {
        Some(number) => upload(depot, number)?.map(|row| moment_key(row.received_at, number)),
        None => None,
    };
    let from = after.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
    let rows = depot
        .rows(JOBS, (from, Bound::Unbounded), false, limit.min(PAGE_MAX))
        .map_err(unavailable)?;
    indexed(depot, &rows)
}

pub(super) fn counts(depot: &Depot) -> Result<Counts> {
    let mut counts = Counts::default();
    for state in State::ALL {
        if let Some(value) = depot
            .row(COUNTS, &[state_byte(state)])
            .map_err(unavailable)?
        {
            *counts.of(state) = value
                .try_into()
                .map(u64::from_le_bytes)
                .map_err(|_| corrupt("a count of uploads"))?;
        }
    }
    Ok(counts)
}

pub(super) fn summary_below(
    depot: &Depot,
    head: &Head,
    prefix: &str,
) -> Result<(Counts, Option<Upload>)> {
    let mut counts = Counts::default();
    let mut from = Bound::Unbounded;
    loop {
        let range = (from.as_ref().map(Vec::as_slice), Bound::Unbounded);
        let rows = depot
            .rows(UPLOADS, range, false, READ_PAGE)
            .map_err(unavailable)?;
        let Some((last, _)) = rows.last() else {
            break;
        };
        from = Bound::Excluded(last.clone());
        for (_, value) in rows {
            let (key, state) = encoding::key_and_state(&value)?;
            if is_below(&key, prefix) {
                *counts.of(state) += 1;
            }
        }
    }
    let mut after = None;
    loop {
        let page = unfinished(depot, head, after.as_ref(), READ_PAGE)?;
        let Some(last) = page.last() else {
            return Ok((counts, None));
        };
        after = Some(last.id.clone());
        let oldest = page
            .into_iter()
            .find(|row| row.is_unfinished() && is_below(row.key.key.as_str(), prefix));
        if oldest.is_some() {
            return Ok((counts, oldest));
        }
    }
}

pub(super) fn list(depot: &Depot, options: &ListUploads) -> Result<UploadPage> {
    let limit = match options.limit {
        0 => PAGE_MAX,
        limit => limit.min(PAGE_MAX),
    };
    let before = match &options.after {
        None => None,
        Some(after) => match number_of(after) {
            Some(number) => Some(number),
            None => return Ok(UploadPage::default()),
        },
    };
    let mut page = UploadPage::default();
    let mut source = match &options.key {
        Some(key) => Source::of_key(depot, key, before)?,
        None => Source::Table {
            state: options.state,
            before,
        },
    };
    let mut looked_at = 0;
    loop {
        let numbers = source.next_numbers(depot)?;
        if numbers.is_empty() {
            return Ok(page);
        }
        for number in numbers {
            // One that was in the index may have been forgotten since.
            let Some(upload) = upload(depot, number)? else {
                continue;
            };
            looked_at += 1;
            if options.means(&upload) {
                page.uploads.push(upload);
            }
            if page.uploads.len() == limit || looked_at == SCAN_MAX {
                page.next = Some(id_of(number));
                return Ok(page);
            }
        }
    }
}

/// Where a list takes its uploads from, the latest first.
enum Source {
    /// All, or those in a state, below a number.
    Table {
        state: Option<State>,
        before: Option<u64>,
    },
    /// Those of one key.
    Key(Vec<u64>),
}

impl Source {
    fn of_key(depot: &Depot, key: &str, before: Option<u64>) -> Result<Self> {
        if key.len() > two_buckets_objects::Key::LENGTH_BYTES_MAX {
            return Ok(Self::Key(Vec::new()));
        }
        let mut numbers = numbers_below(depot, &name_bytes(key))?;
        numbers.retain(|number| before.is_none_or(|before| *number < before));
        Ok(Self::Key(numbers))
    }

    /// The next numbers, descending; none at the end.
    fn next_numbers(&mut self, depot: &Depot) -> Result<Vec<u64>> {
        match self {
            Self::Key(numbers) => {
                let mut next = numbers.split_off(numbers.len().saturating_sub(READ_PAGE));
                next.reverse();
                Ok(next)
            }
            Self::Table { state, before } => {
                let (table, prefix): (RowTable, Vec<u8>) = match state {
                    Some(state) => (STATES, vec![state_byte(*state)]),
                    None => (UPLOADS, Vec::new()),
                };
                let mut until = prefix.clone();
                until.extend(before.unwrap_or(u64::MAX).to_be_bytes());
                let range = (
                    Bound::Included(prefix.as_slice()),
                    Bound::Excluded(until.as_slice()),
                );
                let rows = depot
                    .rows(table, range, true, READ_PAGE)
                    .map_err(unavailable)?;
                let numbers = rows
                    .iter()
                    .map(|(key, _)| tail_number(key))
                    .collect::<Result<Vec<u64>>>()?;
                if let Some(last) = numbers.last() {
                    *before = Some(*last);
                }
                Ok(numbers)
            }
        }
    }
}

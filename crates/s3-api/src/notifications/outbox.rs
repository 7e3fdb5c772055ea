//! The rows of events that wait, in the store's own engine. Their bytes are described in `docs/format.md`.

use std::ops::Bound;

use two_buckets_depot::{Depot, Error, Result, RowTable, Transaction};
use two_buckets_objects::{BucketName, Timestamp};

/// Events that wait, by target and number. The ledger has the tables below 64.
const EVENTS: RowTable = RowTable(64);
/// What was lost, by target.
const LOSSES: RowTable = RowTable(65);
/// The version of both rows.
const VERSION: u8 = 1;
/// Ends the target's name in a key.
const END: u8 = 0;
/// How many rows are counted in one go.
const COUNTED: usize = 4_096;
/// How often losses are told of in the log once it is known that there are some: the first, and then each so many.
const TOLD_EVERY: u64 = 10_000;

/// An event that waits for its target.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Waiting {
    /// Its number, which grows with the events of the store.
    pub number: u64,
    /// When it happened.
    pub at: Timestamp,
    /// In which bucket.
    pub bucket: String,
    /// To which key; empty for a test event.
    pub key: String,
    /// The message: JSON, as S3 sends it.
    pub message: Vec<u8>,
}

/// Events that were not kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Losses {
    pub(super) count: u64,
    pub(super) first_at: Timestamp,
    pub(super) last_at: Timestamp,
}

impl Losses {
    pub(super) fn one_more(before: Option<Self>, at: Timestamp) -> Self {
        Self {
            count: before.map_or(0, |it| it.count) + 1,
            first_at: before.map_or(at, |it| it.first_at),
            last_at: at,
        }
    }

    /// Whether the log is to have a line of this one; one for each would flood it.
    pub(super) fn is_to_be_told(self) -> bool {
        self.count % TOLD_EVERY == 1
    }

    fn encode(self) -> Vec<u8> {
        let mut row = vec![VERSION];
        row.extend_from_slice(&self.count.to_le_bytes());
        row.extend_from_slice(&self.first_at.millis().to_le_bytes());
        row.extend_from_slice(&self.last_at.millis().to_le_bytes());
        row
    }

    fn decode(row: &[u8]) -> Option<Self> {
        let mut fields = Fields::of(row)?;
        let losses = Self {
            count: u64::from_le_bytes(fields.take()?),
            first_at: Timestamp::from_millis(i64::from_le_bytes(fields.take()?)),
            last_at: Timestamp::from_millis(i64::from_le_bytes(fields.take()?)),
        };
        fields.0.is_empty().then_some(losses)
    }
}

/// Writes an event down.
pub(super) fn keep(
    tx: &mut Transaction<'_>,
    target: &str,
    number: u64,
    bucket: &BucketName,
    key: &str,
    message: &[u8],
) {
    let mut row = vec![VERSION];
    row.extend_from_slice(&tx.now().millis().to_le_bytes());
    for text in [bucket.as_str(), key] {
        let length = u32::try_from(text.len()).expect("names of buckets and keys are short");
        row.extend_from_slice(&length.to_le_bytes());
        row.extend_from_slice(text.as_bytes());
    }
    row.extend_from_slice(message);
    tx.set_row(EVENTS, &key_of(target, number), &row);
}

/// At most `limit` events of a target in order, behind that of a number.
pub(super) fn waiting(
    depot: &Depot,
    target: &str,
    behind: Option<u64>,
    limit: usize,
) -> Result<Vec<Waiting>> {
    let from = match behind {
        None => Bound::Included(beginning(target)),
        Some(number) => Bound::Excluded(key_of(target, number)),
    };
    rows(depot, target, &from, limit)?
        .into_iter()
        .map(|(key, row)| decode(target, &key, &row).ok_or_else(|| corrupt("an event")))
        .collect()
}

/// Takes events away; gives how many were there.
pub(super) fn forget(depot: &Depot, target: &str, numbers: &[u64]) -> Result<u64> {
    depot.transaction(|tx| {
        let mut gone = 0;
        for number in numbers {
            let key = key_of(target, *number);
            if tx.row(EVENTS, &key)?.is_some() {
                tx.delete_row(EVENTS, &key);
                gone += 1;
            }
        }
        Ok(gone)
    })
}

/// How many events wait for a target.
pub(super) fn count(depot: &Depot, target: &str) -> Result<u64> {
    let mut from = Bound::Included(beginning(target));
    let mut count = 0;
    loop {
        let page = rows(depot, target, &from, COUNTED)?;
        count += page.len() as u64;
        match page.into_iter().last() {
            Some((last, _)) => from = Bound::Excluded(last),
            None => return Ok(count),
        }
    }
}

/// The targets that events wait for.
pub(super) fn targets(depot: &Depot) -> Result<Vec<String>> {
    let mut targets = Vec::new();
    let mut from = Vec::new();
    loop {
        let range = (Bound::Included(from.as_slice()), Bound::Unbounded);
        let Some((key, _)) = depot.rows(EVENTS, range, false, 1)?.into_iter().next() else {
            return Ok(targets);
        };
        let name = key.split(|byte| *byte == END).next().unwrap_or_default();
        let name = String::from_utf8(name.to_vec()).map_err(|_| corrupt("an event's target"))?;
        from = behind(&name);
        targets.push(name);
    }
}

/// What was lost for a target.
pub(super) fn losses(depot: &Depot, target: &str) -> Result<Option<Losses>> {
    losses_of(depot.row(LOSSES, target.as_bytes())?)
}

/// The same as a transaction sees it.
pub(super) fn losses_in(tx: &Transaction<'_>, target: &str) -> Result<Option<Losses>> {
    losses_of(tx.row(LOSSES, target.as_bytes())?)
}

pub(super) fn set_losses(tx: &mut Transaction<'_>, target: &str, losses: Losses) {
    tx.set_row(LOSSES, target.as_bytes(), &losses.encode());
}

fn losses_of(row: Option<Vec<u8>>) -> Result<Option<Losses>> {
    row.map(|row| Losses::decode(&row).ok_or_else(|| corrupt("lost events")))
        .transpose()
}

fn rows(
    depot: &Depot,
    target: &str,
    from: &Bound<Vec<u8>>,
    limit: usize,
) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
    let to = behind(target);
    let from = from.as_ref().map(Vec::as_slice);
    depot.rows(EVENTS, (from, Bound::Excluded(&to)), false, limit)
}

fn beginning(target: &str) -> Vec<u8> {
    let mut key = target.as_bytes().to_vec();
    key.push(END);
    key
}

/// The first place behind all events of a target.
fn behind(target: &str) -> Vec<u8> {
    let mut key = target.as_bytes().to_vec();
    key.push(END + 1);
    key
}

fn key_of(target: &str, number: u64) -> Vec<u8> {
    let mut key = beginning(target);
    key.extend_from_slice(&number.to_be_bytes());
    key
}

fn decode(target: &str, key: &[u8], row: &[u8]) -> Option<Waiting> {
    let number = key.strip_prefix(beginning(target).as_slice())?;
    let mut fields = Fields::of(row)?;
    Some(Waiting {
        number: u64::from_be_bytes(number.try_into().ok()?),
        at: Timestamp::from_millis(i64::from_le_bytes(fields.take()?)),
        bucket: fields.text()?,
        key: fields.text()?,
        message: fields.0.to_vec(),
    })
}

/// What is left of a row.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn of(row: &'a [u8]) -> Option<Self> {
        let (version, rest) = row.split_first()?;
        (*version == VERSION).then_some(Self(rest))
    }

    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*taken)
    }

    fn text(&mut self) -> Option<String> {
        let length = usize::try_from(u32::from_le_bytes(self.take()?)).ok()?;
        let (text, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        String::from_utf8(text.to_vec()).ok()
    }
}

fn corrupt(what: &str) -> Error {
    Error::Corrupt {
        what: format!("the row of {what}"),
    }
}

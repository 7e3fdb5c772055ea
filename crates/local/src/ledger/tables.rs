//! Tables, keys and the rows' changes that keep indexes and counts true, all within one transaction.

use two_buckets_depot::{RowTable, Transaction};
use two_buckets_objects::{ObjectRef, Timestamp, VersionId};
use two_buckets_pipeline::ledger::{Error, Result};
use two_buckets_pipeline::{Lease, State, Upload, UploadId};

use super::observed::Observation;
use super::{corrupt, encoding, unavailable};
use crate::unnoted::Waits;

/// Counters by name: 8 bytes, little-endian.
pub(super) const COUNTERS: RowTable = RowTable(1);
/// Uploads by number (8 bytes, big-endian), as JSON.
pub(super) const UPLOADS: RowTable = RowTable(2);
/// Numbers (8 bytes, big-endian) by key, bucket and version id; with an empty version id the upload the key was minted for.
pub(super) const VERSIONS: RowTable = RowTable(3);
/// Nothing, by state (1 byte) and number.
pub(super) const STATES: RowTable = RowTable(4);
/// Nothing, by when it was received (8 bytes, order-preserving) and number; unfinished uploads only.
pub(super) const UNFINISHED: RowTable = RowTable(5);
/// Nothing, by when it may be tried again and number; waiting uploads only.
pub(super) const DUE: RowTable = RowTable(6);
/// Leases by key and bucket, as JSON.
pub(super) const LEASES: RowTable = RowTable(7);
/// How many uploads are in a state (8 bytes, little-endian), by state (1 byte).
pub(super) const COUNTS: RowTable = RowTable(8);

/// Nothing, by the moment until which it is expected and number; pending uploads of which nothing was noted only.
pub(super) const EXPECTED: RowTable = RowTable(9);

/// Logs of attempts by the upload's number and the attempt's (4 bytes, big-endian).
pub(super) const LOGS: RowTable = RowTable(10);
/// Nothing, by when it was received and number; unfinished uploads of jobs only.
pub(super) const JOBS: RowTable = RowTable(11);

/// The one row, under `pause`, that says that processing is paused, as JSON; none while it is not.
pub(super) const PAUSE: RowTable = RowTable(12);

/// Replays that have not come to their end, by the name of their prefix, as JSON.
pub(super) const REPLAYS: RowTable = RowTable(13);

/// Grows with each opening.
pub(super) const BOOT: &[u8] = b"boot";
/// Grows with each claim.
pub(super) const TOKEN: &[u8] = b"token";
/// Grows with each upload and each version.
pub(super) const NUMBER: &[u8] = b"number";

/// An id is its number in 16 hexadecimal digits.
pub(super) fn id_of(number: u64) -> UploadId {
    UploadId::new(&format!("{number:016x}")).expect("16 hexadecimal digits are an id")
}

/// The number of an id, if this ledger could have made it.
pub(super) fn number_of(id: &UploadId) -> Option<u64> {
    let text = id.as_str();
    (text.len() == 16)
        .then(|| u64::from_str_radix(text, 16).ok())
        .flatten()
        .filter(|number| id_of(*number) == *id)
}

/// Key and bucket, each with its length before it, so that no two make the same bytes and one key's rows are together.
pub(super) fn key_bytes(key: &ObjectRef) -> Vec<u8> {
    let mut bytes = name_bytes(key.key.as_str());
    bytes.extend(name_bytes(key.bucket.as_str()));
    bytes
}

/// A name with its length before it.
pub(super) fn name_bytes(name: &str) -> Vec<u8> {
    let length = u16::try_from(name.len()).expect("keys and bucket names are shorter than 64 KiB");
    let mut bytes = length.to_be_bytes().to_vec();
    bytes.extend_from_slice(name.as_bytes());
    bytes
}

pub(super) fn version_bytes(key: &ObjectRef, version_id: Option<&VersionId>) -> Vec<u8> {
    let mut bytes = key_bytes(key);
    bytes.extend_from_slice(version_id.map_or(b"", |id| id.as_str().as_bytes()));
    bytes
}

/// A moment so that earlier ones order first, also before 1970.
pub(super) fn moment_bytes(moment: Timestamp) -> [u8; 8] {
    (moment.millis().cast_unsigned() ^ (1 << 63)).to_be_bytes()
}

pub(super) fn moment_key(moment: Timestamp, number: u64) -> Vec<u8> {
    [moment_bytes(moment), number.to_be_bytes()].concat()
}

/// The key of an attempt's log.
pub(super) fn log_key(number: u64, attempt: u32) -> Vec<u8> {
    [&number.to_be_bytes()[..], &attempt.to_be_bytes()].concat()
}

/// The attempt of such a key.
pub(super) fn log_attempt(key: &[u8]) -> Result<u32> {
    key.last_chunk()
        .map(|last| u32::from_be_bytes(*last))
        .ok_or_else(|| corrupt("the key of a log"))
}

pub(super) fn state_byte(state: State) -> u8 {
    match state {
        State::Pending => 1,
        State::Processing => 2,
        State::Archived => 3,
        State::Failed => 4,
        State::Late => 5,
        State::Duplicate => 6,
    }
}

fn state_key(state: State, number: u64) -> Vec<u8> {
    let mut bytes = vec![state_byte(state)];
    bytes.extend(number.to_be_bytes());
    bytes
}

/// The last eight bytes of a key or all of a value, as a number.
pub(super) fn tail_number(bytes: &[u8]) -> Result<u64> {
    bytes
        .last_chunk()
        .map(|last| u64::from_be_bytes(*last))
        .ok_or_else(|| corrupt("a number"))
}

/// The ledger's rows in a transaction.
pub(super) struct Rows<'a, 'b> {
    pub(super) tx: &'a mut Transaction<'b>,
    /// Uploads as this transaction leaves them, to be told of once it is durable.
    pub(super) changed: Vec<Upload>,
    /// Versions that have got their row in it.
    pub(super) noted: Vec<Waits>,
    /// What its changes mean for the counts.
    pub(super) observed: Vec<Observation>,
    /// Keys that it adds to [`UNFINISHED`].
    pub(super) unfinished: Vec<Vec<u8>>,
}

impl<'a, 'b> Rows<'a, 'b> {
    pub(super) fn new(tx: &'a mut Transaction<'b>) -> Self {
        Self {
            tx,
            changed: Vec::new(),
            noted: Vec::new(),
            observed: Vec::new(),
            unfinished: Vec::new(),
        }
    }
}

impl Rows<'_, '_> {
    pub(super) fn row(&self, table: RowTable, key: &[u8]) -> Result<Option<Vec<u8>>> {
        self.tx.row(table, key).map_err(unavailable)
    }

    /// The next value of a counter, from 1.
    pub(super) fn next(&mut self, counter: &[u8]) -> Result<u64> {
        let next = self.count(COUNTERS, counter)? + 1;
        self.tx.set_row(COUNTERS, counter, &next.to_le_bytes());
        Ok(next)
    }

    fn count(&self, table: RowTable, key: &[u8]) -> Result<u64> {
        match self.row(table, key)? {
            None => Ok(0),
            Some(value) => value
                .try_into()
                .map(u64::from_le_bytes)
                .map_err(|_| corrupt("a counter")),
        }
    }

    pub(super) fn lease(&self, key: &ObjectRef) -> Result<Option<Lease>> {
        match self.row(LEASES, &key_bytes(key))? {
            Some(value) => encoding::lease_from(key, &value).map(Some),
            None => Ok(None),
        }
    }

    pub(super) fn set_lease(&mut self, lease: &Lease) {
        self.tx
            .set_row(LEASES, &key_bytes(&lease.key), &encoding::lease_to(lease));
    }

    pub(super) fn remove_lease(&mut self, key: &ObjectRef) {
        self.tx.delete_row(LEASES, &key_bytes(key));
    }

    /// The key's lease as it is now, if it is still the caller's.
    pub(super) fn fenced(&self, lease: &Lease) -> Result<Lease> {
        self.lease(&lease.key)?
            .filter(|held| held.token == lease.token)
            .ok_or(Error::FencedOff)
    }

    pub(super) fn upload_at(&self, number: u64) -> Result<Option<Upload>> {
        match self.row(UPLOADS, &number.to_be_bytes())? {
            Some(value) => encoding::upload_from(id_of(number), &value).map(Some),
            None => Ok(None),
        }
    }

    pub(super) fn upload(&self, id: &UploadId) -> Result<Upload> {
        let found = match number_of(id) {
            Some(number) => self.upload_at(number)?,
            None => None,
        };
        found.ok_or_else(|| Error::NotFound(id.to_string()))
    }

    /// The upload of a version of a key, or without one the upload the key was minted for.
    pub(super) fn upload_of(
        &self,
        key: &ObjectRef,
        version_id: Option<&VersionId>,
    ) -> Result<Option<Upload>> {
        match self.row(VERSIONS, &version_bytes(key, version_id))? {
            Some(number) => self.upload_at(tail_number(&number)?),
            None => Ok(None),
        }
    }

    pub(super) fn update(
        &mut self,
        id: &UploadId,
        change: impl FnOnce(&mut Upload),
    ) -> Result<Upload> {
        let before = self.upload(id)?;
        let mut after = before.clone();
        change(&mut after);
        self.set_upload(Some(&before), &after)?;
        Ok(after)
    }

    /// Writes an upload, and what finds and counts it. `before` is what the row holds; none if there is no row.
    pub(super) fn set_upload(&mut self, before: Option<&Upload>, after: &Upload) -> Result<()> {
        if before == Some(after) {
            return Ok(());
        }
        let number = number_of(&after.id).ok_or_else(|| Error::NotFound(after.id.to_string()))?;
        self.tx
            .set_row(UPLOADS, &number.to_be_bytes(), &encoding::upload_to(after));
        if before.map(|row| row.state) != Some(after.state) {
            if let Some(before) = before {
                self.remove_state(before.state, number)?;
            }
            self.tx
                .set_row(STATES, &state_key(after.state, number), b"");
            self.add(after.state, 1)?;
        }
        self.set_index(
            UNFINISHED,
            number,
            before
                .filter(|row| row.is_unfinished())
                .map(|row| row.received_at),
            after.is_unfinished().then_some(after.received_at),
        );
        self.set_index(
            DUE,
            number,
            before.and_then(|row| row.next_attempt_at),
            after.next_attempt_at,
        );
        let job = |row: &Upload| {
            let is_owed = matches!(row.state, State::Pending | State::Processing);
            (row.is_job && is_owed).then_some(row.received_at)
        };
        self.set_index(JOBS, number, before.and_then(job), job(after));
        let expected = |row: &Upload| row.expected_until().filter(|_| row.state == State::Pending);
        self.set_index(EXPECTED, number, before.and_then(expected), expected(after));
        if let Some(staged) = &after.staged
            && before.is_none_or(|row| row.staged.is_none())
        {
            let key = version_bytes(&after.key, Some(&staged.version_id));
            self.tx.set_row(VERSIONS, &key, &number.to_be_bytes());
            self.noted.push(Waits::new(
                staged.order.last_modified,
                after.key.key.clone(),
                &staged.version_id,
            ));
        }
        if after.minted && before.is_none() {
            let key = version_bytes(&after.key, None);
            self.tx.set_row(VERSIONS, &key, &number.to_be_bytes());
        }
        self.observed.push(Observation::of(before, after));
        self.changed.retain(|row| row.id != after.id);
        self.changed.push(after.clone());
        Ok(())
    }

    /// How many uploads are in a state.
    pub(super) fn count_of(&self, state: State) -> Result<u64> {
        self.count(COUNTS, &[state_byte(state)])
    }

    /// Takes an upload out of those of its state.
    pub(super) fn remove_state(&mut self, state: State, number: u64) -> Result<()> {
        self.tx.delete_row(STATES, &state_key(state, number));
        self.add(state, -1)
    }

    fn set_index(
        &mut self,
        table: RowTable,
        number: u64,
        before: Option<Timestamp>,
        after: Option<Timestamp>,
    ) {
        if before == after {
            return;
        }
        if let Some(before) = before {
            self.tx.delete_row(table, &moment_key(before, number));
        }
        if let Some(after) = after {
            let key = moment_key(after, number);
            self.tx.set_row(table, &key, b"");
            if table == UNFINISHED {
                self.unfinished.push(key);
            }
        }
    }

    fn add(&mut self, state: State, change: i64) -> Result<()> {
        let key = [state_byte(state)];
        let count = self
            .count(COUNTS, &key)?
            .checked_add_signed(change)
            .ok_or_else(|| corrupt("a count of uploads"))?;
        self.tx.set_row(COUNTS, &key, &count.to_le_bytes());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn earlier_moments_order_first_also_before_1970() {
        let moments = [i64::MIN, -1_000, -1, 0, 1, 1_000, i64::MAX].map(Timestamp::from_millis);
        assert!(moments.map(moment_bytes).is_sorted());
    }

    #[test]
    fn an_id_is_a_number_and_nothing_else_is_an_id() {
        for number in [1, 0xabc, u64::MAX] {
            assert_eq!(number_of(&id_of(number)), Some(number));
        }
        for odd in [
            "1",
            "+00000000000000f",
            "000000000000000F",
            "zzzzzzzzzzzzzzzz",
        ] {
            assert_eq!(
                UploadId::new(odd).and_then(|id| number_of(&id)),
                None,
                "{odd}"
            );
        }
    }

    #[test]
    fn no_two_keys_make_the_same_bytes() {
        let object = |bucket: &str, key: &str| ObjectRef {
            bucket: bucket.parse().unwrap(),
            key: key.parse().unwrap(),
        };
        let version = VersionId::new("v");
        let one = version_bytes(&object("abc", "a"), Some(&version));
        for other in [
            object("abc", "a\0"),
            object("abc", "av"),
            object("abcv", "a"),
        ] {
            assert_ne!(one, version_bytes(&other, None));
            assert!(
                !version_bytes(&other, Some(&version)).starts_with(&key_bytes(&object("abc", "a")))
            );
        }
    }
}

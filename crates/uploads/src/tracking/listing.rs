//! Lists: what waits for its row on top, rows below.

use two_buckets_objects::ObjectStore;
use two_buckets_pipeline::{self as pipeline, Ledger, WakeUps, ledger};

use super::shown::{ledger_state, shown};
use super::{Tracking, failed};
use crate::{Counts, Cursor, Error, ListUploads, Oldest, Result, Upload};

impl<S: ObjectStore, L: Ledger, W: WakeUps> Tracking<'_, S, L, W> {
    /// The uploads of a page and where the next begins. `waiting` belongs on top of it, and was looked for before: a
    /// version that gets its row meanwhile is then seen twice and not never. `is_id` says what a cursor may be.
    pub async fn list(
        &self,
        query: ListUploads,
        mut waiting: Vec<Upload>,
        is_id: impl Fn(&pipeline::UploadId) -> bool + Send,
    ) -> Result<(Vec<Upload>, Option<Cursor>)> {
        // At least one row, for the next page begins behind the last one.
        waiting.truncate(query.limit.saturating_sub(1));
        let after = match query.after {
            Some(Cursor(id)) => Some(
                pipeline::UploadId::new(&id)
                    .filter(is_id)
                    .ok_or_else(not_a_cursor)?,
            ),
            None => None,
        };
        let page = self
            .ledger
            .list(&ledger::ListUploads {
                state: query.state.map(ledger_state),
                key: query.key.map(|key| key.as_str().to_owned()),
                key_contains: query.search,
                prefix: query.prefix,
                after,
                limit: query.limit - waiting.len(),
            })
            .await
            .map_err(failed)?;
        let rows = page.uploads.iter().map(shown).collect::<Result<Vec<_>>>()?;
        let next = page.next.map(|id| Cursor(id.as_str().to_owned()));
        Ok((each_once(waiting, rows), next))
    }
}

fn not_a_cursor() -> Error {
    Error::Refused {
        reason: "after must be the next of an earlier page".into(),
    }
}

/// What waits and what has a row, each upload once. A version may get its row between the two looks, under a name that
/// was not its own before: then both are of the same version.
fn each_once(mut waiting: Vec<Upload>, rows: Vec<Upload>) -> Vec<Upload> {
    let is_of = |row: &Upload, waits: &Upload| {
        let is_its_version = row.version_id.is_some() && row.version_id == waits.version_id;
        row.id == waits.id || (is_its_version && row.key == waits.key)
    };
    // A row says more, but not one that does not know yet that its version has come.
    waiting.retain(|waits| rows.iter().all(|row| !is_of(row, waits) || row.is_expected));
    let is_shown = |row: &Upload| waiting.iter().any(|waits| waits.id == row.id);
    let rows: Vec<_> = rows.into_iter().filter(|row| !is_shown(row)).collect();
    waiting.extend(rows);
    waiting
}

/// The ledger's counts, with so many that wait without a row.
pub fn counted(rows: ledger::Counts, waiting: u64) -> Counts {
    Counts {
        pending: rows.pending + waiting,
        processing: rows.processing,
        archived: rows.archived,
        failed: rows.failed,
        late: rows.late,
        duplicate: rows.duplicate,
    }
}

/// The older of an unfinished row and of a version that waits for its row.
pub fn oldest_of(row: Option<Oldest>, waiting: Option<Oldest>) -> Option<Oldest> {
    row.into_iter()
        .chain(waiting)
        .min_by_key(|oldest| oldest.received_at)
}

#[cfg(test)]
mod tests {
    use two_buckets_objects::{ETag, ListedVersion, ObjectRef, Timestamp, VersionId};
    use two_buckets_pipeline::Expectation;

    use super::*;
    use crate::tracking::shown_waiting;

    #[test]
    fn a_version_that_gets_its_row_between_two_looks_is_one_upload() {
        let key = ObjectRef {
            bucket: "staging".parse().unwrap(),
            key: "a".parse().unwrap(),
        };
        let version = |id: &str| ListedVersion {
            key: key.key.clone(),
            version_id: VersionId::new(id),
            is_latest: true,
            is_delete_marker: false,
            last_modified: Timestamp::from_millis(1),
            size_bytes: 1,
            etag: Some(ETag::new("e")),
        };
        let waits = |id: &str| shown_waiting(key.clone(), &version(id)).unwrap();
        let id = pipeline::UploadId::new("0000000000000001").unwrap();
        let now = Timestamp::from_millis(1);
        let mut minted = pipeline::Upload::minted(id, key.clone(), Expectation::until(now), now);
        minted.arrive(1, &version("1"));
        let row = shown(&minted).unwrap();
        assert_ne!(waits("1").id, row.id, "its name is another while it waits");
        let ids = |waiting, rows| -> Vec<_> {
            each_once(waiting, rows)
                .into_iter()
                .map(|upload| upload.id)
                .collect()
        };
        let only = ids(vec![waits("1")], vec![row.clone()]);
        assert_eq!(only, std::slice::from_ref(&row.id));
        let other = waits("2");
        assert_eq!(
            ids(vec![other.clone()], vec![row.clone()]),
            [other.id, row.id]
        );
    }
}

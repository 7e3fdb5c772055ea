//! The row that says that processing is paused. It is there while it is, so a server that is killed comes back paused.

use serde::{Deserialize, Serialize};
use two_buckets_depot::Depot;
use two_buckets_objects::Timestamp;
use two_buckets_pipeline::ledger::Result;
use two_buckets_uploads::Paused;

use super::tables::{PAUSE, Rows};
use super::{DepotLedger, corrupt, unavailable};

/// There is one such row.
const KEY: &[u8] = b"pause";
/// The version of its layout.
const VERSION: u32 = 1;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PauseRow {
    v: u32,
    since: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

impl DepotLedger {
    /// Since when processing is paused and why, if it is. Blocks on the disk.
    pub(crate) fn pause_row(&self) -> Result<Option<Paused>> {
        read(&self.depot)
    }

    /// The same, for async code.
    pub(crate) async fn paused(&self) -> Result<Option<Paused>> {
        self.read(read).await
    }

    /// Keeps that processing is paused. Where it was, it is since then, and for the new reason if one is given.
    pub(crate) async fn keep_paused(&self, reason: Option<String>) -> Result<Paused> {
        let now = self.now();
        self.change(move |rows| {
            let before = rows.pause()?;
            let paused = Paused {
                since: before.as_ref().map_or(now, |before| before.since),
                reason: reason.or(before.and_then(|before| before.reason)),
            };
            rows.tx.set_row(PAUSE, KEY, &written(&paused));
            Ok(paused)
        })
        .await
    }

    /// Keeps that processing goes on; gives what the row said.
    pub(crate) async fn keep_resumed(&self) -> Result<Option<Paused>> {
        self.change(|rows| {
            let before = rows.pause()?;
            rows.tx.delete_row(PAUSE, KEY);
            Ok(before)
        })
        .await
    }
}

impl Rows<'_, '_> {
    fn pause(&self) -> Result<Option<Paused>> {
        self.row(PAUSE, KEY)?
            .map(|row| understood(&row))
            .transpose()
    }
}

fn read(depot: &Depot) -> Result<Option<Paused>> {
    let row = depot.row(PAUSE, KEY).map_err(unavailable)?;
    row.map(|row| understood(&row)).transpose()
}

fn written(paused: &Paused) -> Vec<u8> {
    let row = PauseRow {
        v: VERSION,
        since: paused.since.millis(),
        reason: paused.reason.clone(),
    };
    serde_json::to_vec(&row).expect("a number and a text serialise")
}

fn understood(row: &[u8]) -> Result<Paused> {
    let row: PauseRow =
        serde_json::from_slice(row).map_err(|_| corrupt("since when processing is paused"))?;
    if row.v != VERSION {
        return Err(corrupt("the version of the row of a pause"));
    }
    Ok(Paused {
        since: Timestamp::from_millis(row.since),
        reason: row.reason,
    })
}

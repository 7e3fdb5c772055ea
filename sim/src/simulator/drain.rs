//! After the faults: the world comes to rest.

use std::collections::BTreeSet;
use std::time::Duration;

use two_buckets_depot::ListObjects;
use two_buckets_objects::VersionRef;
use two_buckets_pipeline::State;
use two_buckets_pipeline::ledger::{Ledger as _, ListUploads};

use super::adversary;
use super::server::{End, Life};
use super::world::{World, at_once, note, staging};

/// How long the world may take to come to rest: as long as a clock that was set back an hour holds up what waits for a
/// moment, and then all waits and attempts of one key behind each other, most of which hang.
const REST_WAIT_MAX: Duration = Duration::from_hours(24);
/// How long it may take with a planted mistake, which is looked for in many worlds.
const REST_WAIT_WITH_BUG_MAX: Duration = Duration::from_hours(4);
/// How often it is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(20);

/// Lets the faults end and everything be worked off. Says whether it was.
pub(super) async fn drain(world: &World) -> bool {
    world.calm_down();
    // The next process has a disk without faults to come.
    world.server.end(End::Kill);
    come_to_rest(world).await
}

/// Fixes what made functions fail, and retries what has failed.
pub(super) async fn cure(world: &World) -> bool {
    world.cure();
    let life = world.server.wait().await;
    let mut after = None;
    loop {
        let failed = ListUploads {
            state: Some(State::Failed),
            after: after.take(),
            ..ListUploads::default()
        };
        let Ok(page) = at_once(life.ledger.list(&failed)) else {
            return false;
        };
        for upload in &page.uploads {
            if at_once(life.ledger.retry(&upload.id)).is_ok() {
                note!(world, "operator: retry {}", upload.id);
                world.figures().retries += 1;
                adversary::wake(&life, &upload.key, true);
            }
        }
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    come_to_rest(world).await
}

/// Power is lost once more, when nothing is owed to anybody.
pub(super) async fn lose_power(world: &World) -> bool {
    world.server.end(End::PowerLoss);
    tokio::time::sleep(world.beats(20)).await;
    come_to_rest(world).await
}

async fn come_to_rest(world: &World) -> bool {
    let wait_max = match world.plan.bug {
        None => REST_WAIT_MAX,
        Some(_) => REST_WAIT_WITH_BUG_MAX,
    };
    let until = world.clock.elapsed().saturating_add(wait_max);
    while world.clock.elapsed() < until {
        tokio::time::sleep(LOOK_EVERY).await;
        if !world.oracle.known().violations.is_empty() {
            return false;
        }
        if let Some(life) = world.server.life()
            && is_at_rest(world, &life)
        {
            note!(world, "at rest");
            return true;
        }
    }
    false
}

/// Whether nothing is left to be done.
fn is_at_rest(world: &World, life: &Life) -> bool {
    let is_idle = life.queues.iter().all(|queue| queue.backlog() == 0);
    let is_all_ended =
        at_once(life.ledger.counts()).is_ok_and(|counts| counts.pending + counts.processing == 0);
    // What is archived may still have to be closed.
    let is_all_closed = matches!(at_once(life.ledger.oldest_unfinished()), Ok(None));
    is_idle && is_all_ended && is_all_closed && is_all_set_aside(life, world.plan.is_in_one)
}

/// Whether all that staging has is failed and, unless a move is one change, in doubt no more, and no delete marker is left
/// over.
fn is_all_set_aside(life: &Life, is_in_one: bool) -> bool {
    let (mut hidden, mut failed) = (BTreeSet::new(), BTreeSet::new());
    let mut options = ListObjects::default();
    loop {
        let Ok(page) = life.depot.list_versions(&staging(), &options) else {
            return false;
        };
        for entry in page.entries {
            if entry.is_delete_marker {
                hidden.insert(entry.key);
                continue;
            }
            failed.insert(entry.key.clone());
            let at = VersionRef {
                bucket: staging(),
                key: entry.key,
                version_id: entry.version_id,
            };
            match at_once(life.ledger.find(&at)) {
                Ok(Some(row))
                    if row.state == State::Failed
                        && (is_in_one || row.last_look_at().is_none()) => {}
                _ => return false,
            }
        }
        match page.next {
            None => return hidden.is_subset(&failed),
            Some((key, version)) => {
                options.after = Some(key);
                options.after_version = version;
            }
        }
    }
}

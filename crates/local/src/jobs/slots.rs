use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use two_buckets_objects::{BucketName, VersionRef};
use two_buckets_pipeline::FencingToken;
use two_buckets_s3_api::{Pinned, Pins, Slot};

use crate::function::pin;

/// What the sessions of jobs' functions mean: each the version of its job, as long as that holds its key.
pub(super) struct JobSlots {
    pins: Pins,
    archive: BucketName,
    open: Mutex<HashMap<VersionRef, Open>>,
}

struct Open {
    token: FencingToken,
    /// Dropped before its slot, so that nothing is pinned in none.
    pinned: Pinned,
    _slot: Slot,
    /// Whether the job began under an earlier server, which knew what its function did until then.
    is_again: bool,
}

impl JobSlots {
    pub(super) fn new(pins: Pins, archive: BucketName) -> Self {
        Self {
            pins,
            archive,
            open: Mutex::default(),
        }
    }

    /// A job has begun; gives the name of its session.
    pub(super) fn open(&self, at: &VersionRef, token: FencingToken) -> String {
        self.set(at, token, false)
    }

    /// A job lives, which perhaps an earlier server began.
    pub(super) fn open_again(&self, at: &VersionRef, token: FencingToken) {
        let is_open = self.open_ones().get(at).is_some_and(|it| it.token == token);
        if !is_open {
            self.set(at, token, true);
        }
    }

    /// Whether it is known that the job's function has not written its file to the archive.
    pub(super) fn has_not_moved(&self, at: &VersionRef) -> bool {
        self.open_ones()
            .get(at)
            .is_some_and(|open| !open.is_again && !open.pinned.was_copied(&at.object()))
    }

    /// The job has ended.
    pub(super) fn close(&self, at: &VersionRef) {
        self.open_ones().remove(at);
    }

    /// The job that holds this token has ended.
    pub(super) fn close_of(&self, at: &VersionRef, token: FencingToken) {
        let mut open = self.open_ones();
        if open.get(at).is_some_and(|open| open.token == token) {
            open.remove(at);
        }
    }

    fn set(&self, at: &VersionRef, token: FencingToken, is_again: bool) -> String {
        let name = session_name(at, token);
        let slot = self.pins.open_slot(&name);
        let pinned = slot.pin(vec![pin(at.clone(), self.archive.clone())]);
        let open = Open {
            token,
            pinned,
            _slot: slot,
            is_again,
        };
        self.open_ones().insert(at.clone(), open);
        name
    }

    fn open_ones(&self) -> MutexGuard<'_, HashMap<VersionRef, Open>> {
        // Every change is one call on the map.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The same after every start of the server: 2 to 64 letters, as session names are (STS API, `AssumeRole`). A version's
/// id is no other version's in this store, and a token no other claim's of its key.
fn session_name(at: &VersionRef, token: FencingToken) -> String {
    let version: String = at
        .version_id
        .as_str()
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .take(32)
        .collect();
    format!("job-{version}-{token}")
}

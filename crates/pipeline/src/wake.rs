use std::future::Future;

use two_buckets_objects::{ObjectRef, Timestamp};

/// Why a key is to be looked at.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Why {
    /// Something arrived, or became due.
    Event,
    /// The ledger has an unfinished upload of this key whose version is gone from staging: finish or explain it.
    Gone,
}

/// A hint that a key has something to do. Never the truth: it may be lost, doubled, late or wrong.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct WakeUp {
    /// The key in staging.
    pub key: ObjectRef,
    /// Why.
    pub why: Why,
}

/// Where hints for workers go.
pub trait WakeUps: Send + Sync + 'static {
    /// Has a worker look at the key, at once or not before a moment. Never waits for room, since workers call it:
    /// a hint that cannot be taken is dropped, and the sweep finds what it told of.
    fn wake(
        &self,
        wake_up: WakeUp,
        not_before: Option<Timestamp>,
    ) -> impl Future<Output = ()> + Send;

    /// Waits until a hint would be taken, for those who have many.
    fn room(&self) -> impl Future<Output = ()> + Send;
}

//! Which versions in staging have no row in the ledger yet, and which of them came first.
//!
//! The ledger says at once which of its rows is the oldest that is unfinished. A version without a row is known to the
//! store only, which has them in the order of their keys; so those that came first are kept here, up to a number. The
//! store tells of new ones, the ledger of those that got their row, and looking through staging fills it: at the first
//! question, and when all that were kept have their row and there are more.
//!
//! What is kept is a hint. A version may be deleted, or get its row before the store told of it: whoever asks has to look
//! whether the first one still waits, and takes it out if not. What it never does is miss one.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use two_buckets_objects::{BucketName, Key, Timestamp, VersionId, VersionRef};
use two_buckets_pipeline::ledger::is_below;

/// The most versions kept: some megabytes. The next look through staging is due when so many have got their row.
const KEPT_MAX: usize = 20_000;

/// Cheap to clone; clones are the same.
#[derive(Clone)]
pub(crate) struct Unnoted(Arc<Shared>);

struct Shared {
    kept_max: usize,
    state: Mutex<State>,
    /// Held over a look through staging: whoever else needs one waits for this one.
    looking: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct State {
    /// None until staging was looked through, and until then nothing is kept.
    known: Option<First>,
    /// What the look that is under way has found, and what was told of meanwhile.
    found: Option<First>,
}

/// A version without a row; those that came first order first.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Waits {
    /// Its Last-Modified.
    pub(crate) received_at: Timestamp,
    /// Its key.
    pub(crate) key: Key,
    version_id: Box<str>,
}

impl Waits {
    pub(crate) fn new(received_at: Timestamp, key: Key, version_id: &VersionId) -> Self {
        Self {
            received_at,
            key,
            version_id: version_id.as_str().into(),
        }
    }

    /// The version.
    pub(crate) fn at(&self, bucket: &BucketName) -> VersionRef {
        VersionRef {
            bucket: bucket.clone(),
            key: self.key.clone(),
            version_id: VersionId::new(&*self.version_id),
        }
    }
}

/// The versions that came first.
#[derive(Debug)]
struct First {
    kept: BTreeSet<Waits>,
    kept_max: usize,
    /// When the first of those came that were left out for want of room. All that are kept are as old or older.
    left_out: Option<Timestamp>,
}

/// What is known of the first version without a row.
#[derive(PartialEq, Eq, Debug)]
pub(crate) enum Answer {
    /// This is the first, if it still has none.
    First(Waits),
    /// There is none.
    None,
    /// It is none of those that are kept, but others were left out.
    LeftOut,
    /// Staging was not looked through yet.
    Unknown,
}

impl Default for Unnoted {
    fn default() -> Self {
        Self::keeping(KEPT_MAX)
    }
}

impl Unnoted {
    pub(crate) fn keeping(kept_max: usize) -> Self {
        Self(Arc::new(Shared {
            kept_max,
            state: Mutex::default(),
            looking: tokio::sync::Mutex::default(),
        }))
    }

    /// A new version is in staging.
    pub(crate) fn arrived(&self, waits: impl FnOnce() -> Waits) {
        let mut state = self.state();
        match &mut *state {
            State {
                known: None,
                found: None,
            } => {}
            State { known, found } => {
                let waits = waits();
                for first in [known, found].into_iter().flatten() {
                    first.insert(waits.clone());
                }
            }
        }
    }

    /// These have their row, or are gone.
    pub(crate) fn noted<'a>(&self, noted: impl IntoIterator<Item = &'a Waits>) {
        let mut state = self.state();
        let State { known, found } = &mut *state;
        for waits in noted {
            for first in [&mut *known, &mut *found].into_iter().flatten() {
                first.kept.remove(waits);
            }
        }
    }

    /// The first of all, or of those below a prefix.
    pub(crate) fn first(&self, prefix: Option<&str>) -> Answer {
        match &self.state().known {
            Some(known) => known.first(prefix),
            None => Answer::Unknown,
        }
    }

    /// Waits until nobody else looks through staging.
    pub(crate) async fn look(&self) -> Look<'_> {
        Look {
            unnoted: self,
            _one_at_a_time: self.0.looking.lock().await,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Whole between any two statements that could panic: they only move values.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The right to look through staging. Dropped before its end it leaves what was known.
pub(crate) struct Look<'a> {
    unnoted: &'a Unnoted,
    _one_at_a_time: tokio::sync::MutexGuard<'a, ()>,
}

impl Look<'_> {
    /// Begins: what is told of from now on counts too, whether the look sees it or not.
    pub(crate) fn begin(&self) {
        self.unnoted.state().found = Some(First::new(self.unnoted.0.kept_max));
    }

    /// Has seen a version that has no row.
    pub(crate) fn found(&self, waits: Waits) {
        if let Some(found) = &mut self.unnoted.state().found {
            found.insert(waits);
        }
    }

    /// Has seen all of staging.
    pub(crate) fn end(&self) {
        let mut state = self.unnoted.state();
        state.known = state.found.take();
    }
}

impl First {
    fn new(kept_max: usize) -> Self {
        Self {
            kept: BTreeSet::new(),
            kept_max,
            left_out: None,
        }
    }

    fn insert(&mut self, waits: Waits) {
        // Behind one that was left out nothing is kept, or there would be a gap.
        if self.left_out.is_some_and(|at| waits.received_at >= at) {
            return;
        }
        self.kept.insert(waits);
        if self.kept.len() > self.kept_max
            && let Some(last) = self.kept.pop_last()
        {
            self.left_out = Some(last.received_at);
        }
    }

    fn first(&self, prefix: Option<&str>) -> Answer {
        let is_meant = |waits: &&Waits| prefix.is_none_or(|it| is_below(waits.key.as_str(), it));
        match (self.kept.iter().find(is_meant), self.left_out) {
            (Some(waits), _) => Answer::First(waits.clone()),
            (None, None) => Answer::None,
            (None, Some(_)) => Answer::LeftOut,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt as _;

    fn waits(at: i64, key: &str) -> Waits {
        let version_id = VersionId::new(format!("{key}-{at}"));
        Waits::new(
            Timestamp::from_millis(at),
            key.parse().unwrap(),
            &version_id,
        )
    }

    fn known(versions: &[Waits], kept_max: usize) -> First {
        let mut first = First::new(kept_max);
        for waits in versions {
            first.insert(waits.clone());
        }
        first
    }

    #[test]
    fn the_first_is_the_one_that_came_first_in_whatever_order_they_are_told_of() {
        let versions = [waits(5, "a"), waits(2, "t/b"), waits(9, "c"), waits(2, "d")];
        let first = known(&versions, 10);
        assert_eq!(first.first(None), Answer::First(waits(2, "d")));
        assert_eq!(first.first(Some("t/")), Answer::First(waits(2, "t/b")));
        assert_eq!(first.first(Some("u/")), Answer::None);
        assert_eq!(known(&[], 10).first(None), Answer::None);
    }

    #[test]
    fn with_too_little_room_the_first_are_kept_and_when_they_are_gone_it_has_to_be_looked() {
        let all: Vec<_> = (0..100).map(|n| waits(n * 37 % 100, "a")).collect();
        let mut first = known(&all, 3);
        // It came before those that were left out, but is told of late.
        first.insert(waits(-1, "late"));
        for expected in [waits(-1, "late"), waits(0, "a"), waits(1, "a")] {
            assert_eq!(first.first(None), Answer::First(expected.clone()));
            assert_eq!(first.first(Some("t/")), Answer::LeftOut);
            first.kept.remove(&expected);
        }
        assert_eq!(first.first(None), Answer::LeftOut);
        // What comes now is younger than what was left out.
        first.insert(waits(200, "new"));
        assert_eq!(first.first(None), Answer::LeftOut);
    }

    #[test]
    fn what_comes_or_is_noted_while_staging_is_looked_through_counts() {
        let unnoted = Unnoted::default();
        unnoted.arrived(|| unreachable!("nothing is kept before somebody asks"));
        assert_eq!(unnoted.first(None), Answer::Unknown);
        let look = unnoted.look().now_or_never().unwrap();
        assert!(unnoted.look().now_or_never().is_none(), "one at a time");
        look.begin();
        look.found(waits(4, "seen"));
        look.found(waits(3, "noted"));
        unnoted.arrived(|| waits(2, "came"));
        unnoted.noted(&[waits(3, "noted")]);
        assert_eq!(unnoted.first(None), Answer::Unknown);
        look.end();
        drop(look);
        unnoted.arrived(|| waits(5, "later"));
        for key in ["came", "seen", "later"] {
            let Answer::First(first) = unnoted.first(None) else {
                panic!("{key}");
            };
            assert_eq!(first.key.as_str(), key);
            unnoted.noted(&[first]);
        }
        assert_eq!(unnoted.first(None), Answer::None);
    }

    #[test]
    fn a_look_that_is_given_up_leaves_what_was_known() {
        let unnoted = Unnoted::default();
        let look = unnoted.look().now_or_never().unwrap();
        look.begin();
        look.found(waits(1, "a"));
        look.end();
        look.begin();
        drop(look);
        assert_eq!(unnoted.first(None), Answer::First(waits(1, "a")));
    }
}

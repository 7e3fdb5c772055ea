//! Lanes: bounds on how many files of a kind are in work at once, so that many of a slow kind leave workers for the rest.
//!
//! A key whose lane is full is put aside and costs no worker; when the lane has room again the key that was put aside
//! first goes to the front of the queue. Which lane a key belongs to is guessed from its newest version: keys rarely
//! hold several, and a wrong guess only costs or saves a worker's wait.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use two_buckets_objects::ObjectInfo;

use crate::wake::Woken;

/// The most keys put aside in one lane. What is beyond is left to the next sweep, by which time there may be room.
const ASIDE_MAX: usize = 100_000;

/// Which files share a bound, and the bounds.
#[derive(Clone)]
pub struct Lanes {
    lane_of: LaneOf,
    lanes: Arc<[Lane]>,
}

type LaneOf = Arc<dyn Fn(&ObjectInfo) -> Option<usize> + Send + Sync>;

struct Lane(Mutex<State>);

struct State {
    free: usize,
    aside: VecDeque<Woken>,
}

impl Lanes {
    /// `lane_of` gives a file's lane as an index into `bounds`, or none if no bound applies; each bound is at least one.
    pub fn new(
        bounds: impl IntoIterator<Item = usize>,
        lane_of: impl Fn(&ObjectInfo) -> Option<usize> + Send + Sync + 'static,
    ) -> Self {
        let lanes = bounds.into_iter().map(|bound| {
            Lane(Mutex::new(State {
                free: bound.max(1),
                aside: VecDeque::new(),
            }))
        });
        Self {
            lane_of: Arc::new(lane_of),
            lanes: lanes.collect(),
        }
    }

    /// No bounds.
    pub fn none() -> Self {
        Self::new([], |_| None)
    }

    /// Whether there is nothing to ask.
    pub(crate) fn are_none(&self) -> bool {
        self.lanes.is_empty()
    }

    /// Takes a place in the file's lane, or puts its key aside.
    pub(crate) fn enter(&self, woken: Woken, file: &ObjectInfo) -> Entered {
        let lane = (self.lane_of)(file).filter(|lane| *lane < self.lanes.len());
        let Some(lane) = lane else {
            return Entered::Free(woken);
        };
        let mut state = self.lanes[lane].state();
        if let Some(left) = state.free.checked_sub(1) {
            state.free = left;
            let place = Place {
                lanes: self.clone(),
                lane,
            };
            return Entered::Placed(woken, place);
        }
        if state.aside.len() < ASIDE_MAX {
            state.aside.push_back(woken);
        }
        Entered::Aside
    }
}

/// What became of a key.
pub(crate) enum Entered {
    /// No bound applies.
    Free(Woken),
    /// It has a place, until that is dropped.
    Placed(Woken, Place),
    /// It was put aside.
    Aside,
}

/// A place in a lane. Dropping it makes room for the next.
pub(crate) struct Place {
    lanes: Lanes,
    lane: usize,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.lanes.lanes[self.lane].state();
        state.free += 1;
        let next = state.aside.pop_front();
        drop(state);
        if let Some(next) = next {
            next.first_again();
        }
    }
}

impl Lane {
    fn state(&self) -> MutexGuard<'_, State> {
        // Whole between any two statements that could panic.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use two_buckets_objects::{ETag, Metadata, ObjectRef, Timestamp, VersionId};
    use two_buckets_pipeline::{WakeUp, Why};

    use super::*;
    use crate::WakeQueue;

    fn file(key: &str) -> ObjectInfo {
        let at = ObjectRef {
            bucket: "staging".parse().unwrap(),
            key: key.parse().unwrap(),
        };
        ObjectInfo {
            at: two_buckets_objects::VersionRef {
                bucket: at.bucket,
                key: at.key,
                version_id: VersionId::new("v"),
            },
            size_bytes: 0,
            etag: ETag::new(""),
            last_modified: Timestamp::from_millis(0),
            checksums: Vec::new(),
            metadata: Metadata::default(),
        }
    }

    fn push(queue: &WakeQueue, key: &str) {
        let key = file(key).at.object();
        queue.push(WakeUp {
            key,
            why: Why::Event,
        });
    }

    async fn next(queue: &WakeQueue) -> (String, Woken) {
        let woken = queue.next().await.unwrap();
        (woken.wake_up.key.key.to_string(), woken)
    }

    fn slow_ones(bound: usize) -> Lanes {
        Lanes::new([bound], |file| {
            file.at.key.as_str().starts_with("slow").then_some(0)
        })
    }

    #[tokio::test]
    async fn a_full_lane_leaves_the_queue_to_others_and_goes_on_in_order() {
        let queue = WakeQueue::default();
        let lanes = slow_ones(1);
        for key in ["slow 1", "slow 2", "slow 3", "quick"] {
            push(&queue, key);
        }
        let (key, woken) = next(&queue).await;
        assert_eq!(key, "slow 1");
        let Entered::Placed(in_work, place) = lanes.enter(woken, &file(&key)) else {
            panic!("there is room");
        };
        for expected in ["slow 2", "slow 3"] {
            let (key, woken) = next(&queue).await;
            assert_eq!(key, expected);
            assert!(matches!(lanes.enter(woken, &file(&key)), Entered::Aside));
        }
        let (key, woken) = next(&queue).await;
        assert_eq!(key, "quick");
        assert!(matches!(lanes.enter(woken, &file(&key)), Entered::Free(_)));
        push(&queue, "new");
        drop(in_work);
        drop(place);
        assert_eq!(next(&queue).await.0, "slow 2");
        assert_eq!(next(&queue).await.0, "new");
    }

    #[tokio::test]
    async fn a_hint_for_a_key_put_aside_is_kept_with_it() {
        let queue = WakeQueue::default();
        let lanes = slow_ones(1);
        push(&queue, "slow 1");
        push(&queue, "slow 2");
        let (key, woken) = next(&queue).await;
        let Entered::Placed(in_work, place) = lanes.enter(woken, &file(&key)) else {
            panic!("there is room");
        };
        let (key, woken) = next(&queue).await;
        assert!(matches!(lanes.enter(woken, &file(&key)), Entered::Aside));
        push(&queue, "slow 2");
        drop((in_work, place));
        let (key, woken) = next(&queue).await;
        assert_eq!(key, "slow 2");
        drop(woken);
        // One hand-out answers both hints: the key is looked at after the second came.
        assert_eq!(queue.backlog(), 0);
    }
}

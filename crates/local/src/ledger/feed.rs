//! What listeners hear of the ledger's changes: each changed row, once it is durable, in the order of the commits.
//!
//! A transaction takes its place in the order while it runs, for transactions run one after the other, and is published
//! when it is durable, on the thread that waited for it. Those threads may come back in another order, so what came back
//! early waits for the places before it. With nobody listening nothing is kept and nothing is copied.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::broadcast;
use two_buckets_pipeline::Upload;

/// How many changes a listener may be behind before it is told that it missed some. A row takes some kilobytes.
const BEHIND_MAX: usize = 1_024;

/// Cheap to clone; clones are the same feed.
#[derive(Clone, Default)]
pub(super) struct Feed(Arc<Mutex<State>>);

struct State {
    /// None once it was closed.
    sender: Option<broadcast::Sender<Arc<Upload>>>,
    /// The place the next transaction takes.
    next: u64,
    /// The first place that is not settled yet.
    open: u64,
    /// What waits for places before it.
    settled: BTreeMap<u64, Vec<Upload>>,
}

impl Default for State {
    fn default() -> Self {
        Self {
            sender: Some(broadcast::Sender::new(BEHIND_MAX)),
            next: 0,
            open: 0,
            settled: BTreeMap::new(),
        }
    }
}

/// A transaction's place in the order. Dropped without being published it leaves the place empty: nothing was changed.
pub(super) struct Place {
    feed: Feed,
    number: u64,
    changed: Vec<Upload>,
}

impl Feed {
    /// Hears all changes whose transactions run from now on.
    pub(super) fn listen(&self) -> broadcast::Receiver<Arc<Upload>> {
        match &self.state().sender {
            Some(sender) => sender.subscribe(),
            // Its sender is gone at once, so it ends at once.
            None => broadcast::channel(1).1,
        }
    }

    /// Ends what listeners hear.
    pub(super) fn close(&self) {
        self.state().sender = None;
    }

    /// The place of the transaction that is running; none if it changed nothing or nobody listens.
    pub(super) fn place(&self, changed: Vec<Upload>) -> Option<Place> {
        if changed.is_empty() {
            return None;
        }
        let mut state = self.state();
        let is_heard = state
            .sender
            .as_ref()
            .is_some_and(|sender| sender.receiver_count() > 0);
        if !is_heard {
            return None;
        }
        let number = state.next;
        state.next += 1;
        Some(Place {
            feed: self.clone(),
            number,
            changed,
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Whole between any two statements that could panic: they only move values.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// The transaction is durable.
    pub(super) fn publish(mut self) {
        let changed = std::mem::take(&mut self.changed);
        self.feed.state().settle(self.number, changed);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.feed.state().settle(self.number, Vec::new());
    }
}

impl State {
    /// Settling a place again changes nothing.
    fn settle(&mut self, number: u64, changed: Vec<Upload>) {
        if number < self.open {
            return;
        }
        self.settled.entry(number).or_insert(changed);
        while let Some(changed) = self.settled.remove(&self.open) {
            self.open += 1;
            for upload in changed {
                if let Some(sender) = &self.sender {
                    // An error says that nobody listens any more.
                    drop(sender.send(Arc::new(upload)));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use two_buckets_objects::{ObjectRef, Timestamp};
    use two_buckets_pipeline::{Expectation, UploadId};

    fn upload(name: &str) -> Upload {
        let at = Timestamp::default();
        let key = ObjectRef {
            bucket: "staging".parse().unwrap(),
            key: name.parse().unwrap(),
        };
        Upload::minted(
            UploadId::new(name).unwrap(),
            key,
            Expectation::until(at),
            at,
        )
    }

    fn heard(from: &mut broadcast::Receiver<Arc<Upload>>) -> Vec<String> {
        std::iter::from_fn(|| from.try_recv().ok())
            .map(|upload| upload.id.to_string())
            .collect()
    }

    #[test]
    fn changes_are_heard_in_the_order_of_their_places_whoever_comes_back_first() {
        let feed = Feed::default();
        let mut listener = feed.listen();
        let places: Vec<_> = ["a", "b", "c", "d"]
            .into_iter()
            .map(|name| feed.place(vec![upload(name)]).unwrap())
            .collect();
        let [a, b, c, d] = places.try_into().ok().unwrap();
        d.publish();
        b.publish();
        assert!(heard(&mut listener).is_empty());
        a.publish();
        assert_eq!(heard(&mut listener), ["a", "b"]);
        // A transaction that failed changed nothing and holds up nobody.
        drop(c);
        assert_eq!(heard(&mut listener), ["d"]);
    }

    #[test]
    fn a_slow_listener_is_told_that_it_missed_some_and_holds_up_nobody() {
        let feed = Feed::default();
        let (mut slow, mut fast) = (feed.listen(), feed.listen());
        for n in 0..=BEHIND_MAX {
            feed.place(vec![upload(&n.to_string())]).unwrap().publish();
            assert_eq!(heard(&mut fast), [n.to_string()]);
        }
        assert!(matches!(
            slow.try_recv(),
            Err(broadcast::error::TryRecvError::Lagged(1))
        ));
        assert_eq!(heard(&mut slow).len(), BEHIND_MAX);
    }

    #[test]
    fn nothing_is_kept_for_nobody_and_a_closed_feed_ends() {
        let feed = Feed::default();
        assert!(feed.place(vec![upload("a")]).is_none());
        let mut listener = feed.listen();
        let late = feed.place(vec![upload("b")]).unwrap();
        feed.close();
        late.publish();
        for mut listener in [listener.resubscribe(), feed.listen()] {
            assert!(matches!(
                listener.try_recv(),
                Err(broadcast::error::TryRecvError::Closed)
            ));
        }
        assert!(heard(&mut listener).is_empty());
    }
}

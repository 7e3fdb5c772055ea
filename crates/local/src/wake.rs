use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, broadcast, watch};
use two_buckets_depot::Created;
use two_buckets_objects::{BucketName, Key, ObjectRef, Timestamp};
use two_buckets_pipeline::{WakeUp, WakeUps, Why};

use crate::sweeps::{SweepFigures, Sweeps};
use crate::unnoted::{Unnoted, Waits};

/// The most keys that wait to be looked at. A key takes some hundred bytes.
const WAITING_MAX: usize = 100_000;
/// How many new versions a listener may be behind before it is told that it missed some.
const ARRIVALS_BEHIND_MAX: usize = 1_024;
/// The most keys that wait for a moment to come.
const TIMERS_MAX: usize = 100_000;

/// Says what goes wrong with the event of a new version of this key, if anything does. Must not block.
pub type FindEventFault = Arc<dyn Fn(&Key) -> Option<EventFault> + Send + Sync>;

/// What goes wrong with an event. S3 promises to deliver each at least once, soon, and in no order (S3 User Guide,
/// "Amazon S3 Event Notifications"), and what is lost between it and us is not sent again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EventFault {
    /// It never comes. The sweep finds what it would have told of.
    Lost,
    /// It comes, and then again.
    Doubled {
        /// When it comes again.
        again_at: Timestamp,
    },
    /// It comes late.
    Delayed {
        /// When it comes.
        until: Timestamp,
    },
    /// It comes right behind the next one.
    Reordered {
        /// When it comes if there is no next one until then.
        until: Timestamp,
    },
}

/// Wake-ups of one process: each key waits at most once, and is not handed out while a worker is on it.
///
/// A hint for a key in work is kept and handed out when that work has ended, so nothing is missed and workers of one
/// process never turn each other away. When a hint does not fit it is dropped and [`WakeQueue::overflowed`] says
/// that a sweep is due.
///
/// While processing is paused nothing is handed out: what waits stays, bounded as ever, and what does not fit is counted.
#[derive(Clone, Default)]
pub struct WakeQueue {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    /// A key waits, or the queue was closed.
    arrived: Notify,
    /// There is room again.
    left: Notify,
    /// The earliest timer is another, or the queue was closed.
    timers_changed: Notify,
    /// Hints were dropped, and there is room again.
    overflowed: Notify,
    /// Who hears of new versions in staging.
    arrivals: Arrivals,
    /// New versions in staging that have no row yet.
    unnoted: Unnoted,
    /// What sweeps have found.
    sweeps: Sweeps,
    /// Whether processing is paused.
    paused: watch::Sender<bool>,
    /// Held over a change of that and of the row that says so, so that the two never differ for long.
    pausing: tokio::sync::Mutex<()>,
}

struct Arrivals(broadcast::Sender<Created>);

impl Default for Arrivals {
    fn default() -> Self {
        Self(broadcast::Sender::new(ARRIVALS_BEHIND_MAX))
    }
}

#[derive(Default)]
struct State {
    /// Keys that wait, in order; why is in `whys`.
    waiting: VecDeque<ObjectRef>,
    /// Why each waiting or held-back key was woken.
    whys: HashMap<ObjectRef, Why>,
    in_work: HashSet<ObjectRef>,
    timers: BinaryHeap<Reverse<(Timestamp, ObjectRef)>>,
    /// A key whose event comes behind the next one. A timer is set for it too.
    held_back: Option<ObjectRef>,
    has_overflowed: bool,
    is_closed: bool,
    /// How many hints were dropped while processing was paused, as far as it is known.
    left_out: u64,
    /// The same as the sweep that is under way counts them.
    left_out_in_sweep: Option<u64>,
}

/// A key handed out to a worker. Dropping it makes the key free for the next.
pub struct Woken {
    /// The key and why.
    pub wake_up: WakeUp,
    queue: WakeQueue,
    /// Whether it was given back already.
    is_back: bool,
}

impl WakeQueue {
    /// Hands a hint in, at once. Never blocks, so the store may call it for every new version.
    pub fn push(&self, wake_up: WakeUp) {
        let mut state = self.state();
        state.push(wake_up, self.is_paused());
        drop(state);
        self.shared.arrived.notify_one();
    }

    /// The next key, once there is one; none when the queue was closed.
    pub async fn next(&self) -> Option<Woken> {
        loop {
            let arrived = self.shared.arrived.notified();
            {
                let mut state = self.state();
                if state.is_closed {
                    drop(state);
                    // One notice wakes one worker; pass it on.
                    self.shared.arrived.notify_one();
                    return None;
                }
                if !self.is_paused()
                    && let Some(wake_up) = state.pop()
                {
                    let has_more = !state.waiting.is_empty();
                    drop(state);
                    if has_more {
                        self.shared.arrived.notify_one();
                    }
                    self.shared.left.notify_one();
                    return Some(Woken {
                        wake_up,
                        queue: self.clone(),
                        is_back: false,
                    });
                }
            }
            arrived.await;
        }
    }

    /// Moves keys whose moment has come to those that wait; says when to come again, if anything waits for a moment.
    pub fn ring(&self, now: Timestamp) -> Option<Timestamp> {
        let mut state = self.state();
        let mut has_rung = false;
        while let Some(Reverse((at, _))) = state.timers.peek()
            && *at <= now
        {
            let Some(Reverse((_, key))) = state.timers.pop() else {
                break;
            };
            state.held_back.take_if(|held| *held == key);
            let wake_up = WakeUp {
                key,
                why: Why::Event,
            };
            state.push(wake_up, self.is_paused());
            has_rung = true;
        }
        let next = state.timers.peek().map(|Reverse((at, _))| *at);
        drop(state);
        if has_rung {
            self.shared.arrived.notify_one();
        }
        next
    }

    /// Ends when the earliest moment may have become another.
    pub async fn timers_changed(&self) {
        self.shared.timers_changed.notified().await;
    }

    /// Ends when hints were dropped and there is room again: a sweep is due.
    pub async fn overflowed(&self) {
        self.shared.overflowed.notified().await;
    }

    /// What the store is to call for each new version: those in staging wake their key, unless their event has a fault.
    pub fn on_created(
        &self,
        staging: BucketName,
        fault: Option<FindEventFault>,
    ) -> Arc<dyn Fn(&Created) + Send + Sync> {
        let queue = self.clone();
        Arc::new(move |created| {
            if created.at.bucket == staging {
                let fault = fault.as_ref().and_then(|find| find(&created.at.key));
                queue.arrive(created.at.object(), fault);
                queue.shared.unnoted.arrived(|| {
                    let at = &created.at;
                    Waits::new(created.last_modified, at.key.clone(), &at.version_id)
                });
                // Who watches hears of the version itself, whatever becomes of its event.
                let arrivals = &queue.shared.arrivals.0;
                if arrivals.receiver_count() > 0 {
                    // An error says that nobody listens any more.
                    drop(arrivals.send(created.clone()));
                }
            }
        })
    }

    fn arrive(&self, key: ObjectRef, fault: Option<EventFault>) {
        let mut state = self.state();
        if state.is_closed {
            return;
        }
        let event = |key| WakeUp {
            key,
            why: Why::Event,
        };
        let sets_timer = match fault {
            None | Some(EventFault::Lost) => None,
            Some(
                EventFault::Doubled { again_at: at }
                | EventFault::Delayed { until: at }
                | EventFault::Reordered { until: at },
            ) => Some(at),
        };
        if let Some(at) = sets_timer {
            state.ring_at(at, key.clone());
        }
        match fault {
            Some(EventFault::Lost | EventFault::Delayed { .. }) => {}
            Some(EventFault::Reordered { .. }) if state.held_back.is_none() => {
                state.held_back = Some(key);
            }
            _ => {
                let is_paused = self.is_paused();
                state.push(event(key), is_paused);
                if let Some(held) = state.held_back.take() {
                    state.push(event(held), is_paused);
                }
            }
        }
        drop(state);
        self.shared.arrived.notify_one();
        if sets_timer.is_some() {
            self.shared.timers_changed.notify_one();
        }
    }

    /// Hears of each new version in staging from now on; a listener that is too slow is told that it missed some.
    pub(crate) fn listen(&self) -> broadcast::Receiver<Created> {
        self.shared.arrivals.0.subscribe()
    }

    /// The versions in staging that have no row yet, as the store has told of them.
    pub(crate) fn unnoted(&self) -> &Unnoted {
        &self.shared.unnoted
    }

    /// How many keys wait to be looked at or are in work. While processing is paused, also those that found no room, as
    /// the latest sweep and the hints since then counted them.
    pub fn backlog(&self) -> u64 {
        let state = self.state();
        (state.whys.len() + state.in_work.len()) as u64 + state.left_out
    }

    /// Whether processing is paused: then nothing is handed out.
    pub fn is_paused(&self) -> bool {
        *self.shared.paused.borrow()
    }

    /// Hands nothing out from now on. What was handed out is not called back.
    pub(crate) fn pause(&self) {
        let state = self.state();
        self.shared.paused.send_replace(true);
        drop(state);
        // A sweep may wait for room that nobody makes now.
        self.shared.left.notify_one();
    }

    /// Hands out again: what waits, one key to each worker that asks; a sweep finds what is not here.
    pub(crate) fn resume(&self) {
        let state = self.state();
        self.shared.paused.send_replace(false);
        drop(state);
        self.shared.arrived.notify_one();
        self.shared.overflowed.notify_one();
    }

    /// Hears when processing is paused or resumed.
    pub(crate) fn listen_for_pauses(&self) -> watch::Receiver<bool> {
        self.shared.paused.subscribe()
    }

    /// Keeps others from pausing or resuming while this lasts.
    pub(crate) async fn pausing(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.shared.pausing.lock().await
    }

    /// A sweep begins, which pushes every key that is due.
    pub(crate) fn sweep_begins(&self) {
        self.state().left_out_in_sweep = Some(0);
    }

    /// It has ended, and what it could not push is what found no room; unless it ended early.
    pub(crate) fn sweep_ends(&self, is_whole: bool) {
        let mut state = self.state();
        if let Some(counted) = state.left_out_in_sweep.take()
            && is_whole
        {
            state.left_out = counted;
        }
    }

    /// Who keeps what sweeps have found.
    pub(crate) fn sweeps(&self) -> &Sweeps {
        &self.shared.sweeps
    }

    /// The sweeps since this queue was made.
    pub fn sweep_figures(&self) -> SweepFigures {
        self.shared.sweeps.figures()
    }

    /// Hands out nothing more. What waits is forgotten: the sweep at the next start finds it.
    pub fn close(&self) {
        self.state().is_closed = true;
        self.shared.arrived.notify_one();
        self.shared.left.notify_one();
        self.shared.timers_changed.notify_one();
    }

    fn done(&self, key: &ObjectRef) {
        let mut state = self.state();
        state.in_work.remove(key);
        if state.whys.contains_key(key) {
            state.waiting.push_back(key.clone());
        }
        let has_recovered = state.has_overflowed && state.whys.len() <= WAITING_MAX / 2;
        if has_recovered {
            state.has_overflowed = false;
        }
        drop(state);
        self.shared.arrived.notify_one();
        if has_recovered {
            self.shared.overflowed.notify_one();
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // The state is whole between any two statements that could panic: they only move values.
        self.shared
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn push(&mut self, wake_up: WakeUp, is_paused: bool) {
        if self.is_closed {
            return;
        }
        if let Some(why) = self.whys.get_mut(&wake_up.key) {
            *why = (*why).max(wake_up.why);
            return;
        }
        if self.whys.len() >= WAITING_MAX {
            self.has_overflowed = true;
            if is_paused {
                *self
                    .left_out_in_sweep
                    .as_mut()
                    .unwrap_or(&mut self.left_out) += 1;
            }
            return;
        }
        self.whys.insert(wake_up.key.clone(), wake_up.why);
        if !self.in_work.contains(&wake_up.key) {
            self.waiting.push_back(wake_up.key);
        }
    }

    fn ring_at(&mut self, at: Timestamp, key: ObjectRef) {
        if self.timers.len() >= TIMERS_MAX {
            self.has_overflowed = true;
        } else {
            self.timers.push(Reverse((at, key)));
        }
    }

    fn pop(&mut self) -> Option<WakeUp> {
        let key = self.waiting.pop_front()?;
        let why = self.whys.remove(&key)?;
        self.in_work.insert(key.clone());
        Some(WakeUp { key, why })
    }
}

impl Woken {
    /// Gives the key back, to be handed out before all others.
    pub(crate) fn first_again(mut self) {
        self.is_back = true;
        let key = self.wake_up.key.clone();
        let mut state = self.queue.state();
        state.in_work.remove(&key);
        if !state.is_closed {
            let why = state.whys.entry(key.clone()).or_insert(self.wake_up.why);
            *why = (*why).max(self.wake_up.why);
            state.waiting.push_front(key);
        }
        drop(state);
        self.queue.shared.arrived.notify_one();
    }
}

impl Drop for Woken {
    fn drop(&mut self) {
        if !self.is_back {
            self.queue.done(&self.wake_up.key);
        }
    }
}

impl WakeUps for WakeQueue {
    async fn wake(&self, wake_up: WakeUp, not_before: Option<Timestamp>) {
        let Some(at) = not_before else {
            self.push(wake_up);
            return;
        };
        {
            let mut state = self.state();
            if state.is_closed {
                return;
            }
            state.ring_at(at, wake_up.key);
        }
        self.shared.timers_changed.notify_one();
    }

    async fn room(&self) {
        loop {
            let left = self.shared.left.notified();
            {
                let state = self.state();
                // Nobody makes room while processing is paused, and what is pushed then is counted.
                if state.is_closed || self.is_paused() || state.whys.len() < WAITING_MAX {
                    return;
                }
            }
            left.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;

    fn key(name: &str) -> ObjectRef {
        ObjectRef {
            bucket: "staging".parse().unwrap(),
            key: name.parse().unwrap(),
        }
    }

    fn event(name: &str) -> WakeUp {
        WakeUp {
            key: key(name),
            why: Why::Event,
        }
    }

    fn next(queue: &WakeQueue) -> Option<Woken> {
        queue.next().now_or_never().flatten()
    }

    #[test]
    fn a_key_waits_once_however_often_it_is_woken_and_the_stronger_reason_counts() {
        let queue = WakeQueue::default();
        queue.push(event("a"));
        queue.push(WakeUp {
            key: key("a"),
            why: Why::Gone,
        });
        queue.push(event("a"));
        let woken = next(&queue).unwrap();
        assert_eq!(woken.wake_up.why, Why::Gone);
        assert!(next(&queue).is_none());
    }

    #[test]
    fn a_hint_for_a_key_in_work_is_handed_out_when_the_work_has_ended() {
        let queue = WakeQueue::default();
        queue.push(event("a"));
        let woken = next(&queue).unwrap();
        queue.push(event("a"));
        queue.push(event("b"));
        assert_eq!(next(&queue).unwrap().wake_up.key, key("b"));
        assert!(next(&queue).is_none());
        drop(woken);
        assert_eq!(next(&queue).unwrap().wake_up.key, key("a"));
        assert_eq!(queue.backlog(), 0);
    }

    #[test]
    fn a_full_queue_drops_the_hint_and_asks_for_a_sweep_once_there_is_room() {
        let queue = WakeQueue::default();
        for n in 0..=WAITING_MAX {
            queue.push(event(&n.to_string()));
        }
        assert!(queue.room().now_or_never().is_none());
        drop(next(&queue));
        assert!(queue.room().now_or_never().is_some());
        assert!(queue.overflowed().now_or_never().is_none());
        while queue.backlog() > WAITING_MAX as u64 / 2 {
            drop(next(&queue));
        }
        assert!(queue.overflowed().now_or_never().is_some());
        assert!(queue.overflowed().now_or_never().is_none());
    }

    #[test]
    fn a_paused_queue_hands_out_nothing_and_forgets_nothing() {
        let queue = WakeQueue::default();
        queue.push(event("a"));
        queue.pause();
        queue.push(event("b"));
        assert!(next(&queue).is_none());
        assert_eq!(queue.backlog(), 2);
        queue.resume();
        assert_eq!(next(&queue).unwrap().wake_up.key, key("a"));
        assert_eq!(next(&queue).unwrap().wake_up.key, key("b"));
        assert!(next(&queue).is_none());
        assert!(
            queue.overflowed().now_or_never().is_some(),
            "a sweep looks for what is not in the queue"
        );
    }

    #[test]
    fn what_finds_no_room_while_paused_is_counted_once_however_often_it_is_swept() {
        let queue = WakeQueue::default();
        queue.pause();
        let push_all = || (0..WAITING_MAX + 7).for_each(|n| queue.push(event(&n.to_string())));
        push_all();
        assert_eq!(queue.backlog(), WAITING_MAX as u64 + 7);
        for _ in 0..2 {
            queue.sweep_begins();
            assert!(
                queue.room().now_or_never().is_some(),
                "a sweep does not wait for room that nobody makes"
            );
            push_all();
            queue.sweep_ends(true);
            assert_eq!(queue.backlog(), WAITING_MAX as u64 + 7);
        }
        queue.resume();
        assert!(queue.room().now_or_never().is_none());
        queue.sweep_begins();
        queue.sweep_ends(true);
        assert_eq!(queue.backlog(), WAITING_MAX as u64);
    }

    #[test]
    fn a_timer_rings_when_its_moment_has_come_and_not_before() {
        let queue = WakeQueue::default();
        let at = Timestamp::from_millis;
        queue.wake(event("late"), Some(at(20))).now_or_never();
        queue.wake(event("soon"), Some(at(10))).now_or_never();
        assert_eq!(queue.ring(at(9)), Some(at(10)));
        assert!(next(&queue).is_none());
        assert_eq!(queue.ring(at(10)), Some(at(20)));
        assert_eq!(next(&queue).unwrap().wake_up.key, key("soon"));
        assert_eq!(queue.ring(at(99)), None);
        assert_eq!(next(&queue).unwrap().wake_up.key, key("late"));
    }

    /// The keys handed out one after the other, each given back before the next.
    fn handed_out(queue: &WakeQueue) -> Vec<String> {
        std::iter::from_fn(|| next(queue))
            .map(|woken| woken.wake_up.key.key.to_string())
            .collect()
    }

    #[test]
    fn a_lost_event_wakes_nobody_and_a_late_one_then() {
        let queue = WakeQueue::default();
        let at = Timestamp::from_millis;
        queue.arrive(key("lost"), Some(EventFault::Lost));
        queue.arrive(key("late"), Some(EventFault::Delayed { until: at(10) }));
        assert_eq!(handed_out(&queue), Vec::<String>::new());
        assert_eq!(queue.ring(at(9)), Some(at(10)));
        assert_eq!(handed_out(&queue), Vec::<String>::new());
        assert_eq!(queue.ring(at(10)), None);
        assert_eq!(handed_out(&queue), ["late"]);
    }

    #[test]
    fn a_doubled_event_wakes_its_key_at_once_and_again() {
        let queue = WakeQueue::default();
        let at = Timestamp::from_millis;
        queue.arrive(key("a"), Some(EventFault::Doubled { again_at: at(10) }));
        assert_eq!(handed_out(&queue), ["a"]);
        queue.ring(at(10));
        assert_eq!(handed_out(&queue), ["a"]);
        queue.ring(at(99));
        assert_eq!(handed_out(&queue), Vec::<String>::new());
    }

    #[test]
    fn an_event_out_of_order_comes_behind_the_next_one_or_when_none_comes() {
        let queue = WakeQueue::default();
        let until = Timestamp::from_millis(10);
        let reordered = Some(EventFault::Reordered { until });
        queue.arrive(key("first"), reordered);
        assert_eq!(handed_out(&queue), Vec::<String>::new());
        queue.arrive(key("second"), reordered);
        assert_eq!(handed_out(&queue), ["second", "first"]);
        queue.arrive(key("third"), reordered);
        queue.arrive(key("lost"), Some(EventFault::Lost));
        queue.arrive(key("fourth"), None);
        assert_eq!(handed_out(&queue), ["fourth", "third"]);
        queue.ring(until);
        handed_out(&queue);
        queue.arrive(key("last"), reordered);
        queue.ring(until);
        assert_eq!(handed_out(&queue), ["last"]);
        queue.arrive(key("next"), None);
        assert_eq!(handed_out(&queue), ["next"]);
    }

    #[test]
    fn a_closed_queue_hands_out_nothing_to_anybody() {
        let queue = WakeQueue::default();
        queue.push(event("a"));
        queue.close();
        queue.push(event("b"));
        for _ in 0..3 {
            assert!(matches!(queue.next().now_or_never(), Some(None)));
        }
    }
}

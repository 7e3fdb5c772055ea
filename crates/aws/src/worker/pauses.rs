//! Whether processing is paused, as far as this process knows.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tracing::warn;
use two_buckets_objects::Timestamp;
use two_buckets_pipeline::ledger;

/// For how long it is believed that nobody has paused processing: so long work may still begin after a pause. A pause is
/// asked after each time, so that what wakes keys once it is over is not taken for something that comes during it.
const BELIEVED_FOR: Duration = Duration::from_secs(2);

type Asked = Pin<Box<dyn Future<Output = ledger::Result<bool>> + Send>>;

/// Asks whether processing is paused, not more often than it takes. Cheap to clone; clones share what they know.
#[derive(Clone)]
pub struct Pauses {
    ask: Arc<dyn Fn() -> Asked + Send + Sync>,
    known: Arc<Mutex<Known>>,
}

#[derive(Clone, Copy, Default)]
struct Known {
    is_paused: bool,
    asked_at: Option<Timestamp>,
}

impl fmt::Debug for Pauses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pauses").finish_non_exhaustive()
    }
}

impl Pauses {
    /// As this says it, which may be a call.
    pub fn new<F>(ask: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = ledger::Result<bool>> + Send + 'static,
    {
        Self {
            ask: Arc::new(move || Box::pin(ask())),
            known: Arc::default(),
        }
    }

    /// Whether it is paused; where that cannot be found out, what was known before.
    pub(super) async fn is_paused(&self, now: Timestamp) -> bool {
        let known = self.known();
        let is_believed = known
            .asked_at
            .is_some_and(|at| at <= now && now.since(at) < BELIEVED_FOR);
        if is_believed && !known.is_paused {
            return false;
        }
        match (self.ask)().await {
            Ok(is_paused) => {
                *self.known.lock().unwrap_or_else(PoisonError::into_inner) = Known {
                    is_paused,
                    asked_at: Some(now),
                };
                is_paused
            }
            Err(error) => {
                warn!(%error, "it is not known whether processing is paused; going on as before");
                known.is_paused
            }
        }
    }

    /// What is known, without asking.
    pub(super) fn is_known_paused(&self) -> bool {
        self.known().is_paused
    }

    /// Asks now and then, for whoever looks at what is known for long. Never ends.
    pub(super) async fn keep_asking<C: two_buckets_pipeline::Clock>(&self, clock: &C) {
        loop {
            clock.sleep(BELIEVED_FOR).await;
            self.is_paused(clock.now()).await;
        }
    }

    fn known(&self) -> Known {
        *self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

    use super::*;

    fn ms(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    #[tokio::test]
    async fn a_pause_is_heard_of_within_two_seconds_and_its_end_at_once() {
        let (is_paused, asked) = (
            Arc::new(AtomicBool::new(false)),
            Arc::new(AtomicUsize::new(0)),
        );
        let pauses = {
            let (is_paused, asked) = (is_paused.clone(), asked.clone());
            Pauses::new(move || {
                asked.fetch_add(1, Ordering::Relaxed);
                let is_paused = is_paused.load(Ordering::Relaxed);
                async move { Ok(is_paused) }
            })
        };
        assert!(!pauses.is_paused(ms(0)).await);
        is_paused.store(true, Ordering::Relaxed);
        assert!(!pauses.is_paused(ms(1_999)).await);
        assert_eq!(asked.load(Ordering::Relaxed), 1);
        assert!(pauses.is_paused(ms(2_000)).await);
        assert!(pauses.is_known_paused());
        is_paused.store(false, Ordering::Relaxed);
        assert!(!pauses.is_paused(ms(2_001)).await);
    }

    #[tokio::test]
    async fn what_cannot_be_asked_is_as_it_was() {
        let fails = Arc::new(AtomicBool::new(false));
        let pauses = {
            let fails = fails.clone();
            Pauses::new(move || {
                let fails = fails.load(Ordering::Relaxed);
                async move {
                    if fails {
                        return Err(ledger::Error::Unavailable {
                            reason: "away".into(),
                            source: None,
                        });
                    }
                    Ok(true)
                }
            })
        };
        assert!(pauses.is_paused(ms(0)).await);
        fails.store(true, Ordering::Relaxed);
        assert!(pauses.is_paused(ms(10_000)).await);
    }
}

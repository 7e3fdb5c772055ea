//! The processor's invocations.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio::task::{Id, JoinError, JoinSet};
use tracing::error;
use two_buckets_objects::Timestamp;
use two_buckets_pipeline::{Clock as _, Processor, WakeUp};

use super::event::{Event, NotAnEvent};
use crate::wake::{Batch, NotUnderstood};
use crate::worker::{Bounds, SystemClock, Taken, Turns};

/// How many keys an invocation looks at at once: as many as SQS gives in a batch without a window (Lambda Developer
/// Guide, "Using Lambda with Amazon SQS"), so that none of a batch waits.
const KEYS_AT_ONCE: usize = 10;

/// Takes the turns that invocations ask for. One for the life of an execution environment.
#[derive(Debug)]
pub struct Processing<P> {
    turns: Arc<Turns<P>>,
}

/// Why an invocation fails as a whole, so that Lambda says so and, where it was called asynchronously, calls again.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Failed {
    /// It was called with something else.
    #[error(transparent)]
    NotAnEvent(#[from] NotAnEvent),
    /// The one event is none of those that are known.
    #[error(transparent)]
    NotUnderstood(#[from] NotUnderstood),
    /// A key of the one event is still owed a turn, and nobody could be told.
    #[error("keys of the event could not be looked at, and could not be put back for later")]
    StillOwed,
}

impl<P: Processor> Processing<P> {
    /// With these turns.
    pub fn new(turns: Arc<Turns<P>>) -> Self {
        Self { turns }
    }

    /// Does what one invocation asks for and gives its answer: for messages of SQS, those that are to come again
    /// (`batchItemFailures`), which are those whose keys were not looked at to the end and could not be put back as new
    /// messages. A file that cannot be processed is none of them: the ledger remembers it.
    ///
    /// All of it ends before the deadline. Nothing new is begun in the second half of its time; functions are given up
    /// and turns dropped in time, see [`Bounds`].
    pub async fn handle(&self, event: &Value, deadline: Timestamp) -> Result<Value, Failed> {
        let now = SystemClock.now();
        let bounds = Bounds::of_invocation(now, deadline);
        match Event::read(event)? {
            Event::Messages(messages) => {
                let bodies = messages
                    .iter()
                    .enumerate()
                    .map(|(index, (_, body))| (index, body.as_str()));
                let batch = Batch::of(bodies, now);
                for (index, problem) in &batch.not_understood {
                    error!(message_id = messages[*index].0, %problem,
                        "a message of the queue is dropped; the sweep will find what it told of");
                }
                let owed = self.settle(batch, bounds).await;
                let failures: Vec<Value> = owed
                    .into_iter()
                    .map(|index| json!({"itemIdentifier": messages[index].0}))
                    .collect();
                Ok(json!({"batchItemFailures": failures}))
            }
            Event::Alone(event) => {
                let mut batch = Batch::of([(0, event.as_str())], now);
                if let Some((_, problem)) = batch.not_understood.pop() {
                    return Err(problem.into());
                }
                let keys = batch.turns.len() + batch.later.len();
                if self.settle(batch, bounds).await.is_empty() {
                    Ok(json!({"keys": keys}))
                } else {
                    Err(Failed::StillOwed)
                }
            }
        }
    }

    /// Does what a batch asks for; gives the messages that are owed something yet.
    async fn settle(&self, batch: Batch<usize>, bounds: Bounds) -> BTreeSet<usize> {
        let mut owed = BTreeSet::new();
        for (index, wake_up, not_before) in batch.later {
            // A new one, because a message that is only given back counts as failed each time.
            if !self.turns.wake_ups().send(&wake_up, Some(not_before)).await {
                owed.insert(index);
            }
        }
        if SystemClock.now() >= bounds.begin_until {
            for (wake_up, asked_by) in batch.turns {
                if !self.turns.wake_ups().send(&wake_up, None).await {
                    owed.extend(asked_by);
                }
            }
            return owed;
        }
        let seats = Arc::new(Semaphore::new(KEYS_AT_ONCE));
        let mut tasks = JoinSet::new();
        let mut begun: HashMap<Id, (WakeUp, Vec<usize>)> = HashMap::new();
        for (wake_up, asked_by) in batch.turns {
            let (turns, seats) = (Arc::clone(&self.turns), Arc::clone(&seats));
            let turn = wake_up.clone();
            let task = tasks.spawn(async move {
                let _seat = seats.acquire_owned().await;
                turns.take(turn, Some(bounds)).await
            });
            begun.insert(task.id(), (wake_up, asked_by));
        }
        self.join(&mut tasks, &mut begun, bounds, &mut owed).await;
        owed
    }

    /// Waits until all turns have ended, and drops those that have not when it is time to answer.
    async fn join(
        &self,
        tasks: &mut JoinSet<Taken>,
        begun: &mut HashMap<Id, (WakeUp, Vec<usize>)>,
        bounds: Bounds,
        owed: &mut BTreeSet<usize>,
    ) {
        let all = async {
            while let Some(ended) = tasks.join_next_with_id().await {
                if let Some(asked_by) = still_owed(ended, begun) {
                    owed.extend(asked_by);
                }
            }
        };
        let time_is_up = SystemClock.sleep(bounds.drop_at.since(SystemClock.now()));
        tokio::select! {
            biased;
            () = all => return,
            () = time_is_up => {}
        }
        tasks.abort_all();
        let woken = begun.drain().map(|(_, (wake_up, asked_by))| async move {
            (self.turns.was_dropped(&wake_up).await, asked_by)
        });
        let gone = async { while tasks.join_next().await.is_some() {} };
        // A task that never comes to an await is not waited for: it ends at its next one, should the process be thawed.
        let answer_by = SystemClock.sleep(bounds.answer_by.since(SystemClock.now()));
        let (woken, ()) = tokio::join!(futures::future::join_all(woken), async {
            tokio::select! {
                () = gone => {}
                () = answer_by => {}
            }
        });
        for (is_woken, asked_by) in woken {
            if !is_woken {
                owed.extend(asked_by);
            }
        }
    }
}

/// The messages of a turn that has ended, if they are to come again.
fn still_owed(
    ended: Result<(Id, Taken), JoinError>,
    begun: &mut HashMap<Id, (WakeUp, Vec<usize>)>,
) -> Option<Vec<usize>> {
    let (id, is_done) = match &ended {
        Ok((id, taken)) => (*id, taken.is_done()),
        Err(panicked) => (panicked.id(), false),
    };
    let (wake_up, asked_by) = begun.remove(&id)?;
    if let Err(panicked) = ended {
        error!(bucket = %wake_up.key.bucket, key = %wake_up.key.key, %panicked,
            "a turn panicked; its messages come again");
    }
    (!is_done).then_some(asked_by)
}

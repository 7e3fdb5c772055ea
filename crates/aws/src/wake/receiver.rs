use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use aws_sdk_sqs::types::Message as SqsMessage;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tracing::{debug, error, warn};
use two_buckets_pipeline::{Clock, WakeUp};

use super::batch::Batch;
use super::sender::SqsWakeUps;
use crate::words::words;

/// The most messages of one call (SQS API, `ReceiveMessage`).
const BATCH_MAX: usize = 10;
/// The longest a call waits for a message (SQS API, `ReceiveMessage`, `WaitTimeSeconds`).
const POLL_S: i32 = 20;
/// How long to rest after a call that failed, which the SDK had repeated already.
const REST: Duration = Duration::from_secs(5);

/// How a [`Receiver`] works.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ReceiverOptions {
    /// How many keys are looked at at once.
    pub keys_at_once: usize,
    /// How long a message stays hidden unless that is extended, which happens at a third of it: so long a file waits
    /// whose worker died. At least three seconds; SQS takes up to 12 hours.
    pub visibility_timeout: Duration,
}

impl Default for ReceiverOptions {
    fn default() -> Self {
        Self {
            keys_at_once: 16,
            visibility_timeout: Duration::from_mins(1),
        }
    }
}

/// Receives wake-ups and has a worker look at each key.
#[derive(Debug)]
pub struct Receiver<C> {
    client: aws_sdk_sqs::Client,
    queue_url: String,
    clock: Arc<C>,
    wake_ups: SqsWakeUps<C>,
    options: ReceiverOptions,
}

impl<C: Clock> Receiver<C> {
    /// Of this queue.
    pub fn new(
        client: aws_sdk_sqs::Client,
        queue_url: String,
        clock: Arc<C>,
        options: ReceiverOptions,
    ) -> Self {
        let wake_ups = SqsWakeUps::new(client.clone(), queue_url.clone(), Arc::clone(&clock));
        Self {
            client,
            queue_url,
            clock,
            wake_ups,
            options,
        }
    }

    /// Receives until it is told to stop; then takes no more, lets every key that is being looked at be finished, and
    /// ends. `work` takes one turn on a key; the messages that asked for it stay hidden meanwhile and are deleted behind
    /// it, unless it says that they are still owed something: then, and if it panics, they come back.
    ///
    /// Dropping the future ends the turns midway: their messages, and those of a call that was under way when it
    /// stopped, come back after the visibility time-out.
    pub async fn run<W, F>(self: Arc<Self>, work: W, stopping: impl Future<Output = ()>)
    where
        W: Fn(WakeUp) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = bool> + Send + 'static,
    {
        let mut stopping = pin!(stopping);
        let seats = Arc::new(Semaphore::new(self.options.keys_at_once.max(1)));
        let mut turns = JoinSet::new();
        loop {
            // What is received is begun at once: a message that waited here would be nobody else's meanwhile.
            let receive = async {
                let seat = seats.clone().acquire_owned().await;
                drop(seat);
                self.receive(seats.available_permits().clamp(1, BATCH_MAX))
                    .await
            };
            let received = tokio::select! {
                biased;
                () = &mut stopping => break,
                received = receive => received,
            };
            self.begin(received, &work, &seats, &mut turns).await;
            while let Some(ended) = turns.try_join_next() {
                said(ended);
            }
        }
        while let Some(ended) = turns.join_next().await {
            said(ended);
        }
    }

    async fn receive(&self, most: usize) -> Vec<SqsMessage> {
        let received = self
            .client
            .receive_message()
            .queue_url(&self.queue_url)
            .max_number_of_messages(i32::try_from(most).unwrap_or(1))
            .wait_time_seconds(POLL_S)
            .visibility_timeout(self.visibility_s())
            .send()
            .await;
        match received {
            Ok(received) => received.messages.unwrap_or_default(),
            Err(error) => {
                warn!(
                    queue_url = self.queue_url,
                    error = words(&error),
                    "no wake-ups can be received"
                );
                self.clock.sleep(REST).await;
                Vec::new()
            }
        }
    }

    async fn begin<W, F>(
        self: &Arc<Self>,
        received: Vec<SqsMessage>,
        work: &W,
        seats: &Arc<Semaphore>,
        turns: &mut JoinSet<()>,
    ) where
        W: Fn(WakeUp) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = bool> + Send + 'static,
    {
        let messages: Vec<Arc<Held>> = received
            .iter()
            .map(|message| Arc::new(Held::new(message.receipt_handle().unwrap_or_default())))
            .collect();
        let bodies = received
            .iter()
            .map(|message| message.body().unwrap_or_default())
            .enumerate();
        let batch = Batch::of(bodies, self.clock.now());
        let mut done = batch.idle;
        for (index, error) in batch.not_understood {
            let message_id = received[index].message_id().unwrap_or_default();
            error!(message_id, %error, "a message of the queue is dropped; the sweep will find what it told of");
            done.push(index);
        }
        for (index, wake_up, not_before) in batch.later {
            // A new one, because a message that is only hidden again counts as failed each time.
            if self.wake_ups.send(&wake_up, Some(not_before)).await {
                done.push(index);
            }
        }
        for index in done {
            self.delete(&messages[index].receipt).await;
        }
        let turns_asked_by: Vec<(WakeUp, Vec<Arc<Held>>)> = batch
            .turns
            .into_iter()
            .map(|(wake_up, indices)| {
                let asked_by = indices.iter().map(|index| Held::owing(&messages[*index]));
                (wake_up, asked_by.collect())
            })
            .collect();
        // From here on only turns hold messages, and the last one of each knows that it is.
        drop(messages);
        for (wake_up, asked_by) in turns_asked_by {
            let (receiver, work, seats) = (self.clone(), work.clone(), seats.clone());
            turns.spawn(async move {
                let turn = async {
                    let _seat = seats.acquire_owned().await;
                    work(wake_up).await
                };
                let is_done = receiver.keep_hidden(&asked_by, turn).await;
                for message in asked_by {
                    if is_done {
                        message.owed.fetch_sub(1, Ordering::Relaxed);
                    }
                    // The last turn that a message asked for deletes it.
                    if let Some(message) = Arc::into_inner(message)
                        && message.owed.into_inner() == 0
                    {
                        receiver.delete(&message.receipt).await;
                    }
                }
            });
        }
    }

    /// Does this, extends the visibility time-out of the messages as long as that lasts, and gives what it says.
    async fn keep_hidden(&self, messages: &[Arc<Held>], turn: impl Future<Output = bool>) -> bool {
        let mut turn = pin!(turn);
        loop {
            let beat = self.clock.sleep(self.options.visibility_timeout / 3);
            tokio::select! {
                is_done = &mut turn => return is_done,
                () = beat => {}
            }
            for message in messages {
                // Alongside the turn, which must not wait for it.
                let extend = self
                    .client
                    .change_message_visibility()
                    .queue_url(&self.queue_url)
                    .receipt_handle(&message.receipt)
                    .visibility_timeout(self.visibility_s())
                    .send();
                tokio::select! {
                    is_done = &mut turn => return is_done,
                    extended = extend => if let Err(error) = extended {
                        warn!(error = words(&error),
                            "a message could not be kept hidden; its keys may be looked at twice");
                    }
                }
            }
        }
    }

    async fn delete(&self, receipt: &str) {
        let deleted = self
            .client
            .delete_message()
            .queue_url(&self.queue_url)
            .receipt_handle(receipt)
            .send()
            .await;
        if let Err(error) = deleted {
            debug!(
                error = words(&error),
                "a message was not deleted and comes again"
            );
        }
    }

    fn visibility_s(&self) -> i32 {
        i32::try_from(self.options.visibility_timeout.as_secs()).unwrap_or(i32::MAX)
    }
}

/// A message whose turns are taken.
struct Held {
    receipt: String,
    /// How many turns it asked for that were not taken to their end, whatever became of them: unless there are none, it
    /// must come again.
    owed: AtomicUsize,
}

impl Held {
    fn new(receipt: &str) -> Self {
        Self {
            receipt: receipt.to_owned(),
            owed: AtomicUsize::new(0),
        }
    }

    /// For one turn more.
    fn owing(message: &Arc<Self>) -> Arc<Self> {
        message.owed.fetch_add(1, Ordering::Relaxed);
        Arc::clone(message)
    }
}

fn said(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        error!(%error, "a turn panicked; its messages come again");
    }
}

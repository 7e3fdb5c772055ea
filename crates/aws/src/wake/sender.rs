use std::sync::Arc;
use std::time::Duration;

use tracing::warn;
use two_buckets_objects::Timestamp;
use two_buckets_pipeline::{Clock, WakeUp, WakeUps};

use super::message::hint;
use crate::words::words;

/// The longest that SQS keeps a message back (SQS API, `SendMessage`, `DelaySeconds`).
const DELAY_MAX: Duration = Duration::from_mins(15);

/// Sends hints to the queue that workers listen to.
///
/// A moment further away than 15 minutes is sent with that and put back when it comes. A hint that cannot be sent is
/// said in the log and dropped: the sweep finds what it told of.
#[derive(Debug)]
pub struct SqsWakeUps<C> {
    client: aws_sdk_sqs::Client,
    queue_url: String,
    clock: Arc<C>,
}

impl<C> Clone for SqsWakeUps<C> {
    fn clone(&self) -> Self {
        Self {
            client: self.client.clone(),
            queue_url: self.queue_url.clone(),
            clock: Arc::clone(&self.clock),
        }
    }
}

impl<C: Clock> SqsWakeUps<C> {
    /// To this queue, a standard one: FIFO queues keep back no single message (SQS API, `SendMessage`).
    pub fn new(client: aws_sdk_sqs::Client, queue_url: String, clock: Arc<C>) -> Self {
        Self {
            client,
            queue_url,
            clock,
        }
    }

    /// Sends a hint; says whether it is in the queue.
    pub(crate) async fn send(&self, wake_up: &WakeUp, not_before: Option<Timestamp>) -> bool {
        let wait = not_before.map_or(Duration::ZERO, |at| at.since(self.clock.now()));
        let sent = self
            .client
            .send_message()
            .queue_url(&self.queue_url)
            .message_body(hint(wake_up, not_before))
            .delay_seconds(delay_s(wait))
            .send()
            .await;
        if let Err(error) = &sent {
            warn!(bucket = %wake_up.key.bucket, key = %wake_up.key.key, error = words(error),
                "a wake-up could not be sent; the sweep will find the key");
        }
        sent.is_ok()
    }
}

impl<C: Clock> WakeUps for SqsWakeUps<C> {
    async fn wake(&self, wake_up: WakeUp, not_before: Option<Timestamp>) {
        self.send(&wake_up, not_before).await;
    }

    /// A queue takes any number (SQS quotas, standard queues).
    async fn room(&self) {}
}

/// Whole seconds, never too few, up to the most.
fn delay_s(wait: Duration) -> i32 {
    let wait_s = wait.min(DELAY_MAX).as_millis().div_ceil(1_000);
    i32::try_from(wait_s).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_kept_back_long_enough_and_never_longer_than_sqs_takes() {
        for (wait_ms, delay) in [
            (0, 0),
            (1, 1),
            (1_000, 1),
            (1_001, 2),
            (900_000, 900),
            (u64::MAX, 900),
        ] {
            assert_eq!(delay_s(Duration::from_millis(wait_ms)), delay);
        }
    }
}

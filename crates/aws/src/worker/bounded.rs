//! The user's function, within bounds.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::{JoinError, JoinSet};
use two_buckets_objects::Timestamp;
use two_buckets_pipeline::{Clock as _, Incoming, ProcessError, Processor, Report};

use super::system::SystemClock;

/// Runs a function in a task of its own, so that a panic of it is its own crash and its work does not hold up the
/// renewal of the lease, and gives it up when its time is over. Dropping a run stops it at its next await; what it does
/// on threads hears of that by its cancellation.
pub(super) struct Bounded<P> {
    pub(super) processor: Arc<P>,
    /// The longest run.
    pub(super) time_max: Option<Duration>,
    /// No run goes on beyond this moment.
    pub(super) until: Option<Timestamp>,
}

impl<P: Processor> Processor for Bounded<P> {
    fn name(&self) -> String {
        self.processor.name()
    }

    async fn process(&self, upload: Incoming) -> Result<Report, ProcessError> {
        let processor = Arc::clone(&self.processor);
        let mut task = JoinSet::new();
        task.spawn(async move { processor.process(upload).await });
        let limit = self.limit();
        let given_up = async {
            match &limit {
                None => std::future::pending().await,
                Some((wait, _)) => SystemClock.sleep(*wait).await,
            }
        };
        tokio::select! {
            biased;
            ended = task.join_next() => match ended {
                Some(Ok(result)) => result,
                Some(Err(error)) => Err(ProcessError::Crashed(why_it_ended(error))),
                None => unreachable!("a task was spawned and not joined before"),
            },
            () = given_up => {
                let (wait, why) = limit.expect("without a limit nothing is given up");
                Err(ProcessError::Transient(format!("it was given up after {} s: {why}", wait.as_secs())))
            }
        }
    }
}

impl<P> Bounded<P> {
    /// The time it has, and what bounds it.
    fn limit(&self) -> Option<(Duration, &'static str)> {
        let until_the_end = self.until.map(|until| until.since(SystemClock.now()));
        match (self.time_max, until_the_end) {
            (Some(max), Some(left)) if left < max => Some((left, ENDS)),
            (Some(max), _) => Some((max, "that is the longest that it may take here")),
            (None, left) => left.map(|left| (left, ENDS)),
        }
    }
}

const ENDS: &str = "the invocation in which it ran ends";

fn why_it_ended(error: JoinError) -> String {
    match error.try_into_panic() {
        Ok(panic) => {
            let text = panic
                .downcast_ref::<&str>()
                .copied()
                .or_else(|| panic.downcast_ref::<String>().map(String::as_str));
            format!(
                "the function panicked: {}",
                text.unwrap_or("it left no message")
            )
        }
        Err(_) => "the function was stopped".into(),
    }
}

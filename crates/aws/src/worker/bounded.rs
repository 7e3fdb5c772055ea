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
                Some(limit) => SystemClock.sleep(limit.time).await,
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
                let limit = limit.expect("without a limit nothing is given up");
                let reason = format!("it was given up after {} s: {}", limit.time.as_secs(), limit.why);
                Err(if limit.is_cut_short { ProcessError::NotRun(reason) } else { ProcessError::Transient(reason) })
            }
        }
    }
}

/// The time that a run has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Limit {
    time: Duration,
    why: &'static str,
    /// Whether it is so much less than the function was promised that its being given up is nothing of the file's own: it
    /// does not count then. A file that is begun early in an invocation has nearly all of it, so that one that never ends
    /// is set aside.
    is_cut_short: bool,
}

impl<P> Bounded<P> {
    /// The time it has, and what bounds it.
    fn limit(&self) -> Option<Limit> {
        let left = self.until.map(|until| until.since(SystemClock.now()));
        limit(self.time_max, left)
    }
}

fn limit(max: Option<Duration>, left: Option<Duration>) -> Option<Limit> {
    let (time, why) = match (max, left) {
        (Some(max), Some(left)) if left < max => (left, ENDS),
        (Some(max), _) => (max, "that is the longest that it may take here"),
        (None, left) => (left?, ENDS),
    };
    let is_cut_short = max.is_some_and(|max| time < max / 4 * 3);
    Some(Limit {
        time,
        why,
        is_cut_short,
    })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_begins_late_in_an_invocation_is_not_charged_for_its_end_and_who_begins_early_is() {
        let of = |max: Option<u64>, left: Option<u64>| {
            let limit = limit(max.map(Duration::from_secs), left.map(Duration::from_secs))?;
            Some((limit.time.as_secs(), limit.is_cut_short))
        };
        assert_eq!(of(Some(270), Some(269)), Some((269, false)));
        assert_eq!(of(Some(270), Some(136)), Some((136, true)));
        assert_eq!(of(Some(30), Some(40)), Some((30, false)));
        assert_eq!(of(Some(30), None), Some((30, false)));
        assert_eq!(of(None, Some(5)), Some((5, false)));
        assert_eq!(of(None, None), None);
    }
}

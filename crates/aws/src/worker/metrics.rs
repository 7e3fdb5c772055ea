//! Figures for CloudWatch, as lines of its embedded metric format: whoever may write logs needs no other permission.
//!
//! Format: CloudWatch User Guide, "Specification: Embedded metric format". The names are those that the template's
//! alarms ask for.

use std::fmt;
use std::sync::Arc;

use serde_json::{Value, json};
use two_buckets_objects::Timestamp;
use two_buckets_pipeline::Tally;

const NAMESPACE: &str = "TwoBuckets";

/// Where figures go. Cheap to clone.
#[derive(Clone)]
pub struct Metrics {
    stack: Option<Arc<str>>,
    write: Arc<dyn Fn(&str) + Send + Sync>,
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics")
            .field("stack", &self.stack)
            .finish_non_exhaustive()
    }
}

impl Metrics {
    /// Of a stack, its name being their one dimension; each line is written by `write`, which must put it into a log of
    /// CloudWatch's by itself. Without a stack nothing is written.
    pub fn new(stack: Option<&str>, write: impl Fn(&str) + Send + Sync + 'static) -> Self {
        Self {
            stack: stack.map(Arc::from),
            write: Arc::new(write),
        }
    }

    /// Nothing is written.
    pub fn none() -> Self {
        Self::new(None, |_| {})
    }

    /// What a turn did.
    pub(super) fn turn(&self, tally: &Tally, now: Timestamp) {
        let archived = tally.archived + tally.finished;
        let failed = tally.failed + tally.explained;
        let figures = [
            ("ArchivedUploads", "Count", archived),
            ("FailedUploads", "Count", failed),
        ];
        self.put(figures.into_iter().filter(|(.., value)| *value > 0), now);
    }

    /// How old the oldest unfinished upload is; 0 where there is none, because no figure is an alarm.
    pub(super) fn oldest_unfinished(&self, age_s: u64, now: Timestamp) {
        self.put([("OldestUnfinishedSeconds", "Seconds", age_s)], now);
    }

    /// Uploads that a sweep set aside, whose jobs have died.
    pub(super) fn failed(&self, count: u64, now: Timestamp) {
        if count > 0 {
            self.put([("FailedUploads", "Count", count)], now);
        }
    }

    fn put<'a>(&self, figures: impl IntoIterator<Item = (&'a str, &'a str, u64)>, now: Timestamp) {
        let Some(stack) = &self.stack else {
            return;
        };
        let (mut metrics, mut line) = (Vec::new(), serde_json::Map::new());
        for (name, unit, value) in figures {
            metrics.push(json!({"Name": name, "Unit": unit}));
            line.insert(name.to_owned(), value.into());
        }
        if metrics.is_empty() {
            return;
        }
        line.insert("Stack".to_owned(), Value::from(&**stack));
        let about = json!({
            "Timestamp": now.millis(),
            "CloudWatchMetrics": [{
                "Namespace": NAMESPACE, "Dimensions": [["Stack"]], "Metrics": metrics,
            }],
        });
        line.insert("_aws".to_owned(), about);
        (self.write)(&Value::Object(line).to_string());
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    fn written(say: impl FnOnce(&Metrics), stack: Option<&str>) -> Vec<Value> {
        let lines: Arc<Mutex<Vec<Value>>> = Arc::default();
        let metrics = {
            let lines = Arc::clone(&lines);
            Metrics::new(stack, move |line| {
                assert!(!line.contains('\n'), "one event of a log is one line");
                lines
                    .lock()
                    .unwrap()
                    .push(serde_json::from_str(line).unwrap());
            })
        };
        say(&metrics);
        let lines = lines.lock().unwrap();
        lines.clone()
    }

    #[test]
    fn a_figure_is_a_line_that_cloud_watch_reads_as_a_metric() {
        let tally = Tally {
            archived: 2,
            finished: 1,
            deferred: 5,
            ..Tally::default()
        };
        let now = Timestamp::from_millis(1_795_431_050_000);
        assert_eq!(
            written(|metrics| metrics.turn(&tally, now), Some("files")),
            [json!({
                "_aws": {"Timestamp": 1_795_431_050_000_i64, "CloudWatchMetrics": [{
                    "Namespace": "TwoBuckets", "Dimensions": [["Stack"]],
                    "Metrics": [{"Name": "ArchivedUploads", "Unit": "Count"}],
                }]},
                "Stack": "files",
                "ArchivedUploads": 3,
            })]
        );
    }

    #[test]
    fn nothing_is_said_of_nothing_but_that_nothing_is_unfinished() {
        let now = Timestamp::from_millis(0);
        let idle = |metrics: &Metrics| {
            metrics.turn(&Tally::default(), now);
            metrics.failed(0, now);
        };
        assert_eq!(written(idle, Some("files")), [Value::Null; 0]);
        let all_well = written(|metrics| metrics.oldest_unfinished(0, now), Some("files"));
        assert_eq!(all_well[0]["OldestUnfinishedSeconds"], 0);
        let without_a_stack = written(|metrics| metrics.oldest_unfinished(9, now), None);
        assert_eq!(without_a_stack, [Value::Null; 0]);
    }
}

//! Figures for a monitoring system, as the API gives them out. What there is to tell is the other side's affair.

use std::time::Duration;

use crate::Counts;

/// The media type of the text (Prometheus, "Exposition formats").
pub const METRICS_CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Tells what a monitoring system collects.
pub trait Metrics: Send + Sync + 'static {
    /// Everything there is to tell now, in Prometheus' text format, with these figures of uploads, which are the same as
    /// the API's other answers give. Must not block for longer than a moment.
    fn text(&self, uploads: &UploadFigures) -> String;
}

/// Uploads as they are at a moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct UploadFigures {
    /// How many are in each state.
    pub counts: Counts,
    /// How long ago the oldest that is unfinished arrived; none if all are finished.
    pub oldest_unfinished_age: Option<Duration>,
    /// Whether processing is paused.
    pub is_paused: bool,
}

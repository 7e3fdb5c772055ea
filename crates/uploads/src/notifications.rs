//! How it stands with the targets of bucket notifications, as the API shows it. How they get there is the other side's
//! affair.

use two_buckets_objects::Timestamp;

/// Knows how it stands with each target.
pub trait Notifications: Send + Sync + 'static {
    /// The targets, in their order; or why they cannot be said. Does not block for long.
    fn targets(&self) -> Result<Vec<NotificationTarget>, String>;
}

/// A target of notifications.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NotificationTarget {
    /// What it is called in the server's configuration.
    pub name: String,
    /// `webhook` or `sqs`.
    pub kind: &'static str,
    /// The ARN that buckets' configurations name it by.
    pub arn: String,
    /// How many events wait for it.
    pub undelivered: u64,
    /// When the oldest of them happened.
    pub oldest_at: Option<Timestamp>,
    /// How many it has accepted since the server started.
    pub delivered: u64,
    /// Why it did not accept what it was last sent in vain, in words, and when that was.
    pub last_error: Option<(String, Timestamp)>,
    /// Whether it has accepted nothing since.
    pub is_failing: bool,
    /// How many events were lost because too many waited.
    pub lost: u64,
    /// When the first of those was.
    pub lost_since: Option<Timestamp>,
}

use serde::Serialize;
use two_buckets_objects::Timestamp;

use crate::NotificationTarget;

#[derive(Serialize)]
pub(crate) struct NotificationsJson {
    targets: Vec<NotificationTargetJson>,
}

#[derive(Serialize)]
struct NotificationTargetJson {
    name: String,
    kind: &'static str,
    arn: String,
    undelivered: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    oldest_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    oldest_age_s: Option<u64>,
    delivered: u64,
    failing: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_error_at: Option<String>,
    lost: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    lost_since: Option<String>,
}

impl NotificationsJson {
    pub(crate) fn of(targets: Vec<NotificationTarget>, now: Timestamp) -> Self {
        let targets = targets.into_iter().map(|target| {
            let (last_error, last_error_at) = target.last_error.unzip();
            NotificationTargetJson {
                name: target.name,
                kind: target.kind,
                arn: target.arn,
                undelivered: target.undelivered,
                oldest_at: target.oldest_at.map(|at| at.to_string()),
                oldest_age_s: target.oldest_at.map(|at| now.since(at).as_secs()),
                delivered: target.delivered,
                failing: target.is_failing,
                last_error,
                last_error_at: last_error_at.map(|at| at.to_string()),
                lost: target.lost,
                lost_since: target.lost_since.map(|at| at.to_string()),
            }
        });
        Self {
            targets: targets.collect(),
        }
    }
}

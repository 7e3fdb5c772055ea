use serde_json::json;
use two_buckets_uploads::{Caller, KnownBy, NotificationTarget, Notifications};

use crate::shelf::{Answer, NOW, get, service_for};

/// One target that fails, and whose oldest event is 61 s old.
pub(crate) struct OneTarget;

impl Notifications for OneTarget {
    fn targets(&self) -> Result<Vec<NotificationTarget>, String> {
        let ago = |seconds: i64| {
            two_buckets_objects::Timestamp::from_millis(NOW.millis() - seconds * 1000)
        };
        Ok(vec![NotificationTarget {
            name: "orders".into(),
            kind: "webhook",
            arn: "arn:aws:sqs:us-east-1:000000000000:orders".into(),
            undelivered: 7,
            oldest_at: Some(ago(61)),
            delivered: 3,
            last_error: Some(("answered 500".into(), ago(1))),
            is_failing: true,
            lost: 2,
            lost_since: Some(ago(30)),
        }])
    }
}

fn caller(known_by: KnownBy) -> Caller {
    Caller {
        known_by,
        ..Caller::unlimited("somebody")
    }
}

/// The answer with one target.
pub(crate) async fn one() -> Answer {
    get(&service_for(caller(KnownBy::Owner)).0, "/api/notifications").await
}

#[tokio::test]
async fn what_waits_for_each_target_is_shown() {
    assert_eq!(
        one().await.json(),
        json!({"targets": [{
            "name": "orders",
            "kind": "webhook",
            "arn": "arn:aws:sqs:us-east-1:000000000000:orders",
            "undelivered": 7,
            "oldest_at": "2026-11-23T10:49:49.007Z",
            "oldest_age_s": 61,
            "delivered": 3,
            "failing": true,
            "last_error": "answered 500",
            "last_error_at": "2026-11-23T10:50:49.007Z",
            "lost": 2,
            "lost_since": "2026-11-23T10:50:20.007Z",
        }]})
    );
}

#[tokio::test]
async fn callers_with_tokens_of_their_own_do_not_see_where_events_go() {
    for (known_by, status) in [
        (KnownBy::Machine, 200),
        (KnownBy::TokenFile, 403),
        (KnownBy::Issuer, 403),
    ] {
        let (app, _) = service_for(caller(known_by));
        assert_eq!(get(&app, "/api/notifications").await.status, status);
    }
}

use std::fmt::Write as _;

use serde_json::Value;

use super::api::Api;
use super::print;
use super::wire::{NotificationTarget, Notifications, read};

const PATH: &str = "/api/notifications";
/// How old an event may be before it is worth a line: targets that are well take them within a second.
const LATE_AFTER_S: u64 = 60;

/// What the server says of its notification targets, and a line for each with which something is wrong.
pub(super) async fn of_server(api: &Api) -> (Value, Option<String>) {
    // A server of an earlier version has none.
    let Ok(answer) = api.get(PATH).await else {
        return (Value::Null, None);
    };
    let Notifications { targets } = read(answer.clone()).unwrap_or_default();
    let lines: String = targets.iter().filter_map(line).collect();
    let shown = answer.get("targets").cloned().unwrap_or_default();
    (shown, Some(lines).filter(|lines| !lines.is_empty()))
}

fn line(target: &NotificationTarget) -> Option<String> {
    let age_s = target.oldest_age_s.unwrap_or(0);
    if !target.failing && target.lost == 0 && age_s < LATE_AFTER_S {
        return None;
    }
    let mut text = format!(
        "notifications to {}: {} undelivered",
        print::harmless(&target.name),
        print::count(target.undelivered, "event")
    );
    let mut add = |words: String| write!(text, "{words}").expect("writing to a String cannot fail");
    if target.undelivered > 0 {
        add(format!(", the oldest for {age_s} s"));
    }
    if target.lost > 0 {
        let since = target.lost_since.as_deref().unwrap_or("the beginning");
        add(format!(
            "; EVENTS LOST: {} since {}",
            target.lost,
            super::status::moment(since)
        ));
    }
    if let Some(why) = &target.last_error {
        add(format!("; {}", print::harmless(why)));
    }
    text.push('\n');
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(failing: bool, age_s: u64, lost: u64) -> NotificationTarget {
        NotificationTarget {
            name: "orders".into(),
            undelivered: 7,
            oldest_age_s: Some(age_s),
            failing,
            last_error: Some("answered 500".into()),
            lost,
            lost_since: (lost > 0).then(|| "2026-11-23T10:50:50.007Z".into()),
        }
    }

    #[test]
    fn a_target_has_a_line_if_it_fails_is_late_or_has_lost_something() {
        assert_eq!(line(&target(false, 59, 0)), None);
        for late in [target(true, 0, 0), target(false, 60, 0)] {
            let line = line(&late).unwrap();
            assert!(
                line.starts_with("notifications to orders: 7 events undelivered, the oldest for ")
            );
            assert!(line.ends_with("; answered 500\n"));
        }
        assert!(
            line(&target(false, 0, 2))
                .unwrap()
                .contains("EVENTS LOST: 2 since 2026-11-23 10:50:50 UTC")
        );
    }
}

//! What a notification configuration may say, and how it is refused otherwise.

use std::collections::HashSet;

use s3s::dto::{NotificationConfiguration, QueueConfiguration};
use s3s::{S3Error, S3ErrorCode, S3Result};

use super::Notifications;
use super::rules::{EventName, Rule};

/// The most configurations of one bucket (S3 User Guide, "Bucket quotas, limitations, and restrictions").
const CONFIGURATIONS_MAX: usize = 100;
/// The longest id (S3 API, `QueueConfiguration`).
const ID_BYTES_MAX: usize = 255;
/// What S3 has for a destination it cannot reach.
const UNKNOWN_DESTINATION: &str = "Unable to validate the following destination configurations";
/// Families of events that S3 has and that never happen here, or are not told of.
const OTHER_FAMILIES: [&str; 9] = [
    "s3:ReducedRedundancyLostObject",
    "s3:Replication:",
    "s3:ObjectRestore:",
    "s3:LifecycleTransition",
    "s3:LifecycleExpiration:",
    "s3:IntelligentTiering",
    "s3:ObjectTagging:",
    "s3:ObjectAcl:",
    "s3:ObjectAnnotation:",
];

/// Refuses what cannot be done, in S3's codes where it has one.
pub(crate) fn check(
    configuration: &NotificationConfiguration,
    notifications: Option<&Notifications>,
) -> S3Result<()> {
    refuse_other_kinds(configuration)?;
    let queues = configuration.queue_configurations.iter().flatten();
    let queues: Vec<&QueueConfiguration> = queues.collect();
    if queues.len() > CONFIGURATIONS_MAX {
        return Err(invalid(format!(
            "a bucket has at most {CONFIGURATIONS_MAX} notification configurations"
        )));
    }
    let mut ids = HashSet::new();
    let mut rules: Vec<Rule> = Vec::new();
    for queue in queues {
        check_one(queue)?;
        if let Some(id) = &queue.id
            && !ids.insert(id)
        {
            return Err(invalid(format!(
                "Same ID used for multiple configurations. IDs must be unique: {id}"
            )));
        }
        let rule = Rule::of(queue);
        if let Some(other) = rules.iter().find(|other| rule.overlaps(other)) {
            return Err(invalid(format!(
                "Configuration is ambiguously defined. Cannot have overlapping suffixes in two rules if the prefixes \
                 are overlapping for the same event type: {:?} and {:?}",
                other.id, rule.id
            )));
        }
        if !notifications.is_some_and(|known| known.has(&rule.arn)) {
            let arn = &rule.arn;
            return Err(invalid(
                match notifications.map(|it| it.targets().count()) {
                    None | Some(0) => format!(
                        "{UNKNOWN_DESTINATION}: {arn} (the server has no notification targets; its configuration names \
                     them under [notifications.NAME])"
                    ),
                    Some(_) => format!(
                        "{UNKNOWN_DESTINATION}: {arn} is none of the server's notification targets"
                    ),
                },
            ));
        }
        rules.push(rule);
    }
    Ok(())
}

/// Gives an id to each configuration that has none, as S3 does.
pub(crate) fn fill_ids(configuration: &mut NotificationConfiguration) -> S3Result<()> {
    for queue in configuration.queue_configurations.iter_mut().flatten() {
        if queue.id.as_deref().is_none_or(str::is_empty) {
            let mut bytes = [0; 16];
            getrandom::fill(&mut bytes).map_err(S3Error::internal_error)?;
            queue.id = Some(hex::encode(bytes));
        }
    }
    Ok(())
}

fn refuse_other_kinds(configuration: &NotificationConfiguration) -> S3Result<()> {
    let is_there = |list: Option<usize>| list.is_some_and(|length| length > 0);
    let topics = configuration.topic_configurations.as_ref();
    let functions = configuration.lambda_function_configurations.as_ref();
    let refused = if is_there(topics.map(Vec::len)) {
        "SNS topics (TopicConfiguration)"
    } else if is_there(functions.map(Vec::len)) {
        "Lambda functions (LambdaFunctionConfiguration; `serve --function` runs one on each file)"
    } else if configuration.event_bridge_configuration.is_some() {
        "EventBridge (EventBridgeConfiguration)"
    } else {
        return Ok(());
    };
    Err(S3Error::with_message(
        S3ErrorCode::NotImplemented,
        format!(
            "events cannot be sent to {refused}; a QueueConfiguration sends them to an SQS queue or a webhook"
        ),
    ))
}

fn check_one(queue: &QueueConfiguration) -> S3Result<()> {
    if queue.id.as_ref().is_some_and(|id| id.len() > ID_BYTES_MAX) {
        return Err(invalid(format!(
            "an id has at most {ID_BYTES_MAX} characters"
        )));
    }
    if queue.events.is_empty() {
        return Err(S3Error::with_message(
            S3ErrorCode::MalformedXML,
            "a notification configuration needs an event",
        ));
    }
    for event in &queue.events {
        let event = event.as_ref();
        if EventName::meant_by(event).is_empty() {
            let is_s3s = OTHER_FAMILIES
                .iter()
                .any(|family| event.starts_with(family));
            return Err(if is_s3s {
                S3Error::with_message(
                    S3ErrorCode::NotImplemented,
                    format!(
                        "{event} is not told of; s3:ObjectCreated:* and s3:ObjectRemoved:* are"
                    ),
                )
            } else {
                invalid(format!(
                    "The event '{event}' is not supported for notifications"
                ))
            });
        }
    }
    let filter = queue.filter.as_ref();
    let filters = filter.and_then(|filter| filter.key.as_ref()?.filter_rules.as_ref());
    let mut names = HashSet::new();
    for filter in filters.into_iter().flatten() {
        let name = filter
            .name
            .as_ref()
            .map(|name| name.as_str().to_ascii_lowercase());
        match name {
            Some(name) if name == "prefix" || name == "suffix" => {
                if !names.insert(name.clone()) {
                    return Err(invalid(format!(
                        "Cannot specify more than one {name} rule in a filter."
                    )));
                }
            }
            _ => {
                return Err(invalid(
                    "filter rule name must be either prefix or suffix".to_owned(),
                ));
            }
        }
    }
    Ok(())
}

fn invalid(message: String) -> S3Error {
    S3Error::with_message(S3ErrorCode::InvalidArgument, message)
}

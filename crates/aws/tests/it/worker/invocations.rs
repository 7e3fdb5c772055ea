//! Invocations of the processor, as Lambda makes them, and their answers by value.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use two_buckets_aws::lambda::{Failed, Processing};
use two_buckets_aws::worker::SystemClock;
use two_buckets_objects::Timestamp;
use two_buckets_pipeline::{Clock as _, State};
use two_buckets_s3_api::Fault;

use super::world::{Function, PATIENCE, World};
use crate::queue::event;

/// A batch of SQS; each message is named by its place.
fn batch(bodies: &[&str]) -> Value {
    let records = bodies.iter().enumerate().map(|(index, body)| {
        json!({
            "messageId": format!("message-{index}"),
            "receiptHandle": format!("receipt-{index}"),
            "body": body,
            "attributes": {"ApproximateReceiveCount": "1"},
            "messageAttributes": {},
            "md5OfBody": "e4e68fb7bd0e697a0ae8f1bb342846b3",
            "eventSource": "aws:sqs",
            "eventSourceARN": "arn:aws:sqs:us-east-1:123456789012:wake-ups",
            "awsRegion": "us-east-1",
        })
    });
    json!({ "Records": records.collect::<Vec<_>>() })
}

async fn call(
    processing: &Processing<Function>,
    bodies: &[&str],
    deadline: Timestamp,
) -> Result<Value, Failed> {
    let batch = batch(bodies);
    let answer = processing.handle(&batch, deadline);
    tokio::time::timeout(PATIENCE, answer)
        .await
        .expect("an invocation ends by itself")
}

fn none_failed() -> Value {
    json!({"batchItemFailures": []})
}

fn in_time(seconds: u64) -> Timestamp {
    SystemClock.now().after(Duration::from_secs(seconds))
}

fn processing(world: &World) -> Processing<Function> {
    Processing::new(world.turns())
}

/// What cannot reach the queue of wake-ups.
fn without_queue(world: &World) -> Processing<Function> {
    Processing::new(world.turns_to(&format!("{}-that-is-not-there", world.queue.url)))
}

const HINT_IN_A_CENTURY: &str = r#"{"two-buckets":"wake-up","hint":{"bucket":"staging","key":"later","is_gone":false,"not_before_ms":4900000000000}}"#;

/// A file that fails is no failure of its message, and neither is a message that says nothing: they would come again
/// until they are dead letters.
#[tokio::test(flavor = "multi_thread")]
async fn all_messages_of_a_batch_are_done_though_files_of_it_failed() {
    let Some(world) = World::new("batch").await else {
        return;
    };
    for key in ["plain-1", "bad-1", "flaky-1", "panic-1"] {
        world.put(key).await;
    }
    let other_bucket = event(&["plain-1"]).replace("\"staging\"", "\"others\"");
    let bodies: [&str; 9] = [
        &event(&["plain-1", "bad-1"]),
        &event(&["plain-1"]),
        &event(&["flaky-1"]),
        &event(&["panic-1"]),
        &event(&["nothing-here"]),
        r#"{"Service":"Amazon S3","Event":"s3:TestEvent"}"#,
        "garbage",
        &other_bucket,
        HINT_IN_A_CENTURY,
    ];
    let answer = call(&processing(&world), &bodies, in_time(300)).await;
    assert_eq!(answer, Ok(none_failed()));
    let archived = world.versions("archive").await;
    assert_eq!(
        archived.keys().collect::<Vec<_>>(),
        ["panic-1", "plain-1"],
        "{archived:?}"
    );
    assert_eq!(world.row("bad-1").await.state, State::Failed);
    assert_eq!(world.row("flaky-1").await.state, State::Pending);
    assert_eq!(world.function.attempts("plain-1"), [1]);
    // The flaky one's next attempt, within a second, and the hint whose moment has not come.
    let [now, hidden, delayed] = world.queue.counts().await;
    assert_eq!((now + delayed, hidden), (2, 0));
    let said = world.said();
    let sum = |name: &str| -> u64 { said.iter().filter_map(|line| line[name].as_u64()).sum() };
    assert_eq!((sum("ArchivedUploads"), sum("FailedUploads")), (2, 1));
}

/// What can neither be done nor put back is given back: exactly those messages, by their ids.
#[tokio::test(flavor = "multi_thread")]
async fn a_batch_gives_back_what_it_could_not_put_back() {
    let Some(world) = World::new("give-back").await else {
        return;
    };
    world.put("plain-1").await;
    let bodies = [
        event(&["plain-1"]),
        HINT_IN_A_CENTURY.to_owned(),
        r#"{"Event":"s3:TestEvent"}"#.to_owned(),
    ];
    let bodies = bodies.each_ref().map(String::as_str);
    let answer = call(&without_queue(&world), &bodies, in_time(300)).await;
    let only_the_hint = json!({"batchItemFailures": [{"itemIdentifier": "message-1"}]});
    assert_eq!(answer, Ok(only_the_hint));
    assert_eq!(world.function.attempts("plain-1"), [1]);

    world.put("plain-2").await;
    let bodies = [event(&["plain-2"]), event(&["plain-2", "plain-3"])];
    let bodies = bodies.each_ref().map(String::as_str);
    let over = call(&without_queue(&world), &bodies, in_time(0)).await;
    let both = json!({"batchItemFailures": [
        {"itemIdentifier": "message-0"}, {"itemIdentifier": "message-1"},
    ]});
    assert_eq!(over, Ok(both));
    assert_eq!(world.function.attempts("plain-2"), [0_u32; 0]);
}

/// An invocation that is nearly over begins nothing, asks S3 nothing, and puts its keys back.
#[tokio::test(flavor = "multi_thread")]
async fn an_invocation_that_is_nearly_over_puts_its_keys_back() {
    let Some(world) = World::new("nearly-over").await else {
        return;
    };
    world.put("plain-1").await;
    world.s3.calls();
    let answer = call(&processing(&world), &[&event(&["plain-1"])], in_time(0)).await;
    assert_eq!(answer, Ok(none_failed()));
    assert_eq!(world.s3.calls(), [""; 0]);
    assert_eq!(world.queue.counts().await, [1, 0, 0]);
}

/// A function that does not end is given up in time to record that: its attempt is over when the invocation is.
#[tokio::test(flavor = "multi_thread")]
async fn a_function_that_hangs_is_given_up_before_the_invocation_ends() {
    let Some(world) = World::new("given-up").await else {
        return;
    };
    world.put("hang-1").await;
    let deadline = in_time(9);
    let answer = call(&processing(&world), &[&event(&["hang-1"])], deadline).await;
    assert_eq!(answer, Ok(none_failed()));
    assert!(SystemClock.now() < deadline);
    let row = world.row("hang-1").await;
    assert_eq!(row.state, State::Pending);
    let reason = row.reason.unwrap();
    assert!(
        reason.contains("the invocation in which it ran ends"),
        "{reason}"
    );
    assert!(row.log[0].ended.is_some(), "{:?}", row.log);
}

/// A turn that cannot end, because the store does not answer, is dropped in time, and its key woken when its lease is
/// free; the next invocation archives the file.
#[tokio::test(flavor = "multi_thread")]
async fn a_turn_that_does_not_end_is_dropped_before_the_invocation_ends() {
    let Some(world) = World::new("dropped").await else {
        return;
    };
    world.put("plain-1").await;
    world.s3.strike(|name, before| {
        (name == "CopyObject" && before == 0).then_some(Fault::Delayed {
            by: Duration::from_hours(1),
            took_effect: false,
        })
    });
    let deadline = in_time(9);
    let processing = processing(&world);
    let answer = call(&processing, &[&event(&["plain-1"])], deadline).await;
    assert_eq!(answer, Ok(none_failed()));
    assert!(SystemClock.now() < deadline);
    assert!(world.versions("archive").await.is_empty());
    assert_eq!(world.queue.counts().await, [0, 0, 1]);

    // The message comes when nobody holds the key any more.
    let received = world.queue.client.receive_message();
    let received = received
        .queue_url(&world.queue.url)
        .wait_time_seconds(20)
        .send()
        .await
        .unwrap();
    let message = received.messages().first().expect("a message");
    let answer = call(&processing, &[message.body().unwrap()], in_time(300)).await;
    assert_eq!(answer, Ok(none_failed()));
    assert_eq!(world.versions("archive").await["plain-1"].len(), 1);
    assert!(world.versions("staging").await.is_empty());
    assert_eq!(world.function.attempts("plain-1"), [1, 2]);
}

/// S3 and EventBridge may call by themselves; what is no event of theirs is an error that Lambda sees.
#[tokio::test(flavor = "multi_thread")]
async fn events_may_come_alone() {
    let Some(world) = World::new("alone").await else {
        return;
    };
    for key in ["plain 1", "plain-2"] {
        world.put(key).await;
    }
    let processing = Arc::new(processing(&world));
    let alone = |event: Value| {
        let processing = Arc::clone(&processing);
        async move { processing.handle(&event, in_time(300)).await }
    };
    let of_s3: Value = serde_json::from_str(&event(&["plain+1"])).unwrap();
    assert_eq!(alone(of_s3).await, Ok(json!({"keys": 1})));
    let of_event_bridge = json!({
        "version": "0", "detail-type": "Object Created", "source": "aws.s3",
        "detail": {"bucket": {"name": "staging"}, "object": {"key": "plain-2"}, "reason": "PutObject"},
    });
    assert_eq!(alone(of_event_bridge).await, Ok(json!({"keys": 1})));
    assert_eq!(
        world.versions("archive").await.keys().collect::<Vec<_>>(),
        ["plain 1", "plain-2"]
    );
    let test_event = json!({"Service": "Amazon S3", "Event": "s3:TestEvent"});
    assert_eq!(alone(test_event).await, Ok(json!({"keys": 0})));
    for odd in [
        json!({}),
        json!([]),
        json!({"Records": [{"eventSource": "aws:sqs"}]}),
    ] {
        assert!(alone(odd.clone()).await.is_err(), "{odd}");
    }
    let lost: Value = serde_json::from_str(&event(&["plain-3"])).unwrap();
    let over = without_queue(&world).handle(&lost, in_time(0)).await;
    assert!(over.is_err(), "Lambda has to call again: {over:?}");
}

//! Bucket notifications: what is asked for is written down with the change, and nothing else is.

use http::Method;
use serde_json::{Value, json};
use two_buckets_depot::{Depot, MoveVersion, Options};
use two_buckets_objects::{ObjectRef, VersionId, VersionRef};
use two_buckets_s3_api::notifications::{Astray, Notifications, Target, Waiting};

use crate::harness::{Answer, Req, Server, bucket};

const QUEUE: &str = "arn:aws:sqs:us-east-1:000000000000:orders";

fn targets(waiting_max: u64) -> Vec<Target> {
    ["orders", "others"]
        .into_iter()
        .map(|name| Target {
            name: name.to_owned(),
            arns: vec![format!("arn:aws:sqs:us-east-1:000000000000:{name}")],
            waiting_max,
        })
        .collect()
}

async fn start(waiting_max: u64) -> (Server, Notifications) {
    let notifications = Notifications::new("us-east-1", targets(waiting_max));
    let recorder = notifications.recorder();
    let ours = notifications.clone();
    let server = Server::start_on(
        |options: Options| Options {
            record_change: Some(recorder),
            ..options
        },
        |config| {
            assert!(ours.load(&config.depot).unwrap().is_empty());
            config.notifications = Some(ours);
        },
    )
    .await;
    (server, notifications)
}

fn queue(arn: &str, events: &[&str], filters: &[(&str, &str)]) -> String {
    let events: String = events
        .iter()
        .map(|event| format!("<Event>{event}</Event>"))
        .collect();
    let filters: String = filters
        .iter()
        .map(|(name, value)| {
            format!("<FilterRule><Name>{name}</Name><Value>{value}</Value></FilterRule>")
        })
        .collect();
    format!(
        "<QueueConfiguration><Queue>{arn}</Queue>{events}<Filter><S3Key>{filters}</S3Key></Filter></QueueConfiguration>"
    )
}

async fn configure(server: &Server, bucket: &str, inner: &str) -> Answer {
    let document = format!("<NotificationConfiguration>{inner}</NotificationConfiguration>");
    Req::new(Method::PUT, bucket, "")
        .query("notification", "")
        .header("x-amz-skip-destination-validation", "true")
        .body(document.as_bytes())
        .send(server)
        .await
}

fn waiting(server: &Server, notifications: &Notifications) -> Vec<Waiting> {
    notifications
        .waiting(&server.depot, "orders", None, 100)
        .unwrap()
}

fn records(events: &[Waiting]) -> Vec<Value> {
    events
        .iter()
        .map(|event| {
            let message: Value = serde_json::from_slice(&event.message).unwrap();
            assert_eq!(message["Records"].as_array().unwrap().len(), 1);
            message["Records"][0].clone()
        })
        .collect()
}

fn names_and_keys(records: &[Value]) -> Vec<String> {
    records
        .iter()
        .map(|record| {
            format!(
                "{} {}",
                record["eventName"].as_str().unwrap(),
                record["s3"]["object"]["key"].as_str().unwrap()
            )
        })
        .collect()
}

#[tokio::test]
async fn each_way_to_make_and_to_remove_an_object_has_its_event() {
    let (server, notifications) = start(100).await;
    let all = ["s3:ObjectCreated:*", "s3:ObjectRemoved:*"];
    for bucket in ["plain", "versioned"] {
        configure(&server, bucket, &queue(QUEUE, &all, &[]))
            .await
            .assert_ok();
    }
    let put = server.put("versioned", "in/a file", b"bytes").await;
    put.assert_ok();
    Req::new(Method::PUT, "versioned", "copied")
        .header("x-amz-copy-source", "/versioned/in/a%20file")
        .send(&server)
        .await
        .assert_ok();
    crate::multipart::upload(&server, "parts").await;
    let marked = Req::new(Method::DELETE, "versioned", "copied")
        .send(&server)
        .await;
    let marker = marked.header("x-amz-version-id").unwrap().to_owned();
    Req::new(Method::DELETE, "versioned", "copied")
        .query("versionId", &marker)
        .send(&server)
        .await;
    crate::forms::upload(&server).await;
    let from = VersionRef {
        bucket: bucket("versioned"),
        key: "in/a file".parse().unwrap(),
        version_id: VersionId::new(put.header("x-amz-version-id").unwrap()),
    };
    server
        .depot
        .transaction(|tx| {
            tx.move_version(MoveVersion {
                from,
                to: ObjectRef {
                    bucket: bucket("versioned"),
                    key: "moved".parse().unwrap(),
                },
                add_user_metadata: Vec::new(),
            })
        })
        .unwrap();
    let records = records(&waiting(&server, &notifications));
    assert_eq!(
        names_and_keys(&records),
        [
            "ObjectCreated:Put in/a+file",
            "ObjectCreated:Copy copied",
            "ObjectCreated:CompleteMultipartUpload parts",
            "ObjectRemoved:DeleteMarkerCreated copied",
            "ObjectRemoved:Delete copied",
            "ObjectCreated:Post up/photo.jpg",
            "ObjectCreated:Copy moved",
            "ObjectRemoved:Delete in/a+file",
        ]
    );
    let first = &records[0];
    assert_eq!(
        first["s3"]["object"]["versionId"],
        put.header("x-amz-version-id").unwrap()
    );
    assert_eq!(
        first["s3"]["object"]["eTag"],
        put.header("etag").unwrap().trim_matches('"')
    );
    assert_eq!(first["s3"]["object"]["size"], 5);
    assert_eq!(
        first["responseElements"]["x-amz-request-id"],
        put.header("x-amz-request-id").unwrap()
    );
    assert_eq!(first["requestParameters"]["sourceIPAddress"], "127.0.0.1");
    assert_eq!(first["userIdentity"]["principalId"], "000000000000");
    assert_eq!(records[3]["s3"]["object"]["versionId"], marker);
    // What the server does by itself says so.
    assert_eq!(records[6]["userIdentity"]["principalId"], "two-buckets");
    let mut sequencers: Vec<_> = records
        .iter()
        .map(|record| record["s3"]["object"]["sequencer"].as_str().unwrap())
        .collect();
    let in_order = sequencers.clone();
    sequencers.sort_unstable();
    sequencers.dedup();
    assert_eq!(sequencers, in_order);
}

#[tokio::test]
async fn only_what_a_rule_asks_for_is_kept_and_a_bucket_without_rules_has_nothing() {
    let (server, notifications) = start(100).await;
    let rule = queue(
        QUEUE,
        &["s3:ObjectCreated:Put"],
        &[("Prefix", "in/"), ("Suffix", ".csv")],
    );
    configure(&server, "plain", &rule).await.assert_ok();
    for key in ["in/a.csv", "in/a.txt", "a.csv"] {
        server.put("plain", key, b"x").await.assert_ok();
        server.put("versioned", key, b"x").await.assert_ok();
    }
    Req::new(Method::DELETE, "plain", "in/a.csv")
        .send(&server)
        .await;
    let records = records(&waiting(&server, &notifications));
    assert_eq!(names_and_keys(&records), ["ObjectCreated:Put in/a.csv"]);
    assert_eq!(records[0]["s3"]["object"].get("versionId"), None);
    // Without a rule there are none.
    configure(&server, "plain", "").await.assert_ok();
    server.put("plain", "in/b.csv", b"x").await.assert_ok();
    assert_eq!(waiting(&server, &notifications).len(), 1);
}

#[tokio::test]
async fn a_new_destination_gets_a_test_event_unless_it_is_not_to_be_validated() {
    let (server, notifications) = start(100).await;
    let rule = queue(QUEUE, &["s3:ObjectCreated:*"], &[]);
    let document = format!("<NotificationConfiguration>{rule}</NotificationConfiguration>");
    let answer = Req::new(Method::PUT, "plain", "")
        .query("notification", "")
        .body(document.as_bytes())
        .send(&server)
        .await;
    answer.assert_ok();
    let events = waiting(&server, &notifications);
    assert_eq!(events.len(), 1);
    let message: Value = serde_json::from_slice(&events[0].message).unwrap();
    assert_eq!(
        message,
        json!({
            "Service": "Amazon S3",
            "Event": "s3:TestEvent",
            "Time": server.now().to_string(),
            "Bucket": "plain",
            "RequestId": answer.header("x-amz-request-id").unwrap(),
            "HostId": format!("{:016X}", events[0].number),
        })
    );
    configure(&server, "plain", &rule).await.assert_ok();
    assert_eq!(waiting(&server, &notifications).len(), 1);
}

#[tokio::test]
async fn what_was_put_is_answered_with_the_id_that_it_got() {
    let (server, _) = start(100).await;
    let rule = queue(QUEUE, &["s3:ObjectCreated:*"], &[("prefix", "in/")]);
    configure(&server, "plain", &rule).await.assert_ok();
    let answer = Req::new(Method::GET, "plain", "")
        .query("notification", "")
        .send(&server)
        .await;
    answer.assert_ok();
    assert_eq!(answer.elements("Queue"), [QUEUE]);
    assert_eq!(answer.elements("Event"), ["s3:ObjectCreated:*"]);
    assert_eq!(answer.elements("Value"), ["in/"]);
    assert_eq!(answer.elements("Id")[0].len(), 32);
}

#[tokio::test]
async fn what_cannot_be_done_is_refused_in_words() {
    let (server, notifications) = start(100).await;
    let created = ["s3:ObjectCreated:*"];
    let other = "arn:aws:sqs:us-east-1:000000000000:nobody";
    let twice = queue(QUEUE, &created, &[]).replace("<Queue>", "<Id>a</Id><Queue>");
    for (inner, status, code, words) in [
        (
            queue(other, &created, &[]),
            400,
            "InvalidArgument",
            "Unable to validate the following destination configurations",
        ),
        (
            queue(QUEUE, &["s3:ObjectTagging:*"], &[]),
            501,
            "NotImplemented",
            "s3:ObjectTagging:*",
        ),
        (
            queue(QUEUE, &["s3:ObjectEaten"], &[]),
            400,
            "InvalidArgument",
            "not supported for notifications",
        ),
        (
            queue(QUEUE, &created, &[("infix", "a")]),
            400,
            "InvalidArgument",
            "prefix or suffix",
        ),
        (
            queue(QUEUE, &created, &[("prefix", "a"), ("Prefix", "b")]),
            400,
            "InvalidArgument",
            "more than one prefix",
        ),
        (
            queue(QUEUE, &created, &[("prefix", "a")]) + &queue(QUEUE, &created, &[("prefix", "ab")]),
            400,
            "InvalidArgument",
            "overlapping",
        ),
        (
            twice.replace("<S3Key>", "<S3Key><FilterRule><Name>prefix</Name><Value>a</Value></FilterRule>")
                + &twice.replace("<S3Key>", "<S3Key><FilterRule><Name>prefix</Name><Value>b</Value></FilterRule>"),
            400,
            "InvalidArgument",
            "unique",
        ),
        (
            "<TopicConfiguration><Topic>arn:aws:sns:us-east-1:000000000000:t</Topic>\
             <Event>s3:ObjectCreated:*</Event></TopicConfiguration>"
                .to_owned(),
            501,
            "NotImplemented",
            "SNS",
        ),
        (
            "<CloudFunctionConfiguration><CloudFunction>arn:aws:lambda:us-east-1:000000000000:function:f\
             </CloudFunction><Event>s3:ObjectCreated:*</Event></CloudFunctionConfiguration>"
                .to_owned(),
            501,
            "NotImplemented",
            "Lambda",
        ),
        (
            "<EventBridgeConfiguration></EventBridgeConfiguration>".to_owned(),
            501,
            "NotImplemented",
            "EventBridge",
        ),
    ] {
        let answer = configure(&server, "plain", &inner).await;
        answer.assert_error(status, code);
        assert!(answer.text().contains(words), "{}", answer.text());
    }
    server.put("plain", "a", b"x").await.assert_ok();
    assert!(waiting(&server, &notifications).is_empty());
}

#[tokio::test]
async fn a_server_without_targets_refuses_every_destination() {
    let server = Server::start().await;
    let answer = configure(
        &server,
        "plain",
        &queue(QUEUE, &["s3:ObjectCreated:*"], &[]),
    )
    .await;
    answer.assert_error(400, "InvalidArgument");
    assert!(answer.text().contains("[notifications.NAME]"));
    configure(&server, "plain", "").await.assert_ok();
}

#[tokio::test]
async fn a_bucket_that_is_made_again_has_no_rules() {
    let (server, notifications) = start(100).await;
    configure(
        &server,
        "plain",
        &queue(QUEUE, &["s3:ObjectCreated:*"], &[]),
    )
    .await
    .assert_ok();
    for method in [Method::DELETE, Method::PUT] {
        let answer = Req::new(method, "plain", "").send(&server).await;
        assert!(answer.status < 300, "{}", answer.text());
    }
    server.put("plain", "a", b"x").await.assert_ok();
    assert!(waiting(&server, &notifications).is_empty());
}

#[tokio::test]
async fn beyond_the_bound_events_are_counted_and_lost_and_uploads_go_on() {
    let (server, notifications) = start(2).await;
    configure(
        &server,
        "plain",
        &queue(QUEUE, &["s3:ObjectCreated:*"], &[]),
    )
    .await
    .assert_ok();
    for n in 0..5 {
        server.put("plain", &format!("{n}"), b"x").await.assert_ok();
    }
    let standing = |depot: &Depot| notifications.standing(depot, "orders").unwrap();
    assert_eq!(standing(&server.depot).undelivered, 2);
    assert_eq!(standing(&server.depot).lost, 3);
    assert_eq!(
        standing(&server.depot).lost_between,
        Some((server.now(), server.now()))
    );
    // There is room again once some are accepted, and what was lost is still said.
    let events = waiting(&server, &notifications);
    let numbers: Vec<u64> = events.iter().map(|event| event.number).collect();
    notifications
        .accepted(&server.depot, "orders", &numbers)
        .unwrap();
    notifications
        .accepted(&server.depot, "orders", &numbers)
        .unwrap();
    server.put("plain", "again", b"x").await.assert_ok();
    assert_eq!(standing(&server.depot).undelivered, 1);
    assert_eq!(standing(&server.depot).lost, 3);
    assert_eq!(standing(&server.depot).oldest_at, Some(server.now()));
}

#[tokio::test]
async fn what_waits_and_what_goes_astray_is_known_after_a_restart() {
    let (server, notifications) = start(100).await;
    let rules = queue(QUEUE, &["s3:ObjectCreated:*"], &[("prefix", "a")])
        + &queue(
            "arn:aws:sqs:us-east-1:000000000000:others",
            &["s3:ObjectCreated:*"],
            &[("prefix", "b")],
        );
    configure(&server, "plain", &rules).await.assert_ok();
    server.put("plain", "a", b"x").await.assert_ok();
    server.put("plain", "b", b"x").await.assert_ok();
    let again = Notifications::new("us-east-1", targets(100));
    assert_eq!(again.load(&server.depot).unwrap(), []);
    assert_eq!(
        again.standing(&server.depot, "orders").unwrap().undelivered,
        1
    );
    assert_eq!(
        again.waiting(&server.depot, "orders", None, 9).unwrap(),
        waiting(&server, &notifications)
    );
    let mut one_less = targets(100);
    one_less.pop();
    let less = Notifications::new("us-east-1", one_less);
    assert_eq!(
        less.load(&server.depot).unwrap(),
        [
            Astray::Rule {
                bucket: bucket("plain"),
                arn: "arn:aws:sqs:us-east-1:000000000000:others".to_owned(),
            },
            Astray::Events {
                target: "others".to_owned()
            },
        ]
    );
}

#[tokio::test]
async fn an_arrival_is_heard_of() {
    let (server, notifications) = start(100).await;
    configure(
        &server,
        "plain",
        &queue(QUEUE, &["s3:ObjectCreated:*"], &[]),
    )
    .await
    .assert_ok();
    let heard = notifications.arrived("orders");
    server.put("plain", "a", b"x").await.assert_ok();
    let in_time = tokio::time::timeout(std::time::Duration::from_secs(30), heard).await;
    assert!(in_time.is_ok(), "nobody was woken");
}

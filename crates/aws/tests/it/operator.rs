//! What an operator asks: where the parts are, in whose name and by which clock, in which region, and what is in a queue.

use serde_json::json;
use two_buckets_aws::operator::{
    Clocks, NoStack, describe, identity, own_key, queue_figures, region_of_bucket,
};

use crate::canned::{Asked, Canned, Reply};

const STACK: &str = r#"<DescribeStacksResponse xmlns="http://cloudformation.amazonaws.com/doc/2010-05-15/">
  <DescribeStacksResult><Stacks><member>
    <StackName>files</StackName><StackStatus>UPDATE_COMPLETE</StackStatus>
    <CreationTime>2026-11-26T10:00:00Z</CreationTime>
    <Parameters><member><ParameterKey>LedgerShards</ParameterKey><ParameterValue>3</ParameterValue></member></Parameters>
    <Outputs>
      <member><OutputKey>QueueUrl</OutputKey><OutputValue>https://q</OutputValue></member>
      <member><OutputKey>ApiUrl</OutputKey><OutputValue></OutputValue></member>
    </Outputs>
  </member></Stacks></DescribeStacksResult>
</DescribeStacksResponse>"#;

fn refused(code: &str, message: &str) -> Reply {
    let body = format!(
        "<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error></ErrorResponse>"
    );
    Reply::Of {
        status: if code == "AccessDenied" { 403 } else { 400 },
        headers: Vec::new(),
        body,
    }
}

#[tokio::test]
async fn a_stack_says_where_its_parts_are() {
    let cloudformation = Canned::start(|_| Reply::ok(STACK)).await;
    let stack = describe(&cloudformation.clients().await, "files").await;
    let stack = stack.unwrap();
    assert_eq!(stack.needed("QueueUrl").unwrap(), "https://q");
    assert_eq!(stack.output("ApiUrl"), None);
    assert_eq!(stack.status, "UPDATE_COMPLETE");
    assert_eq!(stack.parameters["LedgerShards"], "3");
    let asked = cloudformation.take();
    let body = String::from_utf8(asked[0].body.clone()).unwrap();
    assert!(
        body.contains("Action=DescribeStacks") && body.contains("StackName=files"),
        "{body}"
    );
}

#[tokio::test]
async fn a_stack_that_is_not_there_is_told_from_one_that_may_not_be_asked_for() {
    let absent =
        Canned::start(|_| refused("ValidationError", "Stack with id x does not exist")).await;
    let error = describe(&absent.clients().await, "x").await.unwrap_err();
    assert!(matches!(error, NoStack::NotThere { .. }), "{error:?}");
    assert!(error.to_string().contains("eu-central-1"), "{error}");
    for (code, message) in [
        (
            "AccessDenied",
            "not authorized to perform: cloudformation:DescribeStacks",
        ),
        ("ValidationError", "1 validation error detected"),
    ] {
        let canned = Canned::start(move |_| refused(code, message)).await;
        let error = describe(&canned.clients().await, "x").await.unwrap_err();
        assert!(matches!(error, NoStack::Unknown { .. }), "{error:?}");
        assert!(error.to_string().contains(message), "{error}");
    }
}

/// STS, which says at this time who asks, or that it does not believe so.
fn sts(date: &'static str, believes: bool) -> impl Fn(&Asked) -> Reply {
    move |_| {
        let answer = if believes {
            Reply::ok(
                "<GetCallerIdentityResponse><GetCallerIdentityResult><Arn>arn:aws:iam::1:user/o</Arn>\
                 <UserId>U</UserId><Account>1</Account></GetCallerIdentityResult></GetCallerIdentityResponse>",
            )
        } else {
            refused("SignatureDoesNotMatch", "Signature expired")
        };
        answer.with("date", date)
    }
}

#[tokio::test]
async fn clocks_are_compared_by_an_answer_and_by_a_refusal() {
    for believes in [true, false] {
        for (date, is_ahead) in [
            ("Thu, 26 Nov 1998 10:00:00 GMT", true),
            ("Mon, 26 Nov 2091 10:00:00 GMT", false),
        ] {
            let sts = Canned::start(sts(date, believes)).await;
            let (who, clocks) = identity(&sts.clients().await).await;
            let years = match clocks.unwrap() {
                Clocks::Ahead(by) if is_ahead => by,
                Clocks::Behind(by) if !is_ahead => by,
                other => panic!("{other:?} by {date}"),
            };
            assert!(years.as_secs() > 20 * 365 * 86_400);
            match who {
                Ok(who) => {
                    assert!(believes && who.arn == "arn:aws:iam::1:user/o" && who.account == "1");
                }
                Err(reason) => assert!(!believes && reason.contains("expired"), "{reason}"),
            }
        }
    }
    let silent = Canned::start(|_| Reply::Cut).await;
    let (who, clocks) = identity(&silent.clients().await).await;
    assert!(who.is_err() && clocks.is_none());
}

#[tokio::test]
async fn a_bucket_elsewhere_says_where() {
    let region = |status, said: Option<&'static str>| {
        Canned::start(move |_| {
            let reply = Reply::Of {
                status,
                headers: Vec::new(),
                body: String::new(),
            };
            match said {
                Some(said) => reply.with("x-amz-bucket-region", said),
                None => reply,
            }
        })
    };
    let bucket = "files-staging".parse().unwrap();
    for (status, said, wanted) in [
        (200, Some("eu-central-1"), Ok(Some("eu-central-1"))),
        (200, None, Ok(None)),
        (301, Some("us-west-2"), Ok(Some("us-west-2"))),
        (403, Some("us-west-2"), Ok(Some("us-west-2"))),
        (403, Some("eu-central-1"), Err(())),
        (404, None, Err(())),
    ] {
        let s3 = region(status, said).await;
        let found = region_of_bucket(&s3.clients().await, &bucket).await;
        let found = found.as_ref().map(Option::as_deref).map_err(|_| ());
        assert_eq!(found, wanted, "{status} {said:?}");
    }
}

#[tokio::test]
async fn a_queue_says_what_is_in_it() {
    let sqs = Canned::start(|_| {
        Reply::json(&json!({"Attributes": {
            "ApproximateNumberOfMessages": "3",
            "ApproximateNumberOfMessagesNotVisible": "2",
            "ApproximateNumberOfMessagesDelayed": "1",
        }}))
    })
    .await;
    let clients = sqs.clients().await;
    let figures = queue_figures(&clients, "https://q").await.unwrap();
    assert_eq!(
        (figures.waiting, figures.in_work, figures.delayed),
        (3, 2, 1)
    );
    assert_eq!(sqs.take()[0].json()["QueueUrl"], "https://q");
    let dumb = Canned::start(|_| Reply::json(&json!({}))).await;
    let why = queue_figures(&dumb.clients().await, "https://q").await;
    assert!(why.unwrap_err().contains("ApproximateNumberOfMessages"));
    assert_eq!(own_key(&clients).await.unwrap().access_key_id, "TESTKEY");
}

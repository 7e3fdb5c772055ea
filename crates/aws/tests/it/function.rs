//! The user's function on Lambda: what it is invoked with, and what its end means.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_credential_types::Credentials as SdkCredentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_s3::primitives::ByteStream;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::{Value, json};
use two_buckets_aws::function::{Function, FunctionOptions, InvalidFunction};
use two_buckets_aws::{ClientOptions, Clients, S3StoreOptions};
use two_buckets_depot::Versioning;
use two_buckets_objects::{ObjectRef, ObjectStore as _, PutOptions, Timestamp, body_from_bytes};
use two_buckets_pipeline::{
    CancelOnDrop, Clock, FencingToken, Incoming, ProcessError, Processor as _, Report,
};
use two_buckets_s3_api::{AssumeRole, Role};

use crate::canned::{Asked, Canned, Reply};
use crate::s3::server::{Server, bucket, now};

const ARN: &str = "arn:aws:lambda:eu-central-1:111122223333:function:mine:live";
const ROLE: &str = "arn:aws:iam::111122223333:role/of-functions";
const ARCHIVE: &str = "archive";
const SECRET: &str = "the+secret/key";
const TOKEN: &str = "the-session-token";

/// A clock that waits for nobody and notes how long it should have.
#[derive(Default)]
struct Waits(Mutex<Vec<Duration>>);

impl Clock for Waits {
    fn now(&self) -> Timestamp {
        now()
    }

    async fn sleep(&self, wait: Duration) {
        self.0.lock().unwrap().push(wait);
    }
}

/// A version in staging, with its own bytes, and a run on it.
struct Bed {
    server: Server,
    upload: Incoming,
    _guard: CancelOnDrop,
}

impl Bed {
    async fn with(key: &str, roles: Vec<Role>) -> Self {
        let server = Server::with_roles(roles).await;
        let archive = ARCHIVE.parse().unwrap();
        server.depot.create_bucket(&archive).unwrap();
        server
            .depot
            .set_versioning(&archive, Versioning::Enabled)
            .unwrap();
        let store = Arc::new(server.store(S3StoreOptions::default()));
        let at = ObjectRef {
            bucket: bucket(),
            key: key.parse().unwrap(),
        };
        let body = body_from_bytes(Bytes::from_static(b"bytes"));
        let written = store.put(&at, body, PutOptions::default()).await.unwrap();
        let at = two_buckets_objects::VersionRef {
            bucket: at.bucket,
            key: at.key,
            version_id: written.version_id,
        };
        let source = store.head_version(&at).await.unwrap();
        let (upload, guard) = Incoming::of_version(&store, archive, source, 2, FencingToken(9));
        Self {
            server,
            upload,
            _guard: guard,
        }
    }

    async fn new(key: &str) -> Self {
        Self::with(key, Vec::new()).await
    }
}

fn options() -> FunctionOptions {
    FunctionOptions {
        arn: ARN.to_owned(),
        role_arn: None,
        archive: ARCHIVE.parse().unwrap(),
        kms_key_arn: None,
        limit: Duration::from_secs(30),
        room_wait: Duration::from_mins(1),
        permanent_errors: vec!["Broken".to_owned()],
    }
}

async fn function(
    canned: &Canned,
    clock: &Arc<Waits>,
    options: FunctionOptions,
) -> Function<Waits> {
    let clients = canned.clients().await;
    Function::new(&clients, Arc::clone(clock), Arc::new(|| 7), options).unwrap()
}

/// What a run on a file comes to where Lambda answers so, and what was asked of it.
async fn run(
    upload: &Incoming,
    options: FunctionOptions,
    answer: impl Fn(&Asked) -> Reply + Send + Sync + 'static,
) -> (Result<Report, ProcessError>, Vec<Asked>, Vec<Duration>) {
    let canned = Canned::start(answer).await;
    let clock = Arc::new(Waits::default());
    let function = function(&canned, &clock, options).await;
    let result = function.process(upload.clone()).await;
    let waits = clock.0.lock().unwrap().clone();
    (result, canned.take(), waits)
}

fn failed(error_type: &str, message: &str) -> Reply {
    let body = json!({ "errorType": error_type, "errorMessage": message, "stackTrace": [] });
    Reply::json(&body).with("x-amz-function-error", "Unhandled")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_function_is_told_of_exactly_one_version_and_its_answer_and_log_are_kept() {
    let bed = Bed::new("in/a b.txt").await;
    let tail = STANDARD.encode("START RequestId: 1\nhello\nEND RequestId: 1\n");
    let (result, asked, _) = run(&bed.upload, options(), move |_| {
        Reply::ok("{\"pages\": 3}").with("x-amz-log-result", &tail)
    })
    .await;
    assert_eq!(result.unwrap().as_str(), "{\"pages\": 3}");
    let log = bed.upload.log.excerpt().first;
    assert_eq!(&log[..], b"START RequestId: 1\nhello\nEND RequestId: 1\n");
    let [asked] = asked.as_slice() else {
        panic!("{asked:?}");
    };
    let function = "arn%3Aaws%3Alambda%3Aeu-central-1%3A111122223333%3Afunction%3Amine%3Alive";
    assert_eq!(
        asked.what,
        format!("POST /2015-03-31/functions/{function}/invocations")
    );
    assert_eq!(asked.headers["x-amz-invocation-type"], "RequestResponse");
    assert_eq!(asked.headers["x-amz-log-type"], "Tail");
    assert!(!asked.headers.contains_key("x-amz-client-context"));
    let event = asked.json();
    assert_eq!(event["Records"].as_array().unwrap().len(), 1);
    let record = &event["Records"][0];
    let (source, version_id) = (&bed.upload.source, bed.upload.source.at.version_id.as_str());
    assert_eq!(record["eventName"], "ObjectCreated:Put");
    assert_eq!(record["awsRegion"], "eu-central-1");
    assert_eq!(record["s3"]["bucket"]["name"], bucket().as_str());
    let object = &record["s3"]["object"];
    assert_eq!(object["key"], "in/a+b.txt");
    assert_eq!(object["versionId"], version_id);
    assert_eq!(object["size"], 5);
    assert_eq!(object["eTag"], source.etag.as_str());
    assert_eq!(
        record["twoBuckets"],
        json!({
            "idempotencyKey": bed.upload.idempotency_key(),
            "attempt": 2,
            "archiveBucket": ARCHIVE,
            "resultsPrefix": format!("_results/in/a b.txt/{version_id}/"),
        })
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_lambda_says_of_a_function_means_what_it_means_on_this_machine() {
    use ProcessError::{Crashed, Permanent, Transient};
    let bed = Bed::new("a").await;
    for (reply, wanted) in [
        (Reply::ok(""), Ok("")),
        (Reply::ok("null"), Ok("")),
        (Reply::ok("[1]"), Ok("{\"returned\":[1]}")),
        (
            failed("KeyError", "'x'"),
            Err(Transient("the function failed with KeyError: 'x'".into())),
        ),
        (
            failed("my.module.Broken", "no PDF"),
            Err(Permanent(
                "the function failed with my.module.Broken: no PDF".into(),
            )),
        ),
        (
            failed("Function.ResponseSizeTooLarge", "too large"),
            Err(Permanent(
                "the function failed with Function.ResponseSizeTooLarge: too large".into(),
            )),
        ),
        (
            failed("Runtime.ExitError", "exit status 1"),
            Err(Crashed(
                "the function failed with Runtime.ExitError: exit status 1".into(),
            )),
        ),
        (
            failed("Sandbox.Timedout", "Task timed out after 3.00 seconds"),
            Err(Transient(
                "the function failed with Sandbox.Timedout: Task timed out after 3.00 seconds"
                    .into(),
            )),
        ),
        (
            Reply::ok("garbage").with("x-amz-function-error", "Unhandled"),
            Err(Transient(
                "the function failed and said nothing of why".into(),
            )),
        ),
    ] {
        let told = format!("{reply:?}");
        let (result, asked, _) = run(&bed.upload, options(), move |_| reply.clone()).await;
        let result = result.map(|report| report.as_str().to_owned());
        assert_eq!(result, wanted.map(str::to_owned), "{told}");
        assert_eq!(asked.len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_function_that_may_have_run_is_not_called_again_and_the_attempt_counts() {
    let bed = Bed::new("a").await;
    for (reply, words) in [
        (Reply::Cut, "it may have run"),
        (Reply::Silence, "no answer within 1 s; it may run still"),
        (
            Reply::refused(500, "ServiceException"),
            "500 ServiceException",
        ),
    ] {
        let options = FunctionOptions {
            limit: Duration::from_secs(1),
            ..options()
        };
        let (result, asked, _) = run(&bed.upload, options, move |_| reply.clone()).await;
        match result {
            Err(ProcessError::Transient(reason)) => assert!(reason.contains(words), "{reason}"),
            other => panic!("{words}: {other:?}"),
        }
        assert_eq!(asked.len(), 1, "{words}");
    }
    let too_large = Reply::refused(413, "RequestTooLargeException");
    let (result, _, _) = run(&bed.upload, options(), move |_| too_large.clone()).await;
    assert!(
        matches!(result, Err(ProcessError::Permanent(_))),
        "{result:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn want_of_room_is_waited_for_and_then_no_failure_of_the_file() {
    let bed = Bed::new("a").await;
    let throttled = || Reply::refused(429, "TooManyRequestsException").with("retry-after", "2");
    let calls = Mutex::new(0);
    let (result, asked, waits) = run(&bed.upload, options(), move |_| {
        let mut calls = calls.lock().unwrap();
        *calls += 1;
        if *calls < 4 {
            throttled()
        } else {
            Reply::ok("{}")
        }
    })
    .await;
    assert_eq!(result.unwrap().as_str(), "{}");
    assert_eq!(asked.len(), 4);
    // Not before Lambda says.
    assert_eq!(waits, [Duration::from_secs(2); 3]);
    assert_eq!(bed.upload.retry_after.least(), Duration::ZERO);

    let (result, asked, waits) = run(&bed.upload, options(), move |_| throttled()).await;
    match result {
        Err(ProcessError::NotRun(reason)) => {
            assert!(reason.contains("429 TooManyRequestsException"), "{reason}");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(waits.iter().sum::<Duration>(), options().room_wait);
    assert_eq!(asked.len(), 31);
    assert_eq!(bed.upload.retry_after.least(), Duration::from_secs(15));
}

/// As STS answers.
fn session() -> Reply {
    session_with(TOKEN)
}

fn session_with(token: &str) -> Reply {
    Reply::ok(format!(
        r#"<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult>
        <Credentials><AccessKeyId>ASIATEST</AccessKeyId><SecretAccessKey>{SECRET}</SecretAccessKey>
        <SessionToken>{token}</SessionToken><Expiration>2030-01-01T00:00:00Z</Expiration></Credentials>
        </AssumeRoleResult></AssumeRoleResponse>"#
    ))
}

fn refused_session(status: u16, code: &str) -> Reply {
    refused_session_with(status, code, "planned")
}

fn refused_session_with(status: u16, code: &str, message: &str) -> Reply {
    Reply::Of {
        status,
        headers: Vec::new(),
        body: format!(
            "<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error></ErrorResponse>"
        ),
    }
}

fn with_role() -> FunctionOptions {
    FunctionOptions {
        role_arn: Some(ROLE.to_owned()),
        ..options()
    }
}

/// A member of a form.
fn member(form: &[u8], name: &str) -> String {
    let form = std::str::from_utf8(form).unwrap();
    let pair = form
        .split('&')
        .find_map(|pair| pair.strip_prefix(&format!("{name}=")));
    let spaced = pair.unwrap().replace('+', " ");
    percent_encoding::percent_decode_str(&spaced)
        .decode_utf8()
        .unwrap()
        .into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_for_exactly_the_version_come_with_the_call_and_are_said_nowhere_else() {
    let bed = Bed::new("in/ä文*.pdf").await;
    let (result, asked, _) = run(&bed.upload, with_role(), |asked| match &*asked.what {
        "POST /" => session(),
        _ => failed("KeyError", "no"),
    })
    .await;
    let [for_sts, for_lambda] = asked.as_slice() else {
        panic!("{asked:?}");
    };
    let version_id = bed.upload.source.at.version_id.as_str();
    assert_eq!(member(&for_sts.body, "Action"), "AssumeRole");
    assert_eq!(member(&for_sts.body, "RoleArn"), ROLE);
    assert_eq!(member(&for_sts.body, "DurationSeconds"), "900");
    let name = member(&for_sts.body, "RoleSessionName");
    assert!(
        name.starts_with("two-buckets-") && name.ends_with("-2"),
        "{name}"
    );
    assert!((2..=64).contains(&name.len()), "{name}");
    let policy = member(&for_sts.body, "Policy");
    assert!(policy.chars().all(|c| c <= '\u{ff}'), "{policy}");
    assert_eq!(
        serde_json::from_str::<Value>(&policy).unwrap(),
        json!({
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Effect": "Allow",
                    "Action": "s3:GetObjectVersion",
                    "Resource": "arn:aws:s3:::files/in/ä文${*}.pdf",
                    "Condition": { "StringEquals": { "s3:VersionId": version_id } },
                },
                {
                    "Effect": "Allow",
                    "Action": ["s3:PutObject", "s3:AbortMultipartUpload"],
                    "Resource": format!("arn:aws:s3:::archive/_results/in/ä文${{*}}.pdf/{version_id}/*"),
                },
            ],
        })
    );
    let context = STANDARD.decode(&for_lambda.headers["x-amz-client-context"]);
    let context: Value = serde_json::from_slice(&context.unwrap()).unwrap();
    assert_eq!(
        context,
        json!({ "custom": {
            "AWS_ACCESS_KEY_ID": "ASIATEST",
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_SESSION_TOKEN": TOKEN,
        } })
    );
    let canned = Canned::start(|_| Reply::Cut).await;
    let function = function(&canned, &Arc::default(), with_role()).await;
    for said in [
        String::from_utf8(for_lambda.body.clone()).unwrap(),
        format!("{result:?}"),
        format!("{function:?}"),
        String::from_utf8_lossy(&bed.upload.log.excerpt().first).into_owned(),
    ] {
        assert!(!said.contains(SECRET) && !said.contains(TOKEN), "{said}");
    }
}

/// What STS makes of a policy cannot be known before, and neither how long its token gets.
#[tokio::test(flavor = "multi_thread")]
async fn a_policy_that_turns_out_too_long_gives_way_to_one_that_names_the_version_only() {
    let bed = Bed::new(&format!("in/{}", "k".repeat(400))).await;
    let long_token = "t".repeat(3_000);
    for too_long in [
        refused_session(400, "PackedPolicyTooLarge"),
        refused_session_with(
            400,
            "ValidationError",
            "Value at 'policy' failed to satisfy constraint",
        ),
        session_with(&long_token),
    ] {
        let (result, asked, _) = run(&bed.upload, with_role(), move |asked| match &*asked.what {
            "POST /" if member(&asked.body, "Policy").contains("kkk") => too_long.clone(),
            "POST /" => session(),
            _ => Reply::ok("null"),
        })
        .await;
        result.unwrap();
        let [_, again, invoked] = asked.as_slice() else {
            panic!("{asked:?}");
        };
        let policy = member(&again.body, "Policy");
        let version_id = bed.upload.source.at.version_id.as_str();
        assert_eq!(policy.matches(version_id).count(), 2, "{policy}");
        assert!(invoked.headers.contains_key("x-amz-client-context"));
    }
    let (result, asked, _) =
        run(&bed.upload, with_role(), move |_| session_with(&long_token)).await;
    assert!(
        matches!(result, Err(ProcessError::Permanent(_))),
        "{result:?}"
    );
    assert_eq!(asked.len(), 2, "it is not called without its credentials");
}

/// No file is set aside because a right is missing or a function was deleted: that is mended, and files wait for it.
#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_is_refused_for_nothing_of_the_file_does_not_count() {
    let bed = Bed::new("a").await;
    for (status, code) in [
        (404, "ResourceNotFoundException"),
        (403, "AccessDeniedException"),
    ] {
        let (result, asked, _) = run(&bed.upload, options(), move |_| {
            Reply::refused(status, code)
        })
        .await;
        match result {
            Err(ProcessError::NotRun(reason)) => assert!(reason.contains(code), "{reason}"),
            other => panic!("{code}: {other:?}"),
        }
        assert_eq!(asked.len(), 1, "{code}");
        assert_eq!(bed.upload.retry_after.least(), Duration::from_secs(15));
    }
}

/// They must not end before the function does that has them, and no session lasts longer than an hour.
#[tokio::test(flavor = "multi_thread")]
async fn credentials_last_as_long_as_the_call_may_and_open_the_key_of_encryption() {
    let bed = Bed::new("a").await;
    let kms_key = "arn:aws:kms:eu-central-1:111122223333:key/k";
    for (room_wait, life) in [
        (Duration::from_mins(1), "960"),
        (Duration::from_hours(2), "3600"),
    ] {
        let options = FunctionOptions {
            limit: Duration::from_mins(15),
            room_wait,
            kms_key_arn: Some(kms_key.into()),
            ..with_role()
        };
        let (result, asked, _) = run(&bed.upload, options, |asked| match &*asked.what {
            "POST /" => session(),
            _ => Reply::ok("null"),
        })
        .await;
        result.unwrap();
        assert_eq!(member(&asked[0].body, "DurationSeconds"), life);
        let policy: Value = serde_json::from_str(&member(&asked[0].body, "Policy")).unwrap();
        assert_eq!(
            policy["Statement"][2],
            json!({
                "Effect": "Allow",
                "Action": ["kms:Decrypt", "kms:GenerateDataKey"],
                "Resource": kms_key,
            })
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_function_that_gets_no_credentials_is_not_called() {
    let bed = Bed::new("a").await;
    for (status, code, is_wanted) in [
        (403, "AccessDenied", "not run"),
        (400, "PackedPolicyTooLarge", "permanent"),
        (400, "Throttling", "not run"),
        // "planned" names no policy: it may be about the role.
        (400, "ValidationError", "not run"),
    ] {
        let (result, asked, _) = run(&bed.upload, with_role(), move |_| {
            refused_session(status, code)
        })
        .await;
        let is = match &result {
            Err(ProcessError::Transient(_)) => "transient",
            Err(ProcessError::Permanent(_)) => "permanent",
            Err(ProcessError::NotRun(_)) => "not run",
            _ => "something else",
        };
        assert_eq!(is, is_wanted, "{code}: {result:?}");
        let reason = result.unwrap_err().to_string();
        assert!(reason.contains(code), "{reason}");
        assert!(asked.iter().all(|asked| asked.what == "POST /"), "{code}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_function_or_role_is_refused_before_any_file() {
    let canned = Canned::start(|_| Reply::Cut).await;
    let clients = canned.clients().await;
    let made = |options| Function::new(&clients, Arc::<Waits>::default(), Arc::new(|| 7), options);
    for arn in [
        "",
        "mine",
        "arn:aws:lambda:r:1:layer:mine",
        "arn:aws:lambda:r:1:function:",
    ] {
        let arn = arn.to_owned();
        let refused = made(FunctionOptions {
            arn: arn.clone(),
            ..options()
        });
        assert_eq!(refused.unwrap_err(), InvalidFunction::Arn(arn));
    }
    for role in ["", "mine", "arn:aws:iam::1:user/mine"] {
        let role_arn = Some(role.to_owned());
        let refused = made(FunctionOptions {
            role_arn,
            ..options()
        });
        assert_eq!(refused.unwrap_err(), InvalidFunction::RoleArn(role.into()));
    }
    for limit in [Duration::ZERO, Duration::from_secs(901)] {
        let refused = made(FunctionOptions { limit, ..options() });
        assert_eq!(refused.unwrap_err(), InvalidFunction::Limit);
    }
}

/// The role as the template has it, and the session policy that was asked for, on our own S3.
#[tokio::test(flavor = "multi_thread")]
async fn with_its_credentials_a_function_reads_its_version_and_writes_its_results_and_nothing_else()
{
    let role = Role {
        name: "of-functions".into(),
        policy: r#"{"Version":"2012-10-17","Statement":[
            {"Effect":"Allow","Action":"s3:GetObjectVersion","Resource":"arn:aws:s3:::files/*"},
            {"Effect":"Allow","Action":["s3:PutObject","s3:AbortMultipartUpload"],"Resource":"arn:aws:s3:::archive/_results/*"}]}"#
            .parse()
            .unwrap(),
        session_life_max: Duration::from_hours(1),
    };
    let long = format!("{}/{}", "ü".repeat(300), "*".repeat(100));
    for key in ["in/a.pdf", "in/a*", "ä?${x}", &long] {
        let bed = Bed::with(key, vec![role.clone()]).await;
        let (_, asked, _) = run(&bed.upload, with_role(), |asked| match &*asked.what {
            "POST /" => session(),
            _ => Reply::ok("null"),
        })
        .await;
        let session = bed.server.sts.assume_role(
            &AssumeRole {
                role_arn: role.arn(),
                session_name: "test".into(),
                policy: Some(member(&asked[0].body, "Policy")),
                duration: Duration::from_mins(15),
            },
            now(),
        );
        let session = session.unwrap();
        let s3 = s3_as(&bed.server, &session).await;
        let version_id = bed.upload.source.at.version_id.as_str();
        let read = s3
            .get_object()
            .bucket("files")
            .key(key)
            .version_id(version_id);
        let read = read.send().await.unwrap().body.collect().await.unwrap();
        assert_eq!(&read.into_bytes()[..], b"bytes", "{key}");
        let put = |bucket: &str, key: String| {
            let body = ByteStream::from_static(b"result");
            s3.put_object().bucket(bucket).key(key).body(body).send()
        };
        let results = two_buckets_pipeline::archive::results_prefix(&bed.upload.source.at);
        put(ARCHIVE, format!("{results}pages/1.png")).await.unwrap();

        // Later versions of its own key, and other keys, that a pattern might take for it.
        let owner = &bed.server.client;
        let mut others = Vec::new();
        for other in [key, "in/a", "in/ab", "other"] {
            let body = ByteStream::from_static(b"secret");
            let put = owner.put_object().bucket("files").key(other).body(body);
            let put = put.send().await.unwrap();
            others.push((other, put.version_id.unwrap()));
        }
        for (other, other_version) in &others {
            let call = s3.get_object().bucket("files").key(*other);
            call.clone()
                .version_id(other_version)
                .send()
                .await
                .unwrap_err();
            call.send().await.unwrap_err();
        }
        let by_name = s3.get_object().bucket("files").key(key);
        by_name.send().await.unwrap_err();
        for (bucket, other) in [
            (ARCHIVE, key.to_owned()),
            (ARCHIVE, "_results/other/v/x".into()),
            (ARCHIVE, format!("_results/{version_id}")),
            ("files", key.to_owned()),
            ("files", format!("{results}x")),
        ] {
            assert!(put(bucket, other).await.is_err(), "{bucket}");
        }
        let delete = s3.delete_object().bucket("files").key(key);
        delete
            .clone()
            .version_id(version_id)
            .send()
            .await
            .unwrap_err();
        delete.send().await.unwrap_err();
        s3.list_objects_v2()
            .bucket("files")
            .send()
            .await
            .unwrap_err();
    }
}

async fn s3_as(
    server: &Server,
    session: &two_buckets_s3_api::TemporaryCredentials,
) -> aws_sdk_s3::Client {
    let credentials = SdkCredentials::new(
        &session.credentials.access_key_id,
        &session.credentials.secret_access_key,
        Some(session.session_token.clone()),
        None,
        "test",
    );
    let options = ClientOptions {
        region: Some("eu-central-1".into()),
        endpoint_url: Some(server.endpoint.clone()),
        credentials: Some(SharedCredentialsProvider::new(credentials)),
        ..ClientOptions::default()
    };
    Clients::from_environment(&options).await.unwrap().s3()
}

//! Temporary credentials, and attacks by somebody who was given some.

use http::Method;
use two_buckets_objects::BucketName;
use two_buckets_uploads::{CredentialScope, Error, Grants as _, UploadCredentials};

use super::client::Answer;
use super::{
    Call, MINUTE, Place, Problems, assert_unchanged, everything, holds, key, put_as_owner,
    put_part_as_owner, refusal, stored,
};

async fn given<P: Place>(place: &P, of_key: &str, must_be_new: bool) -> UploadCredentials {
    let scope = CredentialScope::Key {
        key: key(of_key),
        must_be_new,
    };
    place
        .grants()
        .credentials(scope, 60 * MINUTE)
        .await
        .unwrap()
}

fn put(bucket: &BucketName, of_key: &str) -> Call {
    Call::new(Method::PUT, bucket, of_key).body(b"x")
}

fn is_refused(answer: &Answer) -> bool {
    matches!(answer.status, 403 | 405 | 501)
}

fn completion(etag: &str) -> String {
    format!(
        "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{etag}</ETag></Part></CompleteMultipartUpload>"
    )
}

/// Begins an upload, sends a part, looks at it and completes it; whatever is refused is the answer.
async fn in_parts<P: Place>(
    place: &P,
    by: &UploadCredentials,
    of_key: &str,
    bytes: &[u8],
    condition: Option<&str>,
) -> Answer {
    let staging = place.staging();
    let begin = Call::new(Method::POST, staging, of_key).query("uploads", "");
    let begun = begin.by(place, by).await;
    if !begun.is_success() {
        return begun;
    }
    let upload = begun.element("UploadId").unwrap();
    let sent = Call::new(Method::PUT, staging, of_key)
        .query("partNumber", "1")
        .query("uploadId", upload)
        .body(bytes)
        .by(place, by)
        .await;
    if !sent.is_success() {
        return sent;
    }
    let listed = Call::new(Method::GET, staging, of_key)
        .query("uploadId", upload)
        .by(place, by)
        .await;
    if !listed.is_success() {
        return listed;
    }
    let document = completion(sent.header("etag").unwrap());
    let mut complete = Call::new(Method::POST, staging, of_key)
        .query("uploadId", upload)
        .body(document.as_bytes());
    if let Some(condition) = condition {
        complete = complete.header("if-none-match", condition);
    }
    complete.by(place, by).await
}

/// What they are for.
pub async fn credentials_upload_their_key_at_once_and_in_parts<P: Place>(place: &P) {
    for name in ["a/b c.txt", "\u{fc}bersicht \u{1f642}/\u{6587}.csv"] {
        let made = given(place, name, false).await;
        let answer = put(place.staging(), name).by(place, &made).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert!(holds(place, name, b"x").await);
        let answer = in_parts(place, &made, name, b"in parts", None).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert!(holds(place, name, b"in parts").await);
        let begin = Call::new(Method::POST, place.staging(), name).query("uploads", "");
        let begun = begin.by(place, &made).await;
        let upload = begun.element("UploadId").unwrap();
        let abort = Call::new(Method::DELETE, place.staging(), name).query("uploadId", upload);
        assert_eq!(abort.by(place, &made).await.status, 204);
    }
}

/// Everything else that somebody might try who has them changes nothing and tells nothing.
pub async fn credentials_do_nothing_but_upload_their_key<P: Place>(place: &P) {
    let (staging, other) = (place.staging(), place.other());
    let made = given(place, "mine/a", false).await;
    put_as_owner(place, staging, "mine/a", b"mine").await;
    put_as_owner(place, staging, "theirs/b", b"theirs").await;
    put_as_owner(place, other, "theirs/b", b"theirs").await;
    let theirs = stored(place, "theirs/b").await.unwrap();
    let version = theirs.header("x-amz-version-id").unwrap();
    let mine = stored(place, "mine/a").await.unwrap();
    let own = mine.header("x-amz-version-id").unwrap();
    let owned_upload = Call::new(Method::POST, staging, "mine/a").query("uploads", "");
    let owned_upload = owned_upload.by(place, &made).await;
    let owned_upload = owned_upload.element("UploadId").unwrap();

    let get = |name: &str| Call::new(Method::GET, staging, name);
    let delete = |name: &str| Call::new(Method::DELETE, staging, name);
    let service = |method: Method| Call {
        bucket: None,
        ..Call::new(method, staging, "")
    };
    let assume = b"Action=AssumeRole&Version=2011-06-15&RoleSessionName=more&RoleArn=arn%3Aaws%3Aiam%3A%3A000000000000%3Arole%2Ftwo-buckets-uploader";
    let tries = [
        ("read", get("mine/a")),
        ("look", Call::new(Method::HEAD, staging, "mine/a")),
        ("read a version", get("mine/a").query("versionId", own)),
        ("read theirs", get("theirs/b")),
        ("read their version", get("theirs/b").query("versionId", version)),
        ("read in the other bucket", Call::new(Method::GET, other, "theirs/b")),
        ("attributes", get("mine/a").query("attributes", "").header("x-amz-object-attributes", "ETag")),
        ("tags", get("mine/a").query("tagging", "")),
        ("delete", delete("mine/a")),
        ("delete a version", delete("mine/a").query("versionId", own)),
        ("delete theirs", delete("theirs/b")),
        ("delete their version", delete("theirs/b").query("versionId", version)),
        (
            "delete many",
            Call::new(Method::POST, staging, "")
                .query("delete", "")
                .body(b"<Delete><Object><Key>mine/a</Key></Object><Object><Key>theirs/b</Key></Object></Delete>"),
        ),
        ("tag", put(staging, "mine/a").query("tagging", "").body(b"<Tagging><TagSet/></Tagging>")),
        ("untag", delete("mine/a").query("tagging", "")),
        ("put with tags", put(staging, "mine/a").header("x-amz-tagging", "a=b")),
        ("put for everybody", put(staging, "mine/a").header("x-amz-acl", "public-read")),
        ("put locked", put(staging, "mine/a").header("x-amz-object-lock-legal-hold", "ON")),
        ("copy theirs", put(staging, "mine/a").body(b"").header("x-amz-copy-source", &format!("{staging}/theirs/b"))),
        (
            "copy theirs out of the other bucket",
            put(staging, "mine/a").body(b"").header("x-amz-copy-source", &format!("{other}/theirs/b")),
        ),
        (
            "copy their version",
            put(staging, "mine/a")
                .body(b"")
                .header("x-amz-copy-source", &format!("{staging}/theirs/b?versionId={version}")),
        ),
        (
            "copy mine",
            put(staging, "mine/a")
                .body(b"")
                .header("x-amz-copy-source", &format!("{staging}/mine/a"))
                .header("x-amz-metadata-directive", "REPLACE"),
        ),
        (
            "copy mine over theirs",
            put(staging, "theirs/b").body(b"").header("x-amz-copy-source", &format!("{staging}/mine/a")),
        ),
        (
            "copy a part of theirs",
            put(staging, "mine/a")
                .body(b"")
                .query("partNumber", "1")
                .query("uploadId", owned_upload)
                .header("x-amz-copy-source", &format!("{staging}/theirs/b")),
        ),
        ("put theirs", put(staging, "theirs/b")),
        ("put a new one", put(staging, "theirs/c")),
        ("put below", put(staging, "mine/a/more")),
        ("put above", put(staging, "mine/")),
        ("put a beginning", put(staging, "mine")),
        ("put by another case", put(staging, "mine/A")),
        ("put with a slash more", put(staging, "mine//a")),
        ("put with a slash before", put(staging, "/mine/a")),
        ("put by dots", put(staging, "mine/a/../b")),
        ("put with an escape", put(staging, "mine%2Fa")),
        ("put results", put(staging, "_results/mine/a")),
        ("put into the other bucket", put(other, "mine/a")),
        ("begin theirs", Call::new(Method::POST, staging, "theirs/b").query("uploads", "")),
        ("list buckets", service(Method::GET)),
        ("list", get("").query("list-type", "2").query("prefix", "mine/")),
        ("list versions", get("").query("versions", "").query("prefix", "mine/a")),
        ("list uploads", get("").query("uploads", "")),
        ("location", get("").query("location", "")),
        ("policy", get("").query("policy", "")),
        ("cors", get("").query("cors", "")),
        (
            "suspend versions",
            put(staging, "")
                .query("versioning", "")
                .body(b"<VersioningConfiguration><Status>Suspended</Status></VersioningConfiguration>"),
        ),
        ("make a bucket", Call { bucket: Some("another".into()), ..put(staging, "") }),
        ("delete the bucket", delete("")),
        (
            "more credentials",
            Call {
                for_sts: true,
                ..service(Method::POST)
                    .header("content-type", "application/x-www-form-urlencoded")
                    .body(assume)
            },
        ),
    ];
    let before = everything(place).await;
    let mut problems = Problems::default();
    for (what, call) in tries {
        let answer = call.by(place, &made).await;
        if !is_refused(&answer) {
            problems.add(format_args!("{what}: {answer:?}"));
        }
        if everything(place).await != before {
            problems.add(format_args!("{what}: something has changed"));
            break;
        }
    }
    problems.assert_none();

    // Another's upload, by its own key and by theirs.
    let begun = place
        .grants()
        .create_multipart(two_buckets_uploads::CreateMultipart {
            key: key("theirs/b"),
            content_type: None,
            metadata: std::collections::BTreeMap::new(),
        });
    let upload = begun.await.unwrap();
    put_part_as_owner(place, "theirs/b", upload.as_str(), 1).await;
    let before = everything(place).await;
    let document = completion("\"x\"");
    for (of_key, statuses) in [("theirs/b", &[403][..]), ("mine/a", &[404])] {
        let named =
            |method: Method| Call::new(method, staging, of_key).query("uploadId", upload.as_str());
        for (what, call) in [
            ("parts", named(Method::GET)),
            (
                "send",
                named(Method::PUT).query("partNumber", "1").body(b"x"),
            ),
            ("complete", named(Method::POST).body(document.as_bytes())),
            ("abort", named(Method::DELETE)),
        ] {
            let answer = call.by(place, &made).await;
            assert!(
                statuses.contains(&answer.status),
                "{what} {of_key}: {answer:?}"
            );
        }
    }
    assert_unchanged(place, &before, "another's upload").await;
}

/// A minted key is written once, by whichever way.
pub async fn credentials_for_a_key_that_must_be_new_need_the_condition<P: Place>(place: &P) {
    for name in ["new/at-once", "new/in-parts"] {
        let made = given(place, name, true).await;
        let before = everything(place).await;
        let answer = put(place.staging(), name).by(place, &made).await;
        assert_eq!(answer.status, 403, "{answer:?}");
        assert_unchanged(place, &before, "a put without the condition").await;
        let answer = in_parts(place, &made, name, b"parts", None).await;
        assert_eq!(answer.status, 403, "{answer:?}");
        assert!(stored(place, name).await.is_none());
    }
    let made = given(place, "new/at-once", true).await;
    let once = put(place.staging(), "new/at-once").header("if-none-match", "*");
    assert_eq!(once.by(place, &made).await.status, 200);
    assert_eq!(once.by(place, &made).await.status, 412);
    let made = given(place, "new/in-parts", true).await;
    let answer = in_parts(place, &made, "new/in-parts", b"parts", Some("*")).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let answer = in_parts(place, &made, "new/in-parts", b"others", Some("*")).await;
    assert_eq!(answer.status, 412, "{answer:?}");
    assert!(holds(place, "new/in-parts", b"parts").await);
}

/// The tutorial puts the key into a policy as it is, and the key `*` opens every object.
pub async fn credentials_for_a_key_that_looks_like_a_pattern_open_no_other<P: Place>(place: &P) {
    let mut problems = Problems::default();
    for (pattern, others) in [
        ("*", &["anything", "a"][..]),
        ("a*", &["ab", "a"]),
        ("a?", &["ab", "a/"]),
        ("**", &["*", "x"]),
        ("folder/*", &["folder/x", "folder/"]),
        (
            "${aws:username}",
            &["two-buckets-uploader", "${aws:userid}"],
        ),
        ("${*}", &["*", "x", "{*}"]),
        ("${?}", &["?", "x"]),
        ("${$}", &["$", "x"]),
        ("x\",\"arn:aws:s3:::*", &["x", "anything"]),
        ("x\\", &["x", "x/", "anything"]),
        ("{*}", &["{}", "{x}"]),
        ("a\\u002a", &["a*", "ab"]),
        ("\u{1f642}*", &["\u{1f642}", "\u{1f642}x"]),
    ] {
        let made = given(place, pattern, false).await;
        let before = everything(place).await;
        let longer = [format!("x{pattern}"), format!("{pattern}x")];
        for other in others
            .iter()
            .copied()
            .chain(longer.iter().map(String::as_str))
        {
            let begin = Call::new(Method::POST, place.staging(), other).query("uploads", "");
            for call in [put(place.staging(), other), begin] {
                let answer = call.by(place, &made).await;
                if answer.status != 403 {
                    problems.add(format_args!("{pattern} opens {other}: {answer:?}"));
                }
            }
        }
        assert_unchanged(place, &before, pattern).await;
        let answer = put(place.staging(), pattern).by(place, &made).await;
        if answer.status != 200 {
            problems.add(format_args!("{pattern} does not open itself: {answer:?}"));
        }
    }
    problems.assert_none();
}

/// A folder is what is below it.
pub async fn credentials_for_a_prefix_stay_below_it<P: Place>(place: &P) {
    let scope = CredentialScope::Below("te*m/".parse().unwrap());
    let made = place
        .grants()
        .credentials(scope, 60 * MINUTE)
        .await
        .unwrap();
    for inside in ["te*m/a", "te*m/a/b"] {
        let answer = put(place.staging(), inside).by(place, &made).await;
        assert_eq!(answer.status, 200, "{inside}: {answer:?}");
        let answer = in_parts(place, &made, inside, b"parts", None).await;
        assert_eq!(answer.status, 200, "{inside}: {answer:?}");
    }
    let before = everything(place).await;
    for outside in ["te*m", "team/a", "a/te*m/a", "te*m/../a", "te*m/./a", "x"] {
        let answer = put(place.staging(), outside).by(place, &made).await;
        assert!(is_refused(&answer), "{outside}: {answer:?}");
    }
    for call in [
        Call::new(Method::GET, place.staging(), "te*m/a"),
        Call::new(Method::DELETE, place.staging(), "te*m/a"),
        put(place.other(), "te*m/a"),
    ] {
        let answer = call.by(place, &made).await;
        assert!(is_refused(&answer), "{answer:?}");
    }
    assert_unchanged(place, &before, "outside a folder").await;
}

/// Never a policy that opens more because what it should name does not fit.
pub async fn a_key_that_does_not_fit_into_a_policy_is_refused_in_words<P: Place>(place: &P) {
    for name in ["*".repeat(1_024), "\u{6587}".repeat(341)] {
        let scope = CredentialScope::Key {
            key: key(&name),
            must_be_new: true,
        };
        let error = refusal(place.grants().credentials(scope, 60 * MINUTE)).await;
        let words = error.to_string();
        assert!(matches!(error, Error::Refused { .. }), "{words}");
        assert!(words.contains("signed URL"), "{words}");
    }
    // The longest key of plain characters does.
    let name = "k".repeat(1_024);
    let made = given(place, &name, true).await;
    let once = put(place.staging(), &name).header("if-none-match", "*");
    assert_eq!(once.by(place, &made).await.status, 200);
}

//! Buckets and their configurations.

use http::Method;

use crate::harness::{Req, Server, bucket};

fn on(method: Method, name: &str) -> Req {
    Req::new(method, "plain", "").query(name, "")
}

#[tokio::test]
async fn buckets_are_made_listed_and_removed() {
    let server = Server::start().await;
    let new = |method| Req::new(method, "new-bucket", "");
    new(Method::HEAD).send(&server).await;
    let answer = new(Method::PUT).send(&server).await;
    answer.assert_ok();
    assert_eq!(answer.header("location"), Some("/new-bucket"));
    new(Method::PUT)
        .send(&server)
        .await
        .assert_error(409, "BucketAlreadyOwnedByYou");
    let head = new(Method::HEAD).send(&server).await;
    assert_eq!(
        (head.status, head.header("x-amz-bucket-region")),
        (200, Some("us-east-1"))
    );
    let list = Req::new(Method::GET, "", "").send(&server).await;
    assert!(list.text().contains("<ListAllMyBucketsResult"));
    assert_eq!(list.elements("Name"), ["new-bucket", "plain", "versioned"]);
    let page = Req::new(Method::GET, "", "")
        .query("max-buckets", "2")
        .send(&server)
        .await;
    assert_eq!(page.elements("Name").len(), 2);
    let next = page.element("ContinuationToken").unwrap();
    let page = Req::new(Method::GET, "", "")
        .query("continuation-token", &next)
        .send(&server)
        .await;
    assert_eq!(page.elements("Name"), ["versioned"]);
    server.put("new-bucket", "a", b"x").await.assert_ok();
    new(Method::DELETE)
        .send(&server)
        .await
        .assert_error(409, "BucketNotEmpty");
    Req::new(Method::DELETE, "new-bucket", "a")
        .send(&server)
        .await
        .assert_ok();
    assert_eq!(new(Method::DELETE).send(&server).await.status, 204);
    new(Method::DELETE)
        .send(&server)
        .await
        .assert_error(404, "NoSuchBucket");
    let elsewhere = b"<CreateBucketConfiguration><LocationConstraint>eu-west-1</LocationConstraint></CreateBucketConfiguration>";
    new(Method::PUT)
        .body(elsewhere)
        .send(&server)
        .await
        .assert_error(400, "InvalidLocationConstraint");
}

#[tokio::test]
async fn versioning_is_set_and_told() {
    let server = Server::start().await;
    let set = |status: &str| {
        on(Method::PUT, "versioning").body(
            format!("<VersioningConfiguration><Status>{status}</Status></VersioningConfiguration>")
                .as_bytes(),
        )
    };
    let get = on(Method::GET, "versioning");
    assert_eq!(get.send(&server).await.element("Status"), None);
    for status in ["Enabled", "Suspended"] {
        set(status).send(&server).await.assert_ok();
        assert_eq!(get.send(&server).await.element("Status").unwrap(), status);
    }
    let put = server.put("plain", "a", b"x").await;
    assert_eq!(put.header("x-amz-version-id"), Some("null"));
    let answer = set("Sometimes").send(&server).await;
    assert_eq!(answer.status, 400);
}

#[tokio::test]
async fn what_a_bucket_does_not_have_is_said_as_s3_does() {
    let server = Server::start().await;
    for (name, status, code) in [
        ("policy", 404, "NoSuchBucketPolicy"),
        ("policyStatus", 404, "NoSuchBucketPolicy"),
        ("cors", 404, "NoSuchCORSConfiguration"),
        ("lifecycle", 404, "NoSuchLifecycleConfiguration"),
        ("tagging", 404, "NoSuchTagSet"),
        ("website", 404, "NoSuchWebsiteConfiguration"),
        ("replication", 404, "ReplicationConfigurationNotFoundError"),
        (
            "encryption",
            404,
            "ServerSideEncryptionConfigurationNotFoundError",
        ),
        ("object-lock", 404, "ObjectLockConfigurationNotFoundError"),
        (
            "publicAccessBlock",
            404,
            "NoSuchPublicAccessBlockConfiguration",
        ),
        ("inventory", 501, "NotImplemented"),
        ("session", 501, "NotImplemented"),
        ("metadataTable", 501, "NotImplemented"),
    ] {
        on(Method::GET, name)
            .send(&server)
            .await
            .assert_error(status, code);
    }
    // s3s would make or remove the bucket for these.
    for name in [
        "policy",
        "encryption",
        "website",
        "abac",
        "publicAccessBlock",
        "metadataConfiguration",
    ] {
        for method in [Method::PUT, Method::DELETE] {
            let answer = Req::new(method, "other-bucket", "")
                .query(name, "")
                .send(&server)
                .await;
            answer.assert_error(501, "NotImplemented");
            on(Method::DELETE, name)
                .send(&server)
                .await
                .assert_error(501, "NotImplemented");
        }
    }
    assert_eq!(server.depot.buckets().unwrap().len(), 2);
    let location = on(Method::GET, "location").send(&server).await;
    location.assert_ok();
    assert!(location.text().contains("LocationConstraint"));
    let ownership = on(Method::GET, "ownershipControls").send(&server).await;
    assert_eq!(
        ownership.element("ObjectOwnership").unwrap(),
        "BucketOwnerEnforced"
    );
    assert!(
        on(Method::GET, "notification")
            .send(&server)
            .await
            .text()
            .contains("<NotificationConfiguration")
    );
}

#[tokio::test]
async fn access_control_lists_are_private_and_stay_so() {
    let server = Server::start().await;
    server.put("plain", "a", b"x").await.assert_ok();
    for key in ["", "a"] {
        let acl = |method| Req::new(method, "plain", key).query("acl", "");
        let answer = acl(Method::GET).send(&server).await;
        answer.assert_ok();
        assert_eq!(answer.elements("Permission"), ["FULL_CONTROL"]);
        acl(Method::PUT)
            .header("x-amz-acl", "private")
            .send(&server)
            .await
            .assert_ok();
        acl(Method::PUT)
            .header("x-amz-acl", "public-read")
            .send(&server)
            .await
            .assert_error(400, "AccessControlListNotSupported");
        let list = b"<AccessControlPolicy><Owner><ID>a</ID></Owner><AccessControlList></AccessControlList></AccessControlPolicy>";
        acl(Method::PUT)
            .body(list)
            .send(&server)
            .await
            .assert_error(400, "AccessControlListNotSupported");
    }
}

#[tokio::test]
async fn configurations_are_kept() {
    let server = Server::start().await;
    let tagging = "<Tagging><TagSet><Tag><Key>a</Key><Value>1</Value></Tag></TagSet></Tagging>";
    for (name, document, shown) in [("tagging", tagging, "<Key>a</Key>")] {
        on(Method::PUT, name)
            .body(document.as_bytes())
            .send(&server)
            .await
            .assert_ok();
        let answer = on(Method::GET, name).send(&server).await;
        assert!(
            answer.assert_ok().text().contains(shown),
            "{}",
            answer.text()
        );
        on(Method::PUT, name)
            .body(b"<Other>")
            .send(&server)
            .await
            .assert_error(400, "MalformedXML");
    }
    assert_eq!(
        on(Method::DELETE, "tagging").send(&server).await.status,
        204
    );
    on(Method::GET, "tagging")
        .send(&server)
        .await
        .assert_error(404, "NoSuchTagSet");
}

fn lifecycle(rule: &str) -> Vec<u8> {
    format!(
        "<LifecycleConfiguration><Rule><ID>r</ID><Filter><Prefix></Prefix></Filter>\
         <Status>Enabled</Status>{rule}</Rule></LifecycleConfiguration>"
    )
    .into_bytes()
}

#[tokio::test]
async fn no_lifecycle_rule_may_expire_what_is_in_staging() {
    let server = Server::start_with(|config| config.staging_buckets = vec![bucket("plain")]).await;
    let abort = "<AbortIncompleteMultipartUpload><DaysAfterInitiation>7</DaysAfterInitiation></AbortIncompleteMultipartUpload>";
    let expiring = [
        "<Expiration><Days>1</Days></Expiration>",
        "<Expiration><Date>2030-01-01T00:00:00Z</Date></Expiration>",
        "<NoncurrentVersionExpiration><NoncurrentDays>1</NoncurrentDays></NoncurrentVersionExpiration>",
    ];
    for rule in expiring {
        let put = |name| {
            Req::new(Method::PUT, name, "")
                .query("lifecycle", "")
                .body(&lifecycle(rule))
        };
        let answer = put("plain").send(&server).await;
        answer.assert_error(400, "InvalidRequest");
        assert!(answer.text().contains("staging"), "{}", answer.text());
        put("versioned")
            .send(&server)
            .await
            .assert_error(501, "NotImplemented");
    }
    let put = |rule| on(Method::PUT, "lifecycle").body(&lifecycle(rule));
    put(abort).send(&server).await.assert_ok();
    let answer = on(Method::GET, "lifecycle").send(&server).await;
    assert_eq!(answer.element("DaysAfterInitiation").unwrap(), "7");
    // What would not be run as it is written is not kept.
    for (filter, rule, code) in [
        (
            "<Filter><Tag><Key>a</Key><Value>b</Value></Tag></Filter>",
            abort,
            "InvalidRequest",
        ),
        (
            "<Filter><ObjectSizeGreaterThan>5</ObjectSizeGreaterThan></Filter>",
            abort,
            "InvalidRequest",
        ),
        (
            "<Filter><ObjectSizeLessThan>5</ObjectSizeLessThan></Filter>",
            abort,
            "InvalidRequest",
        ),
        (
            "<Filter><And><Prefix>a</Prefix><Tag><Key>a</Key><Value>b</Value></Tag></And></Filter>",
            abort,
            "InvalidRequest",
        ),
        (
            "<Prefix>a</Prefix><Filter><Prefix>a</Prefix></Filter>",
            abort,
            "MalformedXML",
        ),
        ("<Filter><Prefix>a</Prefix></Filter>", "", "MalformedXML"),
        (
            "<Filter><Prefix>a</Prefix></Filter>",
            "<AbortIncompleteMultipartUpload></AbortIncompleteMultipartUpload>",
            "MalformedXML",
        ),
        (
            "<Filter><Prefix>a</Prefix></Filter>",
            "<AbortIncompleteMultipartUpload><DaysAfterInitiation>0</DaysAfterInitiation></AbortIncompleteMultipartUpload>",
            "InvalidArgument",
        ),
    ] {
        for name in ["plain", "versioned"] {
            let document = format!(
                "<LifecycleConfiguration><Rule>{filter}<Status>Enabled</Status>{rule}</Rule></LifecycleConfiguration>"
            );
            let answer = Req::new(Method::PUT, name, "")
                .query("lifecycle", "")
                .body(document.as_bytes())
                .send(&server)
                .await;
            assert_eq!(
                (answer.status, &*answer.code()),
                (400, code),
                "{document}: {}",
                answer.text()
            );
        }
    }
    let transition = "<Transition><Days>1</Days><StorageClass>GLACIER</StorageClass></Transition>";
    put(transition)
        .send(&server)
        .await
        .assert_error(501, "NotImplemented");
    assert_eq!(
        on(Method::DELETE, "lifecycle").send(&server).await.status,
        204
    );
    let suspend = b"<VersioningConfiguration><Status>Suspended</Status></VersioningConfiguration>";
    let answer = on(Method::PUT, "versioning")
        .body(suspend)
        .send(&server)
        .await;
    answer.assert_error(409, "InvalidBucketState");
}

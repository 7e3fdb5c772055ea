//! Lists and their pages.

use http::Method;

use crate::harness::{Answer, Req, Server};

async fn filled() -> Server {
    let server = Server::start().await;
    for key in ["a", "b/1", "b/2", "c d", "d/1", "e"] {
        server.put("plain", key, b"x").await.assert_ok();
    }
    server
}

fn list(query: &[(&str, &str)]) -> Req {
    let mut request = Req::new(Method::GET, "plain", "");
    for (name, value) in query {
        request = request.query(name, value);
    }
    request
}

fn keys(answer: &Answer) -> Vec<String> {
    answer.assert_ok();
    answer.elements("Key")
}

fn prefixes(answer: &Answer) -> Vec<String> {
    answer
        .elements("CommonPrefixes")
        .iter()
        .flat_map(|inner| crate::harness::elements(inner, "Prefix"))
        .collect()
}

#[tokio::test]
async fn version_2_pages_by_opaque_tokens() {
    let server = filled().await;
    let mut found = Vec::new();
    let mut token: Option<String> = None;
    let mut pages = 0;
    loop {
        let mut request = list(&[("list-type", "2"), ("max-keys", "2"), ("delimiter", "/")]);
        if let Some(token) = &token {
            request = request.query("continuation-token", token);
        }
        let answer = request.send(&server).await;
        assert!(answer.text().contains("<ListBucketResult"));
        found.extend(keys(&answer));
        found.extend(prefixes(&answer));
        let count: usize = answer.element("KeyCount").unwrap().parse().unwrap();
        assert!(count <= 2);
        pages += 1;
        token = answer.element("NextContinuationToken");
        assert_eq!(
            answer.element("IsTruncated").unwrap(),
            token.is_some().to_string()
        );
        if token.is_none() {
            break;
        }
    }
    assert_eq!((found.join(" "), pages), ("a b/ c d d/ e".into(), 3));
    for token in ["a", "!", "", "MTo_"] {
        let answer = list(&[("list-type", "2"), ("continuation-token", token)])
            .send(&server)
            .await;
        if token != "MTo_" {
            answer.assert_error(400, "InvalidArgument");
        }
    }
}

#[tokio::test]
async fn version_1_pages_by_markers() {
    let server = filled().await;
    let first = list(&[("max-keys", "2"), ("delimiter", "/")])
        .send(&server)
        .await;
    assert_eq!(
        (keys(&first), prefixes(&first)),
        (vec!["a".into()], vec!["b/".into()])
    );
    let marker = first.element("NextMarker").unwrap();
    assert_eq!(marker, "b/");
    let second = list(&[("max-keys", "2"), ("delimiter", "/"), ("marker", &marker)])
        .send(&server)
        .await;
    assert_eq!(
        (keys(&second), prefixes(&second)),
        (vec!["c d".into()], vec!["d/".into()])
    );
    let third = list(&[("marker", "d/1")]).send(&server).await;
    assert_eq!(keys(&third), ["e"]);
    assert_eq!(third.element("IsTruncated").unwrap(), "false");
    assert!(third.element("Owner").is_some());
}

#[tokio::test]
async fn prefixes_limits_and_encodings_are_held() {
    let server = filled().await;
    let version_2 = |more: &[(&str, &str)]| {
        let mut query = vec![("list-type", "2")];
        query.extend_from_slice(more);
        list(&query)
    };
    assert_eq!(
        keys(&version_2(&[("prefix", "b/")]).send(&server).await),
        ["b/1", "b/2"]
    );
    assert_eq!(
        keys(&version_2(&[("start-after", "c d")]).send(&server).await),
        ["d/1", "e"]
    );
    let encoded = version_2(&[("encoding-type", "url"), ("prefix", "c d")])
        .send(&server)
        .await;
    assert_eq!(keys(&encoded), ["c%20d"]);
    assert_eq!(encoded.element("Prefix").unwrap(), "c%20d");
    assert_eq!(encoded.element("EncodingType").unwrap(), "url");
    let none = version_2(&[("max-keys", "0")]).send(&server).await;
    assert!(keys(&none).is_empty());
    assert_eq!(none.element("IsTruncated").unwrap(), "false");
    let most = version_2(&[("max-keys", "100000")]).send(&server).await;
    assert_eq!(most.element("MaxKeys").unwrap(), "1000");
    for bad in [
        ("max-keys", "-1"),
        ("max-keys", "x"),
        ("encoding-type", "xml"),
    ] {
        let answer = version_2(&[bad]).send(&server).await;
        assert_eq!(answer.status, 400, "{bad:?}: {}", answer.text());
    }
    Req::new(Method::GET, "nowhere", "")
        .send(&server)
        .await
        .assert_error(404, "NoSuchBucket");
}

#[tokio::test]
async fn versions_are_listed_newest_first_with_their_markers() {
    let server = Server::start().await;
    let mut ids = Vec::new();
    for body in [b"1", b"2"] {
        let answer = server.put("versioned", "a", body).await;
        ids.push(answer.header("x-amz-version-id").unwrap().to_owned());
    }
    Req::new(Method::DELETE, "versioned", "a")
        .send(&server)
        .await
        .assert_ok();
    server.put("versioned", "b", b"3").await.assert_ok();
    let versions = |query: &[(&str, &str)]| {
        let mut request = Req::new(Method::GET, "versioned", "").query("versions", "");
        for (name, value) in query {
            request = request.query(name, value);
        }
        request
    };
    let answer = versions(&[]).send(&server).await;
    assert!(answer.text().contains("<ListVersionsResult"));
    let listed = answer.elements("Version");
    assert_eq!(listed.len(), 3);
    assert!(listed[0].contains(&ids[1]) && listed[1].contains(&ids[0]));
    let markers = answer.elements("DeleteMarker");
    assert_eq!(markers.len(), 1);
    assert!(markers[0].contains("<IsLatest>true</IsLatest>"));
    let mut query: Vec<(String, String)> = vec![("max-keys".into(), "1".into())];
    let mut seen = 0;
    loop {
        let borrowed: Vec<_> = query.iter().map(|(n, v)| (&**n, &**v)).collect();
        let page = versions(&borrowed).send(&server).await;
        page.assert_ok();
        seen += page.elements("VersionId").len();
        if page.element("IsTruncated").unwrap() == "false" {
            break;
        }
        query.truncate(1);
        query.push(("key-marker".into(), page.element("NextKeyMarker").unwrap()));
        query.push((
            "version-id-marker".into(),
            page.element("NextVersionIdMarker").unwrap(),
        ));
    }
    assert_eq!(seen, 4);
    versions(&[("version-id-marker", "x")])
        .send(&server)
        .await
        .assert_error(400, "InvalidArgument");
}

//! A call as the gateway tells of it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use http::header::COOKIE;
use http::uri::PathAndQuery;
use http::{HeaderName, HeaderValue, Request, Uri};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use serde_json::{Map, Value};
use two_buckets_uploads::{ClaimName, Signing, Vouched};

/// What cannot stand in a query as it is (RFC 3986, section 3.4). A `%` is left: the query comes encoded.
const NOT_IN_QUERY: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'<').add(b'>').add(b'#');
/// What cannot stand in a path as it is (RFC 3986, section 3.3).
const NOT_IN_PATH: &AsciiSet = &NOT_IN_QUERY
    .add(b'?')
    .add(b'`')
    .add(b'{')
    .add(b'}')
    .add(b'^')
    .add(b'|')
    .add(b'\\');
/// And in one that was decoded, where a `%` is one.
const NOT_IN_DECODED_PATH: &AsciiSet = &NOT_IN_PATH.add(b'%');

/// The function was called with what neither an HTTP API nor a function URL sends.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("this is no call of an HTTP API or a function URL in payload format 2.0: {0}")]
pub struct NotACall(&'static str);

/// The request that an event tells of, with what the gateway vouches for in its extensions. `lists` is a claim of which
/// the value may be a list.
pub(super) fn request(
    event: &Value,
    signing: Signing,
    lists: Option<&ClaimName>,
) -> Result<Request<Bytes>, NotACall> {
    if event["version"] != "2.0" {
        return Err(NotACall("its version is not 2.0"));
    }
    let context = &event["requestContext"];
    let method = context["http"]["method"]
        .as_str()
        .ok_or(NotACall("it has no method"))?;
    let mut request = Request::builder()
        .method(method)
        .uri(uri(event)?)
        .body(body(event)?)
        .map_err(|_| NotACall("its method is none"))?;
    let headers = request.headers_mut();
    for (name, value) in event["headers"].as_object().into_iter().flatten() {
        let value = value.as_str().ok_or(NotACall("a header is no text"))?;
        let (Ok(name), Ok(value)) = (
            HeaderName::try_from(name.as_str()),
            HeaderValue::from_bytes(value.as_bytes()),
        ) else {
            return Err(NotACall("a header cannot be one"));
        };
        headers.append(name, value);
    }
    let cookies: Vec<&str> = event["cookies"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    if !cookies.is_empty() {
        let cookies = HeaderValue::from_bytes(cookies.join("; ").as_bytes());
        headers.insert(
            COOKIE,
            cookies.map_err(|_| NotACall("a cookie cannot be one"))?,
        );
    }
    if let Some(vouched) = vouched(&context["authorizer"], signing, lists) {
        request.extensions_mut().insert(vouched);
    }
    Ok(request)
}

fn uri(event: &Value) -> Result<Uri, NotACall> {
    let context = &event["requestContext"];
    let path = event["rawPath"]
        .as_str()
        .filter(|path| path.starts_with('/'))
        .ok_or(NotACall("it has no path"))?;
    // A function URL passes a path on as it came; an HTTP API decodes it first.
    let is_encoded = context["domainName"]
        .as_str()
        .is_some_and(|domain| domain.contains(".lambda-url."));
    let set = if is_encoded {
        NOT_IN_PATH
    } else {
        NOT_IN_DECODED_PATH
    };
    let path = without_stage(path, context["stage"].as_str().unwrap_or_default());
    let mut text = utf8_percent_encode(path, set).to_string();
    if let Some(query) = event["rawQueryString"].as_str().filter(|it| !it.is_empty()) {
        text.push('?');
        text.extend(utf8_percent_encode(query, NOT_IN_QUERY));
    }
    let text = PathAndQuery::try_from(text).map_err(|_| NotACall("its path is none"))?;
    Ok(Uri::from(text))
}

/// A stage that is not the default one stands in front of the path.
fn without_stage<'a>(path: &'a str, stage: &str) -> &'a str {
    if stage.is_empty() || stage == "$default" {
        return path;
    }
    let rest = path
        .strip_prefix('/')
        .and_then(|path| path.strip_prefix(stage));
    match rest {
        Some("") => "/",
        Some(rest) if rest.starts_with('/') => rest,
        _ => path,
    }
}

fn body(event: &Value) -> Result<Bytes, NotACall> {
    let Some(body) = event["body"].as_str() else {
        return Ok(Bytes::new());
    };
    if event["isBase64Encoded"] != true {
        return Ok(Bytes::from(body.to_owned()));
    }
    let body = BASE64
        .decode(body)
        .map_err(|_| NotACall("its body is no base64"))?;
    Ok(Bytes::from(body))
}

fn vouched(authorizer: &Value, signing: Signing, lists: Option<&ClaimName>) -> Option<Vouched> {
    match signing {
        Signing::Token => {
            let mut claims = authorizer["jwt"]["claims"].as_object()?.clone();
            if let Some(lists) = lists {
                make_list(&mut claims, &lists.to_string());
            }
            Some(Vouched::Claims(claims))
        }
        Signing::Iam => {
            let name = |field: &str| {
                authorizer["iam"][field]
                    .as_str()
                    .filter(|it| !it.is_empty())
            };
            let name = name("userArn").or_else(|| name("userId"))?;
            Some(Vouched::Iam(name.to_owned()))
        }
    }
}

/// API Gateway writes a list as the text `[one two]`.
fn make_list(claims: &mut Map<String, Value>, name: &str) {
    let Some(Value::String(text)) = claims.get(name) else {
        return;
    };
    let inner = text.strip_prefix('[').and_then(|it| it.strip_suffix(']'));
    if let Some(inner) = inner {
        let list = inner.split_ascii_whitespace().map(Into::into).collect();
        claims.insert(name.to_owned(), Value::Array(list));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn event(changes: Value) -> Value {
        let mut event = json!({
            "version": "2.0",
            "routeKey": "ANY /api/{proxy+}",
            "rawPath": "/api/uploads",
            "rawQueryString": "",
            "headers": {"host": "abc123.execute-api.eu-central-1.amazonaws.com"},
            "requestContext": {
                "domainName": "abc123.execute-api.eu-central-1.amazonaws.com",
                "http": {"method": "GET", "path": "/api/uploads"},
                "stage": "$default"
            },
            "isBase64Encoded": false
        });
        merge(&mut event, changes);
        event
    }

    fn merge(into: &mut Value, changes: Value) {
        match (into, changes) {
            (Value::Object(into), Value::Object(changes)) => {
                for (name, change) in changes {
                    merge(into.entry(name).or_insert(Value::Null), change);
                }
            }
            (into, changes) => *into = changes,
        }
    }

    fn read(changes: Value) -> Request<Bytes> {
        request(&event(changes), Signing::Token, None).unwrap()
    }

    #[test]
    fn paths_come_through_whoever_decoded_them_and_whatever_the_stage() {
        let of_url = "abc.lambda-url.eu-central-1.on.aws";
        for (path, stage, domain, uri) in [
            ("/api/uploads", "$default", "x", "/api/uploads"),
            ("/prod/api/uploads", "prod", "x", "/api/uploads"),
            ("/prod/", "prod", "x", "/"),
            ("/prod", "prod", "x", "/"),
            ("/production/api", "prod", "x", "/production/api"),
            ("/api/uploads", "prod", "x", "/api/uploads"),
            // An HTTP API decodes paths.
            (
                "/api/a b+ü/100%25",
                "$default",
                "x",
                "/api/a%20b+%C3%BC/100%2525",
            ),
            ("/api/x?y#z{}", "$default", "x", "/api/x%3Fy%23z%7B%7D"),
            ("//evil.example/api", "$default", "x", "//evil.example/api"),
            ("/api/../api", "$default", "x", "/api/../api"),
            // A function URL does not.
            ("/api/a%20b%2F%25", "$default", of_url, "/api/a%20b%2F%25"),
            ("/api/ü", "$default", of_url, "/api/%C3%BC"),
        ] {
            let request = read(json!({
                "rawPath": path,
                "requestContext": {"stage": stage, "domainName": domain}
            }));
            assert_eq!(request.uri().to_string(), uri, "{path}");
            assert_eq!(request.uri().authority(), None, "{path}");
        }
    }

    #[test]
    fn queries_headers_cookies_and_bodies_come_through_unharmed() {
        let request = read(json!({
            "rawQueryString": "key=a%20b%2B%C3%BC%2F%252F&q=1&q=2&empty=&odd=a b\"ü",
            "headers": {"x-many": "one,two", "x-umlaut": "ü"},
            "cookies": ["a=1", "b=2"],
            "requestContext": {"http": {"method": "POST"}},
            "body": "AP8=",
            "isBase64Encoded": true
        }));
        assert_eq!(
            request.uri().query(),
            Some("key=a%20b%2B%C3%BC%2F%252F&q=1&q=2&empty=&odd=a%20b%22%C3%BC")
        );
        assert_eq!(request.method(), "POST");
        assert_eq!(request.headers()["x-many"], "one,two");
        assert_eq!(request.headers()["x-umlaut"].as_bytes(), "ü".as_bytes());
        assert_eq!(request.headers()["cookie"], "a=1; b=2");
        assert_eq!(request.body().as_ref(), [0, 255]);
        let plain = read(json!({"body": "{\"ü\": 1}"}));
        assert_eq!(plain.body().as_ref(), "{\"ü\": 1}".as_bytes());
    }

    #[test]
    fn a_caller_is_who_the_authorizer_says_and_only_the_one_that_counts() {
        let jwt =
            json!({"claims": {"sub": "u1", "roles": "[files-admin other]", "prefix": "[a b]"}});
        let iam = json!({"userArn": "arn:aws:sts::1:assumed-role/r/s", "userId": "AROA:s"});
        let roles: ClaimName = "roles".parse().unwrap();
        let of = |authorizer: Value, signing| {
            let event = event(json!({"requestContext": {"authorizer": authorizer}}));
            let request = request(&event, signing, Some(&roles)).unwrap();
            request.extensions().get::<Vouched>().cloned()
        };
        let claims = json!({"sub": "u1", "roles": ["files-admin", "other"], "prefix": "[a b]"});
        assert!(
            of(json!({"jwt": jwt}), Signing::Token)
                == Some(Vouched::Claims(claims.as_object().unwrap().clone()))
        );
        let name = "arn:aws:sts::1:assumed-role/r/s".to_owned();
        assert!(of(json!({"iam": iam}), Signing::Iam) == Some(Vouched::Iam(name)));
        assert!(of(json!({"iam": iam}), Signing::Token).is_none());
        assert!(of(json!({"jwt": jwt}), Signing::Iam).is_none());
        assert!(of(json!({"iam": {"userArn": ""}}), Signing::Iam).is_none());
        assert!(of(json!(null), Signing::Iam).is_none());
        assert!(of(json!({"lambda": {"sub": "u1"}}), Signing::Token).is_none());
    }

    #[test]
    fn what_no_gateway_sends_is_refused() {
        for changes in [
            json!({"version": "1.0"}),
            json!({"rawPath": "api"}),
            json!({"rawPath": null}),
            json!({"requestContext": {"http": {"method": "NO METHOD"}}}),
            json!({"requestContext": {"http": null}}),
            json!({"body": "%", "isBase64Encoded": true}),
            json!({"headers": {"x": "a\nb"}}),
            json!({"headers": {"a b": "c"}}),
            json!({"headers": {"x": 1}}),
        ] {
            let event = event(changes.clone());
            assert!(request(&event, Signing::Iam, None).is_err(), "{changes}");
        }
        assert!(request(&json!(null), Signing::Iam, None).is_err());
        assert!(request(&json!({"Records": []}), Signing::Iam, None).is_err());
    }
}

//! `openapi.json` and the routes must tell the same: the page's client is made from it.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use two_buckets_uploads::{OPENAPI, ROUTES, UploadState};

use crate::shelf::{get, post, request, send, service};

fn description() -> Value {
    serde_json::from_str(OPENAPI).expect("openapi.json is JSON")
}

#[test]
fn every_route_is_described_and_nothing_else_is() {
    let served: BTreeSet<(String, String)> = ROUTES
        .iter()
        .map(|(method, path)| (path.to_string(), method.to_lowercase()))
        .collect();
    let description = description();
    let paths = description["paths"].as_object().expect("paths");
    let described: BTreeSet<(String, String)> = paths
        .iter()
        .flat_map(|(path, methods)| {
            let methods = methods.as_object().expect("methods");
            methods.keys().map(|method| (path.clone(), method.clone()))
        })
        .collect();
    assert_eq!(served, described);
}

#[tokio::test]
async fn every_described_address_is_served() {
    let (app, _) = service();
    for (method, path) in ROUTES {
        if *path == "/api/events" {
            // It does not end by itself; how it is served is tested where it is read.
            continue;
        }
        let uri = path
            .replace("{id}", "f1")
            .replace("{upload_id}", "u1")
            .replace("{part_number}", "1");
        let answer = send(&app, request(method, &uri, &[], b"")).await;
        assert!(
            !matches!(answer.status.as_u16(), 404 | 405),
            "{method} {path}: {}",
            answer.status
        );
    }
    assert_eq!(get(&app, "/api/openapi.json").await.json(), description());
}

#[tokio::test]
async fn answers_have_exactly_the_described_fields() {
    let (app, _) = service();
    let signed = json!({"filename": "a", "type": "text/plain", "size": 1}).to_string();
    for (name, answer) in [
        ("Server", get(&app, "/api/server").await),
        ("UploadPage", get(&app, "/api/uploads?limit=2").await),
        ("UploadPage", get(&app, "/api/uploads").await),
        ("UploadHistory", get(&app, "/api/uploads/a0").await),
        ("UploadHistory", get(&app, "/api/uploads/f1").await),
        ("UploadHistory", get(&app, "/api/uploads/p2").await),
        ("Upload", post(&app, "/api/uploads/f1/retry", "").await),
        ("Upload", post(&app, "/api/uploads/p2/cancel", "").await),
        ("Retried", post(&app, "/api/retry", r#"{"all":true}"#).await),
        (
            "Replayed",
            post(&app, "/api/replay", r#"{"prefix":""}"#).await,
        ),
        (
            "Replayed",
            post(&app, "/api/replay", r#"{"prefix":"a","dry_run":true}"#).await,
        ),
        ("UploadHistory", get(&app, "/api/uploads/e4").await),
        ("Swept", post(&app, "/api/sweep", "").await),
        (
            "Processing",
            post(&app, "/api/pause", r#"{"reason":"a"}"#).await,
        ),
        ("UploadPage", get(&app, "/api/uploads").await),
        ("Server", get(&app, "/api/server").await),
        ("Processing", post(&app, "/api/resume", "").await),
        ("SignedUrl", post(&app, "/api/signedurl", &signed).await),
        (
            "SignedUrl",
            post(&app, "/api/signedurl", r#"{"key":"a"}"#).await,
        ),
        ("Credentials", post(&app, "/api/credentials", &signed).await),
        ("Form", post(&app, "/api/form", &signed).await),
        ("Form", post(&app, "/api/form", "{}").await),
        ("Form", get(&app, "/api/s3/params?filename=a").await),
        (
            "SignedRequest",
            post(&app, "/api/s3/sign", r#"{"method":"PUT","key":"a"}"#).await,
        ),
        ("Sts", get(&app, "/api/s3/sts").await),
        ("Multipart", post(&app, "/api/s3/multipart", &signed).await),
        (
            "PartUrl",
            get(&app, "/api/s3/multipart/upload%2F0/1?key=a").await,
        ),
        ("Completed", completed(&app).await),
        (
            "Nothing",
            send(
                &app,
                request("DELETE", "/api/s3/multipart/u?key=a", &[], b""),
            )
            .await,
        ),
        ("Faults", crate::faults::one().await),
        ("Notifications", crate::notifications::one().await),
        ("Problem", get(&app, "/api/uploads/nobody").await),
    ] {
        let description = description();
        let schema = &description["components"]["schemas"][name];
        assert!(schema.is_object(), "{name} is described");
        if let Err(difference) = conforms(&answer.json(), schema, &description) {
            panic!("{name}: {difference}");
        }
    }
}

/// Begins an upload, sends a part, sees it listed as described, and completes it.
async fn completed(app: &axum::Router) -> crate::shelf::Answer {
    let (alone, shelf) = service();
    let begun = post(&alone, "/api/s3/multipart", r#"{"key":"a"}"#).await;
    let id = begun.json()["uploadId"].as_str().expect("an id").to_owned();
    shelf.receive(&id, 1, "etag1", 5);
    let base = format!("/api/s3/multipart/{}", id.replace('/', "%2F"));
    let parts = get(&alone, &format!("{base}?key=a")).await.json();
    let description = description();
    let schema = &description["components"]["schemas"]["Part"];
    conforms(&parts[0], schema, &description).expect("a part as described");
    assert_eq!(get(app, &format!("{base}?key=a")).await.status, 404);
    let parts = r#"{"parts":[{"PartNumber":1,"ETag":"etag1"}]}"#;
    post(&alone, &format!("{base}/complete?key=a"), parts).await
}

#[test]
fn the_described_states_are_the_states() {
    let description = description();
    let described = &description["components"]["schemas"]["State"]["enum"];
    let states: Vec<&str> = UploadState::ALL.iter().map(|state| state.name()).collect();
    assert_eq!(*described, json!(states));
}

#[test]
fn every_reference_leads_somewhere() {
    fn references<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
        match value {
            Value::Object(fields) => {
                if let Some(target) = fields.get("$ref").and_then(Value::as_str) {
                    found.push(target);
                }
                fields.values().for_each(|value| references(value, found));
            }
            Value::Array(items) => items.iter().for_each(|value| references(value, found)),
            _ => {}
        }
    }
    let description = description();
    let mut found = Vec::new();
    references(&description, &mut found);
    assert!(!found.is_empty());
    for target in found {
        let pointer = target.strip_prefix('#').expect("a local reference");
        assert!(description.pointer(pointer).is_some(), "{target}");
    }
}

/// Compares a value with a schema: as much of JSON Schema as `openapi.json` uses for answers.
/// Stricter in one place: a field that is not described is a difference.
fn conforms(value: &Value, schema: &Value, root: &Value) -> Result<(), String> {
    if let Some(target) = schema["$ref"].as_str() {
        let schema = root
            .pointer(&target[1..])
            .ok_or(format!("{target} is missing"))?;
        return conforms(value, schema, root);
    }
    if let Some(choices) = schema["oneOf"].as_array() {
        let fitting = choices
            .iter()
            .filter(|choice| conforms(value, choice, root).is_ok());
        return match fitting.count() {
            1 => Ok(()),
            n => Err(format!("{n} of the choices fit {value}")),
        };
    }
    let types: Vec<&str> = match &schema["type"] {
        Value::String(one) => vec![one],
        Value::Array(several) => several.iter().filter_map(Value::as_str).collect(),
        other => return Err(format!("no type: {other}")),
    };
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    if !types.contains(&kind) {
        return Err(format!("{value} is {kind}, described as {types:?}"));
    }
    if let Some(allowed) = schema["enum"].as_array()
        && !allowed.contains(value)
    {
        return Err(format!("{value} is none of {allowed:?}"));
    }
    if let Some(only) = schema.get("const")
        && only != value
    {
        return Err(format!("{value} is not {only}"));
    }
    if let Value::Array(items) = value {
        return items
            .iter()
            .try_for_each(|item| conforms(item, &schema["items"], root));
    }
    if let Value::Object(fields) = value {
        for required in schema["required"].as_array().into_iter().flatten() {
            let name = required.as_str().expect("a name");
            if !fields.contains_key(name) {
                return Err(format!("{name} is missing"));
            }
        }
        for (name, field) in fields {
            let known = &schema["properties"][name];
            let other = &schema["additionalProperties"];
            // An object without described fields, such as a report, may have any.
            let open = schema.get("properties").is_none() && other.is_null();
            match (known.is_object(), other.is_object(), open) {
                (true, _, _) => conforms(field, known, root).map_err(|e| format!("{name}: {e}"))?,
                (_, true, _) => conforms(field, other, root).map_err(|e| format!("{name}: {e}"))?,
                (_, _, true) => {}
                _ => return Err(format!("{name} is not described")),
            }
        }
    }
    Ok(())
}

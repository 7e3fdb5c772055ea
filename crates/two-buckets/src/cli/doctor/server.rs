//! The server on this machine.

use bytes::Bytes;
use http::Request;
use serde_json::Value;

use super::check::{Check, Verdict};
use super::uploads;
use crate::cli::api::{Api, in_memory};
use crate::cli::{faults, notifications};

pub(super) async fn look(api: &Api) -> Vec<Check> {
    let server = server(api).await;
    let answers = server.verdict != Verdict::Wrong;
    let mut checks = vec![server];
    if !answers {
        return checks;
    }
    checks.push(s3(api).await);
    checks.extend(uploads::look(api).await);
    if let (_, Some(on)) = faults::of_server(api).await {
        checks.push(Check::new(
            "faults",
            Verdict::Look,
            on.trim_end(),
            "two-buckets faults off",
        ));
    }
    if let (_, Some(undelivered)) = notifications::of_server(api).await {
        checks.push(Check::new(
            "notifications",
            Verdict::Look,
            undelivered.trim_end().replace('\n', "; "),
            "look at who should take them",
        ));
    }
    checks
}

async fn server(api: &Api) -> Check {
    match api.get("/api/server").await {
        Ok(facts) => {
            let ours = env!("CARGO_PKG_VERSION");
            match facts.get("version").and_then(Value::as_str) {
                Some(theirs) if theirs != ours => Check::new(
                    "server",
                    Verdict::Look,
                    format!("answers; it is version {theirs}, and this program {ours}"),
                    "use the program that runs the server",
                ),
                _ => Check::well("server", format!("answers; version {ours}")),
            }
        }
        Err(failure) => Check::new(
            "server",
            Verdict::Wrong,
            failure.to_string(),
            "look at its log",
        ),
    }
}

/// Whatever it answers to a stranger, it answers.
async fn s3(api: &Api) -> Check {
    let origin = api.s3().origin;
    let request = Request::get(format!("{origin}/")).body(in_memory(Bytes::new()));
    let failure = match request {
        Ok(request) => match api.http.request(request).await {
            Ok(_) => return Check::well("S3", format!("answers at {origin}")),
            Err(error) => crate::failure::causes(&error),
        },
        Err(error) => error.to_string(),
    };
    Check::new(
        "S3",
        Verdict::Wrong,
        format!("does not answer at {origin}: {failure}"),
        "look at the server's log",
    )
}

use serde_json::json;

use super::api::Api;
use super::meaning::Output;
use super::print;
use crate::config::{Environment, Settings};
use crate::failure::Failure;
use crate::root_key::RootKey;
use crate::shell::quoted;

/// Prints the exports that point AWS tools at the running server.
pub(super) fn run(
    output: Output,
    settings: &Settings,
    environment: &Environment,
) -> Result<(), Failure> {
    if settings.is_on_aws() {
        return Err(Failure::usage(
            "a deployment on AWS is named, and AWS tools need no exports for it: region and credentials are theirs already",
        ));
    }
    let api = Api::of_server(settings)?;
    let server = api.server().expect("it was just found");
    let record = server.record();
    let key = root_key_of(&record.access_key_id, settings, environment)?;
    let certificate_file = record
        .certificate_file
        .as_deref()
        .map(|file| {
            file.to_str().ok_or_else(|| {
                Failure::failed(format!(
                    "the path of the certificate, {}, is not UTF-8, which AWS_CA_BUNDLE must be",
                    file.display()
                ))
            })
        })
        .transpose()?;
    let mut variables = vec![
        ("AWS_ENDPOINT_URL_S3", record.s3.as_str()),
        ("AWS_ACCESS_KEY_ID", key.access_key_id.as_str()),
        ("AWS_SECRET_ACCESS_KEY", key.secret_access_key.as_str()),
        ("AWS_REGION", record.region.as_str()),
        // Some tools (boto3, s3cmd) only read the older name.
        ("AWS_DEFAULT_REGION", record.region.as_str()),
    ];
    // The endpoint is an address of this machine, whose certificate no public authority signs.
    variables.extend(certificate_file.map(|file| ("AWS_CA_BUNDLE", file)));
    match output {
        Output::Program => {
            let values: serde_json::Map<_, _> = variables
                .into_iter()
                .map(|(name, value)| (name.to_owned(), json!(value)))
                .collect();
            print::json(&values.into())
        }
        Output::Person => {
            use std::fmt::Write as _;
            let mut text = String::new();
            for (name, value) in variables {
                writeln!(text, "export {name}={}", quoted(value))
                    .expect("writing to a String cannot fail");
            }
            // A session token of another account would be sent along and refused.
            text.push_str("unset AWS_SESSION_TOKEN AWS_PROFILE\n");
            print::text(&text)
        }
    }
}

/// The key pair that the running server takes.
pub(super) fn root_key_of(
    access_key_id: &str,
    settings: &Settings,
    environment: &Environment,
) -> Result<RootKey, Failure> {
    RootKey::find(&settings.data.value, environment)?
        .filter(|key| key.access_key_id == access_key_id)
        .ok_or_else(|| {
            Failure::failed(
                "the server took its key pair from its environment; set TWO_BUCKETS_ACCESS_KEY_ID and TWO_BUCKETS_SECRET_ACCESS_KEY here as well",
            )
        })
}

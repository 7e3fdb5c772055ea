use serde_json::json;
use two_buckets_objects::Key;

use super::absent::no_upload_of;
use super::api::Api;
use super::logs::by_id;
use super::meaning::{Named, Output, Status};
use super::print;
use super::status::{encoded, uploads};
use super::wire::{Upload, read};
use crate::config::Settings;
use crate::failure::Failure;

/// Gives up uploads that jobs have or will have.
pub(super) async fn run(named: &Named, output: Output, settings: &Settings) -> Result<(), Failure> {
    let api = Api::find(settings).await?;
    let ids = match named {
        Named::Id(id) => vec![id.clone()],
        Named::KeyOrId(key) => meant(&api, key).await?,
    };
    let mut cancelled = 0_u64;
    let mut refused = None;
    for id in ids {
        let path = format!("/api/uploads/{}/cancel", encoded(&id));
        match api.post(&path, &json!({})).await {
            Ok(_) => cancelled += 1,
            // It may just have ended; the others go on nevertheless.
            Err(failure) => refused = refused.or(Some(failure)),
        }
    }
    if cancelled == 0
        && let Some(failure) = refused
    {
        return Err(failure);
    }
    match output {
        Output::Program => print::json(&json!({"cancelled": cancelled}))?,
        Output::Person => {
            print::text(&format!("{} cancelled\n", print::count(cancelled, "job")))?;
        }
    }
    refused.map_or(Ok(()), Err)
}

/// The ids of a key's unfinished jobs, the newest first, so that none begins when the one before it is cancelled. Where
/// there are none, the key's latest upload, of which the server says why it cannot be cancelled; without an upload of
/// the key, the key as an id.
async fn meant(api: &Api, key: &Key) -> Result<Vec<String>, Failure> {
    let of_key = Status {
        key: Some(key.clone()),
        state: None,
        limit: usize::MAX,
        output: Output::Program,
    };
    let (found, _, _) = uploads(api, &of_key).await?;
    let found: Vec<Upload> = found.into_iter().map(read).collect::<Result<_, _>>()?;
    let jobs = found.iter().filter(|upload| upload.is_unfinished_job());
    let jobs: Vec<_> = jobs.map(|job| job.id.clone()).collect();
    if !jobs.is_empty() {
        return Ok(jobs);
    }
    match found.into_iter().next() {
        Some(latest) => Ok(vec![latest.id]),
        None => match by_id(api, key.as_str()).await {
            Ok(upload) => Ok(vec![upload.id]),
            Err(_) => Err(no_upload_of(api, key.as_str(), None).await),
        },
    }
}

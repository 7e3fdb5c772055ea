use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use http::Request;
use two_buckets_objects::{Key, VersionId};

use super::steering::may_steer_all;
use super::{Answer, From, answer, json_body};
use crate::problem::Problem;
use crate::service::Api;
use crate::wire::replaying::{ReplayRequest, ReplayedJson};
use crate::{Grants, Replay, ReplaySelection, Tracker};

/// The longest id of a version: S3's are opaque and at most so long (S3 User Guide, "Using S3 Versioning").
const VERSION_ID_BYTES_MAX: usize = 1_024;

pub(crate) async fn replay<T: Tracker, G: Grants>(
    State(api): State<Arc<Api<T, G>>>,
    From(caller): From,
    request: Request<Body>,
) -> Answer {
    may_steer_all(&caller, "a replay")?;
    let replay = selected(json_body(request).await?)?;
    let replayed = api.tracker.replay(replay).await?;
    Ok(answer(ReplayedJson::from(replayed)))
}

fn selected(request: ReplayRequest) -> Result<Replay, Problem> {
    let selection = match (request.prefix, request.key, request.version_id) {
        (Some(prefix), None, None) => {
            if prefix.len() > Key::LENGTH_BYTES_MAX {
                return Err(Problem::BadRequest(format!(
                    "the prefix may have at most {} bytes",
                    Key::LENGTH_BYTES_MAX
                )));
            }
            let since = request.since.map(|since| since.parse());
            let since =
                since
                    .transpose()
                    .map_err(|error: two_buckets_objects::InvalidTimestamp| {
                        Problem::BadRequest(error.to_string())
                    })?;
            ReplaySelection::Prefix { prefix, since }
        }
        (None, Some(key), Some(version_id))
            if request.since.is_none() && version_id.len() <= VERSION_ID_BYTES_MAX =>
        {
            let key = key
                .parse()
                .map_err(|error: two_buckets_objects::InvalidName| {
                    Problem::BadRequest(error.to_string())
                })?;
            ReplaySelection::Version {
                key,
                version_id: VersionId::new(version_id),
            }
        }
        _ => {
            return Err(Problem::BadRequest(
                "say what to replay, by \"prefix\" and perhaps \"since\", or by \"key\" and \"version_id\""
                    .into(),
            ));
        }
    };
    Ok(Replay {
        selection,
        is_dry_run: request.dry_run,
        is_anew: request.anew,
    })
}

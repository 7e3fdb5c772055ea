//! `two-buckets job` in a container of Batch on AWS: one job, from the claim to the end. Which, the variables say that
//! `SubmitJob` adds.

use std::io::Write as _;
use std::sync::Arc;

use two_buckets_aws::jobs::{KEY_HEX_VARIABLE, VERSION_VARIABLE, holder};
use two_buckets_aws::worker::{JobEnded, Metrics};
use two_buckets_objects::{Key, VersionId, VersionRef};
use two_buckets_pipeline::DynProcessor;
use two_buckets_pipeline::step::Stopped;

use crate::config::{BATCH_JOB, Environment, Settings};
use crate::deployment;
use crate::failure::Failure;
use crate::server::functions::{WorkFolder, in_worker};
use crate::server::signals::Signals;

/// Which job this container is.
#[derive(Debug, PartialEq, Eq)]
struct Named {
    key: Key,
    version_id: VersionId,
    batch_job_id: String,
}

/// Runs the job to its end. It is a success where nothing is left for this container to do: the upload is archived, put off
/// or set aside, another has it, or it was cancelled.
pub(crate) async fn run(
    processor: Arc<dyn DynProcessor>,
    settings: &Settings,
    environment: &Environment,
) -> Result<(), Failure> {
    let mut signals = Signals::catch()?;
    let named = named(environment)?;
    let found = deployment::find(settings).await?;
    let (routes, folder) = in_worker(processor, settings)?;
    let path = folder.path();
    let metrics = Metrics::new(found.config.stack.as_deref(), |line| {
        // Whoever closed standard output wants no figures.
        _ = writeln!(std::io::stdout(), "{line}");
    });
    let holder = holder(&named.batch_job_id);
    let pipeline = found.config.settings(holder.clone());
    let chosen = found.config.chosen(&found.clients, routes);
    let chosen = chosen.map_err(|error| Failure::usage(error.to_string()))?;
    let turns = found
        .config
        .turns(&found.clients, chosen, pipeline, metrics);
    let at = VersionRef {
        bucket: found.config.staging.clone(),
        key: named.key,
        version_id: named.version_id,
    };
    tracing::info!(bucket = %at.bucket, key = %at.key, version_id = %at.version_id, holder = holder.0, "the job begins");
    let stopping = async move {
        signals.next().await;
        tracing::info!("stopping: the attempt ends here and is made again later");
        tokio::spawn(
            signals.exit_at_next(move |code| WorkFolder::end_all_and_exit(path.as_deref(), code)),
        );
    };
    let ended = Box::pin(Arc::new(turns).run_job(&at, &holder, stopping)).await;
    drop(folder);
    let ended = ended
        .map_err(|error| Failure::failed(format!("the job of {} cannot begin: {error}", at.key)))?;
    told(&at, &ended)
}

fn named(environment: &Environment) -> Result<Named, Failure> {
    let variable = |name: &str| {
        let value = environment.get(name).and_then(|value| value.to_str());
        value.map(str::to_owned).ok_or_else(|| {
            Failure::usage(format!(
                "which file? --key and --version name it on a server; in a container of Batch {name} must be set"
            ))
        })
    };
    let hex = variable(KEY_HEX_VARIABLE)?;
    let key = hex::decode(hex)
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok());
    let key = key
        .and_then(|key| key.parse().ok())
        .ok_or_else(|| Failure::usage(format!("{KEY_HEX_VARIABLE} is no key in hexadecimal")))?;
    Ok(Named {
        key,
        version_id: VersionId::new(variable(VERSION_VARIABLE)?),
        batch_job_id: variable(BATCH_JOB)?,
    })
}

/// What Batch is told by the exit code, and people by the log.
fn told(at: &VersionRef, ended: &JobEnded) -> Result<(), Failure> {
    let failed = |why: &str| Err(Failure::failed(format!("the job of {}: {why}", at.key)));
    match ended {
        JobEnded::Unknown => failed("the ledger knows no upload of this version"),
        JobEnded::Paused => {
            tracing::info!(
                "processing is paused, so nothing was begun; the job is started again when it goes on"
            );
            Ok(())
        }
        JobEnded::Ended(outcome) => match &outcome.stopped {
            Stopped::Idle => {
                tracing::info!(tally = ?outcome.tally, "the job has ended");
                Ok(())
            }
            Stopped::Busy => {
                tracing::info!("another has the key; there is nothing to do here");
                Ok(())
            }
            Stopped::FencedOff => {
                tracing::info!("the job does not hold its key any more and stops");
                Ok(())
            }
            Stopped::Drained => failed("it was stopped before it had ended"),
            Stopped::Stalled { reason } | Stopped::LedgerFailed { reason } => failed(reason),
        },
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use two_buckets_pipeline::{Outcome, Tally};

    use super::*;

    const WHOLE: [(&str, &str); 3] = [
        ("TWO_BUCKETS_JOB_KEY_HEX", "612062"),
        ("TWO_BUCKETS_JOB_VERSION", "v1"),
        ("AWS_BATCH_JOB_ID", "j-1"),
    ];

    fn check(changed: (&str, &str)) -> Result<Named, String> {
        let mut all: BTreeMap<_, _> = WHOLE
            .map(|(name, value)| (name.to_owned(), value.into()))
            .into();
        all.insert(changed.0.to_owned(), changed.1.into());
        named(&Environment(all)).map_err(|failure| {
            assert_eq!(failure.code(), 2);
            failure.to_string()
        })
    }

    #[test]
    fn a_container_of_batch_knows_its_upload_by_its_environment() {
        let wanted = Named {
            key: "a b".parse().unwrap(),
            version_id: VersionId::new("v1"),
            batch_job_id: "j-1".into(),
        };
        assert_eq!(check(WHOLE[0]).unwrap(), wanted);
        for (name, _) in WHOLE {
            assert!(check((name, "")).unwrap_err().contains(name));
        }
        for odd in ["6", "zz", "ff"] {
            assert!(check((WHOLE[0].0, odd)).is_err(), "{odd}");
        }
    }

    #[test]
    fn only_what_may_go_better_another_time_is_a_failure() {
        let at = VersionRef {
            bucket: "staging".parse().unwrap(),
            key: "a".parse().unwrap(),
            version_id: VersionId::new("v"),
        };
        let ended = |stopped| {
            JobEnded::Ended(Outcome {
                stopped,
                tally: Tally::default(),
            })
        };
        for good in [Stopped::Idle, Stopped::Busy, Stopped::FencedOff] {
            told(&at, &ended(good)).unwrap();
        }
        told(&at, &JobEnded::Paused).unwrap();
        let reason = || "no answer".to_owned();
        for bad in [
            ended(Stopped::Drained),
            ended(Stopped::Stalled { reason: reason() }),
            ended(Stopped::LedgerFailed { reason: reason() }),
            JobEnded::Unknown,
        ] {
            assert_eq!(told(&at, &bad).unwrap_err().code(), 1, "{bad:?}");
        }
    }
}

//! `two-buckets job`: the process of one job, from the claim to the end.

use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use two_buckets_lambda_host::Family;
use two_buckets_local::{BegunJob, InTask, JobAccess, RanJob};
use two_buckets_objects::{Key, VersionId, VersionRef};
use two_buckets_pipeline::{Incoming, ProcessError, Processor, Report, Saying};
use two_buckets_s3_api::Pins;

use super::client::{Client, Hold, Trouble};
use super::keeper::{Ended, Keeper};
use super::store::JobStore;
use super::{Tickets, folder};
use crate::config::{Environment, Settings};
use crate::failure::Failure;
use crate::root_key::RootKey;
use crate::server::record::ServerRecord;
use crate::server::signals::Signals;
use crate::server::{self, functions};

/// How long the server may be away when the job begins.
const BEGIN_WITHIN: Duration = Duration::from_secs(10);
/// How long the server may be away when the job is told to stop: whoever stops it will not wait.
const STOP_WITHIN: Duration = Duration::from_secs(3);

/// Which job.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Job {
    /// The file's key in staging.
    pub(crate) key: Key,
    /// Its version there.
    pub(crate) version_id: VersionId,
}

/// Runs the job to its end. Builds two runtimes, so it must be called in none.
pub(crate) fn run<P: Processor>(
    own: P,
    job: &Job,
    settings: &Settings,
    environment: &Environment,
) -> Result<(), Failure> {
    be_nice(settings.job.nice.value)?;
    let runtime = |mut builder: tokio::runtime::Builder| {
        builder
            .enable_all()
            .build()
            .map_err(|error| Failure::failed(format!("the runtime cannot start: {error}")))
    };
    let functions = runtime(tokio::runtime::Builder::new_multi_thread())?;
    let keeping = runtime(tokio::runtime::Builder::new_current_thread())?;
    let result = keeping.block_on(work(own, job, settings, environment, functions.handle()));
    // What the function still does on threads of its own ends with the process.
    functions.shutdown_background();
    result
}

async fn work<P: Processor>(
    own: P,
    job: &Job,
    settings: &Settings,
    environment: &Environment,
    runtime: &tokio::runtime::Handle,
) -> Result<(), Failure> {
    let mut signals = Signals::catch()?;
    let data = &settings.data.value;
    let at = VersionRef {
        bucket: settings.staging.value.clone(),
        key: job.key.clone(),
        version_id: job.version_id.clone(),
    };
    let root_key = RootKey::find(data, environment)?.ok_or_else(|| {
        Failure::usage(format!(
            "no server ever ran on {}, so there are no jobs",
            data.display()
        ))
    })?;
    let ticket = Tickets::new(&root_key.secret_access_key).of(&at);
    // By this path the processes are known that the job starts, should it be killed.
    let folder = data
        .canonicalize()
        .map(|data| folder(&data, &ticket))
        .map_err(|error| Failure::failed(format!("the data folder {}: {error}", data.display())))?;
    let role = server::functions_role(settings);
    let sts = server::sts(settings, root_key, &role)?;
    let access = JobAccess::default();
    // Before the claim: what cannot be made here is no failure of the file.
    let processor = {
        let _of_functions = runtime.enter();
        let life = role.session_life_max;
        functions::in_job(own, settings, environment, &folder, &access, life)?
    };
    let client = Client::new(data, at, ticket, Hold::new(BEGIN_WITHIN));
    let begun = match client.claim().await {
        Ok(begun) => begun,
        Err(Trouble::Nothing(why)) => {
            tracing::info!(key = %job.key, "{why}");
            return Ok(());
        }
        Err(trouble) => {
            return Err(Failure::failed(format!(
                "the job of {} cannot begin: {trouble}",
                job.key
            )));
        }
    };
    tracing::debug!(key = %job.key, attempt = begun.attempt, "the job begins");
    let record = ServerRecord::read(data)?;
    if let Some(endpoint) = record.and_then(|record| record.functions) {
        // What they mean is known to the server alone.
        let issuer = functions::issuer(&sts, &role, &Pins::new(), endpoint);
        let variables = issuer.variables(&begun.session_name, role.session_life_max);
        access.open(variables.map_err(|error| {
            Failure::failed(format!("the function gets no credentials: {error}"))
        })?);
    }
    let ended = attempt(
        processor,
        &access,
        &begun,
        &client,
        settings,
        runtime,
        &mut signals,
    )
    .await;
    remove(&folder);
    ended
}

/// Runs the function, and tells the server what became of it.
async fn attempt<P: Processor>(
    processor: P,
    access: &JobAccess,
    begun: &BegunJob,
    client: &Client,
    settings: &Settings,
    runtime: &tokio::runtime::Handle,
    signals: &mut Signals,
) -> Result<(), Failure> {
    let (key, hold) = (&client.at().key, client.hold());
    let store = JobStore::new(client.another(), begun.token, begun.source.clone());
    let (mut incoming, cancel) = Incoming::of_version(
        &Arc::new(store),
        begun.archive.clone(),
        begun.source.clone(),
        begun.attempt,
        begun.token,
    );
    incoming.tries = begun.tries;
    incoming.order = begun.order;
    let mut saying = Saying::new(incoming.log.clone(), incoming.progress.clone());
    let retry_after = incoming.retry_after.clone();
    let mut family = Family::of_this_process();
    let running = runtime.spawn(async move { InTask::new(processor).process(incoming).await });
    let mut running = pin!(running);
    let result: Result<Report, ProcessError> = {
        let mut keeper = Keeper {
            client,
            token: begun.token,
            attempt: begun.attempt,
            saying: &mut saying,
            bounds: &settings.job,
            family: &mut family,
        };
        tokio::select! {
            result = &mut running => result.unwrap_or_else(|error| Err(ProcessError::Crashed(error.to_string()))),
            ended = keeper.keep() => match ended {
                Ended::Beyond(why) => Err(ProcessError::Transient(why)),
                Ended::Gone => {
                    running.abort();
                    family.kill_others();
                    tracing::info!(%key, "the job does not hold its key any more and stops");
                    return Ok(());
                }
                Ended::Alone => {
                    running.abort();
                    family.kill_others();
                    return Err(Failure::failed(format!(
                        "the job of {key} stops: no server was reached for {} s, and another job may have the file by now",
                        hold.life().as_secs()
                    )));
                }
            },
            () = signals.next() => {
                hold.renew(tokio::time::Instant::now(), Some(STOP_WITHIN));
                Err(ProcessError::Transient("its process was told to stop".to_owned()))
            }
        }
    };
    running.abort();
    drop(cancel);
    // Nothing of the run may go on once the server hears that it has ended.
    family.kill_others();
    let ran = RanJob {
        attempt: begun.attempt,
        said: saying.news(),
        result,
        retry_after: retry_after.least(),
        must_have_moved: access.must_have_moved(),
    };
    match client.finish(begun.token, &ran).await {
        Ok(()) => Ok(()),
        Err(Trouble::Gone(_) | Trouble::Nothing(_)) => {
            tracing::info!(%key, "the job does not hold its key any more; what it came to is not kept");
            Ok(())
        }
        Err(trouble) => Err(Failure::failed(format!(
            "what became of the job of {key} cannot be told to the server: {trouble}"
        ))),
    }
}

/// Lets others go first. Nobody may take back what an inherited nice level gives away, so the higher one counts.
fn be_nice(nice: u8) -> Result<(), Failure> {
    let set = rustix::process::getpriority_process(None).and_then(|present| {
        let wanted = i32::from(nice).max(present);
        rustix::process::setpriority_process(None, wanted)
    });
    set.map_err(|error| Failure::failed(format!("the nice level cannot be set: {error}")))
}

fn remove(folder: &Path) {
    if let Err(error) = std::fs::remove_dir_all(folder)
        && error.kind() != std::io::ErrorKind::NotFound
    {
        tracing::warn!(folder = %folder.display(), %error, "the job's folder cannot be removed");
    }
}

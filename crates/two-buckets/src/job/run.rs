//! `two-buckets job`: the process of one job, from the claim to the end.

use std::path::{Path, PathBuf};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use two_buckets_lambda_host as lambda;
use two_buckets_lambda_host::Family;
use two_buckets_local::{BegunJob, InTask, JobAccess, RanJob};
use two_buckets_objects::{Key, VersionId, VersionRef};
use two_buckets_pipeline::{DynProcessor, Incoming, ProcessError, Processor, Report, Saying};
use two_buckets_s3_api::Pins;

use super::client::{Client, Hold, Trouble};
use super::keeper::{Ended, Keeper};
use super::store::JobStore;
use super::{Tickets, folder, holder_of};
use crate::config::{Environment, Settings};
use crate::failure::Failure;
use crate::root_key::{RootKey, random_text};
use crate::server::signals::Signals;
use crate::server::strays::MARKS;
use crate::server::{self, functions};

/// How long the server may be away when the job begins.
const BEGIN_WITHIN: Duration = Duration::from_secs(4);
/// How long the server may be away when the job is told to stop: whoever stops it will not wait.
const STOP_WITHIN: Duration = Duration::from_secs(3);

/// The longest reason that is passed on; the ledger keeps less.
const REASON_BYTES_MAX: usize = 64 << 10;

/// Which job.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Job {
    /// The file's key in staging.
    pub(crate) key: Key,
    /// Its version there.
    pub(crate) version_id: VersionId,
}

/// Runs the job to its end. Builds two runtimes, so it must be called in none.
pub(crate) fn run(
    own: Arc<dyn DynProcessor>,
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
    // Boxed for the reason that the program's other commands are.
    let work: Pin<Box<dyn Future<Output = Result<(), Failure>> + '_>> =
        Box::pin(work(own, job, settings, environment, functions.handle()));
    let result = keeping.block_on(work);
    // What the function still does on threads of its own ends with the process.
    functions.shutdown_background();
    result
}

async fn work(
    own: Arc<dyn DynProcessor>,
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
    let tickets = Tickets::new(&root_key.secret_access_key);
    // By this path the processes are known that the job starts, should it be killed.
    let folder = data
        .canonicalize()
        .map(|data| own_folder(&folder(&data, &tickets.of(&at))))
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
    let client = Client::new(data, at, tickets, Hold::new(BEGIN_WITHIN));
    let claimed = client.claim(&holder()?, &settings.digest()).await;
    let (begun, endpoint) = match claimed {
        Ok(begun) => begun,
        Err(trouble) => {
            remove(&folder);
            return Err(Failure::failed(format!(
                "the job of {} cannot begin: {trouble}",
                job.key
            )));
        }
    };
    tracing::debug!(key = %job.key, attempt = begun.attempt, "the job begins");
    if let Some(endpoint) = endpoint {
        // What they mean is known to the server alone.
        let issuer = functions::issuer(&sts, &role, &Pins::new(), endpoint);
        let variables = issuer.variables(&begun.session_name, role.session_life_max);
        access.open(variables.map_err(|error| {
            Failure::failed(format!("the function gets no credentials: {error}"))
        })?);
    }
    let here = Here {
        settings,
        runtime,
        folder: &folder,
        access: &access,
    };
    let ended = attempt(processor, &begun, &client, &here, &mut signals).await;
    remove(&folder);
    ended
}

/// What a run has around it.
struct Here<'a> {
    settings: &'a Settings,
    /// What the function runs on.
    runtime: &'a tokio::runtime::Handle,
    folder: &'a Path,
    access: &'a JobAccess,
}

/// Runs the function, and tells the server what became of it.
async fn attempt<P: Processor>(
    processor: P,
    begun: &BegunJob,
    client: &Client,
    here: &Here<'_>,
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
    let running = here
        .runtime
        .spawn(async move { InTask::new(processor).process(incoming).await });
    let mut running = pin!(running);
    let result: Result<Report, ProcessError> = {
        let mut keeper = Keeper {
            client,
            token: begun.token,
            attempt: begun.attempt,
            saying: &mut saying,
            bounds: &here.settings.job,
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
    lambda::end_strays(&MARKS, here.folder);
    let ran = RanJob {
        attempt: begun.attempt,
        said: saying.news(),
        result: result.map_err(bounded),
        retry_after: retry_after.least(),
        must_have_moved: here.access.must_have_moved(),
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

/// This process's own place in a job's folder: the one that whoever started it made for it, by its temporary folder, or
/// else one by its number. Another process of the same job may be at work, before which this one will be turned away.
fn own_folder(of_job: &Path) -> PathBuf {
    let temporary = std::env::temp_dir();
    match temporary.parent() {
        Some(own) if own.parent() == Some(of_job) => own.to_owned(),
        _ => of_job.join(format!("by-hand-{}", std::process::id())),
    }
}

/// What this process claims by: it begins with what its server knows it by, and is no other's.
fn holder() -> Result<String, Failure> {
    let nonce = random_text(16, b"abcdefghijklmnopqrstuvwxyz234567")?;
    Ok(format!("{}{nonce}", holder_of(std::process::id())))
}

/// A reason that fits into a message whatever is in it.
fn bounded(error: ProcessError) -> ProcessError {
    let cut = |mut reason: String| {
        let mut end = reason.len().min(REASON_BYTES_MAX);
        while !reason.is_char_boundary(end) {
            end -= 1;
        }
        reason.truncate(end);
        reason
    };
    match error {
        ProcessError::Transient(reason) => ProcessError::Transient(cut(reason)),
        ProcessError::Permanent(reason) => ProcessError::Permanent(cut(reason)),
        ProcessError::Crashed(reason) => ProcessError::Crashed(cut(reason)),
        ProcessError::NotRun(reason) => ProcessError::NotRun(cut(reason)),
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

//! A Lambda function as the processor of uploads.
//!
//! The function is told of each upload by S3's own event and reaches both buckets by credentials of its own role. Those
//! are pinned: the key of its upload means exactly the version it was told of, its copy of that to the archive and its
//! delete by name are noted and not performed, and every other upload is out of its reach. When it returned, the
//! pipeline archives the version that it was told of: so a function that moves its file by name, swallows its errors and
//! runs twice cannot lose or mix up one.

mod access;
mod batch;
mod credentials;
mod event;
mod outcome;

use std::sync::Arc;
use std::time::Duration;

use two_buckets_lambda_host as lambda;
use two_buckets_lambda_host::{Failure, Host, InvalidConfig, Invocation};
use two_buckets_objects::{BucketName, ObjectRef, VersionRef};
use two_buckets_pipeline::archive::results_prefix;
use two_buckets_pipeline::{Incoming, ProcessError, Processor, Report};
use two_buckets_s3_api::{Pin, Pinned};

pub use access::{FunctionAccess, JobAccess, SessionIssuer};
use batch::Waiting;
use credentials::Sessions;

/// How a function is run.
pub struct FunctionOptions {
    /// The runtime and its limits. Who an environment is, is said here: what the callbacks say is not used.
    pub lambda: lambda::Config,
    /// Where it has its credentials from.
    pub access: FunctionAccess,
    /// The bucket that its uploads are kept in.
    pub archive: BucketName,
    /// The most records of one invocation; at least one. Uploads that wait at the same moment are given together.
    pub batch: usize,
    /// Whether not having moved its file is a failure.
    pub always_moves: bool,
    /// The error types that will not pass by trying again.
    pub permanent_errors: Vec<String>,
}

/// Why a function cannot be run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The limits or folders do not fit.
    #[error(transparent)]
    Config(#[from] InvalidConfig),
    /// Its credentials would end before an invocation does.
    #[error(
        "a time-out of {timeout_s} s needs sessions of {needed_s} s, and the role {role_arn} has shorter ones; raise its session_life_max_s or lower the time-out"
    )]
    ShortSessions {
        /// The role.
        role_arn: String,
        /// The shortest that would do.
        needed_s: u64,
        /// The time-out of the function.
        timeout_s: u64,
    },
}

/// A running function. Cheap to clone.
#[derive(Clone)]
pub struct Function(Arc<Inner>);

struct Inner {
    host: Host,
    grants: Grants,
    waiting: Waiting,
    name: String,
    region: String,
    archive: BucketName,
    batch: usize,
    always_moves: bool,
    permanent_errors: Vec<String>,
}

/// What the credentials of its environments are, and who knows what was done with them.
enum Grants {
    Here(Arc<Sessions>),
    Job(JobAccess),
}

/// How much longer than its environment a session lasts at least: the invocation that is under way when the environment's
/// life ends, and then some.
const SESSION_OUTLIVES: Duration = Duration::from_mins(5);

impl Function {
    /// Checks how the function is run. Nothing of it is started before the first upload.
    pub fn start(options: FunctionOptions) -> Result<Self, StartError> {
        let mut lambda = options.lambda;
        let grants = match options.access {
            FunctionAccess::Here(issuer) => {
                let outlives = (lambda.timeout * 2).max(SESSION_OUTLIVES);
                let life_max = issuer.session_life_max.saturating_sub(outlives);
                if life_max.is_zero() {
                    return Err(StartError::ShortSessions {
                        role_arn: issuer.role_arn,
                        needed_s: outlives.as_secs() + 1,
                        timeout_s: lambda.timeout.as_secs(),
                    });
                }
                lambda.life_max = lambda.life_max.min(life_max);
                let sessions = Arc::new(Sessions::new(issuer, lambda.life_max + outlives));
                let (open, close) = (Arc::clone(&sessions), Arc::clone(&sessions));
                lambda.new_environment = Arc::new(move |id| open.open(id));
                lambda.environment_ended = Arc::new(move |id| close.close(id));
                Grants::Here(sessions)
            }
            FunctionAccess::Job(access) => {
                let variables = access.clone();
                lambda.new_environment = Arc::new(move |_| variables.variables());
                Grants::Job(access)
            }
        };
        let (name, region) = (lambda.name.clone(), lambda.region.clone());
        let host = Host::start(lambda)?;
        Ok(Self(Arc::new(Inner {
            host,
            grants,
            waiting: Waiting::default(),
            name,
            region,
            archive: options.archive,
            batch: options.batch.max(1),
            always_moves: options.always_moves,
            permanent_errors: options.permanent_errors,
        })))
    }

    /// Starts an environment and leaves it idle for the first upload, if none is. The error is a sentence that says why
    /// the function does not start; one that is stopped meanwhile is none.
    pub async fn warm_up(&self) -> Result<(), String> {
        match self.0.host.acquire().await {
            Ok(_) | Err(Failure::Stopped) => Ok(()),
            Err(failure) => Err(outcome::why_not_started(&self.0.name, &failure)),
        }
    }

    /// What it is called, as its environments know it.
    pub fn function_name(&self) -> &str {
        &self.0.name
    }

    /// Its environments and invocations.
    pub fn facts(&self) -> lambda::Facts {
        self.0.host.facts()
    }

    /// Ends all of its environments. Uploads that come later fail.
    pub async fn stop(&self) {
        self.0.host.stop().await;
    }
}

impl Processor for Function {
    fn name(&self) -> String {
        self.0.name.clone()
    }

    async fn process(&self, upload: Incoming) -> Result<Report, ProcessError> {
        let function = &self.0;
        if function.batch == 1 {
            let environment = function.acquire(&upload).await?;
            return alone(function.invoke(environment, &[&upload]).await);
        }
        function.waiting.process(function, upload).await
    }
}

/// The only answer of several.
fn alone(answers: Result<Vec<Answer>, Failed>) -> Answer {
    match answers {
        Ok(mut answers) => answers.pop().unwrap_or_else(|| Ok(Report::default())),
        Err(Failed(error)) => Err(error),
    }
}

/// What became of one upload.
type Answer = Result<Report, ProcessError>;

/// Why nobody knows what became of the uploads of an invocation one by one.
struct Failed(ProcessError);

impl Inner {
    /// An environment for this upload.
    async fn acquire(&self, upload: &Incoming) -> Result<lambda::Environment, ProcessError> {
        let acquired = self.host.acquire().await;
        acquired.map_err(|failure| self.not_acquired(&failure, [upload]))
    }

    /// What it means for these uploads that there is no environment. What one wrote that did not start is in their logs.
    fn not_acquired<'a>(
        &self,
        failure: &Failure,
        uploads: impl IntoIterator<Item = &'a Incoming>,
    ) -> ProcessError {
        if let Failure::Init { output, .. } = failure {
            for upload in uploads {
                upload.log.append(output);
            }
        }
        outcome::failure(failure, &self.permanent_errors)
    }

    /// Has the function look at these uploads, of different keys, in one invocation. An answer for each, in their order.
    ///
    /// Dropping the future ends the environment.
    async fn invoke(
        &self,
        environment: lambda::Environment,
        uploads: &[&Incoming],
    ) -> Result<Vec<Answer>, Failed> {
        let pinned = match &self.grants {
            Grants::Here(sessions) => {
                let slot = sessions.slot(environment.id()).ok_or_else(|| {
                    Failed(ProcessError::Transient(
                        "the function's environment has just ended".to_owned(),
                    ))
                })?;
                Some(slot.pin(uploads.iter().map(|upload| self.pin_of(upload)).collect()))
            }
            // It was pinned by the server when the job began.
            Grants::Job(_) => None,
        };
        let logs: Vec<_> = uploads.iter().map(|upload| upload.log.clone()).collect();
        let invocation = Invocation {
            payload: event::of(uploads, &self.archive, &self.region).into(),
            log: Arc::new(move |bytes: &[u8]| {
                for log in &logs {
                    log.append(bytes);
                }
            }),
            trace_id: None,
        };
        let response = environment
            .invoke(invocation)
            .await
            .map_err(|failure: Failure| {
                Failed(outcome::failure(&failure, &self.permanent_errors))
            })?;
        let failed = if uploads.len() > 1 {
            outcome::named_failures(&response.payload).map_err(Failed)?
        } else {
            None
        }
        .unwrap_or_default();
        let is_of_batch = |named: &String| {
            uploads
                .iter()
                .any(|upload| upload.source.at.version_id.as_str() == named)
        };
        if let Some(unknown) = failed.iter().find(|named| !is_of_batch(named)) {
            return Err(Failed(ProcessError::Transient(format!(
                "the function names {unknown:?} as failed, which is no version id of its event"
            ))));
        }
        let report = outcome::report(&response.payload);
        Ok(uploads
            .iter()
            .map(|upload| {
                let at = &upload.source.at;
                if failed.iter().any(|named| named == at.version_id.as_str()) {
                    Err(ProcessError::Transient(
                        "the function names it as failed in batchItemFailures".to_owned(),
                    ))
                } else if self.always_moves && !self.was_copied(pinned.as_ref(), &at.object()) {
                    Err(not_moved())
                } else {
                    Ok(report.clone())
                }
            })
            .collect())
    }

    /// Whether the function has written its file to the archive. The server of a job finds that out when the job ends.
    fn was_copied(&self, pinned: Option<&Pinned>, staged: &ObjectRef) -> bool {
        match (&self.grants, pinned) {
            (Grants::Job(access), _) => {
                access.ask_whether_moved();
                true
            }
            (Grants::Here(_), pinned) => pinned.is_some_and(|pinned| pinned.was_copied(staged)),
        }
    }

    fn pin_of(&self, upload: &Incoming) -> Pin {
        pin(upload.source.at.clone(), self.archive.clone())
    }
}

/// What the credentials of a function mean that works on this version.
pub(crate) fn pin(staged: VersionRef, archive: BucketName) -> Pin {
    Pin {
        archive: ObjectRef {
            bucket: archive,
            key: staged.key.clone(),
        },
        results_prefix: results_prefix(&staged),
        staged,
    }
}

/// What a function comes to that always moves its file and has not.
pub(crate) fn not_moved() -> ProcessError {
    ProcessError::Transient(
        "the function returned, but did not move the file to the archive; what went wrong may be in its log"
            .to_owned(),
    )
}

//! The user's Lambda function, of any language, as the processor of uploads.
//!
//! It is invoked for exactly one version at a time, with S3's own event ([`two_buckets_events::told`]), and waited for. The
//! pipeline moves the version it was told of when it has returned; the function needs no right to copy or delete, and
//! should have none.
//!
//! # Its credentials
//!
//! Where a role is given ([`FunctionOptions::role_arn`]), each invocation brings credentials of that role, narrowed by a
//! session policy to reading exactly that version (`GetObject` and `HeadObject` *with* its `VersionId`) and to writing
//! below `_results/{key}/{version id}/` in the archive bucket. They are in the client context and not in the event,
//! because functions print their events:
//!
//! ```python
//! def handler(event, context):
//!     given = context.client_context.custom
//!     s3 = boto3.client("s3", aws_access_key_id=given["AWS_ACCESS_KEY_ID"],
//!                       aws_secret_access_key=given["AWS_SECRET_ACCESS_KEY"],
//!                       aws_session_token=given["AWS_SESSION_TOKEN"])
//!     record = event["Records"][0]
//!     file = s3.get_object(Bucket=record["s3"]["bucket"]["name"],
//!                          Key=urllib.parse.unquote_plus(record["s3"]["object"]["key"]),
//!                          VersionId=record["s3"]["object"]["versionId"])
//! ```
//!
//! They are never in a log or an error of ours. Whoever has them logged (a function that prints its context, the SDK's log
//! at its finest) can read one file for an hour at most.
//!
//! # What is promised of a function that uses its own role instead
//!
//! Its rights are its owner's affair, and so is what it does with them:
//!
//! * Nothing is lost by a delete or an overwrite *by name*: both buckets are versioned, and the pipeline copies, verifies and
//!   removes the version that the function was told of (P2).
//! * A function that reads by name may see a newer version than the one its answer is taken for.
//! * A function that copies to the archive itself makes versions there that no record speaks of, beside the one record of
//!   each upload (P3 holds of records only); they count as older than any upload, so the current version does not go back
//!   (P4).
//! * A function that deletes *versions* can lose a file. Nothing here can prevent that; its role should not allow it.
//!
//! # At least once
//!
//! The SDK's retries are off for this call. What is asked again is only what Lambda refused for want of room, for then the
//! function has not run. An answer that is lost, or does not come in time, is a failed attempt: the function may have run,
//! or run on, beside the next one. The event has the same `twoBuckets.idempotencyKey` then, and a higher `attempt`.
//!
//! # Want of room
//!
//! A call that is throttled is repeated after growing waits, up to [`FunctionOptions::room_wait`]: whoever waits here takes no
//! further file, so the queue holds the rest. After that the attempt is given back uncounted ([`ProcessError::NotRun`]),
//! and its file comes again later: no file becomes `failed` because others are many. Where a function never has room
//! (its reserved concurrency is 0) files wait, with that as their reason, and the age of the oldest unfinished one
//! grows. The same where it cannot be called for a reason that is about no file: a right that is missing, a role that is
//! not trusted, a function that is gone.
//!
//! # Permissions
//!
//! `lambda:InvokeFunction` on the function, `sts:AssumeRole` on the role. The role itself: `s3:GetObjectVersion` on staging,
//! `s3:PutObject` and `s3:AbortMultipartUpload` below `_results/` in the archive, and with a KMS key `kms:Decrypt` and
//! `kms:GenerateDataKey` on that.

mod credentials;
mod outcome;
mod policy;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_lambda::operation::invoke::{InvokeError, InvokeOutput};
use aws_sdk_lambda::types::{InvocationType, LogType};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::Blob;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use two_buckets_events::{Told, told};
use two_buckets_objects::BucketName;
use two_buckets_pipeline::archive::results_prefix;
use two_buckets_pipeline::backoff::full_jitter;
use two_buckets_pipeline::{Clock, Incoming, ProcessError, Processor, Report};

use crate::Clients;
use credentials::{ClientContext, Sessions};
use outcome::NoAnswer;

/// The first and the longest wait before Lambda is asked again that had no room.
const ROOM_WAIT_FIRST: Duration = Duration::from_millis(250);
const ROOM_WAIT_MAX: Duration = Duration::from_secs(10);
/// How long a file rests at least for which there was no room.
const REST: Duration = Duration::from_secs(15);
/// The longest an invocation is waited for (Lambda quotas, "Function timeout").
const LIMIT_MAX: Duration = Duration::from_mins(15);

/// How the function is invoked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FunctionOptions {
    /// Its ARN, with a version or an alias behind it if one is meant.
    pub arn: String,
    /// The role that its credentials are of; none where it uses its own.
    pub role_arn: Option<String>,
    /// The bucket that uploads are kept in.
    pub archive: BucketName,
    /// The key that both buckets are encrypted with, where it is not S3's own; its credentials may use it then.
    pub kms_key_arn: Option<String>,
    /// How long one invocation is waited for, at most 15 minutes. Longer than the function's own time-out, so that Lambda
    /// says what became of it; shorter than the caller's by all that the pipeline does besides.
    pub limit: Duration,
    /// How long it is waited for room, beside that.
    pub room_wait: Duration,
    /// The error types that will not pass by trying again, with or without their module.
    pub permanent_errors: Vec<String>,
}

/// Why a function cannot be invoked as it is said.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidFunction {
    /// The name is none.
    #[error("{0:?} is no ARN of a Lambda function (arn:aws:lambda:REGION:ACCOUNT:function:NAME)")]
    Arn(String),
    /// The role is none.
    #[error("{0:?} is no ARN of a role (arn:aws:iam::ACCOUNT:role/NAME)")]
    RoleArn(String),
    /// It cannot be waited so long.
    #[error("the limit of a function must be between 1 and {} s", LIMIT_MAX.as_secs())]
    Limit,
}

/// A function on Lambda. Stopping to wait for it does not stop it: dropping the future of an invocation leaves the
/// function running to its own end.
pub struct Function<C> {
    client: aws_sdk_lambda::Client,
    sessions: Option<Sessions>,
    clock: Arc<C>,
    random: Arc<dyn Fn() -> u64 + Send + Sync>,
    name: String,
    region: String,
    options: FunctionOptions,
}

impl<C> Function<C> {
    /// With clients of these, this clock and these random numbers, which are for waits only. Calls nobody.
    pub fn new(
        clients: &Clients,
        clock: Arc<C>,
        random: Arc<dyn Fn() -> u64 + Send + Sync>,
        options: FunctionOptions,
    ) -> Result<Self, InvalidFunction> {
        let name = match options.arn.split(':').collect::<Vec<_>>()[..] {
            ["arn", _, "lambda", _, _, "function", name]
            | ["arn", _, "lambda", _, _, "function", name, _]
                if !name.is_empty() =>
            {
                name
            }
            _ => return Err(InvalidFunction::Arn(options.arn.clone())),
        };
        if options.limit < Duration::from_secs(1) || options.limit > LIMIT_MAX {
            return Err(InvalidFunction::Limit);
        }
        let sessions = match &options.role_arn {
            None => None,
            Some(role) => match role.splitn(6, ':').collect::<Vec<_>>()[..] {
                ["arn", _, "iam", "", _, of_role] if of_role.starts_with("role/") => {
                    let needed = options.limit + options.room_wait;
                    Some(Sessions::new(clients.sts(), role.clone(), needed))
                }
                _ => return Err(InvalidFunction::RoleArn(role.clone())),
            },
        };
        Ok(Self {
            client: clients.lambda(options.limit),
            sessions,
            clock,
            random,
            name: name.to_owned(),
            region: clients.region().to_owned(),
            options,
        })
    }

    async fn invoke(
        &self,
        payload: &[u8],
        context: Option<&ClientContext>,
    ) -> Result<InvokeOutput, SdkError<InvokeError, HttpResponse>> {
        self.client
            .invoke()
            .function_name(&self.options.arn)
            .invocation_type(InvocationType::RequestResponse)
            .log_type(LogType::Tail)
            .set_client_context(context.map(ClientContext::to_base64))
            .payload(Blob::new(payload))
            .send()
            .await
    }

    fn event_of(&self, upload: &Incoming) -> Vec<u8> {
        let one = Told {
            source: &upload.source,
            order: (upload.order.last_modified, upload.order.number),
            token: upload.token.0,
            idempotency_key: &upload.idempotency_key(),
            attempt: upload.attempt,
            archive: &self.options.archive,
            results_prefix: &results_prefix(&upload.source.at),
        };
        told(&[one], &self.region)
    }
}

impl<C: Clock> Processor for Function<C> {
    fn name(&self) -> String {
        self.name.clone()
    }

    async fn process(&self, upload: Incoming) -> Result<Report, ProcessError> {
        // Keys are bounded, so it is some kilobytes of the 6 MB that an invocation takes.
        let payload = self.event_of(&upload);
        let context = match &self.sessions {
            Some(sessions) => {
                let opened = sessions.open(&upload, &self.options).await;
                Some(opened.map_err(|error| rested(&upload, error))?)
            }
            None => None,
        };
        let (mut turned_away, mut waited) = (0, Duration::ZERO);
        loop {
            let error = match self.invoke(&payload, context.as_ref()).await {
                Ok(answer) => {
                    keep_log(&answer, &upload);
                    return outcome::of(&answer, &self.options.permanent_errors);
                }
                Err(error) => error,
            };
            let (why, wait_least) = match outcome::of_no_answer(&error, self.options.limit) {
                NoAnswer::NoRoom { why, wait_least } => (why, wait_least),
                NoAnswer::Failed(error) => return Err(rested(&upload, error)),
            };
            turned_away += 1;
            let jitter = full_jitter(turned_away, ROOM_WAIT_FIRST, ROOM_WAIT_MAX, (self.random)());
            let wait = jitter.max(wait_least);
            if waited + wait > self.options.room_wait {
                upload.retry_after.at_least(wait_least.max(REST));
                return Err(ProcessError::NotRun(why));
            }
            self.clock.sleep(wait).await;
            waited += wait;
        }
    }
}

/// A failure, after which a file whose function did not run rests.
fn rested(upload: &Incoming, error: ProcessError) -> ProcessError {
    if matches!(error, ProcessError::NotRun(_)) {
        upload.retry_after.at_least(REST);
    }
    error
}

/// Keeps what Lambda gives of the function's log: its last 4 KB. All of it is in the function's own log group, by the
/// request id that stands in what is kept.
fn keep_log(answer: &InvokeOutput, upload: &Incoming) {
    let tail = answer.log_result.as_deref().unwrap_or_default();
    match STANDARD.decode(tail) {
        Ok(tail) => upload.log.append(&tail),
        Err(error) => tracing::warn!(%error, "the end of a function's log cannot be read"),
    }
}

impl<C> fmt::Debug for Function<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Function")
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

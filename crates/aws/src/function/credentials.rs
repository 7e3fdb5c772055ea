//! The credentials of one invocation, and how the function gets them.

use std::time::Duration;

use aws_sdk_sts::operation::assume_role::AssumeRoleError;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use two_buckets_objects::policy::partition_of;
use two_buckets_pipeline::{Incoming, ProcessError};

use super::FunctionOptions;
use super::policy::Scope;
use crate::words::words;

/// The most of a client context, in base64 (Lambda API, `Invoke`, `X-Amz-Client-Context`).
const CONTEXT_CHARS_MAX: usize = 3_583;
/// The shortest and the longest session (STS API, `AssumeRole`, `DurationSeconds`; a role that takes a role, as ours do,
/// gets an hour at most).
const SESSION_LIFE_MIN: Duration = Duration::from_mins(15);
const SESSION_LIFE_MAX: Duration = Duration::from_hours(1);

/// Makes credentials of the function's role.
pub(super) struct Sessions {
    client: aws_sdk_sts::Client,
    role_arn: String,
    life: Duration,
}

/// A client context with credentials in it. It has no Debug.
pub(super) struct ClientContext(String);

impl ClientContext {
    /// In base64, as `Invoke` takes it.
    pub(super) fn to_base64(&self) -> String {
        STANDARD.encode(&self.0)
    }
}

impl Sessions {
    /// Of this role, for invocations that take at most so long.
    pub(super) fn new(client: aws_sdk_sts::Client, role_arn: String, needed: Duration) -> Self {
        Self {
            client,
            role_arn,
            life: needed.clamp(SESSION_LIFE_MIN, SESSION_LIFE_MAX),
        }
    }

    /// Credentials that are good for this upload only.
    pub(super) async fn open(
        &self,
        upload: &Incoming,
        options: &FunctionOptions,
    ) -> Result<ClientContext, ProcessError> {
        let scope = Scope {
            source: &upload.source.at,
            archive: &options.archive,
            kms_key_arn: options.kms_key_arn.as_deref(),
            partition: partition_of(&self.role_arn),
        };
        let policy = scope.policy().ok_or_else(|| {
            ProcessError::permanent("its version id is too long for a session policy")
        })?;
        // What STS makes of a policy, and how long the token is that has it in it, shows only then.
        match self.open_with(upload, policy).await {
            Err(ProcessError::Permanent(_)) => {
                self.open_with(upload, scope.shortest_policy()).await
            }
            other => other,
        }
    }

    /// Permanent if the policy is too long for what comes behind it.
    async fn open_with(
        &self,
        upload: &Incoming,
        policy: String,
    ) -> Result<ClientContext, ProcessError> {
        let life_s = i32::try_from(self.life.as_secs()).unwrap_or(i32::MAX);
        let opened = self
            .client
            .assume_role()
            .role_arn(&self.role_arn)
            .role_session_name(session_name(upload))
            .policy(policy)
            .duration_seconds(life_s)
            .send()
            .await
            .map_err(|error| not_opened(&error))?;
        let credentials = opened.credentials.ok_or_else(|| {
            ProcessError::NotRun("STS gave no credentials for the function's role".to_owned())
        })?;
        // All of them texts: what reads a client context in Rust or Java takes nothing else.
        let context = json!({ "custom": {
            "AWS_ACCESS_KEY_ID": credentials.access_key_id,
            "AWS_SECRET_ACCESS_KEY": credentials.secret_access_key,
            "AWS_SESSION_TOKEN": credentials.session_token,
        } });
        let context = ClientContext(context.to_string());
        if context.to_base64().len() > CONTEXT_CHARS_MAX {
            return Err(ProcessError::permanent(format!(
                "the credentials for it are longer than the {CONTEXT_CHARS_MAX} characters that go with an invocation"
            )));
        }
        Ok(context)
    }
}

/// In the trail of whoever audits: 2 to 64 letters, digits and some signs (STS API, `AssumeRole`, `RoleSessionName`).
fn session_name(upload: &Incoming) -> String {
    let digest = hex::encode(Sha256::digest(upload.idempotency_key()));
    format!("two-buckets-{}-{}", &digest[..32], upload.attempt)
}

fn not_opened(error: &SdkError<AssumeRoleError, HttpResponse>) -> ProcessError {
    let why = format!(
        "the function gets no credentials and was not called: {}",
        words(error)
    );
    let said = error.as_service_error().map(ProvideErrorMetadata::meta);
    let code = said.and_then(|said| said.code());
    let names_policy = || {
        said.and_then(|said| said.message())
            .is_some_and(|it| it.contains("'policy'"))
    };
    match code {
        // The same key makes the same policy.
        Some(
            "PackedPolicyTooLarge" | "PackedPolicyTooLargeException" | "MalformedPolicyDocument",
        ) => ProcessError::Permanent(why),
        // "Value at 'policy' failed to satisfy constraint"; the role's name, say, is no file's fault.
        Some("ValidationError") if names_policy() => ProcessError::Permanent(why),
        // It is about the role or about STS, and no file is to be set aside for that.
        _ => ProcessError::NotRun(why),
    }
}

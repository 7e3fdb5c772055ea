//! The STS query protocol, as the SDKs speak it: `POST /` with a form (STS API, version 2011-06-15).
//!
//! `AssumeRole` and `GetCallerIdentity` are there. The root may call both; a session what its policies allow, so
//! credentials for one file may call neither. That is stricter than AWS, where nobody can be kept from
//! `GetCallerIdentity`.

use std::fmt::Write as _;
use std::time::Duration;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderValue, Response, StatusCode, header};
use s3s::S3ErrorCode;
use two_buckets_objects::Timestamp;

use super::{ACCOUNT, AssumeRole, AssumeRoleError, Role, Sts, Who, root_arn};
use crate::access::{self, Asked};
use crate::auth::{Signed, sts_header};
use crate::payload::{Payload, PayloadKind, RawBody, declared_size};
use crate::pins::FUNCTION_ROLE;
use crate::policy::{Decision, Question};
use crate::query::Query;
use crate::refusal::Refusal;
use crate::server::Peer;
use crate::service::{AnswerBody, xml_text};
use crate::target::Target;

/// The one version of the protocol, and what its XML calls itself.
const VERSION: &str = "2011-06-15";
const NAMESPACE: &str = "https://sts.amazonaws.com/doc/2011-06-15/";
/// The largest form: every parameter at its longest, each character escaped, is far shorter.
const FORM_BYTES_MAX: u64 = 64 << 10;
/// The shortest session that is given out over HTTP (STS API, `AssumeRole`, `DurationSeconds`).
const SESSION_LIFE_MIN: Duration = Duration::from_mins(15);
/// How long a session lasts if nobody says.
const SESSION_LIFE_DEFAULT: Duration = Duration::from_hours(1);
/// The longest session of a role that was assumed by a session (IAM User Guide, "Role chaining").
const CHAINED_LIFE_MAX: Duration = Duration::from_hours(1);

/// An error as STS says it.
struct Failure {
    status: StatusCode,
    code: &'static str,
    message: String,
}

impl Failure {
    fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            code,
            message: message.into(),
        }
    }

    fn validation(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "ValidationError", message)
    }

    fn denied(message: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "AccessDenied", message)
    }
}

/// What the outer layer finds wrong with a request, by STS's names (STS API, "Common Error Types").
impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        let forbidden = StatusCode::FORBIDDEN;
        let (status, code) = match refusal.code {
            S3ErrorCode::InvalidAccessKeyId | S3ErrorCode::InvalidToken => {
                (forbidden, "InvalidClientTokenId")
            }
            S3ErrorCode::ExpiredToken => (forbidden, "ExpiredToken"),
            S3ErrorCode::SignatureDoesNotMatch | S3ErrorCode::RequestTimeTooSkewed => {
                (forbidden, "SignatureDoesNotMatch")
            }
            S3ErrorCode::AccessDenied => (forbidden, "AccessDenied"),
            S3ErrorCode::AuthorizationHeaderMalformed => {
                (StatusCode::BAD_REQUEST, "IncompleteSignature")
            }
            S3ErrorCode::RequestTimeout => (StatusCode::BAD_REQUEST, "RequestTimeout"),
            _ => (StatusCode::BAD_REQUEST, "ValidationError"),
        };
        Self::new(status, code, refusal.message)
    }
}

/// Whether a request is for STS and not for S3, which has no such operation.
pub(crate) fn is_for_sts(method: &http::Method, target: &Target) -> bool {
    *method == http::Method::POST && target.bucket.is_none() && target.key.is_none()
}

impl Sts {
    /// Answers a request. What goes wrong is an error in the answer.
    pub(crate) async fn answer(
        &self,
        parts: &mut Parts,
        raw: RawBody,
        request_id: &str,
        now: Timestamp,
    ) -> Response<AnswerBody> {
        let (status, document) = match self.carry_out(parts, raw, now).await {
            Ok((action, result)) => (
                StatusCode::OK,
                format!(
                    "<{action}Response xmlns=\"{NAMESPACE}\"><{action}Result>{result}</{action}Result>\
                     <ResponseMetadata><RequestId>{request_id}</RequestId></ResponseMetadata></{action}Response>"
                ),
            ),
            Err(failure) => {
                let kind = if failure.status.is_server_error() {
                    "Receiver"
                } else {
                    "Sender"
                };
                (
                    failure.status,
                    format!(
                        "<ErrorResponse xmlns=\"{NAMESPACE}\"><Error><Type>{kind}</Type><Code>{}</Code>\
                         <Message>{}</Message></Error><RequestId>{request_id}</RequestId></ErrorResponse>",
                        failure.code,
                        xml_text(&failure.message)
                    ),
                )
            }
        };
        let mut answer = Response::new(AnswerBody::from(Bytes::from(document)));
        *answer.status_mut() = status;
        let headers = answer.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/xml"));
        // Secrets are in it.
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Ok(id) = HeaderValue::try_from(request_id) {
            headers.insert("x-amzn-requestid", id);
        }
        answer
    }

    /// The action and what it answers.
    async fn carry_out(
        &self,
        parts: &mut Parts,
        raw: RawBody,
        now: Timestamp,
    ) -> Result<(&'static str, String), Failure> {
        if !parts.headers.contains_key(header::AUTHORIZATION) {
            return Err(Failure::new(
                StatusCode::FORBIDDEN,
                "MissingAuthenticationToken",
                "the request is not signed",
            ));
        }
        let is_form = parts
            .headers
            .get(header::CONTENT_TYPE)
            .and_then(|kind| kind.to_str().ok())
            .is_some_and(|kind| {
                let kind = kind.split(';').next().unwrap_or_default().trim();
                kind.eq_ignore_ascii_case("application/x-www-form-urlencoded")
            });
        if !is_form {
            return Err(Failure::validation(
                "the body must be a form, application/x-www-form-urlencoded",
            ));
        }
        let in_url = Query::parse(parts.uri.query())?;
        if in_url.names().next().is_some() {
            return Err(Failure::validation(
                "the parameters must be in the body, not in the URL",
            ));
        }
        let declared = declared_size(&mut parts.headers, &PayloadKind::Unsigned)?;
        let (payload, _) = Payload::new(
            raw,
            PayloadKind::Unsigned,
            &parts.headers,
            declared,
            FORM_BYTES_MAX,
        )?;
        let body = payload.collect().await?;
        let (who, signed) = sts_header(parts, &in_url, &body, self, now)?;
        let form = Form::parse(&body)?;
        let call = Call {
            sts: self,
            who,
            signed,
            parts,
            now,
        };
        match form.action()? {
            "AssumeRole" => Ok(("AssumeRole", call.assume_role(&form)?)),
            "GetCallerIdentity" => Ok(("GetCallerIdentity", call.caller_identity(&form)?)),
            _ => Err(Failure::new(
                StatusCode::BAD_REQUEST,
                "InvalidAction",
                "there are only the actions AssumeRole and GetCallerIdentity",
            )),
        }
    }
}

/// The parameters of a request, each there once.
struct Form(Query);

impl Form {
    fn parse(body: &[u8]) -> Result<Self, Failure> {
        let text = std::str::from_utf8(body)
            .map_err(|_| Failure::validation("the form is not percent-encoded"))?;
        let query = Query::parse(Some(text))?;
        let mut names: Vec<&str> = query.names().collect();
        names.sort_unstable();
        if let Some(two) = names.windows(2).find(|two| two[0] == two[1]) {
            return Err(Failure::validation(format!(
                "the parameter {} was sent more than once",
                short(two[0])
            )));
        }
        Ok(Self(query))
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.0.unique(name)
    }

    fn required(&self, name: &str) -> Result<&str, Failure> {
        self.get(name)
            .ok_or_else(|| Failure::validation(format!("the parameter {name} is missing")))
    }

    fn action(&self) -> Result<&str, Failure> {
        let action = self.get("Action").ok_or_else(|| {
            Failure::new(
                StatusCode::BAD_REQUEST,
                "MissingAction",
                "the parameter Action is missing",
            )
        })?;
        if self.get("Version") != Some(VERSION) {
            return Err(Failure::new(
                StatusCode::BAD_REQUEST,
                "InvalidAction",
                format!("the parameter Version must be {VERSION}"),
            ));
        }
        Ok(action)
    }

    /// Refuses what is not supported: a tag or a second factor must not be thought to have had an effect.
    fn allow_only(&self, names: &[&str]) -> Result<(), Failure> {
        match self
            .0
            .names()
            .find(|name| !names.contains(name) && !matches!(*name, "Action" | "Version"))
        {
            None => Ok(()),
            Some(name) => Err(Failure::validation(format!(
                "the parameter {} is not supported here",
                short(name)
            ))),
        }
    }
}

/// A request whose signature holds.
struct Call<'a> {
    sts: &'a Sts,
    who: Who,
    signed: Signed,
    parts: &'a Parts,
    now: Timestamp,
}

impl Call<'_> {
    /// Refuses a session whose policies do not allow the action.
    fn check(&self, action: &str, resource: &str) -> Result<(), Failure> {
        let Who::Session(session) = &self.who else {
            return Ok(());
        };
        let context = access::context(&Asked {
            method: &self.parts.method,
            target: &Target {
                bucket: None,
                key: None,
            },
            query: &Query::default(),
            headers: &self.parts.headers,
            signed: &self.signed,
            peer: self.parts.extensions.get::<Peer>().copied(),
            now: self.now,
        })?;
        let decision = session.decide(&Question {
            action,
            resource,
            context: &context,
        });
        match decision {
            Decision::Allowed => Ok(()),
            _ => Err(session.denied(action, resource, decision).into()),
        }
    }

    fn caller_identity(&self, form: &Form) -> Result<String, Failure> {
        let (arn, id) = match &self.who {
            Who::Root => (root_arn(), ACCOUNT.to_owned()),
            Who::Session(session) => (session.arn.clone(), session.assumed_role_id.clone()),
        };
        self.check("sts:GetCallerIdentity", &arn)?;
        form.allow_only(&[])?;
        Ok(elements(&[
            ("Arn", &arn),
            ("UserId", &id),
            ("Account", ACCOUNT),
        ]))
    }

    fn assume_role(&self, form: &Form) -> Result<String, Failure> {
        let role_arn = form.required("RoleArn")?;
        self.check("sts:AssumeRole", role_arn)?;
        if let Who::Session(session) = &self.who
            && session.role == FUNCTION_ROLE
        {
            // It could name the session of another slot, or one of a role that is bound to none.
            return Err(Failure::denied(format!(
                "{} is bound to what it works on and cannot assume a role",
                session.arn
            )));
        }
        form.allow_only(&["RoleArn", "RoleSessionName", "Policy", "DurationSeconds"])?;
        let policy = form.get("Policy");
        if policy.is_some_and(|policy| !policy.chars().all(is_policy_char)) {
            return Err(Failure::validation(
                "Policy may have printable characters up to U+00FF, tabs and line ends; write others as JSON escapes",
            ));
        }
        let role = self
            .sts
            .role(role_arn)
            .ok_or_else(|| no_such_role(role_arn))?;
        let asked = AssumeRole {
            role_arn: role_arn.to_owned(),
            session_name: form.required("RoleSessionName")?.to_owned(),
            policy: policy.map(str::to_owned),
            duration: self.duration(form, role)?,
        };
        let made = self.sts.assume_role(&asked, self.now)?;
        tracing::info!(session = made.arn, expires_at = %made.expires_at, "a role was assumed");
        let mut out = String::from("<AssumedRoleUser>");
        out += &elements(&[("Arn", &made.arn), ("AssumedRoleId", &made.assumed_role_id)]);
        out += "</AssumedRoleUser><Credentials>";
        out += &elements(&[
            ("AccessKeyId", &made.credentials.access_key_id),
            ("SecretAccessKey", &made.credentials.secret_access_key),
            ("SessionToken", &made.session_token),
            ("Expiration", &whole_seconds(made.expires_at)),
        ]);
        out += "</Credentials>";
        if let Some(policy) = policy {
            let chars_max = crate::policy::SESSION_POLICY_CHARS_MAX;
            let percent = (policy.chars().count() * 100).div_ceil(chars_max);
            out += &elements(&[("PackedPolicySize", &percent.to_string())]);
        }
        Ok(out)
    }

    fn duration(&self, form: &Form, role: &Role) -> Result<Duration, Failure> {
        let Some(text) = form.get("DurationSeconds") else {
            return Ok(SESSION_LIFE_DEFAULT.min(role.session_life_max));
        };
        let seconds: u64 = text
            .bytes()
            .all(|b| b.is_ascii_digit())
            .then(|| text.parse().ok())
            .flatten()
            .ok_or_else(|| Failure::validation("DurationSeconds must be a number of seconds"))?;
        let duration = Duration::from_secs(seconds);
        if duration < SESSION_LIFE_MIN {
            return Err(Failure::validation(format!(
                "DurationSeconds must be at least {}",
                SESSION_LIFE_MIN.as_secs()
            )));
        }
        if matches!(self.who, Who::Session(_)) && duration > CHAINED_LIFE_MAX {
            return Err(Failure::validation(
                "DurationSeconds must be at most 3600 for a role that is assumed by a session",
            ));
        }
        if duration > role.session_life_max {
            return Err(Failure::validation(format!(
                "DurationSeconds must be at most {} for this role",
                role.session_life_max.as_secs()
            )));
        }
        Ok(duration)
    }
}

impl From<AssumeRoleError> for Failure {
    fn from(error: AssumeRoleError) -> Self {
        let message = error.to_string();
        match error {
            AssumeRoleError::NoSuchRole(arn) => no_such_role(&arn),
            AssumeRoleError::SessionName
            | AssumeRoleError::PolicyTooLong(_)
            | AssumeRoleError::Duration(_) => Self::validation(message),
            AssumeRoleError::MalformedPolicy(_) => {
                Self::new(StatusCode::BAD_REQUEST, "MalformedPolicyDocument", message)
            }
            AssumeRoleError::NoRandomness => {
                tracing::error!("{message}");
                Self::new(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "InternalFailure",
                    message,
                )
            }
        }
    }
}

/// AWS does not tell a role that is missing from one that may not be assumed.
fn no_such_role(arn: &str) -> Failure {
    if !arn.starts_with("arn:") {
        return Failure::validation(format!("{arn} is invalid: a role is named by its ARN"));
    }
    Failure::denied(format!(
        "not authorized to perform sts:AssumeRole on {}, or there is no such role",
        short(arn)
    ))
}

/// What a policy may be written with (STS API, `AssumeRole`, `Policy`).
fn is_policy_char(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | ' '..='\u{ff}')
}

fn elements(pairs: &[(&str, &str)]) -> String {
    let mut out = String::new();
    for (name, text) in pairs {
        write!(out, "<{name}>{}</{name}>", xml_text(text)).expect("a String takes every write");
    }
    out
}

/// As STS writes it: `2026-11-23T10:50:50Z`.
fn whole_seconds(time: Timestamp) -> String {
    let text = time.to_string();
    match text.split_once('.') {
        Some((seconds, _)) => format!("{seconds}Z"),
        None => text,
    }
}

fn short(text: &str) -> String {
    text.chars().take(100).collect()
}

//! What the maker of a form allows (S3 API, "POST Policy").

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::time::Duration;

use s3s::S3ErrorCode;
use serde::Deserialize;
use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use two_buckets_objects::{SINGLE_PUT_SIZE_BYTES_MAX, Timestamp};

use super::fields::Fields;
use crate::refusal::Refusal;
use crate::sign::PRESIGNED_VALID_MAX;

/// The fields that need no condition: those that make the signature, and the file itself.
const UNCONDITIONED: &[&str] = &[
    "x-amz-signature",
    "file",
    "policy",
    "awsaccesskeyid",
    "signature",
];
/// Fields that begin so need none either.
const IGNORED: &str = "x-ignore-";
/// The most conditions of one policy, as many as fields and sizes can be.
const CONDITIONS_MAX: usize = 256;

/// A policy document.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Policy {
    expires_at: Timestamp,
    conditions: Vec<Condition>,
}

/// One condition; the field's name is in lower case.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Condition {
    Equal { field: String, value: String },
    StartsWith { field: String, prefix: String },
    Size(RangeInclusive<u64>),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    expiration: String,
    conditions: Vec<Stated>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Stated {
    Exact(BTreeMap<String, String>),
    List(Vec<Value>),
}

impl Policy {
    /// Reads the JSON document. What is not understood is refused.
    pub(crate) fn parse(document: &[u8]) -> Result<Self, Refusal> {
        let text =
            std::str::from_utf8(document).map_err(|_| invalid("the document is not UTF-8"))?;
        let document: Document = serde_json::from_str(&without_dollar_escapes(text))
            .map_err(|_| invalid("the document is not JSON with expiration and conditions"))?;
        if document.conditions.len() > CONDITIONS_MAX {
            return Err(invalid("there are too many conditions"));
        }
        let expires_at = OffsetDateTime::parse(&document.expiration, &Rfc3339)
            .ok()
            .and_then(|moment| i64::try_from(moment.unix_timestamp_nanos() / 1_000_000).ok())
            .map(Timestamp::from_millis)
            .ok_or_else(|| invalid("the expiration is no time such as 2026-11-23T10:50:50Z"))?;
        let conditions = document
            .conditions
            .into_iter()
            .map(Condition::of)
            .collect::<Result<_, _>>()?;
        Ok(Self {
            expires_at,
            conditions,
        })
    }

    /// Says which sizes of the file are allowed, if the fields are, in this bucket at this time.
    pub(crate) fn check(
        &self,
        fields: &Fields,
        bucket: &str,
        now: Timestamp,
    ) -> Result<RangeInclusive<u64>, Refusal> {
        self.check_time(now)?;
        if fields.get("bucket").is_some_and(|named| named != bucket) {
            return Err(denied("the form's bucket is not the one it was sent to"));
        }
        // The bucket is what the form was sent to, whether or not it says so in a field.
        let value = |field: &str| match field {
            "bucket" => Some(bucket),
            _ => fields.get(field),
        };
        let mut sizes = 0..=SINGLE_PUT_SIZE_BYTES_MAX;
        for condition in &self.conditions {
            let (field, holds) = match condition {
                Condition::Size(range) => {
                    sizes = *sizes.start().max(range.start())..=*sizes.end().min(range.end());
                    continue;
                }
                Condition::Equal {
                    field,
                    value: wanted,
                } => (field, value(field).is_some_and(|value| value == wanted)),
                Condition::StartsWith { field, prefix } => (
                    field,
                    value(field).is_some_and(|value| starts_with(field, value, prefix)),
                ),
            };
            if !holds {
                return Err(denied(&format!("the condition on {field} does not hold")));
            }
        }
        if sizes.is_empty() {
            return Err(invalid("no size is within all its content-length-ranges"));
        }
        let is_covered = |name: &str| {
            UNCONDITIONED.contains(&name)
                || name.starts_with(IGNORED)
                || self.conditions.iter().any(|condition| match condition {
                    Condition::Equal { field, .. } | Condition::StartsWith { field, .. } => {
                        field == name
                    }
                    Condition::Size(_) => false,
                })
        };
        match fields
            .names()
            .chain(["bucket"])
            .find(|name| !is_covered(name))
        {
            None => Ok(sizes),
            Some(name) => Err(denied(&format!(
                "no condition of the policy names the field {name:?}"
            ))),
        }
    }

    fn check_time(&self, now: Timestamp) -> Result<(), Refusal> {
        if now >= self.expires_at {
            return Err(denied("the policy has expired"));
        }
        // One second of grace, because the expiration is mostly in whole seconds.
        if self.expires_at.since(now) > PRESIGNED_VALID_MAX + Duration::from_secs(1) {
            return Err(denied("the policy is valid for more than 7 days"));
        }
        Ok(())
    }
}

impl Condition {
    fn of(stated: Stated) -> Result<Self, Refusal> {
        match stated {
            Stated::Exact(exact) => {
                let mut pairs = exact.into_iter();
                match (pairs.next(), pairs.next()) {
                    (Some((field, value)), None) => Ok(Self::Equal {
                        field: field.to_ascii_lowercase(),
                        value,
                    }),
                    _ => Err(invalid("a simple condition must name exactly one field")),
                }
            }
            Stated::List(list) => {
                let [operator, first, second] = <[Value; 3]>::try_from(list)
                    .map_err(|_| invalid("a condition is a list of three"))?;
                let operator = operator
                    .as_str()
                    .ok_or_else(|| invalid("a condition begins with its operator"))?
                    .to_ascii_lowercase();
                if operator == "content-length-range" {
                    return Ok(Self::Size(size(&first)?..=size(&second)?));
                }
                let field = first
                    .as_str()
                    .and_then(|field| field.strip_prefix('$'))
                    .ok_or_else(|| invalid("a condition names its field as \"$field\""))?
                    .to_ascii_lowercase();
                let value = second
                    .as_str()
                    .ok_or_else(|| invalid("a condition compares with a text"))?
                    .to_owned();
                match operator.as_str() {
                    "eq" => Ok(Self::Equal { field, value }),
                    "starts-with" => Ok(Self::StartsWith {
                        field,
                        prefix: value,
                    }),
                    _ => Err(invalid(
                        "a condition is eq, starts-with or content-length-range",
                    )),
                }
            }
        }
    }
}

/// A value of `Content-Type` may be a list, of which each must begin so (S3 API, "POST Policy").
fn starts_with(field: &str, value: &str, prefix: &str) -> bool {
    if field == "content-type" {
        value
            .split(',')
            .all(|one| one.trim_start().starts_with(prefix))
    } else {
        value.starts_with(prefix)
    }
}

/// A size, which some write as a text.
fn size(value: &Value) -> Result<u64, Refusal> {
    let size = match value {
        Value::Number(number) => number.as_u64(),
        Value::String(text) if text.bytes().all(|b| b.is_ascii_digit()) => text.parse().ok(),
        _ => None,
    };
    size.ok_or_else(|| invalid("content-length-range has two whole numbers of bytes"))
}

/// In a policy `\$` is a dollar sign, which JSON does not know (S3 API, "POST Policy", "Character Escaping").
fn without_dollar_escapes(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            plain.push(c);
            continue;
        }
        match chars.next() {
            Some('$') => plain.push('$'),
            Some(other) => plain.extend(['\\', other]),
            None => plain.push('\\'),
        }
    }
    plain
}

fn invalid(what: &str) -> Refusal {
    Refusal::new(
        S3ErrorCode::InvalidPolicyDocument,
        format!("the policy is invalid: {what}"),
    )
}

fn denied(what: &str) -> Refusal {
    Refusal::access_denied(format!("invalid according to policy: {what}"))
}

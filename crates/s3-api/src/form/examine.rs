//! A form that is whole in memory, looked at without a store or a signature: what fuzzers and the kept corpus run.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use s3s::S3ErrorCode;
use two_buckets_objects::Timestamp;

use super::answer::Success;
use super::policy::Policy;
use super::{Form, Step};
use crate::refusal::Refusal;

/// What a form would upload.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ExaminedForm {
    /// The key, with the file's name in it.
    pub key: String,
    /// The file.
    pub file: Vec<u8>,
}

/// Reads the body of a form that comes in pieces of `piece_bytes` (0 counts as 1), and does with it what an upload to
/// `bucket` would at this time, but for two things: no signature is checked, and nothing is stored. Gives the S3 code
/// of the refusal otherwise. Pure; says nothing of who may upload.
pub fn examine_form(
    content_type: &str,
    body: &[u8],
    piece_bytes: usize,
    bucket: &str,
    now: Timestamp,
) -> Result<ExaminedForm, String> {
    examine(content_type, body, piece_bytes.max(1), bucket, now)
        .map_err(|refusal| refusal.code.as_str().to_owned())
}

fn examine(
    content_type: &str,
    body: &[u8],
    piece_bytes: usize,
    bucket: &str,
    now: Timestamp,
) -> Result<ExaminedForm, Refusal> {
    let mut form = Form::new(content_type)?;
    let mut pieces = body.chunks(piece_bytes);
    let mut found = None;
    let mut file = Vec::new();
    loop {
        match form.step()? {
            Step::Fields(fields) => {
                let policy = fields.get("policy").ok_or_else(|| {
                    Refusal::access_denied("the form has no policy in front of its file")
                })?;
                let policy = BASE64_STANDARD.decode(policy).map_err(|_| {
                    Refusal::new(
                        S3ErrorCode::InvalidPolicyDocument,
                        "the policy is not base64",
                    )
                })?;
                let sizes = Policy::parse(&policy)?.check(&fields, bucket, now)?;
                let key = fields.key()?.to_owned();
                fields.headers()?;
                Success::of(&fields)?;
                found = Some((key, sizes));
            }
            Step::Piece(piece) => file.extend_from_slice(&piece),
            Step::Done | Step::More => match pieces.next() {
                Some(piece) => form.push(piece),
                None => break,
            },
        }
    }
    form.finish()?;
    let (key, sizes) = found.ok_or_else(|| {
        Refusal::new(
            S3ErrorCode::IncorrectNumberOfFilesInPostRequest,
            "the form has no file",
        )
    })?;
    let size = file.len() as u64;
    if size < *sizes.start() {
        return Err(Refusal::new(
            S3ErrorCode::EntityTooSmall,
            "the file is too small",
        ));
    }
    if size > *sizes.end() {
        return Err(Refusal::new(
            S3ErrorCode::EntityTooLarge,
            "the file is too large",
        ));
    }
    Ok(ExaminedForm { key, file })
}

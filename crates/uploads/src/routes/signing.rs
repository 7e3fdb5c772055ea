//! What the routes that sign requests share.

use http::header::IF_NONE_MATCH;
use http::{HeaderName, HeaderValue};
use two_buckets_objects::SINGLE_PUT_SIZE_BYTES_MAX;

use crate::admission::Admitted;
use crate::file_facts::FileFacts;
use crate::problem::Problem;
use crate::service::Api;
use crate::{
    Grants, Operation, RequestToSign, SIGNED_CALL_LIFE, SIGNED_PUT_LIFE, SignedRequest, Tracker,
};

/// The header that lets a minted key be written once only, if the key was minted.
pub(super) fn condition(admitted: &Admitted) -> Option<(HeaderName, HeaderValue)> {
    let once = (IF_NONE_MATCH, HeaderValue::from_static("*"));
    admitted.must_be_new().then_some(once)
}

/// The headers that bind a PUT of the whole file.
pub(super) fn put_headers(
    admitted: &Admitted,
    facts: &FileFacts,
) -> Vec<(HeaderName, HeaderValue)> {
    let condition = condition(admitted).into_iter();
    condition.chain(facts.headers()).collect()
}

/// Refuses a file that is too large for one request.
pub(super) fn fits_one_request(facts: &FileFacts) -> Result<(), Problem> {
    match facts.size_bytes {
        Some(size) if size > SINGLE_PUT_SIZE_BYTES_MAX => Err(Problem::BadRequest(format!(
            "the file has {size} bytes, one signed PUT carries at most {SINGLE_PUT_SIZE_BYTES_MAX} (5 GiB); \
             send it in parts"
        ))),
        _ => Ok(()),
    }
}

/// Refuses a file that is too large for S3.
pub(super) fn fits_s3(facts: &FileFacts) -> Result<(), Problem> {
    match facts.size_bytes {
        Some(size) if crate::part_size(size).is_none() => Err(Problem::BadRequest(format!(
            "the file has {size} bytes, no file may have more than {} (50 TB)",
            crate::FILE_SIZE_BYTES_MAX
        ))),
        _ => Ok(()),
    }
}

/// Signs a request for the life its operation needs.
pub(super) async fn signed<T: Tracker, G: Grants>(
    api: &Api<T, G>,
    admitted: &Admitted,
    operation: Operation,
    headers: Vec<(HeaderName, HeaderValue)>,
) -> Result<SignedRequest, Problem> {
    let life = match operation {
        Operation::PutObject | Operation::PutPart { .. } => SIGNED_PUT_LIFE,
        _ => SIGNED_CALL_LIFE,
    };
    let request = RequestToSign {
        operation,
        key: admitted.key.clone(),
        headers,
        life,
    };
    Ok(api.grants.sign(request).await?)
}

//! The JSON of grants. Fields that are not known are ignored where other people's clients ask.

use std::collections::BTreeMap;

use http::{HeaderName, HeaderValue, header};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What `POST /api/signedurl` takes, and `POST /api/credentials` of it what it needs.
#[derive(Deserialize)]
pub(crate) struct FileRequest {
    pub(crate) key: Option<String>,
    pub(crate) filename: Option<String>,
    #[serde(rename = "type")]
    pub(crate) media_type: Option<String>,
    pub(crate) size: Option<u64>,
    pub(crate) sha256: Option<String>,
}

#[derive(Serialize)]
pub(crate) struct SignedUrlJson {
    pub(crate) url: String,
    pub(crate) method: &'static str,
    pub(crate) key: String,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) expires_at: String,
    pub(crate) id: Option<String>,
}

#[derive(Serialize)]
pub(crate) struct CredentialsJson {
    pub(crate) access_key: String,
    pub(crate) secret_key: String,
    pub(crate) session_token: String,
    pub(crate) region: String,
    pub(crate) bucket: String,
    pub(crate) key: String,
    pub(crate) endpoint: String,
    pub(crate) expires_at: String,
    pub(crate) id: Option<String>,
}

/// What `POST /api/form` takes.
#[derive(Deserialize)]
pub(crate) struct FormRequest {
    pub(crate) key: Option<String>,
    pub(crate) filename: Option<String>,
    #[serde(rename = "type")]
    pub(crate) media_type: Option<String>,
    pub(crate) size_max: Option<u64>,
}

#[derive(Serialize)]
pub(crate) struct FormJson {
    pub(crate) method: &'static str,
    pub(crate) url: String,
    pub(crate) fields: BTreeMap<String, String>,
    pub(crate) key: String,
    pub(crate) expires_at: String,
    pub(crate) id: Option<String>,
}

/// What `POST /api/s3/sign` takes: a request as `@uppy/aws-s3` 6 describes it, and what is known of the file.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SignRequest {
    pub(crate) method: String,
    pub(crate) key: Option<String>,
    pub(crate) upload_id: Option<String>,
    pub(crate) part_number: Option<u64>,
    pub(crate) content_type: Option<String>,
    pub(crate) filename: Option<String>,
    pub(crate) size: Option<u64>,
    pub(crate) sha256: Option<String>,
    pub(crate) crc64nvme: Option<String>,
}

#[derive(Serialize)]
pub(crate) struct SignedJson {
    pub(crate) url: String,
    pub(crate) key: String,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) expires_at: String,
    pub(crate) id: Option<String>,
}

/// What `POST /api/s3/multipart` takes.
#[derive(Deserialize)]
pub(crate) struct MultipartRequest {
    pub(crate) filename: Option<String>,
    pub(crate) key: Option<String>,
    #[serde(rename = "type")]
    pub(crate) media_type: Option<String>,
    pub(crate) size: Option<u64>,
    pub(crate) metadata: Option<BTreeMap<String, Value>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct MultipartJson {
    pub(crate) key: String,
    pub(crate) upload_id: String,
    pub(crate) bucket: String,
    pub(crate) id: Option<String>,
}

/// The key in the query of the calls on one multipart upload.
#[derive(Deserialize)]
pub(crate) struct KeyQuery {
    pub(crate) key: Option<String>,
}

#[derive(Serialize)]
pub(crate) struct PartUrlJson {
    pub(crate) url: String,
    /// In seconds from now, as Companion says it.
    pub(crate) expires: u64,
    pub(crate) expires_at: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct PartJson {
    pub(crate) part_number: u32,
    pub(crate) size: u64,
    #[serde(rename = "ETag")]
    pub(crate) etag: String,
}

/// What `POST /api/s3/multipart/{id}/complete` takes.
#[derive(Deserialize)]
pub(crate) struct CompleteRequest {
    pub(crate) parts: Vec<CompletePart>,
}

#[derive(Deserialize)]
pub(crate) struct CompletePart {
    #[serde(rename = "PartNumber")]
    pub(crate) number: u64,
    #[serde(rename = "ETag")]
    pub(crate) etag: String,
}

#[derive(Serialize)]
pub(crate) struct CompletedJson {
    pub(crate) location: String,
    pub(crate) bucket: String,
    pub(crate) key: String,
    pub(crate) etag: Option<String>,
}

/// The answer with nothing in it.
#[derive(Serialize)]
pub(crate) struct NothingJson {}

#[derive(Serialize)]
pub(crate) struct StsJson {
    pub(crate) credentials: StsCredentialsJson,
    pub(crate) bucket: String,
    pub(crate) region: String,
    pub(crate) endpoint: String,
    pub(crate) prefix: String,
}

/// Both spellings: STS's own, as Companion gives it, and that of `@uppy/aws-s3` 6, which takes this object as it is.
#[derive(Serialize)]
pub(crate) struct StsCredentialsJson {
    #[serde(rename = "AccessKeyId")]
    access_key_id_sts: String,
    #[serde(rename = "SecretAccessKey")]
    secret_access_key_sts: String,
    #[serde(rename = "SessionToken")]
    session_token_sts: String,
    #[serde(rename = "Expiration")]
    expiration_sts: String,
    #[serde(rename = "accessKeyId")]
    access_key_id: String,
    #[serde(rename = "secretAccessKey")]
    secret_access_key: String,
    #[serde(rename = "sessionToken")]
    session_token: String,
    expiration: String,
}

impl From<crate::UploadCredentials> for StsCredentialsJson {
    fn from(made: crate::UploadCredentials) -> Self {
        let expiration = made.expires_at.to_string();
        Self {
            access_key_id_sts: made.access_key_id.clone(),
            secret_access_key_sts: made.secret_access_key.clone(),
            session_token_sts: made.session_token.clone(),
            expiration_sts: expiration.clone(),
            access_key_id: made.access_key_id,
            secret_access_key: made.secret_access_key,
            session_token: made.session_token,
            expiration,
        }
    }
}

/// The headers a client must send, for a client that sets them itself. Every client sends the length by itself, and a
/// browser's page may not set it.
pub(crate) fn shown_headers(headers: &[(HeaderName, HeaderValue)]) -> BTreeMap<String, String> {
    headers
        .iter()
        .filter(|(name, _)| name != header::CONTENT_LENGTH)
        .map(|(name, value)| {
            let value = value.to_str().expect("built from visible ASCII");
            (name.to_string(), value.to_owned())
        })
        .collect()
}

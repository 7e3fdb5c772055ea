//! `POST Object`: an upload by HTML form, once its policy allowed it.

use futures::StreamExt as _;
use http::{HeaderMap, HeaderName, HeaderValue, Response, header};
use s3s::dto::Tagging;
use s3s::{S3Error, S3ErrorCode, S3Result, xml};
use two_buckets_depot::PutObject;
use two_buckets_objects::{Tags, WriteCondition};

use super::{Backend, convert};
use crate::access::Access;
use crate::digests::{self, Claims};
use crate::form::answer::Success;
use crate::form::upload::Allowed;
use crate::payload::Trailers;
use crate::service::{AnswerBody, SENT_EXPIRES};
use crate::unsupported;

impl Backend {
    /// Receives the file and makes the object, as a PUT with the same headers would. Whatever fails, nothing is left.
    /// `location_of` makes the object's URL from its key.
    pub(crate) async fn post_object(
        &self,
        bucket: &str,
        form: Allowed<'_>,
        location_of: impl FnOnce(&str) -> String,
    ) -> S3Result<Response<AnswerBody>> {
        let to = convert::object(bucket, form.fields.key()?)?;
        // Sessions that may write more than others send no forms.
        self.check_writable(&Access::Root, &to)?;
        let success = Success::of(&form.fields)?;
        let mut headers = form.fields.headers()?;
        unsupported::refuse(&headers)?;
        if let Some(expires) = headers.remove(header::EXPIRES) {
            headers.insert(SENT_EXPIRES, expires);
        }
        let claims = Claims::of_headers(&headers)?;
        let options = PutObject {
            condition: WriteCondition::None,
            metadata: convert::metadata(&headers, Some(user_metadata(&headers)?))?,
            tags: tags(form.fields.get("tagging"))?,
            checksum: claims.algorithm(),
        };
        // A form for a bucket that is not there need not send its file first.
        {
            let bucket = to.bucket.clone();
            self.store.look(|depot| depot.bucket(&bucket)).await?;
        }
        let (_, pieces) = form.into_pieces();
        let made = self
            .make_object(
                to.clone(),
                None,
                options,
                claims,
                Trailers::default(),
                pieces.boxed(),
            )
            .await?;
        let etag = made.written.etag.as_str();
        let mut answer = success.answer(&to, etag, &location_of(to.key.as_str()));
        let headers = answer.headers_mut();
        convert::set_header(headers, header::ETAG, &format!("\"{etag}\""));
        if let Some(version_id) = &made.version_id {
            let name = HeaderName::from_static("x-amz-version-id");
            convert::set_header(headers, name, version_id);
        }
        if let Some(checksum) = &made.checksum {
            let name = HeaderName::from_static(digests::header_of(checksum.algorithm));
            convert::set_header(headers, name, &digests::text_of(checksum));
            headers.insert(
                "x-amz-checksum-type",
                HeaderValue::from_static("FULL_OBJECT"),
            );
        }
        Ok(answer)
    }
}

fn user_metadata(headers: &HeaderMap) -> S3Result<s3s::dto::Metadata> {
    let mut metadata = s3s::dto::Metadata::default();
    for (name, value) in headers {
        if let Some(name) = name.as_str().strip_prefix("x-amz-meta-") {
            let value = std::str::from_utf8(value.as_bytes()).map_err(|_| {
                convert::invalid_argument(format!("the metadata {name} is not UTF-8"))
            })?;
            metadata.insert(name.to_owned(), value.to_owned());
        }
    }
    Ok(metadata)
}

/// The field `tagging` is a document, unlike the header of a PUT.
fn tags(document: Option<&str>) -> S3Result<Tags> {
    let Some(document) = document else {
        return Ok(Tags::default());
    };
    let mut deserializer = xml::Deserializer::new(document.as_bytes());
    let tagging: Tagging = xml::Deserialize::deserialize(&mut deserializer).map_err(|_| {
        S3Error::with_message(
            S3ErrorCode::MalformedXML,
            "the field tagging is no Tagging document",
        )
    })?;
    convert::tags_of_set(tagging.tag_set, Tags::COUNT_MAX)
}

use std::fmt::Write as _;

use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _};
use http::{Method, Request};
use tokio::sync::mpsc;
use two_buckets_s3_api::Credentials;
use two_buckets_s3_api::sign::{self, sha256_hex, sign_headers};

use super::parts::{Part, parts_of};
use super::single::accepted;
use super::source::Source;
use super::{Accepted, Uploader};
use crate::cli::api::{SentBody, in_memory};
use crate::cli::meaning::Naming;
use crate::cli::s3::{self, Sent};
use crate::cli::wire::{Grant, read};
use crate::clock;
use crate::failure::Failure;

/// How many parts of one file are on their way at once.
const PARALLEL_PARTS: usize = 4;

/// Uploads a file in parts, each signed with the SHA-256 of its bytes. What fails is aborted.
pub(super) async fn upload(
    uploader: &Uploader<'_>,
    source: &Source,
    sent: &(dyn Fn(u64) + Sync),
) -> Result<Accepted, Failure> {
    let root_key = uploader.root_key.as_ref().ok_or_else(|| {
        Failure::failed(
            "large files need the server's root key pair, which it took from its environment; set TWO_BUCKETS_ACCESS_KEY_ID and TWO_BUCKETS_SECRET_ACCESS_KEY here as well",
        )
    })?;
    // The API chooses and checks the key, as for small files; of its grant nothing else is used.
    let grant: Grant = read(
        uploader
            .api
            .post("/api/signedurl", &uploader.wanted(source)?)
            .await?,
    )?;
    let target = Target {
        uploader,
        credentials: Credentials {
            access_key_id: root_key.access_key_id.clone(),
            secret_access_key: root_key.secret_access_key.clone(),
        },
        key: grant.key,
    };
    let created = target
        .call(&Method::POST, &[("uploads", "")], &[], Bytes::new())
        .await?;
    let upload_id = created
        .element("UploadId")
        .ok_or_else(|| Failure::failed("S3 began the upload and gave no id"))?;
    match target.send_parts(source, &upload_id, sent).await {
        Ok(completed) => accepted(target.key, &completed),
        Err(failure) => {
            let aborted = target
                .call(
                    &Method::DELETE,
                    &[("uploadId", &upload_id)],
                    &[],
                    Bytes::new(),
                )
                .await;
            match aborted {
                Ok(_) => Err(failure),
                Err(second) => Err(Failure::failed(format!(
                    "{failure}; its parts stay until the server removes them: {second}"
                ))),
            }
        }
    }
}

struct Target<'a> {
    uploader: &'a Uploader<'a>,
    credentials: Credentials,
    key: String,
}

impl Target<'_> {
    async fn send_parts(
        &self,
        source: &Source,
        upload_id: &str,
        sent: &(dyn Fn(u64) + Sync),
    ) -> Result<Sent, Failure> {
        let tags: Vec<(u32, String)> = futures::stream::iter(parts_of(source.size_bytes))
            .map(async |part| {
                let tag = self.send_part(source, upload_id, part, sent).await?;
                Ok::<_, Failure>((part.number, tag))
            })
            .buffered(PARALLEL_PARTS)
            .try_collect()
            .await?;
        let mut document = String::from("<CompleteMultipartUpload>");
        for (number, tag) in tags {
            // A tag is hexadecimal and a hyphen in quotes, so there is nothing to escape.
            write!(
                document,
                "<Part><PartNumber>{number}</PartNumber><ETag>{tag}</ETag></Part>"
            )
            .expect("writing to a String cannot fail");
        }
        document.push_str("</CompleteMultipartUpload>");
        // A minted key is written once: a second write of it would be another file's.
        let condition: &[_] = match self.uploader.naming {
            Naming::Minted => &[("if-none-match", "*")],
            Naming::Key(_) | Naming::Prefix(_) => &[],
        };
        let mut completed = self
            .call(
                &Method::POST,
                &[("uploadId", upload_id)],
                condition,
                document.into(),
            )
            .await?;
        completed.take_tag_from_body();
        Ok(completed)
    }

    async fn send_part(
        &self,
        source: &Source,
        upload_id: &str,
        part: Part,
        sent: &(dyn Fn(u64) + Sync),
    ) -> Result<String, Failure> {
        let sha256 = source.sha256(part.offset, part.size_bytes).await?;
        let number = part.number.to_string();
        let query = [("partNumber", number.as_str()), ("uploadId", upload_id)];
        let answer = s3::send(self.uploader.api, sent, |progress| {
            let body = source.body(part.offset, part.size_bytes, progress);
            self.signed(&Method::PUT, &query, &[], &sha256, body)
        })
        .await?;
        answer
            .header("etag")
            .map(str::to_owned)
            .ok_or_else(|| Failure::failed(format!("S3 accepted part {number} and gave no tag")))
    }

    async fn call(
        &self,
        method: &Method,
        query: &[(&str, &str)],
        headers: &[(&str, &str)],
        body: Bytes,
    ) -> Result<Sent, Failure> {
        let sha256 = sha256_hex(&body);
        s3::send(
            self.uploader.api,
            &|_| (),
            |_: mpsc::UnboundedSender<u64>| {
                self.signed(method, query, headers, &sha256, in_memory(body.clone()))
            },
        )
        .await
    }

    fn signed(
        &self,
        method: &Method,
        query: &[(&str, &str)],
        headers: &[(&str, &str)],
        sha256: &str,
        body: SentBody,
    ) -> Result<Request<SentBody>, http::Error> {
        let record = &self.uploader.api.record;
        let host = record.s3.trim_start_matches("http://");
        let to_sign = sign::Request {
            method,
            host,
            bucket: Some(&record.staging),
            key: Some(&self.key),
            query,
            headers,
        };
        let mut request =
            Request::builder()
                .method(method)
                .uri(format!("{}{}", record.s3, to_sign.target()));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let signature = sign_headers(
            &self.credentials,
            None,
            &record.region,
            &to_sign,
            sha256,
            clock::now(),
        );
        for (name, value) in signature {
            request = request.header(name, value);
        }
        request.body(body)
    }
}

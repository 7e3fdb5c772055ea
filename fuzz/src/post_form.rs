use std::fmt::Write as _;

use http::Method;
use two_buckets_depot::ListObjects;
use two_buckets_s3_api::sign::sign_text;
use two_buckets_uploads::{FormSigner, FormTarget, FormToSign};

use crate::server::{HOST, NOW, OWN_KEY, REGION, Server, bucket_name};

/// The boundary of every form here; entries of the corpus are written with it.
const BOUNDARY: &str = "frontier";
/// The most bytes the form allows.
const SIZE_BYTES_MAX: u64 = 64;

/// Posts a form to `staging` that may upload [`OWN_KEY`] of at most 64 bytes: whatever the bytes are, the answer is no
/// error of the server's, and nothing else is ever written.
///
/// `@FIELDS@` in the bytes stands for the fields of a form whose signature holds.
///
/// # Panics
///
/// When one of these promises is broken.
pub fn post_form(bytes: &[u8]) {
    uploads(bytes);
}

/// Says whether the form uploaded its file.
fn uploads(bytes: &[u8]) -> bool {
    let server = Server::new();
    let life = std::time::Duration::from_mins(15);
    let form = FormToSign {
        to: FormTarget::Key(OWN_KEY.parse().expect("a key")),
        size_bytes: 0..=SIZE_BYTES_MAX,
        content_type: Some("text/plain".parse().expect("a type")),
        metadata: std::collections::BTreeMap::new(),
        life,
    };
    let signer = FormSigner {
        access_key_id: &server.root.access_key_id,
        session_token: None,
        region: REGION,
        now: NOW,
    };
    let form = form.unsigned(&bucket_name("staging"), &signer, NOW.after(life));
    let signature = sign_text(&server.root, REGION, form.text_to_sign(), NOW);
    let fields = form.signed(signature);
    let mut valid = String::new();
    for (name, value) in fields {
        write!(
            valid,
            "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n"
        )
        .expect("a string takes everything");
    }
    let body = with_fields(bytes, valid.as_bytes());
    let headers = [
        ("host", HOST.to_owned()),
        (
            "content-type",
            format!("multipart/form-data; boundary={BOUNDARY}"),
        ),
        ("content-length", body.len().to_string()),
    ]
    .map(|(name, value)| (name.to_owned(), value.into_bytes()));
    server.status(&Method::POST, "/staging", &headers, &body);
    let staging = server
        .depot
        .list_objects(&bucket_name("staging"), &ListObjects::default())
        .expect("memory can be read");
    for object in &staging.entries {
        assert_eq!(object.key.as_str(), OWN_KEY, "a form wrote another key");
        assert!(object.size_bytes <= SIZE_BYTES_MAX, "a form wrote too much");
    }
    !staging.entries.is_empty()
}

fn with_fields(bytes: &[u8], fields: &[u8]) -> Vec<u8> {
    const PLACE: &[u8] = b"@FIELDS@";
    match bytes.windows(PLACE.len()).position(|it| it == PLACE) {
        None => bytes.to_vec(),
        Some(at) => [&bytes[..at], fields, &bytes[at + PLACE.len()..]].concat(),
    }
}

#[cfg(test)]
mod tests {
    use super::uploads;

    #[test]
    fn a_form_that_is_right_uploads_and_one_that_is_not_does_not() {
        for (entry, uploaded) in [
            (&include_bytes!("../corpus/post_form/good")[..], true),
            (include_bytes!("../corpus/post_form/empty-file"), true),
            (include_bytes!("../corpus/post_form/too-large"), false),
            (include_bytes!("../corpus/post_form/extra-field"), false),
            (include_bytes!("../corpus/post_form/second-key"), false),
            (include_bytes!("../corpus/post_form/unsigned"), false),
        ] {
            assert_eq!(
                uploads(entry),
                uploaded,
                "{}",
                String::from_utf8_lossy(entry)
            );
        }
    }
}

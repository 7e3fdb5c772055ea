//! What a form is answered that succeeded, as its fields ask.

use http::{HeaderValue, Response, StatusCode, Uri, header};
use two_buckets_objects::ObjectRef;

use super::fields::Fields;
use crate::refusal::Refusal;
use crate::service::{AnswerBody, xml_text};
use crate::sign;

/// The answer asked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Success {
    /// 204, or 200 without a body.
    Empty(StatusCode),
    /// 201 with a document.
    Document,
    /// 303 to this URL.
    Redirect(String),
}

impl Success {
    /// Reads `success_action_redirect` and `success_action_status`. A status that S3 does not have is 204, as there.
    pub(crate) fn of(fields: &Fields) -> Result<Self, Refusal> {
        if let Some(url) = fields.get("success_action_redirect") {
            return check_url(url).map(|()| Self::Redirect(url.to_owned()));
        }
        Ok(match fields.get("success_action_status") {
            Some("200") => Self::Empty(StatusCode::OK),
            Some("201") => Self::Document,
            _ => Self::Empty(StatusCode::NO_CONTENT),
        })
    }

    /// Makes the answer. `location` is the object's URL, and `etag` has no quotes.
    pub(crate) fn answer(self, at: &ObjectRef, etag: &str, location: &str) -> Response<AnswerBody> {
        let (bucket, key) = (at.bucket.as_str(), at.key.as_str());
        let (status, location, body) = match self {
            Self::Empty(status) => (status, location.to_owned(), AnswerBody::empty()),
            Self::Document => {
                let document = format!(
                    "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<PostResponse><Location>{}</Location>\
                     <Bucket>{bucket}</Bucket><Key>{}</Key><ETag>&quot;{}&quot;</ETag></PostResponse>",
                    xml_text(location),
                    xml_text(key),
                    xml_text(etag),
                );
                (
                    StatusCode::CREATED,
                    location.to_owned(),
                    AnswerBody::from(document),
                )
            }
            Self::Redirect(url) => (
                StatusCode::SEE_OTHER,
                redirected(&url, bucket, key, etag),
                AnswerBody::empty(),
            ),
        };
        let mut answer = Response::new(body);
        *answer.status_mut() = status;
        if status == StatusCode::CREATED {
            answer.headers_mut().insert(
                header::CONTENT_TYPE,
                HeaderValue::from_static("application/xml"),
            );
        }
        // Both kinds of URL are made of visible ASCII: one was checked, the other is encoded.
        if let Ok(location) = HeaderValue::try_from(location) {
            answer.headers_mut().insert(header::LOCATION, location);
        }
        answer
    }
}

/// Only http and https, with a host and nobody's name in it, and no character that a browser might read in another
/// way than we do.
fn check_url(url: &str) -> Result<(), Refusal> {
    let refused = || {
        Refusal::invalid_argument(
            "success_action_redirect must be an absolute http or https URL, percent-encoded",
        )
    };
    let is_plain = url
        .bytes()
        .all(|byte| byte.is_ascii_graphic() && !b"\"<>\\^`{|}".contains(&byte));
    if !is_plain {
        return Err(refused());
    }
    let uri: Uri = url.parse().map_err(|_| refused())?;
    let is_web = uri
        .scheme_str()
        .is_some_and(|scheme| scheme == "http" || scheme == "https");
    let has_host = uri
        .authority()
        .is_some_and(|authority| !authority.host().is_empty() && !authority.as_str().contains('@'));
    if is_web && has_host {
        Ok(())
    } else {
        Err(refused())
    }
}

/// The URL with what was uploaded added to its query, as S3 adds it.
fn redirected(url: &str, bucket: &str, key: &str, etag: &str) -> String {
    let (front, fragment) = match url.split_once('#') {
        Some((front, fragment)) => (front, Some(fragment)),
        None => (url, None),
    };
    let separator = if front.contains('?') { '&' } else { '?' };
    let encoded = |text: &str| sign::encoded(text.as_bytes(), false);
    let mut whole = format!(
        "{front}{separator}bucket={}&key={}&etag={}",
        encoded(bucket),
        encoded(key),
        encoded(&format!("\"{etag}\"")),
    );
    if let Some(fragment) = fragment {
        whole.push('#');
        whole.push_str(fragment);
    }
    whole
}

#[cfg(test)]
mod tests {
    use super::{check_url, redirected};

    #[test]
    fn only_web_urls_that_read_the_same_everywhere_are_redirected_to() {
        for good in [
            "http://a",
            "https://a.example:8080/done?x=1#top",
            "http://127.0.0.1/",
            "http://[::1]:1/",
        ] {
            assert!(check_url(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "/done",
            "//a/done",
            "javascript:alert(1)",
            "javascript://a/%0aalert(1)",
            "data:text/html,x",
            "ftp://a/",
            "http:///a",
            "http://",
            "http://user@a/",
            "http://good\\@evil/",
            "http://a/\\b",
            "http://a/\"b",
            "http://a/\r\nSet-Cookie: x=1",
            "http://a/ b",
            "http://a/\u{e4}",
        ] {
            assert!(check_url(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn what_was_uploaded_is_told_in_the_query() {
        assert_eq!(
            redirected("https://a/b?c#d", "up", "x/y z&\r\n", "e"),
            "https://a/b?c&bucket=up&key=x%2Fy%20z%26%0D%0A&etag=%22e%22#d"
        );
        assert_eq!(
            redirected("https://a/b", "up", "k", "e"),
            "https://a/b?bucket=up&key=k&etag=%22e%22"
        );
    }
}

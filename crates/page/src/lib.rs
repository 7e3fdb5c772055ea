//! The page: what `web/` builds, embedded in the binary and served with a strict policy, by the server and by the
//! Lambda function alike.
//!
//! The page may run its own script and style, talk to its own origin and to the store it sends files to, and nothing else;
//! see `web/content-security-policy.txt`, which the browser tests serve as well.
//! Files whose name carries a hash of their content may be cached for ever; `index.html` is asked for each time.
//! Guards against foreign hosts and origins are not here: they hold for all that is served beside it.

use std::sync::LazyLock;

use axum::Router;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, header};
use sha2::{Digest, Sha256};

/// One embedded file.
#[derive(Debug, Clone)]
pub struct File {
    /// Media type, by the name's extension.
    pub content_type: &'static str,
    /// Content.
    pub bytes: &'static [u8],
    /// Strong validator in quotes, a digest of the content.
    pub etag: String,
    /// The name carries a hash of the content, so that it never changes under this name.
    pub immutable: bool,
}

/// Why [`router`] could not be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An address of S3 does not begin with `http://host[:port]` or `https://host[:port]`, so the page's policy cannot name it.
    #[error("the S3 endpoint {0:?} is not an http or https origin")]
    Endpoint(String),
}

#[cfg(feature = "built")]
const EMBEDDED: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/page.rs"));
#[cfg(not(feature = "built"))]
const EMBEDDED: &[(&str, &[u8])] = &[];

const POLICY: &str = include_str!("../../../web/content-security-policy.txt");

static FILES: LazyLock<Vec<(&'static str, File)>> = LazyLock::new(|| {
    EMBEDDED
        .iter()
        .map(|&(path, bytes)| {
            let digest = Sha256::digest(bytes);
            let etag = digest[..16]
                .iter()
                .fold(String::from("\""), |etag, byte| format!("{etag}{byte:02x}"));
            let file = File {
                content_type: content_type(path),
                bytes,
                etag: etag + "\"",
                immutable: path.starts_with("assets/"),
            };
            (path, file)
        })
        .collect()
});

/// The embedded file at `path`, without a leading slash; the empty path is `index.html`.
///
/// `None` for anything else, and always in a build without the feature `built`.
pub fn file(path: &str) -> Option<&'static File> {
    let path = if path.is_empty() { "index.html" } else { path };
    FILES
        .iter()
        .find_map(|(name, file)| (*name == path).then_some(file))
}

/// Routes for the page at `/` and for each embedded file; every other path is the caller's.
///
/// `stores` are where the page sends files, as its policy must name them: `http://127.0.0.1:9000`; of a URL with a path
/// only the origin counts. Where a bucket has a host name of its own there are two, for credentials name the bucket in the
/// path.
/// A build without the feature `page` answers `/` with one sentence saying so.
pub fn router<S>(stores: &[&str]) -> Result<Router<S>, Error>
where
    S: Clone + Send + Sync + 'static,
{
    let policy = policy(stores)?;
    let mut router = Router::new();
    for (path, file) in FILES.iter() {
        let policy = policy.clone();
        let answer = get(move |headers: HeaderMap| async move { serve(file, &headers, policy) });
        if *path == "index.html" {
            router = router.route("/", answer.clone());
        }
        router = router.route(&format!("/{path}"), answer);
    }
    if FILES.is_empty() {
        let sentence =
            "This build of Two Buckets has no page: it was built without the feature `page`.\n";
        router = router.route("/", get(async move || (StatusCode::NOT_FOUND, sentence)));
    }
    Ok(router)
}

fn policy(stores: &[&str]) -> Result<HeaderValue, Error> {
    let mut origins: Vec<String> = Vec::new();
    for store in stores {
        let origin = origin(store).ok_or_else(|| Error::Endpoint((*store).to_owned()))?;
        if !origins.contains(&origin) {
            origins.push(origin);
        }
    }
    let policy = POLICY.trim_end().replace("{s3}", &origins.join(" "));
    HeaderValue::try_from(policy).map_err(|_| Error::Endpoint(origins.join(" ")))
}

fn origin(url: &str) -> Option<String> {
    let uri: Uri = url.parse().ok()?;
    let scheme = uri
        .scheme_str()
        .filter(|scheme| ["http", "https"].contains(scheme))?;
    let authority = uri.authority()?.as_str();
    // A `;` or a space would start a directive of its own.
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._:[]".contains(c);
    authority
        .chars()
        .all(plain)
        .then(|| format!("{scheme}://{authority}"))
}

fn serve(file: &'static File, request: &HeaderMap, policy: HeaderValue) -> Response {
    let caching = if file.immutable {
        "public, max-age=31536000, immutable"
    } else {
        "no-cache"
    };
    let headers: [(HeaderName, &str); 6] = [
        (header::CONTENT_TYPE, file.content_type),
        (header::CACHE_CONTROL, caching),
        (header::ETAG, &file.etag),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (
            HeaderName::from_static("cross-origin-opener-policy"),
            "same-origin",
        ),
    ];
    let unchanged = request
        .get_all(header::IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|tag| tag.trim().trim_start_matches("W/"))
        .any(|tag| tag == "*" || tag == file.etag);
    let mut response = if unchanged {
        (StatusCode::NOT_MODIFIED, headers).into_response()
    } else {
        (headers, file.bytes).into_response()
    };
    response
        .headers_mut()
        .insert(header::CONTENT_SECURITY_POLICY, policy);
    response
}

fn content_type(path: &str) -> &'static str {
    match path.rsplit_once('.').map_or("", |(_, extension)| extension) {
        "html" => "text/html; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "svg" => "image/svg+xml",
        "txt" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
#[cfg(feature = "built")]
mod tests {
    use axum::body::Body;
    use http::Request;
    use http_body_util::BodyExt;
    use tower::ServiceExt;

    use super::*;

    const S3: &str = "http://127.0.0.1:9000";

    async fn ask(path: &str, if_none_match: Option<&str>) -> Response {
        let mut request = Request::get(path);
        if let Some(tag) = if_none_match {
            request = request.header("if-none-match", tag);
        }
        let request = request.body(Body::empty()).unwrap();
        router(&[S3]).unwrap().oneshot(request).await.unwrap()
    }

    fn header<'a>(response: &'a Response, name: &str) -> &'a str {
        response.headers()[name].to_str().unwrap()
    }

    /// Paths the index asks the browser to load.
    fn references() -> Vec<String> {
        let index = std::str::from_utf8(file("").unwrap().bytes).unwrap();
        index
            .split('"')
            .filter(|word| word.starts_with("./assets/") || word.starts_with("/assets/"))
            .map(|word| word.trim_start_matches(['.', '/']).to_owned())
            .collect()
    }

    #[tokio::test]
    async fn the_index_is_asked_for_each_time_and_may_talk_to_its_s3_endpoint_only() {
        let response = ask("/", None).await;
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(
            header(&response, "content-type"),
            "text/html; charset=utf-8"
        );
        assert_eq!(header(&response, "cache-control"), "no-cache");
        assert_eq!(header(&response, "x-content-type-options"), "nosniff");
        assert_eq!(header(&response, "referrer-policy"), "no-referrer");
        assert_eq!(
            header(&response, "content-security-policy"),
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
             connect-src 'self' http://127.0.0.1:9000; form-action 'none'; base-uri 'none'; \
             frame-ancestors 'none'"
        );
        let body = response.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(body, file("index.html").unwrap().bytes);
    }

    #[tokio::test]
    async fn everything_the_index_asks_for_is_embedded_and_cached_for_ever() {
        let references = references();
        for extension in [".js", ".css", ".svg"] {
            assert!(
                references.iter().any(|path| path.ends_with(extension)),
                "no {extension} in {references:?}"
            );
        }
        for path in references {
            let response = ask(&format!("/{path}"), None).await;
            assert_eq!(response.status(), StatusCode::OK, "{path}");
            assert!(
                header(&response, "cache-control").contains("immutable"),
                "{path}"
            );
            assert_ne!(
                header(&response, "content-type"),
                "application/octet-stream",
                "{path}"
            );
        }
    }

    #[test]
    fn the_index_has_no_inline_script_or_style() {
        let index = std::str::from_utf8(file("").unwrap().bytes).unwrap();
        assert!(!index.contains("<style") && !index.contains("style="));
        for script in index.split("<script").skip(1) {
            let (tag, rest) = script.split_once('>').unwrap();
            assert!(
                tag.contains("src=\"") && rest.starts_with("</script>"),
                "{script}"
            );
        }
    }

    #[tokio::test]
    async fn a_file_the_browser_has_is_not_sent_again() {
        let etag = &file("").unwrap().etag;
        let response = ask("/", Some(&format!("\"other\", W/{etag}"))).await;
        assert_eq!(response.status(), StatusCode::NOT_MODIFIED);
        let body = response.into_body().collect().await.unwrap().to_bytes();
        assert!(body.is_empty());
        assert_eq!(ask("/", Some("\"other\"")).await.status(), StatusCode::OK);
    }

    #[tokio::test]
    async fn a_path_that_is_not_embedded_is_not_found() {
        for path in [
            "/assets/../index.html",
            "/assets/",
            "/favicon.ico",
            "/index.html/",
        ] {
            assert_eq!(
                ask(path, None).await.status(),
                StatusCode::NOT_FOUND,
                "{path}"
            );
        }
    }

    #[test]
    fn an_endpoint_that_would_widen_the_policy_is_refused() {
        for endpoint in [
            "http://a;script-src 'unsafe-inline'",
            "http://a;script-src",
            "http://a,b",
            "http://*",
            "http://user@host",
            "ftp://host",
            "127.0.0.1:9000",
            "*",
            "",
        ] {
            assert!(policy(&[S3, endpoint]).is_err(), "{endpoint}");
        }
        let named = policy(&["https://[::1]:9000/ignored", S3, S3]).unwrap();
        let named = named.to_str().unwrap();
        assert!(
            named.contains("'self' https://[::1]:9000 http://127.0.0.1:9000;"),
            "{named}"
        );
    }
}

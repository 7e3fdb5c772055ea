use http::{HeaderValue, Method};
use two_buckets_depot::ListObjects;
use two_buckets_objects::BucketName;
use two_buckets_s3_api::sign;

use crate::server::{HOST, NOW, OWN_KEY, REGION, Server, bucket_name};

/// Who signs the request.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Signer {
    Nobody,
    Root,
    Session,
}

/// Sends a request to the S3 service: whatever it is, the answer is no error of the server's; without a signature
/// nothing is written; and one-file credentials write their one key or nothing.
///
/// The form is that of HTTP, with the signer in front: `root PUT /staging/a?acl`, then header lines, an empty line and
/// the body. `unsigned` sends it as it is, `session` signs with credentials for one key.
///
/// # Panics
///
/// When one of these promises is broken.
pub fn s3_request(bytes: &[u8]) {
    outcome(bytes);
}

/// What came of a request.
#[derive(PartialEq, Eq, Debug)]
struct Outcome {
    /// The answer's; none where no client could have sent the request.
    status: Option<u16>,
    /// Every object that is there afterwards.
    written: Vec<(BucketName, String)>,
}

fn outcome(bytes: &[u8]) -> Option<Outcome> {
    let (signer, method, target, headers, body) = taken_apart(bytes)?;
    let server = Server::new();
    let status = match signer {
        Signer::Nobody => server.status(&method, target, &headers, body),
        _ => signed(&server, signer, &method, target, &headers, body),
    };
    let mut written = Vec::new();
    for bucket in server.depot.buckets().expect("memory can be read") {
        let page = server
            .depot
            .list_objects(&bucket.name, &ListObjects::default())
            .expect("memory can be read");
        written.extend(
            page.entries
                .into_iter()
                .map(|object| (bucket.name.clone(), object.key.as_str().to_owned())),
        );
    }
    match signer {
        Signer::Root => {}
        Signer::Nobody => {
            assert!(
                written.is_empty(),
                "{method} {target}: written unsigned: {written:?}"
            );
            // A preflight is the one thing that strangers are answered.
            assert!(
                method == Method::OPTIONS || status.is_none_or(|status| status >= 400),
                "{method} {target}: {status:?} unsigned"
            );
        }
        Signer::Session => assert!(
            written.is_empty() || written == [(bucket_name("staging"), OWN_KEY.to_owned())],
            "{method} {target}: written with credentials for one key: {written:?}"
        ),
    }
    Some(Outcome { status, written })
}

type TakenApart<'a> = (Signer, Method, &'a str, Vec<(String, Vec<u8>)>, &'a [u8]);

fn taken_apart(bytes: &[u8]) -> Option<TakenApart<'_>> {
    let mut rest = bytes;
    let mut lines = Vec::new();
    let body = loop {
        match rest.iter().position(|byte| *byte == b'\n') {
            None => {
                lines.push(rest);
                break &[][..];
            }
            Some(end) => {
                let line = &rest[..end];
                rest = &rest[end + 1..];
                if line.is_empty() && !lines.is_empty() {
                    break rest;
                }
                lines.push(line);
            }
        }
    };
    let mut head = std::str::from_utf8(lines.first()?).ok()?.splitn(3, ' ');
    let signer = match head.next()? {
        "unsigned" => Signer::Nobody,
        "root" => Signer::Root,
        "session" => Signer::Session,
        _ => return None,
    };
    let method = Method::from_bytes(head.next()?.as_bytes()).ok()?;
    let target = head.next()?;
    let headers = lines[1..]
        .iter()
        .filter_map(|line| {
            let colon = line.iter().position(|byte| *byte == b':')?;
            let name = std::str::from_utf8(&line[..colon]).ok()?;
            Some((
                name.trim().to_ascii_lowercase(),
                line[colon + 1..].trim_ascii().to_vec(),
            ))
        })
        .collect();
    Some((signer, method, target, headers, body))
}

/// Sends it with a signature that holds, as far as a client's library could make one.
fn signed(
    server: &Server,
    signer: Signer,
    method: &Method,
    target: &str,
    headers: &[(String, Vec<u8>)],
    body: &[u8],
) -> Option<u16> {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let (bucket, key) = match path.trim_start_matches('/').split_once('/') {
        Some((bucket, key)) => (bucket, Some(key)),
        None => (path.trim_start_matches('/'), None),
    };
    let query: Vec<(&str, &str)> = query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .collect();
    let session = (signer == Signer::Session).then(|| server.session());
    let text: Vec<(&str, &str)> = headers
        .iter()
        .filter(|(name, _)| name != "host" && name != "authorization")
        // A client's library sends no other.
        .filter(|(_, value)| HeaderValue::from_bytes(value).is_ok())
        .filter_map(|(name, value)| Some((name.as_str(), std::str::from_utf8(value).ok()?)))
        .collect();
    let request = sign::Request {
        method,
        host: HOST,
        bucket: (!bucket.is_empty()).then_some(bucket),
        key: key.filter(|key| !key.is_empty()),
        query: &query,
        headers: &text,
    };
    let credentials = session
        .as_ref()
        .map_or(&server.root, |session| &session.credentials);
    let token = session
        .as_ref()
        .map(|session| session.session_token.as_str());
    let payload = text
        .iter()
        .find(|(name, _)| *name == "x-amz-content-sha256")
        .map_or_else(|| sign::sha256_hex(body), |(_, value)| (*value).to_owned());
    let signature = sign::sign_headers(credentials, token, REGION, &request, &payload, NOW);
    let mut sent: Vec<(String, Vec<u8>)> = vec![("host".into(), HOST.into())];
    sent.extend(
        text.iter()
            .filter(|(name, _)| *name != "x-amz-content-sha256")
            .map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec())),
    );
    sent.extend(
        signature
            .into_iter()
            .map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec())),
    );
    if !sent.iter().any(|(name, _)| name == "content-length") {
        sent.push(("content-length".into(), body.len().to_string().into_bytes()));
    }
    server.status(method, &request.target(), &sent, body)
}

#[cfg(test)]
mod tests {
    use super::outcome;

    #[test]
    fn a_request_that_is_right_is_carried_out() {
        for (request, status, written) in [
            ("root PUT /staging/a\n\nhello", 200, Some("a")),
            ("session PUT /staging/own\n\nmine", 200, Some("own")),
            ("session PUT /staging/other\n\nnot mine", 403, None),
            ("session GET /staging/own\n\n", 403, None),
            ("unsigned PUT /staging/own\nhost: x\n\nmine", 403, None),
            ("root GET /staging?list-type=2\n\n", 200, None),
        ] {
            let outcome = outcome(request.as_bytes()).expect("a request");
            assert_eq!(outcome.status, Some(status), "{request}");
            let keys: Vec<_> = outcome.written.iter().map(|(_, key)| &**key).collect();
            assert_eq!(keys, written.as_slice(), "{request}");
        }
    }
}

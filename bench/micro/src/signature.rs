use std::hint::black_box;
use std::sync::Arc;

use bytes::Bytes;
use http::{Method, Request, StatusCode, header};
use http_body_util::Full;
use tokio::runtime::Runtime;
use two_buckets_depot::Depot;
use two_buckets_s3_api::{Config, Credentials, Limits, S3Service, Sts, sign};

use crate::store::{NOW, depot, place, small_file, staging};
use crate::{Case, Run};

/// The signature of a PUT is checked, and whether its sender may. Then it is refused, because its length is missing: so this
/// is what comes before a body, and little else.
pub(crate) const CHECKED: Case = Case::new("signature-checked", checked);

const HOST: &str = "127.0.0.1:9000";
const REGION: &str = "us-east-1";

fn checked(runs: usize) -> Run {
    let service = service(&depot());
    let runtime = runtime();
    let mut requests: Vec<_> = (0..runs)
        .map(|number| {
            let mut request = signed_put(number, &small_file());
            request.headers_mut().remove(header::CONTENT_LENGTH);
            request
        })
        .collect();
    Box::new(move || {
        let request = requests.pop().expect("one for each run");
        let answer = runtime.block_on(service.call(request));
        assert_eq!(answer.status(), StatusCode::LENGTH_REQUIRED);
        black_box(answer);
    })
}

/// S3 on this store, for [`owner`].
pub(crate) fn service(depot: &Depot) -> S3Service {
    S3Service::new(Config {
        depot: depot.clone(),
        sts: Sts::new(owner(), Vec::new()).expect("there are no roles"),
        domain: None,
        region: REGION.into(),
        clock: Arc::new(|| NOW),
        pins: None,
        refuse_write: None,
        faults: None,
        notifications: None,
        staging_buckets: vec![staging()],
        limits: Limits::default(),
    })
}

/// What a server's calls are made on here: one thread.
pub(crate) fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime can be made")
}

fn owner() -> Credentials {
    Credentials {
        access_key_id: "AKIAIOSFODNN7EXAMPLE".into(),
        secret_access_key: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY".into(),
    }
}

/// A PUT of a file with its signature, as an SDK sends it.
pub(crate) fn signed_put(number: usize, bytes: &Bytes) -> Request<Full<Bytes>> {
    let to = place(number);
    let length = bytes.len().to_string();
    let headers = [
        ("content-length", length.as_str()),
        ("content-type", "text/plain"),
        ("x-amz-meta-sender", "office"),
    ];
    let request = sign::Request {
        method: &Method::PUT,
        host: HOST,
        bucket: Some(to.bucket.as_str()),
        key: Some(to.key.as_str()),
        query: &[],
        headers: &headers[1..],
    };
    let payload = sign::sha256_hex(bytes);
    let signature = sign::sign_headers(&owner(), None, REGION, &request, &payload, NOW);
    let mut put = Request::builder()
        .method(Method::PUT)
        .uri(request.target())
        .header(header::HOST, HOST)
        .body(Full::new(bytes.clone()))
        .expect("a legal request");
    for (name, value) in headers {
        put.headers_mut()
            .insert(name, value.parse().expect("a legal value"));
    }
    put.headers_mut().extend(signature);
    put
}

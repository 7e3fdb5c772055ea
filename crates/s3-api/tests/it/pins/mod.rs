//! Sessions that are bound to a version: what a function may do that moves its file itself.

mod bounds;
mod moves;
mod parts;
mod reads;

use http::Method;
use two_buckets_depot::{ListObjects, Versioning};
use two_buckets_objects::{ObjectRef, VersionId, VersionRef};
use two_buckets_s3_api::{
    AssumeRole, FUNCTION_ROLE, Pin, Pinned, Pins, Role, Slot, Sts, TemporaryCredentials,
    function_role,
};

use crate::harness::{Answer, Req, Server, bucket, credentials};
use crate::sessions::HOUR;

const STAGING: &str = "versioned";
const ARCHIVE: &str = "archive";
/// A bucket that has nothing to do with it.
const OTHER: &str = "plain";

/// A server with a staging and an archive bucket, and the session of one execution environment.
struct Environment {
    server: Server,
    pins: Pins,
    slot: Option<Slot>,
    session: TemporaryCredentials,
}

fn role() -> Role {
    function_role(&bucket(STAGING), &bucket(ARCHIVE))
}

fn object(in_bucket: &str, key: &str) -> ObjectRef {
    ObjectRef {
        bucket: bucket(in_bucket),
        key: key.parse().unwrap(),
    }
}

fn results_prefix(key: &str, version: &str) -> String {
    format!("_results/{key}/{version}/")
}

impl Environment {
    async fn start() -> Self {
        Self::start_with(role()).await
    }

    async fn start_with(role: Role) -> Self {
        let pins = Pins::new();
        let sts = Sts::new(credentials(), vec![role]).unwrap();
        let server = Server::start_with(|config| {
            config.sts = sts.clone();
            config.pins = Some(pins.clone());
            config.staging_buckets = vec![bucket(STAGING)];
            config.refuse_write = Some(std::sync::Arc::new(|_, key| {
                key.as_str()
                    .starts_with("_results/")
                    .then(|| "the prefix _results/ is reserved".to_owned())
            }));
        })
        .await;
        server.depot.create_bucket(&bucket(ARCHIVE)).unwrap();
        server
            .depot
            .set_versioning(&bucket(ARCHIVE), Versioning::Enabled)
            .unwrap();
        let session = Self::session_named(&server, &sts, "environment-1");
        Self {
            slot: Some(pins.open_slot("environment-1")),
            server,
            pins,
            session,
        }
    }

    fn session_named(server: &Server, sts: &Sts, name: &str) -> TemporaryCredentials {
        let asked = AssumeRole {
            role_arn: format!("arn:aws:iam::000000000000:role/{FUNCTION_ROLE}"),
            session_name: name.to_owned(),
            policy: None,
            duration: HOUR,
        };
        sts.assume_role(&asked, server.now()).unwrap()
    }

    /// Uploads a file as a client does, and gives its version.
    async fn upload(&self, key: &str, body: &[u8]) -> String {
        version_id(&self.server.put(STAGING, key, body).await)
    }

    /// Begins an invocation on a version, whose file goes to the same key in the archive.
    fn pin(&self, key: &str, version: &str) -> Pinned {
        let pin = Pin {
            staged: VersionRef {
                bucket: bucket(STAGING),
                key: key.parse().unwrap(),
                version_id: VersionId::new(version),
            },
            archive: object(ARCHIVE, key),
            results_prefix: results_prefix(key, version),
        };
        self.slot.as_ref().unwrap().pin(vec![pin])
    }

    /// Uploads a file and begins an invocation on it.
    async fn work_on(&self, key: &str, body: &[u8]) -> (String, Pinned) {
        let version = self.upload(key, body).await;
        let pinned = self.pin(key, &version);
        (version, pinned)
    }

    /// A request of the function.
    fn req(&self, method: Method, in_bucket: &str, key: &str) -> Req {
        Req::new(method, in_bucket, key).by(&self.session)
    }

    async fn get(&self, in_bucket: &str, key: &str) -> Answer {
        self.send(self.req(Method::GET, in_bucket, key)).await
    }

    async fn head(&self, in_bucket: &str, key: &str) -> Answer {
        self.send(self.req(Method::HEAD, in_bucket, key)).await
    }

    async fn put(&self, in_bucket: &str, key: &str, body: &[u8]) -> Answer {
        self.send(self.req(Method::PUT, in_bucket, key).body(body))
            .await
    }

    async fn delete(&self, in_bucket: &str, key: &str) -> Answer {
        self.send(self.req(Method::DELETE, in_bucket, key)).await
    }

    /// A copy, as the function asks for it.
    fn copy(&self, source: &str, to_bucket: &str, to_key: &str) -> Req {
        self.req(Method::PUT, to_bucket, to_key)
            .header("x-amz-copy-source", source)
    }

    async fn send(&self, req: Req) -> Answer {
        req.send(&self.server).await
    }

    /// All versions and delete markers of a bucket, as `key version`, with a `-` before a marker.
    fn versions(&self, of_bucket: &str) -> Vec<String> {
        self.server
            .depot
            .list_versions(&bucket(of_bucket), &ListObjects::default())
            .unwrap()
            .entries
            .into_iter()
            .map(|entry| {
                let mark = if entry.is_delete_marker { "-" } else { "" };
                format!("{mark}{} {}", entry.key, entry.version_id)
            })
            .collect()
    }

    /// Asserts that the archive has no version, and no upload in parts either.
    fn assert_nothing_written(&self) {
        assert_eq!(self.versions(ARCHIVE), [""; 0]);
        self.assert_no_parts();
    }

    fn assert_no_parts(&self) {
        let uploads = self
            .server
            .depot
            .list_uploads(&bucket(ARCHIVE), &two_buckets_depot::ListUploads::default())
            .unwrap()
            .uploads;
        assert_eq!(uploads, []);
    }
}

fn version_id(answer: &Answer) -> String {
    answer.assert_ok();
    answer.header("x-amz-version-id").unwrap().to_owned()
}

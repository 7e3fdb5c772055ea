use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use http::Method;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use two_buckets_depot::{Depot, Options};
use two_buckets_objects::{BucketName, Timestamp};
use two_buckets_s3_api::{
    Config, Credentials, Limits, S3Service, Sts, TemporaryCredentials, sign, uploader_role,
};

/// 2026-11-23T10:50:50Z.
pub(crate) const START_MILLIS: i64 = 1_795_431_050_000;
pub(crate) const REGION: &str = "us-east-1";

pub(crate) fn credentials() -> Credentials {
    Credentials {
        access_key_id: "TESTKEY".into(),
        secret_access_key: "test/secret".into(),
    }
}

/// A server on a store in its own folder, with the buckets `plain` and `versioned`, and a clock that stands still.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) depot: Depot,
    /// The service behind the socket.
    pub(crate) service: S3Service,
    clock: Arc<AtomicI64>,
    stop: Option<oneshot::Sender<()>>,
    serving: Option<JoinHandle<()>>,
    _folder: tempfile::TempDir,
}

impl Server {
    pub(crate) async fn start() -> Self {
        Self::start_with(|_| ()).await
    }

    pub(crate) async fn start_with(change: impl FnOnce(&mut Config)) -> Self {
        Self::start_on(|options| options, change).await
    }

    pub(crate) async fn start_on(
        options: impl FnOnce(Options) -> Options,
        change: impl FnOnce(&mut Config),
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(AtomicI64::new(START_MILLIS));
        let read = {
            let clock = clock.clone();
            Arc::new(move || Timestamp::from_millis(clock.load(Ordering::Relaxed)))
        };
        let depot = Depot::open(
            folder.path(),
            options(Options {
                clock: read.clone(),
                just_moved_grace: Duration::from_secs(5),
                small_body_bytes_max: 128 << 10,
                on_created: None,
                record_change: None,
            }),
        )
        .unwrap();
        for name in ["plain", "versioned"] {
            depot.create_bucket(&bucket(name)).unwrap();
        }
        depot
            .set_versioning(&bucket("versioned"), two_buckets_depot::Versioning::Enabled)
            .unwrap();
        let mut config = Config {
            depot: depot.clone(),
            sts: Sts::new(credentials(), vec![uploader_role(&bucket("plain"))]).unwrap(),
            region: REGION.into(),
            clock: read,
            pins: None,
            refuse_write: None,
            faults: None,
            notifications: None,
            staging_buckets: Vec::new(),
            domain: None,
            limits: Limits::default(),
        };
        change(&mut config);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let limits = config.limits;
        let service = S3Service::new(config);
        let serving = tokio::spawn(service.clone().serve(listener, limits, async move {
            // Told to stop, or the test is over.
            let _told = stopped.await;
        }));
        Self {
            address,
            depot,
            service,
            clock,
            stop: Some(stop),
            serving: Some(serving),
            _folder: folder,
        }
    }

    pub(crate) fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.clock.load(Ordering::Relaxed))
    }

    pub(crate) fn advance(&self, by: Duration) {
        let millis = i64::try_from(by.as_millis()).unwrap();
        self.clock.fetch_add(millis, Ordering::Relaxed);
    }

    pub(crate) fn host(&self) -> String {
        self.address.to_string()
    }

    /// Tells the server to stop, without waiting for it.
    pub(crate) fn stop(&mut self) -> JoinHandle<()> {
        drop(self.stop.take());
        self.serving.take().unwrap()
    }

    /// Sends bytes and reads the one answer.
    pub(crate) async fn raw(&self, bytes: &[u8]) -> Answer {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        // The server may answer and hang up before it has read all.
        let _written = stream.write_all(bytes).await;
        Answer::read(&mut stream).await
    }

    pub(crate) async fn get(&self, bucket: &str, key: &str) -> Answer {
        Req::new(Method::GET, bucket, key).send(self).await
    }

    pub(crate) async fn put(&self, bucket: &str, key: &str, body: &[u8]) -> Answer {
        Req::new(Method::PUT, bucket, key)
            .body(body)
            .send(self)
            .await
    }

    /// Asserts that nothing at all can be seen under a key.
    pub(crate) async fn assert_absent(&self, bucket: &str, key: &str) {
        let answer = self.get(bucket, key).await;
        assert_eq!(answer.status, 404, "{key}: {}", answer.text());
    }
}

pub(crate) fn bucket(name: &str) -> BucketName {
    name.parse().unwrap()
}

/// How the body of a request is signed.
#[derive(Clone)]
pub(crate) enum Signing {
    Hash,
    /// This value in `x-amz-content-sha256`.
    Named(&'static str),
    /// No signature at all.
    None,
}

/// A request to be signed and sent.
#[derive(Clone)]
pub(crate) struct Req {
    pub(crate) method: Method,
    pub(crate) bucket: String,
    pub(crate) key: Option<String>,
    pub(crate) query: Vec<(String, String)>,
    pub(crate) headers: Vec<(String, String)>,
    /// Sent, but not signed.
    pub(crate) unsigned_headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    pub(crate) signing: Signing,
    pub(crate) host: Option<String>,
    /// Who signs; the root if nobody else.
    pub(crate) session: Option<TemporaryCredentials>,
}

impl Req {
    pub(crate) fn new(method: Method, bucket: &str, key: &str) -> Self {
        Self {
            method,
            bucket: bucket.into(),
            key: (!key.is_empty()).then(|| key.into()),
            query: Vec::new(),
            headers: Vec::new(),
            unsigned_headers: Vec::new(),
            body: Vec::new(),
            signing: Signing::Hash,
            host: None,
            session: None,
        }
    }

    pub(crate) fn query(mut self, name: &str, value: &str) -> Self {
        self.query.push((name.into(), value.into()));
        self
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    pub(crate) fn unsigned_header(mut self, name: &str, value: &str) -> Self {
        self.unsigned_headers.push((name.into(), value.into()));
        self
    }

    pub(crate) fn body(mut self, body: &[u8]) -> Self {
        self.body = body.to_vec();
        self
    }

    pub(crate) fn signing(mut self, signing: Signing) -> Self {
        self.signing = signing;
        self
    }

    /// Signed by a session.
    pub(crate) fn by(mut self, session: &TemporaryCredentials) -> Self {
        self.session = Some(session.clone());
        self
    }

    /// The head and body, ready to be sent.
    pub(crate) fn bytes(&self, server: &Server) -> Vec<u8> {
        let host = self.host.clone().unwrap_or_else(|| server.host());
        let pairs = |list: &[(String, String)]| -> Vec<(String, String)> { list.to_vec() };
        let query = pairs(&self.query);
        let headers = pairs(&self.headers);
        let query: Vec<(&str, &str)> = query.iter().map(|(n, v)| (&**n, &**v)).collect();
        let signed: Vec<(&str, &str)> = headers.iter().map(|(n, v)| (&**n, &**v)).collect();
        let request = sign::Request {
            method: &self.method,
            host: &host,
            bucket: (!self.bucket.is_empty()).then_some(&*self.bucket),
            key: self.key.as_deref(),
            query: &query,
            headers: &signed,
        };
        let payload = match &self.signing {
            Signing::Hash => sign::sha256_hex(&self.body),
            Signing::None => sign::UNSIGNED_PAYLOAD.to_owned(),
            Signing::Named(name) => (*name).to_owned(),
        };
        let mut head = format!("{} {} HTTP/1.1\r\n", self.method, request.target());
        let mut line = |name: &str, value: &str| head.push_str(&format!("{name}: {value}\r\n"));
        line("Host", &host);
        line("Connection", "close");
        if !matches!(self.signing, Signing::None) {
            let root = credentials();
            let (signer, token) = match &self.session {
                None => (&root, None),
                Some(session) => (&session.credentials, Some(&*session.session_token)),
            };
            let signature =
                sign::sign_headers(signer, token, REGION, &request, &payload, server.now());
            for (name, value) in signature {
                line(name.as_str(), value.to_str().unwrap());
            }
        }
        for (name, value) in self.headers.iter().chain(&self.unsigned_headers) {
            line(name, value);
        }
        let has_length = self
            .unsigned_headers
            .iter()
            .chain(&self.headers)
            .any(|(name, _)| {
                name.eq_ignore_ascii_case("content-length")
                    || name.eq_ignore_ascii_case("transfer-encoding")
            });
        if !has_length && (!self.body.is_empty() || self.method == Method::PUT) {
            line("Content-Length", &self.body.len().to_string());
        }
        head.push_str("\r\n");
        let mut bytes = head.into_bytes();
        bytes.extend_from_slice(&self.body);
        bytes
    }

    pub(crate) async fn send(&self, server: &Server) -> Answer {
        server.raw(&self.bytes(server)).await
    }
}

/// An answer, read whole.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) async fn read(stream: &mut TcpStream) -> Self {
        let mut bytes = Vec::new();
        let reading = async {
            let mut piece = vec![0; 16 << 10];
            // A reset after the answer ends it as well as a close does.
            while let Ok(length) = stream.read(&mut piece).await {
                if length == 0 {
                    break;
                }
                bytes.extend_from_slice(&piece[..length]);
            }
        };
        tokio::time::timeout(Duration::from_mins(1), reading)
            .await
            .expect("the server answers and closes");
        Self::parse(&bytes)
    }

    fn parse(bytes: &[u8]) -> Self {
        let end = bytes
            .windows(4)
            .position(|window| window == b"\r\n\r\n")
            .unwrap_or_else(|| panic!("no answer: {:?}", String::from_utf8_lossy(bytes)));
        let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
        let mut lines = head.split("\r\n");
        let status = lines.next().unwrap()[9..12].parse().unwrap();
        if status == 100 {
            return Self::parse(&bytes[end + 4..]);
        }
        let headers: Vec<(String, String)> = lines
            .map(|line| {
                let (name, value) = line.split_once(':').unwrap();
                (name.to_ascii_lowercase(), value.trim().to_owned())
            })
            .collect();
        let mut answer = Self {
            status,
            headers,
            body: bytes[end + 4..].to_vec(),
        };
        if answer.header("transfer-encoding") == Some("chunked") {
            answer.body = dechunked(&answer.body);
        }
        answer
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(found, _)| found == name)
            .map(|(_, value)| &**value)
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The text within the first element of this name.
    pub(crate) fn element(&self, name: &str) -> Option<String> {
        elements(&self.text(), name).into_iter().next()
    }

    /// The texts within all elements of this name.
    pub(crate) fn elements(&self, name: &str) -> Vec<String> {
        elements(&self.text(), name)
    }

    pub(crate) fn code(&self) -> String {
        self.element("Code").unwrap_or_default()
    }

    #[track_caller]
    pub(crate) fn assert_ok(&self) -> &Self {
        assert!(
            (200..300).contains(&self.status),
            "{}: {}",
            self.status,
            self.text()
        );
        self
    }

    #[track_caller]
    pub(crate) fn assert_error(&self, status: u16, code: &str) -> &Self {
        assert_eq!(
            (self.status, &*self.code()),
            (status, code),
            "{}",
            self.text()
        );
        self
    }
}

pub(crate) fn elements(text: &str, name: &str) -> Vec<String> {
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    text.split(&open)
        .skip(1)
        .filter_map(|rest| rest.split_once(&close))
        .map(|(inner, _)| inner.to_owned())
        .collect()
}

fn dechunked(mut bytes: &[u8]) -> Vec<u8> {
    let mut whole = Vec::new();
    while let Some(end) = bytes.windows(2).position(|window| window == b"\r\n") {
        let size = usize::from_str_radix(std::str::from_utf8(&bytes[..end]).unwrap(), 16).unwrap();
        if size == 0 {
            break;
        }
        whole.extend_from_slice(&bytes[end + 2..end + 2 + size]);
        bytes = &bytes[end + 4 + size..];
    }
    whole
}

/// Bytes that look random and are the same every time.
pub(crate) fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x2545_F491_4F6C_DD1D_u64;
    (0..length)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()[3]
        })
        .collect()
}

//! A client with TLS, certificates made for the test, and an issuer of tokens on a port of its own.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
use rcgen::{CertificateParams, KeyPair};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde_json::{Value, json};

use crate::harness::{Answer, WAIT_MAX, read_answer, request_head};

/// A certificate for `localhost` and 127.0.0.1 in files.
pub(crate) struct Certificate {
    pub(crate) cert: PathBuf,
    pub(crate) key: PathBuf,
    /// What a client trusts that trusts it.
    pub(crate) pem: String,
}

impl Certificate {
    /// Writes a new one into the folder, in place of one that is there.
    pub(crate) fn make_in(folder: &Path) -> Self {
        let key = KeyPair::generate().expect("a key");
        let names = [
            "localhost",
            "127.0.0.1",
            "files.example.com",
            "s3.example.com",
        ];
        let pem = CertificateParams::new(names.map(str::to_owned))
            .expect("names")
            .self_signed(&key)
            .expect("a certificate")
            .pem();
        let made = Self {
            cert: folder.join("cert.pem"),
            key: folder.join("key.pem"),
            pem,
        };
        write_private(&made.key, &key.serialize_pem());
        write_private(&made.cert, &made.pem);
        made
    }

    /// A connection by TLS of a client that trusts this certificate alone, once hands are shaken.
    pub(crate) fn connect(&self, address: &str) -> Result<Secure, String> {
        let mut roots = RootCertStore::empty();
        let der = CertificateDer::from_pem_slice(self.pem.as_bytes()).expect("a certificate");
        roots.add(der).expect("a certificate");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let name = ServerName::try_from("localhost").expect("a name");
        let mut tls = ClientConnection::new(Arc::new(config), name).expect("a client");
        let mut stream = TcpStream::connect(address).expect("it listens");
        stream.set_read_timeout(Some(WAIT_MAX)).expect("a time-out");
        while tls.is_handshaking() {
            tls.complete_io(&mut stream)
                .map_err(|error| error.to_string())?;
        }
        assert_eq!(tls.alpn_protocol(), Some(b"http/1.1".as_slice()));
        Ok(Secure(StreamOwned::new(tls, stream)))
    }

    /// One request on a connection of its own.
    pub(crate) fn ask(
        &self,
        address: &str,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Answer {
        let mut connection = self.connect(address).expect("hands are shaken");
        connection.send(method, target, headers, body);
        connection.rest()
    }
}

/// Writes a file that only its owner may read.
pub(crate) fn write_private(path: &Path, text: &str) {
    use std::os::unix::fs::OpenOptionsExt as _;
    let new = path.with_extension("new");
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&new)
        .expect("a file");
    file.write_all(text.as_bytes()).expect("it is written");
    std::fs::rename(&new, path).expect("it is put in place");
}

/// A connection by TLS.
pub(crate) struct Secure(StreamOwned<ClientConnection, TcpStream>);

impl Secure {
    /// Sends a request after which the server closes the connection.
    pub(crate) fn send(
        &mut self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) {
        let head = request_head(method, target, headers, body.len(), "close");
        self.0.write_all(head.as_bytes()).expect("the head is sent");
        self.0.write_all(body).expect("the body is sent");
    }

    /// Sends a request after which the connection goes on, and reads the status line of its answer.
    pub(crate) fn keep_asking(&mut self, target: &str, headers: &[(&str, &str)]) -> String {
        let head = request_head("HEAD", target, headers, 0, "keep-alive");
        self.0.write_all(head.as_bytes()).expect("the head is sent");
        let mut answer = Vec::new();
        let mut byte = [0];
        while !answer.ends_with(b"\r\n\r\n") {
            self.0.read_exact(&mut byte).expect("the answer goes on");
            answer.push(byte[0]);
        }
        let head = String::from_utf8(answer).expect("text");
        head.lines().next().expect("a line").to_owned()
    }

    /// The answer, to the end of the connection.
    pub(crate) fn rest(&mut self) -> Answer {
        let mut answer = Vec::new();
        // The server closes without a farewell where the answer's end is known.
        match self.0.read_to_end(&mut answer) {
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {}
            Err(error) => panic!("the answer broke off: {error}"),
        }
        read_answer(&answer)
    }
}

/// An issuer of tokens that signs with one key.
pub(crate) struct FakeIssuer {
    pub(crate) url: String,
    key: EcdsaKeyPair,
    requests: Arc<Mutex<Vec<String>>>,
}

impl FakeIssuer {
    pub(crate) fn start() -> Self {
        let random = SystemRandom::new();
        let made =
            EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).expect("a key");
        let key =
            EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, made.as_ref(), &random)
                .expect("a key");
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        let url = format!("http://{address}/realm");
        let point = &key.public_key().as_ref()[1..];
        let discovery = json!({
            "issuer": url,
            "jwks_uri": format!("http://{address}/keys"),
        });
        let keys = json!({"keys": [{
            "kty": "EC", "crv": "P-256", "kid": "k1", "use": "sig", "alg": "ES256",
            "x": BASE64URL.encode(&point[..32]),
            "y": BASE64URL.encode(&point[32..]),
        }]});
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&requests);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                answer_one(stream, &discovery, &keys, &seen);
            }
        });
        Self { url, key, requests }
    }

    /// A token of these claims.
    pub(crate) fn token(&self, claims: &Value) -> String {
        let part = |json: &Value| BASE64URL.encode(json.to_string());
        let header = json!({"alg": "ES256", "kid": "k1", "typ": "JWT"});
        let message = format!("{}.{}", part(&header), part(claims));
        let signature = self
            .key
            .sign(&SystemRandom::new(), message.as_bytes())
            .expect("it signs");
        format!("{message}.{}", BASE64URL.encode(signature.as_ref()))
    }

    /// What it was asked for.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.requests.lock().expect("unpoisoned").clone()
    }
}

fn answer_one(mut stream: TcpStream, discovery: &Value, keys: &Value, seen: &Mutex<Vec<String>>) {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && stream.read_exact(&mut byte).is_ok() {
        head.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let target = head.split(' ').nth(1).unwrap_or_default().to_owned();
    let document = match target.as_str() {
        "/realm/.well-known/openid-configuration" => discovery.to_string(),
        "/keys" => keys.to_string(),
        _ => String::new(),
    };
    seen.lock().expect("unpoisoned").push(target);
    // Whoever hung up does not want it.
    _ = write!(
        stream,
        "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{document}",
        document.len()
    );
}

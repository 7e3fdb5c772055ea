//! TLS for both listeners: a certificate and key from files, renewed while connections go on.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, RwLock};
use std::time::Duration;

use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::{ClientHello, ParsedCertificate, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{CertificateError, InconsistentKeys, RootCertStore, ServerConfig};
use two_buckets_objects::Timestamp;

use crate::private_file;

/// How long before a certificate ends its owner is reminded of it at every start and renewal. Those of Let's Encrypt
/// are renewed 30 days before.
const REMINDER: Duration = Duration::from_hours(14 * 24);

/// The certificate in use. Cheap to clone; clones are renewed together.
#[derive(Clone)]
pub(super) struct Tls {
    cert: PathBuf,
    key: PathBuf,
    current: Arc<Current>,
}

#[derive(Debug)]
struct Current(RwLock<Arc<CertifiedKey>>);

/// A certificate and key as read, not in use yet.
#[derive(PartialEq, Eq)]
pub(super) struct Read {
    cert: Vec<u8>,
    key: Vec<u8>,
}

impl Tls {
    /// Reads and checks both files.
    pub(super) fn open(cert: &Path, key: &Path, now: Timestamp) -> Result<(Self, Read), String> {
        let read = read(cert, key)?;
        let certified = certified(cert, key, &read)?;
        remind(cert, &certified, now);
        let tls = Self {
            cert: cert.to_owned(),
            key: key.to_owned(),
            current: Arc::new(Current(RwLock::new(Arc::new(certified)))),
        };
        Ok((tls, read))
    }

    /// Reads both files again.
    pub(super) fn read(&self) -> Result<Read, String> {
        read(&self.cert, &self.key)
    }

    /// Uses what was read for every connection from now on.
    pub(super) fn renew(&self, read: &Read, now: Timestamp) -> Result<(), String> {
        let certified = certified(&self.cert, &self.key, read)?;
        remind(&self.cert, &certified, now);
        *self
            .current
            .0
            .write()
            .expect("nothing panics while it is held") = Arc::new(certified);
        Ok(())
    }

    /// The server's own certificate, without its chain.
    pub(super) fn certificate(&self) -> Vec<u8> {
        self.current
            .get()
            .cert
            .first()
            .map_or_else(Vec::new, |leaf| leaf.to_vec())
    }

    /// How to shake hands.
    pub(super) fn config(&self) -> Result<Arc<ServerConfig>, String> {
        let mut config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(&self.current) as Arc<dyn ResolvesServerCert>);
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }
}

impl Current {
    fn get(&self) -> Arc<CertifiedKey> {
        Arc::clone(&self.0.read().expect("nothing panics while it is held"))
    }
}

impl ResolvesServerCert for Current {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.get())
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls")
            .field("cert", &self.cert)
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}

fn read(cert: &Path, key: &Path) -> Result<Read, String> {
    let cert = private_file::read_bounded(cert)
        .map_err(|error| format!("the certificate {}: {error}", cert.display()))?;
    let key = private_file::read_secret(key)
        .map_err(|error| format!("the private key {}: {error}", key.display()))?;
    Ok(Read { cert, key })
}

fn certified(cert: &Path, key: &Path, read: &Read) -> Result<CertifiedKey, String> {
    let of_cert = |why: String| format!("the certificate {}: {why}", cert.display());
    let of_key = |why: String| format!("the private key {}: {why}", key.display());
    let chain = CertificateDer::pem_slice_iter(&read.cert)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| of_cert(format!("is no readable PEM: {error}")))?;
    if chain.is_empty() {
        return Err(of_cert(
            "has no certificate in it, which PEM begins with -----BEGIN CERTIFICATE-----"
                .to_owned(),
        ));
    }
    let private = PrivateKeyDer::from_pem_slice(&read.key).map_err(|_| {
        let is_encrypted = String::from_utf8_lossy(&read.key).contains("ENCRYPTED");
        of_key(if is_encrypted {
            "is encrypted with a pass phrase; give it without one, readable by the server only"
                .to_owned()
        } else {
            "has no private key in it, which PEM begins with -----BEGIN PRIVATE KEY-----".to_owned()
        })
    })?;
    CertifiedKey::from_der(chain, private, &default_provider()).map_err(|error| match error {
        rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => of_key(format!(
            "does not belong to the certificate {}",
            cert.display()
        )),
        rustls::Error::InvalidCertificate(error) => of_cert(format!("cannot be read: {error}")),
        error => of_key(format!("cannot be used: {error}")),
    })
}

/// Says so if clients will not accept the certificate for its dates. It is served all the same: some do.
fn remind(path: &Path, certified: &CertifiedKey, now: Timestamp) {
    let path = path.display();
    match validity(certified, now) {
        Validity::Now => {}
        Validity::Expired => {
            tracing::warn!("the certificate {path} has expired, so that clients refuse it");
        }
        Validity::NotYet => {
            tracing::warn!("the certificate {path} is not valid yet, so that clients refuse it");
        }
        Validity::EndsSoon => tracing::warn!(
            "the certificate {path} expires within {} days",
            REMINDER.as_secs() / 86_400
        ),
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Validity {
    Now,
    Expired,
    NotYet,
    EndsSoon,
}

fn validity(certified: &CertifiedKey, now: Timestamp) -> Validity {
    match at(certified, now) {
        Some(wrong) => wrong,
        None if at(certified, now.after(REMINDER)) == Some(Validity::Expired) => Validity::EndsSoon,
        None => Validity::Now,
    }
}

/// What is wrong with the certificate's dates at this moment. Verification looks at them before it asks who signed it,
/// and here nobody is trusted, so that any other answer is about that.
fn at(certified: &CertifiedKey, moment: Timestamp) -> Option<Validity> {
    let leaf = ParsedCertificate::try_from(certified.cert.first()?).ok()?;
    let seconds = u64::try_from(moment.millis() / 1_000).ok()?;
    let verified = verify_server_cert_signed_by_trust_anchor(
        &leaf,
        &RootCertStore::empty(),
        &[],
        UnixTime::since_unix_epoch(Duration::from_secs(seconds)),
        default_provider().signature_verification_algorithms.all,
    );
    match verified {
        Err(rustls::Error::InvalidCertificate(
            CertificateError::Expired | CertificateError::ExpiredContext { .. },
        )) => Some(Validity::Expired),
        Err(rustls::Error::InvalidCertificate(
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. },
        )) => Some(Validity::NotYet),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};
    use std::time::Duration;

    use rcgen::{CertificateParams, KeyPair, date_time_ymd};
    use two_buckets_objects::Timestamp;

    use super::{Tls, Validity, validity};

    struct Files {
        _folder: tempfile::TempDir,
        cert: PathBuf,
        key: PathBuf,
    }

    impl Files {
        fn new(cert: &str, key: &str) -> Self {
            let folder = tempfile::tempdir().unwrap();
            let (cert_path, key_path) = (
                folder.path().join("cert.pem"),
                folder.path().join("key.pem"),
            );
            std::fs::write(&cert_path, cert).unwrap();
            private(&key_path, key);
            Self {
                _folder: folder,
                cert: cert_path,
                key: key_path,
            }
        }

        fn problem(&self) -> String {
            Tls::open(&self.cert, &self.key, Timestamp::from_millis(0))
                .err()
                .expect("it is refused")
        }
    }

    fn private(path: &Path, text: &str) {
        crate::private_file::write(path, text.as_bytes()).unwrap();
    }

    /// A certificate for the year 2030 and its key.
    fn made() -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.not_before = date_time_ymd(2030, 1, 1);
        params.not_after = date_time_ymd(2030, 12, 31);
        (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
    }

    #[test]
    fn each_mistake_is_told_with_the_file_it_is_in() {
        let (cert, key) = made();
        let (_, other_key) = made();
        let encrypted = key.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY");
        for (cert, key, file, words) in [
            (
                cert.as_str(),
                other_key.as_str(),
                "key.pem",
                "does not belong",
            ),
            (&key, &key, "cert.pem", "no certificate"),
            (&cert, &cert, "key.pem", "no private key"),
            ("", &key, "cert.pem", "no certificate"),
            (&cert, "", "key.pem", "no private key"),
            (&cert, &encrypted, "key.pem", "pass phrase"),
            (&cert[..cert.len() / 2], &key, "cert.pem", "PEM"),
        ] {
            let problem = Files::new(cert, key).problem();
            assert!(
                problem.contains(file) && problem.contains(words),
                "{problem}"
            );
            assert!(
                !problem.contains(key.lines().nth(1).unwrap_or("nothing")),
                "{problem}"
            );
        }
        let files = Files::new(&cert, &key);
        std::fs::remove_file(&files.cert).unwrap();
        assert!(files.problem().contains("cert.pem"));
    }

    #[cfg(unix)]
    #[test]
    fn a_key_that_everybody_may_read_is_refused() {
        use std::os::unix::fs::PermissionsExt as _;
        let (cert, key) = made();
        let files = Files::new(&cert, &key);
        for (mode, is_fine) in [(0o600, true), (0o640, true), (0o644, false), (0o602, false)] {
            std::fs::set_permissions(&files.key, std::fs::Permissions::from_mode(mode)).unwrap();
            let opened = Tls::open(&files.cert, &files.key, Timestamp::from_millis(0));
            match opened {
                Ok(_) => assert!(is_fine, "{mode:o}"),
                Err(problem) => {
                    assert!(!is_fine && problem.contains("chmod"), "{mode:o}: {problem}");
                }
            }
        }
    }

    #[test]
    fn a_certificate_is_judged_by_its_dates() {
        let (cert, key) = made();
        let files = Files::new(&cert, &key);
        let (tls, _) = Tls::open(&files.cert, &files.key, Timestamp::from_millis(0)).unwrap();
        let certified = tls.current.get();
        let in_2030 = Timestamp::from_millis(1_893_456_000_000);
        let day = |days: u64| in_2030.after(Duration::from_hours(24 * days));
        for (moment, expected) in [
            (Timestamp::from_millis(0), Validity::NotYet),
            (day(1), Validity::Now),
            (day(340), Validity::Now),
            (day(355), Validity::EndsSoon),
            (day(400), Validity::Expired),
        ] {
            assert_eq!(validity(&certified, moment), expected, "{moment}");
        }
    }

    #[test]
    fn what_is_read_again_is_used_and_what_is_wrong_changes_nothing() {
        let (cert, key) = made();
        let files = Files::new(&cert, &key);
        let now = Timestamp::from_millis(0);
        let (tls, first) = Tls::open(&files.cert, &files.key, now).unwrap();
        let before = tls.certificate();
        assert!(tls.read().unwrap() == first);
        let (new_cert, new_key) = made();
        std::fs::write(&files.cert, &new_cert).unwrap();
        // Between the two writes they do not fit.
        let between = tls.read().unwrap();
        tls.renew(&between, now).unwrap_err();
        assert_eq!(tls.certificate(), before);
        private(&files.key, &new_key);
        tls.renew(&tls.read().unwrap(), now).unwrap();
        assert_ne!(tls.certificate(), before);
    }
}

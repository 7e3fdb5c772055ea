//! The sealed form of a session.
//!
//! Base64 (URL alphabet, no padding) of: format (1 byte, 1), nonce (24 bytes, random), and the sealed claims with
//! their tag of 16 bytes. The claims are: when made and when expired (each 8 bytes, little-endian milliseconds), then
//! role, session name and policy, each with its length in bytes before it (2 bytes, little-endian) and the policy with
//! one byte more in front, 0 for none. The access key id is the first 10 bytes of the nonce in base 32 behind `ASIA`,
//! so it cannot be paired with another token.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use chacha20poly1305::aead::{Aead as _, Payload};
use chacha20poly1305::{KeyInit as _, XChaCha20Poly1305, XNonce};
use two_buckets_objects::Timestamp;

use crate::Credentials;
use crate::policy::SESSION_POLICY_CHARS_MAX;
use crate::sign::hmac_sha256;

/// The first byte of a token. A token of another format is no token.
const FORMAT: u8 = 1;
const NONCE_BYTES: usize = 24;
const TAG_BYTES: usize = 16;
/// The most bytes of the claims: the times, two names of 64 bytes, and a policy of characters of 4 bytes each.
const CLAIMS_BYTES_MAX: usize = 8 + 8 + 2 * (2 + 64) + 1 + 2 + 4 * SESSION_POLICY_CHARS_MAX;
/// The most characters of a token; more are not looked at.
const TOKEN_CHARS_MAX: usize = (1 + NONCE_BYTES + CLAIMS_BYTES_MAX + TAG_BYTES) * 4 / 3 + 1;
/// How much of a derived key makes a secret: 30 bytes are 40 characters, as AWS's secrets have.
const SECRET_BYTES: usize = 30;
const BASE_32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// What a token says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Claims {
    pub(super) made_at: Timestamp,
    pub(super) expires_at: Timestamp,
    /// The role's name.
    pub(super) role: String,
    pub(super) session_name: String,
    /// The session policy, as it was sent.
    pub(super) policy: Option<String>,
}

/// Claims sealed, and the key pair that goes with them.
pub(super) struct Sealed {
    pub(super) token: String,
    pub(super) access_key_id: String,
    pub(super) secret_access_key: String,
}

/// A token opened: it was sealed here and nothing of it was changed.
pub(super) struct Opened {
    pub(super) claims: Claims,
    pub(super) access_key_id: String,
    pub(super) secret_access_key: String,
}

/// Seals and opens tokens, by keys that nobody can derive without the root secret.
pub(super) struct Sealer {
    cipher: XChaCha20Poly1305,
    /// Derives the secrets of sessions.
    secrets: [u8; 32],
}

impl Sealer {
    pub(super) fn new(root: &Credentials) -> Self {
        let derived = |label: &str| {
            let label = format!("two-buckets {label} v1 {}", root.access_key_id);
            hmac_sha256(root.secret_access_key.as_bytes(), label.as_bytes())
        };
        Self {
            cipher: XChaCha20Poly1305::new(&derived("session token").into()),
            secrets: derived("session secret"),
        }
    }

    /// None if the system has no random bytes.
    pub(super) fn seal(&self, claims: &Claims) -> Option<Sealed> {
        let mut nonce = [0; NONCE_BYTES];
        getrandom::fill(&mut nonce).ok()?;
        let plain = Payload {
            msg: &claims.to_bytes(),
            aad: &[FORMAT],
        };
        let sealed = self
            .cipher
            .encrypt(&XNonce::from(nonce), plain)
            .expect("the claims are far shorter than the cipher's limit");
        let mut token = vec![FORMAT];
        token.extend_from_slice(&nonce);
        token.extend_from_slice(&sealed);
        Some(Sealed {
            token: BASE64_URL_SAFE_NO_PAD.encode(token),
            access_key_id: access_key_id(&nonce),
            secret_access_key: self.secret(&nonce),
        })
    }

    /// Opens any text; none for all but tokens that were sealed under this root key.
    pub(super) fn open(&self, token: &str) -> Option<Opened> {
        if token.len() > TOKEN_CHARS_MAX {
            return None;
        }
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(token).ok()?;
        let (&format, rest) = bytes.split_first()?;
        let (nonce, sealed) = rest.split_first_chunk::<NONCE_BYTES>()?;
        if format != FORMAT {
            return None;
        }
        let payload = Payload {
            msg: sealed,
            aad: &[format],
        };
        let plain = self.cipher.decrypt(&XNonce::from(*nonce), payload).ok()?;
        Some(Opened {
            claims: Claims::of_bytes(&plain)?,
            access_key_id: access_key_id(nonce),
            secret_access_key: self.secret(nonce),
        })
    }

    fn secret(&self, nonce: &[u8; NONCE_BYTES]) -> String {
        let derived = hmac_sha256(&self.secrets, nonce);
        BASE64_URL_SAFE_NO_PAD.encode(&derived[..SECRET_BYTES])
    }
}

impl Claims {
    fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(256);
        out.extend_from_slice(&self.made_at.millis().to_le_bytes());
        out.extend_from_slice(&self.expires_at.millis().to_le_bytes());
        let mut text = |text: &str| {
            let length = u16::try_from(text.len()).expect("names and policies are shorter");
            out.extend_from_slice(&length.to_le_bytes());
            out.extend_from_slice(text.as_bytes());
        };
        text(&self.role);
        text(&self.session_name);
        match &self.policy {
            None => out.push(0),
            Some(policy) => {
                out.push(1);
                let length = u16::try_from(policy.len()).expect("policies are shorter");
                out.extend_from_slice(&length.to_le_bytes());
                out.extend_from_slice(policy.as_bytes());
            }
        }
        out
    }

    fn of_bytes(bytes: &[u8]) -> Option<Self> {
        let mut rest = bytes;
        let claims = Self {
            made_at: Timestamp::from_millis(i64::from_le_bytes(taken(&mut rest)?)),
            expires_at: Timestamp::from_millis(i64::from_le_bytes(taken(&mut rest)?)),
            role: text(&mut rest)?,
            session_name: text(&mut rest)?,
            policy: match taken(&mut rest)? {
                [0] => None,
                [1] => Some(text(&mut rest)?),
                _ => return None,
            },
        };
        rest.is_empty().then_some(claims)
    }
}

fn taken<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, after) = rest.split_first_chunk::<N>()?;
    *rest = after;
    Some(*taken)
}

fn text(rest: &mut &[u8]) -> Option<String> {
    let length = u16::from_le_bytes(taken(rest)?);
    let (text, after) = rest.split_at_checked(usize::from(length))?;
    *rest = after;
    String::from_utf8(text.to_vec()).ok()
}

/// `ASIA` and 16 characters, as AWS's temporary ids are.
fn access_key_id(nonce: &[u8; NONCE_BYTES]) -> String {
    let mut id = String::from("ASIA");
    // 5 bytes are 8 characters.
    for five in nonce[..10].chunks_exact(5) {
        let bits = five.iter().fold(0_u64, |bits, b| bits << 8 | u64::from(*b));
        for place in (0..8).rev() {
            let digit = usize::try_from(bits >> (5 * place) & 31).expect("5 bits fit");
            id.push(char::from(BASE_32[digit]));
        }
    }
    id
}

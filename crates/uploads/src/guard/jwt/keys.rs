//! The public keys of an issuer (RFC 7517), each bound to the algorithms it is for.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
use ring::signature::{self, RsaPublicKeyComponents, UnparsedPublicKey};
use serde::Deserialize;

use super::Algorithm;

/// The most keys of one issuer that are kept; large ones publish about ten.
const KEYS_MAX: usize = 64;
/// The longest name of a key.
pub(super) const KEY_ID_BYTES_MAX: usize = 256;

/// An issuer's public keys.
#[derive(Clone, Default)]
pub(crate) struct Keys(Vec<PublicKey>);

struct Malformed;

#[derive(Clone)]
pub(super) struct PublicKey {
    id: Option<String>,
    /// Every algorithm this key may be used with. A token's header chooses among them and cannot add to them, so a key
    /// cannot be taken for one of another kind.
    algorithms: Vec<Algorithm>,
    material: Material,
}

#[derive(Clone)]
enum Material {
    Rsa {
        n: Vec<u8>,
        e: Vec<u8>,
    },
    /// A curve's point, in the form that ring reads it.
    Point(Vec<u8>),
}

#[derive(Deserialize)]
struct SetJson {
    keys: Vec<serde_json::Value>,
}

#[derive(Deserialize)]
struct KeyJson {
    kty: String,
    kid: Option<String>,
    alg: Option<String>,
    r#use: Option<String>,
    key_ops: Option<Vec<String>>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

impl Keys {
    /// Reads a key set. Keys for other purposes and of kinds that are not known here are left out, as RFC 7517
    /// (section 5) asks; a set without any left is refused.
    pub(crate) fn parse(json: &[u8]) -> Result<Self, String> {
        let set: SetJson =
            serde_json::from_slice(json).map_err(|error| format!("is no key set: {error}"))?;
        let keys: Vec<PublicKey> = set
            .keys
            .into_iter()
            .filter_map(|key| serde_json::from_value(key).ok())
            .filter_map(|key| PublicKey::of(key).ok())
            .take(KEYS_MAX)
            .collect();
        if keys.is_empty() {
            return Err("has no key that signatures can be checked with".to_owned());
        }
        Ok(Self(keys))
    }

    /// Whether there is a key of this name.
    pub(super) fn has(&self, id: &str) -> bool {
        self.0.iter().any(|key| key.id.as_deref() == Some(id))
    }

    /// The keys a signature may have been made with: those of that name, or all where no name is given, and of them
    /// those for that algorithm.
    pub(super) fn candidates(
        &self,
        id: Option<&str>,
        algorithm: Algorithm,
    ) -> impl Iterator<Item = &PublicKey> {
        self.0.iter().filter(move |key| {
            id.is_none_or(|id| key.id.as_deref() == Some(id)) && key.algorithms.contains(&algorithm)
        })
    }
}

impl PublicKey {
    fn of(json: KeyJson) -> Result<Self, Malformed> {
        let is_for_signatures = json.r#use.as_deref().is_none_or(|purpose| purpose == "sig")
            && json
                .key_ops
                .as_ref()
                .is_none_or(|operations| operations.iter().any(|it| it == "verify"));
        let id_fits = json
            .kid
            .as_ref()
            .is_none_or(|id| id.len() <= KEY_ID_BYTES_MAX);
        if !is_for_signatures || !id_fits {
            return Err(Malformed);
        }
        let (possible, material): (&[Algorithm], _) = match (json.kty.as_str(), json.crv.as_deref())
        {
            ("RSA", _) => (
                &[
                    Algorithm::Rs256,
                    Algorithm::Rs384,
                    Algorithm::Rs512,
                    Algorithm::Ps256,
                    Algorithm::Ps384,
                    Algorithm::Ps512,
                ],
                Material::Rsa {
                    n: number(json.n.as_deref())?,
                    e: number(json.e.as_deref())?,
                },
            ),
            ("EC", Some("P-256")) => (
                &[Algorithm::Es256],
                Material::Point(point(json.x.as_deref(), json.y.as_deref(), 32)?),
            ),
            ("EC", Some("P-384")) => (
                &[Algorithm::Es384],
                Material::Point(point(json.x.as_deref(), json.y.as_deref(), 48)?),
            ),
            ("OKP", Some("Ed25519")) => (
                &[Algorithm::EdDsa],
                Material::Point(coordinate(json.x.as_deref(), 32)?),
            ),
            // Symmetric keys among them: a secret has no place in a public set.
            _ => return Err(Malformed),
        };
        let algorithms = match &json.alg {
            None => possible.to_vec(),
            Some(name) => possible
                .iter()
                .copied()
                .filter(|algorithm| algorithm.name() == name)
                .collect(),
        };
        if algorithms.is_empty() {
            return Err(Malformed);
        }
        Ok(Self {
            id: json.kid,
            algorithms,
            material,
        })
    }

    /// Whether this key made that signature of the message.
    pub(super) fn verifies(&self, algorithm: Algorithm, message: &[u8], sent: &[u8]) -> bool {
        if !self.algorithms.contains(&algorithm) {
            return false;
        }
        match &self.material {
            Material::Rsa { n, e } => {
                let parameters = match algorithm {
                    Algorithm::Rs256 => &signature::RSA_PKCS1_2048_8192_SHA256,
                    Algorithm::Rs384 => &signature::RSA_PKCS1_2048_8192_SHA384,
                    Algorithm::Rs512 => &signature::RSA_PKCS1_2048_8192_SHA512,
                    Algorithm::Ps256 => &signature::RSA_PSS_2048_8192_SHA256,
                    Algorithm::Ps384 => &signature::RSA_PSS_2048_8192_SHA384,
                    Algorithm::Ps512 => &signature::RSA_PSS_2048_8192_SHA512,
                    Algorithm::Es256 | Algorithm::Es384 | Algorithm::EdDsa => return false,
                };
                RsaPublicKeyComponents { n, e }
                    .verify(parameters, message, sent)
                    .is_ok()
            }
            Material::Point(point) => {
                let parameters: &dyn signature::VerificationAlgorithm = match algorithm {
                    Algorithm::Es256 => &signature::ECDSA_P256_SHA256_FIXED,
                    Algorithm::Es384 => &signature::ECDSA_P384_SHA384_FIXED,
                    Algorithm::EdDsa => &signature::ED25519,
                    _ => return false,
                };
                UnparsedPublicKey::new(parameters, point)
                    .verify(message, sent)
                    .is_ok()
            }
        }
    }
}

/// A whole number, without the zeros in front that RFC 7518 forbids and some issuers send.
fn number(text: Option<&str>) -> Result<Vec<u8>, Malformed> {
    let bytes = BASE64URL
        .decode(text.ok_or(Malformed)?)
        .map_err(|_| Malformed)?;
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    Ok(bytes.get(zeros..).unwrap_or_default().to_vec())
}

fn coordinate(text: Option<&str>, size_bytes: usize) -> Result<Vec<u8>, Malformed> {
    let bytes = BASE64URL
        .decode(text.ok_or(Malformed)?)
        .map_err(|_| Malformed)?;
    if bytes.len() == size_bytes {
        Ok(bytes)
    } else {
        Err(Malformed)
    }
}

/// A point in uncompressed form (SEC 1, section 2.3.3).
fn point(x: Option<&str>, y: Option<&str>, size_bytes: usize) -> Result<Vec<u8>, Malformed> {
    let mut point = vec![4];
    point.extend(coordinate(x, size_bytes)?);
    point.extend(coordinate(y, size_bytes)?);
    Ok(point)
}

#[cfg(test)]
mod tests {
    use super::{Algorithm, BASE64URL, Keys};
    use base64::Engine as _;

    /// Key, token and algorithm as the RFCs print them, so that both sides of a mistake of ours cannot cancel out.
    const PRINTED: [(&str, Algorithm, &str); 3] = [
        // RFC 7515, appendix A.2.
        (
            r#"{"kty":"RSA","n":"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ","e":"AQAB"}"#,
            Algorithm::Rs256,
            "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw",
        ),
        // RFC 7515, appendix A.3.
        (
            r#"{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}"#,
            Algorithm::Es256,
            "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q",
        ),
        // RFC 8037, appendix A.4.
        (
            r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#,
            Algorithm::EdDsa,
            "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg",
        ),
    ];

    #[test]
    fn the_signatures_that_the_rfcs_print_are_right_under_their_own_key_and_algorithm_only() {
        for (key, algorithm, token) in PRINTED {
            let (message, sent) = token.rsplit_once('.').unwrap();
            let sent = BASE64URL.decode(sent).unwrap();
            for (other_key, _, _) in PRINTED {
                let keys = Keys::parse(format!(r#"{{"keys":[{other_key}]}}"#).as_bytes()).unwrap();
                for claimed in Algorithm::ALL {
                    let is_right = keys
                        .candidates(None, claimed)
                        .any(|key| key.verifies(claimed, message.as_bytes(), &sent));
                    assert_eq!(
                        is_right,
                        other_key == key && claimed == algorithm,
                        "{algorithm} as {claimed}"
                    );
                }
            }
            let keys = Keys::parse(format!(r#"{{"keys":[{key}]}}"#).as_bytes()).unwrap();
            let key = keys.candidates(None, algorithm).next().unwrap();
            let mut wrong = sent.clone();
            wrong[7] ^= 1;
            assert!(!key.verifies(algorithm, message.as_bytes(), &wrong));
            assert!(!key.verifies(algorithm, message.to_lowercase().as_bytes(), &sent));
            for sent in [&sent[1..], &[], &[0; 64], &[0; 4096]] {
                assert!(!key.verifies(algorithm, message.as_bytes(), sent));
            }
        }
    }

    #[test]
    fn keys_for_anything_but_checking_signatures_are_left_out() {
        let x = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
        let good = format!(r#"{{"kty":"OKP","crv":"Ed25519","kid":"good","x":"{x}"}}"#);
        for left_out in [
            format!(r#"{{"kty":"OKP","crv":"Ed25519","use":"enc","x":"{x}"}}"#),
            format!(r#"{{"kty":"OKP","crv":"Ed25519","key_ops":["sign"],"x":"{x}"}}"#),
            format!(r#"{{"kty":"OKP","crv":"Ed25519","alg":"ES256","x":"{x}"}}"#),
            format!(r#"{{"kty":"OKP","crv":"X25519","x":"{x}"}}"#),
            format!(r#"{{"kty":"OKP","crv":"Ed25519","x":"{x}AA"}}"#),
            format!(r#"{{"kty":"OKP","crv":"Ed25519","x":"{x}="}}"#),
            format!(r#"{{"kty":"EC","crv":"P-256","x":"{x}"}}"#),
            format!(r#"{{"kty":"oct","k":"{x}"}}"#),
            r#"{"kty":"oct","alg":"HS256","k":"c2VjcmV0"}"#.to_owned(),
            r#"{"kty":"RSA","n":"AQAB"}"#.to_owned(),
            r#"{"kid":"no kind"}"#.to_owned(),
            "17".to_owned(),
        ] {
            let keys = Keys::parse(format!(r#"{{"keys":[{left_out},{good}]}}"#).as_bytes())
                .unwrap_or_else(|error| panic!("{left_out}: {error}"));
            assert_eq!(keys.0.len(), 1, "{left_out}");
            assert!(keys.has("good"));
            Keys::parse(format!(r#"{{"keys":[{left_out}]}}"#).as_bytes())
                .err()
                .expect("nothing is left");
        }
        for no_set in ["", "[]", "{}", r#"{"keys":[]}"#, r#"{"keys":{}}"#, "<html>"] {
            assert!(Keys::parse(no_set.as_bytes()).is_err(), "{no_set}");
        }
    }

    #[test]
    fn a_key_made_for_one_algorithm_is_for_that_one_only() {
        let (rsa, _, _) = PRINTED[0];
        let bound = rsa.replace(r#""kty""#, r#""alg":"PS256","kty""#);
        let keys = Keys::parse(format!(r#"{{"keys":[{bound}]}}"#).as_bytes()).unwrap();
        assert!(keys.candidates(None, Algorithm::Ps256).next().is_some());
        assert!(keys.candidates(None, Algorithm::Rs256).next().is_none());
    }
}

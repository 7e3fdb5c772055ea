//! An issuer's keys, made here, and tokens signed with them as wrongly as wanted.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
use ring::hmac;
use ring::rand::SystemRandom;
use ring::rsa::{KeyPair as RsaKeyPair, PublicKeyComponents};
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair,
    KeyPair as _, RSA_PKCS1_SHA256, RSA_PSS_SHA256, RsaEncoding,
};
use serde_json::{Value, json};

/// Made with `openssl genpkey` for these tests, since ring makes none; it guards nothing.
const RSA_KEY: &[u8] = include_bytes!("../data/rsa-2048.pk8");

/// A private key and the name it is published under.
pub(crate) struct Signer {
    pub(crate) id: &'static str,
    pub(crate) algorithm: &'static str,
    key: Key,
}

enum Key {
    Rsa(Arc<RsaKeyPair>, &'static dyn RsaEncoding),
    Ec(EcdsaKeyPair, usize),
    Ed(Ed25519KeyPair),
}

impl Signer {
    pub(crate) fn new(id: &'static str, algorithm: &'static str) -> Self {
        let random = SystemRandom::new();
        let rsa = || Arc::new(RsaKeyPair::from_pkcs8(RSA_KEY).expect("a key"));
        let key = match algorithm {
            "RS256" => Key::Rsa(rsa(), &RSA_PKCS1_SHA256),
            "PS256" => Key::Rsa(rsa(), &RSA_PSS_SHA256),
            "ES256" | "ES384" => {
                let (signing, size) = match algorithm {
                    "ES256" => (&ECDSA_P256_SHA256_FIXED_SIGNING, 32),
                    _ => (&ECDSA_P384_SHA384_FIXED_SIGNING, 48),
                };
                let made = EcdsaKeyPair::generate_pkcs8(signing, &random).expect("a key");
                let pair = EcdsaKeyPair::from_pkcs8(signing, made.as_ref(), &random);
                Key::Ec(pair.expect("a key"), size)
            }
            "EdDSA" => {
                let made = Ed25519KeyPair::generate_pkcs8(&random).expect("a key");
                Key::Ed(Ed25519KeyPair::from_pkcs8(made.as_ref()).expect("a key"))
            }
            other => panic!("no {other} here"),
        };
        Self { id, algorithm, key }
    }

    /// The public half as issuers publish it; RSA keys without `alg`, as many do.
    pub(crate) fn published(&self) -> Value {
        let mut json = match &self.key {
            Key::Rsa(pair, _) => {
                let public = PublicKeyComponents::<Vec<u8>>::from(pair.public());
                json!({
                    "kty": "RSA",
                    "n": BASE64URL.encode(public.n),
                    "e": BASE64URL.encode(public.e),
                })
            }
            Key::Ec(pair, size) => {
                let point = &pair.public_key().as_ref()[1..];
                json!({
                    "kty": "EC",
                    "crv": if *size == 32 { "P-256" } else { "P-384" },
                    "alg": self.algorithm,
                    "x": BASE64URL.encode(&point[..*size]),
                    "y": BASE64URL.encode(&point[*size..]),
                })
            }
            Key::Ed(pair) => json!({
                "kty": "OKP",
                "crv": "Ed25519",
                "x": BASE64URL.encode(pair.public_key().as_ref()),
            }),
        };
        json["kid"] = self.id.into();
        json["use"] = "sig".into();
        json
    }

    /// The bytes of the public half, as somebody would take them for a secret.
    pub(crate) fn public_bytes(&self) -> Vec<u8> {
        match &self.key {
            Key::Rsa(pair, _) => pair.public_key().as_ref().to_vec(),
            Key::Ec(pair, _) => pair.public_key().as_ref().to_vec(),
            Key::Ed(pair) => pair.public_key().as_ref().to_vec(),
        }
    }

    /// A token of these claims with the header that belongs to this key.
    pub(crate) fn token(&self, claims: &Value) -> String {
        self.token_with(
            &json!({"alg": self.algorithm, "kid": self.id, "typ": "JWT"}),
            claims,
        )
    }

    /// A token with this header, whatever it says, signed with this key.
    pub(crate) fn token_with(&self, header: &Value, claims: &Value) -> String {
        let message = message(header, claims);
        let random = SystemRandom::new();
        let signature = match &self.key {
            Key::Rsa(pair, padding) => {
                let mut signature = vec![0; pair.public().modulus_len()];
                pair.sign(*padding, &random, message.as_bytes(), &mut signature)
                    .expect("it signs");
                signature
            }
            Key::Ec(pair, _) => pair
                .sign(&random, message.as_bytes())
                .expect("it signs")
                .as_ref()
                .to_vec(),
            Key::Ed(pair) => pair.sign(message.as_bytes()).as_ref().to_vec(),
        };
        format!("{message}.{}", BASE64URL.encode(signature))
    }
}

/// What is signed.
pub(crate) fn message(header: &Value, claims: &Value) -> String {
    let part = |json: &Value| BASE64URL.encode(json.to_string());
    format!("{}.{}", part(header), part(claims))
}

/// A token signed with a secret that is none.
pub(crate) fn signed_with_secret(header: &Value, claims: &Value, secret: &[u8]) -> String {
    let message = message(header, claims);
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
    let tag = hmac::sign(&key, message.as_bytes());
    format!("{message}.{}", BASE64URL.encode(tag.as_ref()))
}

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::Value;
use two_buckets_objects::Metadata;

use crate::content_type::is_token;
use crate::problem::Problem;

/// Reads what an uploader wants kept beside a file, as user metadata that S3 takes: names are tokens and in lower
/// case; values are text, numbers or truth values, nulls are left out, and what is not ASCII is encoded as RFC 2047 has
/// it, as S3 itself shows such values (S3 User Guide, "Working with object metadata") and as Companion sends them.
pub(crate) fn read(
    sent: impl IntoIterator<Item = (String, Value)>,
) -> Result<BTreeMap<String, String>, Problem> {
    let mut user = BTreeMap::new();
    for (name, value) in sent {
        if !is_token(&name) {
            return Err(Problem::BadRequest(format!(
                "the name {name:?} cannot be metadata: it must have letters, digits and hyphens only"
            )));
        }
        let value = match value {
            Value::Null => continue,
            Value::String(text) => text,
            other => other.to_string(),
        };
        user.insert(name.to_ascii_lowercase(), in_ascii(&value));
    }
    let kept = Metadata {
        user,
        ..Metadata::default()
    };
    if kept.user_bytes() > Metadata::USER_BYTES_MAX {
        return Err(Problem::BadRequest(format!(
            "the metadata has {} bytes, names and values together may have at most {}",
            kept.user_bytes(),
            Metadata::USER_BYTES_MAX
        )));
    }
    Ok(kept.user)
}

fn in_ascii(value: &str) -> String {
    let plain = value.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    // Space at an end would be trimmed on its way, and what looks encoded would be decoded.
    if plain && value.trim() == value && !value.starts_with("=?") {
        return value.into();
    }
    format!("=?UTF-8?B?{}?=", BASE64.encode(value))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::read;

    fn one(name: &str, value: Value) -> Option<String> {
        let user = read([(name.to_owned(), value)]).ok()?;
        user.into_values().next()
    }

    #[test]
    fn values_reach_s3_as_ascii_on_one_line() {
        for (value, kept) in [
            (json!("photo.jpg"), "photo.jpg"),
            (json!(""), ""),
            (json!(7), "7"),
            (json!(true), "true"),
            (json!(["a"]), "[\"a\"]"),
            (json!("ü"), "=?UTF-8?B?w7w=?="),
            (
                json!("a\r\nx-amz-acl: public-read"),
                "=?UTF-8?B?YQ0KeC1hbXotYWNsOiBwdWJsaWMtcmVhZA==?=",
            ),
            (json!(" a"), "=?UTF-8?B?IGE=?="),
            (json!("=?x"), "=?UTF-8?B?PT94?="),
        ] {
            assert_eq!(one("name", value.clone()).as_deref(), Some(kept), "{value}");
        }
        assert_eq!(one("name", Value::Null), None);
    }

    #[test]
    fn names_that_are_no_headers_and_more_than_two_kilobytes_are_refused() {
        for name in ["", "a b", "a:b", "ü", "a\n", "a[b]"] {
            assert!(read([(name.to_owned(), json!("x"))]).is_err(), "{name:?}");
        }
        assert!(read([("n".to_owned(), json!("x".repeat(2_047)))]).is_ok());
        assert!(read([("n".to_owned(), json!("x".repeat(2_048)))]).is_err());
    }
}

//! The fields of a form: names in lower case, each once.

use std::collections::BTreeMap;

use http::{HeaderMap, HeaderName, HeaderValue};
use s3s::S3ErrorCode;

use crate::refusal::Refusal;

/// What stands for the name of the file in the value of a field.
const FILE_NAME: &str = "${filename}";
/// Fields whose value is taken as it is.
const NEVER_REPLACED: &[&str] = &[
    "policy",
    "signature",
    "awsaccesskeyid",
    "x-amz-algorithm",
    "x-amz-credential",
    "x-amz-date",
    "x-amz-security-token",
    "x-amz-signature",
];
/// Fields that are properties of the object and travel as headers of these names in a PUT.
const HEADERS: &[&str] = &[
    "cache-control",
    "content-disposition",
    "content-encoding",
    "content-language",
    "content-md5",
    "content-type",
    "expires",
    "x-amz-storage-class",
    "x-amz-website-redirect-location",
];
/// Other fields that mean something.
const KNOWN: &[&str] = &[
    "acl",
    "bucket",
    "key",
    "success_action_redirect",
    "success_action_status",
    "tagging",
];

/// The fields in front of a file.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Fields(BTreeMap<String, Value>);

/// A field's text. It may be a signature or a token, so it does not show in `Debug` output.
#[derive(Clone, PartialEq, Eq, Default)]
struct Value(String);

impl std::fmt::Debug for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "({} bytes)", self.0.len())
    }
}

impl Fields {
    /// Takes names, in lower case, and values. `${filename}` is replaced in every value by the name of the file, of
    /// which only what stands behind the last slash or backslash counts, before a policy is asked.
    pub(crate) fn new(pairs: Vec<(String, Vec<u8>)>, file_name: &str) -> Result<Self, Refusal> {
        let file_name = file_name.rsplit(['/', '\\']).next().unwrap_or_default();
        let mut fields = BTreeMap::new();
        for (name, value) in pairs {
            let value = String::from_utf8(value).map_err(|_| {
                Refusal::invalid_argument(format!("the value of the field {name:?} is not UTF-8"))
            })?;
            let value = if NEVER_REPLACED.contains(&name.as_str()) {
                value
            } else {
                value.replace(FILE_NAME, file_name)
            };
            if fields.insert(name.clone(), Value(value)).is_some() {
                return Err(Refusal::invalid_argument(format!(
                    "the form has the field {name:?} twice"
                )));
            }
        }
        Ok(Self(fields))
    }

    /// A field's value.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(|value| value.0.as_str())
    }

    /// The names, in order.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// The key, which every form must name.
    pub(crate) fn key(&self) -> Result<&str, Refusal> {
        match self.get("key") {
            Some("") => Err(Refusal::new(
                S3ErrorCode::UserKeyMustBeSpecified,
                "the form's key is empty",
            )),
            Some(key) => Ok(key),
            None => Err(Refusal::invalid_argument(
                "the form needs a field named key, in front of the file",
            )),
        }
    }

    /// What a PUT of the same object would have for headers. Fields that ask for what is not there are refused, and so
    /// are those that S3 has for PUT only.
    pub(crate) fn headers(&self) -> Result<HeaderMap, Refusal> {
        let mut headers = HeaderMap::new();
        for (name, value) in &self.0 {
            let header = match name.as_str() {
                "acl" => "x-amz-acl",
                known if NEVER_REPLACED.contains(&known) || KNOWN.contains(&known) => continue,
                name if HEADERS.contains(&name) => name,
                name if is_header(name) => name,
                "redirect" => {
                    return Err(Refusal::not_implemented(
                        "the field redirect is not supported; use success_action_redirect",
                    ));
                }
                name if name.starts_with("x-amz-") || name.starts_with("if-") => {
                    return Err(Refusal::not_implemented(format!(
                        "a form cannot have the field {name}"
                    )));
                }
                // Others say nothing to S3; a policy had to cover them all the same.
                _ => continue,
            };
            let illegal = || {
                Refusal::invalid_argument(format!(
                    "the field {name:?} cannot be kept as a header; it has characters a header cannot have"
                ))
            };
            headers.insert(
                HeaderName::try_from(header).map_err(|_| illegal())?,
                HeaderValue::from_bytes(value.0.as_bytes()).map_err(|_| illegal())?,
            );
        }
        Ok(headers)
    }
}

/// Whether a field that begins `x-amz-` is one that a PUT has as a header, if only to be refused there with a reason.
fn is_header(name: &str) -> bool {
    name.starts_with("x-amz-meta-")
        || name.starts_with("x-amz-checksum-")
        || name.starts_with("x-amz-server-side-encryption")
        || name.starts_with("x-amz-object-lock-")
        || name.starts_with("x-amz-grant-")
        || name == "x-amz-sdk-checksum-algorithm"
}

#[cfg(test)]
mod tests {
    use super::Fields;

    fn fields(pairs: &[(&str, &str)], file_name: &str) -> Fields {
        let pairs = pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec()))
            .collect();
        Fields::new(pairs, file_name).unwrap()
    }

    #[test]
    fn the_name_of_the_file_is_put_in_without_its_folders_and_once() {
        for (file_name, expected) in [
            ("a.txt", "up/a.txt/x"),
            ("/etc/../a.txt", "up/a.txt/x"),
            ("C:\\My Files\\a.txt", "up/a.txt/x"),
            ("folder/", "up//x"),
            ("", "up//x"),
            ("${filename}", "up/${filename}/x"),
        ] {
            let fields = fields(
                &[
                    ("key", "up/${filename}/x"),
                    ("x-amz-signature", "${filename}"),
                ],
                file_name,
            );
            assert_eq!(fields.key().unwrap(), expected);
            assert_eq!(fields.get("x-amz-signature"), Some("${filename}"));
        }
    }

    #[test]
    fn values_do_not_show_in_debug_output() {
        let text = format!("{:?}", fields(&[("x-amz-signature", "secret")], ""));
        assert!(
            text.contains("x-amz-signature") && !text.contains("secret"),
            "{text}"
        );
    }

    #[test]
    fn fields_that_a_form_cannot_have_are_refused_and_unknown_ones_are_not() {
        for name in ["if-none-match", "if-match", "x-amz-new-thing", "redirect"] {
            let refusal = fields(&[(name, "*")], "").headers().unwrap_err();
            assert_eq!(refusal.code.as_str(), "NotImplemented", "{name}");
        }
        let headers = fields(
            &[
                ("submit", "Send"),
                ("x-ignore-a", "b"),
                ("content-type", "a/b"),
                ("acl", "private"),
            ],
            "",
        )
        .headers()
        .unwrap();
        assert_eq!(headers.len(), 2);
        assert_eq!(headers["x-amz-acl"], "private");
        assert!(fields(&[("x-amz-meta-a", "b\r\nc")], "").headers().is_err());
    }
}

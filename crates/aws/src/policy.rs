//! What session policies are written with.

use std::fmt::Write as _;

use serde_json::Value;

/// The longest session policy, in characters (STS API, `AssumeRole`, `Policy`). What STS makes of it is bounded too, by
/// a measure that cannot be known beforehand (`PackedPolicyTooLarge`).
pub(crate) const SESSION_POLICY_CHARS_MAX: usize = 2_048;

/// Writes a text so that in a `Resource`, or in a value of `StringEquals`, it stands for itself and nothing else: `*`, `?`
/// and `$` become `${*}`, `${?}` and `${$}` (IAM User Guide, "Policy elements: Variables and tags", special
/// characters). Unescaped, a key `*` would open every object.
pub(crate) fn literal(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '*' | '?' | '$' => {
                out.push_str("${");
                out.push(c);
                out.push('}');
            }
            _ => out.push(c),
        }
    }
    out
}

/// A policy as text that STS takes: no character above U+00FF may be in it (STS API, `AssumeRole`, `Policy`), so those of
/// keys are written as JSON's escapes.
pub(crate) fn text(policy: &Value) -> String {
    let mut out = String::new();
    // Outside of strings JSON is ASCII.
    for c in policy.to_string().chars() {
        if c.is_ascii() {
            out.push(c);
        } else {
            for unit in c.encode_utf16(&mut [0; 2]) {
                write!(out, "\\u{unit:04x}").expect("a String takes every write");
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_policy_is_ascii_and_says_the_same() {
        let policy = json!({ "Resource": "ä 🙂 \" \\ \u{1} ${*}" });
        let text = text(&policy);
        assert!(text.is_ascii(), "{text}");
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), policy);
        assert!(text.contains("\\u00e4 \\ud83d\\ude42"), "{text}");
    }

    #[test]
    fn no_character_of_a_literal_is_a_wildcard_or_a_variable() {
        assert_eq!(literal("a*b?${aws:x}"), "a${*}b${?}${$}{aws:x}");
    }
}

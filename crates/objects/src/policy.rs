//! How a key, or any other text, is written into an IAM policy so that it means itself.

use std::fmt::Write as _;

/// The longest session policy, in characters (STS API, `AssumeRole`, `Policy`). What STS makes of it is bounded too, by
/// a measure that cannot be known beforehand (`PackedPolicyTooLarge`).
pub const SESSION_POLICY_CHARS_MAX: usize = 2_048;

/// The last character that may stand in a policy as it is (STS API, `AssumeRole`, `Policy`).
const LAST_CHAR: char = '\u{ff}';

/// Writes a text so that in a `Resource`, or in a value of `StringEquals` or `StringLike`, it stands for itself and
/// nothing else: `*`, `?` and `$` become `${*}`, `${?}` and `${$}` (IAM User Guide, "Policy elements: Variables and
/// tags", special characters). Unescaped, a key `*` would open every object. The policy must have version 2012-10-17. The
/// text must still be quoted for JSON.
pub fn literal(text: &str) -> String {
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

/// The partition of AWS that an ARN is in, which resources in a policy beside it must name too: `aws`, or `aws-cn`,
/// `aws-us-gov` and others with accounts of their own (IAM User Guide, "Amazon Resource Names").
pub fn partition_of(arn: &str) -> &str {
    let partition = arn
        .strip_prefix("arn:")
        .and_then(|rest| rest.split(':').next());
    partition.filter(|name| !name.is_empty()).unwrap_or("aws")
}

/// The same JSON of the characters that STS takes in a policy: others, which stand in strings only, become JSON's escapes.
pub fn within_sts(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        if c <= LAST_CHAR {
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

    #[test]
    fn no_character_of_a_literal_is_a_wildcard_or_a_variable() {
        assert_eq!(literal("a*b?${aws:x}"), "a${*}b${?}${$}{aws:x}");
        assert_eq!(literal("ä 文 \" \\ {} plain"), "ä 文 \" \\ {} plain");
    }

    #[test]
    fn a_partition_is_an_arns_own() {
        assert_eq!(partition_of("arn:aws-cn:iam::1:role/r"), "aws-cn");
        assert_eq!(partition_of("arn:aws:s3:::b"), "aws");
        for no_arn in ["", "arn::iam", "role/r"] {
            assert_eq!(partition_of(no_arn), "aws", "{no_arn}");
        }
    }

    #[test]
    fn what_sts_does_not_take_is_escaped_and_what_it_takes_is_not() {
        assert_eq!(
            within_sts("{\"a\": \"ä\u{ff}\u{100} 🙂 \\u0001\"}"),
            "{\"a\": \"ä\u{ff}\\u0100 \\ud83d\\ude42 \\u0001\"}"
        );
    }
}

use std::fmt;

/// An object's entity tag without its quotes. An opaque validator, not a digest of the body:
/// for a multipart upload it is the MD5 of the parts' MD5s with `-N` behind
/// (S3 API, Object data type, `ETag`).
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct ETag(Box<str>);

impl ETag {
    /// Takes a tag as sent, with or without its quotes.
    pub fn new(tag: &str) -> Self {
        let bare = tag
            .strip_prefix('"')
            .and_then(|rest| rest.strip_suffix('"'))
            .unwrap_or(tag);
        Self(bare.into())
    }

    /// The tag of a body sent in one piece, from its MD5.
    pub fn of_md5(md5: [u8; 16]) -> Self {
        Self(lower_hex(&md5).into())
    }

    /// The tag of a multipart upload from the MD5s of its parts, in part order.
    pub fn of_parts(md5s: impl IntoIterator<Item = [u8; 16]>) -> Self {
        use md5::{Digest, Md5};
        let mut outer = Md5::new();
        let mut count = 0_u32;
        for md5 in md5s {
            outer.update(md5);
            count += 1;
        }
        Self(format!("{}-{count}", lower_hex(&outer.finalize())).into())
    }

    /// The tag without quotes.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The tag as it goes into a header, in double quotes.
    pub fn quoted(&self) -> String {
        format!("\"{}\"", self.0)
    }
}

fn lower_hex(bytes: &[u8]) -> String {
    use fmt::Write;
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        write!(text, "{byte:02x}").expect("a String takes every write");
    }
    text
}

impl fmt::Display for ETag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ETag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::ETag;

    #[test]
    fn quotes_are_not_part_of_the_tag() {
        assert_eq!(ETag::new("\"abc\""), ETag::new("abc"));
        assert_eq!(ETag::new("abc").quoted(), "\"abc\"");
    }

    #[test]
    fn tags_are_the_ones_s3_gives() {
        use md5::{Digest, Md5};
        let empty: [u8; 16] = Md5::digest(b"").into();
        assert_eq!(
            ETag::of_md5(empty).as_str(),
            "d41d8cd98f00b204e9800998ecf8427e"
        );
        assert_eq!(
            ETag::of_parts([empty]).as_str(),
            "59adb24ef3cdbe0297f05b395827453f-1"
        );
    }
}

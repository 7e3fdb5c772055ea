use http::HeaderValue;

/// A media type as an uploader names it, such as `text/csv; charset=utf-8`: the value of `Content-Type`.
/// Believed by nobody: the processor looks at the content.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ContentType(HeaderValue);

impl ContentType {
    /// The longest one. Real ones have under a hundred characters.
    pub const LENGTH_BYTES_MAX: usize = 255;

    /// The value for the header.
    pub fn as_header(&self) -> &HeaderValue {
        &self.0
    }

    /// The value as text.
    pub fn as_str(&self) -> &str {
        self.0.to_str().expect("only visible ASCII is taken")
    }

    /// The type and subtype, without parameters.
    pub fn essence(&self) -> &str {
        let text = self.as_str();
        text.split(';').next().unwrap_or(text).trim_end()
    }
}

/// A text that is no media type.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the type must be a media type such as \"image/png\", of at most 255 characters")]
pub struct InvalidContentType;

impl std::str::FromStr for ContentType {
    type Err = InvalidContentType;

    fn from_str(text: &str) -> Result<Self, InvalidContentType> {
        let essence = text.split(';').next().unwrap_or_default().trim_end();
        let (kind, subtype) = essence.split_once('/').ok_or(InvalidContentType)?;
        let printable = text.bytes().all(|byte| (0x20..0x7f).contains(&byte));
        // Space at an end would be trimmed on its way and the signature would not fit.
        let trimmed = text.trim() == text;
        if text.len() <= Self::LENGTH_BYTES_MAX
            && is_token(kind)
            && is_token(subtype)
            && printable
            && trimmed
        {
            HeaderValue::from_str(text)
                .map(Self)
                .map_err(|_| InvalidContentType)
        } else {
            Err(InvalidContentType)
        }
    }
}

/// Says whether the text is a token (RFC 9110, section 5.6.2).
pub(crate) fn is_token(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::ContentType;

    #[test]
    fn only_media_types_that_fit_a_header_unchanged_are_taken() {
        for good in [
            "image/png",
            "text/csv; charset=utf-8",
            "application/vnd.ms-excel",
            "text/plain;a=\"b c\"",
        ] {
            assert!(good.parse::<ContentType>().is_ok(), "{good}");
        }
        let long = format!("a/{}", "b".repeat(254));
        for bad in [
            "",
            "png",
            "/",
            "a/",
            "/b",
            "a/b/c",
            "a b/c",
            "a/b\r\nX: y",
            "a/b ",
            " a/b",
            "ä/b",
            "a/b;ü",
            "a/b\u{7f}",
            &long,
        ] {
            assert!(bad.parse::<ContentType>().is_err(), "{bad:?}");
        }
    }
}

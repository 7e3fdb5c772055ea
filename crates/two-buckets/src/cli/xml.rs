//! What we read of S3's documents, in which the elements we ask for have no attributes.

/// The text of the first element of this name.
pub(crate) fn element(document: &[u8], name: &str) -> Option<String> {
    elements(document, name).next().map(unescaped)
}

/// What is inside each element of this name, still escaped.
pub(super) fn elements<'a>(document: &'a [u8], name: &str) -> impl Iterator<Item = &'a str> {
    let mut rest = std::str::from_utf8(document).unwrap_or_default();
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    std::iter::from_fn(move || {
        let (_, behind) = rest.split_once(&open)?;
        let (inside, behind) = behind.split_once(&close)?;
        rest = behind;
        Some(inside)
    })
}

fn unescaped(inside: &str) -> String {
    let mut plain = inside.to_owned();
    // The ampersand last, or a text that had been `&lt;` itself would be read twice.
    for (escaped, character) in [
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&quot;", "\""),
        ("&#34;", "\""),
        ("&apos;", "'"),
        ("&#39;", "'"),
        ("&amp;", "&"),
    ] {
        plain = plain.replace(escaped, character);
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::{element, elements};

    #[test]
    fn the_text_of_an_element_is_unescaped_once() {
        let document =
            b"<Error><Code>NoSuchKey</Code><Message>a &amp;lt; &quot;b&quot;</Message></Error>";
        assert_eq!(element(document, "Code").as_deref(), Some("NoSuchKey"));
        assert_eq!(
            element(document, "Message").as_deref(),
            Some("a &lt; \"b\"")
        );
        assert_eq!(element(document, "UploadId"), None);
    }

    #[test]
    fn every_element_of_a_name_is_found_and_none_of_a_longer_one() {
        let document = b"<Parts><Part>1</Part><PartNumber>9</PartNumber><Part>2</Part><Part>cut";
        let found: Vec<_> = elements(document, "Part").collect();
        assert_eq!(found, ["1", "2"]);
    }
}

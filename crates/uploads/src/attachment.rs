use http::HeaderValue;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// What RFC 8187 calls `attr-char`: these stand for themselves in `filename*`.
const NOT_ATTR_CHAR: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'!')
    .remove(b'#')
    .remove(b'$')
    .remove(b'&')
    .remove(b'+')
    .remove(b'-')
    .remove(b'.')
    .remove(b'^')
    .remove(b'_')
    .remove(b'`')
    .remove(b'|')
    .remove(b'~');

/// The `Content-Disposition` that makes a browser save a file of this key instead of showing it, under the key's last
/// segment (RFC 6266): once in ASCII for old clients and once in UTF-8.
pub(crate) fn content_disposition(key: &str) -> HeaderValue {
    let name = key
        .rsplit(['/', '\\'])
        .map(|segment| segment.replace(char::is_control, ""))
        .find(|segment| !segment.is_empty())
        .unwrap_or_else(|| "file".into());
    // In the quoted form a backslash escapes and a percent sign is decoded by some browsers: neither may be there.
    let ascii: String = name
        .chars()
        .map(|c| match c {
            '"' | '\\' | '%' => '_',
            ' '..='~' => c,
            _ => '_',
        })
        .collect();
    let utf8 = utf8_percent_encode(&name, NOT_ATTR_CHAR);
    HeaderValue::from_str(&format!(
        "attachment; filename=\"{ascii}\"; filename*=UTF-8''{utf8}"
    ))
    .expect("printable ASCII is a header value")
}

#[cfg(test)]
mod tests {
    use super::content_disposition;

    #[test]
    fn a_name_cannot_break_out_of_the_header() {
        for (key, expected) in [
            (
                "a/b/photo.jpg",
                "attachment; filename=\"photo.jpg\"; filename*=UTF-8''photo.jpg",
            ),
            (
                "übersicht.csv",
                "attachment; filename=\"_bersicht.csv\"; filename*=UTF-8''%C3%BCbersicht.csv",
            ),
            (
                "a\";x=\"b.html",
                "attachment; filename=\"a_;x=_b.html\"; filename*=UTF-8''a%22%3Bx%3D%22b.html",
            ),
            (
                "a\r\nSet-Cookie: x",
                "attachment; filename=\"aSet-Cookie: x\"; filename*=UTF-8''aSet-Cookie%3A%20x",
            ),
            (
                "50%41.txt",
                "attachment; filename=\"50_41.txt\"; filename*=UTF-8''50%2541.txt",
            ),
            (
                "c:\\dir\\x.exe",
                "attachment; filename=\"x.exe\"; filename*=UTF-8''x.exe",
            ),
            (
                "folder/",
                "attachment; filename=\"folder\"; filename*=UTF-8''folder",
            ),
            (
                "///",
                "attachment; filename=\"file\"; filename*=UTF-8''file",
            ),
        ] {
            assert_eq!(content_disposition(key), expected, "{key:?}");
        }
    }
}

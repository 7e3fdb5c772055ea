use super::SIGNATURE_BYTES_MAX;

/// The media type of what is neither known nor text.
pub(super) const UNKNOWN: &str = "application/octet-stream";
pub(super) const PLAIN_TEXT: &str = "text/plain";
pub(super) const JSON: &str = "application/json";
pub(super) const JSON_LINES: &str = "application/x-ndjson";
pub(super) const CSV: &str = "text/csv";
pub(super) const TAB_SEPARATED: &str = "text/tab-separated-values";
const SVG: &str = "image/svg+xml";

/// Formats whose files may be text from end to end. Every other signature counts only in a file that is no text:
/// many are two letters long, and a letter that begins with "BM" is not a picture.
const TEXTUAL: [&str; 7] = [
    "application/pdf",
    "application/postscript",
    "application/rtf",
    "text/html",
    "text/xml",
    "text/x-shellscript",
    "application/x-x509-ca-cert",
];

/// The media type by signature.
pub(super) fn by_signature(prefix: &[u8], is_text: bool) -> Option<&'static str> {
    let head = prefix.get(..SIGNATURE_BYTES_MAX).unwrap_or(prefix);
    let found = infer::get(head)?.mime_type();
    if found == "text/xml" && is_text && has_svg_root(head) {
        return Some(SVG);
    }
    (!is_text || TEXTUAL.contains(&found)).then_some(found)
}

fn has_svg_root(head: &[u8]) -> bool {
    head.windows(4).any(|window| window == b"<svg")
}

/// What the extension says a text is. Never asked where the content says more.
pub(super) fn text_by_name(name: &str) -> Option<&'static str> {
    let last = name.rsplit('/').next().unwrap_or_default();
    let (stem, extension) = last.rsplit_once('.')?;
    if stem.is_empty() || extension.len() > 10 {
        return None;
    }
    Some(match extension.to_ascii_lowercase().as_str() {
        "txt" | "text" | "log" => PLAIN_TEXT,
        "csv" => CSV,
        "tsv" | "tab" => TAB_SEPARATED,
        "json" | "geojson" => JSON,
        "jsonl" | "ndjson" => JSON_LINES,
        "md" | "markdown" => "text/markdown",
        "html" | "htm" => "text/html",
        "css" => "text/css",
        "js" | "mjs" => "text/javascript",
        "xml" => "text/xml",
        "svg" => SVG,
        "yaml" | "yml" => "application/yaml",
        "toml" => "application/toml",
        // Source code and configuration: text, and never a table however its commas fall.
        "rs" | "py" | "c" | "h" | "cpp" | "go" | "java" | "ts" | "sh" | "sql" | "ini" | "conf" => {
            PLAIN_SOURCE
        }
        _ => return None,
    })
}

/// Source code: [`PLAIN_TEXT`] in a report.
pub(super) const PLAIN_SOURCE: &str = "text/plain; source";

use serde_json::{Value, json};
use two_buckets_objects::VersionRef;
use two_buckets_pipeline::{ProcessError, Report};

use super::output::Output;

/// What a run wrote on standard output.
pub(super) enum Written {
    /// Little enough to be a report.
    Small(Vec<u8>),
    /// Kept as an output in the archive.
    Output {
        /// What the report calls it: as it was named, or else by where it came from.
        named: Option<Output>,
        /// Where.
        at: VersionRef,
        /// How much.
        size_bytes: u64,
    },
}

impl Written {
    /// The report it makes.
    pub(super) fn report(&self) -> Result<Report, ProcessError> {
        let json = match self {
            Self::Small(bytes) => return Ok(report_of(bytes).unwrap_or_default()),
            Self::Output {
                named,
                at,
                size_bytes,
            } => {
                let mut kept = json!({
                    "bucket": at.bucket.as_str(),
                    "key": at.key.as_str(),
                    "version_id": at.version_id.as_str(),
                    "size_bytes": size_bytes,
                });
                match named {
                    None => json!({ "stdout": kept }),
                    Some(output) => {
                        kept["name"] = output.name().into();
                        kept["media_type"] = output.media_type().into();
                        json!({ "output": kept })
                    }
                }
            }
        };
        Report::from_json(json.to_string())
    }
}

/// The report that these bytes are: a JSON object itself, other text as `stdout`, and none for nothing. No answer where
/// they cannot be one: they are no text, or too long as JSON.
pub(super) fn report_of(bytes: &[u8]) -> Option<Report> {
    let text = std::str::from_utf8(bytes).ok()?;
    if text.trim().is_empty() {
        return Some(Report::default());
    }
    let json = match serde_json::from_str(text) {
        Ok(object @ Value::Object(_)) => object,
        _ => json!({ "stdout": text }),
    };
    Report::new(json.to_string()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_json_object_is_the_report_and_other_text_is_kept_as_it_is() {
        for (written, report) in [
            (&b""[..], ""),
            (b" \n", ""),
            (b"{\"rows\": 3}\n", r#"{"rows":3}"#),
            (b"3 rows\n", r#"{"stdout":"3 rows\n"}"#),
            (b"[1]", r#"{"stdout":"[1]"}"#),
            (b"{\"rows\": 3} {}", r#"{"stdout":"{\"rows\": 3} {}"}"#),
        ] {
            assert_eq!(report_of(written).unwrap().as_str(), report);
        }
    }

    #[test]
    fn what_cannot_be_a_report_is_none() {
        assert_eq!(report_of(b"\xff\xd8"), None);
        assert_eq!(
            report_of(&vec![b'\n'; Report::BYTES_MAX]).unwrap().as_str(),
            ""
        );
        let quotes = vec![b'"'; Report::BYTES_MAX];
        assert_eq!(report_of(&quotes), None, "longer once it is JSON");
    }
}

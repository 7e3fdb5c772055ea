use crate::ProcessError;

/// What a function says of an upload it accepted: JSON text that the pipeline keeps and does not read.
///
/// People see it with the upload. The page and the command line show its members `media_type` and `sha256` by name,
/// where they are texts; all else is the function's own.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Report(String);

impl Report {
    /// The longest report. A row of the largest ledger we serve holds 400 KB (Amazon `DynamoDB`, "Item size").
    pub const BYTES_MAX: usize = 64 << 10;

    /// Takes JSON text; gives it back if it is longer than [`Self::BYTES_MAX`]. That it is JSON is the caller's word.
    pub fn new(json: String) -> Result<Self, String> {
        if json.len() > Self::BYTES_MAX {
            Err(json)
        } else {
            Ok(Self(json))
        }
    }

    /// Takes JSON text, as [`Self::new`]; text that is too long is a permanent failure, because it would be as long
    /// the next time. What is larger belongs into an [output](super::Outputs).
    pub fn from_json(json: impl Into<String>) -> Result<Self, ProcessError> {
        Self::new(json.into()).map_err(|json| {
            ProcessError::Permanent(format!(
                "the report has {} bytes, more than the {} that are kept",
                json.len(),
                Self::BYTES_MAX
            ))
        })
    }

    /// The JSON text; empty if the function had nothing to say.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::Report;
    use crate::ProcessError;

    #[test]
    fn a_report_is_bounded() {
        assert!(Report::new("x".repeat(Report::BYTES_MAX)).is_ok());
        let long = "x".repeat(Report::BYTES_MAX + 1);
        assert!(Report::new(long.clone()).is_err());
        assert!(matches!(
            Report::from_json(long),
            Err(ProcessError::Permanent(_))
        ));
    }
}

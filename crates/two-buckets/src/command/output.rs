use std::str::FromStr;

use two_buckets_pipeline::Outputs;
use two_buckets_uploads::{ContentType, InvalidContentType, InvalidUploadKey, UploadKey};

/// The type of bytes of which nothing is known (RFC 2046, section 4.5.1).
pub(super) const UNKNOWN_TYPE: &str = "application/octet-stream";

/// What standard output is kept as: a name under `_results/{key}/{version id}/` and a media type.
///
/// Written as `NAME` or `NAME:TYPE`, like `still.jpg:image/jpeg`; what is behind the last colon is the type.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Output {
    name: String,
    media_type: String,
}

/// Why a text names no output.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum InvalidOutput {
    /// No object may be called that.
    #[error("its name: {0}")]
    Name(#[from] InvalidUploadKey),
    /// A folder, not a file.
    #[error("its name must not end with a slash")]
    Folder,
    /// The name is too long.
    #[error("its name has {0} bytes, it may have {max}", max = Outputs::NAME_BYTES_MAX)]
    TooLong(usize),
    /// What is behind the colon.
    #[error(
        "{0:?} is no media type; write it as still.jpg:image/jpeg, for a name with a colon in it too"
    )]
    Type(String),
}

impl Output {
    /// The name behind `_results/{key}/{version id}/`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The media type, with which it is served.
    pub fn media_type(&self) -> &str {
        &self.media_type
    }
}

impl FromStr for Output {
    type Err = InvalidOutput;

    fn from_str(text: &str) -> Result<Self, InvalidOutput> {
        let (name, media_type) = text.rsplit_once(':').unwrap_or((text, UNKNOWN_TYPE));
        let name: UploadKey = name.parse()?;
        let name = name.as_str();
        if name.ends_with('/') {
            return Err(InvalidOutput::Folder);
        }
        if name.len() > Outputs::NAME_BYTES_MAX {
            return Err(InvalidOutput::TooLong(name.len()));
        }
        let media_type: ContentType = media_type
            .parse()
            .map_err(|InvalidContentType| InvalidOutput::Type(media_type.to_owned()))?;
        Ok(Self {
            name: name.to_owned(),
            media_type: media_type.as_str().to_owned(),
        })
    }
}

impl std::fmt::Display for Output {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.name, self.media_type)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_output_has_a_name_and_a_type_or_none_is_known() {
        for (text, name, media_type) in [
            ("still.jpg:image/jpeg", "still.jpg", "image/jpeg"),
            ("pages/1.png", "pages/1.png", UNKNOWN_TYPE),
            (
                "a:b:text/csv; header=present",
                "a:b",
                "text/csv; header=present",
            ),
        ] {
            let output: Output = text.parse().unwrap();
            assert_eq!((output.name(), output.media_type()), (name, media_type));
            assert_eq!(output.to_string().parse(), Ok(output));
        }
    }

    #[test]
    fn what_names_no_output_is_refused_in_words() {
        let long = "x".repeat(Outputs::NAME_BYTES_MAX + 1);
        for (text, words) in [
            ("", "must not be empty"),
            (":image/jpeg", "must not be empty"),
            ("/a:image/jpeg", "slash"),
            ("a/:image/jpeg", "slash"),
            ("a/../b", "\"..\""),
            ("a\n", "control characters"),
            (&long, "513 bytes"),
            ("still.jpg:", "\"\" is no media type"),
            ("still.jpg:jpeg", "\"jpeg\" is no media type"),
            ("12:30", "\"30\" is no media type"),
            ("a:image/jpeg\r\nx: y", "control characters"),
        ] {
            let problem = text.parse::<Output>().unwrap_err().to_string();
            assert!(problem.contains(words), "{text:?}: {problem}");
        }
    }
}

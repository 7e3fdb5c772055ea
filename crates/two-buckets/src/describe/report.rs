use serde::Serialize;

/// What a file is: the report of [`Describe`](super::Describe), field by field as the module's table has it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Description {
    /// What the content looks like.
    pub media_type: &'static str,
    /// Bytes.
    pub size: u64,
    /// Lower-case hexadecimal.
    pub sha256: String,
    /// What is inside.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub structure: Option<Structure>,
    /// What is wrong inside, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub structure_problem: Option<String>,
}

impl Description {
    /// The report's JSON text.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("text, numbers and lists always serialise")
    }
}

/// What is inside a file.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(tag = "format", rename_all = "lowercase")]
pub enum Structure {
    /// Lines of text.
    Text {
        /// How characters are written: `utf-8`, `utf-16`, or `unknown-8bit` (RFC 1428).
        encoding: &'static str,
        /// How many lines, the last one counted even without its line break.
        #[serde(skip_serializing_if = "Option::is_none")]
        lines: Option<u64>,
    },
    /// A table of text.
    Csv {
        /// How characters are written.
        encoding: &'static str,
        /// What stands between fields.
        delimiter: char,
        /// How many fields the first record has.
        columns: u64,
        /// How many records there are below the header.
        rows: u64,
        /// The names of the columns, if the first record looks like names; the first [`NAMES_MAX`](super::NAMES_MAX).
        header: Option<Vec<String>>,
        /// Whether all of the table was counted.
        complete: bool,
    },
    /// A JSON text.
    Json {
        /// How characters are written.
        encoding: &'static str,
        /// How many lines.
        lines: u64,
        /// What its outermost value is; absent where the text is too long to be looked through.
        #[serde(skip_serializing_if = "Option::is_none")]
        top_level: Option<&'static str>,
        /// How many members that has, if it is an array or object.
        #[serde(skip_serializing_if = "Option::is_none")]
        entries: Option<u64>,
    },
    /// A zip archive, or a file built as one: office documents, Java archives, e-books.
    Zip {
        /// How many entries, directories among them.
        entries: u64,
        /// How many of them are directories.
        directories: u64,
        /// How many of them are encrypted.
        encrypted: u64,
        /// How many bytes all entries say they have once unpacked; none if no number holds it.
        uncompressed_size: Option<u64>,
        /// Their names; the first [`NAMES_MAX`](super::NAMES_MAX).
        names: Vec<String>,
        /// Whether the whole directory was read.
        complete: bool,
    },
    /// A picture.
    Image {
        /// Pixels.
        width: u64,
        /// Pixels.
        height: u64,
    },
}

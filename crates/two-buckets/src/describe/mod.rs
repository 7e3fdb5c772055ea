//! The processor that runs where nobody brings one: it says what a file is, without changing anything.
//!
//! Its report is a JSON object:
//!
//! | field | meaning |
//! |---|---|
//! | `media_type` | what the content looks like; the file's name decides only between kinds of text, or of an empty file |
//! | `size` | bytes, counted |
//! | `sha256` | of all bytes, lower-case hexadecimal |
//! | `structure` | what is inside, by its `format`; absent where nothing more is known |
//! | `structure_problem` | what is wrong inside, in words; absent where nothing is |
//!
//! and `structure` is one of
//!
//! | `format` | fields |
//! |---|---|
//! | `text` | `encoding`, `lines` (absent for UTF-16) |
//! | `csv` | `encoding`, `delimiter`, `columns`, `rows` (without the header), `header` (names, or null), `complete` |
//! | `json` | `encoding`, `lines`, `top_level`, `entries` (of an array or object) |
//! | `zip` | `entries`, `directories`, `encrypted`, `uncompressed_size` (null if no number holds it), `names`, `complete` |
//! | `image` | `width`, `height` in pixels |
//!
//! A malformed structure is reported, it is no failure: only a file that cannot be read is.
//! Whatever is sent, memory stays below a megabyte, every limit below holds, and time grows no faster than size.
//! [`Examination`] is the core: bytes in, ranges it still wants out, no I/O of its own. [`Describe`] drives it.

mod archive;
mod encoding;
mod examination;
mod image;
mod json;
mod media_type;
mod processor;
mod readers;
mod report;
mod table;
#[cfg(test)]
mod tests;

pub use examination::{Examination, Finishing, SizeDiffers};
pub use processor::Describe;
pub use report::{Description, Structure};

/// How much of a file's beginning is kept to decide what it is. Cameras put up to some 200 KB of previews and colour
/// profiles before a JPEG's dimensions.
pub const PREFIX_BYTES_MAX: usize = 256 << 10;
/// How much of the beginning is compared with known signatures.
const SIGNATURE_BYTES_MAX: usize = 16 << 10;
/// How much of a table is parsed; the rest is hashed only.
pub const TABLE_BYTES_MAX: u64 = 1 << 30;
/// How much of a zip's directory is read: some 200,000 entries.
pub const DIRECTORY_BYTES_MAX: u64 = 16 << 20;
/// How many names of columns or entries are reported.
pub const NAMES_MAX: usize = 50;
/// How many characters of each are.
pub const NAME_CHARS_MAX: usize = 100;

// The longest report fits the ledger: a character takes at most 6 bytes in JSON (`\u0000`).
const _: () = assert!(
    NAMES_MAX * (NAME_CHARS_MAX * 6 + 3) + 8_192 <= two_buckets_pipeline::Report::BYTES_MAX
);

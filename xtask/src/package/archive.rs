//! The zip of a function.

use std::io::{Cursor, Write as _};

use anyhow::Result;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipWriter};

/// What Lambda starts in `provided.al2023`.
const ENTRY: &str = "bootstrap";

/// A zip with this program as its executable `bootstrap`. The same program makes the same zip, byte for byte: there is no
/// time and no owner in it.
pub(super) fn zipped(program: &[u8]) -> Result<Vec<u8>> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        .compression_level(Some(9))
        .last_modified_time(DateTime::default())
        .unix_permissions(0o755);
    zip.start_file(ENTRY, options)?;
    zip.write_all(program)?;
    Ok(zip.finish()?.into_inner())
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[test]
    fn it_holds_one_executable_and_is_the_same_each_time() {
        let zip = zipped(b"program").expect("a zip");
        assert_eq!(zip, zipped(b"program").expect("a zip"));
        let mut read = zip::ZipArchive::new(Cursor::new(&zip)).expect("a zip");
        assert_eq!(read.len(), 1);
        let mut entry = read.by_name("bootstrap").expect("bootstrap");
        assert_eq!(entry.unix_mode().expect("a mode") & 0o7777, 0o755);
        let mut program = Vec::new();
        entry.read_to_end(&mut program).expect("bytes");
        assert_eq!(program, b"program");
    }
}

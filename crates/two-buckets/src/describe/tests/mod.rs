//! Files in, descriptions out, through the same driver that runs in the pipeline.

mod arbitrary;
mod driver;
mod kinds;
mod tables;
mod zips;

use std::io::{Cursor, Write as _};

use super::{Description, Examination, Structure};

/// Describes a file that comes in pieces of these sizes, the last one again and again.
fn describe_in_pieces(name: &str, file: &[u8], pieces: &[usize]) -> Description {
    let mut examination = Examination::new(name, file.len() as u64);
    let mut rest = file;
    let mut sizes = pieces.iter().chain(pieces.last().into_iter().cycle());
    while !rest.is_empty() {
        let size = sizes
            .next()
            .copied()
            .unwrap_or(rest.len())
            .clamp(1, rest.len());
        let (piece, behind) = rest.split_at(size);
        examination.update(piece);
        rest = behind;
    }
    let mut finishing = examination.finish().expect("all bytes were given");
    let mut turns = 0;
    while let Some(range) = finishing.wants() {
        turns += 1;
        assert!(turns < 1_000, "the ranges come to an end");
        assert!(
            range.start < range.end && range.end <= file.len() as u64,
            "{range:?}"
        );
        assert!(range.end - range.start <= 256 << 10, "{range:?}");
        let start = usize::try_from(range.start).expect("small");
        let end = usize::try_from(range.end).expect("small");
        finishing.give(&file[start..end]);
    }
    finishing.description()
}

fn describe(name: &str, file: &[u8]) -> Description {
    describe_in_pieces(name, file, &[])
}

/// A zip of stored entries, made by a crate that is not ours.
fn zip_of(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let stored =
        zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    for (name, content) in entries {
        if name.ends_with('/') {
            zip.add_directory(*name, stored).expect("a directory");
        } else {
            zip.start_file(*name, stored).expect("an entry");
            zip.write_all(content).expect("its bytes");
        }
    }
    zip.finish().expect("a zip").into_inner()
}

/// A PNG's signature and header; its picture is not looked at.
fn png(width: u32, height: u32) -> Vec<u8> {
    let mut file = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR".to_vec();
    file.extend(width.to_be_bytes());
    file.extend(height.to_be_bytes());
    file.extend([8, 2, 0, 0, 0, 0, 0, 0, 0]);
    file
}

fn image(width: u64, height: u64) -> Structure {
    Structure::Image { width, height }
}

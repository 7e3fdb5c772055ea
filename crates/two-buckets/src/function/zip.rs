//! A function as a zip, as one uploads it to Lambda: unpacked once into the data folder.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};
use zip::ZipArchive;

/// The most a function may unpack to: 250 MB (Lambda quotas, "Deployment package size").
const UNPACKED_BYTES_MAX: u64 = 250 << 20;
/// The most files of one; Lambda names no limit, so this is ours: a large `node_modules` has some 50,000.
const ENTRIES_MAX: usize = 200_000;

/// Unpacks the zip below `functions`, under its SHA-256, and gives the folder. What was unpacked before is taken as it is.
/// An unpacking that is cut off leaves nothing under that name. Blocks.
pub(crate) fn unpack(zip: &Path, functions: &Path) -> Result<PathBuf, String> {
    let shown = zip.display();
    let cannot = |error: io::Error| format!("{shown} cannot be unpacked: {error}");
    let mut file = File::open(zip).map_err(|error| format!("{shown} cannot be read: {error}"))?;
    let target = functions.join(digest(&mut file).map_err(cannot)?);
    if target.is_dir() {
        return Ok(target);
    }
    let mut archive = ZipArchive::new(file)
        .map_err(|error| format!("{shown} is no zip that can be read: {error}"))?;
    if archive.len() > ENTRIES_MAX {
        return Err(format!(
            "{shown} holds {} files; at most {ENTRIES_MAX} are taken",
            archive.len()
        ));
    }
    let begun = target.with_extension("new");
    match fs::remove_dir_all(&begun) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(cannot(error)),
        _ => {}
    }
    fs::create_dir_all(&begun).map_err(cannot)?;
    let mut left = UNPACKED_BYTES_MAX;
    for index in 0..archive.len() {
        let mut entry = archive
            .by_index(index)
            .map_err(|error| format!("{shown} cannot be unpacked: {error}"))?;
        let name = entry
            .name()
            .map_err(|error| format!("{shown} cannot be unpacked: {error}"))?
            .into_owned();
        // `enclosed_name` is none for what would land elsewhere: absolute paths and those with `..`.
        let inside = entry.enclosed_name().ok_or_else(|| {
            format!("{shown} holds {name:?}, which would land outside its folder")
        })?;
        let path = begun.join(inside);
        if entry.is_dir() {
            fs::create_dir_all(&path).map_err(cannot)?;
            continue;
        }
        if entry.is_symlink() {
            return Err(format!(
                "{shown} holds the symbolic link {name:?}; put the file itself into the zip"
            ));
        }
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(cannot)?;
        }
        let mut unpacked = File::create(&path).map_err(cannot)?;
        // A size that the zip says may be a lie: what is counted is what comes out.
        let copied = io::copy(&mut entry.by_ref().take(left + 1), &mut unpacked).map_err(cannot)?;
        left = left.checked_sub(copied).ok_or_else(|| {
            format!(
                "{shown} unpacks to more than {} MB",
                UNPACKED_BYTES_MAX >> 20
            )
        })?;
        let mode = entry.unix_mode().unwrap_or(0o644) & 0o777;
        // Zips made on Windows say nothing of execution, and Lambda runs their bootstrap all the same.
        let mode = if name == "bootstrap" {
            mode | 0o755
        } else {
            mode | 0o600
        };
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).map_err(cannot)?;
    }
    fs::rename(&begun, &target).map_err(cannot)?;
    Ok(target)
}

/// The SHA-256 of all of it, as lower-case hexadecimal.
fn digest(file: &mut File) -> io::Result<String> {
    let mut digest = Sha256::new();
    let mut piece = vec![0; 64 << 10];
    loop {
        let length = file.read(&mut piece)?;
        if length == 0 {
            return Ok(hex::encode(digest.finalize()));
        }
        digest.update(&piece[..length]);
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use zip::ZipWriter;
    use zip::write::SimpleFileOptions;

    use super::*;

    fn zipped(entries: &[(&str, &[u8])], folder: &Path) -> PathBuf {
        let path = folder.join("function.zip");
        let mut zip = ZipWriter::new(File::create(&path).unwrap());
        for (name, bytes) in entries {
            let options = SimpleFileOptions::default()
                .compression_method(zip::CompressionMethod::Deflated)
                .unix_permissions(0o755);
            zip.start_file(*name, options).unwrap();
            zip.write_all(bytes).unwrap();
        }
        zip.finish().unwrap();
        path
    }

    #[test]
    fn a_zip_is_unpacked_with_its_folders_and_permissions_once() {
        let folder = tempfile::tempdir().unwrap();
        let zip = zipped(
            &[("bootstrap", b"#!/bin/sh"), ("lib/a.py", b"x = 1")],
            folder.path(),
        );
        let functions = folder.path().join("functions");
        let unpacked = unpack(&zip, &functions).unwrap();
        assert_eq!(fs::read(unpacked.join("lib/a.py")).unwrap(), b"x = 1");
        let mode = fs::metadata(unpacked.join("bootstrap"))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o111, 0o111);
        assert_eq!(unpack(&zip, &functions), Ok(unpacked));
    }

    #[test]
    fn an_entry_that_would_land_elsewhere_is_refused_and_nothing_is_left() {
        for name in ["../outside", "/outside", "a/../../outside"] {
            let folder = tempfile::tempdir().unwrap();
            let zip = zipped(&[(name, b"x")], folder.path());
            let functions = folder.path().join("in/functions");
            let answer = unpack(&zip, &functions);
            // An absolute name may also be taken for one below the folder.
            if let Ok(target) = answer {
                assert!(target.join("outside").is_file(), "{name}");
            }
            assert!(!folder.path().join("in/outside").exists(), "{name}");
            assert!(!Path::new("/outside").exists(), "{name}");
        }
    }

    #[test]
    fn what_unpacks_to_too_much_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let zip = zipped(
            &[("a", &vec![0; 130 << 20]), ("b", &vec![0; 130 << 20])],
            folder.path(),
        );
        assert!(fs::metadata(&zip).unwrap().len() < 1 << 20);
        let problem = unpack(&zip, &folder.path().join("functions")).unwrap_err();
        assert!(problem.contains("250 MB"), "{problem}");
    }

    #[test]
    fn what_is_no_zip_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.zip");
        fs::write(&path, b"no zip").unwrap();
        let problem = unpack(&path, folder.path()).unwrap_err();
        assert!(problem.contains("no zip"), "{problem}");
    }
}

//! The clamav-daemon of Debian with a signature file of our own: its databases have to be downloaded.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use crate::{has, reason, send, serve};

/// About a minute in all.
const TRIES_MAX: u32 = 3_000;
const BETWEEN_TRIES: Duration = Duration::from_millis(20);

/// The file every scanner knows (eicar.org), in two halves, so that none of them takes this file for it.
fn eicar() -> Vec<u8> {
    [
        r"X5O!P%@AP[4\PZX54(P^)7CC)7}$",
        "EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*",
    ]
    .concat()
    .into_bytes()
}

/// A running clamd. Dropping it kills it.
struct Clamd {
    child: Child,
    socket: PathBuf,
}

impl Clamd {
    /// None where it is not installed.
    fn start(folder: &Path) -> Option<Self> {
        let socket = folder.join("clamd.ctl");
        let database = folder.join("database");
        fs::create_dir(&database).expect("a folder");
        // Name, any kind of file, any offset, bytes.
        let signature = format!("Own-Eicar-Test:0:*:{}\n", hex::encode(eicar()));
        fs::write(database.join("own.ndb"), signature).expect("a file");
        let config = folder.join("clamd.conf");
        let settings = format!(
            "Foreground yes\nLocalSocket {}\nDatabaseDirectory {}\nTemporaryDirectory {}\nStreamMaxLength 2M\nAlertExceedsMax yes\n",
            socket.display(),
            database.display(),
            folder.display()
        );
        fs::write(&config, settings).expect("a file");
        let child = Command::new("clamd")
            .arg("--config-file")
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let child = match child {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                // Not by a macro, which the test runner keeps to itself.
                _ = writeln!(io::stderr(), "skipped: clamd is not installed");
                return None;
            }
            child => child.expect("clamd starts"),
        };
        let mut clamd = Self { child, socket };
        // Nothing is ever sent: it only makes the waiting patient.
        let (_sender, patience) = mpsc::channel::<()>();
        for _ in 0..TRIES_MAX {
            if UnixStream::connect(&clamd.socket).is_ok() {
                return Some(clamd);
            }
            let ended = clamd.child.try_wait().expect("it is ours");
            assert!(ended.is_none(), "clamd ended: {ended:?}");
            _ = patience.recv_timeout(BETWEEN_TRIES);
        }
        panic!("clamd did not begin to listen");
    }
}

impl Drop for Clamd {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

#[test]
fn the_real_clamd_lets_clean_files_in_and_keeps_eicar_and_what_is_too_large_out() {
    let scanner = tempfile::tempdir().unwrap();
    let Some(clamd) = Clamd::start(scanner.path()) else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let socket = clamd.socket.to_str().unwrap();
    let server = serve(folder.path(), socket, &["--max-attempts", "1"]);

    send(&server, "clean.txt", b"nothing to see");
    server.wait_for("clean.txt", &["archived"]);

    let deep = [&vec![b' '; 1 << 20][..], &eicar()].concat();
    for (key, file) in [("eicar.com", eicar()), ("deep.bin", deep)] {
        send(&server, key, &file);
        let upload = server.wait_for(key, &["failed"]).remove(0);
        assert_eq!(reason(&upload), "infected: Own-Eicar-Test.UNOFFICIAL");
        assert!(has(&server, "staging", key) && !has(&server, "archive", key));
    }

    // Behind StreamMaxLength nobody looked.
    let large = [&vec![b' '; 12 << 20][..], &eicar()].concat();
    send(&server, "large.bin", &large);
    let upload = server.wait_for("large.bin", &["failed"]).remove(0);
    assert!(reason(&upload).contains("not scanned"), "{upload:#}");
    assert!(has(&server, "staging", "large.bin") && !has(&server, "archive", "large.bin"));
}

//! moto, a stand-in for AWS's services written in Python: one server for all tests of this binary, where
//! `TWO_BUCKETS_TEST_PYTHON` names a Python that has it.
//!
//! It keeps what it is told in memory and looks at no credentials. It is looser than the services: it checks few of their
//! limits, and a transaction that is refused while another request changes the same table takes that change with it, so
//! that a table's requests must come one after the other ([`Wire`](crate::wire::Wire) sees to that).

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

/// Serves until its standard input ends, which it does with this process however that ends.
const SERVER: &str = r#"
import logging, os, sys
sys.path.append(sys.argv[1])
import transactions
transactions.apply()
logging.getLogger("werkzeug").setLevel(logging.ERROR)
from moto.server import ThreadedMotoServer
server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
print("%s:%d" % server.get_host_and_port(), flush=True)
sys.stdin.read()
os._exit(0)
"#;

/// A server that runs.
pub(crate) struct Moto {
    /// Where it listens, such as `http://127.0.0.1:40000`; every service is there.
    pub(crate) endpoint: String,
    /// Holds the pipe whose end it waits for.
    _process: Child,
}

/// The server of this binary, started by the first test that asks. None, after saying so, where it cannot be.
pub(crate) fn moto() -> Option<&'static Moto> {
    static MOTO: OnceLock<Result<Moto, String>> = OnceLock::new();
    match MOTO.get_or_init(start) {
        Ok(moto) => Some(moto),
        Err(why) => {
            // Past the test harness, which shows to nobody what passing tests print.
            std::io::stderr()
                .write_all(format!("skipped: {why}\n").as_bytes())
                .unwrap();
            None
        }
    }
}

fn start() -> Result<Moto, String> {
    let python = std::env::var_os("TWO_BUCKETS_TEST_PYTHON")
        .ok_or("TWO_BUCKETS_TEST_PYTHON does not name a Python with moto[server]")?;
    let mut process = Command::new(&python)
        .args(["-c", SERVER])
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/moto"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("{} does not start: {error}", python.display()))?;
    let mut address = String::new();
    BufReader::new(process.stdout.take().unwrap())
        .read_line(&mut address)
        .unwrap();
    let mut complaints = process.stderr.take().unwrap();
    if address.trim().is_empty() {
        let mut said = String::new();
        complaints.read_to_string(&mut said).unwrap();
        process.wait().unwrap();
        let last = said.trim().lines().last().unwrap_or("it said nothing");
        // One that has moto and cannot run it is a mistake to be seen.
        assert!(last.contains("ModuleNotFoundError"), "moto ended: {said}");
        return Err(format!("{} has no moto: {last}", python.display()));
    }
    // A pipe that nobody reads would block it when full.
    std::thread::spawn(move || std::io::copy(&mut complaints, &mut std::io::stderr()));
    Ok(Moto {
        endpoint: format!("http://{}", address.trim()),
        _process: process,
    })
}

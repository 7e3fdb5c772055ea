//! A disk that a test can hold up.

use std::io;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use crate::engine::storage::{File, MemoryStorage, Storage};

/// A disk whose syncs of the log wait for a gate, so that a test decides what waits behind a sync.
pub(crate) struct Gated {
    pub(crate) disk: MemoryStorage,
    pub(crate) gate: Arc<Gate>,
}

/// How long a test waits for what must come; far more than it needs.
const WAIT_MAX: Duration = Duration::from_secs(20);

#[derive(Default)]
pub(crate) struct Gate {
    state: Mutex<GateState>,
    changed: Condvar,
}

#[derive(Default)]
struct GateState {
    is_closed: bool,
    waiting: usize,
}

impl Gate {
    pub(crate) fn close(&self) {
        self.state.lock().unwrap().is_closed = true;
    }

    pub(crate) fn open(&self) {
        self.state.lock().unwrap().is_closed = false;
        self.changed.notify_all();
    }

    fn pass(&self) {
        let mut state = self.state.lock().unwrap();
        state.waiting += 1;
        self.changed.notify_all();
        let (mut state, _) = self
            .changed
            .wait_timeout_while(state, WAIT_MAX, |state| state.is_closed)
            .unwrap();
        state.waiting -= 1;
    }

    pub(crate) fn wait_for_somebody(&self) {
        let state = self.state.lock().unwrap();
        let (_state, timeout) = self
            .changed
            .wait_timeout_while(state, WAIT_MAX, |state| state.waiting == 0)
            .unwrap();
        assert!(!timeout.timed_out(), "nobody came to sync the log");
    }
}

struct GatedFile {
    file: Arc<dyn File>,
    gate: Arc<Gate>,
}

impl File for GatedFile {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.file.write_at(offset, bytes)
    }
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.file.read_at(offset, buffer)
    }
    fn size_bytes(&self) -> io::Result<u64> {
        self.file.size_bytes()
    }
    fn truncate(&self, size_bytes: u64) -> io::Result<()> {
        self.file.truncate(size_bytes)
    }
    fn sync(&self) -> io::Result<()> {
        self.gate.pass();
        self.file.sync()
    }
}

impl Gated {
    fn gated(&self, path: &str, file: Arc<dyn File>) -> Arc<dyn File> {
        if path.starts_with("log/") {
            let gate = Arc::clone(&self.gate);
            Arc::new(GatedFile { file, gate })
        } else {
            file
        }
    }
}

impl Storage for Gated {
    fn lock(&self) -> io::Result<Option<Box<dyn Send + Sync>>> {
        self.disk.lock()
    }
    fn create(&self, path: &str) -> io::Result<Arc<dyn File>> {
        Ok(self.gated(path, self.disk.create(path)?))
    }
    fn open(&self, path: &str) -> io::Result<Arc<dyn File>> {
        Ok(self.gated(path, self.disk.open(path)?))
    }
    fn remove(&self, path: &str) -> io::Result<()> {
        self.disk.remove(path)
    }
    fn list(&self, dir: &str) -> io::Result<Vec<String>> {
        self.disk.list(dir)
    }
    fn create_dir(&self, dir: &str) -> io::Result<()> {
        self.disk.create_dir(dir)
    }
    fn free_bytes(&self) -> io::Result<Option<u64>> {
        self.disk.free_bytes()
    }
    fn sync_dir(&self, dir: &str) -> io::Result<()> {
        self.disk.sync_dir(dir)
    }
}

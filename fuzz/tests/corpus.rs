//! Every target over its kept corpus, and over small changes of each entry: the same on every machine and every run.

use std::fs;
use std::path::Path;

use two_buckets_fuzz::TARGETS;

/// How many changes of one entry are tried.
const CHANGES: u64 = 24;

#[test]
fn every_target_keeps_its_promises_on_its_corpus() {
    for (name, target) in TARGETS {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("corpus")
            .join(name);
        let mut entries: Vec<_> = fs::read_dir(&folder)
            .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
            .map(|entry| entry.unwrap().path())
            .collect();
        entries.sort();
        assert!(entries.len() >= 5, "{name} has a corpus");
        for entry in entries {
            let bytes = fs::read(&entry).unwrap();
            println!("{}", entry.display());
            target(&bytes);
            for seed in 0..CHANGES {
                target(&changed(&bytes, seed));
            }
        }
    }
}

/// The bytes with a few of them changed, cut, doubled or moved, decided by the seed alone.
fn changed(bytes: &[u8], seed: u64) -> Vec<u8> {
    let mut random = Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
    let mut bytes = bytes.to_vec();
    for _ in 0..=random.below(3) {
        let at = random.below(bytes.len() + 1);
        match random.below(5) {
            0 => bytes.truncate(at),
            1 => bytes.insert(at, b"\0\r\n%\"{}[]*?$/.: \xff"[random.below(17)]),
            2 if !bytes.is_empty() => {
                let at = at % bytes.len();
                bytes[at] ^= 1 << random.below(8);
            }
            3 => {
                let piece = bytes[at..bytes.len().min(at + 16)].to_vec();
                let to = random.below(bytes.len() + 1);
                bytes.splice(to..to, piece);
            }
            _ => {
                let end = bytes.len().min(at + random.below(8));
                bytes.drain(at..end);
            }
        }
    }
    bytes
}

/// Xorshift: enough to choose by, and the same everywhere.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % end.max(1) as u64).expect("it was a usize before")
    }
}

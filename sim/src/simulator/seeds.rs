//! Seeds that failed once. They are run again each time.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;

/// A list of seeds, one a line; what follows `#` says why it is there.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Seeds(pub Vec<u64>);

impl Seeds {
    /// Reads a list. A line that is no seed is `InvalidData`.
    pub fn read(path: &Path) -> io::Result<Self> {
        let text = fs::read_to_string(path)?;
        let seeds = text
            .lines()
            .map(|line| line.split('#').next().unwrap_or_default().trim())
            .filter(|line| !line.is_empty())
            .map(str::parse)
            .collect::<Result<_, _>>()
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        Ok(Self(seeds))
    }

    /// Adds a seed to a list, with why.
    pub fn add(path: &Path, seed: u64, why: &str) -> io::Result<()> {
        let mut file = OpenOptions::new().create(true).append(true).open(path)?;
        writeln!(file, "{seed} # {}", why.replace('\n', " "))
    }
}

//! Random names and numbers: for changes that must know themselves again, and for waits.

use two_buckets_pipeline::ledger::{Error, Result};

pub(super) fn number() -> Result<u64> {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).map_err(|error| Error::Unavailable {
        reason: format!("the system gives no random numbers: {error}"),
        source: None,
    })?;
    Ok(u64::from_le_bytes(bytes))
}

/// A name that nothing else has.
pub(super) fn name() -> Result<String> {
    Ok(format!("{:016x}", number()?))
}

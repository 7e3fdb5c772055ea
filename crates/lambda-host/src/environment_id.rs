//! The name of one execution environment.

use std::fmt;

/// Names one execution environment: 32 hexadecimal digits, random, never used again.
///
/// It is part of the environment's log stream name (`AWS_LAMBDA_LOG_STREAM_NAME`), by which its processes are found again.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EnvironmentId(String);

impl EnvironmentId {
    /// A new name, or the reason why the machine has no randomness to give.
    pub(crate) fn new() -> Result<EnvironmentId, getrandom::Error> {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes)?;
        Ok(EnvironmentId(hex::encode(bytes)))
    }

    /// The digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for EnvironmentId {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(&self.0)
    }
}

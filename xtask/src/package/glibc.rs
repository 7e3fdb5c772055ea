//! Which glibc a program needs.

use std::fmt;

use anyhow::{Context as _, Result, bail};
use object::Endianness;
use object::elf::FileHeader64;
use object::read::elf::FileHeader as _;

/// What Amazon Linux 2023 has, and Lambda's `provided.al2023` with it.
pub(super) const LIMIT: Version = Version(2, 34);

/// A version of glibc.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Version(u32, u32);

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "glibc {}.{}", self.0, self.1)
    }
}

/// The newest glibc that the program asks for; an error if Lambda has none so new, or it asks for none.
pub(super) fn within_limit(program: &[u8]) -> Result<Version> {
    let newest = newest(program)?;
    if newest > LIMIT {
        bail!("it needs {newest}, and Lambda has {LIMIT}");
    }
    Ok(newest)
}

/// The highest `GLIBC_` version among the needs of an ELF program (System V ABI, `SHT_GNU_verneed`), which the loader
/// checks before it starts it.
fn newest(program: &[u8]) -> Result<Version> {
    let header = FileHeader64::<Endianness>::parse(program).context("it is no ELF program")?;
    let endian = header.endian()?;
    let sections = header.sections(endian, program)?;
    let (mut needs, link) = sections
        .gnu_verneed(endian, program)?
        .context("it needs no glibc, so it is not what was to be built")?;
    let strings = sections.strings(endian, program, link)?;
    let mut newest = None;
    while let Some((_, mut versions)) = needs.next()? {
        while let Some(version) = versions.next()? {
            let name = std::str::from_utf8(version.name(endian, strings)?)?;
            let Some(number) = name.strip_prefix("GLIBC_") else {
                continue;
            };
            let version =
                parsed(number).with_context(|| format!("{name} is no version known here"))?;
            newest = newest.max(Some(version));
        }
    }
    newest.context("it names no version of glibc")
}

/// `2.34`, or `2.2.5` whose last number does not matter. Anything else (`ABI_DT_RELR`, `PRIVATE`) is a need that Lambda's
/// glibc may not know.
fn parsed(number: &str) -> Option<Version> {
    let mut numbers = number.split('.').map(|part| part.parse().ok());
    Some(Version(numbers.next()??, numbers.next()??))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_this_very_program_needs_is_found() {
        let own = std::fs::read(std::env::current_exe().expect("a path")).expect("a program");
        let version = newest(&own).expect("a version");
        // `std` itself asks for 2.17 and more.
        assert!(
            version > Version(2, 16) && version < Version(3, 0),
            "{version}"
        );
    }

    #[test]
    fn versions_compare_by_number() {
        assert!(parsed("2.4") < parsed("2.34"));
        assert_eq!(parsed("2.2.5"), Some(Version(2, 2)));
        assert_eq!(parsed("ABI_DT_RELR"), None);
        assert_eq!(parsed("PRIVATE"), None);
    }

    #[test]
    fn what_is_no_program_is_refused() {
        within_limit(b"#!/bin/sh").expect_err("a script");
    }
}

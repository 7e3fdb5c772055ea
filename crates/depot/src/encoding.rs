//! How rows are written as bytes: little-endian, lengths before texts, a version byte first.
//!
//! Decoding trusts nothing: every read is checked against the end, every length against what is left, and a row with
//! bytes behind its last field is corrupt as well. The layouts are in `docs/format.md`.

use crate::{Error, Result};

/// Builds a row.
pub(crate) struct Encoder(Vec<u8>);

impl Encoder {
    /// Begins a row with the version of its layout.
    pub(crate) fn new(version: u8) -> Self {
        Self(vec![version])
    }

    pub(crate) fn u8(&mut self, value: u8) {
        self.0.push(value);
    }

    pub(crate) fn u32(&mut self, value: u32) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    pub(crate) fn u64(&mut self, value: u64) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    pub(crate) fn i64(&mut self, value: i64) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    /// Bytes whose length the reader knows.
    pub(crate) fn fixed(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    /// A count, as 4 bytes.
    pub(crate) fn count(&mut self, count: usize) {
        self.u32(u32::try_from(count).expect("callers bound what they keep far below 4 GiB"));
    }

    /// A length as 4 bytes and the bytes.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.count(bytes.len());
        self.fixed(bytes);
    }

    pub(crate) fn text(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }

    pub(crate) fn optional_text(&mut self, text: Option<&str>) {
        match text {
            None => self.u8(0),
            Some(text) => {
                self.u8(1);
                self.text(text);
            }
        }
    }

    pub(crate) fn finish(self) -> Vec<u8> {
        self.0
    }
}

/// Takes a row apart. `what` names the kind of row in errors.
pub(crate) struct Decoder<'a> {
    rest: &'a [u8],
    what: &'static str,
}

impl<'a> Decoder<'a> {
    /// Begins with the version byte, which must be `version`.
    pub(crate) fn new(row: &'a [u8], version: u8, what: &'static str) -> Result<Self> {
        Self::up_to(row, version, what).and_then(|(found, row)| {
            if found == version {
                Ok(row)
            } else {
                Err(row.corrupt())
            }
        })
    }

    /// Begins with the version byte, which must be from 1 to `version`; gives it.
    pub(crate) fn up_to(row: &'a [u8], version: u8, what: &'static str) -> Result<(u8, Self)> {
        let mut decoder = Self { rest: row, what };
        let found = decoder.u8()?;
        if (1..=version).contains(&found) {
            Ok((found, decoder))
        } else {
            Err(decoder.corrupt())
        }
    }

    /// The error that says this row is not what was written.
    pub(crate) fn corrupt(&self) -> Error {
        Error::Corrupt {
            what: format!("a {} row", self.what),
        }
    }

    pub(crate) fn fixed(&mut self, length: usize) -> Result<&'a [u8]> {
        let (head, rest) = self
            .rest
            .split_at_checked(length)
            .ok_or_else(|| self.corrupt())?;
        self.rest = rest;
        Ok(head)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let (head, rest) = self
            .rest
            .split_first_chunk::<N>()
            .ok_or_else(|| self.corrupt())?;
        self.rest = rest;
        Ok(*head)
    }

    pub(crate) fn u8(&mut self) -> Result<u8> {
        Ok(u8::from_le_bytes(self.array()?))
    }

    pub(crate) fn u32(&mut self) -> Result<u32> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    pub(crate) fn u64(&mut self) -> Result<u64> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    pub(crate) fn i64(&mut self) -> Result<i64> {
        Ok(i64::from_le_bytes(self.array()?))
    }

    /// A count of things that take at least one byte each, so that a wrong one cannot make anybody reserve memory.
    pub(crate) fn count(&mut self) -> Result<usize> {
        let count = self.u32()? as usize;
        if count > self.rest.len() {
            return Err(self.corrupt());
        }
        Ok(count)
    }

    pub(crate) fn bytes(&mut self) -> Result<&'a [u8]> {
        let length = self.count()?;
        self.fixed(length)
    }

    pub(crate) fn text(&mut self) -> Result<&'a str> {
        let bytes = self.bytes()?;
        std::str::from_utf8(bytes).map_err(|_| self.corrupt())
    }

    pub(crate) fn optional_text(&mut self) -> Result<Option<&'a str>> {
        match self.u8()? {
            0 => Ok(None),
            1 => self.text().map(Some),
            _ => Err(self.corrupt()),
        }
    }

    /// Ends; bytes that are left are corruption.
    pub(crate) fn finish(self) -> Result<()> {
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err(self.corrupt())
        }
    }
}

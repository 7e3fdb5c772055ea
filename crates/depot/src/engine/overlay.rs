//! The changes of transactions that ran but are not durable yet.

use std::collections::BTreeMap;
use std::ops::Bound;

use bytes::Bytes;

use super::index::{self, Rows};
use super::table::PREFIX_BYTES;

/// What transactions behind the durable ones have set and deleted, each key with the last transaction that did.
#[derive(Default)]
pub(super) struct Overlay {
    rows: BTreeMap<Bytes, (u64, Option<Bytes>)>,
}

type Bounds<'a> = (Bound<&'a [u8]>, Bound<&'a [u8]>);

impl Overlay {
    /// What is pending for a key, if anything is: its value, or none if it is deleted.
    pub(super) fn get(&self, key: &[u8]) -> Option<&Option<Bytes>> {
        self.rows.get(key).map(|(_, value)| value)
    }

    /// What is pending between two keys.
    pub(super) fn range(&self, bounds: Bounds<'_>) -> BTreeMap<&[u8], Option<&[u8]>> {
        self.rows
            .range::<[u8], _>(bounds)
            .map(|(key, (_, value))| (&**key, value.as_deref()))
            .collect()
    }

    /// Whether anything is pending between two keys.
    pub(super) fn has_any(&self, bounds: Bounds<'_>) -> bool {
        self.rows.range::<[u8], _>(bounds).next().is_some()
    }

    /// Takes the changes of a transaction.
    pub(super) fn add(&mut self, ticket: u64, key: Bytes, value: Option<Bytes>) {
        self.rows.insert(key, (ticket, value));
    }

    /// Forgets what is durable now, unless a later transaction changed it again.
    pub(super) fn settle<'a>(&mut self, up_to_ticket: u64, keys: impl Iterator<Item = &'a Bytes>) {
        for key in keys {
            if let Some((ticket, _)) = self.rows.get(key)
                && *ticket <= up_to_ticket
            {
                self.rows.remove(key);
            }
        }
    }

    /// Forgets everything, after transactions failed together.
    pub(super) fn clear(&mut self) {
        self.rows.clear();
    }
}

/// Durable rows with the pending ones over them, without their table.
pub(super) fn merged<'a>(
    durable: Rows<'a>,
    pending: BTreeMap<&[u8], Option<&[u8]>>,
    backwards: bool,
) -> Rows<'a> {
    let pending = pending
        .into_iter()
        .map(|(key, value)| (key.to_vec(), value.map(<[u8]>::to_vec)));
    let pending = if backwards {
        pending.rev().collect()
    } else {
        pending.collect()
    };
    let rows = index::merged(durable, pending, backwards);
    Box::new(rows.map(|row| row.map(|(key, value)| (strip(&key), value))))
}

/// A key without its table.
pub(super) fn strip(key: &[u8]) -> Vec<u8> {
    key.get(PREFIX_BYTES..).unwrap_or_default().to_vec()
}

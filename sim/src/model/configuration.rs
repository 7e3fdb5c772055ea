//! What one search is about: what is sent, who works, and how often what goes wrong.

use super::bugs::Bug;

/// The keys of the world. The first is a prefix of the second.
pub const KEYS: [&str; 2] = ["a", "ab"];

/// One upload that a client sends.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Sent {
    /// The version id it gets in staging; one that begins with `j` is routed to a job.
    pub name: &'static str,
    /// Its key, by its place in [`KEYS`].
    pub key: usize,
    /// Last-Modified: a multipart that ends late has an earlier one than uploads that came before it.
    pub last_modified: i64,
    /// Its bytes: uploads with the same number have the same, and so the same `ETag`.
    pub content: u8,
    /// Whether the function fails on it every time.
    pub is_poisoned: bool,
    /// Whether its client may delete exactly this version at any moment.
    pub may_be_deleted: bool,
}

impl Sent {
    /// Whether it is routed to a job.
    pub fn is_for_job(&self) -> bool {
        self.name.starts_with('j')
    }
}

/// How often each thing may still go wrong.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Faults {
    /// A worker or a job dies between two effects.
    pub crashes: u8,
    /// A live lease runs out while its holder goes on.
    pub expiries: u8,
    /// A copy answers 409, an error inside a 200, or nothing at all, having landed or not.
    pub copies: u8,
    /// A copy lands with other bytes than its source.
    pub wrong_copies: u8,
    /// The function fails for a while, or dies without an answer.
    pub functions: u8,
    /// A store does not answer; a delete may have been done even so.
    pub stores: u8,
    /// The server is started anew.
    pub restarts: u8,
    /// Somebody cancels a job.
    pub cancels: u8,
    /// How many of all these together.
    pub any: u8,
}

impl Faults {
    /// Nothing goes wrong.
    pub const NONE: Self = Self {
        crashes: 0,
        expiries: 0,
        copies: 0,
        wrong_copies: 0,
        functions: 0,
        stores: 0,
        restarts: 0,
        cancels: 0,
        any: u8::MAX,
    };

    /// One fault less of a kind; none if none is left.
    pub fn spend(mut self, kind: fn(&mut Self) -> &mut u8) -> Option<Self> {
        if self.any == 0 {
            return None;
        }
        let left = kind(&mut self);
        *left = left.checked_sub(1)?;
        if self.any != u8::MAX {
            self.any -= 1;
        }
        // Worlds in which nothing more can go wrong are the same, whatever kinds were left.
        if self.any == 0 {
            self = Self {
                any: 0,
                ..Self::NONE
            };
        }
        Some(self)
    }

    /// How many of those after which an upload may be set aside for no reason of its own.
    pub fn wearing(&self) -> u8 {
        let sum = self.crashes + self.expiries + self.functions + self.restarts + self.stores;
        sum.min(self.any)
    }
}

/// Whether the first key was minted, and what then may happen.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "five facts that vary independently; each is read by name"
)]
pub struct Minted {
    /// Whether it was.
    pub is: bool,
    /// Whether the store refuses an upload while another of the key is in staging (`If-None-Match: *`).
    pub if_none_match: bool,
    /// Whether any upload may never be sent.
    pub may_stay_away: bool,
    /// How often the sweep may look, before all is quiet, whether to give the upload up.
    pub give_ups: u8,
    /// Whether equal bytes must be archived once only.
    pub one_copy: bool,
    /// Whether the store keeps no checksum of a staged version, so that bytes must be read to compare them.
    pub without_checksums: bool,
}

impl Minted {
    /// It was not.
    pub const NOT: Self = Self {
        is: false,
        if_none_match: false,
        may_stay_away: false,
        give_ups: 0,
        one_copy: false,
        without_checksums: false,
    };
}

/// One search.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Configuration {
    /// What it is about.
    pub name: &'static str,
    /// What is sent, in this order within a key and in any between keys.
    pub sent: &'static [Sent],
    /// How many workers there are.
    pub workers: usize,
    /// What may go wrong.
    pub faults: Faults,
    /// How many wake-ups an upload may bring: none if its event is lost, two if it is doubled.
    pub wakes_each: &'static [u8],
    /// How often the sweep may begin while others work.
    pub sweeps: u8,
    /// How often it may come once all is quiet, long after; without it every wake-up must do.
    pub late_sweeps: u8,
    /// How often an operator may retry what failed.
    pub retries: u8,
    /// Whether that may be at any moment, and not only when all is quiet.
    pub retries_at_once: bool,
    /// How often a client may delete a key by its name, which puts a delete marker on top.
    pub markers: u8,
    /// Whether the key was minted.
    pub minted: Minted,
    /// Whether the ledger and both buckets are one store: it starts and moves in one change.
    pub is_embedded: bool,
    /// The mistake that is made.
    pub bug: Option<Bug>,
}

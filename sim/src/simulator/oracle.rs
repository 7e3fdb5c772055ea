//! What clients were told and what functions saw, against which the buckets are held in the end.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use sha2::{Digest as _, Sha256};
use two_buckets_objects::{Key, VersionId};
use two_buckets_pipeline::Lease;

/// A digest of bytes.
pub(super) type Sha = [u8; 32];

/// The SHA-256 of bytes.
pub(super) fn sha256(bytes: &[u8]) -> Sha {
    Sha256::digest(bytes).into()
}

/// The first digits of a digest, to be read by people.
pub(super) fn short(sha: &Sha) -> String {
    use std::fmt::Write as _;
    sha.iter().take(4).fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a String takes every write");
        text
    })
}

/// What a client knows of an upload it sent.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Told {
    /// No answer came, so it may be there or not, but whole.
    Nothing,
    /// It is there.
    Acknowledged { version: VersionId, at: u64 },
    /// It is not there.
    Refused,
}

/// An upload that a client sent.
#[derive(Clone, Debug)]
pub(super) struct Sent {
    pub(super) key: Key,
    pub(super) sha: Sha,
    pub(super) told: Told,
    /// When its place among the versions of its key was asked for, in steps of the oracle.
    pub(super) began_at: u64,
    /// When its place was certain; later than that is behind it.
    pub(super) placed_at: Option<u64>,
    pub(super) is_minted: bool,
    /// Whether it is sent in parts, so that it comes later than its place.
    pub(super) is_in_parts: bool,
    /// Whether its client asked for exactly this version to be deleted.
    pub(super) is_deleted: bool,
}

/// A version of a key in staging.
pub(super) type Place = (Key, String);

/// What functions saw of a version.
#[derive(Clone, Default, Debug)]
pub(super) struct Runs {
    /// The numbers of the attempts that ran.
    pub(super) attempts: Vec<u32>,
    /// How many ended well.
    pub(super) succeeded: u32,
    /// The bytes they read.
    pub(super) read: BTreeSet<Sha>,
}

#[derive(Default)]
pub(super) struct Known {
    pub(super) sent: Vec<Sent>,
    pub(super) runs: BTreeMap<Place, Runs>,
    /// The highest fencing token given out for each key.
    tokens: BTreeMap<Key, u64>,
    steps: u64,
    pub(super) violations: Vec<String>,
}

/// What is known from outside.
#[derive(Default)]
pub(super) struct Oracle(Mutex<Known>);

impl Oracle {
    pub(super) fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A promise was broken.
    pub(super) fn broken(&self, what: String) {
        self.known().violations.push(what);
    }

    /// An upload is sent; gives its number.
    pub(super) fn send(&self, key: &Key, sha: Sha, is_minted: bool) -> usize {
        let mut known = self.known();
        let began_at = known.step();
        known.sent.push(Sent {
            key: key.clone(),
            sha,
            told: Told::Nothing,
            began_at,
            placed_at: None,
            is_minted,
            is_in_parts: false,
            is_deleted: false,
        });
        known.sent.len() - 1
    }

    /// The place of an upload in parts is certain, for it is begun.
    pub(super) fn begun(&self, number: usize) {
        let mut known = self.known();
        let at = known.step();
        if let Some(sent) = known.sent.get_mut(number) {
            sent.placed_at = Some(at);
            sent.is_in_parts = true;
        }
    }

    /// A client was answered. An answer that came before stays.
    pub(super) fn told(&self, number: usize, version: Option<VersionId>) {
        let mut known = self.known();
        let at = known.step();
        if let Some(sent) = known.sent.get_mut(number)
            && sent.told == Told::Nothing
        {
            sent.told = match version {
                Some(version) => Told::Acknowledged { version, at },
                None => Told::Refused,
            };
            sent.placed_at = sent.placed_at.or(Some(at));
        }
    }

    /// A key was claimed.
    pub(super) fn claimed(&self, lease: &Lease) {
        let mut known = self.known();
        let (key, token) = (lease.key.key.clone(), lease.token.0);
        let before = known.tokens.insert(key.clone(), token);
        if before.is_some_and(|before| before >= token) {
            let what = format!("{key} was claimed with token {token} after {before:?}");
            known.violations.push(what);
        }
    }

    /// Something was changed under a lease.
    pub(super) fn changed(&self, lease: &Lease) {
        let mut known = self.known();
        let (key, token) = (&lease.key.key, lease.token.0);
        let highest = known.tokens.get(key).copied();
        if highest.is_some_and(|highest| highest > token) {
            let what = format!("{key} was changed under token {token} after {highest:?} was given");
            known.violations.push(what);
        }
    }

    /// A function begins to run.
    pub(super) fn runs(&self, place: &Place, attempt: u32) {
        let mut known = self.known();
        let runs = known.runs.entry(place.clone()).or_default();
        if runs.attempts.contains(&attempt) {
            let what = format!("attempt {attempt} of {place:?} runs twice");
            known.violations.push(what);
        } else {
            runs.attempts.push(attempt);
        }
    }

    /// A function has read its upload whole.
    pub(super) fn read(&self, place: Place, sha: Sha) {
        self.known().runs.entry(place).or_default().read.insert(sha);
    }

    /// A function accepts its upload.
    pub(super) fn accepts(&self, place: Place) {
        self.known().runs.entry(place).or_default().succeeded += 1;
    }
}

impl Known {
    fn step(&mut self) -> u64 {
        self.steps += 1;
        self.steps
    }
}

//! What must hold when the world is at rest: every acknowledged byte is accounted for.

use std::collections::{BTreeMap, BTreeSet};

use two_buckets_depot::{Error, ListObjects, Selector};
use two_buckets_objects::{BucketName, Key, ListedVersion, ObjectRef, VersionId};
use two_buckets_pipeline::archive::{LATE_PREFIX, Mark, RESULTS_PREFIX, SOURCE_VERSION};
use two_buckets_pipeline::ledger::{Counts, Ledger as _, ListUploads};
use two_buckets_pipeline::{Holder, Order, Report, Settings, State, Upload};

use super::functions::RESULT;
use super::oracle::{Known, Place, Sent, Sha, Told, sha256, short};
use super::server::Life;
use super::world::{World, archive, at_once, staging};

/// How much of a body is read at once.
const PIECE_BYTES: usize = 1 << 20;

/// A version in the archive that an upload became.
struct Archived {
    key: Key,
    version: VersionId,
    sha: Sha,
    order: Order,
    is_late: bool,
}

/// What both buckets and the ledger hold.
struct Found {
    rows: BTreeMap<Place, Upload>,
    counts: Counts,
    /// Expected uploads that never came.
    never_came: u64,
    staged: BTreeMap<Place, Sha>,
    /// By the version in staging that they were.
    archived: BTreeMap<String, Vec<Archived>>,
    /// Of each key, what became current one after the other.
    current: BTreeMap<Key, Vec<(String, Order)>>,
    results: BTreeMap<(String, String), Sha>,
    broken: Vec<String>,
}

/// Holds the buckets and the ledger against what is known. `is_cured` says that nothing may be failed but what is gone.
pub(super) fn check(world: &World, life: &Life, is_cured: bool) {
    let found = match Found::look(life) {
        Ok(found) => found,
        Err(error) => {
            let what = format!("the store cannot be read: {error}");
            return world.oracle.broken(what);
        }
    };
    let mut known = world.oracle.known();
    let mut broken = found.broken.clone();
    found.check_sent(&known, is_cured, &mut broken);
    found.check_strangers(&known, &mut broken);
    found.check_order(&known, &mut broken);
    found.check_runs(&known, &mut broken);
    found.check_rows(world.plan.is_in_one, &mut broken);
    found.check_staging(&mut broken);
    known.violations.extend(broken);
    drop(known);
    let mut figures = world.figures();
    figures.archived = found.counts.archived;
    figures.late = found.counts.late;
    figures.duplicates = found.counts.duplicate;
    figures.failed = found.counts.failed;
}

impl Found {
    fn look(life: &Life) -> Result<Self, Box<dyn std::error::Error>> {
        let mut found = Self {
            rows: BTreeMap::new(),
            counts: at_once(life.ledger.counts())?,
            never_came: 0,
            staged: BTreeMap::new(),
            archived: BTreeMap::new(),
            current: BTreeMap::new(),
            results: BTreeMap::new(),
            broken: Vec::new(),
        };
        found.look_at_rows(life)?;
        found.look_at_staging(life)?;
        found.look_at_archive(life)?;
        Ok(found)
    }

    fn look_at_rows(&mut self, life: &Life) -> Result<(), Box<dyn std::error::Error>> {
        let mut counted = Counts::default();
        let mut options = ListUploads::default();
        loop {
            let page = at_once(life.ledger.list(&options))?;
            for row in page.uploads {
                *counted.of(row.state) += 1;
                let Some(staged) = &row.staged else {
                    self.never_came += 1;
                    if row.state != State::Failed {
                        self.broken
                            .push(format!("{} is expected for ever", row.key.key));
                    }
                    continue;
                };
                let place = (row.key.key.clone(), staged.version_id.as_str().to_owned());
                if self.rows.insert(place.clone(), row).is_some() {
                    self.broken.push(format!("{place:?} has two rows"));
                }
            }
            match page.next {
                Some(next) => options.after = Some(next),
                None => break,
            }
        }
        if counted != self.counts {
            self.broken.push(format!(
                "the ledger counts {:?} and has {counted:?}",
                self.counts
            ));
        }
        Ok(())
    }

    fn look_at_staging(&mut self, life: &Life) -> Result<(), Error> {
        let mut markers: BTreeSet<Key> = BTreeSet::new();
        let mut keys: BTreeSet<Key> = BTreeSet::new();
        for entry in versions(life, &staging())? {
            if entry.is_delete_marker {
                markers.insert(entry.key);
                continue;
            }
            keys.insert(entry.key.clone());
            let place = (entry.key.clone(), entry.version_id.as_str().to_owned());
            let sha = sha_of(life, &staging(), &entry)?;
            self.staged.insert(place, sha);
        }
        for key in markers.difference(&keys) {
            self.broken
                .push(format!("a delete marker of {key} hides nothing and stays"));
        }
        Ok(())
    }

    fn look_at_archive(&mut self, life: &Life) -> Result<(), Error> {
        let mut latest_first: BTreeMap<Key, Vec<(String, Order)>> = BTreeMap::new();
        for entry in versions(life, &archive())? {
            let name = entry.key.as_str().to_owned();
            if entry.is_delete_marker {
                self.broken
                    .push(format!("the archive has a delete marker of {name}"));
                continue;
            }
            let sha = sha_of(life, &archive(), &entry)?;
            let at = ObjectRef {
                bucket: archive(),
                key: entry.key.clone(),
            };
            let selector = Selector::Version(entry.version_id.clone());
            let metadata = life.depot.head(&at, &selector)?.info.metadata;
            if name.starts_with(RESULTS_PREFIX) {
                let source = metadata.user.get(SOURCE_VERSION).cloned();
                let earlier = self
                    .results
                    .insert((source.unwrap_or_default(), name.clone()), sha);
                if earlier.is_some_and(|earlier| earlier != sha) {
                    self.broken
                        .push(format!("{name} was written with other bytes"));
                }
                continue;
            }
            let Some(mark) = Mark::of(&metadata) else {
                self.broken
                    .push(format!("{name} is in the archive and no upload"));
                continue;
            };
            let source = mark.source_version.as_str().to_owned();
            let is_late = name.starts_with(LATE_PREFIX);
            if !is_late {
                latest_first
                    .entry(entry.key.clone())
                    .or_default()
                    .push((source.clone(), mark.order));
            }
            self.archived.entry(source).or_default().push(Archived {
                key: entry.key,
                version: entry.version_id,
                sha,
                order: mark.order,
                is_late,
            });
        }
        for (key, mut all) in latest_first {
            all.reverse();
            self.current.insert(key, all);
        }
        Ok(())
    }

    /// Each upload that was acknowledged is where it must be, with its bytes, once.
    fn check_sent(&self, known: &Known, is_cured: bool, broken: &mut Vec<String>) {
        for (number, sent) in known.sent.iter().enumerate() {
            let Told::Acknowledged { version, .. } = &sent.told else {
                continue;
            };
            if let Some(what) = self.wrong_with(known, sent, version, is_cured) {
                broken.push(format!(
                    "upload {number} of {} ({}, version {version}) {what}",
                    sent.key,
                    short(&sent.sha)
                ));
            }
        }
    }

    fn wrong_with(
        &self,
        known: &Known,
        sent: &Sent,
        version: &VersionId,
        is_cured: bool,
    ) -> Option<String> {
        let place = (sent.key.clone(), version.as_str().to_owned());
        let copies = self.archived.get(version.as_str());
        let copies = copies.map_or(&[][..], Vec::as_slice);
        let staged = self.staged.get(&place);
        let is_whole = |sha: &Sha| *sha == sent.sha;
        if !copies.iter().all(|copy| is_whole(&copy.sha)) || !staged.is_none_or(is_whole) {
            return Some("has other bytes than were sent".into());
        }
        let Some(row) = self.rows.get(&place) else {
            // Deleted before anybody saw it.
            let is_gone = sent.is_deleted && staged.is_none() && copies.is_empty();
            return (!is_gone).then(|| "is not in the ledger".into());
        };
        match (row.state, copies, staged) {
            (State::Archived, [copy], None) if !copy.is_late => {
                let is_right = copy.key == sent.key && is_recorded(row, copy);
                (!is_right).then(|| "is recorded elsewhere".into())
            }
            (State::Late, [copy], None) if copy.is_late => {
                (!is_recorded(row, copy)).then(|| "is recorded elsewhere".into())
            }
            (State::Failed, [], Some(_)) if row.reason.is_some() => {
                is_cured.then(|| "is still failed though its cause is fixed".into())
            }
            (State::Failed, [], None) if sent.is_deleted => None,
            (State::Duplicate, [], None) if sent.is_minted => {
                let is_of_an_equal = known.sent.iter().any(|other| {
                    other.key == sent.key
                        && other.sha == sent.sha
                        && self.is_archived(other)
                        && other.told != sent.told
                });
                // An upload nobody was told of has no version to go by.
                let is_of_a_lost_one = known.sent.iter().any(|other| {
                    other.key == sent.key && other.sha == sent.sha && other.told == Told::Nothing
                });
                (!is_of_an_equal && !is_of_a_lost_one)
                    .then(|| "is called a duplicate and is none".into())
            }
            (state, copies, staged) => Some(format!(
                "is {state}, {} in the archive and {} in staging",
                copies.len(),
                if staged.is_some() { "still" } else { "not" },
            )),
        }
    }

    fn is_archived(&self, sent: &Sent) -> bool {
        match &sent.told {
            Told::Acknowledged { version, .. } => self.archived.contains_key(version.as_str()),
            _ => false,
        }
    }

    /// Nothing is there that nobody sent: what was not acknowledged is there whole or not at all, and once.
    fn check_strangers(&self, known: &Known, broken: &mut Vec<String>) {
        let mut acknowledged: BTreeSet<&str> = BTreeSet::new();
        let mut unanswered: BTreeMap<(&Key, Sha), i64> = BTreeMap::new();
        for sent in &known.sent {
            match &sent.told {
                Told::Acknowledged { version, .. } => {
                    if !acknowledged.insert(version.as_str()) {
                        broken.push(format!("two uploads were told of version {version}"));
                    }
                }
                Told::Nothing => *unanswered.entry((&sent.key, sent.sha)).or_default() += 1,
                Told::Refused => {}
            }
        }
        let mut strangers: BTreeSet<(&str, &Key, Sha)> = BTreeSet::new();
        for ((key, version), sha) in &self.staged {
            strangers.insert((version, key, *sha));
        }
        for (source, copies) in &self.archived {
            for copy in copies {
                let row = self.rows.iter().find(|((_, version), _)| version == source);
                match row {
                    Some(((key, _), _)) => {
                        strangers.insert((source, key, copy.sha));
                    }
                    None => broken.push(format!(
                        "{} is in the archive and not in the ledger",
                        copy.key
                    )),
                }
            }
            if let [_, _, ..] = copies.as_slice() {
                broken.push(format!(
                    "version {source} is in the archive {} times",
                    copies.len()
                ));
            }
        }
        for (version, key, sha) in strangers {
            if acknowledged.contains(version) {
                continue;
            }
            let left = unanswered.entry((key, sha)).or_default();
            *left -= 1;
            if *left < 0 {
                broken.push(format!(
                    "{key} has a version {version} ({}) that nobody sent, or not so often",
                    short(&sha)
                ));
            }
        }
    }

    /// The archive's current version never went back, and follows the order in which uploads were acknowledged.
    fn check_order(&self, known: &Known, broken: &mut Vec<String>) {
        for (key, all) in &self.current {
            for (earlier, later) in all.iter().zip(all.iter().skip(1)) {
                if earlier.1 >= later.1 {
                    broken.push(format!(
                        "in the archive {key} went back from {} ({:?}) to {} ({:?})",
                        earlier.0, earlier.1, later.0, later.1
                    ));
                }
            }
            let told = all.iter().filter_map(|(version, order)| {
                let sent = known.sent.iter().find(|sent| {
                    matches!(&sent.told, Told::Acknowledged { version: told, .. } if told.as_str() == version)
                });
                sent.map(|sent| (version, order, sent))
            });
            let told: Vec<_> = told.collect();
            for (place, (version, order, sent)) in told.iter().enumerate() {
                let Some(placed_at) = sent.placed_at else {
                    continue;
                };
                let is_wrong = told.iter().take(place).any(|(_, before, other)| {
                    // Where the store's time stood still between the two, what came first in whole counts as the older.
                    let is_tied = before.last_modified == order.last_modified;
                    placed_at < other.began_at && !(is_tied && sent.is_in_parts)
                });
                if is_wrong {
                    broken.push(format!(
                        "{key}: {version} is over one that was begun when its place was certain"
                    ));
                }
            }
        }
    }

    /// Functions saw what was sent and accepted what is archived, and each attempt was recorded before it ran.
    fn check_runs(&self, known: &Known, broken: &mut Vec<String>) {
        for ((key, version), runs) in &known.runs {
            let Some(row) = self.rows.get(&(key.clone(), version.clone())) else {
                broken.push(format!("{key}#{version} was processed and is in no row"));
                continue;
            };
            if runs.attempts.iter().max() > Some(&row.attempts_ever) {
                broken.push(format!(
                    "{key}#{version} ran as attempt {:?}, and {} were recorded",
                    runs.attempts, row.attempts_ever
                ));
            }
            let copies = self.archived.get(version).into_iter().flatten();
            let in_staging = self.staged.get(&(key.clone(), version.clone()));
            for sha in copies.map(|copy| &copy.sha).chain(in_staging) {
                if runs.read.iter().any(|read| read != sha) {
                    broken.push(format!("a function read other bytes of {key}#{version}"));
                }
            }
        }
        for ((key, version), row) in &self.rows {
            let runs = known.runs.get(&(key.clone(), version.clone()));
            let is_archived = matches!(row.state, State::Archived | State::Late);
            if is_archived && runs.is_none_or(|runs| runs.succeeded == 0) {
                broken.push(format!(
                    "{key}#{version} is {} and no function accepted it",
                    row.state
                ));
            }
        }
        for ((source, name), sha) in &self.results {
            let row = self.rows.iter().find(|((_, version), _)| version == source);
            let runs = row.and_then(|(place, _)| known.runs.get(place));
            let is_right = runs.is_some_and(|runs| {
                let mut read = runs.read.iter();
                read.any(|read| sha256(short(read).as_bytes()) == *sha)
            });
            if !is_right || !name.ends_with(&format!("/{RESULT}")) {
                broken.push(format!("{name} is a result of nothing that was read"));
            }
        }
        let sources: Vec<&String> = self.results.keys().map(|(source, _)| source).collect();
        if sources.iter().collect::<BTreeSet<_>>().len() != sources.len() {
            broken.push("a version has its result twice".into());
        }
    }

    /// The ledger agrees with the buckets.
    fn check_rows(&self, is_in_one: bool, broken: &mut Vec<String>) {
        let default = Settings::new(staging(), archive(), Holder(String::new()));
        for ((key, version), row) in &self.rows {
            let copies = self.archived.get(version);
            let is_archived = matches!(row.state, State::Archived | State::Late);
            if is_archived != copies.is_some() {
                broken.push(format!(
                    "{key}#{version} is {} and {}in the archive",
                    row.state,
                    if is_archived { "not " } else { "" }
                ));
            }
            if row.attempts > default.attempts_max {
                broken.push(format!("{key}#{version} was tried {} times", row.attempts));
            }
            let is_ended = !matches!(row.state, State::Pending | State::Processing);
            let is_closed = row.state == State::Failed || row.closed;
            if !is_ended || !is_closed {
                broken.push(format!("{key}#{version} is {} and not finished", row.state));
            }
            let said = row.report.as_ref().map(Report::as_str);
            for copy in copies.into_iter().flatten() {
                let wanted = format!("{{\"sha\":\"{}\"}}", short(&copy.sha));
                // Where archive and ledger are two, a worker that dies between them takes what the function said with it.
                let is_lost = said.is_none() && !is_in_one;
                if said != Some(wanted.as_str()) && !is_lost {
                    broken.push(format!("{key}#{version} has the report {said:?}"));
                }
                let order = row.staged.as_ref().map(|staged| staged.order);
                if order != Some(copy.order) {
                    broken.push(format!("{key}#{version} has another order in the archive"));
                }
            }
        }
        let of = |state| self.rows.values().filter(|row| row.state == state).count() as u64;
        let copies: Vec<_> = self.archived.values().flatten().collect();
        let late = copies.iter().filter(|copy| copy.is_late).count() as u64;
        let current = copies.len() as u64 - late;
        let in_buckets = (current, late);
        if in_buckets != (self.counts.archived, self.counts.late) {
            broken.push(format!(
                "the archive has {in_buckets:?} versions, and the ledger counts {:?}",
                self.counts
            ));
        }
        if of(State::Failed) + self.never_came != self.counts.failed {
            broken.push(format!("failed are counted otherwise: {:?}", self.counts));
        }
    }

    /// Staging holds what has failed, and nothing else.
    fn check_staging(&self, broken: &mut Vec<String>) {
        for place in self.staged.keys() {
            let state = self.rows.get(place).map(|row| row.state);
            if state != Some(State::Failed) {
                broken.push(format!(
                    "{}#{} was left in staging ({state:?})",
                    place.0, place.1
                ));
            }
        }
    }
}

fn is_recorded(row: &Upload, copy: &Archived) -> bool {
    row.archive
        .as_ref()
        .is_some_and(|record| record.at.key == copy.key && record.at.version_id == copy.version)
}

/// The versions of a bucket, on every page.
fn versions(life: &Life, bucket: &BucketName) -> Result<Vec<ListedVersion>, Error> {
    let mut all = Vec::new();
    let mut options = ListObjects::default();
    loop {
        let page = life.depot.list_versions(bucket, &options)?;
        all.extend(page.entries);
        match page.next {
            None => return Ok(all),
            Some((key, version)) => {
                options.after = Some(key);
                options.after_version = version;
            }
        }
    }
}

fn sha_of(life: &Life, bucket: &BucketName, entry: &ListedVersion) -> Result<Sha, Error> {
    let at = ObjectRef {
        bucket: bucket.clone(),
        key: entry.key.clone(),
    };
    let selector = Selector::Version(entry.version_id.clone());
    let (_, mut reader) = life.depot.read(&at, &selector, None)?;
    let mut bytes = Vec::new();
    loop {
        let piece = reader.next_piece(PIECE_BYTES)?;
        if piece.is_empty() {
            return Ok(sha256(&bytes));
        }
        bytes.extend_from_slice(&piece);
    }
}
